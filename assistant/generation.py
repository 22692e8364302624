"""Asks a chat model and gives its words as they come, within a time budget; stopping really stops the request.

LangChain speaks to the provider, in one event loop of its own thread: a request there can be cancelled while it waits,
which closes its connection. Whatever goes wrong comes out as `Failed`, with one clause for the reader and nothing
of what the provider said: error pages repeat keys.
"""

import asyncio
import json
import logging
import os
import queue
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from functools import lru_cache
from pathlib import Path
from typing import Any

from anyio import CancelScope

from assistant import llamacpp
from assistant.errors import ModelUnavailable, UsageError
from assistant.models import LLAMACPP, Profile

Message = tuple[str, str]  # role (system or user), text

# How often a request is made again, where that may help and nothing was said yet.
RETRIES = 2
# Seconds before the first of them, doubled each time; the wait is a random share of it.
BACKOFF = 0.5
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
# How often a waiting reader looks whether it was stopped, in seconds.
TICK = 0.1
# More characters than this for each token that was allowed, and the provider does not keep to its limit.
CHARACTERS = 12

log = logging.getLogger(__name__)


class Failed(Exception):
    """A model gave no whole answer; the message is a clause that follows its name: "refused the key (401)"."""

    def __init__(self, what: str, again: bool = False, wait: float | None = None) -> None:
        super().__init__(what)
        self.again = again  # whether the same request may do better
        self.wait = wait  # how long the provider asks to wait, in seconds


class Stopped(Exception):
    """Whoever asked does not want the answer any more."""


class Budget:
    """The time that is left for one answer, and whether anybody still wants it."""

    def __init__(self, seconds: float, stopped: Callable[[], bool] = lambda: False) -> None:
        self.stopped = stopped
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds, never below zero."""
        return max(0.0, self._end - time.monotonic())

    def wait(self, seconds: float) -> None:
        """Sleeps; raises Stopped as soon as it is stopped."""
        end = time.monotonic() + min(seconds, self.left)
        while (rest := end - time.monotonic()) > 0:
            if self.stopped():
                raise Stopped
            time.sleep(min(TICK, rest))


class ChatModel:
    """A profile's model, opened: its client is made once and used by every question."""

    def __init__(self, profile: Profile, threads: int = 1) -> None:
        self.profile = profile
        self._threads = threads
        self._lock = threading.Lock()
        self._opened: tuple[str, Any] | None = None
        if profile.provider != LLAMACPP:
            self._model(1.0)

    def words(self, messages: Sequence[Message], budget: Budget) -> Iterator[tuple[str, bool]]:
        """Pieces of the answer as they come, then an empty one with True, or False where it ended at its greatest length.

        Raises Failed, or Stopped when the budget was stopped. A request is made again where that may help, but not
        once a word has come.
        """
        for attempt in range(RETRIES + 1):
            said = False
            try:
                for piece in self._once(messages, budget):
                    said = True
                    yield piece
                return
            except Failed as failure:
                wait = random.uniform(0, BACKOFF * 2**attempt) if failure.wait is None else failure.wait
                last = attempt == RETRIES or not failure.again or said or wait >= min(budget.left, self._first(budget))
                log.debug("%s %s%s", self.profile.label, failure, "" if last else "; asked again")
                if last:
                    raise
                budget.wait(wait)

    def warm(self) -> None:
        """Starts what takes time to start; a model elsewhere is not spoken to."""
        if self.profile.provider == LLAMACPP:
            self._model(self.profile.first_seconds)

    def _first(self, budget: Budget) -> float:
        return min(self.profile.first_seconds, budget.left)

    def _once(self, messages: Sequence[Message], budget: Budget) -> Iterator[tuple[str, bool]]:
        if budget.stopped():
            raise Stopped
        first = Budget(self._first(budget))
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        model = self._model(first.left)
        scopes: list[CancelScope] = []
        future = asyncio.run_coroutine_threadsafe(_pump(model, list(messages), pieces.put, scopes.append), _loop())
        future.add_done_callback(lambda _: pieces.put(None))
        length = 0
        try:
            while True:
                if budget.stopped():
                    raise Stopped
                left = budget.left if length else first.left
                if not left:
                    raise Failed(_too_slow(budget.seconds if length else first.seconds, length > 0))
                try:
                    piece = pieces.get(timeout=min(TICK, left))
                except queue.Empty:
                    continue
                if piece is None:
                    break
                length += len(piece)
                if length > CHARACTERS * self.profile.tokens:
                    raise Failed("did not stop writing")
                yield piece, False
        finally:
            _loop().call_soon_threadsafe(_cancel, future, scopes)
        yield "", _ended(future, length)

    def _model(self, timeout: float) -> Any:
        """The LangChain chat model. Raises UsageError where its provider cannot be had, Failed where it cannot be started."""
        with self._lock:
            address = key = ""
            if self.profile.provider == LLAMACPP:
                try:
                    address, key = _served(self.profile, self._threads).address(timeout)
                except ModelUnavailable as error:
                    log.debug("%s: %s", self.profile.label, error)
                    raise Failed("could not be started") from error
            if self._opened is None or self._opened[0] != address:
                self._opened = (address, _opened(self.profile, address, key))
            return self._opened[1]


def _served(profile: Profile, threads: int) -> llamacpp.LlamaServer:
    return llamacpp.served(Path(profile.model_name).expanduser(), profile.window, threads)


