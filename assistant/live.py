"""The current snapshot of a running program: opened beside the former one, which is closed when nobody reads it any more."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assistant.errors import IndexUnusable
from assistant.index import Index, current, open_index


class LiveIndex:
    """The current snapshot of a long-running process: replaced when another is published.

    The former one is closed when its last search has ended. A new one that is damaged, or was made with other
    weights than `weights`, is passed over.
    """

    def __init__(self, home: Path, weights: str) -> None:
        self._home = home
        self._weights = weights
        self._lock = threading.Lock()
        self._open: Index | None = None
        self._users: Counter[int] = Counter()

    @contextmanager
    def borrow(self) -> Iterator[Index]:
        index = self._take()
        try:
            yield index
        finally:
            with self._lock:
                self._users[id(index)] -= 1
                if index is not self._open and self._users[id(index)] == 0:
                    index.close()

    def close(self) -> None:
        with self._lock:
            former, self._open = self._open, None
            if former is not None and self._users[id(former)] == 0:
                former.close()

    def _take(self) -> Index:
        with self._lock:
            former = self._open
            if former is None:
                self._open = self._checked()
            elif current(self._home) not in (former.id, None) or former.removed:
                try:
                    self._open = self._checked()
                except IndexUnusable:
                    # Tried again with the next question: it may have been repaired.
                    pass
                else:
                    if self._users[id(former)] == 0:
                        former.close()
            assert self._open is not None
            self._users[id(self._open)] += 1
            return self._open

    def _checked(self) -> Index:
        index = open_index(self._home)
        if index.weights != self._weights:
            model = index.manifest["model"]
            index.close()
            raise IndexUnusable(f"The index was built with {model}; the settings ask for another. Run: assistant index")
        return index
