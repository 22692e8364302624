"""Two results on the same questions: what changed, whether by chance, and whether it may."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assistant.errors import UsageError
from evals.metrics import METRICS, Metric
from evals.statistics import mcnemar, sign_flip

NAMED = 10  # how many questions a worse metric names


@dataclass(frozen=True, slots=True)
class Change:
    """One metric of one split over the questions that both results have it for.

    `worse` and `better` name the questions, the most changed first; `p` is McNemar's where the metric is 0 or 1, else of
    the paired sign-flip test.
    """

    split: str
    metric: str
    before: float
    after: float
    p: float
    gate: str  # "ok", "worse", or "" where the metric is not gated
    worse: tuple[str, ...]
    better: tuple[str, ...]


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """The change of each metric. Raises UsageError for results on different gold questions."""
    if before["provenance"]["gold"] != after["provenance"]["gold"]:
        raise UsageError(
            "The two results were made with different gold questions and cannot be compared. "
            "Make the first one again; a baseline with: python -m evals run --write-baseline"
        )
    earlier = {row["id"]: row for row in before["questions"]}
    pairs = [(earlier[row["id"]], row) for row in after["questions"] if row["id"] in earlier]
    changes = []
    for split in sorted({row["split"] for _, row in pairs}):
        for metric in METRICS:
            both = [
                (row["id"], old["values"][metric.name], row["values"][metric.name])
                for old, row in pairs
                if row["split"] == split and metric.name in old["values"] and metric.name in row["values"]
            ]
            if both:
                changes.append(_change(split, metric, both))
    return changes


def _change(split: str, metric: Metric, both: Sequence[tuple[str, float, float]]) -> Change:
    gains = {name: (new - old) * (1 if metric.more else -1) for name, old, new in both}
    worse = sorted((name for name in gains if gains[name] < 0), key=lambda name: (gains[name], name))
    better = sorted((name for name in gains if gains[name] > 0), key=lambda name: (-gains[name], name))
    gain = sum(gains.values()) / len(gains)
    whole = metric.whole and all(value in (0, 1) for _, old, new in both for value in (old, new))
    gate = "" if metric.budget is None else "worse" if gain < -metric.budget - 1e-9 else "ok"
    return Change(
        split=split,
        metric=metric.name,
        before=sum(old for _, old, _ in both) / len(both),
        after=sum(new for _, _, new in both) / len(both),
        p=mcnemar(len(better), len(worse)) if whole else sign_flip(list(gains.values())),
        gate=gate,
        worse=tuple(worse),
        better=tuple(better),
    )


def regressions(changes: Sequence[Change]) -> list[str]:
    """One line for each gated metric that fell behind by more than its budget, with the questions that did it."""
    return [
        f"{change.split}: {change.metric} was {change.before:.4f}, is {change.after:.4f}: {_named(change.worse)}"
        for change in changes
        if change.gate == "worse"
    ]


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """In what the two results differ besides the answers: corpus, model, gate, versions."""
    one, other = before["provenance"], after["provenance"]
    return [
        f"{name}: {_short(one.get(name))} -> {_short(other[name])}" for name in other if one.get(name) != other[name]
    ]


def most_changed(changes: Sequence[Change], count: int = 5) -> tuple[list[str], list[str]]:
    """The questions that lost and that gained most, summed over the gated metrics."""
    weight: dict[str, int] = {}
    for change in changes:
        if change.gate:
            for name in change.worse:
                weight[name] = weight.get(name, 0) - 1
            for name in change.better:
                weight[name] = weight.get(name, 0) + 1
    ordered = sorted(weight, key=lambda name: (weight[name], name))
    return [name for name in ordered if weight[name] < 0][:count], [
        name for name in reversed(ordered) if weight[name] > 0
    ][:count]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text
