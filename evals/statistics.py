"""Intervals, summaries, and the one regression that the evals fit."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2000


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


def sign_flip(differences: Sequence[float]) -> float:
    """Two-sided p of the paired sign-flip permutation test that the mean difference is nought.

    Exact up to 16 differences that are not nought, else 10,000 random flips with a fixed seed, the observed one among them
    (Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010).
    """
    moved = np.array([one for one in differences if one], dtype=np.float64)
    if not len(moved):
        return 1.0
    observed = abs(moved.sum()) - 1e-12
    if len(moved) <= 16:
        flipped = (np.arange(1 << len(moved))[:, None] >> np.arange(len(moved))) & 1
    else:
        flipped = np.random.default_rng(0).integers(0, 2, (10_000, len(moved)))
        flipped[0] = 0  # the observed one is one of the flips
    sums = moved.sum() - 2 * (flipped @ moved)
    return int((np.abs(sums) >= observed).sum()) / len(flipped)


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact p of McNemar's test on the questions whose pass or fail changed (Psychometrika 12, 1947)."""
    changed = gained + lost
    if not changed:
        return 1.0
    tail: float = sum(math.comb(changed, count) for count in range(min(gained, lost) + 1)) * 0.5**changed
    return min(1.0, 2.0 * tail)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value at a share (0 to 1) of the sorted values, nearest rank; None where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))] if ordered else None


def auroc(values: Sequence[float] | Floats, positive: Sequence[bool] | NDArray[np.bool_]) -> float | None:
    """How often a positive one has the higher value than a negative one, ties half; None where either is missing."""
    yes, no = _parted(values, positive)
    return _auroc(yes, no) if len(yes) and len(no) else None


def auroc_interval(
    values: Sequence[float] | Floats, positive: Sequence[bool] | NDArray[np.bool_]
) -> tuple[float, float]:
    """The 95 % bootstrap interval of the AUROC, both classes resampled, fixed seed; (0, 1) where either is missing."""
    yes, no = _parted(values, positive)
    if not len(yes) or not len(no):
        return 0.0, 1.0
    random = np.random.default_rng(0)
    drawn = [_auroc(random.choice(yes, len(yes)), random.choice(no, len(no))) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def risk_at_coverage(confidences: Sequence[float], right: Sequence[bool]) -> dict[str, float]:
    """The share of wrong ones among the surest tenth, two tenths … of all; equal ones go in their order."""
    ordered = [good for _, good in sorted(zip(confidences, right, strict=True), key=lambda pair: -pair[0])]
    counts = {tenth / 10: max(1, round(tenth / 10 * len(ordered))) for tenth in range(1, 11) if ordered}
    return {f"{share:.1f}": round(1 - sum(ordered[:count]) / count, 4) for share, count in counts.items()}


def _parted(values: Sequence[float] | Floats, positive: Sequence[bool] | NDArray[np.bool_]) -> tuple[Floats, Floats]:
    both, mask = np.asarray(values, dtype=np.float64), np.asarray(positive, dtype=bool)
    return both[mask], both[~mask]


def _auroc(yes: Floats, no: Floats) -> float:
    ordered = np.sort(no)
    below = np.searchsorted(ordered, yes, side="left") + np.searchsorted(ordered, yes, side="right")
    return float(below.sum() / (2 * len(yes) * len(no)))


def ridge_logistic(
    values: Floats, labels: Floats, penalty: float, prior: Floats | None = None, counts: Floats | None = None
) -> Floats:
    """Intercept and coefficients of a logistic regression, by Newton's method; the intercept goes free.

    `penalty` pulls the coefficients towards `prior` (zero by default); `counts` weighs the rows.
    """
    design = np.c_[np.ones(len(values)), values]
    towards = np.r_[0.0, prior] if prior is not None else np.zeros(design.shape[1])
    weights = counts if counts is not None else np.ones(len(values))
    pull = np.eye(design.shape[1]) * penalty
    pull[0, 0] = 1e-6
    coefficients: Floats = towards.copy()
    for _ in range(100):
        expected = 1 / (1 + np.exp(-design @ coefficients))
        gradient = design.T @ (weights * (expected - labels)) + pull @ (coefficients - towards)
        hessian = (design.T * (weights * expected * (1 - expected))) @ design + pull
        step = np.linalg.solve(hessian, gradient)
        coefficients = coefficients - step
        if np.abs(step).max() < 1e-9:
            break
    return coefficients


def logistic(coefficients: Floats, values: Floats) -> Floats:
    """The probability of each row of values, shape (rows,), by `ridge_logistic`'s coefficients."""
    result: Floats = 1 / (1 + np.exp(-(coefficients[0] + values @ coefficients[1:])))
    return result
