"""`python -m assistant.conversion NAME`: the file on stdin, of the kind that NAME ends in, as Markdown on stdout.

Each file is read in a child process of its own, with limits that the kernel keeps and no network, so that a hostile file costs
a minute and a line on stderr at most. What came of it is kept below the index, by digest, and so is why nothing did.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from assistant.errors import CorpusError

VERSION = 1  # a file converted by another version is converted again

# The packages that read each kind; another version of one converts anew.
_PAGE = ("beautifulsoup4", "markdownify")
PACKAGES = {
    ".html": _PAGE,
    ".htm": _PAGE,
    ".rst": ("docutils", *_PAGE),
    ".docx": ("mammoth", *_PAGE),
    ".pdf": ("pypdfium2",),
}

MAX_OUTPUT = 20_000_000
# What a child says that has no memory left: some have none for a traceback either.
_EXHAUSTED = re.compile(rb"MemoryError|lost sys\.stderr|cannot allocate memory|out of memory|bad_alloc", re.IGNORECASE)
_REFUSED = 3  # the child's exit code where it says why on stderr
_KEPT = re.compile(r"[0-9a-f]{64}\.(?:md|txt)")
_SCRATCH = re.compile(r"[0-9a-f]{64}\.\d+\.\d+\.tmp")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one conversion may take."""

    seconds: int = 60  # on the clock, and of one core
    memory: int = 1_000_000_000


LIMITS = Limits()


@cache
def converter(suffix: str) -> str:
    """What converts files of this kind, with versions. Raises CorpusError where a part of it is not installed."""
    try:
        packages = [f"{name} {version(name)}" for name in PACKAGES[suffix]]
    except PackageNotFoundError as error:
        raise CorpusError(
            "it needs the extra 'documents'. Run: pip install 'container-vm-assistant[documents]'"
        ) from error
    return f"{VERSION} {suffix} {', '.join(packages)}"


def digest_of(data: bytes, suffix: str) -> str:
    """sha256 of a file's bytes and of what converts them."""
    return hashlib.sha256(f"{converter(suffix)}\0".encode() + data).hexdigest()


class Conversions:
    """Files as Markdown, from a folder where there is one and the file was converted before.

    `again` tries anew what failed the last time.
    """

    def __init__(self, folder: Path | None, again: bool = False, limits: Limits = LIMITS) -> None:
        self._folder = folder
        self._again = again
        self._limits = limits
        self._used: set[str] = set()

    def markdown(self, data: bytes, suffix: str, digest: str) -> str:
        """The Markdown of a file of this kind. Raises CorpusError with the reason why there is none."""
        self._used.add(digest)
        if (known := self._read(f"{digest}.md")) is not None:
            return known
        if not self._again and (reason := self._read(f"{digest}.txt")) is not None:
            raise CorpusError(reason)
        try:
            text = convert(data, suffix, self._limits)
        except CorpusError as error:
            self._write(f"{digest}.txt", str(error))
            raise
        self._write(f"{digest}.md", text)
        return text

    def prune(self) -> None:
        """Removes what no file that was asked for needs, and what killed processes left."""
        if self._folder is None or not self._folder.is_dir():
            return
        with suppress(OSError):
            for path in self._folder.iterdir():
                old = _SCRATCH.fullmatch(path.name) and path.stat().st_mtime < time.time() - 3600
                if old or (_KEPT.fullmatch(path.name) and path.stem not in self._used):
                    path.unlink(missing_ok=True)

    def _read(self, name: str) -> str | None:
        if self._folder is None:
            return None
        with suppress(OSError, UnicodeDecodeError):
            return (self._folder / name).read_bytes().decode() or None
        return None

    def _write(self, name: str, text: str) -> None:
        """Keeps a text, whole or not at all. A folder that cannot be written costs only time."""
        if self._folder is None:
            return
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch = self._folder / f"{name.partition('.')[0]}.{os.getpid()}.{threading.get_ident()}.tmp"
            with scratch.open("wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self._folder / name)


def convert(data: bytes, suffix: str, limits: Limits = LIMITS) -> str:
    """A file of this kind as Markdown. Raises CorpusError with the reason in one line."""
    # -P: a folder of documents is often the current one, and must not be imported from.
    command = [sys.executable, "-P", "-m", "assistant.conversion", f"x{suffix}"]
    command += [str(limits.seconds), str(limits.memory)]
    # Into a file, whose size the kernel limits; a pipe would fill this process's memory.
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                command, input=data, stdout=output, stderr=subprocess.PIPE, timeout=limits.seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise CorpusError(_too_long(limits)) from error
        except OSError as error:
            raise CorpusError(f"its converter cannot be started ({error.strerror})") from error
        output.seek(0)
        written = output.read(MAX_OUTPUT + 1)
    if done.returncode:
        raise CorpusError(_reason(done.returncode, done.stderr, limits))
    return written.decode()


def _reason(code: int, said: bytes, limits: Limits) -> str:
    lines = said.decode(errors="replace").strip().splitlines() or [""]
    last = "".join(sign for sign in lines[-1] if sign.isprintable())[:200]
    if code == _REFUSED:
        return last
    if code in (-9, -24):  # SIGKILL and SIGXCPU: the limit of the core's time
        return _too_long(limits)
    if code < 0:
        return f"its converter broke off (signal {-code}), as it does for damaged files and for very large ones"
    if _EXHAUSTED.search(said):
        return _too_much(limits)
    return f"it cannot be converted ({last or f'exit code {code}'})"


def _too_long(limits: Limits) -> str:
    return f"it took longer than {limits.seconds} seconds to convert; split it, then run: assistant index"


def _too_much(limits: Limits) -> str:
    return f"it takes more than {limits.memory // 1_000_000:,} MB of memory to convert; split it"


def _limit(seconds: int, memory: int) -> None:
    """Gives this process its limits, for good."""
    import resource

    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, max(1, seconds)),
        (resource.RLIMIT_FSIZE, MAX_OUTPUT),
        (resource.RLIMIT_CORE, 0),
    ):
        # Not every system knows, or keeps, every limit.
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event.startswith(("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "urllib.")):
            raise PermissionError(f"a document's converter may not use {event}")

    sys.addaudithook(refuse)


def main(name: str, seconds: int = LIMITS.seconds, memory: int = LIMITS.memory) -> int:
    """Converts stdin to stdout; the exit code."""
    _limit(seconds, memory)
    suffix = Path(name).suffix.lower()
    try:
        text = _converted(sys.stdin.buffer.read(), suffix)
        encoded = text.encode(errors="replace")
        if len(encoded) > MAX_OUTPUT:
            raise CorpusError(f"its text is larger than {MAX_OUTPUT // 1_000_000} MB; split it")
    except CorpusError as error:
        print(" ".join(str(error).split()), file=sys.stderr)  # noqa: T201 - to the parent
        return _REFUSED
    sys.stdout.buffer.write(encoded)
    sys.stdout.flush()
    return 0


def _converted(data: bytes, suffix: str) -> str:
    if suffix == ".pdf":
        from assistant.pdf import from_pdf

        return from_pdf(data)
    from assistant.formats import from_docx, from_html, from_rst

    read = {".docx": from_docx, ".rst": from_rst}.get(suffix, from_html)
    return read(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
