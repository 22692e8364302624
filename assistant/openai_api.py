"""The same answers for clients of OpenAI's chat completions: `POST /v1/chat/completions` and `/v1/models`.

A stream begins when the answer is whole: what was sent cannot be taken back, and a sentence that a model said may be left
out when it is checked. What a client's system message says is not obeyed.
"""

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from assistant.errors import UsageError
from assistant.nouns import MARKER, Answer, Turn
from assistant.problems import problem
from assistant.serving import Question, Service, paced
from assistant.streaming import HEADERS, PAUSE, PROBLEMS, stopping
from assistant.viewer import address_of

ID = "assistant"


class Message(BaseModel):
    """One message of a conversation; parts that are no text are refused."""

    model_config = ConfigDict(extra="ignore")

    role: str = Field(max_length=40)
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        if not isinstance(self.content, list):
            return self.content or ""
        if any(part.get("type") != "text" or not isinstance(part.get("text"), str) for part in self.content):
            raise UsageError("Only text can be asked.")
        return " ".join(part["text"] for part in self.content)


class ChatBody(BaseModel):
    """What is read of a request; sampling and tools have no meaning here."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(default=ID, max_length=200)
    messages: list[Message] = Field(min_length=1, max_length=400)
    stream: bool = False


def router(service: Service) -> APIRouter:
    """The routes below `/v1`."""
    routes = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])

    @routes.get("/models")
    def models() -> dict[str, Any]:
        """The assistant, and whatever else is configured to write answers."""
        names = [ID, *service.choices]
        return {
            "object": "list",
            "data": [{"id": name, "object": "model", "created": 0, "owned_by": ID} for name in names],
        }

    @routes.post("/chat/completions", responses=PROBLEMS)
    async def complete(body: ChatBody, request: Request) -> Response:
        """An answer to the last message; the ones before it are its history."""
        if body.model not in (ID, *service.choices):
            return problem(404, f"There is no model {body.model!r} here. See /v1/models.")
        question = Question(*asked(body.messages), model="" if body.model == ID else body.model)
        base = service.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
        if body.stream:
            # The first step is taken before anything is sent, so that a question that cannot be asked is a 4xx.
            answers = paced(service.answers(question), PAUSE)
            first = await anext(answers, None)

            async def events() -> AsyncIterator[str]:
                last = first
                yield ": searching\n\n"
                async with aclosing(answers):
                    async for grown in answers:
                        last = grown or last
                        if grown is None:
                            yield ": still there\n\n"
                if last is not None:
                    for chunk in chunks(last, body.model, base):
                        yield f"data: {json.dumps(chunk)}\n\n"
                yield "data: [DONE]\n\n"

            return StreamingResponse(events(), media_type="text/event-stream", headers=HEADERS)
        with stopping(request) as stopped:
            answer = await service.ask(question, stopped)
        return JSONResponse(
            completion(answer, body.model, base, service.tokens(question.text), service.tokens(answer.text))
        )

    return routes


def asked(messages: Sequence[Message]) -> tuple[str, list[Turn]]:
    """The question, and the turns before it. Raises UsageError where the last message is not the user's."""
    turns: list[Turn] = []
    for message in messages:
        if message.role == "user":
            turns.append(Turn(message.text))
        elif message.role == "assistant" and turns:
            turns[-1] = Turn(turns[-1].question, message.text)
    if not turns or messages[-1].role != "user":
        raise UsageError('The last message must have the role "user".')
    *history, last = turns
    return last.question, history


def annotations(answer: Answer, base: str) -> list[dict[str, Any]]:
    """Where each mark of the text leads; the indices are into the answer's text."""
    cited = {one.number: one for one in answer.citations}
    found = []
    for mark in MARKER.finditer(answer.text):
        one = cited[int(mark[1])]
        citation = {
            "start_index": mark.start(),
            "end_index": mark.end(),
            "url": address_of(one.passage, one.start, one.end, base),
            "title": one.passage.title,
        }
        found.append({"type": "url_citation", "url_citation": citation})
    return found


def completion(answer: Answer, model: str, base: str, prompt: int, written: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": annotations(answer, base)}
    return {
        **_head(answer, model, "chat.completion"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written},
    }


def chunks(answer: Answer, model: str, base: str) -> list[dict[str, Any]]:
    """The answer sentence by sentence; joined, they are its text. The last one holds what its marks lead to."""
    ends = [*(one.end for one in answer.sentences[:-1]), len(answer.text)]
    pieces = [answer.text[low:high] for low, high in zip([0, *ends], ends, strict=False)]
    deltas: list[Mapping[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": one} for one in pieces)]
    deltas.append({"annotations": annotations(answer, base)})
    head = _head(answer, model, "chat.completion.chunk")
    told = [{**head, "choices": [{"index": 0, "delta": dict(one), "finish_reason": None}]} for one in deltas]
    return [*told, {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]


def _head(answer: Answer, model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{answer.id}", "object": kind, "created": int(time.time()), "model": model}
