"""Late interaction: how well each word of a question is met by some word of a passage, in context.

A question's score against a text is the mean, over the question's tokens, of the best cosine to a token of the text (MaxSim; Khattab and
Zaharia, "ColBERT", SIGIR 2020), once plainly and once weighted by idf. The token vectors are the embedding model's own.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assistant.embedding import Encoded, Vectors
from assistant.index import Index, Scores
from assistant.terms import STOP_WORDS, fold, terms

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """The tokens of a question, shape (tokens, token dimension), each with the idf of its word; 0 for stop words and marks."""

    tokens: Vectors
    weights: Scores

    def met(self, tokens: Vectors) -> Scores:
        """The best cosine of each token of the question to any of these tokens, shape (tokens,)."""
        return np.asarray((self.tokens @ tokens.T).max(axis=1), dtype=np.float64)

    def score(self, met: Scores) -> float:
        """The mean of the plain and of the weighted mean; 0 without tokens."""
        if not len(met):
            return 0.0
        plain = float(met.mean())
        total = float(self.weights.sum())
        return (plain + float(met @ self.weights) / total) / 2 if total else plain


def asked(index: Index, query: str, encoded: Encoded) -> Asked:
    """A question ready to be held against passages."""
    weights = np.zeros(len(encoded.tokens))
    for word in _WORD.finditer(query):
        folded = fold(word[0])
        stems = terms(folded) if folded not in STOP_WORDS else []
        if stems:
            inside = (encoded.spans[:, 0] >= word.start()) & (encoded.spans[:, 1] <= word.end())
            weights[inside] = index.idf(stems[0])
    return Asked(encoded.tokens, weights)


def met_by(index: Index, question: Asked, row: int) -> Scores:
    """How well each token of a question is met by a passage with its headings, shape (tokens,)."""
    tokens, _ = index.tokens(row)
    return question.met(tokens) if len(tokens) and len(question.tokens) else np.zeros(len(question.tokens))


def met_by_statements(index: Index, question: Asked, row: int) -> Scores:
    """How well each statement of a passage, with the headings above it, meets each token of a question, shape (statements, tokens)."""
    held = index.statements(row)
    tokens, spans = index.tokens(row)
    if not len(tokens) or not len(question.tokens):
        return np.zeros((len(held), len(question.tokens)))
    cosines = question.tokens @ tokens.T
    start = index.passages[row].start
    above: NDArray[np.bool_] = spans[:, 0] < 0
    met = []
    for statement in held:
        mine = above | ((spans[:, 0] >= statement.start - start) & (spans[:, 1] <= statement.end - start))
        met.append(cosines[:, mine].max(axis=1, initial=0.0))
    return np.array(met, dtype=np.float64).reshape(len(held), len(question.tokens))
