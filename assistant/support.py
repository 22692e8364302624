"""Does this span support this sentence? A logistic regression on signals, its weights kept as data in `support.json`.

Lexical overlap and sentence vectors both take "A is faster than B" for "B is faster than A". So the sentence is
aligned with its evidence word by word, and what is measured is where the two part: a negation on one side only, an
opposite, a number, a name, a side, turned roles, a word that nothing in the evidence answers to.
`python -m evals support --write` fits the weights.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from functools import lru_cache
from pathlib import Path

from assistant.alignment import Pair, Signals
from assistant.comparison import NOTHING, Comparison
from assistant.edits import change
from assistant.embedding import Encoder
from assistant.likeness import WordVectors
from assistant.nouns import Support
from assistant.reading import abbreviated, plain, read
from assistant.terms import unnumbered

WEIGHTS = Path(__file__).with_name("support.json")


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the evidence supports the claim, how surely (0 to 1), and what speaks against it."""

    state: Support
    score: float
    reasons: tuple[str, ...] = ()
    coverage: float = 1.0  # how well the claim's content words are matched, 0 to 1
    cosine: float = 1.0  # of the two texts


@dataclass(frozen=True, slots=True)
class Weights:
    """A fitted check: one weight a signal, in the order of Signals, and the scores where the states part."""

    bias: float
    weights: tuple[float, ...]
    supported: float
    unsupported: float

    def score(self, signals: Signals) -> float:
        """How surely the evidence supports the claim, 0 to 1."""
        total = self.bias + sum(w * x for w, x in zip(self.weights, astuple(signals), strict=True))
        return 1 / (1 + math.exp(-total))

    def state(self, score: float) -> Support:
        """Which of the three states a score is."""
        if score >= self.supported:
            return "supported"
        return "unsupported" if score < self.unsupported else "weak"


@lru_cache(maxsize=1)
def load_weights() -> Weights:
    """The weights in `support.json`."""
    data = json.loads(WEIGHTS.read_text("utf-8"))
    names = [field.name for field in fields(Signals)]
    return Weights(
        data["bias"],
        tuple(data["weights"][name] for name in names),
        data["thresholds"]["supported"],
        data["thresholds"]["unsupported"],
    )


def judge(
    claim: str, quote: str, headings: Sequence[str], encoder: Encoder, comparison: Comparison = NOTHING
) -> Judgement:
    """Whether a quote, below its headings, supports a claim."""
    if not any(character.isalnum() for character in claim):
        return Judgement("unsupported", 0.0, ("it says nothing",))
    whole = plain(quote)
    if plain(claim).strip(" .") in {part.strip(" .") for part in (whole, *_SENTENCE.split(whole))}:
        return Judgement("supported", 1.0)
    weights = load_weights()
    signals, reasons = measure(claim, quote, headings, encoder, comparison)
    score = weights.score(signals)
    edited = change(plain(claim), whole, headings, comparison)
    if edited is not None and edited[0] != "none":
        # In a copy the one changed word is the whole difference, whatever all the others weigh.
        reasons = (*reasons, f"changed in a copy: {edited[1]}")
        score = 0.0 if edited[0] == "meaning" else min(score, weights.supported - 0.001)
    state = weights.state(score)
    return Judgement(state, score, () if state == "supported" else reasons, signals.coverage, signals.cosine)


def measure(
    claim: str, quote: str, headings: Sequence[str], encoder: Encoder, comparison: Comparison = NOTHING
) -> tuple[Signals, tuple[str, ...]]:
    """The signals of a claim and its evidence, and the reasons for doubt in words."""
    above = ". ".join(unnumbered(heading) for heading in headings)
    said, source, titles = abbreviated((plain(claim), plain(quote), plain(above)))
    about = next((side for one in reversed(headings) if (side := comparison.only(one)) is not None), None)
    pair = Pair(read(said), read(source), read(titles), WordVectors(encoder), comparison, about)
    return pair.signals(encoder, plain(claim), plain(quote), above)


_SENTENCE = re.compile(r"(?<=[.!?]) ")
