"""Intervals and summaries."""

import math
from collections.abc import Sequence


def wilson(successes: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval of a proportion, 95 % by default; (0, 1) when nothing was counted.

    Wilson, Journal of the American Statistical Association 22 (1927), 209.
    """
    if total == 0:
        return 0.0, 1.0
    share = successes / total
    center = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)


def mean(values: Sequence[float]) -> float | None:
    """The mean; None where there is nothing to take it of."""
    return sum(values) / len(values) if values else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value at a share (0 to 1) of the sorted values, nearest rank; None where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))] if ordered else None
