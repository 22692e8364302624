"""A real chat-completions server that misbehaves on purpose; the first segment of the path says how.

with misbehaving() as server:
    client = OpenAI(base_url=server.url("stalls"), api_key="any")
"""

import json
import re
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Whatever a client does, a reply ends after so many seconds; one that it does not read may take as many again.
LONGEST = 30.0
# How often a reply that waits looks whether its client is still there, in seconds.
TICK = 0.02

# Its half ends in the middle of the second sentence.
SAY = (
    "A container shares the kernel of its host [1]. "
    "A virtual machine boots a kernel of its own, on hardware that a hypervisor imitates [2]."
)
SECRET_BODY = "SECRET-BODY"
SECRET_THOUGHT = "SECRET-THOUGHT"
THOUGHT = f"The question is about kernels. {SECRET_THOUGHT}: the first passage settles it [1]. "


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for; the names of its headers are in lower case."""

    behaviour: str
    headers: dict[str, str]
    body: dict[str, Any]


class Gone(ConnectionError):
    """The client has left, or has been kept long enough."""


class Server(ThreadingHTTPServer):
    """Speaks on a free port of 127.0.0.1; a test sets what it says and in pieces of how many characters.

    What it says may be a function of the request's body.
    """

    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.say: str | Callable[[dict[str, Any]], str] = SAY
        self.chunk = 7
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._open = 0
        self._connections: list[tuple[threading.Thread, socket.socket]] = []

    def url(self, behaviour: str) -> str:
        """The base URL under which the server behaves like this."""
        return f"http://127.0.0.1:{self.server_port}/{behaviour}/v1"

    @property
    def requests(self) -> list[Request]:
        """The chat completions asked for so far, in order."""
        with self._lock:
            return list(self._requests)

    @property
    def open_streams(self) -> int:
        """How many replies are not finished, silent ones included."""
        with self._lock:
            return self._open

    @contextmanager
    def replying(self, request: Request) -> Iterator[int]:
        """Records a request, counts it as open, and tells how many of its behaviour there have been with it."""
        with self._lock:
            self._requests.append(request)
            self._open += 1
            times = sum(other.behaviour == request.behaviour for other in self._requests)
        try:
            yield times
        finally:
            with self._lock:
                self._open -= 1

    def process_request(self, request: Any, client_address: Any) -> None:
        # The base class forgets its daemon threads; these are joined at the end.
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._connections.append((thread, request))
        thread.start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients that leave are what this server is for; only a mistake of its own is worth a traceback.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def end(self) -> None:
        """Hangs up on every client and waits for the threads."""
        self.shutdown()
        for _, connection in self._connections:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)
        for thread, _ in self._connections:
            thread.join(LONGEST)
        self.server_close()


class Reply:
    """One answer in the making: whole, or a stream of events as llama.cpp writes it."""

    def __init__(self, handler: "Handler", times: int, asked: dict[str, Any] | None = None) -> None:
        say = handler.server.say
        self.say, self.chunk = say if isinstance(say, str) else say(asked or {}), handler.server.chunk
        self.half = self.say[: len(self.say) // 2]
        self.authorization = handler.headers.get("Authorization", "")
        self.times = times
        self._handler = handler
        self._until = time.monotonic() + LONGEST

    def whole(self, status: int, kind: str, body: str, **headers: str) -> None:
        data = body.encode()
        self._head(status, kind, {"Content-Length": str(len(data)), **headers})
        self._handler.wfile.write(data)

    def refuse(self, status: int, message: str, **headers: str) -> None:
        error = {"message": message, "type": "misbehaving_error", "param": None, "code": str(status)}
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.whole(status, "application/json", json.dumps({"error": error}), **names)

    def open(self) -> None:
        self._head(200, "text/event-stream", {"Transfer-Encoding": "chunked"})

    def event(self, data: str) -> None:
        if time.monotonic() > self._until:
            raise Gone
        self._write(f"data: {data}\n\n".encode())

    def delta(self, delta: dict[str, Any], finish_reason: str | None = None) -> None:
        choice = {"finish_reason": finish_reason, "index": 0, "delta": delta}
        chunk = {"choices": [choice], "created": 0, "id": "chatcmpl-test", "model": "test"}
        # Characters beyond ASCII go out as they are, as from llama.cpp.
        self.event(json.dumps({**chunk, "object": "chat.completion.chunk"}, ensure_ascii=False))

    def begin(self) -> None:
        self.open()
        self.delta({"role": "assistant", "content": None})

    def speak(self, text: str, pause: float = 0.0) -> None:
        for start in range(0, len(text), self.chunk):
            self.delta({"content": text[start : start + self.chunk]})
            if pause:
                self.wait(pause)

    def finish(self, reason: str = "stop") -> None:
        self.delta({}, reason)
        self.event("[DONE]")
        self.close()

    def close(self) -> None:
        """Ends the body as HTTP asks for, whatever has been said in it."""
        self._handler.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Hangs up in the middle of the body."""
        self._handler.close_connection = True

    def wait(self, seconds: float = LONGEST) -> None:
        """Says nothing for a while; raises Gone as soon as the client has left or the time of the reply is over."""
        connection = self._handler.connection
        until = min(time.monotonic() + seconds, self._until)
        while (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select([connection], [], [], min(left, TICK))
            if readable and not connection.recv(1, socket.MSG_PEEK):
                raise Gone
        if until == self._until:
            raise Gone

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def _write(self, data: bytes) -> None:
        self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))


