"""What a question asks for, told by its words."""

import pytest

from assistant.comparison import NOTHING
from assistant.intents import (
    KINDS,
    OPEN_CHOICE,
    asked_kinds,
    aspect,
    implies_sides,
    is_choice,
    is_comparison,
    is_yes_no,
    parts,
)
from assistant.terms import terms


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
    ("question", "choice", "compares", "implied"),
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
def test_choices_and_comparisons_are_told_apart(question, choice, compares, implied, comparison):
    assert is_choice(question, comparison) is choice
    assert is_comparison(question, comparison) is compares
    assert implies_sides(question, comparison) is implied


@pytest.mark.parametrize(
    "question",
    [
        "I run a bank. Which one is right for us?",
        "Containers or rather a VM?",
        "Docker? Or virtual machines?",
        "What would you recommend for a small shop?",
        "Does it make sense to go with containers here?",
        "What fits us better?",
        "Where should we host it?",
        "We need to run code that nobody has read",
        "Is a VM better suited for old software?",
    ],
)
def test_a_choice_is_asked_for_in_many_ways(question, comparison):
    assert is_choice(question, comparison)


@pytest.mark.parametrize(
    "question",
    [
        "What do containers use for isolation?",
        "Where do containers run?",
        "What does Docker use to build images?",
        "What do VMs run on?",
        "What does it take to move a VM?",
        "I want to know what a hypervisor is",
    ],
)
def test_a_question_of_fact_that_says_use_or_run_is_no_choice(question, comparison):
    assert not is_choice(question, comparison)


def test_without_two_sides_nothing_is_implied():
    for question in ("Which one is safer?", "Do both need a kernel?", "We need to run code that nobody has read"):
        assert not implies_sides(question, NOTHING)
    assert is_choice("Which one should I use?", NOTHING)
    assert not is_choice("Containers or VMs?", NOTHING)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Is Docker safe?", True),
        ("So, do VMs boot slowly?", True),
        ("Aren't containers faster?", True),
        ("VMs are slower, right?", True),
        ("Is it true that containers share the kernel?", True),
        ("How safe is Docker?", False),
        ("Which is faster?", False),
        ("Why do containers start fast?", False),
        ("", False),
    ],
)
def test_whether_yes_or_no_would_answer(question, expected):
    assert is_yes_no(question) is expected


@pytest.mark.parametrize(
    ("question", "kept", "gone"),
    [
        ("What is the difference in startup between containers and VMs?", "startup", "container vm difference"),
        ("Which one should I take for a quick startup?", "quick startup", "take"),
        ("Compare the isolation of containers and VMs", "isolation", "compare container vm"),
        ("How do VMs isolate applications?", "isolate applications", "vm"),
    ],
)
def test_the_aspect_is_what_is_left_without_sides_and_frame(question, kept, gone, comparison):
    about = set(terms(aspect(question, comparison)))
    assert set(terms(kept)) <= about
    assert not set(terms(gone)) & about


def test_both_sides_asked_the_same_have_the_same_aspect(comparison):
    asked = [aspect(f"How much memory do {side} need?", comparison) for side in ("containers", "VMs", "Docker")]
    assert len(set(asked)) == 1


def test_a_question_of_nothing_but_sides_keeps_its_words(comparison):
    for question in ("Docker", "VMs?", "containers and VMs"):
        assert aspect(question, comparison) == question


def test_a_choice_without_circumstances_asks_for_the_grounds(comparison):
    assert aspect("Which one should I use?", comparison) == OPEN_CHOICE


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "Why do containers start quickly, and how strong is the isolation of VMs?",
            ("Why do containers start quickly", "how strong is the isolation of VMs?"),
        ),
        (
            "How fast do containers boot? And how much memory do VMs need?",
            ("How fast do containers boot?", "how much memory do VMs need?"),
        ),
        (
            "Why is the startup of containers fast? What makes the isolation of VMs strong?",
            ("Why is the startup of containers fast?", "What makes the isolation of VMs strong?"),
        ),
        ("What is a hypervisor, and how do containers share the kernel?", 2),
        ("What is a hypervisor and what does a Docker subscription cost?", 2),
    ],
)
def test_two_questions_in_one_are_taken_apart(question, expected):
    found = parts(question)
    assert len(found) == expected if isinstance(expected, int) else found == expected


@pytest.mark.parametrize(
    "question",
    [
        "Why do containers start faster than VMs?",
        "Compare the isolation of containers and VMs",
        "I run a bank. Which should I use?",
        "We have old software and new software, so which one fits?",
        "How do containers and VMs store data?",
        "Which is faster, and why?",
        "How fast and how safe are containers?",
        "Do containers share the kernel? And VMs?",
        "Is Docker safe, and if so, why is it safe?",
        "kernel",
        "",
    ],
)
def test_one_question_stays_in_one_piece(question):
    assert parts(question) == (question,)
