"""The web chat under load, through its page's own protocol: many users at once, more than may wait, memory over time.

A server of its own on this machine, ended with the measurement. Times depend on the machine; whether all were answered does not.
"""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from assistant.errors import AssistantError
from assistant.serving import FULL
from assistant.settings import PREFIX, Settings
from evals.statistics import percentile

# Longer than any answer of the quotes may take, however many wait before it.
PATIENCE = 120.0
_SOCKET = re.compile(r"socket:\[(\d+)\]")
# Nothing, 127.0.0.0/8, ::1, and 127.0.0.0/8 in IPv6.
_LOCAL = re.compile(r"0+|[0-9A-F]{6}7F|0{24}01000000|0{16}FFFF0000[0-9A-F]{6}7F")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one question came to: answered, refused for lack of room (`busy`), or anything else; in seconds."""

    kind: str
    seconds: float


class Chat:
    """The chat of a running server, as its page speaks to it."""

    def __init__(self, address: str, connections: int) -> None:
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client = httpx.AsyncClient(base_url=f"{address}/chat", trust_env=False, timeout=PATIENCE, limits=limits)
        self._begin = self._answer = -1
        self._model: Any = None

    async def open(self) -> None:
        """Finds the events of the question box: the one that takes a question, and the one that answers it."""
        config = (await self._client.get("/config")).json()
        events = config["dependencies"]
        begin = next(one for one in events if one["api_name"] == "ask")
        values = {one["id"]: one["props"].get("value") for one in config["components"]}
        self._begin, self._model = begin["id"], values[begin["inputs"][2]]
        self._answer = next(one["id"] for one in events if one.get("trigger_after") == self._begin)

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, question: str, session: str) -> Outcome:
        start = time.perf_counter()
        try:
            kept, *_ = await self._event(self._begin, [question, [], self._model], session)
            kept, *_ = await self._event(self._answer, [kept], session)
            last: dict[str, Any] = kept[-1]
        except (httpx.HTTPError, AssistantError, ValueError, LookupError, TypeError) as error:
            return Outcome(type(error).__name__, time.perf_counter() - start)
        answered = last["answer"] is not None and bool(last["answer"]["id"])
        kind = "answered" if answered else "busy" if last["trouble"] == FULL else "nothing"
        return Outcome(kind, time.perf_counter() - start)

    async def _event(self, event: int, data: list[Any], session: str) -> Any:
        body = {"data": data, "fn_index": event, "session_hash": session, "trigger_id": None, "event_data": None}
        (await self._client.post("/gradio_api/queue/join", json=body)).raise_for_status()
        async with self._client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as messages:
            async for line in messages.aiter_lines():
                message: dict[str, Any] = json.loads(line[5:]) if line.startswith("data:") else {"msg": ""}
                if message["msg"] == "process_completed":
                    if not message["success"]:
                        raise AssistantError("the event failed")
                    return message["output"]["data"]
        raise AssistantError("the stream ended before its event")


@dataclass(frozen=True, slots=True)
class Server:
    address: str
    process: int

    def memory(self) -> float:
        """The resident memory in MB."""
        status = Path(f"/proc/{self.process}/status").read_text("utf-8")
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found is not None  # Linux always says so
        return int(found[1]) / 1024

    def remotes(self) -> set[str]:
        """The addresses outside of this machine that the server is connected to, as the kernel writes them."""
        links = [str(one.readlink()) for one in Path(f"/proc/{self.process}/fd").iterdir() if one.is_symlink()]
        ours = {inode[1] for one in links if (inode := _SOCKET.fullmatch(one))}
        found: set[str] = set()
        for table in ("tcp", "tcp6", "udp", "udp6"):
            rows = Path(f"/proc/{self.process}/net/{table}").read_text("utf-8").splitlines()[1:]
            for _, _, remote, *rest in map(str.split, rows):
                # The table is of the whole machine; the inode tells whose a row is.
                if rest[6] in ours and not _LOCAL.fullmatch(remote.partition(":")[0]):
                    found.add(remote)
        return found


@contextmanager
def served(settings: Settings) -> Iterator[Server]:
    """A server with these settings on a free port, ready to answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    given = {
        "CORPUS": settings.corpus,
        "INDEX": settings.index,
        "FEEDBACK": "off",
        # One address asks for all.
        "RATE": 1_000_000,
        "RATE_TOTAL": 1_000_000,
        "WAITING": settings.waiting,
        "IN_FLIGHT": settings.in_flight,
    }
    environment = {**kept, **{f"{PREFIX}{name}": str(value) for name, value in given.items()}}
    command = [sys.executable, "-m", "assistant.cli", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        address, until = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
        while not _ready(address):
            if process.poll() is not None or time.monotonic() > until:
                raise AssistantError("The server did not start. Run: assistant serve")
            time.sleep(0.1)
        yield Server(address, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def measure(
    settings: Settings, questions: Sequence[str], users: int, each: int, crowd: int, early: int, late: int
) -> dict[str, Any]:
    """`users` ask `each` questions one after another; `crowd` ask at once; memory after `early` and `late` questions more."""
    with served(settings) as server:
        return asyncio.run(_measure(server, questions, users, each, crowd, early, late))


async def _measure(
    server: Server, questions: Sequence[str], users: int, each: int, crowd: int, early: int, late: int
) -> dict[str, Any]:
    chat = Chat(server.address, max(users, crowd) * 2)
    await chat.open()
    remotes = server.remotes()

    async def user(count: int, first: int) -> list[Outcome]:
        session = uuid.uuid4().hex
        return [await chat.ask(questions[(first + at) % len(questions)], session) for at in range(count)]

    async def together(people: int, count: int) -> list[Outcome]:
        found = await asyncio.gather(*(user(count, at * count) for at in range(people)))
        return [one for outcomes in found for one in outcomes]

    try:
        steady = await together(users, each)
        at_once = await together(crowd, 1)
        remotes |= server.remotes()
        await together(8, early // 8)
        memory_early = server.memory()
        await together(8, (late - early) // 8)
        memory_late = server.memory()
        remotes |= server.remotes()
    finally:
        await chat.close()
    return {
        "users": told(steady),
        "at once": told(at_once),
        "memory": {
            "early_mb": round(memory_early, 1),
            "late_mb": round(memory_late, 1),
            "ratio": round(memory_late / memory_early, 3),
        },
        "remote": len(remotes),
    }


def told(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How many ended how, and the seconds of those that were answered."""
    seconds = [one.seconds for one in outcomes if one.kind == "answered"] or [0.0]
    return {
        **Counter(one.kind for one in outcomes),
        "p50_s": round(percentile(seconds, 0.5) or 0.0, 3),
        "p95_s": round(percentile(seconds, 0.95) or 0.0, 3),
        "longest_s": round(max(one.seconds for one in outcomes), 3),
    }
