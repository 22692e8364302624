"""What many answers are worth together: each metric with its interval, and the composites of refusing and answering."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from evals.metrics import METRICS, Score
from evals.statistics import RESAMPLES, Floats, wilson

# Composites of the whole set, more is better; no question has one of its own.
COMPOSITES = ("f1_refused", "f1_answered", "f1_rg", "nugget_f1", "citation_f1", "trust")


def summarize(scores: Sequence[Score]) -> dict[str, Any]:
    """By metric: value, how many questions have it, and its 95 % interval.

    Wilson's interval where the quantity is 0 or 1 (with the count), else a percentile bootstrap over questions with a fixed seed.
    """
    drawn = _resamples(len(scores))
    summary: dict[str, Any] = {"questions": len(scores)}
    for metric in METRICS:
        values = [item.values[metric.name] for item in scores]
        known = [value for value in values if value is not None]
        summary[metric.name] = (
            counted(known) if metric.whole else _averaged(np.array([_number(value) for value in values]), drawn)
        )
    ones = np.ones((1, len(scores)))
    interval = _composites(scores, drawn)
    for name, value in _composites(scores, ones).items():
        summary[name] = _entry(float(value[0]), len(scores), interval[name])
    lengths = [words for item in scores if (words := item.values["words"]) is not None]
    summary["words_median"] = statistics.median(lengths) if lengths else None
    summary["words_most"] = max(lengths, default=None)
    return summary


def counted(values: Sequence[float]) -> dict[str, Any]:
    """A share with its count and Wilson interval."""
    count = round(sum(values))
    low, high = wilson(count, len(values))
    share = round(count / len(values), 4) if values else None
    return {"value": share, "n": len(values), "count": count, "interval": [round(low, 4), round(high, 4)]}


def _averaged(values: Floats, drawn: Floats) -> dict[str, Any]:
    known = ~np.isnan(values)
    if not known.any():
        return {"value": None, "n": 0, "interval": [None, None]}
    zeroed = np.where(known, values, 0.0)
    means = (drawn @ zeroed) / np.maximum(drawn @ known, 1)
    return _entry(float(zeroed.sum() / known.sum()), int(known.sum()), means)


def _entry(value: float, count: int, resampled: Floats) -> dict[str, Any]:
    if not len(resampled) or np.isnan(value):
        return {"value": None, "n": count, "interval": [None, None]}
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"value": round(value, 4), "n": count, "interval": [round(float(low), 4), round(float(high), 4)]}


def _composites(scores: Sequence[Score], drawn: Floats) -> dict[str, Floats]:
    """F1 of refusing and of answering and their mean (F1_RG), F1 of facts calibrated by how often it answers, F1 of cited
    passages, and the mean of the last three (TRUST), of each row of draws; Song et al., ICLR 2025, equations 1 to 6.
    """
    asks = np.array([item.answerable for item in scores], dtype=float)
    refused = np.array([item.refused for item in scores], dtype=float)
    facts = np.array([_number(item.values["facts"]) for item in scores])
    precision = np.array([_number(item.values["passage_precision"]) for item in scores])
    recall = np.array([_number(item.values["passage_recall"]) for item in scores])

    def total(values: Floats) -> Floats:
        result: Floats = drawn @ np.nan_to_num(values)
        return result

    answered = 1 - refused
    f1_refused = _f1(total(refused * (1 - asks)), total(refused), total(1 - asks))
    f1_answered = _f1(total(answered * asks), total(answered), total(asks))
    has = asks * ~np.isnan(facts)
    # Precision over all that is answered of those with facts and the unanswerable; recall over all that ask for facts.
    nugget = _f1(total(facts * answered), total(answered * np.maximum(has, 1 - asks)), total(has))
    cited, sought = ~np.isnan(precision), (~np.isnan(recall)) * answered
    mean_precision = total(precision) / np.maximum(total(cited.astype(float)), 1e-9)
    mean_recall = total(recall * answered) / np.maximum(total(sought), 1e-9)
    citations = 2 * mean_precision * mean_recall / np.maximum(mean_precision + mean_recall, 1e-9)
    f1_rg = (f1_refused + f1_answered) / 2
    values = (f1_refused, f1_answered, f1_rg, nugget, citations, (f1_rg + nugget + citations) / 3)
    return dict(zip(COMPOSITES, values, strict=True))


def _f1(right: Floats, said: Floats, due: Floats) -> Floats:
    result: Floats = 2 * right / np.maximum(said + due, 1e-9)
    return result


def _resamples(count: int) -> Floats:
    """How often each question is drawn in each bootstrap sample, shape (RESAMPLES, count)."""
    if not count:
        return np.zeros((0, 0))
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
