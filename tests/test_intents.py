"""What a question asks for, told by its words."""

import pytest

from assistant.intents import KINDS, asked_kinds, implies_sides, is_choice, is_comparison


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("What does a Docker subscription cost?", "a price"),
        ("How much would a license be per year?", "a price"),
        ("How expensive is a hypervisor?", "a price"),
        ("In what year was Docker released?", "a date"),
        ("When was the first hypervisor invented?", "a date"),
        ("Who invented containers?", "a person"),
        ("Who is the CEO of Docker?", "a person"),
        ("Which command starts a container?", "a command or setting"),
        ("Show me a Dockerfile", "a command or setting"),
        ("How do I install Docker?", "steps"),
        ("How can I migrate a VM?", "steps"),
        ("How many seconds does a VM take to boot?", "a figure"),
        ("What percentage of memory is lost?", "a figure"),
    ],
)
def test_a_question_for_a_fact_names_its_kind(question, kind):
    assert kind in [found.name for found in asked_kinds(question)]


@pytest.mark.parametrize(
    "question",
    [
        "Why do containers start faster than VMs?",
        "Which should I use to run untrusted code?",
        "Compare the isolation of containers and VMs",
        "How do containers share the kernel?",
        "What resources does a VM consume?",
        "Do containers reduce cost and overhead?",
        "How do VMs isolate applications?",
        "",
    ],
)
def test_most_questions_ask_for_no_fact_of_a_kind(question):
    assert asked_kinds(question) == ()


@pytest.mark.parametrize(
    ("name", "holds", "lacks"),
    [
        ("a price", "It is $ 5 a month. 7 euros", "Five people use it at a cost."),
        ("a date", "Released in 2013 or on May 5", "Version 20135 in some year"),
        ("a person", "Solomon Hykes wrote it", "the kernel team wrote it"),
        ("a command or setting", "Run `docker ps` now", "Run the program now"),
        ("steps", "1. Open it", "Open it first"),
        ("a figure", "in 5 ms", "in a moment"),
    ],
)
def test_a_kind_knows_a_text_that_holds_one(name, holds, lacks):
    (kind,) = [kind for kind in KINDS if kind.name == name]
    assert kind.holds.search(holds)
    assert not kind.holds.search(lacks)


@pytest.mark.parametrize(
    ("question", "choice", "comparison", "implied"),
    [
        ("Which should I use to run untrusted code?", True, False, True),
        ("Which one is safer?", True, False, True),
        ("Should I use Docker?", True, False, False),
        ("Docker or a VM?", True, False, False),
        ("Containers or virtual machines for legacy apps?", True, False, False),
        ("Compare the isolation of containers and VMs", False, True, False),
        ("How do the two differ?", False, True, True),
        ("Do both need a kernel?", False, True, True),
        ("Docker vs. VMs", False, True, False),
        ("Are VMs slower than containers?", False, True, False),
        ("What is a hypervisor?", False, False, False),
        ("How do containers share the kernel?", False, False, False),
        ("What is the weather?", False, False, False),
    ],
)
def test_choices_and_comparisons_are_told_apart(question, choice, comparison, implied):
    assert (is_choice(question), is_comparison(question), implies_sides(question)) == (choice, comparison, implied)
