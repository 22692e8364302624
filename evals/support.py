"""Measures and fits the support check: hand-written contradictions and paraphrases, and others made by rule.

The weights are fitted on `support/dev.yaml` alone; `support/test.yaml` is only ever reported.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from assistant.alignment import Signals
from assistant.chunking import split
from assistant.comparison import NOTHING, Comparison
from assistant.embedding import Encoder
from assistant.errors import UsageError
from assistant.nouns import Document
from assistant.opposites import opposite_of
from assistant.sentences import statements
from assistant.support import Weights, judge
from assistant.support import measure as signals_of
from assistant.terms import STOP_WORDS, terms
from evals.gold import read_list
from evals.statistics import Floats, auroc, auroc_interval, logistic, ridge_logistic, wilson

DEV = Path(__file__).parent / "support" / "dev.yaml"
TEST = Path(__file__).parent / "support" / "test.yaml"

FOLDS = 8
ROUNDS = 5
# Strength of the pull towards PRIOR. Cross-validation on dev likes less of it, but the signals were made looking at
# dev, so that their worth there is overstated.
RIDGE = 1.0
# What is believed of a signal before any pair is seen: agreement speaks for support, each sign of a clash against.
PRIOR = {"cosine": 2.0, "coverage": 2.0}
AGAINST = -2.0
# A paraphrase beside a quote of another section is no support either; such pairs weigh little beside written ones.
STRANGER_WEIGHT = 0.25
# Shares, cross-validated, where the states part. Well below what is promised (0.10, 0.15), as dev was looked at.
PASSING = 0.05
REJECTED = 0.05


class Entry(BaseModel):
    """One claim beside its evidence; a paraphrase is supported by it, a contradiction is not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    section: list[str]
    quote: str = Field(min_length=1)
    claim: str = Field(min_length=1)
    label: Literal["contradiction", "paraphrase"]
    device: str
    source: str

    @property
    def supported(self) -> bool:
        return self.label == "paraphrase"


@dataclass(frozen=True, slots=True)
class Fit:
    """Fitted weights, and each entry's score from the folds that did not hold it."""

    weights: Weights
    scores: tuple[float, ...]


def load_entries(path: Path) -> list[Entry]:
    """The entries of a file. Raises UsageError naming the entry and the fault."""
    entries = read_list(path, Entry, "entry")
    if not entries:
        raise UsageError(f"{path.name} holds no entry.")
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise UsageError(f"{path.name}: the id {entry.id!r} stands there twice.")
        seen.add(entry.id)
    return entries


def digest(path: Path = DEV) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- measuring ------------------------------------------------------------------------------------------------------


def measure(entries: Sequence[Entry], encoder: Encoder, comparison: Comparison = NOTHING) -> dict[str, Any]:
    """How well the check tells paraphrases from contradictions, beside lexical overlap and the sentence cosine alone.

    The two alone get the thresholds that pass as few contradictions and reject as few paraphrases as theirs allow:
    the best they could do on these very entries.
    """
    judgements = [judge(one.claim, one.quote, one.section, encoder, comparison) for one in entries]
    labels = np.array([one.supported for one in entries])
    states = [one.state for one in judgements]
    scores = np.array([one.score for one in judgements])
    return {
        "entries": len(entries),
        "check": {
            "auroc": area(scores, labels),
            "contradictions_supported": _share(
                [state == "supported" for state, yes in zip(states, labels, strict=True) if not yes]
            ),
            "contradictions_unsupported": _share(
                [state == "unsupported" for state, yes in zip(states, labels, strict=True) if not yes]
            ),
            "paraphrases_supported": _share(
                [state == "supported" for state, yes in zip(states, labels, strict=True) if yes]
            ),
            "paraphrases_unsupported": _share(
                [state == "unsupported" for state, yes in zip(states, labels, strict=True) if yes]
            ),
        },
        "lexical": _alone(np.array([containment(one) for one in entries]), labels),
        "cosine": _alone(np.array([_cosine(one, encoder) for one in entries]), labels),
        "by_device": _by([f"{one.label}: {one.device}" for one in entries], states),
        "by_source": _by([f"{one.label}: {one.source}" for one in entries], states),
    }


def area(scores: Floats, labels: NDArray[np.bool_]) -> dict[str, float]:
    """The AUROC of paraphrases over contradictions with its 95 % interval; one half where either is missing."""
    value = auroc(scores, labels)
    low, high = auroc_interval(scores, labels)
    return {"value": 0.5 if value is None else round(value, 4), "low": round(low, 4), "high": round(high, 4)}


def _share(hits: Sequence[bool]) -> dict[str, float]:
    low, high = wilson(sum(hits), len(hits))
    return {
        "count": sum(hits),
        "of": len(hits),
        "share": round(sum(hits) / len(hits), 4) if hits else 0.0,
        "low": round(low, 4),
        "high": round(high, 4),
    }


