"""Errors over HTTP as problem details (RFC 9457): what happened and what to do next, nothing internal."""

from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from assistant.errors import AssistantError, Busy, UsageError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "2"  # seconds


def details(status: int, detail: str, kind: str = "UsageError") -> dict[str, Any]:
    """The members of a problem; `error` says the same as the command line's JSON does."""
    title = HTTPStatus(status).phrase
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "error": {"type": kind, "message": detail},
    }


def problem(status: int, detail: str, kind: str = "UsageError", headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(details(status, detail, kind), status, headers, MEDIA_TYPE)


def status_of(error: AssistantError) -> int:
    if isinstance(error, Busy):
        return 503
    return 400 if isinstance(error, UsageError) else 500


def problem_of(error: AssistantError) -> JSONResponse:
    """An error of ours; one that only time mends says when to come back."""
    headers = {"Retry-After": RETRY_AFTER} if isinstance(error, Busy) else None
    return problem(status_of(error), str(error), type(error).__name__, headers)
