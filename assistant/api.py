"""FastAPI: the REST endpoint, health, and the chat, in one process."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from assistant import __version__, openai_api, rest
from assistant.access import Access
from assistant.audit import open_audit
from assistant.build import Progress
from assistant.corpus import check_corpus, comparison_of
from assistant.errors import AssistantError
from assistant.feedback import open_feedback
from assistant.guard import Guard
from assistant.problems import problem, problem_of
from assistant.serving import Service
from assistant.settings import Settings
from assistant.web import mount


def create_app(service: Service, complain: Callable[[str], None] = lambda line: None) -> FastAPI:
    """The application; it answers `/healthz` at once and `/readyz` when questions are answered."""
    app = FastAPI(title="Assistant", version=__version__, docs_url=None, redoc_url=None)
    feedback = open_feedback(service.settings.feedback)

    @app.exception_handler(AssistantError)
    async def failed(request: Request, error: AssistantError) -> JSONResponse:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return problem(422, f"{place}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    app.include_router(rest.router(service, feedback))
    app.include_router(openai_api.router(service))
    app.mount("/static", StaticFiles(packages=[("assistant", "static")]))
    mounted = mount(app, service, "/chat", comparison_of(service.settings.corpus), feedback)
    mounted.add_middleware(
        Guard,
        access=Access(service.settings, time.monotonic),
        complain=complain,
        audit=open_audit(service.settings, complain),
    )
    return mounted  # type: ignore[no-any-return]


def run(settings: Settings, progress: Callable[[], Progress], complain: Callable[[str], None]) -> int:
    """Serves until SIGTERM or Ctrl-C; the exit code. The port opens at once, the index is prepared behind it."""
    service = Service(settings)
    check_corpus(settings)
    listener = _listen(settings)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(service, complain),
            log_level="warning",
            timeout_graceful_shutdown=3,
            server_header=False,
            proxy_headers=False,  # uvicorn believes any proxy on this machine; the guard only those it is told of
        )
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