async def _pump(
    model: Any, messages: list[Message], put: Callable[[str], None], began: Callable[[CancelScope], None]
) -> str:
    """Reads the whole stream; gives why it ended, nothing where the provider did not say.

    `began` is given what cancels it. A task that is cancelled directly may be in the middle of closing its connection,
    which then stays open.
    """
    reason = ""
    with CancelScope() as scope:
        began(scope)
        async for chunk in model.astream(messages):
            told: Mapping[str, Any] = chunk.response_metadata
            reason = str(told.get("finish_reason") or told.get("stop_reason") or told.get("done_reason") or reason)
            if chunk.text:
                put(str(chunk.text))
    return reason


def _cancel(future: "Future[str]", scopes: Sequence[CancelScope]) -> None:
    """Cancels a `_pump`, begun or not; called in its loop."""
    if scopes and not future.done():
        scopes[0].cancel()
    else:
        future.cancel()


def _ended(future: "Future[str]", length: int) -> bool:
    """Whether the answer is whole; False where it ended at its greatest length. Raises Failed where it did not end well."""
    try:
        error = future.exception(timeout=0)
    except CancelledError:
        raise Failed("broke off in the middle of its answer") from None
    if error is not None:
        raise _failure(error, length > 0) from error
    reason = future.result()
    if not length:
        raise Failed("gave an empty answer")
    if not reason:
        raise Failed("broke off in the middle of its answer")
    return reason not in ("length", "max_tokens", "model_length")


def _too_slow(seconds: float, said: bool) -> str:
    shown = f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}"
    unit = "second" if shown == "1" else "seconds"
    return f"was not done after {shown} {unit}" if said else f"said nothing for {shown} {unit}"


def _failure(error: BaseException, said: bool) -> Failed:
    """What a provider's error means, whichever library raised it."""
    causes = list(_chain(error))
    for cause in causes:
        status = getattr(cause, "status_code", None)
        if isinstance(status, int) and status >= 400:
            return Failed(_status(status), status in RETRIED, _retry_after(cause))
    if said:
        malformed = any(isinstance(cause, json.JSONDecodeError) for cause in causes)
        return Failed("sent something that is no answer" if malformed else "broke off in the middle of its answer")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return Failed("could not be reached: no secure connection was possible")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return Failed("could not be reached: its host name is not known")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return Failed("could not be reached: nothing answers at its address", again=True)
    named = {type(cause).__name__ for cause in causes}
    if any("Timeout" in name for name in named):
        return Failed("took too long", again=True)
    if any("Connect" in name or "Protocol" in name for name in named):
        return Failed("could not be reached: the connection was lost", again=True)
    return Failed("sent something that is no answer")


def _status(status: int) -> str:
    told = {
        401: "refused the key",
        403: "did not allow the request",
        404: "does not know the model, or nothing is at its address",
        408: "took too long",
        429: "takes no more requests at the moment",
    }
    return f"{told.get(status, 'rejected the request' if status < 500 else 'failed')} ({status})"


def _retry_after(error: BaseException) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    try:
        return max(0.0, float(headers["retry-after"])) if headers is not None else None
    except (KeyError, ValueError, TypeError):
        return None  # a date, or nothing


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def _opened(profile: Profile, address: str, key: str) -> Any:
    """The LangChain model of a profile, its own retries off: ours keep to the budget."""
    name = profile.model_name
    limits: dict[str, Any] = {} if profile.heat is None else {"temperature": profile.heat}
    try:
        import httpx

        # What is on this machine is not asked for through a proxy. No connection outlives its answer.
        client: dict[str, Any] = {
            "trust_env": bool(profile.host),
            "limits": httpx.Limits(max_keepalive_connections=0),
        }
        if profile.provider in ("openai", LLAMACPP):
            from langchain_openai import ChatOpenAI
            from pydantic import SecretStr

            proxy = os.environ.get("OPENAI_PROXY") if profile.host else None
            return ChatOpenAI(
                model="local" if address else name,
                base_url=address or profile.address,
                api_key=SecretStr(key or profile.secret() or "none"),
                use_responses_api=False,
                stream_usage=False,
                max_retries=0,
                timeout=profile.seconds,
                max_completion_tokens=profile.tokens,
                # Other servers know only the older name.
                extra_body={"max_tokens": profile.tokens} if address or profile.url else None,
                http_async_client=httpx.AsyncClient(**client, proxy=proxy or None, timeout=profile.seconds),
                openai_proxy="",  # cannot be given beside a client
                http_socket_options=(),  # of the client that is not used; they would warn of a proxy
                # Theirs waits in a way that can lose a cancellation, and the stream would go on.
                stream_chunk_timeout=None,
                **limits,
            )
        from langchain.chat_models import init_chat_model

        if profile.provider == "ollama":
            more: dict[str, Any] = {"num_ctx": profile.window, "num_predict": profile.tokens, "client_kwargs": client}
        else:
            more = {"max_tokens": profile.tokens, "timeout": profile.seconds, "max_retries": 0}
        if profile.address:
            more["base_url"] = profile.address  # said, so that no variable of the environment sends it elsewhere
        if secret := profile.key and profile.secret():
            more["api_key"] = secret
        return init_chat_model(name, model_provider=profile.provider, **more, **limits)
    except ImportError as error:
        raise UsageError(f"The model {profile.model!r} needs a package that is missing.") from error
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"The model {profile.model!r} cannot be opened ({type(error).__name__}). Is the provider one of LangChain's, and its key set?"
        ) from error


def _unheard(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Takes what comes of a request that nobody waits for any more. asyncio would print it, and it may repeat a key."""
    log.debug("after the end: %s", type(context.get("exception")).__name__)


@lru_cache(maxsize=1)
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_unheard)
    threading.Thread(target=loop.run_forever, daemon=True, name="models").start()
    return loop
