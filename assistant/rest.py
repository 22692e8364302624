"""The HTTP API: questions with JSON or server-sent events for an answer, search, documents, ratings, and what watches a server."""

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from importlib.resources import files
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from pydantic import BaseModel, ConfigDict, Field

from assistant import __version__, metrics
from assistant.answers import AnswerJson, DocumentJson, HitsJson
from assistant.conversation import read_answer
from assistant.errors import AssistantError, UsageError
from assistant.feedback import COMMENT, Feedback, trace_of
from assistant.nouns import Answer, Turn
from assistant.problems import details, status_of
from assistant.query import MAX_QUESTION, check_question, read_history
from assistant.rendering import answer_json, hit_json
from assistant.serving import Question, Service, paced
from assistant.streaming import HEADERS, PAUSE, PROBLEMS, stopping
from assistant.viewer import deep_link, located, page, source_path

EVENTS, SCRIPT = "text/event-stream", "text/javascript; charset=utf-8"
WIDGET = files("assistant") / "static" / "widget.js"
# What a page of a document may load: its style sheet.
_PAGE_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
MOVED = "This document has changed since it was cited."


_EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["query", "hits", "sentence", "answer", "error"]},
        "data": {"type": "string", "description": "JSON"},
    },
}


class Past(BaseModel):
    """A turn of the conversation so far."""

    model_config = ConfigDict(extra="ignore")

    question: str
    answer: str = ""


