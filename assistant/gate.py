"""Answer or refuse: a logistic regression on raw signals, with its weights kept as data in `gate.json`.

The fused score is no signal: it is near 1 for the best hit of any question. Every signal lies between 0
and 1 and means the same on any corpus. `python -m evals calibrate` fits the weights.
"""

import json
import math
import re
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from pathlib import Path

from assistant.index import Index
from assistant.nouns import Passage
from assistant.retrieval import Found
from assistant.terms import STOP_WORDS, stem, terms, words

WEIGHTS = Path(__file__).with_name("gate.json")
# How many of the best hits count as "near".
NEAR = 3

_NAME = re.compile(r"\b(?:[A-Z][a-z]*[A-Z]\w*|[A-Z]{2,}\w*|[A-Z][a-z]+)\b")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class Signals:
    """What the gate knows of a question; each between 0 and 1."""

    statement_cosine: float  # of the best statement among the hits
    passage_cosine: float  # of the best passage
    lexical: float  # the best BM25 score over the most that the question's terms could give
    near: float  # the share of the question's idf mass that occurs in the best hits
    known: float  # the share of the question's idf mass that occurs anywhere in the documents
    strangers: float  # names, numbers and product words of the question that the best hits lack, as 1 - 1/(1+n)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to answer, how sure (0 to 1), and the question's words that the nearest passages lack."""

    answer: bool
    confidence: float
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """A fitted gate: one weight a signal, in the order of Signals, and the confidence that suffices."""

    bias: float
    weights: tuple[float, ...]
    threshold: float

    def confidence(self, signals: Signals) -> float:
        total = self.bias + sum(w * x for w, x in zip(self.weights, astuple(signals), strict=True))
        return 1 / (1 + math.exp(-total))


def decide(index: Index, found: Found) -> Decision:
    """Answer or refuse, by the weights in `gate.json`."""
    weights = load_weights()
    confidence = weights.confidence(measure(index, found)) if found.hits else 0.0
    return Decision(confidence >= weights.threshold, confidence, missing_words(found))


@lru_cache(maxsize=1)
def load_weights() -> Weights:
    data = json.loads(WEIGHTS.read_text("utf-8"))
    names = [field.name for field in fields(Signals)]
    return Weights(data["bias"], tuple(data["weights"][name] for name in names), data["threshold"])


def measure(index: Index, found: Found) -> Signals:
    """The signals of a question. `found` must hold at least one hit."""
    asked = list(dict.fromkeys(terms(found.query)))
    mass = {term: idf(index, term) for term in asked}
    total = sum(mass.values()) or 1.0
    near = _near_terms(found)
    missing = sum(1 for word in strangers(found.query) if stem(word.lower()) not in near)
    return Signals(
        statement_cosine=max(0.0, *(float(cosines.max(initial=0.0)) for cosines in found.statement_cosines), 0.0),
        passage_cosine=max(0.0, *found.cosines),
        lexical=min(1.0, max(found.lexical) / total),
        near=sum(mass[term] for term in asked if term in near) / total,
        known=sum(mass[term] for term in asked if index.document_frequency(term)) / total,
        strangers=1 - 1 / (1 + missing),
    )


def idf(index: Index, term: str) -> float:
    """Inverse document frequency as BM25 (Lucene) has it; that of a term that occurs in no passage is the highest."""
    count = len(index.passages)
    frequency = index.document_frequency(term)
    return math.log(1 + (count - frequency + 0.5) / (frequency + 0.5))


def strangers(query: str) -> list[str]:
    """Names, numbers and product words of a question: what an answer must hold to be about the same thing.

    A capital at the start of the question makes no name.
    """
    first = re.match(r"\W*(\w+)", query)
    names = [
        match.group()
        for match in _NAME.finditer(query)
        if match.group().lower() not in STOP_WORDS
        and not (first and match.start() == first.start(1) and match.group().istitle())
    ]
    return list(dict.fromkeys([*names, *_NUMBER.findall(query)]))


def missing_words(found: Found) -> tuple[str, ...]:
    """The question's content words that occur in none of the nearest passages or their headings."""
    near = _near_terms(found)
    return tuple(
        dict.fromkeys(word for word in words(found.query) if word not in STOP_WORDS and stem(word) not in near)
    )


def _near_terms(found: Found) -> frozenset[str]:
    return frozenset(term for hit in found.hits[:NEAR] for term in _passage_terms(hit.passage))


def _passage_terms(passage: Passage) -> list[str]:
    return terms(" ".join((passage.title, *passage.section, passage.text)))
