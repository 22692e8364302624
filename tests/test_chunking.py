"""Passages are verbatim, ordered, small enough, and lose nothing, whatever the document holds."""

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assistant.chunking import Window, embedded_text, layout, lead, split
from assistant.corpus import front_matter, load_corpus
from assistant.nouns import Document

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("ASSISTANT_DEV_DATA", REPOSITORY.parent / "shared" / "data"))
NARROW = Window(count=lambda text: len(text) // 3 + 2, limit=64)


def document(text, name="a.md", title="Title"):
    return Document(name, title, text, None, "", front_matter(text)[1])


def line_of(text, offset):
    return 1 + len(re.findall(r"\r\n|\r|\n", text[:offset]))


def assert_sound(source, size, window=None):
    """The invariants of `split`; returns the passages."""
    passages = split(source, size, window)
    structure = layout(source)
    headings = [(structure.lines[first], structure.lines[after]) for first, after, _, _ in structure.headings]
    outside = list(source.text)
    outside[: source.body] = []
    for start, end in headings:
        outside[start - source.body : end - source.body] = " " * (end - start)
    for passage in passages:
        assert source.text[passage.start : passage.end] == passage.text
        assert passage.text.strip()
        assert passage.text == passage.text.rstrip()
        assert len(passage.text) <= size
        assert (passage.line_start, passage.line_end) == (
            line_of(source.text, passage.start),
            line_of(source.text, passage.end),
        )
        assert (passage.document_id, passage.title, passage.url) == (source.id, source.title, source.url)
        assert all(passage.end <= start or end <= passage.start for start, end in headings)
        if window:
            assert window.holds(embedded_text(source, passage, window, structure))
        outside[passage.start - source.body : passage.end - source.body] = " " * len(passage.text)
    assert all(before.end <= after.start for before, after in pairwise(passages))
    lost = "".join(outside).strip()
    assert not lost, f"lost: {lost[:80]!r}"
    return passages


# --- documents made of blocks

WORD = st.sampled_from(
    ["kernel", "VM", "`a. b`", "**bold**", "e.g.", "1.2.3", "[x](http://y.z)", "überlang" * 12, "🐳", "|", "#"]
)
SENTENCE = st.lists(WORD, min_size=1, max_size=25).map(lambda found: " ".join(found) + ".")
PARAGRAPH = st.lists(SENTENCE, min_size=1, max_size=6).map(" ".join)
CELLS = st.lists(WORD.filter(lambda word: word != "|"), min_size=2, max_size=2).map(
    lambda row: "| " + " | ".join(row) + " |"
)
CODE = st.lists(
    st.sampled_from(["# comment", "run --flag", "", "- item", "|---|---|", "x" * 150, "    deep"]), max_size=8
)
BLOCK = st.one_of(
    st.builds(
        lambda level, text: f"{'#' * level} {text}", st.integers(1, 6), st.sampled_from(["One", "Two `x`", "", "3 #"])
    ),
    st.builds(
        lambda text, mark: f"{text}\n{mark}",
        st.sampled_from(["Setext", "Two\nlines"]),
        st.sampled_from(["===", "-----"]),
    ),
    PARAGRAPH,
    PARAGRAPH.map(lambda text: "> " + text.replace(". ", ".\n> ")),
    st.lists(
        st.builds(
            lambda indent, mark, text: f"{indent}{mark} {text}",
            st.sampled_from(["", "  ", "\t", "\t\t", "    "]),
            st.sampled_from(["-", "*", "1.", "2)", "- [ ]"]),
            PARAGRAPH,
        ),
        min_size=1,
        max_size=6,
    ).map("\n".join),
    st.builds(lambda head, rows: "\n".join([head, "|---|:-:|", *rows]), CELLS, st.lists(CELLS, max_size=12)),
    st.builds(
        lambda mark, lines, close: "\n".join([mark + "sh", *lines, *([mark] if close else [])]),
        st.sampled_from(["```", "~~~~"]),
        CODE,
        st.booleans(),
    ),
    CODE.map(lambda lines: "\n".join("    " + line for line in lines)),
    st.sampled_from(
        [
            "<!-- a comment\n\n# x\n-->",
            "<div>\ntext\n</div>",
            "[a]: http://x.y 'T'",
            "[b]:\n  /url",
            "---",
            "\t",
            "",
            "\n\n",
            "    |---|---|",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
)
TEXT = st.builds(
    lambda front, blocks, gap, end: (front + gap.join(blocks)).replace("\n", end),
    st.sampled_from(["", "", "---\ntitle: T\n---\n", "---\ntitle: A: b\n...\n\n"]),
    st.lists(BLOCK, min_size=1, max_size=8),
    st.sampled_from(["\n\n", "\n", "\n\n\n"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
LONG_TITLE = "A title of more than forty characters, as titles often are"
DROPPED_ROW = "    |---|---|\n" + "    a line of code\n" * 10
WIDE_HEADER = f"| {'name ' * 60} | b |\n|---|---|\n" + "| some words in a cell | and in another |\n" * 3


@given(TEXT, st.integers(100, 800), st.sampled_from(["a.md", "a.txt"]))
@example(DROPPED_ROW, 100, "a.md")
@settings(database=None, deadline=None, max_examples=200)
def test_passages_are_verbatim_ordered_and_lose_nothing(text, size, name):
    assert_sound(document(text, name), size)


@given(TEXT, st.integers(100, 800))
@example(WIDE_HEADER, 700)
@settings(database=None, deadline=None, max_examples=100)
def test_every_embedded_text_fits_the_window(text, size):
    assert_sound(document(text, title=LONG_TITLE), size, NARROW)


def test_a_wide_table_header_does_not_grind_its_rows_to_dust():
    texts = [passage.text for passage in split(document(WIDE_HEADER, title=LONG_TITLE), 700, NARROW)]
    rows = WIDE_HEADER.splitlines()[2:]
    assert all(any(row in text for text in texts) for row in rows)


@pytest.mark.parametrize("size", [100, 300, 700])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_file_with_a_byte_order_mark_splits_like_any_other(tmp_path, size, end):
    text = "\ufeff---\ntitle: Ü\n---\n# H\n\n" + "Ein langer Satz über 🐳 Container. " * 30 + "\n\n- a\n- b\n"
    (tmp_path / "a.md").write_bytes(text.encode().replace(b"\n", end))
    (source,) = load_corpus(tmp_path).documents
    assert {passage.section for passage in assert_sound(source, size)} == {("H",)}


@pytest.mark.parametrize("size", [120, 700])
def test_the_corpus_of_the_repository_splits_soundly(size):
    for source in load_corpus(REPOSITORY / "corpus").documents:
        assert_sound(source, size)
        assert_sound(source, size, NARROW)


@pytest.mark.parametrize("name", ["docs_firecracker", "docs_gvisor"])
@pytest.mark.parametrize("size", [120, 700])
def test_documentation_from_elsewhere_splits_soundly(name, size):
    if not (DATA / name).is_dir():
        pytest.skip(f"there is no {DATA / name}; ASSISTANT_DEV_DATA names the folder of development data")
    for source in load_corpus(DATA / name).documents:
        if source.id.endswith(".md"):
            assert_sound(source, size, NARROW if size == 120 else None)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ["a" * 2_000_000, "word " * 400_000, "```\n" + "a" * 2_000_000 + "\n```"])
def test_a_line_of_megabytes_is_split(text):
    passages = split(document(text), 700)
    assert "".join("".join(passage.text for passage in passages).split()) == "".join(text.split())
    assert max(len(passage.text) for passage in passages) <= 700


@pytest.mark.timeout(20)
def test_a_table_of_thousands_of_rows_is_split_in_seconds():
    assert_sound(document("| a | b |\n|---|---|\n" + "| some cell | another cell |\n" * 5000), 700)


# --- headings and sections


def sections(text, name="a.md"):
    return [(passage.section, passage.text) for passage in split(document(text, name))]


@pytest.mark.parametrize(
    "text",
    [
        "```sh\n# comment\n```",
        "~~~\n# comment",
        "    # comment",
        "<!--\n# comment\n-->",
        "#hashtag",
        "\\# escaped",
        "> # quoted",
        "- # in an item",
    ],
)
def test_what_only_looks_like_a_heading_is_text(text):
    assert sections(f"# H\n\n{text}") == [(("H",), text)]


@pytest.mark.parametrize("heading", ["# H", "## H ##", "  # H", "H\n===", "H\n---", "# [**H**](http://x.y)"])
def test_a_heading_is_a_section_and_lies_in_no_passage(heading):
    assert sections(f"before\n\n{heading}\n\nafter") == [((), "before"), (("H",), "after")]


def test_section_paths_nest_and_reset():
    text = "# A\n\na\n\n## B\n\nb\n\n### C\n\nc\n\n## D\n\nd\n\n# E\n\ne\n\n#### F\n\nf\n\n## G\n\ng"
    assert [section for section, _ in sections(text)] == [
        ("A",),
        ("A", "B"),
        ("A", "B", "C"),
        ("A", "D"),
        ("E",),
        ("E", "F"),
        ("E", "G"),
    ]


def test_a_text_file_knows_no_headings():
    assert sections("# H\n\ntext\n===", "a.txt") == [((), "# H\n\ntext\n===")]


# --- where it cuts


def test_neighbours_are_joined_while_they_fit():
    assert [text for _, text in sections("one\n\n- two\n- three\n\nfour")] == ["one\n\n- two\n- three\n\nfour"]


def test_a_passage_is_cut_between_blocks_then_items_then_sentences():
    paragraph = " ".join(f"Sentence number {number} stands here." for number in range(10))
    items = "\n".join(f"- Item number {number} stands here." for number in range(10))
    texts = [passage.text for passage in split(document(f"{paragraph}\n\n{items}"), 150)]
    assert all(text.endswith("here.") for text in texts)
    assert all(text.startswith(("Sentence", "- Item")) for text in texts)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_cut_in_the_middle_is_embedded_with_its_header(end):
    rows = [f"| row {number} | value {number} |" for number in range(20)]
    source = document(end.join(["# H", "", "| Name | Cost |", "|---|---|", *rows]))
    first, *others = split(source, 200)
    assert embedded_text(source, first).count("| Name | Cost |") == 1
    assert others
    assert all(embedded_text(source, passage).count("| Name | Cost |") == 1 for passage in others)
    assert all("| Name | Cost |" not in passage.text for passage in others)


def test_embedded_text_carries_title_and_headings():
    source = document("# A\n\n## B\n\ntext", title="The title")
    (passage,) = split(source)
    assert embedded_text(source, passage) == "The title > A > B\ntext"


def test_a_heading_that_is_the_title_is_not_said_twice():
    assert lead("A", ("A", "B"), Window()) == "A > B"


def test_what_leads_is_cut_from_the_left_to_a_third_of_the_window():
    window = Window(len, 150)
    assert lead("t" * 300, ("heading",), window).endswith("heading")
    assert len(lead("t" * 300, ("heading",), window)) <= 50
    assert lead("title", (), Window(len, 6)) == ""


def test_a_link_definition_stays_with_its_neighbour():
    texts = [text for _, text in sections("# A\n\ntext [a]\n\n[a]: http://x.y\n\n# B\n\n[b]: http://x.y")]
    assert texts == ["text [a]\n\n[a]: http://x.y", "[b]: http://x.y"]


@pytest.mark.parametrize("text", ["    code\n    more", "\n\n    code", "# H\n    code\n"])
def test_a_passage_keeps_the_indentation_of_its_first_line(text):
    assert [passage.text[:8] for passage in split(document(text))] == ["    code"]
