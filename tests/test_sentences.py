"""Where sentences end, and what of a passage can be quoted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.comparison import NOTHING
from assistant.nouns import Passage
from assistant.sentences import (
    ITEM_CHARACTERS,
    aspects,
    is_delimiter_row,
    opens_with_reference,
    sentence_spans,
    statements,
)

OFFSET = 1000
MARKDOWN = st.lists(
    st.sampled_from(
        [
            *"ab1 .!?`*_[](){}<>|-+#>:\"'…\n\r\t\u2028\x0b🐳",
            "e.g. ",
            "\r\n",
            "\n\n",
            "- ",
            "> ",
            "| a | b |",
            "|---|---|",
        ]
    ),
    max_size=80,
).map("".join)


def passage(text):
    return Passage("a.md", "T", (), text, OFFSET, OFFSET + len(text), 1, 1 + text.count("\n"))


def quotable(text, code=()):
    return [(found.kind, found.text) for found in statements(passage(text), code)]


@pytest.mark.parametrize(
    "sentences",
    [
        ["One.", "Two.", "Three"],
        ["Use e.g. Docker.", "Or, i.e. in short, a VM.", "Done."],
        ["Containers vs. VMs.", "Both."],
        ["Images, volumes, etc. are kept.", "Next."],
        ["See (cf. Fig. 3) and No. 5.", "Next."],
        ["J. R. Smith wrote it.", "He did."],
        ["Dr. Smith of Acme Inc. wrote it.", "He did."],
        ["Version 1.2.3 is out.", "Go."],
        ["It takes 1.5 s at most.", "Go."],
        ["Since 2020.", "Then."],
        ["The answer is no.", "Go on."],
        ["It takes 5 min.", "Go."],
        ["1. First of a list.", "Second."],
        ["Run `a. b. c`.", "Then stop."],
        ["Run ``a ` b. c``.", "Then stop."],
        ['See [a](http://x.y/z. "A. b") now.', "Then."],
        ["See [the docs. All of them](http://x.y).", "Then."],
        ["See <https://x.y/a.b> or there.", "Then."],
        ["See https://x.y/z.html or setup.py now.", "Then."],
        ['He said "stop."', "Then he left."],
        ["He said “stop.”", "Then (he left.)", "Gone."],
        ["**Bold.**", "_Next._", "One."],
        ["Why?", "Because!", "Really?!", "Yes…", "OK."],
        ["Wait...", "What?"],
    ],
)
@pytest.mark.parametrize("space", [" ", "\n", "\r\n", "  \n"])
def test_sentences_end_where_a_reader_ends_them(sentences, space):
    text = space.join(sentences)
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


@given(MARKDOWN | st.text(max_size=80))
@settings(database=None, deadline=None)
def test_sentences_lie_in_order_within_the_text_and_lose_only_blank_space(text):
    spans = sentence_spans(text)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(text)
        assert not text[at:start].strip()
        assert text[start:end] == text[start:end].strip()
        at = end
    assert not text[at:].strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two.\nstill two.", [("sentence", "One."), ("sentence", "Two."), ("sentence", "still two.")]),
        ("One\ngoes on.\n\nTwo", [("sentence", "One\ngoes on."), ("sentence", "Two")]),
        ("- one. Two.\n* three\n+ four", [("item", "one. Two."), ("item", "three"), ("item", "four")]),
        ("1. one\n2) two\n10. ten", [("item", "one"), ("item", "two"), ("item", "ten")]),
        ("- one\n  goes on\n- two", [("item", "one\n  goes on"), ("item", "two")]),
        ("- [ ] open\n- [x] done", [("item", "open"), ("item", "done")]),
        ("- one\n  - nested\n\t\t- deep\n- two", [("item", t) for t in ("one", "nested", "deep", "two")]),
        ("- one\n\n  Second. Third.", [("item", "one"), ("sentence", "Second."), ("sentence", "Third.")]),
        ("-\n  one", [("item", "one")]),
        ("> One. Two.", [("sentence", "One."), ("sentence", "Two.")]),
        ("> One goes\n> on.", [("sentence", "One goes\n> on.")]),
        ("> One.\n> Two.", [("sentence", "One."), ("sentence", "Two.")]),
        (">> One", [("sentence", "One")]),
        ("> - one\n> - two", [("item", "one"), ("item", "two")]),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |", [("row", "1 | 2"), ("row", "3 | 4")]),
        ("a | b\n--|--\n1 | 2\n\nText.", [("row", "1 | 2"), ("sentence", "Text.")]),
        ("| a |\r\n|---|\r\n| 1 |\r\n\r\nText.", [("row", "1"), ("sentence", "Text.")]),
        ("> | a | b |\n> |---|---|\n> | 1 | 2 |", [("row", "1 | 2")]),
        ("| 1 | 2 |\n| 3 | 4 |", [("row", "1 | 2"), ("row", "3 | 4")]),
        ("# Heading\nText", [("sentence", "Text")]),
        ("Text\n\n***\n- - -\n", [("sentence", "Text")]),
        ("[a]: http://x.y\nText", [("sentence", "Text")]),
        ("...\n\n!?\n\n- *\n\nText", [("sentence", "Text")]),
        ("", []),
    ],
)
def test_a_passage_is_quoted_by_sentences_items_and_rows(text, expected):
    assert quotable(text) == expected


def test_an_item_is_quoted_whole_only_while_it_is_short():
    sentence = "A sentence of some length, for the item. "
    short = sentence.strip()
    long = (sentence * (ITEM_CHARACTERS // len(sentence) + 1)).strip()
    assert quotable(f"- {short} {short}") == [("item", f"{short} {short}")]
    assert set(quotable(f"- {long}")) == {("sentence", short)}


@pytest.mark.parametrize("fence", ["```sh\nrun --this\n```", "    run --this", "<div>\nrun this\n</div>"])
def test_code_is_not_quotable(fence):
    text = f"Before.\n\n{fence}\n\nAfter."
    start = OFFSET + text.index(fence)
    assert quotable(text, [(0, OFFSET), (start, start + len(fence) + 1)]) == [
        ("sentence", "Before."),
        ("sentence", "After."),
    ]


@given(MARKDOWN)
@settings(database=None, deadline=None)
def test_statements_are_verbatim_and_in_order_and_never_blank(text):
    at = OFFSET
    for found in statements(passage(text)):
        assert at <= found.start < found.end <= OFFSET + len(text)
        assert found.text == text[found.start - OFFSET : found.end - OFFSET]
        assert any(character.isalnum() for character in found.text)
        assert found.text == found.text.strip()
        at = found.end


@pytest.mark.parametrize(
    ("line", "expected"),
    [("|---|---|", True), (" --- | :-: ", True), ("|-|", True), ("---", False), ("| a |", False), ("|", False)],
)
def test_a_delimiter_row_has_dashes_and_pipes_only(line, expected):
    assert is_delimiter_row(line) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("This makes them fast.", True),
        ("“They only package it.", True),
        ("**It** starts.", True),
        ("As a result, VMs are slow.", True),
        ("Thistle grows.", False),
        ("Item one.", False),
        ("Containers do this.", False),
    ],
)
def test_a_sentence_leans_on_the_one_before_by_its_first_word(text, expected):
    assert opens_with_reference(text) is expected


@pytest.mark.parametrize("extra", [0, 1])
def test_a_long_item_is_quoted_by_its_sentences(extra):
    first, second = "The first sentence is short.", "The second one is " + "very " * 20 + "long."
    item = f"{first} {second}"
    item += "!" * (ITEM_CHARACTERS - len(item) + extra)
    assert len(item) == ITEM_CHARACTERS + extra
    found = quotable(f"- {item}\n- Another.")
    assert found[-1] == ("item", "Another.")
    if extra:
        assert found[:-1] == [("sentence", first), ("sentence", item.removeprefix(f"{first} "))]
    else:
        assert found[:-1] == [("item", item)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("VMs take longer to start.", ["take longer to start."]),
        ("Containers take longer to start.", ["take longer to start."]),
        ("**Boot Time**: VMs are slow. Containers are not.", ["**Boot Time**: are slow.", "are not.", "Boot Time"]),
        ("**Docker**", ["**Docker**"]),
        ("VMs", ["VMs"]),
        ("", [""]),
    ],
)
def test_a_statement_is_about_its_sentences_and_its_label_without_the_sides(text, expected, comparison):
    assert aspects(text, comparison) == expected


@given(MARKDOWN)
@settings(database=None, deadline=None)
def test_every_statement_has_an_aspect_with_letters_where_it_has_letters(text):
    for statement in statements(passage(text)):
        found = aspects(statement.text, NOTHING)
        assert found
        assert any(any(map(str.isalnum, one)) for one in found)
