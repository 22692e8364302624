"""Two sides, read from a file beside the documents and told by their words."""

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assistant.comparison import NOTHING, Comparison, Side, read_comparison

BOATS = Comparison(
    (Side("Sailing boats", ("sailing boat", "yacht")), Side("Motor boats", ("motor boat", "launch", "c++"))),
    "Sail or motor?",
    ("Which is quieter?",),
)
SIDES = [{"name": "A", "words": ["alpha"]}, {"name": "B", "words": ["beta", "b b"]}]


# --- reading


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, NOTHING),
        ({"sides": []}, NOTHING),
        ({"sides": None, "title": None, "examples": None}, NOTHING),
        ({"title": " Boats \n and more "}, Comparison(title="Boats and more")),
        ({"examples": ["Why?", "How  so?"]}, Comparison(examples=("Why?", "How so?"))),
        ({"sides": SIDES}, Comparison((Side("A", ("alpha",)), Side("B", ("beta", "b b"))))),
    ],
)
def test_what_a_file_says_is_read(data, expected):
    assert read_comparison(data) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "sides"),
        ([], "sides"),
        ("sides", "sides"),
        (7, "sides"),
        ({"other": 1}, "sides"),
        ({1: 2}, "sides"),
        ({"sides": "ab"}, "list of two"),
        ({"sides": 2}, "list of two"),
        ({"sides": SIDES[:1]}, "list of two"),
        ({"sides": [*SIDES, SIDES[0]]}, "list of two"),
        ({"sides": ["a", "b"]}, "each side"),
        ({"sides": [{"name": "A"}, SIDES[1]]}, "each side"),
        ({"sides": [{**SIDES[0], "colour": "red"}, SIDES[1]]}, "each side"),
        ({"sides": [{"name": "A", "words": []}, SIDES[1]]}, "no words"),
        ({"sides": [{"name": "A", "words": "alpha"}, SIDES[1]]}, "list of texts"),
        ({"sides": [{"name": "A", "words": [1]}, SIDES[1]]}, "must be text"),
        ({"sides": [{"name": "A", "words": ["--"]}, SIDES[1]]}, "must be text"),
        ({"sides": [{"name": 1, "words": ["alpha"]}, SIDES[1]]}, "must be text"),
        ({"sides": [{"name": " ", "words": ["alpha"]}, SIDES[1]]}, "must be text"),
        ({"title": 5}, "`title`"),
        ({"title": ["a"]}, "`title`"),
        ({"examples": "Why?"}, "`examples`"),
        ({"examples": [None]}, "`examples`"),
        ({"examples": [{"a": 1}]}, "`examples`"),
    ],
)
def test_a_file_that_says_something_else_is_named_with_the_reason(data, reason):
    with pytest.raises(ValueError, match=reason):
        read_comparison(data)


@pytest.mark.parametrize("compared", [NOTHING, BOATS])
def test_what_is_kept_of_it_reads_back_the_same(compared):
    assert read_comparison(compared.as_data()) == compared
    assert read_comparison(yaml.safe_load(yaml.safe_dump(compared.as_data()))) == compared


def test_the_checkout_s_own_file_is_read(repository, comparison):
    assert read_comparison(yaml.safe_load((repository / "corpus" / "comparison.yaml").read_text("utf-8"))) == comparison
    assert [side.name for side in comparison.sides] == ["Containers", "Virtual machines"]


# --- naming


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A yacht", (True, False)),
        ("YACHTS", (True, False)),
        ("two sailing boats", (True, False)),
        ("Sailing-Boat", (True, False)),
        ("sailing_boats", (True, False)),
        ("sailing\n  boat", (True, False)),
        ("the sailing - boat", (True, False)),
        ("launches", (False, True)),
        ("a yacht-like launch", (True, True)),
        ("the yacht's sails", (True, False)),
        ("C++ code", (False, True)),
        ("c++s", (False, True)),
        # A part of a word is not the word, nor is a part of a name.
        ("yachting", (False, False)),
        ("superyacht", (False, False)),
        ("my_yacht", (False, False)),
        ("launched", (False, False)),
        ("c+", (False, False)),
        ("sailing a boat", (False, False)),
        ("sailingboat", (False, False)),
        ("sailing", (False, False)),
        ("", (False, False)),
    ],
)
def test_a_side_is_named_by_whole_words(text, expected):
    assert BOATS.named(text) == expected
    assert BOATS.only(text) == {(True, False): 0, (False, True): 1}.get(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Docker", (True, False)),
        ("containerized apps", (True, False)),
        ("a VM", (False, True)),
        ("Virtual Machines", (False, True)),
        ("microVM or micro-VM", (False, True)),
        ("the hypervisor of a container", (True, True)),
        ("contained in vmstat", (False, False)),
    ],
)
def test_the_checkout_s_sides_are_told_by_whole_words(text, expected, comparison):
    assert comparison.named(text) == expected


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("A launch and a yacht", 1),
        ("A yacht and a launch", 0),
        ("Motor boats, yachts, motor boats", 1),
        ("A yacht", 0),
        ("A raft", None),
        ("", None),
    ],
)
def test_the_side_that_is_named_first(text, first):
    assert BOATS.first(text) == first


def test_the_names_are_taken_out_or_replaced():
    text = "Is a yacht, or any sailing-boat,  faster than motor boats?"
    assert BOATS.neutral(text) == "Is a , or any , faster than ?"
    assert BOATS.without(1, "a launch here").split() == ["a", "here"]
    assert BOATS.replaced(0, text, r"x\1") == r"Is a x\1, or any x\1,  faster than motor boats?"
    assert BOATS.replaced(1, text, "rafts") == "Is a yacht, or any sailing-boat,  faster than rafts?"
    assert BOATS.search(0, text).group() == "yacht"
    assert BOATS.search(1, "a raft") is None


@pytest.mark.parametrize("text", ["", "A yacht and a launch", "Docker or VMs?", "  two   spaces "])
def test_without_sides_nothing_is_named(text):
    assert NOTHING.named(text) == (False, False)
    assert NOTHING.only(text) is NOTHING.first(text) is NOTHING.search(0, text) is NOTHING.search(1, text) is None
    assert NOTHING.neutral(text) == " ".join(text.split())


PIECES = st.lists(
    st.sampled_from(
        [*"  -_\nséx", "yacht", "Yachts", "sailing", "boat", "boats", "motor", "launch", "es", "raft", ". "]
    ),
    max_size=12,
).map("".join)


@given(PIECES)
@example("sailing launch boat")
@example("motor yacht boat")
@settings(database=None, deadline=None, max_examples=500)
def test_a_neutral_text_names_no_side(text):
    assert BOATS.named(BOATS.neutral(text)) == (False, False)


@given(PIECES, st.sampled_from([0, 1]))
@settings(database=None, deadline=None)
def test_each_question_about_a_text_agrees_with_the_others(text, side):
    named = BOATS.named(text)
    assert named == (BOATS.search(0, text) is not None, BOATS.search(1, text) is not None)
    assert (BOATS.first(text) is None) == (named == (False, False))
    if (only := BOATS.only(text)) is not None:
        assert BOATS.first(text) == only
    assert BOATS.search(side, BOATS.replaced(side, text, "raft")) is None
    if not named[side]:
        assert BOATS.replaced(side, text, "raft") == BOATS.without(side, text) == text
