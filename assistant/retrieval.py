"""Query -> Hits: dense and BM25 candidates, fused and ranked.

Fusion is the min-max sum over a defined pool: the best `POOL` passages of each half. Scores that one half
did not return are filled in exactly. The choice, and what else was tried, stands in `evals/LOG.md`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assistant.embedding import Encoder, Vectors
from assistant.index import Index, Scores
from assistant.intents import aspect
from assistant.interaction import Asked, asked, met_by, met_by_statements
from assistant.nouns import Hit, Passage

POOL = 50
# Weights of the normalised passage cosine, best-statement cosine and BM25 score.
WEIGHTS = (0.5, 0.5, 1.0)
# Weight of the normalised best-aspect cosine, where the documents compare two sides.
ASPECT = 1.0
# Weight of the normalised late interaction, and among how many of the best it is taken.
INTERACTION, RERANKED = 1.5, 30
# What a passage of the page that somebody is reading gains on the others, of scores between 0 and 1.
NEAR = 0.05


@dataclass(frozen=True, slots=True)
class Found:
    """The hits of a query in order, and the raw signals behind them, hit by hit.

    The gate and the writer read the raw signals: a fused score only ranks, and is near its maximum for the
    first hit of any query.
    """

    query: str
    aspect: str  # what the query is about, whichever side is meant
    vector: Vectors
    asked: Asked  # its tokens
    hits: tuple[Hit, ...]
    cosines: tuple[float, ...]
    statement_cosines: tuple[Scores, ...]
    aspect_cosines: tuple[Scores, ...]  # of what the question is about to what each statement is about
    met_by_statements: tuple[Scores, ...]  # how well each statement meets each token of the question
    met: tuple[Scores, ...]  # how well the passage meets each token of the question
    lexical: tuple[float, ...]

    @property
    def interactions(self) -> tuple[Scores, ...]:
        """The late interaction of the question with each statement, hit by hit."""
        return tuple(np.array([self.asked.score(met) for met in passage]) for passage in self.met_by_statements)

    @property
    def passages(self) -> tuple[Passage, ...]:
        return tuple(hit.passage for hit in self.hits)


def retrieve(index: Index, encoder: Encoder, query: str, count: int, near: str = "") -> Found:
    """The `count` best passages for a query, best first; equal scores go by passage id.

    Passages of the document `near` rank a little higher.
    """
    encoded = encoder.encode_question(query)
    vector = encoded.vector
    about = aspect(query, index.comparison)
    about_vector = vector if about == query else encoder.encode_query(about)
    lexical = index.lexical(query)
    rows = pool(index, vector, lexical)
    cosines = index.cosines(vector, rows)
    best_statement = np.array([best(index, vector, row, cosine) for row, cosine in zip(rows, cosines, strict=True)])
    columns, weights = [cosines, best_statement, lexical[rows]], list(WEIGHTS)
    if index.comparison.sides:
        # What is said of the other side stands as near to the aspect of a question as what is said of this one.
        aspects = [index.aspect_cosines(about_vector, row).max(initial=0.0) for row in rows]
        columns.append(np.array(aspects, dtype=np.float64))
        weights.append(ASPECT)
    order = index.ranked(rows, fuse(columns, weights))[: max(count, RERANKED)]
    # Word by word only among the best: it reads every token of a passage.
    at = np.searchsorted(rows, order)
    question = asked(index, query, encoded)
    met = {row: met_by(index, question, row) for row in order}
    columns = [*(column[at] for column in columns), np.array([question.score(met[row]) for row in order])]
    fused = fuse(columns, [*weights, INTERACTION if len(question.tokens) else 0.0])
    if near:
        fused = fused + NEAR * np.array([index.passages[row].document_id == near for row in order])
    score = dict(zip(order, fused.tolist(), strict=True))
    order = index.ranked(np.array(order, dtype=np.int64), fused)[:count]
    cosine = dict(zip(rows.tolist(), cosines.tolist(), strict=True))
    return Found(
        query=query,
        aspect=about,
        vector=vector,
        asked=question,
        hits=tuple(Hit(index.passages[row], score[row]) for row in order),
        cosines=tuple(cosine[row] for row in order),
        statement_cosines=tuple(index.statement_cosines(vector, row) for row in order),
        aspect_cosines=tuple(index.aspect_cosines(about_vector, row) for row in order),
        met_by_statements=tuple(met_by_statements(index, question, row) for row in order),
        met=tuple(met[row] for row in order),
        lexical=tuple(float(lexical[row]) for row in order),
    )


def pool(index: Index, vector: Vectors, lexical: Scores) -> Any:
    """Rows that are fused: the best of each half, passages without any term of the query left out of BM25's."""
    matching = np.flatnonzero(lexical > 0)
    if len(matching) > 4 * POOL:
        # Only what can be among the best is worth sorting; ties at the edge all stay.
        edge = np.partition(lexical[matching], -POOL)[-POOL]
        matching = matching[lexical[matching] >= edge]
    by_words = index.ranked(matching, lexical[matching])[:POOL]
    both = sorted({*index.dense(vector, POOL), *by_words})
    # What an attacker adds is written to be found; nothing of it is.
    return np.array([row for row in both if not index.distrusted(row)], dtype=np.int64)


def best(index: Index, vector: Vectors, row: int, otherwise: float) -> float:
    """The cosine of the best statement of a passage; that of the passage where it has none."""
    cosines = index.statement_cosines(vector, row)
    return float(cosines.max()) if len(cosines) else otherwise


def fuse(columns: Sequence[Scores], weights: Sequence[float]) -> Scores:
    """The weighted mean of min-max normalised scores, between 0 and 1.

    A column whose scores are all equal (a single candidate, or no term matched) tells nothing and counts
    one half for everybody.
    """
    total = np.zeros(len(columns[0]))
    for scores, weight in zip(columns, weights, strict=True):
        low, high = scores.min(initial=np.inf), scores.max(initial=-np.inf)
        total += weight * ((scores - low) / (high - low) if high > low else np.full(len(scores), 0.5))
    result: Scores = total / sum(weights)
    return result


def as_retriever(search: Callable[[str, int], Sequence[Hit]], count: int = 5) -> Any:
    """A search as a LangChain `BaseRetriever`, for chains that want one; each document says where it stands."""
    # Imported here: half a second that only users of LangChain should wait for.
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever

    class PassageRetriever(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
            return [
                Document(
                    id=passage.id,
                    page_content=passage.text,
                    metadata={
                        "document": passage.document_id,
                        "title": passage.title,
                        "section": list(passage.section),
                        "start": passage.start,
                        "end": passage.end,
                        "url": passage.url,
                        "score": score,
                    },
                )
                for passage, score in search(query, count)
            ]

    return PassageRetriever()
