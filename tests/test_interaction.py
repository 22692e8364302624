"""Late interaction: each word of a question against each word of a text, in context."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assistant.embedding import Encoded
from assistant.export import TOKEN_DIMENSION, rotation
from assistant.index import TOKEN_SCALE
from assistant.interaction import Asked, asked, met_by, met_by_statements


def question(index, encoder, text):
    return asked(index, text, encoder.encode_question(text))


def test_a_passage_meets_its_own_words_nearly_whole(founding, encoder):
    for row in range(0, len(founding.passages), 5):
        passage = founding.passages[row]
        own = question(founding, encoder, passage.text[:300])
        others = [own.score(met_by(founding, own, other)) for other in range(len(founding.passages))]
        assert int(np.argmax(others)) == row
        assert others[row] > 0.8


def test_stop_words_and_marks_weigh_nothing_and_rare_words_most(founding, encoder):
    text = "What is the hypervisor, and what are containers?"
    weights = {}
    one = question(founding, encoder, text)
    for weight, (start, end) in zip(one.weights, encoder.encode_question(text).spans, strict=True):
        weights[text[start:end].lower()] = weight
    assert weights["what"] == weights["the"] == weights[","] == weights["?"] == 0
    assert weights["containers"] > 0
    assert max(weights, key=weights.__getitem__) in "hypervisor"


def test_a_passage_meets_each_word_at_least_as_well_as_any_of_its_statements(founding, encoder):
    asks = question(founding, encoder, "Why do virtual machines boot slowly?")
    for row in range(len(founding.passages)):
        by_statements = met_by_statements(founding, asks, row)
        assert by_statements.shape == (len(founding.statements(row)), len(asks.tokens))
        assert (by_statements <= met_by(founding, asks, row) + 1e-9).all()


def test_a_model_without_tokens_scores_nothing(founding):
    none = Encoded(np.zeros(384, np.float32), np.zeros((0, 1), np.float32), np.zeros((0, 2), np.int32))
    asks = asked(founding, "Why?", none)
    assert asks.score(met_by(founding, asks, 0)) == 0 and len(met_by(founding, asks, 0)) == 0
    assert met_by_statements(founding, asks, 0).shape == (len(founding.statements(0)), 0)


@given(arrays(np.float64, 5, elements=st.floats(-1, 1)), arrays(np.float64, 5, elements=st.floats(0, 9)))
@settings(database=None, deadline=None)
def test_the_score_is_a_mean_of_means(met, weights):
    score = Asked(np.zeros((5, 4), np.float32), weights).score(met)
    assert met.min() - 1e-9 <= score <= met.max() + 1e-9


@pytest.mark.parametrize("dimension", [384, 128, 64])
def test_the_rotation_keeps_lengths_of_what_it_spans(dimension):
    columns = rotation(dimension)
    assert columns.shape == (dimension, min(dimension, TOKEN_DIMENSION))
    assert np.allclose(columns.T @ columns, np.eye(columns.shape[1]), atol=1e-5)


def test_tokens_stand_where_their_spans_say_and_the_vector_is_the_same(encoder):
    text = "Containers share the host's kernel (cgroups v2)."
    encoded = encoder.encode_question(text)
    assert encoded.vector.tobytes() == encoder.encode_query(text).tobytes()
    assert "".join(text[start:end] for start, end in encoded.spans) == text.replace(" ", "")
    assert np.allclose(np.linalg.norm(encoded.tokens, axis=1), 1, atol=1e-4)
    (again,) = encoder.encode_passages([text])
    assert again.tokens.tobytes() == encoded.tokens.tobytes()


def test_an_index_keeps_the_tokens_of_each_passage(founding, encoder):
    for row in range(0, len(founding.passages), 7):
        tokens, spans = founding.tokens(row)
        text = founding.passages[row].text
        inside = spans[:, 0] >= 0
        assert inside.any() and (spans[inside, 1] <= len(text)).all()
        assert abs(np.linalg.norm(tokens, axis=1) - 1).max() < 12 / TOKEN_SCALE