def _alone(scores: Floats, labels: NDArray[np.bool_]) -> dict[str, Any]:
    """A single score, with the thresholds at which it keeps to the shares that the check promises."""
    passing = float(np.quantile(scores[~labels], 0.9)) if (~labels).any() else 1.0
    return {
        "auroc": area(scores, labels),
        "paraphrases_supported": _share([bool(score > passing) for score in scores[labels]]),
        "contradictions_supported": _share([bool(score > passing) for score in scores[~labels]]),
    }


def containment(entry: Entry) -> float:
    """The share of the claim's content stems that occur in the quote or a heading."""
    claimed = set(terms(entry.claim))
    held = set(terms(" ".join([*entry.section, entry.quote])))
    return len(claimed & held) / len(claimed) if claimed else 0.0


def _cosine(entry: Entry, encoder: Encoder) -> float:
    return float(encoder.encode_query(entry.claim) @ encoder.encode_query(entry.quote))


def _by(keys: Sequence[str], states: Sequence[str]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for key, state in zip(keys, states, strict=True):
        counts.setdefault(key, Counter())[state] += 1
    return {key: dict(sorted(counts[key].items())) for key in sorted(counts)}


# --- fitting --------------------------------------------------------------------------------------------------------


def fit(entries: Sequence[Entry], encoder: Encoder, comparison: Comparison = NOTHING) -> Fit:
    """A logistic regression pulled towards PRIOR, and thresholds on scores cross-validated by quote."""
    values = _values([(one.claim, one.quote, one.section) for one in entries], encoder, comparison)
    labels = np.array([one.supported for one in entries], dtype=np.float64)
    groups = _groups(entries)
    # A claim beside the quote of an entry far away in the file.
    foreign = [
        (one.claim, other.quote, other.section)
        for place, one in enumerate(entries)
        if one.supported and (other := entries[(place + len(entries) // 3) % len(entries)]).section != one.section
    ]
    strangers = _values(foreign, encoder, comparison)
    scores = np.zeros(len(entries))
    for turn in range(ROUNDS):
        folds = np.random.default_rng(turn).permutation(max(groups) + 1)[groups] % FOLDS
        for fold in range(FOLDS):
            held = folds == fold
            coefficients = _fitted(values[~held], labels[~held], strangers)
            scores[held] += logistic(coefficients, values[held]) / ROUNDS
    coefficients = _fitted(values, labels, strangers)
    yes = labels == 1
    return Fit(
        Weights(
            bias=round(float(coefficients[0]), 4),
            weights=tuple(round(float(one), 4) for one in coefficients[1:]),
            supported=round(float(np.quantile(scores[~yes], 1 - PASSING)), 3),
            unsupported=round(float(np.quantile(scores[yes], REJECTED)), 3),
        ),
        tuple(float(one) for one in scores),
    )


def _values(pairs: Sequence[tuple[str, str, Sequence[str]]], encoder: Encoder, comparison: Comparison) -> Floats:
    return np.array([astuple(signals_of(*pair, encoder, comparison)[0]) for pair in pairs], dtype=np.float64)


def _groups(entries: Sequence[Entry]) -> NDArray[np.int64]:
    """A number for each quote, one for those of which one holds the other."""
    numbers: list[int] = []
    for place, entry in enumerate(entries):
        for before in range(place):
            if entry.quote in entries[before].quote or entries[before].quote in entry.quote:
                numbers.append(numbers[before])
                break
        else:
            numbers.append(max(numbers, default=-1) + 1)
    return np.array(numbers, dtype=np.int64)


def _fitted(values: Floats, labels: Floats, strangers: Floats) -> Floats:
    return ridge_logistic(
        np.r_[values, strangers],
        np.r_[labels, np.zeros(len(strangers))],
        RIDGE,
        prior=np.array([PRIOR.get(field.name, AGAINST) for field in fields(Signals)]),
        counts=np.r_[np.ones(len(values)), np.full(len(strangers), STRANGER_WEIGHT)],
    )


def cross_validated(fitted: Fit, entries: Sequence[Entry]) -> dict[str, Any]:
    """What `measure` says of the check, on scores of folds that did not hold the entry."""
    labels = np.array([one.supported for one in entries])
    scores = np.array(fitted.scores)
    states = [fitted.weights.state(score) for score in fitted.scores]
    return {
        "auroc": area(scores, labels),
        "contradictions_supported": _share(
            [state == "supported" for state, yes in zip(states, labels, strict=True) if not yes]
        ),
        "paraphrases_supported": _share(
            [state == "supported" for state, yes in zip(states, labels, strict=True) if yes]
        ),
        "paraphrases_unsupported": _share(
            [state == "unsupported" for state, yes in zip(states, labels, strict=True) if yes]
        ),
    }


def support_data(fitted: Fit, path: Path = DEV) -> str:
    """The content of `support.json`."""
    names = [field.name for field in fields(Signals)]
    data = {
        "bias": fitted.weights.bias,
        "weights": dict(zip(names, fitted.weights.weights, strict=True)),
        "thresholds": {"supported": fitted.weights.supported, "unsupported": fitted.weights.unsupported},
        "fitted_on": {"file": path.name, "sha256": digest(path)},
    }
    return json.dumps(data, indent=1) + "\n"


# --- made by rule ---------------------------------------------------------------------------------------------------

_VERB = re.compile(r"\b(?:is|are|was|were|can|could|must|may|might|will|would|should)\b")
_DIGITS = re.compile(r"\b\d+(?:\.\d+)?\b")
_REASON = re.compile(r"^(.{15,}?),? (because|since) (.{10,}?)\.?$", re.IGNORECASE)


def rule_made(documents: Sequence[Document], comparison: Comparison = NOTHING) -> list[Entry]:
    """Contradictions and paraphrases of the sentences of documents, one of each rule that a sentence allows."""
    entries: list[Entry] = []
    for document in documents:
        for passage in split(document):
            for statement in statements(passage):
                if statement.kind == "row" or len(statement.text.split()) < 5:
                    continue
                for label, device, claim in _made(statement.text, comparison):
                    if claim and claim != statement.text:
                        entries.append(
                            _entry(len(entries), list(passage.section), statement.text, claim, label, device)
                        )
                entries.append(
                    _entry(len(entries), list(passage.section), statement.text, statement.text, "paraphrase", "itself")
                )
    return entries


def _entry(number: int, section: list[str], quote: str, claim: str, label: Any, device: str) -> Entry:
    return Entry(
        id=f"rule-{number}", section=section, quote=quote, claim=claim, label=label, device=device, source="rule"
    )


def _made(text: str, comparison: Comparison) -> list[tuple[str, str, str]]:
    made = []
    bare = text.replace("**", "")
    made.append(("paraphrase", "unmarked", f"{bare.rstrip('.')}"))
    if not re.search(r"\bnot\b", bare):
        made.append(("contradiction", "negation", _VERB.sub(lambda match: f"{match[0]} not", bare, count=1)))
    made.append(("contradiction", "number", _DIGITS.sub(lambda match: f"{3 * float(match[0]) + 1:g}", bare, count=1)))
    side = comparison.only(bare)
    if side is not None:
        made.append(("contradiction", "side", comparison.replaced(side, bare, comparison.sides[1 - side].name.lower())))
    for match in re.finditer(r"[a-z]+", bare):
        if match[0] not in STOP_WORDS and (other := opposite_of(match[0])):
            made.append(("contradiction", "opposite", bare[: match.start()] + other + bare[match.end() :]))
            break
    if (reason := _REASON.match(bare)) and "." not in reason[1]:
        made.append(
            ("paraphrase", "reorder", f"{reason[2].capitalize()} {reason[3]}, {reason[1][0].lower()}{reason[1][1:]}.")
        )
    if (part := re.match(r"^(.{20,}?), (?:and|which|but|allowing|making) ", bare)) and "." not in part[1]:
        made.append(("paraphrase", "partial", f"{part[1]}."))
    return [(label, device, claim if claim != bare or label == "paraphrase" else "") for label, device, claim in made]


# --- report ---------------------------------------------------------------------------------------------------------


def report(measured: dict[str, Any], made: dict[str, Any] | None = None, crossed: dict[str, Any] | None = None) -> str:
    """The figures as text: the check, what overlap and cosine do alone, and each device."""
    lines = [f"{measured['entries']} pairs, AUROC (95 % interval)"]
    lines += [f"  {name:8} {_interval(measured[name]['auroc'])}" for name in ("check", "lexical", "cosine")]
    lines += _shares(measured["check"])
    lines.append("  at most one contradiction in ten passing, paraphrases supported by overlap or cosine alone")
    lines += [f"    {name:8} {_portion(measured[name]['paraphrases_supported'])}" for name in ("lexical", "cosine")]
    if crossed:
        lines += ["cross-validated", f"  check    {_interval(crossed['auroc'])}", *_shares(crossed)]
    for name in ("by_device", "by_source"):
        lines.append(name.replace("_", " "))
        lines += [_counts(key, states) for key, states in measured[name].items()]
    if made:
        lines += [f"made by rule: {made['entries']} pairs", f"  check    {_interval(made['check']['auroc'])}"]
        lines += _shares(made["check"])
        lines += [_counts(key, states) for key, states in made["by_device"].items()]
    return "\n".join(lines)


def _shares(data: dict[str, Any]) -> list[str]:
    return [f"  {name.replace('_', ' '):27} {_portion(one)}" for name, one in data.items() if name != "auroc"]


def _interval(one: dict[str, float]) -> str:
    return f"{one['value']:.3f} ({one['low']:.3f}–{one['high']:.3f})"


def _portion(one: dict[str, float]) -> str:
    return f"{one['count']:3}/{one['of']:<3} {one['share']:6.1%} ({one['low']:.1%}–{one['high']:.1%})"


def _counts(key: str, states: dict[str, int]) -> str:
    return f"  {key:32} " + ", ".join(f"{count} {state}" for state, count in states.items())
