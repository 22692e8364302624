"""What is searched for: follow-ups made whole, typing errors mended, limits kept."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import UsageError
from assistant.nouns import Turn
from assistant.query import MAX_QUESTION, check_question, edit_distance, read_history, sides, spell, standalone
from assistant.terms import terms

STARTUP = [Turn("How quickly do containers boot?", "Almost instantly.")]
ISOLATION = [Turn("How strong is the isolation of Docker?", "Process-level.")]
VOCABULARY = frozenset(
    "container containers docker virtualization isolation kernel kernels hypervisor overhead dependencies "
    "kubernetes storage stored trial trail".split()
)


# --- follow-ups


@pytest.mark.parametrize("question", ["And VMs?", "Why is it fast?", "What is the kernel shared with?", "Docker"])
def test_without_a_history_a_question_stays_as_it_is(question):
    assert standalone(question, []) == question


@pytest.mark.parametrize(
    "question",
    [
        "How do virtual machines isolate applications with conflicting dependencies?",
        "Which should I use to run untrusted code?",
        "Compare the isolation of containers and VMs",
        "What does a Docker subscription cost?",
        "Why do containers start faster than VMs?",
        "How do virtual machines keep applications apart from each other?",
    ],
)
def test_a_question_that_says_everything_stays_as_it_is(question):
    history = [Turn("How is disk space billed by hosting providers?", "It depends.")]
    assert standalone(question, history) == question


@pytest.mark.parametrize(
    ("question", "history", "added", "absent"),
    [
        ("Why is that?", STARTUP, "containers quickly boot", ""),
        ("Does it need a kernel of its own for that?", STARTUP, "containers boot", ""),
        ("And VMs?", STARTUP, "quickly boot", "containers"),
        ("What about virtual machines?", ISOLATION, "strong isolation", "docker"),
        ("And containers?", [Turn("How big is the overhead of a hypervisor?")], "big overhead", "hypervisor"),
        ("Containers or VMs?", STARTUP, "quickly boot", ""),
        ("And memory?", [*STARTUP, Turn("And VMs?", "Slower.")], "vms boot memory", ""),
    ],
)
def test_a_question_that_leans_back_gets_the_words_it_leaves_out(question, history, added, absent):
    query = standalone(question, history)
    assert query.startswith(question)
    assert set(terms(added)) <= set(terms(query))
    assert not set(terms(absent)) & set(terms(query))


def test_no_word_is_added_twice():
    found = terms(standalone("And the boot of containers?", [Turn("Do containers boot? Boot, container?"), *STARTUP]))
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Docker", (True, False)),
        ("containerized apps", (True, False)),
        ("a VM", (False, True)),
        ("Virtual Machines", (False, True)),
        ("the hypervisor of a container", (True, True)),
        ("contained in vmstat", (False, False)),
    ],
)
def test_the_sides_are_told_by_whole_words(text, expected):
    assert sides(text) == expected


# --- spelling


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Is a contaner safe?", "Is a container safe?"),
        ("CONTIANER isolatoin", "container isolation"),
        ("virtualzation", "virtualization"),
        ("kernal, kernal", "kernel, kernel"),
        # Known words, their forms, short words, stop words and words far from all others stay.
        ("container kernels", "container kernels"),
        ("isolating the dockers", "isolating the dockers"),
        ("vrm", "vrm"),
        ("which weather", "which weather"),
        ("hernel", "hernel"),
        ("kernel5", "kernel5"),
        ("", ""),
        # One word could be several.
        ("traal", "traal"),
        # A part of a longer word is not the word.
        ("contaner contanerly", "container contanerly"),
    ],
)
def test_a_word_is_mended_only_where_one_known_word_is_meant(query, expected):
    assert spell(query, VOCABULARY) == expected


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("", "abc", 3),
        ("abc", "ab", 1),
        ("abc", "abd", 1),
        ("abc", "acb", 1),
        ("ab", "ba", 1),
        ("kitten", "sitting", 3),
        ("ca", "abc", 3),
        ("abcd", "badc", 2),
        ("docker", "dokcre", 2),
    ],
)
def test_edits_are_counted(first, second, distance):
    assert edit_distance(first, second, 9) == edit_distance(second, first, 9) == distance
    for most in range(4):
        assert edit_distance(first, second, most) == min(distance, most + 1)


def alignment(first, second):
    """The same distance, by its definition."""
    if not first or not second:
        return len(first) + len(second)
    found = [
        alignment(first[1:], second) + 1,
        alignment(first, second[1:]) + 1,
        alignment(first[1:], second[1:]) + (first[0] != second[0]),
    ]
    if len(first) > 1 and first[1::-1] == second[:2]:
        found.append(alignment(first[2:], second[2:]) + 1)
    return min(found)


@given(st.text("abc", max_size=5), st.text("abc", max_size=5), st.integers(0, 6))
@settings(database=None, deadline=None)
def test_the_distance_is_the_definition_s_and_the_same_both_ways(first, second, most):
    expected = min(alignment(first, second), most + 1)
    assert edit_distance(first, second, most) == edit_distance(second, first, most) == expected


# --- limits


@pytest.mark.parametrize("question", ["a", "7", "Ж?", " é ", "a" * MAX_QUESTION, f"  {'a' * MAX_QUESTION}\n"])
def test_a_question_within_the_limits_comes_back_without_blank_space_around_it(question):
    assert check_question(question) == question.strip()


@pytest.mark.parametrize("question", ["", "  ", "\n", "?!", "🐳", "a" * (MAX_QUESTION + 1)])
def test_an_empty_or_a_long_question_is_wrong_usage(question):
    assert MAX_QUESTION == 2000
    with pytest.raises(UsageError):
        check_question(question)


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (None, []),
        ([], []),
        ([{"question": "a", "answer": "b"}], [Turn("a", "b")]),
        ([{"question": "a"}, {"question": "c", "answer": "", "more": 1}], [Turn("a"), Turn("c")]),
        ([{"question": "a" * (MAX_QUESTION + 9)}], [Turn("a" * MAX_QUESTION)]),
    ],
)
def test_a_history_is_a_list_of_turns(turns, expected):
    assert read_history(turns) == expected


@pytest.mark.parametrize(
    "turns",
    [
        "text",
        {},
        {"question": "a"},
        ["text"],
        [None],
        [{}],
        [{"answer": "b"}],
        [{"question": 1}],
        [{"question": None, "answer": "b"}],
        [{"question": "a", "answer": None}],
        [{"question": "a", "answer": ["b"]}],
        [{"question": "a", "answer": "b"}, 7],
    ],
)
def test_any_other_history_is_wrong_usage(turns):
    with pytest.raises(UsageError, match="history"):
        read_history(turns)
