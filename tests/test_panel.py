"""The sources panel: the letters of its passages, the quote marked, links of our own, and nothing else."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_rendering import HOSTILE, Page, answered, invisible, passage, refused, squeezed

from assistant.nouns import Citation, Hit
from assistant.panel import panel_html

# What of a document's Markdown is shown as such.
TEXT = set("p br ul ol li blockquote table thead tbody tr th td pre code strong em hr mark a".split())
FRAME = set("p span h3 article div".split())
ATTRIBUTES = {"class", "id", "tabindex", "href", "start", "role", "aria-label"}


def anchor(number):
    return f"source-1-{number}"


def marked(text):
    return "".join(re.findall(r"<mark>(.*?)</mark>", text, re.DOTALL))


@pytest.mark.parametrize("refusal", [False, True])
@pytest.mark.parametrize("text", [*HOSTILE, "a\n\n![x](http://evil.example)", "a\r\r![x](http://evil.example)"])
def test_the_panel_holds_no_tag_of_a_document_no_foreign_link_and_no_line_break(text, refusal):
    source = passage(text, title=text, section=(text,), url=None)
    shown = panel_html(refused(text, source) if refusal else answered(text, source), anchor)
    parsed = Page(shown)
    assert parsed.tags <= TEXT | FRAME
    assert parsed.attributes <= ATTRIBUTES
    assert all(link.startswith("../sources/a.md?start=") for link in parsed.links)
    assert not invisible(parsed.letters)
    # After a blank line the panel's Markdown would be read as Markdown again.
    assert "\n" not in shown
    assert "\r" not in shown


@pytest.mark.parametrize("name", [*HOSTILE, "a b.md", "a#b?c%41.md", "é/ü.md"])
def test_a_document_of_any_name_is_shown_by_its_name_and_linked_within_the_sources(name):
    source = passage("A passage.", document_id=name, url=None)
    parsed = Page(panel_html(answered("x", source), anchor))
    assert parsed.tags <= TEXT | FRAME
    assert parsed.attributes <= ATTRIBUTES
    assert all(re.match(r"\.\./sources/[\w.~/%-]+\?start=", link) for link in parsed.links)
    assert not invisible(parsed.letters)


@given(
    st.lists(st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=1, max_size=8), min_size=1).map(" ".join)
)
@settings(database=None, deadline=None, max_examples=60)
def test_plain_words_survive_and_the_first_half_of_them_is_marked(text):
    source = passage(f"x {text}")
    answer = answered(text, source)
    shown = panel_html(answer, anchor)
    assert source.text in Page(shown).letters
    assert squeezed(Page(marked(shown)).letters) == squeezed(answer.citations[0].quote)


def test_the_panel_marks_the_quote_and_shows_the_rest_of_its_passage():
    source = passage("Containers share & start.")
    shown = panel_html(answered("x", source), anchor)
    assert f"<mark>{source.text[:12]}</mark>" in shown
    assert source.text in Page(shown).letters
    assert "id='source-1-1'" in shown
    assert "a.md, lines 7–8" in shown
    assert "why boot" in shown


def test_a_passage_is_shown_as_markdown_with_its_quote_marked_through_the_marks():
    text = "- **Fast:** one *two* `three` [four](other.md).\n- five\n\n| a | b |\n|---|---|\n| six | seven |\n"
    source = passage(text)
    quote = text[2 : text.index("\n")]
    cited = Citation(1, source, quote, source.start + 2, source.start + 2 + len(quote), 7, 7)
    shown = panel_html(answered("x", source, citations=(cited,)), anchor)
    assert {"li", "strong", "em", "code", "table"} <= Page(shown).tags
    assert Page(marked(shown)).letters.replace(" ", "") == "Fast:onetwothreefour."
    for mark in ("**", "](", "|"):
        assert mark not in Page(shown).letters


def test_each_source_leads_to_its_place_in_the_document_and_on_its_own_page():
    answer = answered("x", passage("A passage of words."))
    (one,) = answer.citations
    viewer, page = Page(panel_html(answer, anchor)).links
    assert viewer.startswith(f"../sources/a.md?start={one.start}&end={one.end}&check=")
    assert viewer.endswith("#cited")
    assert page == "https://example.org/a#:~:text=A%20passage"


@pytest.mark.parametrize("hits", [0, 1, 5])
def test_the_panel_of_a_refusal_shows_what_comes_nearest_unmarked(hits):
    answer = answered("", refused=True, sentences=(), citations=(), hits=(Hit(passage("Near."), 0.1),) * hits)
    shown = panel_html(answer, anchor)
    assert Page(shown).letters.count("Near.") == min(hits, 3)
    assert "<mark>" not in shown
    assert " id=" not in shown


def test_a_search_for_markup_is_shown_as_letters():
    shown = panel_html(answered("x", search_query="<b>\n\n![x](http://evil.example)"), anchor)
    assert "<b>" not in shown
    assert "\n" not in shown
