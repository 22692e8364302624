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
from assistant.corpus import comparison_of
from assistant.errors import AssistantError, Busy, UsageError
from assistant.generation import Failed
from assistant.metrics import Metrics
from assistant.nouns import Answer, Hit, Turn
from assistant.query import check_question
from assistant.settings import Settings

TITLE = "Ask the documents"
PREPARING = "The index is being prepared; ask again in a few seconds."
FULL = "Too many questions at the moment; ask again in a few seconds."


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks: `query` is searched instead of what would be made of the question, `model` names a choice, and
    what stands on the page `page` ranks a little higher."""

    text: str
    history: Sequence[Turn] = ()
    query: str = ""
    model: str = ""
    page: str = ""


class Service:
    """The one assistant of a server: absent while the index is brought up to date, and never overrun."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.failure: AssistantError | None = None
        self.choices: dict[str, Models] = open_choices(settings)
        self._assistant: Assistant | None = None
        self._places = asyncio.Semaphore(settings.in_flight)
        self._waiting = 0
        self.metrics = Metrics()
        self.title = comparison_of(settings.corpus).title or TITLE

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
        try:
            check_question(question.text)
            async with aclosing(self._answers(question, stopped)) as answers:
                async for answer in answers:
                    if answer.id:
                        self.metrics.answered(answer)
                    yield answer
        except AssistantError as error:
            self.metrics.failed(error)
            raise

    async def _answers(self, question: Question, stopped: Callable[[], bool]) -> AsyncGenerator[Answer, None]:
        assistant = self._with(question.model)
        left = threading.Event()
        async with self._place():
            stream = assistant.stream(
                question.text,
                question.history,
                lambda: left.is_set() or stopped(),
                query=question.query,
                page=question.page,
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

    async def search(self, query: str, count: int) -> tuple[Hit, ...]:
        """The best passages for a query."""
        check_question(query)
        async with self._place():
            return await run_in_threadpool(self.assistant.search, query, count)

    def tokens(self, text: str) -> int:
        """How many tokens of the embedding model a text has; other models count a little otherwise."""
        return self.assistant.encoder.window.count(text)

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
        self.metrics.waiting.inc()
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
            self.metrics.waiting.dec()
        try:
            with self.metrics.in_flight.track_inprogress():
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


async def paced(answers: AsyncGenerator[Answer, None], seconds: float) -> AsyncGenerator[Answer | None, None]:
    """The answers as they come, and None after so many seconds of silence: whoever passes them on sees then whether its client is still there."""
    step: asyncio.Future[Answer] | None = None
    try:
        while True:
            step = step or asyncio.ensure_future(anext(answers))
            done, _ = await asyncio.wait({step}, timeout=seconds)
            if not done:
                yield None
                continue
            try:
                answer = step.result()
            except StopAsyncIteration:
                return
            finally:
                step = None
            yield answer
    finally:
        if step is not None:
            step.cancel()
            await asyncio.wait({step})
        await answers.aclose()
