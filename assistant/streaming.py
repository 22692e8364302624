"""Answers over HTTP: what ends with its client, what is said while it waits, what may go wrong with it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request

from assistant.problems import MEDIA_TYPE

# Proxies must pass on what has come so far.
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
# So often a stream says that it is still there, in seconds; proxies give up on silent ones.
PAUSE = 10.0

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "error": {"type": "object"},
    },
}
_WHY = {
    400: "It cannot be asked like this.",
    401: "A key is needed.",
    403: "This origin may not ask.",
    404: "There is nothing of this name.",
    413: "It is too large.",
    421: "This host name is not served here.",
    422: "A member is missing or of another type.",
    429: "Too many requests; `Retry-After` says when to come back.",
    503: "The index is being prepared, or too many wait; `Retry-After` says when to come back.",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": why, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}} for status, why in _WHY.items()
}


@contextmanager
def stopping(request: Request) -> Iterator[Callable[[], bool]]:
    """Says whether the client has gone, for as long as the block runs."""
    gone = threading.Event()

    async def watch() -> None:
        while not gone.is_set():
            if (await request.receive())["type"] == "http.disconnect":
                gone.set()

    watching = asyncio.create_task(watch())
    try:
        yield gone.is_set
    finally:
        watching.cancel()