Behaviour = Callable[[Reply], None]


def good(reply: Reply) -> None:
    reply.begin()
    reply.speak(reply.say)
    reply.finish()


def slow(reply: Reply) -> None:
    reply.begin()
    reply.speak(reply.say, pause=0.05)
    reply.finish()


def length(reply: Reply) -> None:
    reply.begin()
    reply.speak(reply.half)
    reply.finish("length")


def failing(status: int, **headers: str) -> Behaviour:
    """Refuses with a body that no user should see."""
    return lambda reply: reply.refuse(status, f"{SECRET_BODY}: refused with {status}.", **headers)


def json_key_echo(reply: Reply) -> None:
    reply.refuse(401, f"Incorrect API key provided: {reply.authorization}.")


def recovers(reply: Reply) -> None:
    if reply.times == 1:
        failing(503)(reply)
    elif reply.times == 2:
        failing(429, Retry_After="0")(reply)
    else:
        good(reply)


def silent(reply: Reply) -> None:
    reply.wait()


def headers(reply: Reply) -> None:
    reply.open()
    reply.wait()


def stalls(reply: Reply) -> None:
    reply.begin()
    reply.speak(reply.half)
    reply.wait()


def cut(reply: Reply) -> None:
    reply.begin()
    reply.speak(reply.half)
    reply.cut()


def unfinished(reply: Reply) -> None:
    reply.begin()
    reply.speak(reply.half)
    reply.close()


def malformed(reply: Reply) -> None:
    reply.begin()
    reply.speak(reply.half)
    reply.event("{not json")
    reply.close()


def shapeless(reply: Reply) -> None:
    """JSON throughout, but never a chunk."""
    reply.open()
    for data in ('{"choices": null}', "[]", "{}", '{"choices": [{}]}', '{"choices": [{"delta": null}]}', "null", "7"):
        reply.event(data)
    reply.event("[DONE]")
    reply.close()


def html(reply: Reply) -> None:
    page = "<!doctype html><html><title>Log in</title><form method=post><input name=password></form></html>"
    reply.whole(200, "text/html; charset=utf-8", page)


def empty(reply: Reply) -> None:
    reply.begin()
    reply.finish()


def blank(reply: Reply) -> None:
    reply.begin()
    for space in (" ", "\n", " \t\n"):
        reply.delta({"content": space})
    reply.finish()


def thousand(reply: Reply) -> None:
    reply.begin()
    for number in range(1, 1001):
        reply.delta({"content": f"Line {number} says something about a subject.\n"})
    reply.finish()


def repeats(reply: Reply) -> None:
    """The first sentence without end; a marker behind the stop belongs to it."""
    first = re.match(r".*?[.!?](?:\s*\[\d+\])*(?=\s|\Z)", reply.say, re.DOTALL)
    sentence = first[0] if first else reply.say
    reply.begin()
    while True:
        reply.speak(f"{sentence} ", pause=0.001)


def thinks(reply: Reply) -> None:
    reply.begin()
    # Neither tag arrives in one piece, whatever the size of the pieces.
    for text in ("<th", f"ink>{THOUGHT}</th", f"ink>\n\n{reply.say}"):
        reply.speak(text)
    reply.finish()


def thinks_forever(reply: Reply) -> None:
    reply.begin()
    for text in ("<th", "ink>", (THOUGHT * 3000)[:3000]):
        reply.speak(text)
    reply.finish("length")


BEHAVIOURS: dict[str, Behaviour] = {
    **{str(status): failing(status) for status in (401, 403, 404, 408, 409, 422, 500, 502, 503)},
    "429": failing(429, Retry_After="1"),
    "429-long": failing(429, Retry_After="3600"),
    "thinks-forever": thinks_forever,
    **{
        behaviour.__name__: behaviour
        for behaviour in (
            *(good, slow, length, json_key_echo, recovers, silent, headers, stalls, cut, unfinished, malformed),
            *(shapeless, html, empty, blank, thousand, repeats, thinks),
        )
    },
}


class Handler(BaseHTTPRequestHandler):
    """Reads a request and leaves the reply to its behaviour."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = LONGEST
    # Without this, small events wait for the client's acknowledgements.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        behaviour, _, path = self.path.lstrip("/").partition("/")
        reply = Reply(self, times=0)
        if behaviour in BEHAVIOURS and path == "v1/models":
            model = {"id": "test", "object": "model", "created": 0, "owned_by": "misbehaving"}
            reply.whole(200, "application/json", json.dumps({"object": "list", "data": [model]}))
        else:
            reply.refuse(400, f"GET {self.path}: no such behaviour or path.")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behaviour, _, path = self.path.lstrip("/").partition("/")
        if behaviour not in BEHAVIOURS or path != "v1/chat/completions":
            Reply(self, times=0).refuse(400, f"POST {self.path}: no such behaviour or path.")
            return
        try:
            asked = json.loads(body)
        except ValueError as error:
            Reply(self, times=0).refuse(400, f"The body is not JSON: {error}.")
            return
        request = Request(behaviour, {name.lower(): value for name, value in self.headers.items()}, asked)
        with self.server.replying(request) as times:
            BEHAVIOURS[behaviour](Reply(self, times, asked))

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a test's output is for the test."""


@contextmanager
def misbehaving() -> Iterator[Server]:
    """A server for the length of a test; no thread of it outlives the block."""
    server = Server()
    accepting = threading.Thread(target=server.serve_forever, args=(TICK,), daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        server.end()
        accepting.join()
