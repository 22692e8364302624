"""The sentences of a model's answer: the same however the stream was split, each without its markers."""

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assistant.drafting import Said, drafted

# Written apart from drafting.py: a citation as a reader sees it, or the beginning of one.
MARKER = re.compile(
    r"[\[【]\^?(?:passage )?\d{1,3}(?:, ?\d{1,3})*[\]】](?!\([^()\s]*(?: \"[^\"]*\")?\))"
    r"|[\[【]\^?(?:passage )?\d{1,3}(?![^\]】]*[\]】]|\d)|[\[【]\^?\Z"
)
THOUGHT = re.compile(r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)", re.IGNORECASE | re.DOTALL)
END = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.IGNORECASE)

FRAGMENTS = [
    *(
        "[1]",
        "[2, 3]",
        "[1][2]",
        "【1】",
        "【2†L3】",
        "[passage 2]",
        "[^3]",
        "[[1]]",
        "([1])",
        "(source 2)",
        "[1: a. B]",
    ),
    *(
        "[1",
        "[",
        "]",
        "【",
        "】",
        "(",
        "(e.g. ",
        ")",
        "[10 GB]",
        "[1](x)",
        "](u)",
        "[see. This",
        "<https://a.b>",
        '"c. d"',
    ),
    *("Containers start fast.", " VMs boot slowly. ", "One", " is ", " a. B ", "e.g. ", "i.e.", "No. 5 ", "x[1]y"),
    *(".", ". ", "! ", "? ", "… ", "1", "2", "é", "—", "\u2028", "\t", "  ", "\n", "\n", "\n\n", "\r\n"),
    *("- ", "- [ ] ", "• ", "1. ", "12", "> ", "# ", "## Head", "---", "--", "==", "===", "```", "~~~"),
    *("`", "``", "`a. B`", "it's `x", "**", "*", "\\"),
    *("| a | b |", "|---|---|", "| Faster. [1] | Slower [2]. |", "|", "\\|"),
    *("<think>", "</think>", "<thinking>", "</thinking>", "<", "</"),
]
ANSWERS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=14).map("".join)


def texts(answer: str) -> list[str]:
    return [one.text for one in drafted(answer, True)]


@settings(max_examples=600, deadline=None)
@given(ANSWERS)
@example("A is. <think>b</think> C is.")
@example("See `it now. Then` first. C")
@example('See [it now. Then](u "so on. And") first. C')
@example("See [it [1] now. Then](u) first. C")
@example("One is. [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14] Two")
@example("| a is | b is |\nThen. More")
@example("| a is | b |\n|---|---|<think>c</think>")
@example("Title\n---\nText. More")
@example("Title\n1. ---\nText")
@example("Zero. See [it now. Then](u) first")
@example("[10 GB]\n- [1]| a. | b |")
@example("[1[2]One is. Two ]")
def test_what_was_finished_stays(answer):
    """Whatever comes next, nothing that was said is changed, taken back or moved."""
    whole = drafted(answer, True)
    if END.search(THOUGHT.sub("", answer)):
        return  # an end of reasoning without its beginning takes back what was before it
    for length in range(len(answer) + 1):
        so_far = drafted(answer[:length], False)
        assert so_far == whole[: len(so_far)], answer[:length]


@settings(max_examples=600, deadline=None)
@given(ANSWERS, st.booleans())
@example("A[[1", True)
@example("A is [1", True)
@example("A is [1. B is [2].", True)
@example("[1 VMs boot. ]", True)
@example("A is ([1]).", True)
def test_no_sentence_holds_a_marker_or_half_of_one(answer, final):
    for one in drafted(answer, final):
        assert not MARKER.search(one.text)
        assert one.text == " ".join(one.text.split())
        assert any(map(str.isalpha, one.text))
        assert not re.search(r"</?think", one.text.partition("<")[0])


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("Containers start fast [1].", (1,)),
        ("Containers start fast. [1]", (1,)),
        ("Containers start fast.[1]", (1,)),
        ("[1] Containers start fast.", (1,)),
        ("Containers [1] start fast [2].", (1, 2)),
        ("Containers start fast [1, 2].", (1, 2)),
        ("Containers start fast [1; 2 and 3].", (1, 2, 3)),
        ("Containers start fast [1–3].", (1, 3)),
        ("Containers start fast [1][2][1].", (1, 2)),
        ("Containers start fast 【1】.", (1,)),
        ("Containers start fast 【4†L1-L5】.", (4,)),
        ("Containers start fast [passage 2].", (2,)),
        ("Containers start fast [Passages 2, 3].", (2, 3)),
        ("Containers start fast [passage 2, passage 3].", (2, 3)),
        ("Containers start fast (passage 2).", (2,)),
        ("Containers start fast [source 2].", (2,)),
        ("Containers start fast [no. 2].", (2,)),
        ("Containers start fast [^3].", (3,)),
        ("Containers start fast ([3]).", (3,)),
        ("Containers start fast [[3]].", (3,)),
        ("Containers start fast [3: Performance, line 18].", (3,)),
        ("Containers start fast [1", ()),
        ("Containers start fast. [pass", ()),
        ("Containers start fast 【", ()),
    ],
)
def test_a_marker_is_a_number_and_no_text(answer, numbers):
    (one,) = drafted(answer, True)
    assert one.text.rstrip(".") == "Containers start fast"
    assert one.numbers == numbers


