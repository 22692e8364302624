"""Which statement of the passages says what a sentence says: found among all hits, whatever the model named.

The statement that is nearest decides. The best of many judgements would find support for anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assistant.comparison import Comparison
from assistant.embedding import Encoder, Vectors
from assistant.index import Index
from assistant.nouns import Passage, Statement, Support
from assistant.support import Judgement, judge

# How many of the nearest statements may support a sentence, and how much less near (cosine) than the first they may be.
NEAREST, WITHIN = 3, 0.12
# What a passage that the model named for a sentence gains in nearness.
NAMED = 0.02
# A sentence is about a statement from this cosine on, and from this share of its words that are matched there. Below, what
# it shares with the statement is the subject.
ABOUT, MATCHED = 0.74, 0.6


@dataclass(frozen=True, slots=True)
class Evidence:
    """A statement of a hit and its vector."""

    number: int  # of its passage as the model saw it, from 1
    passage: Passage
    statement: Statement
    vector: Vectors


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether some statement supports a sentence, and which."""

    support: Support
    evidence: Evidence | None
    score: float


def evidence_of(index: Index, passages: Sequence[Passage]) -> list[Evidence]:
    """Every statement of the passages that says something itself."""
    found = []
    for number, passage in enumerate(passages, 1):
        row = index.row(passage)
        for statement, vector in zip(index.statements(row), index.vectors_of_statements(row), strict=True):
            if not statement.text.endswith(":"):
                found.append(Evidence(number, passage, statement, vector))
    return found


def verified(
    claim: str, numbers: Sequence[int], evidence: Sequence[Evidence], index: Index, encoder: Encoder
) -> Verdict:
    """The verdict on a sentence, and the statement that supports it best of those nearest to it.

    A near copy that says otherwise ends the search: a sentence made of a statement's words is about that statement.
    """
    if not evidence:
        return Verdict("unsupported", None, 0.0)
    near = np.stack([one.vector for one in evidence]) @ encoder.encode_query(claim)
    near = near + NAMED * np.array([one.number in numbers for one in evidence])
    order = np.argsort(-near, kind="stable")[:NEAREST]
    best: tuple[Judgement, Evidence] | None = None
    for at in order:
        if near[at] < near[order[0]] - WITHIN:
            break
        one = evidence[at]
        judgement = max(
            (
                judge(claim, text, one.passage.section, encoder, index.comparison)
                for text in _readings(one.statement, index.comparison.only(claim), index.comparison)
            ),
            key=lambda read: read.score,
        )
        if best is None or judgement.score > best[0].score:
            best = (judgement, one)
        if judgement.score in (0.0, 1.0):
            best = (judgement, one)
            break
    assert best is not None
    if best[0].cosine < ABOUT or best[0].coverage < MATCHED:
        return Verdict("unsupported", None, 0.0)
    return Verdict(best[0].state, best[1], best[0].score)


def _readings(statement: Statement, side: int | None, comparison: Comparison) -> list[str]:
    """A statement as it may be taken: a table's row as a whole, or each cell as what it says of the first.

    What is said of one side is held against that side's cell where there is one.
    """
    cells = [cell.strip() for cell in statement.text.split("|") if cell.strip()]
    if statement.kind != "row" or len(cells) < 2:
        return [statement.text]
    said = [f"{cells[0]}: {cell}" for cell in cells[1:]]
    ours = [text for text, cell in zip(said, cells[1:], strict=True) if comparison.only(cell) == side]
    return ours if side is not None and ours else [statement.text, *said]
