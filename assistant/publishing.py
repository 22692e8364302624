"""Snapshots in their home: one build at a time, published in one step, the old ones removed, all of it synced."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from assistant.index import current

_SNAPSHOT = re.compile(r"[0-9a-f]{24}")


@contextmanager
def build_lock(home: Path, wait: bool = True) -> Iterator[bool]:
    """One build at a time; gives False at once where another holds the lock and `wait` is False."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "build.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def publish(home: Path, name: str) -> None:
    """Makes a complete snapshot the current one, in one step, and removes what nobody needs any more."""
    former = current(home)
    if former != name:
        if former is not None:
            replace(home / "PREVIOUS", former)
        replace(home / "CURRENT", name)
    _clean(home)


def _clean(home: Path) -> None:
    """Removes all snapshots but the current and the previous one, unless somebody has them open."""
    kept = {current(home)}
    with suppress(FileNotFoundError):
        kept.add((home / "PREVIOUS").read_text("utf-8").strip())
    for scratch in [*home.glob("CURRENT.*.tmp"), *home.glob("PREVIOUS.*.tmp")]:
        scratch.unlink(missing_ok=True)  # what a killed build left; whoever cleans holds the lock
    for folder in home.iterdir():
        # Only what is named like a snapshot: the folder may hold things that are not ours.
        if folder.is_dir() and folder.name not in kept and _SNAPSHOT.fullmatch(folder.name):
            remove(folder)


def remove(folder: Path) -> bool:
    """Removes a snapshot unless somebody has it open; its manifest first, so that half is never taken for whole."""
    manifest = folder / "manifest.json"
    with suppress(FileNotFoundError), manifest.open("rb") as lease:
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        manifest.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    return True


def replace(path: Path, text: str) -> None:
    """Writes a file anew, whole or not at all, and synced."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with scratch.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    _sync_folder(path.parent)


def sync(folder: Path) -> None:
    """Syncs every file and folder below a folder, and itself."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
