"""What stands before every route: host names, sizes, the pages that may ask, keys and limits. Pure ASGI, so that streams pass."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import Response

from assistant.access import FORWARDED, Access, Caller, Refusal, shown_key
from assistant.audit import Audit, asked
from assistant.errors import AssistantError
from assistant.keys import Key
from assistant.problems import problem

MAX_BODY = 256_000  # bytes
MAX_CONVERSATION = 4_000_000
TOO_LARGE = "The body is larger than {:,} bytes."
ELSEWHERE = "This host name is not served here. Allow it with ASSISTANT_ALLOWED_HOSTS."
NO_KEYS = "Keys cannot be read at the moment; whoever runs this server finds the reason in its log."
# Gradio's endpoints that a chat does not need: uploads, proxies, monitoring and development.
_CLOSED = re.compile(
    r"/chat/(?:gradio_api/)?(?:upload|upload_progress|file=https?:|proxy=|component_server|stream/|monitoring|run-history|runs|"
    r"vibe-|dev/|deep_link|login|logout|token|flag)"
)
_ASKS = re.compile(r"/api/v1/|/v1/|/mcp(?:/|\Z)|/chat/(?:gradio_api/)?queue/join")
# What the chat's page does beside that: a question begins with one of these, an answer goes through the queue.
_BESIDE = re.compile(r"/chat/(?:gradio_api/)?(?:run|call|api)/")
_CONVERSATIONS = ("/chat/gradio_api/queue/", "/chat/gradio_api/run/")
# Hence a question in the chat, two calls, counts as one.
CHAT_COST = 0.5
_SHARED = re.compile(r"/api/|/v1/|/sources/|/widget\.js\Z|/mcp(?:/|\Z)")
_WIDGET = "/widget.js"
_MCP_HEADERS = b", mcp-session-id, mcp-protocol-version, last-event-id"
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

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Guard:
    """Refuses what may not pass, and puts the headers on what does."""

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        access: Access,
        complain: Callable[[str], None],
        audit: Audit | None = None,
    ) -> None:
        self._app, self._access, self._complain, self._audit = app, access, complain, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        visit = Visit(scope, self._access)
        body = bytearray()
        kept = self._audit is not None and self._audit.questions and visit.asks
        started = time.monotonic()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                message["headers"] = visit.headers(message.get("headers", []))
            await send(message)

        read = 0

        async def counted() -> Message:
            # A body sent in chunks names no length.
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > visit.most:
                return {"type": "http.request", "body": b"", "more_body": False}
            if kept:
                body.extend(message.get("body", b""))
            return message

        async def within(message: Message) -> None:
            # What the application makes of half a body is of no interest.
            if read <= visit.most:
                await answer(message)

        try:
            response = self._early(visit) or await self._admitted(visit)
            if response is None:
                await self._app(scope, counted, within)
                if read > visit.most:
                    response = problem(413, TOO_LARGE.format(visit.most))
            if response is not None:
                await response(scope, receive, answer)
        finally:
            if self._audit is not None and visit.asks:
                self._audit.write(visit.line(started, bytes(body) if kept else None))

    def _early(self, visit: "Visit") -> Response | None:
        """What is answered whoever asks."""
        host = re.sub(r":\d+\Z", "", visit.given.get("host", "")).lower()
        if host not in self._access.hosts:
            # A page elsewhere may point its own name at this address (DNS rebinding).
            return problem(421, ELSEWHERE)
        if _CLOSED.match(visit.path):
            return problem(404, "Not found.")
        length = visit.given.get("content-length", "0")
        if not length.isdigit() or int(length) > visit.most:
            return problem(413, TOO_LARGE.format(visit.most))
        if visit.is_preflight and visit.shared:
            if visit.page:
                return Response(status_code=204)
            return _refused(self._access.stranger(visit.origin, visit.own))
        return None

    async def _admitted(self, visit: "Visit") -> Response | None:
        """The refusal of a request that costs something and may not be made."""
        if not visit.costs:
            return None
        if visit.origin and not visit.page:
            return _refused(self._access.stranger(visit.origin, visit.own))
        shown = shown_key(visit.given.get("authorization", ""))
        key: Key | None = None
        if shown:
            try:
                # In a thread: another process may be writing the file.
                key = await asyncio.to_thread(self._access.keys.find, shown)
            except AssistantError as error:
                self._complain(str(error))
                return problem(503, NO_KEYS, "AssistantError", {"Retry-After": "10"})
        visit.key = key.name if key else ""
        refusal = self._access.admit(visit.caller, visit.page, shown, key, visit.cost)
        return _refused(refusal) if refusal else None


class Visit:
    """One request as the rules see it; the application sees the same client and scheme."""

    def __init__(self, scope: Scope, access: Access) -> None:
        self.given: dict[str, str] = {}
        for name, value in scope["headers"]:
            # Two of what may stand once are no valid value of it; a proxy may have added a line of its own.
            said = self.given.get(name.decode("latin-1").lower())
            text = value.decode("latin-1")
            self.given[name.decode("latin-1").lower()] = text if said is None else f"{said}, {text}"
        self.path: str = scope["path"]
        self.method: str = scope.get("method", "GET")
        # The chat's page sends its whole conversation with each question.
        self.most = MAX_CONVERSATION if self.path.startswith(_CONVERSATIONS) else MAX_BODY
        scheme = str(scope["scheme"]).replace("ws", "http", 1)
        peer = str((scope.get("client") or [""])[0])
        self.caller: Caller = access.caller(peer, scheme, self.given)
        self.own = f"{self.caller.scheme}://{self.given.get('host', '')}"
        self.origin = _origin(self.given, self.own)
        self.page = bool(self.origin) and access.allows(self.origin, self.own)
        self.is_preflight = self.method == "OPTIONS" and "access-control-request-method" in self.given
        self.shared = _SHARED.match(self.path) is not None
        self.asks = _ASKS.match(self.path) is not None and self.method != "OPTIONS"
        beside = _BESIDE.match(self.path) is not None and self.method != "OPTIONS"
        self.costs = self.asks or beside or scope["type"] == "websocket"
        self.cost = CHAT_COST if self.path.startswith("/chat/") else 1.0
        self.key = ""
        self.status: int | None = None
        self._query = scope.get("query_string", b"")
        self._see(scope)

    def _see(self, scope: Scope) -> None:
        if self.caller.vouched:
            scope["client"] = (self.caller.address, 0)
            plain = scope["scheme"].removesuffix("s")
            scope["scheme"] = f"{plain}s" if self.caller.scheme == "https" else plain
        else:
            hidden = {name.encode() for name in FORWARDED}
            scope["headers"] = [
                one for one in scope["headers"] if not one[0].startswith(b"x-forwarded-") and one[0] not in hidden
            ]

    def headers(self, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The headers of a response: those it has, without what Gradio lets every origin do, and ours."""
        kept = [one for one in given if not one[0].lower().startswith(b"access-control-")]
        names = {name.lower() for name, _ in kept}  # a page with a policy of its own keeps it
        kept += [one for one in _HEADERS if one[0] not in names]
        if self.shared:
            kept.append((b"vary", b"Origin"))
            if self.page and "origin" in self.given:
                kept.append((b"access-control-allow-origin", self.origin.encode("latin-1")))
                kept.append((b"access-control-expose-headers", b"retry-after, mcp-session-id"))
                kept += self._may_send() if self.is_preflight else []
        if self.path == _WIDGET and b"cross-origin-resource-policy" not in names:
            kept.append((b"cross-origin-resource-policy", b"cross-origin"))
        return kept

    def _may_send(self) -> list[tuple[bytes, bytes]]:
        mcp = self.path.startswith("/mcp")
        return [
            (b"access-control-allow-methods", b"GET, HEAD, POST, DELETE" if mcp else b"GET, HEAD, POST"),
            (b"access-control-allow-headers", b"authorization, content-type, accept" + (_MCP_HEADERS if mcp else b"")),
            (b"access-control-max-age", b"600"),
        ]

    def line(self, started: float, body: bytes | None) -> dict[str, Any]:
        """What the audit file keeps; the question only where a body is given."""
        line: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": self.caller.address,
            "key": self.key,
            "origin": self.origin,
            "path": self.path,
            "status": self.status,
            "ms": round((time.monotonic() - started) * 1000),
        }
        if body is not None:
            queries = parse_qs(self._query.decode("latin-1"))
            line["question"] = asked(body) or (queries.get("q") or queries.get("query") or [None])[0]
        return line


def _origin(given: Mapping[str, str], own: str) -> str:
    """The origin of the page that asks; nothing where no page does."""
    if "origin" in given:
        return given["origin"]
    site = given.get("sec-fetch-site", "")
    if site == "same-origin":
        return own
    # An image or a script of another site names no origin. Following a link is no asking page.
    strange = site in ("cross-site", "same-site") and given.get("sec-fetch-mode") != "navigate"
    return "null" if strange else ""


def _refused(refusal: Refusal) -> Response:
    kind = "Busy" if refusal.status == 429 else "UsageError"
    return problem(refusal.status, refusal.detail, kind, refusal.headers)
