"""How long each stage of an answer takes."""

import time

from assistant.chain import Words


class Clock:
    """Milliseconds of each stage since the one before."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._stages = {"retrieve": 0.0, "write": 0.0, "verify": 0.0}

    def mark(self, stage: str) -> None:
        now = time.perf_counter()
        self._stages[stage] += (now - self._last) * 1000
        self._last = now

    def skip(self) -> None:
        """Leaves out the time since the last mark: whoever reads the stream took it."""
        self._last = time.perf_counter()

    def waiting(self, words: Words) -> Words:
        """A model's words; the time until each comes is its writing, what happens between is checking."""
        while True:
            self.mark("verify")
            piece = next(words, None)
            self.mark("write")
            if piece is None:
                return
            yield piece

    def total(self) -> dict[str, float]:
        whole = (time.perf_counter() - self._start) * 1000
        return {stage: round(value, 3) for stage, value in {**self._stages, "total": whole}.items()}
