"""Candidates of both halves are fused into one order."""

import numpy as np
import pytest
from langchain_core.retrievers import BaseRetriever

from assistant.retrieval import POOL, as_retriever, fuse, pool, retrieve

QUESTIONS = (
    "Which should I use to run untrusted code?",
    "Why do containers start faster?",
    "legacy applications",
    "zzzz qqqq",
    "1",
    "the of and",
)


def column(*scores: float) -> np.ndarray:
    return np.array(scores, dtype=np.float64)


@pytest.mark.parametrize("scores", [(0.0, 0.0, 0.0), (1.0, 1.0), (-3.5, -3.5, -3.5, -3.5)])
def test_equal_scores_tell_nothing_and_count_one_half(scores):
    assert fuse([column(*scores)], (1.0,)).tolist() == [0.5] * len(scores)
    ranks = fuse([column(*range(len(scores))), column(*scores)], (1.0, 1.0))
    assert ranks.tolist() == sorted(set(ranks.tolist()))


def test_a_single_candidate_is_no_sure_one():
    assert fuse([column(0.9), column(0.1), column(12.0)], (0.5, 0.5, 1.0)).tolist() == [0.5]


def test_no_candidates_give_no_scores():
    assert fuse([column(), column()], (1.0, 1.0)).tolist() == []


def test_fused_scores_lie_between_zero_and_one():
    chance = np.random.default_rng(1)
    for count in (1, 2, 7, 50):
        columns = [chance.normal(scale=100, size=count) for _ in range(3)]
        fused = fuse(columns, (0.5, 0.5, 1.0))
        assert ((fused >= 0) & (fused <= 1)).all()


def test_more_of_one_score_never_ranks_lower():
    chance = np.random.default_rng(2)
    for _ in range(50):
        columns = [chance.normal(size=8) for _ in range(3)]
        before = fuse(columns, (0.5, 0.5, 1.0))
        raised = [scores.copy() for scores in columns]
        raised[0][3] += chance.uniform(0, 3)
        after = fuse(raised, (0.5, 0.5, 1.0))
        beaten = {at for at in range(8) if before[3] > before[at]}
        assert beaten <= {at for at in range(8) if after[3] > after[at]} | {
            # The lowest of the column is what the others are measured from; only its raise moves them apart.
            at
            for at in range(8)
            if columns[0].argmin() == 3
        }


def test_better_in_every_score_is_better():
    chance = np.random.default_rng(3)
    columns = [chance.normal(size=20) for _ in range(3)]
    fused = fuse(columns, (0.5, 0.5, 1.0))
    for a in range(20):
        for b in range(20):
            if all(scores[a] > scores[b] for scores in columns):
                assert fused[a] > fused[b]


def test_the_pool_holds_the_best_of_both_halves_once(founding, encoder):
    for question in QUESTIONS:
        vector, lexical = encoder.encode_query(question), founding.lexical(question)
        rows = pool(founding, vector, lexical).tolist()
        assert rows == sorted(set(rows))
        assert set(founding.dense(vector, POOL)) <= set(rows)
        assert {int(row) for row in np.flatnonzero(lexical > 0)} <= set(rows) or len(founding.passages) > POOL


def test_a_passage_that_shares_no_word_is_no_lexical_candidate(founding):
    assert (founding.lexical("zzzz qqqq") == 0).all()
    assert (founding.lexical("hypervisor") > 0).any()


@pytest.mark.parametrize("question", QUESTIONS)
def test_hits_fall_in_score_and_signals_are_theirs(question, founding, encoder):
    found = retrieve(founding, encoder, question, 4)
    assert len(found.hits) == len(found.cosines) == len(found.statement_cosines) == len(found.lexical) == 4
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    for hit, cosine, lexical in zip(found.hits, found.cosines, found.lexical, strict=True):
        row = founding.row(hit.passage)
        assert cosine == pytest.approx(float(founding.passage_vectors[row] @ found.vector), abs=1e-6)
        assert lexical == founding.lexical(question)[row]


@pytest.mark.parametrize("question", QUESTIONS)
def test_fewer_hits_are_the_first_of_more(question, founding, encoder):
    assert retrieve(founding, encoder, question, 2).hits == retrieve(founding, encoder, question, 9).hits[:2]


def test_langchain_gets_documents_with_verbatim_offsets(founding, encoder, founding_text):
    retriever = as_retriever(lambda query, count: retrieve(founding, encoder, query, count).hits, 3)
    assert isinstance(retriever, BaseRetriever)
    documents = retriever.invoke("Why do containers start faster?")
    assert [one.id for one in documents] == [
        hit.passage.id for hit in retrieve(founding, encoder, "Why do containers start faster?", 3).hits
    ]
    for document in documents:
        facts = document.metadata
        assert facts["document"] == "docker-vs-vms.md"
        assert founding_text[facts["start"] : facts["end"]] == document.page_content
