"""Answer or refuse: a logistic regression on raw signals, with its weights kept as data in `gate.json`.

The fused score is no signal: it is near 1 for the best hit of any question. Every signal lies between 0
and 1 and means the same on any corpus. `python -m evals calibrate` fits the weights.
"""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np

from assistant.embedding import Encoder
from assistant.index import Index
from assistant.intents import asked_kinds, implies_sides, is_choice
from assistant.nouns import Passage
from assistant.retrieval import Found
from assistant.sentences import sentence_spans
from assistant.terms import STOP_WORDS, stem, terms, unnumbered, words

WEIGHTS = Path(__file__).with_name("gate.json")
# How many of the best hits count as "near".
NEAR = 3
RARE_PIECES = 3

_NAME = re.compile(r"\b(?:[A-Z][a-z]*[A-Z]\w*|[A-Z]{2,}\w*|[A-Z][a-z]+)\b")
_ENDING = re.compile(r"(?<=\w{3})(?:lessly|fully|ably|ibly|less|ful|ness|able|ible|wards?|ly)$")
_OPENS = re.compile(r"(?:^|[.!?:])\W*$")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class Signals:
    """What the gate knows of a question; each between 0 and 1."""

    nearness: float  # the mean of the best passage's, statement's and aspect's cosine, each above its background
    lexical: float  # the best BM25 score over the most that the question's terms could give
    interaction: float  # the best late interaction of a statement, its headings included, with the question
    unmet: float  # how far the two words of the question that the best hits meet least stay below a full match
    strangers: float  # names, numbers and product words that the best hits lack, n of them as 1 - 1/(1+n)
    wrong_kind: float  # 1 where the question asks for a price, a date, a command … and the best hits hold none
    sides: float  # 1 where it asks to choose between the two sides, or is about both without naming one


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


def decide(index: Index, encoder: Encoder, found: Found) -> Decision:
    """Answer or refuse, by the weights in `gate.json`."""
    missing = missing_words(found)
    if not found.hits:
        return Decision(False, 0.0, missing)
    weights = load_weights()
    confidence = weights.confidence(measure(index, encoder, found))
    return Decision(confidence >= weights.threshold, confidence, missing)


@lru_cache(maxsize=1)
def load_weights() -> Weights:
    data = json.loads(WEIGHTS.read_text("utf-8"))
    names = [field.name for field in fields(Signals)]
    return Weights(data["bias"], tuple(data["weights"][name] for name in names), data["threshold"])


def measure(index: Index, encoder: Encoder, found: Found) -> Signals:
    """The signals of a question. `found` must hold at least one hit."""
    total = sum(index.idf(term) for term in set(terms(found.query))) or 1.0
    near = _near_terms(found)
    text = "\n".join(hit.passage.text for hit in found.hits[:NEAR])
    # The sides are known, and the numbers of a situation are not what a choice asks for.
    choice = is_choice(found.query, index.comparison)
    told = index.comparison.neutral(_asking(found.query) if choice else found.query)
    asked = [name for name in names(told) if not (name[0].isdigit() and choice)]
    unknown = {word.lower() for word in asked if stem(word.lower()) not in near}
    unknown.update(product_words(index, encoder, told))
    # One signal: they measure the same thing, and a fit on one small corpus cannot tell them apart.
    best = {
        "passage": found.cosines,
        "statement": [float(cosines.max(initial=0.0)) for cosines in found.statement_cosines],
        "aspect": [float(cosines.max(initial=0.0)) for cosines in found.aspect_cosines],
    }
    return Signals(
        nearness=sum(_above(index.background[name], cosines) for name, cosines in best.items()) / len(best),
        lexical=min(1.0, max(found.lexical) / total),
        interaction=max((float(scores.max(initial=0.0)) for scores in found.interactions), default=0.0),
        unmet=_unmet(found),
        strangers=1 - 1 / (1 + len(unknown)),
        wrong_kind=float(any(not kind.holds.search(text) for kind in asked_kinds(found.query))),
        sides=float(
            implies_sides(found.query, index.comparison) or (choice and any(index.comparison.named(found.query)))
        ),
    )


def _asking(query: str) -> str:
    """The sentences of a question that ask; the situation that others tell need not be in the documents."""
    sentences = [query[low:high] for low, high in sentence_spans(query)]
    return " ".join(one for one in sentences if one.endswith("?")) or query


def _unmet(found: Found) -> float:
    """1 less the mean of the two lowest of the question's words' best cosines to any word of the nearest passages."""
    content = found.asked.weights > 0
    if not content.any() or not found.met:
        return 0.0
    best = np.max([met[content] for met in found.met[:NEAR]], axis=0)
    return float(1 - np.sort(best)[:2].mean())


def _above(background: float, cosines: Iterable[float]) -> float:
    """How far the best cosine stands above what questions on anything else reach, as a share of what is left to 1."""
    return max(0.0, (float(max(cosines, default=0.0)) - background) / (1 - background))


def product_words(index: Index, encoder: Encoder, query: str) -> list[str]:
    """Words of a question that the documents never use and everyday English hardly does ("cgroups").

    The model's own vocabulary tells: it spells a rare word in three pieces or more.
    """
    nothing = encoder.window.count("")
    return [
        word
        for word in dict.fromkeys(words(query))
        if word not in STOP_WORDS
        and not index.document_frequency(stem(word))
        # An ending does not make a word rare: "endlessly".
        and min(encoder.window.count(form) for form in (word, _ENDING.sub("", word))) - nothing >= RARE_PIECES
    ]


def names(query: str) -> list[str]:
    """Names and numbers of a question: what an answer must hold to be about the same thing.

    A capital at the start of a sentence makes no name.
    """
    found = [
        match.group()
        for match in _NAME.finditer(query)
        if match.group().lower() not in STOP_WORDS
        and not (match.group().istitle() and _OPENS.search(query[: match.start()]))
    ]
    return list(dict.fromkeys([*found, *_NUMBER.findall(query)]))


def missing_words(found: Found) -> tuple[str, ...]:
    """The question's content words that occur in none of the nearest passages or their headings."""
    near = _near_terms(found)
    return tuple(
        dict.fromkeys(word for word in words(found.query) if word not in STOP_WORDS and stem(word) not in near)
    )


def _near_terms(found: Found) -> frozenset[str]:
    return frozenset(term for hit in found.hits[:NEAR] for term in _passage_terms(hit.passage))


def _passage_terms(passage: Passage) -> list[str]:
    headings = map(unnumbered, passage.section)
    return terms(" ".join((passage.title, *headings, passage.text)))