@pytest.mark.parametrize(
    "answer", ["A [1](https://a.b) is.", "See [the docs](a.b) now.", "It has [10 GB] now.", "In [2024]."]
)
def test_a_link_and_a_bracket_of_words_are_no_markers(answer):
    assert drafted(answer, True) == [Said(answer, ())]


def test_a_marker_belongs_to_the_sentence_before_it():
    said = drafted("Images are layers. [1] Layers are shared [2]. Pulls are small. [3][4]", True)
    assert [one.numbers for one in said] == [(1,), (2,), (3, 4)]


@pytest.mark.parametrize(
    ("answer", "sentences"),
    [
        ("<think>Is it. No.</think>Images are layers.", ["Images are layers."]),
        ("Images are layers. <think>Is it.</think> Pulls are small.", ["Images are layers.", "Pulls are small."]),
        ("<think>Images are layers. Pulls", []),
        ("Images are layers.\n<THINKING>Is it", ["Images are layers."]),
        ("Is it. No.</think>Images are layers.", ["Images are layers."]),
        ("- Images are layers [1]\n* Pulls are small\n2. Layers are shared.", ["Images are layers", "Pulls are small", "Layers are shared."]),
        ("> Images are layers.", ["Images are layers."]),
        ("- [x] Images are layers.", ["Images are layers."]),
        ("## Images\nImages are layers.", ["Images are layers."]),
        ("Images\n======\nImages are layers.", ["Images are layers."]),
        ("Images\r\n---\r\nImages are layers.", ["Images are layers."]),
        ("- Images are layers\n---\nPulls are small.", ["Images are layers", "Pulls are small."]),
        ("Images are layers.\n---\nPulls are small.", ["Images are layers.", "Pulls are small."]),
        ("Images are layers:\n```sh\ndocker pull a. B\n```\nPulls are small.", ["Images are layers:", "Pulls are small."]),
        ("Images are layers.\n1. ~~~\n   docker pull", ["Images are layers."]),
        ("Run `a. B` first, e.g. now. Pulls are small.", ["Run `a. B` first, e.g. now.", "Pulls are small."]),
        ("It reads .dockerignore first [1] , then more.", ["It reads .dockerignore first, then more."]),
        ("1.\n\n42\n***", []),
    ],
)  # fmt: skip
def test_reasoning_headings_code_and_marks_are_no_sentences(answer, sentences):
    assert texts(answer) == sentences


TABLE = "| Containers | VMs |\n|:---|---:|\n| They share it. [1] | They have one [2]. |\n| Small \\| fast |  |\n"


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_table_is_its_cells_by_row_and_column_from_the_right(ends):
    assert drafted(TABLE.replace("\n", ends), True) == [
        Said("They share it.", (1,), (0, 1)),
        Said("They have one.", (2,), (0, 0)),
        Said("Small | fast", (), (1, 1)),
    ]


def test_a_cell_that_is_empty_keeps_its_column():
    assert [one.cell for one in drafted("| a is ||\n|| b is |", True)] == [(0, 1), (1, 0)]


def test_a_row_waits_until_it_can_be_no_header():
    head, rule, row, _ = TABLE.splitlines()
    assert drafted(f"{head}\n", False) == []
    assert drafted(f"{head}\n{rule[:4]}", False) == []
    assert drafted(f"{head}\n{rule}\n{row}\n| S", False) == drafted(f"{head}\n{rule}\n{row}", True)


def test_a_sentence_waits_for_the_next_and_for_nothing_else():
    assert drafted("Images are layers.", False) == []
    assert drafted("Images are layers. [1]", False) == []
    assert drafted("Images are layers. [1] P", False) == [Said("Images are layers.", (1,))]
    assert drafted("Images are layers. [1]\nP", False) == [Said("Images are layers.", (1,))]


@pytest.mark.parametrize(
    "piece", ["[", "[1", "(", "( ", "` ", "【[", "(`) [``] ", "[1](", "\n", "| ", "(passage 1 ", "<"]
)
@pytest.mark.parametrize("final", [False, True])
def test_no_answer_takes_long_to_read(piece, final):
    """A model that goes mad may write one thing only; it is read again with every piece."""
    begin = time.monotonic()
    drafted(piece * (20_000 // len(piece)), final)
    assert time.monotonic() - begin < 2  # it takes a hundredth
