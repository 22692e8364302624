"""Fits the gate on the `dev` halves of one or more corpora and says how well it separates, by leave-one-out predictions."""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistant.answering import Assistant, whole_parts
from assistant.gate import Signals, measure
from assistant.retrieval import retrieve
from evals.gold import Question
from evals.metrics import rate
from evals.statistics import Floats, logistic, ridge_logistic, risk_at_coverage

# Ridge penalty of the fit; the intercept goes free. A weaker one fits these corpora no better and others worse (evals/LOG.md).
PENALTY = 2.0
RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Fit:
    """Fitted weights, the threshold, and the leave-one-out confidence of each question."""

    bias: float
    weights: tuple[float, ...]
    threshold: float
    confidences: tuple[float, ...]


def signals(assistant: Assistant, questions: Sequence[Question]) -> tuple[list[Signals], list[bool]]:
    """The gate's signals of each question, and whether it is answerable; of two questions in one, those of each."""
    measured: list[Signals] = []
    answerable: list[bool] = []
    with assistant.live.borrow() as index:
        for question in questions:
            query = assistant.standalone(index, question.question, question.turns)
            for part in whole_parts(query, index.comparison):
                found = retrieve(index, assistant.encoder, part, assistant.settings.passages)
                measured.append(measure(index, assistant.encoder, found))
                answerable.append(question.answerable)
    return measured, answerable


def fit(sets: Sequence[tuple[Sequence[Signals], Sequence[bool]]]) -> list[Fit]:
    """A ridge logistic regression on all sets of questions, and one threshold on its leave-one-out confidences; a Fit for each set.

    The threshold is the mean of those with the least sum of both error rates, each set counting the same, in `RESAMPLES` bootstrap
    resamples: the sum is flat over a wide range, and the least of one sample lies anywhere in it. Rates and not counts, as far
    more questions are answerable than not.
    """
    values = np.array([astuple(one) for measured, _ in sets for one in measured], dtype=np.float64)
    labels = np.array([asks for _, answerable in sets for asks in answerable], dtype=np.float64)
    left_out = np.empty(len(labels))
    for held in range(len(labels)):
        others = np.arange(len(labels)) != held
        left_out[held] = logistic(ridge_logistic(values[others], labels[others], PENALTY), values[[held]])[0]
    coefficients = ridge_logistic(values, labels, PENALTY)
    ends = np.cumsum([len(answerable) for _, answerable in sets])[:-1]
    parts = list(zip(np.split(left_out, ends), np.split(labels == 1, ends), strict=True))
    threshold = round(_threshold(parts), 2)
    return [
        Fit(
            bias=round(float(coefficients[0]), 4),
            weights=tuple(round(float(one), 4) for one in coefficients[1:]),
            threshold=threshold,
            confidences=tuple(float(one) for one in confidences),
        )
        for confidences, _ in parts
    ]


def _threshold(sets: Sequence[tuple[Floats, NDArray[np.bool_]]]) -> float:
    edges = np.linspace(0.02, 0.98, 97)
    random = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLES):
        errors = np.zeros(len(edges))
        for confidences, answerable in sets:
            yes = random.choice(confidences[answerable], answerable.sum())
            no = random.choice(confidences[~answerable], (~answerable).sum())
            errors += [np.mean(yes < edge) + np.mean(no >= edge) for edge in edges]
        found.append(float(np.mean(edges[errors == errors.min()])))
    return float(np.mean(found))


def gate_data(fitted: Fit, provenance: dict[str, str]) -> str:
    """The content of `gate.json`: weights by signal, threshold, and what they were fitted on."""
    names = [field.name for field in fields(Signals)]
    data = {
        "bias": fitted.bias,
        "weights": dict(zip(names, fitted.weights, strict=True)),
        "threshold": fitted.threshold,
        "fitted_on": provenance,
    }
    return json.dumps(data, indent=1) + "\n"


def confusion(fitted: Fit, answerable: Sequence[bool]) -> dict[str, Any]:
    """Leave-one-out error rates on both sides, and the risk at each coverage."""
    pairs = list(zip(fitted.confidences, answerable, strict=True))
    return {
        "refused_answerable": rate([confidence < fitted.threshold for confidence, asks in pairs if asks]),
        "answered_unanswerable": rate([confidence >= fitted.threshold for confidence, asks in pairs if not asks]),
        "risk_at_coverage": risk_at_coverage(fitted.confidences, answerable),
    }
