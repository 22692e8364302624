"""FastAPI: the REST endpoint, health, and the chat, in one process."""

import asyncio
import os
import re
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from assistant.build import Progress
from assistant.corpus import comparison_of, load_corpus
from assistant.errors import AssistantError, Busy, UsageError
from assistant.feedback import open_feedback
from assistant.query import read_history
from assistant.rendering import answer_json
from assistant.serving import Question, Service
from assistant.settings import Settings
from assistant.viewer import located, page
from assistant.web import mount

MAX_BODY = 256_000  # bytes
MAX_CONVERSATION = 4_000_000
TOO_LARGE = "The body is larger than {:,} bytes."
RETRY_AFTER = "2"
# Gradio's endpoints that a chat does not need: uploads, proxies, monitoring and development.
_CLOSED = re.compile(
    r"/chat/(?:gradio_api/)?(?:upload|upload_progress|file=https?:|proxy=|component_server|stream/|monitoring|run-history|runs|"
    r"vibe-|dev/|deep_link|login|logout|token|flag)"
)
# What a page of a document may load: its style sheet.
_PAGE_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
MOVED = "This document has changed since it was cited."
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        b"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
        b"form-action 'self'; frame-ancestors 'self'",
    ),
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class AskBody(BaseModel):
    """The body of `POST /api/v1/ask`."""

    model_config = ConfigDict(extra="forbid")

    question: str
    history: list[dict[str, Any]] = []


def create_app(service: Service) -> FastAPI:
    """The application; it answers `/healthz` at once and `/readyz` when questions are answered."""
    app = FastAPI(title="Assistant", docs_url=None, redoc_url=None)

    @app.exception_handler(AssistantError)
    async def failed(request: Request, error: AssistantError) -> JSONResponse:
        if isinstance(error, Busy):
            return JSONResponse(error_json(error), 503, {"Retry-After": RETRY_AFTER})
        return JSONResponse(error_json(error), 400 if isinstance(error, UsageError) else 500)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return JSONResponse(error_json(UsageError(f"{place}: {first['msg']}")), 422)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(error_json(UsageError(str(error.detail))), error.status_code, error.headers)

    @app.get("/", include_in_schema=False)
    def home() -> RedirectResponse:
        return RedirectResponse("/chat/")

    @app.get("/healthz")
    def healthy() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    def ready() -> JSONResponse:
        return JSONResponse({"status": "ready" if service.ready else "preparing"}, 200 if service.ready else 503)

    @app.post("/api/v1/ask")
    async def ask(body: AskBody, request: Request) -> dict[str, Any]:
        question = Question(body.question, read_history(body.history))
        with stopping(request) as stopped:
            return answer_json(await service.ask(question, stopped))

    @app.get("/sources/{document_id:path}", include_in_schema=False)
    def source(document_id: str, start: int = 0, end: int = 0, check: str = "") -> HTMLResponse:
        found = service.assistant.document(document_id)
        if found is None:
            raise HTTPException(404, "There is no such document.")
        document, known = found
        span = located(document, start, end, check) if end else None
        notice = MOVED if end and (span is None or span != (start, end)) else ""
        return HTMLResponse(page(document, span, known, notice), headers={"Content-Security-Policy": _PAGE_POLICY})

    app.mount("/static", StaticFiles(packages=[("assistant", "static")]))
    mounted = mount(
        app,
        service,
        "/chat",
        comparison_of(service.settings.corpus),
        open_feedback(service.settings.feedback),
    )
    mounted.add_middleware(Guard, hosts=service.settings.allowed_hosts.split(","))
    return mounted  # type: ignore[no-any-return]


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


def error_json(error: AssistantError) -> dict[str, Any]:
    return {"error": {"type": type(error).__name__, "message": str(error)}}


class Guard:
    """Pure ASGI, so that streams pass: unknown hosts, large bodies and unneeded endpoints are refused."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], hosts: list[str]) -> None:
        self._app = app
        self._hosts = {host.strip().lower() for host in hosts if host.strip()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = re.sub(r":\d+\Z", "", headers.get(b"host", "")).lower()
        if host not in self._hosts:
            # A page elsewhere may point its own name at this address (DNS rebinding).
            await _refuse(
                scope, receive, send, 421, "This host name is not served here. Allow it with ASSISTANT_ALLOWED_HOSTS."
            )
            return
        if _CLOSED.match(scope["path"]):
            await _refuse(scope, receive, send, 404, "Not found.")
            return
        # The chat's page sends its whole conversation with each question.
        most = MAX_CONVERSATION if scope["path"].startswith("/chat/gradio_api/queue/") else MAX_BODY
        length = headers.get(b"content-length", "0")
        if not length.isdigit() or int(length) > most:
            await _refuse(scope, receive, send, 413, TOO_LARGE.format(most))
            return

        read = 0

        async def counted() -> MutableMapping[str, Any]:
            # A body sent in chunks names no length.
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            return message if read <= most else {"type": "http.request", "body": b"", "more_body": False}

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if read > most:
                return  # what the application makes of half a body is of no interest
            if message["type"] == "http.response.start":
                given = message.get("headers", [])
                names = {name.lower() for name, _ in given}  # a page with a policy of its own keeps it
                message["headers"] = [*given, *(one for one in _HEADERS if one[0] not in names)]
            await send(message)

        await self._app(scope, counted, with_headers)
        if read > most:
            await _refuse(scope, receive, send, 413, TOO_LARGE.format(most))


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    headers = {name.decode(): value.decode() for name, value in _HEADERS}
    await JSONResponse(error_json(UsageError(why)), status, headers)(scope, receive, send)


def run(settings: Settings, progress: Callable[[], Progress], complain: Callable[[str], None]) -> int:
    """Serves until SIGTERM or Ctrl-C; the exit code. The port opens at once, the index is prepared behind it."""
    service = Service(settings)
    load_corpus(settings.corpus)
    listener = _listen(settings)
    server = uvicorn.Server(
        uvicorn.Config(create_app(service), log_level="warning", timeout_graceful_shutdown=3, server_header=False)
    )

    def prepare() -> None:
        try:
            service.open(progress, complain)
        except AssistantError as error:
            service.failure = error
        else:
            print(f"Ready: http://{_shown(settings.host)}:{settings.port}/chat/", file=sys.stderr, flush=True)
        finally:
            if not service.ready:
                service.failure = service.failure or AssistantError("The assistant could not be opened; see above.")
                server.should_exit = True

    threading.Thread(target=prepare, daemon=True, name="prepare").start()
    print(f"Starting on http://{_shown(settings.host)}:{settings.port}/ …", file=sys.stderr, flush=True)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    if service.failure is not None:
        complain(str(service.failure))
    service.close()
    # A build that is still embedding must not hold the process; its snapshot was never published.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1 if service.failure is not None else 0)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        # Now and not in the server: two that are bound and not listening would both believe they serve.
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise AssistantError(
            f"Cannot listen on {settings.host}:{settings.port} ({error.strerror}). Choose another with --port."
        ) from error
    return listener


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
