"""Answer or refuse: raw signals, fitted weights kept as data."""

import json
from dataclasses import astuple, fields, replace

import pytest

from assistant.citations import cite
from assistant.gate import WEIGHTS, Signals, decide, load_weights, measure, missing_words, names, product_words
from assistant.retrieval import retrieve
from assistant.writing import quoting_writer

REFUSED = (
    "What does a Docker subscription cost?",
    "Who invented Docker?",
    "In what year was Kubernetes released?",
    "Which command removes all stopped containers?",
    "How do cgroups limit the memory of a container?",
    "What is the capital of France?",
    "How do I bake sourdough bread?",
    "zzzz qqqq",
)
ANSWERED = (
    "Which should I use to run untrusted code?",
    "Why do containers start faster than VMs?",
    "What is a hypervisor for?",
    "Do containers share the host kernel?",
    "Which is better for legacy applications?",
    "Compare the isolation of containers and VMs",
)


@pytest.mark.parametrize("question", REFUSED)
def test_what_the_founding_document_does_not_hold_is_refused(question, founding, encoder):
    assert not decide(founding, encoder, retrieve(founding, encoder, question, 5)).answer


@pytest.mark.parametrize("question", ANSWERED)
def test_what_the_founding_document_holds_is_answered(question, founding, encoder):
    decision = decide(founding, encoder, retrieve(founding, encoder, question, 5))
    assert decision.answer
    assert 0 < decision.confidence < 1


def test_untrusted_code_belongs_into_a_virtual_machine(founding, encoder):
    found = retrieve(founding, encoder, "Which should I use to run untrusted code?", 5)
    first = cite(quoting_writer(founding, [found])).sentences[0]
    assert "vms" in first.text.lower() or "virtual machine" in first.text.lower()


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Does Docker run on Kubernetes 1.27?", ["Docker", "Kubernetes", "1.27"]),
        ("Docker is what?", []),
        ("what about VMs", ["VMs"]),
        ("VMs or containers?", ["VMs"]),
        ("Is AWS Lambda a container?", ["AWS", "Lambda"]),
        ("does it need 4 cores and 16 GB", ["GB", "4", "16"]),
        ("Docker and Docker and 3 and 3", ["Docker", "3"]),
        ("What Is The Difference", ["Difference"]),
        ("", []),
    ],
)
def test_names_and_numbers_of_a_question(question, expected):
    assert names(question) == expected


def test_a_product_word_is_rare_in_english_and_absent_from_the_documents(founding, encoder):
    assert product_words(founding, encoder, "How do cgroups and hypervisors differ?") == ["cgroups"]
    assert product_words(founding, encoder, "How does the bread taste in winter?") == []


def test_missing_words_are_those_the_nearest_passages_lack(founding, encoder):
    found = retrieve(founding, encoder, "Do containers share the kernel with a toaster?", 5)
    assert missing_words(found) == ("toaster",)


def test_a_refusal_can_name_what_is_missing(founding, encoder):
    decision = decide(founding, encoder, retrieve(founding, encoder, "What does a Docker subscription cost?", 5))
    assert "subscription" in decision.missing


@pytest.mark.parametrize("question", [*REFUSED, *ANSWERED, "?1", "a" * 2000])
def test_every_signal_lies_between_zero_and_one(question, founding, encoder):
    signals = measure(founding, encoder, retrieve(founding, encoder, question, 5))
    assert all(0 <= value <= 1 for value in astuple(signals))


def test_the_weights_are_data_and_name_every_signal():
    data = json.loads(WEIGHTS.read_text("utf-8"))
    assert set(data["weights"]) == {field.name for field in fields(Signals)}
    weights = load_weights()
    assert 0 < weights.threshold < 1
    assert weights.weights == tuple(data["weights"][field.name] for field in fields(Signals))


def test_more_similarity_raises_the_confidence_and_strangers_lower_it():
    weights = load_weights()
    middle = Signals(0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0)
    for similarity in ("nearness", "lexical", "interaction"):
        assert weights.confidence(replace(middle, **{similarity: 0.9})) > weights.confidence(middle)
    for fault in ("unmet", "strangers", "wrong_kind"):
        assert weights.confidence(replace(middle, **{fault: 1.0})) < weights.confidence(middle)
