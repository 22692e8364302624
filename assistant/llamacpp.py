"""A GGUF model in a process of its own, so that a native crash cannot take the assistant with it.

The child is llama.cpp's OpenAI-compatible server on a loopback port. It reads its key from its standard input, where
`ps` does not show it, and writes its address to its standard output. It ends when its standard input does: the parent
holds the other end, and whatever ends the parent closes it.
"""

import argparse
import atexit
import fcntl
import os
import re
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from assistant.errors import ModelUnavailable, UsageError

MAGIC = b"GGUF"
# Small models repeat themselves without it.
REPEAT_PENALTY = 1.1
# How much of the child's log is read for a reason, in bytes, and how long the reason may be, in characters.
LOG, REASON = 65536, 200


class LlamaServer:
    """llama.cpp's server for one file: started on first use, kept warm, ended with its parent."""

    def __init__(self, path: Path, window: int, threads: int, parallel: int = 1) -> None:
        self._path = path
        self._limits = [f"--window={window}", f"--threads={threads}", f"--parallel={parallel}"]
        self._key = secrets.token_urlsafe(32)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._url = ""
        _every.append(self)

    def address(self, timeout: float) -> tuple[str, str]:
        """The base URL of the API and its key, once the server answers; a server that has died is started again.

        Raises ModelUnavailable where it cannot be started, or not within `timeout` seconds. A model that takes longer
        goes on loading, and the next call finds it further on.
        """
        end = time.monotonic() + timeout
        if not self._lock.acquire(timeout=max(0.0, timeout)):
            raise self._late(timeout)
        try:
            if self._process is not None and self._process.poll() is not None and self._url:
                self._end()
            if self._process is None:
                self._process = self._started()
            if not self._url:
                self._url = self._announced(self._process, end, timeout)
            return self._url, self._key
        finally:
            self._lock.release()

    def close(self) -> None:
        """Ends the server; the next `address` starts another."""
        if (process := self._process) is not None:
            process.kill()  # without the lock, so that whoever holds it and waits need not wait on
        with self._lock:
            self._end()

    def disown(self) -> None:
        """Lets go of a server that is another process's: what a fork does with what it was born with."""
        self._lock = threading.Lock()  # it may have been held by a thread that the fork does not have
        if self._process is not None:
            self._process.returncode = 0  # not ours to wait for
        self._forget()

    def _started(self) -> "subprocess.Popen[bytes]":
        try:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _forget
            process = subprocess.Popen(
                [sys.executable, "-m", "assistant.llamacpp", *self._limits, "--", str(self._path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                bufsize=0,
            )
        except OSError as error:
            self._forget()
            raise self._unavailable(str(error.strerror)) from error
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already; its log says why
            process.stdin.write(self._key.encode() + b"\n")
        return process

    def _announced(self, process: "subprocess.Popen[bytes]", end: float, timeout: float) -> str:
        """Waits for the address that the child writes; it ends without one where it cannot load the file."""
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, end - time.monotonic())):
                raise self._late(timeout)
        line = os.read(process.stdout.fileno(), 1024).decode(errors="replace").strip()
        if line.startswith("http://"):
            return f"{line}/v1"
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
        reason = _reason(self._log, process.wait())
        self._end()
        raise self._unavailable(reason)

    def _end(self) -> None:
        if self._process is not None:
            # It has nothing to save.
            self._process.kill()
            self._process.wait()
        self._forget()

    def _forget(self) -> None:
        files = [self._log]
        if self._process is not None:
            files += [self._process.stdin, self._process.stdout]
        self._process, self._log, self._url = None, None, ""
        for file in files:
            if file is not None:
                file.close()

    def _unavailable(self, reason: str) -> ModelUnavailable:
        return ModelUnavailable(f"The local model {self._path.name!r} could not be started ({reason}).")

    def _late(self, timeout: float) -> ModelUnavailable:
        return ModelUnavailable(
            f"The local model {self._path.name!r} was not up after {timeout:.0f} seconds. It goes on loading: ask again in a while."
        )


_every: list[LlamaServer] = []
_served: dict[tuple[Path, int, int], LlamaServer] = {}
_served_lock = threading.Lock()


def served(path: Path, window: int, threads: int) -> LlamaServer:
    """The server of a file that everybody in this process shares."""
    with _served_lock:
        if (path, window, threads) not in _served:
            _served[path, window, threads] = LlamaServer(path, window, threads)
        return _served[path, window, threads]


def check_file(path: Path) -> None:
    """Raises UsageError unless a path is that of a GGUF file."""
    try:
        if not path.exists():
            raise UsageError(f"There is no model file {str(path)!r}.")
        if not path.is_file():
            raise UsageError(f"The model file {str(path)!r} is not a file.")
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise UsageError(f"The model file {str(path)!r} cannot be read ({error.strerror}).") from error
    if magic != MAGIC:
        raise UsageError(f"The model file {str(path)!r} is not in the GGUF format, which llama.cpp needs.")


def check_extra() -> None:
    """Raises UsageError where llama.cpp is not installed."""
    if find_spec("xllamacpp") is None:
        raise UsageError("The local extra is missing. Run: pip install 'container-vm-assistant[local]'")


def main() -> None:
    """The child."""
    # Ctrl-C goes to the whole foreground group; when this process ends is the parent's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="python -m assistant.llamacpp")
    parser.add_argument("path")
    for limit in ("--window", "--threads", "--parallel"):
        parser.add_argument(limit, type=int, required=True)
    asked = parser.parse_args()
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        key = stdin.readline().decode().strip()
    # Loading holds Python's lock for as long as it takes. SIGIO, which ends a process unless it is asked for, comes
    # in the middle of it when the parent closes the pipe; where it does not, the end is found after loading, below.
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    # Nothing native may write where the parent expects the address.
    announcement = os.dup(1)
    os.dup2(2, 1)

    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = asked.path
    parameters.n_ctx = asked.window * asked.parallel
    parameters.n_parallel = asked.parallel
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = asked.threads
    parameters.sampling.penalty_repeat = REPEAT_PENALTY
    # A slot keeps its last prompt; gigabytes of older ones, the default, would be kept for nobody.
    parameters.cache_ram_mib = 0
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.cors_origins = ""
    parameters.cors_credentials = False
    parameters.endpoint_slots = False
    parameters.ui = False
    parameters.offline = True
    parameters.verbosity = 1  # errors
    server = xllamacpp.Server(parameters)
    # From here on the log would repeat pieces of what is asked, and grow.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.write(announcement, f"{server.listening_address}\n".encode())
    while os.read(0, 1):
        pass
    os._exit(0)


def _reason(log: IO[bytes] | None, code: int) -> str:
    """Why the child ended, in one line: the signal, and the first error it logged, else its last line."""
    text = ""
    if log is not None:
        log.seek(0)
        text = log.read(LOG).decode(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [found[1] for line in lines if (found := re.match(r"[\d.]+ E (?:\w+: )?(.+)", line))]
    said = errors[:1] or lines[-1:]
    if code < 0 or not said:
        said.insert(0, (signal.strsignal(-code) if code < 0 else None) or f"exit status {code}")
    return "".join(one if one.isprintable() else " " for one in ": ".join(said)).strip()[:REASON]


def _disown_all() -> None:
    global _served_lock
    _served_lock = threading.Lock()
    for server in _every:
        server.disown()


def _close_all() -> None:
    for server in _every:
        server.close()


atexit.register(_close_all)
# A fork would hold the pipes of servers that are not its own, and so keep them from ending with their parent.
os.register_at_fork(after_in_child=_disown_all)

if __name__ == "__main__":
    main()