class AskBody(BaseModel):
    """The body of `POST /api/v1/ask`."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(description=f"At most {MAX_QUESTION:,} characters, at least one letter or digit.")
    history: list[Past] = Field(default=[], description="The conversation so far, oldest first.")
    page: str = Field(
        default="", max_length=2000, description="The address of the page being read; it ranks a little higher."
    )


class RatingBody(BaseModel):
    """The body of `POST /api/v1/feedback`."""

    model_config = ConfigDict(extra="forbid")

    rating: Literal["up", "down"]
    answer: dict[str, Any] = Field(description="The answer as it was given.")
    history: list[Past] = []
    reason: str = ""
    comment: str = Field(default="", max_length=COMMENT)
    id: str = Field(default="", max_length=40, description="The id of a rating that this one replaces.")


def router(service: Service, feedback: Feedback | None) -> APIRouter:
    """Everything but the chat and the OpenAI-compatible routes."""
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    def home() -> RedirectResponse:
        return RedirectResponse("/chat/")

    @routes.get("/healthz", tags=["watching"])
    def healthy() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @routes.get("/readyz", tags=["watching"], responses={503: {"description": "The index is being prepared."}})
    def ready() -> JSONResponse:
        """Questions are answered."""
        return JSONResponse({"status": "ready" if service.ready else "preparing"}, 200 if service.ready else 503)

    @routes.get("/metrics", tags=["watching"], response_class=PlainTextResponse)
    def measured() -> Response:
        """What Prometheus collects."""
        return Response(service.metrics.text(), media_type=metrics.MEDIA_TYPE)

    @routes.post(
        "/api/v1/ask",
        tags=["asking"],
        response_model=AnswerJson,
        responses={
            **PROBLEMS,
            200: {
                "description": "The answer; with `Accept: text/event-stream` as it grows.",
                "content": {EVENTS: {"schema": _EVENT}},
            },
        },
    )
    async def ask(body: AskBody, request: Request) -> Response:
        """Answers a question. As events: `query`, `hits`, `sentence` for each, `answer` with the whole, or `error`."""
        question = Question(body.question, past(body.history), page=body.page)
        if EVENTS in request.headers.get("accept", ""):
            # Whatever is wrong with a question is a 4xx, and no event.
            check_question(body.question)
            service.assistant  # noqa: B018  # or it is being prepared
            return StreamingResponse(events(service, question), media_type=EVENTS, headers=HEADERS)
        with stopping(request) as stopped:
            return JSONResponse(answer_json(await service.ask(question, stopped)))

    @routes.get("/api/v1/search", tags=["asking"], response_model=HitsJson, responses=PROBLEMS)
    async def search(
        q: Annotated[str, Query(description="What to look for.", max_length=MAX_QUESTION)],
        k: Annotated[int, Query(ge=1, le=50, description="How many passages.")] = 5,
    ) -> Response:
        """The passages that match best."""
        hits = await service.search(q, k)
        return JSONResponse({"query": q, "hits": [hit_json(hit) for hit in hits]})

    @routes.get(
        "/api/v1/documents/{document_id:path}", tags=["asking"], response_model=DocumentJson, responses=PROBLEMS
    )
    def document(document_id: str) -> Response:
        """A document as it is indexed: what offsets count in."""
        found = service.assistant.document(document_id)
        if found is None:
            raise HTTPException(404, "There is no such document.")
        one, _ = found
        facts = {"id": one.id, "title": one.title, "url": one.url, "digest": one.digest, "text": one.text}
        return JSONResponse(facts)

    @routes.post("/api/v1/feedback", tags=["asking"], status_code=201, responses=PROBLEMS)
    def rate(body: RatingBody) -> dict[str, str]:
        """Stores a rating with the answer it is about; nothing of who gave it."""
        if feedback is None:
            raise HTTPException(404, "Ratings are not stored here.")
        try:
            answer = read_answer(body.answer)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UsageError("The answer is not one of this API.") from error
        trace = trace_of(answer.question, past(body.history), answer_json(answer), __version__)
        return {"id": feedback.save(body.rating, trace, body.reason, body.comment, body.id)}

    @routes.get("/llms.txt", include_in_schema=False)
    def listed() -> PlainTextResponse:
        documents = service.assistant.titles()
        lines = [f"- [{one.title}]({one.url or f'/sources/{quote(one.id)}'})" for one in documents]
        return PlainTextResponse("\n".join([f"# {service.title}", "", "## Documents", "", *lines, ""]))

    @routes.api_route("/widget.js", methods=["GET", "HEAD"], include_in_schema=False)
    def widget(request: Request) -> Response:
        headers = {
            "Cache-Control": "public, max-age=300",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Vary": "Accept-Encoding",
        }
        if "gzip" in request.headers.get("accept-encoding", ""):
            packed = gzip.compress(WIDGET.read_bytes(), 9, mtime=0)
            return Response(packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=SCRIPT)
        return Response(WIDGET.read_bytes(), media_type=SCRIPT, headers=headers)

    @routes.get("/sources/{document_id:path}", include_in_schema=False)
    def source(document_id: str, start: int = 0, end: int = 0, check: str = "") -> HTMLResponse:
        found = service.assistant.document(document_id)
        if found is None:
            raise HTTPException(404, "There is no such document.")
        document, known = found
        span = located(document, start, end, check) if end else None
        notice = MOVED if end and (span is None or span != (start, end)) else ""
        return HTMLResponse(page(document, span, known, notice), headers={"Content-Security-Policy": _PAGE_POLICY})

    return routes


def past(history: list[Past]) -> list[Turn]:
    return read_history([one.model_dump() for one in history])


async def events(service: Service, question: Question) -> AsyncIterator[str]:
    """The answer as server-sent events; a comment each while nothing happens, so that proxies wait."""
    told = -1  # sentences; below 0 nothing was told yet
    last: Answer | None = None
    try:
        async with aclosing(paced(service.answers(question), PAUSE)) as answers:
            async for grown in answers:
                if grown is None:
                    yield ": still there\n\n"
                    continue
                last = grown
                if told < 0:
                    told = 0
                    yield _event("query", {"search_query": grown.search_query})
                    yield _event("hits", {"hits": [hit_json(hit) for hit in grown.hits]})
                for at, sentence in enumerate(grown.sentences[told:], told):
                    said = {
                        "index": at,
                        "text": sentence.text,
                        "citations": sentence.citations,
                        "support": sentence.support,
                    }
                    yield _event("sentence", said)
                told = max(told, len(grown.sentences))
        if last is not None:
            yield _event("answer", {**answer_json(last), "links": links(last)})
    except AssistantError as error:
        yield _event("error", details(status_of(error), str(error), type(error).__name__))


def links(answer: Answer) -> list[dict[str, Any]]:
    """Where each citation can be read: in the viewer, and on the document's own page where it has one."""
    return [
        {
            "number": one.number,
            "viewer": f"/sources/{source_path(one.passage, one.start, one.end)}",
            "page": deep_link(one.passage, one.start, one.end),
        }
        for one in answer.citations
    ]


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
