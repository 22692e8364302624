"""Token buckets: how many questions a minute may come from one caller, and from all together."""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

CALLERS = 10_000
MINUTE = 60.0


@dataclass(slots=True)
class Bucket:
    """Full at first; what was taken comes back evenly over a minute."""

    tokens: float
    at: float

    def wait(self, rate: int, cost: float, now: float) -> float:
        """The seconds until `cost` can be taken; 0 where it can."""
        self.tokens = min(float(rate), self.tokens + (now - self.at) * rate / MINUTE)
        self.at = now
        return max(0.0, cost - self.tokens) * MINUTE / rate


class Limits:
    """The buckets of a process; the callers that were longest away are forgotten. For one thread."""

    def __init__(self, total: int, clock: Callable[[], float], callers: int = CALLERS) -> None:
        self._total, self._clock, self._callers = total, clock, callers
        self._all = Bucket(total, clock())
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, caller: str, rate: int, cost: float = 1.0, alone: bool = False) -> tuple[int, bool]:
        """Whole seconds to wait, 0 where it may be asked at once; and whether it is the caller's own limit.

        `alone`: nothing is taken from what all together may ask.
        """
        now = self._clock()
        bucket = self._buckets.setdefault(caller, Bucket(rate, now))
        self._buckets.move_to_end(caller)
        if len(self._buckets) > self._callers:
            self._buckets.popitem(last=False)
        own = bucket.wait(rate, cost, now)
        together = 0.0 if alone else self._all.wait(self._total, cost, now)
        if own or together:
            # Whoever is refused takes nothing from the others.
            return math.ceil(max(own, together)), own > 0
        bucket.tokens -= cost
        self._all.tokens -= 0.0 if alone else cost
        return 0, False
