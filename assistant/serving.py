"""One assistant for many at once: so many questions are answered at a time, so many wait, the others are told to come later."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from fastapi.concurrency import run_in_threadpool

from assistant.answering import Assistant, open_assistant, open_choices
from assistant.build import Progress
from assistant.chain import Models
from assistant.errors import AssistantError, Busy, UsageError
from assistant.generation import Failed
from assistant.nouns import Answer, Turn
from assistant.query import check_question
from assistant.settings import Settings

PREPARING = "The index is being prepared; ask again in a few seconds."
FULL = "Too many questions at the moment; ask again in a few seconds."


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks: `query` is searched instead of what would be made of the question, `model` names a choice."""

    text: str
    history: Sequence[Turn] = ()
    query: str = ""
    model: str = ""


class Service:
    """The one assistant of a server: absent while the index is brought up to date, and never overrun."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.failure: AssistantError | None = None
        self.choices: dict[str, Models] = open_choices(settings)
        self._assistant: Assistant | None = None
        self._places = asyncio.Semaphore(settings.in_flight)
        self._waiting = 0

    @property
    def ready(self) -> bool:
        return self._assistant is not None

    @property
    def assistant(self) -> Assistant:
        """Raises Busy while it opens."""
        if self._assistant is None:
            raise Busy(PREPARING)
        return self._assistant

    def open(self, progress: Callable[[], Progress] | None, complain: Callable[[str], None]) -> None:
        """Brings the index up to date and answers one question, so that the first user does not wait."""
        assistant = open_assistant(self.settings, True, progress, complain, self.choices[self.settings.model])
        # By the quotes: no model elsewhere is spoken to before somebody asks.
        replace(assistant, models=Models()).ask("What is this about?")
        with suppress(Failed):  # the first question says why
            assistant.models.warm()
        self._assistant = assistant

    async def answers(
        self, question: Question, stopped: Callable[[], bool] = lambda: False
    ) -> AsyncGenerator[Answer, None]:
        """The answer as it grows. Ends early, and what works for it, soon after `stopped` says so or nobody reads on.

        Raises Busy while the assistant opens, and when as many wait as may.
        """
        check_question(question.text)
        assistant = self._with(question.model)
        left = threading.Event()
        async with self._place():
            stream = assistant.stream(
                question.text, question.history, lambda: left.is_set() or stopped(), query=question.query
            )
            try:
                while (answer := await _next(stream)) is not None:
                    yield answer
            finally:
                left.set()

    async def ask(self, question: Question, stopped: Callable[[], bool] = lambda: False) -> Answer:
        """The finished answer, or as far as it came until it was stopped."""
        last = None
        async with aclosing(self.answers(question, stopped)) as answers:
            async for answer in answers:
                last = answer
        if last is None:
            raise AssistantError("Stopped before there was anything to show.")
        return last

    async def suggestions(self, answer: Answer, asked: Sequence[str]) -> tuple[str, ...]:
        """What to ask next."""
        async with self._place():
            return await run_in_threadpool(self.assistant.suggestions, answer, asked)

    def close(self) -> None:
        if self._assistant is not None:
            self._assistant.close()

    def _with(self, model: str) -> Assistant:
        assistant = self.assistant
        if not model:
            return assistant
        if model not in self.choices:
            raise UsageError(f"There is no model {model!r} to choose here. Known: {', '.join(self.choices)}.")
        return replace(assistant, models=self.choices[model])

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._places.locked() and self._waiting >= self.settings.waiting:
            raise Busy(FULL)
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()


async def _next(answers: Iterator[Answer]) -> Answer | None:
    # Shielded: a thread cannot be cancelled, and a generator that still runs cannot be left to another.
    step = asyncio.ensure_future(run_in_threadpool(next, answers, None))
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        step.add_done_callback(_forget)
        raise


def _forget(step: "asyncio.Future[Any]") -> None:
    """Takes the outcome of a step that nobody waits for any more."""
    if not step.cancelled():
        step.exception()
