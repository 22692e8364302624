"""Every marker resolves to an exact span, and the span was checked."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.citations import cite, displayed, lines_of, support
from assistant.corpus import lines_with_ends
from assistant.nouns import MARKER, Passage
from assistant.retrieval import retrieve
from assistant.writing import Quote, quoting_writer

# A citation mark as Markdown reads it: the bracket is literal only after an odd number of backslashes.
UNESCAPED = re.compile(r"(?<!\\)(?:\\\\)*\[(\d+)\]")


def passage(text: str, start: int = 100, line: int = 7, section: tuple[str, ...] = ("Guide", "Storage")) -> Passage:
    lines = len(list(lines_with_ends(text)))
    return Passage("guide.md", "Guide", section, text, start, start + len(text), line, line + max(0, lines - 1))


def quote(of: Passage, text: str, lead: str = "") -> Quote:
    start = of.start + of.text.index(text)
    return Quote(of, text, start, start + len(text), lead)


def check(cited) -> None:
    numbers = [int(number) for number in UNESCAPED.findall(cited.text)]
    assert set(numbers) == {citation.number for citation in cited.citations}
    assert [citation.number for citation in cited.citations] == list(range(1, len(cited.citations) + 1))
    for sentence in cited.sentences:
        assert cited.text[sentence.start : sentence.end] == sentence.text
        assert sentence.citations
        assert set(sentence.citations) <= set(numbers)
    for citation in cited.citations:
        of = citation.passage
        assert of.text[citation.start - of.start : citation.end - of.start] == citation.quote
        assert of.line_start <= citation.line_start <= citation.line_end <= of.line_end


def test_every_sentence_of_an_answer_carries_its_citation(founding, encoder, founding_text):
    for question in ("Why do containers start faster?", "Compare the isolation of containers and VMs", "kernel"):
        cited = cite(quoting_writer(founding, [retrieve(founding, encoder, question, 5)]), founding.comparison)
        assert len(cited.sentences) >= 1
        check(cited)
        assert {sentence.support for sentence in cited.sentences} == {"supported"}
        lines = founding_text.split("\n")
        for citation in cited.citations:
            assert founding_text[citation.start : citation.end] == citation.quote
            assert citation.quote in "\n".join(lines[citation.line_start - 1 : citation.line_end])


def test_no_quotes_are_no_text():
    cited = cite([])
    assert (cited.text, cited.sentences, cited.citations) == ("", (), ())


def test_a_span_quoted_twice_keeps_one_number():
    of = passage("Volumes persist. Layers do not.")
    cited = cite([quote(of, "Volumes persist."), quote(of, "Layers do not."), quote(of, "Volumes persist.")])
    assert [sentence.citations for sentence in cited.sentences] == [(1,), (2,), (1,)]
    check(cited)


@pytest.mark.parametrize(
    "text",
    [
        "As shown in [7], layers are reused.",
        "[1] is not a citation of ours.",
        "Twice [2][3] and nested [[4]].",
        r"Escaped by its author \[7] already.",
        r"A backslash C:\[9] before it.",
        "A link [8](https://example.com) and [text][5].",
    ],
)
def test_a_literal_mark_of_a_quote_is_no_citation(text):
    of = passage(text)
    cited = cite([quote(of, text)])
    check(cited)
    assert [int(number) for number in MARKER.findall(cited.text)] == [1]
    assert cited.citations[0].quote == text
    assert cited.sentences[0].support == "supported"


def test_a_literal_mark_of_a_heading_is_no_citation():
    of = passage("It persists.", section=("Volumes [3]",))
    cited = cite([quote(of, "It persists.", lead="Volumes [3]")])
    check(cited)
    assert cited.sentences[0].support == "supported"


@given(st.text(alphabet="ab [](){}\\1234567890\n>*`.!", min_size=1, max_size=60).filter(str.strip))
@settings(max_examples=300, deadline=None)
def test_whatever_is_quoted_its_marks_resolve(text):
    of = passage(text.strip())
    check(cite([Quote(of, of.text, of.start, of.end)]))


def test_a_quote_over_several_lines_is_shown_on_one():
    assert displayed("> Volumes\n> persist,\r\n>   layers\rdo not.") == "> Volumes persist, layers do not."
    of = passage("Volumes\n> persist, and\r\n> layers do not.")
    cited = cite([quote(of, of.text)])
    assert "\n" not in cited.sentences[0].text
    assert cited.sentences[0].support == "supported"
    check(cited)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_from_one_and_end_where_lines_end(end):
    of = passage(end.join(("one", "two", "three", "four")), line=5)
    for number, word in enumerate(("one", "two", "three", "four")):
        start = of.start + of.text.index(word)
        assert lines_of(of, start, start + len(word)) == (5 + number, 5 + number)
    assert lines_of(of, of.start, of.end) == (5, 8)


def test_a_form_feed_or_line_separator_ends_no_line():
    of = passage("one\x0c\u2028\x85two")
    assert lines_of(of, of.start, of.end) == (7, 7)


def test_a_span_that_is_not_the_passages_characters_supports_nothing():
    of = passage("Volumes persist. Layers do not.")
    [citation] = cite([quote(of, "Volumes persist.")]).citations
    assert support("Volumes persist. [1]", citation) == "supported"
    assert support("Volumes persist. [1]", replace(citation, start=citation.start + 1)) == "unsupported"
    assert support("Volumes persist. [1]", replace(citation, quote="Volumes vanish.")) == "unsupported"
    assert support("Volumes persist. [1]", replace(citation, end=of.end + 50)) == "unsupported"
    invented = Quote(of, "Volumes vanish.", of.start, of.start + 15)
    assert cite([invented]).sentences[0].support == "unsupported"


def test_words_that_the_span_does_not_hold_are_not_supported():
    of = passage("Volumes persist. Layers do not.")
    [citation] = cite([quote(of, "Volumes persist.")]).citations
    assert support("Volumes never persist. [1]", citation) != "supported"
    assert support("Volumes persist forever. [1]", citation) == "unsupported"
    assert support("Nothing of the kind. [1]", citation) == "unsupported"
    assert support("Storage: Volumes persist. [1]", citation) == "supported"
    assert support("Prices: Volumes persist. [1]", citation) == "weak"
    assert support("It is false that Volumes persist. [1]", citation) != "supported"
    assert support("Layers do not Volumes persist. [1]", citation) != "supported"
