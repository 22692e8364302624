"""A conversation in the browser: what it sends back is believed where it holds together, and never a reason to fail."""

import copy
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_rendering import HOSTILE, Page, answered, invisible, passage, refused

from assistant.answering import open_assistant
from assistant.conversation import (
    INTERRUPTED,
    KEEP,
    STOPPED,
    Exchange,
    as_data,
    export_json,
    export_markdown,
    interrupted,
    messages,
    panel,
    read_answer,
    read_conversation,
    said,
    turns,
)
from assistant.nouns import Citation, Hit
from assistant.query import MAX_QUESTION
from assistant.rendering import answer_json, clean, one_line
from assistant.settings import Settings

QUESTIONS = (
    "Why do containers start faster than VMs?",
    "What is the difference between containers and VMs?",
    "When should I use VMs instead of containers?",
)
UNANSWERABLE = "What does a Docker subscription cost?"
BASE = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def exchanges(founding_home, founding_corpus):
    """Real answers of every sort: whole, refused, growing, not begun, stopped."""
    assistant = open_assistant(Settings(corpus=founding_corpus, index=founding_home), update=False)
    first = assistant.ask(QUESTIONS[0])
    offered = assistant.suggestions(first)
    whole = [Exchange(QUESTIONS[0], answer=first, suggestions=offered)]
    whole += [Exchange(question, answer=assistant.ask(question)) for question in QUESTIONS[1:]]
    growing = next(assistant.stream(QUESTIONS[0]))
    refusal = Exchange(
        UNANSWERABLE, "subscription", "quotes", assistant.ask(UNANSWERABLE), rating="down", feedback="1f"
    )
    assistant.close()
    return [
        *whole,
        refusal,
        Exchange("Growing?", answer=growing),
        Exchange("Not begun?"),
        Exchange("Stopped?", answer=growing, trouble=STOPPED),
        Exchange(QUESTIONS[0], answer=whole[0].answer, suggestions=offered, rating="up"),
    ]


def through_the_browser(data):
    return json.loads(json.dumps(data, allow_nan=False))


def rendered(text):
    return Page(MarkdownIt("js-default", {"html": True}).render(text))


def show_all(exchanges):
    """Everything that is made of a conversation, as it would be sent or saved."""
    return [
        json.dumps(made, allow_nan=False, ensure_ascii=False).encode()
        for made in (
            as_data(exchanges),
            messages(exchanges),
            messages(interrupted(exchanges)),
            panel(exchanges),
            [said(one) for one in exchanges],
            [[turn.question, turn.answer] for turn in turns(exchanges)],
            export_markdown(exchanges, "Title", BASE),
            export_json(exchanges, "Title"),
        )
    ]


def points_to_its_sources(exchanges):
    ids = Page(panel(exchanges)).ids
    assert len(ids) == len(set(ids))
    for at, one in enumerate(messages(exchanges)[1::2], 1):
        links = rendered(one["content"]).links
        assert all(re.fullmatch(rf"#source-{at}-\d+", link) for link in links)
        assert {link.removeprefix("#") for link in links} <= set(ids)
    return ids


# --- there and back


def test_a_conversation_comes_back_from_the_browser_as_it_was(exchanges):
    data = as_data(exchanges)
    back = read_conversation(through_the_browser(data))
    assert as_data(back) == data
    for before, after in zip(exchanges, back, strict=True):
        assert (before.question, before.trouble, before.ended) == (after.question, after.trouble, after.ended)
        assert before.suggestions == after.suggestions
    assert messages(back) == messages(exchanges)
    assert export_markdown(back, "Title", BASE) == export_markdown(exchanges, "Title", BASE)


def test_a_citation_comes_back_with_the_hit_it_stands_in_and_its_quote_to_the_letter(exchanges, founding_text):
    for one in exchanges[:3]:
        back = read_answer(through_the_browser(answer_json(one.answer)))
        assert back.hits
        assert [hit.passage for hit in back.hits] == [hit.passage for hit in one.answer.hits]
        assert len(back.citations) == len(one.answer.citations)
        for citation in back.citations:
            assert founding_text[citation.start : citation.end] == citation.quote
            assert citation.passage.text in founding_text
            inside = slice(citation.start - citation.passage.start, citation.end - citation.passage.start)
            assert citation.passage.text[inside] == citation.quote


@pytest.mark.parametrize("count", [0, 1, KEEP, KEEP + 1, 3 * KEEP])
def test_the_newest_exchanges_are_kept(count):
    many = [Exchange(f"Question {number}?") for number in range(count)]
    newest = [one.question for one in many[-KEEP:]] if count else []
    data = as_data(many)
    assert [one["question"] for one in data] == newest
    assert [one.question for one in read_conversation(data)] == newest
    written = [{"question": one.question} for one in many]
    assert [one.question for one in read_conversation(written)] == newest


# --- what a browser may send

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
NAMES = st.sampled_from("question query model answer trouble suggestions rating feedback schema hits text".split())


@given(JSON | st.lists(st.dictionaries(NAMES, JSON, max_size=8) | JSON, max_size=4))
@settings(database=None, deadline=None, max_examples=60)
def test_garbage_is_no_conversation_and_no_reason_to_fail(data):
    found = read_conversation(data)
    assert len(found) <= KEEP
    show_all(found)
    points_to_its_sources(found)


def places(value, path=()):
    """The path of every value within JSON."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def changed(data, path, new):
    """A copy of JSON with another value at a path, or without that value where the new one is `...`."""
    if not path:
        return None if new is ... else new
    data = copy.deepcopy(data)
    parent = data
    for key in path[:-1]:
        parent = parent[key]
    if new is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = new
    return data


@pytest.fixture(scope="module")
def sent(exchanges):
    """Two exchanges as the browser sends them, one answered and one refused."""
    return as_data([exchanges[0], exchanges[3]])


WRONG = ["", "[9]", "\\[9]", "x", "\ud800", "9" * 5000, "javascript:alert(1)", "http://evil.example/> <b>x</b>"]
WRONG += [-1, 0, 1, 10**30, 1e308, float("nan"), float("inf"), True, None, [], {}, ["x"], [1, 9], ...]
STRANGE = st.sampled_from(WRONG)


@given(st.data())
@settings(database=None, deadline=None, max_examples=120)
def test_a_conversation_that_was_tampered_with_is_shown_in_part_or_not_at_all(sent, data):
    tampered = sent
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(places(tampered), key=str)))
        tampered = changed(tampered, path, data.draw(STRANGE | JSON))
    found = read_conversation(tampered)
    show_all(found)
    points_to_its_sources(found)
    for one in found:
        for citation in one.answer.citations if one.answer else ():
            inside = slice(citation.start - citation.passage.start, citation.end - citation.passage.start)
            assert citation.passage.text[inside] == citation.quote


TAMPERED = {
    "a quote that is not in its passage": (("citations", 0, "quote"), "Containers are always slower."),
    "a quote of another place": (("citations", 0, "start"), 1),
    "a citation of another number": (("citations", 0, "number"), 99),
    "a mark without a citation": (("citations",), []),
    "a sentence that is not in the text": (("sentences", 0, "text"), "Containers are always slower. [1]"),
    "another text": (("text",), "Containers are always slower. [1]"),
    "a passage of another length": (("hits", 0, "text"), "Short."),
    "a support that is none": (("sentences", 0, "support"), "certain"),
    "an address that is none": (("citations", 0, "url"), "javascript:alert(1)"),
    "an address that would end its link": (("hits", 0, "url"), "http://example.org/> <b>"),
    "half a character": (("search_query",), "\ud800"),
    "no number": (("hits", 0, "score"), float("nan")),
    "a refusal that cites": (("refused",), True),
    "another schema": (("schema",), 2),
    "a part that is missing": (("timings_ms",), ...),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_an_answer_that_does_not_hold_together_is_refused_and_its_question_stays(case, sent):
    path, new = TAMPERED[case]
    (one, other) = read_conversation(changed(sent, (0, "answer", *path), new))
    assert one.question == QUESTIONS[0]
    assert one.answer is None
    assert one.trouble == INTERRUPTED
    assert other.answer is not None
    with pytest.raises((KeyError, TypeError, ValueError)):
        read_answer(changed(sent[0]["answer"], path, new))


def test_a_quote_of_the_same_length_that_is_not_in_its_passage_is_refused(sent):
    quote = sent[0]["answer"]["citations"][0]["quote"]
    (one, _) = read_conversation(changed(sent, (0, "answer", "citations", 0, "quote"), quote.swapcase()))
    assert one.answer is None


def test_two_citations_of_one_number_are_refused(sent):
    twice = changed(sent, (0, "answer", "citations"), sent[0]["answer"]["citations"][:1] * 2)
    twice = changed(twice, (0, "answer", "text"), "x [1]")
    assert read_conversation(changed(twice, (0, "answer", "sentences"), []))[0].answer is None


def test_a_sentence_that_begins_behind_a_backslash_gets_no_mark(sent):
    answer = changed(sent[0]["answer"], ("text",), "argv\\[9]")
    sentence = {"text": "[9]", "start": 5, "end": 8, "citations": [], "support": "supported"}
    with pytest.raises(ValueError):
        read_answer(changed(answer, ("sentences",), [sentence]))


def test_long_texts_are_cut_and_half_characters_replaced():
    (one,) = read_conversation([{"question": "x" * 9999, "trouble": "y" * 9999, "query": "\ud800z", "rating": 1}])
    assert one == Exchange("x" * MAX_QUESTION, trouble="y" * MAX_QUESTION, query="?z")


# --- what is shown


def test_every_mark_of_a_message_leads_to_its_source_in_the_panel(exchanges):
    ids = points_to_its_sources(exchanges)
    expected = [
        f"source-{at}-{one.number}"
        for at, exchange in enumerate(exchanges, 1)
        for one in (exchange.answer.citations if exchange.answer else ())
    ]
    assert sorted(ids) == sorted(expected)
    linked = [link for one in messages(exchanges)[1::2] for link in rendered(one["content"]).links]
    assert {link.removeprefix("#") for link in linked} == set(expected)


def test_each_question_has_one_reply_and_suggestions_stand_below_the_last(exchanges):
    shown = messages(exchanges)
    assert [one["role"] for one in shown] == ["user", "assistant"] * len(exchanges)
    assert [one["content"] for one in shown[::2]] == [one.question for one in exchanges]
    assert all(one["content"] for one in shown)
    offered = exchanges[-1].suggestions
    assert offered
    assert [option["value"] for option in shown[-1]["options"]] == list(offered)
    assert not any("options" in one for one in shown[:-1])


def test_the_panel_opens_the_last_exchange_alone_and_shows_it_first(exchanges):
    shown = panel(exchanges)
    assert shown.startswith("<details class='exchange' open>")
    assert shown.count(" open>") == 1
    assert shown.count("<details class='exchange'") == sum(one.answer is not None for one in exchanges)
    assert "\n" not in shown


def test_what_is_not_whole_when_a_page_opens_was_interrupted(exchanges):
    before = [*exchanges[:3], Exchange("a"), Exchange("b", answer=exchanges[4].answer), Exchange("c", trouble="Wrong.")]
    after = interrupted(before)
    assert [one.trouble for one in after] == ["", "", "", INTERRUPTED, INTERRUPTED, "Wrong."]
    assert [(one.question, one.answer) for one in after] == [(one.question, one.answer) for one in before]
    assert interrupted(after) == after
    assert INTERRUPTED in rendered(messages(after[:4])[-1]["content"]).letters


def test_an_answer_is_read_out_without_numbers_and_with_its_trouble(exchanges):
    for one in exchanges:
        told = said(one)
        assert not re.search(r"\[\d+\??\]", told)
        assert one.trouble in told
        assert bool(told) == bool(one.trouble or (one.answer and one.answer.text))


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_was_asked_or_found_replies_hold_letters_and_links_to_sources(text):
    source = passage(text, title=text, section=(text,), url=None)
    found = [
        Exchange(text, answer=answered(text, source, search_query=text, notices=(text,)), trouble=text),
        Exchange(text, answer=refused(text, source), trouble=text),
    ]
    points_to_its_sources(found)
    for one in messages(found)[1::2]:
        shown = rendered(one["content"])
        assert shown.tags <= {"p", "strong", "em", "code", "a"}
        assert not invisible(shown.letters)
    assert not invisible(Page(panel(found)).letters)
    assert "script" not in Page(panel(found)).tags


# --- exports


def letters(text):
    return re.sub(r"\s+", " ", text).strip()


def test_the_markdown_export_holds_every_answer_with_its_citations_in_full(exchanges):
    shown = letters(rendered(export_markdown(exchanges, "Title", BASE)).letters)
    for one in exchanges:
        assert letters(one.question) in shown
        for citation in one.answer.citations if one.answer else ():
            passage = citation.passage
            assert f"“{letters(citation.quote)}”" in shown
            place = [f"[{citation.number}] {passage.title}", *passage.section, passage.document_id]
            assert all(letters(part) in shown for part in place)
            assert f"line {citation.line_start}" in shown or f"lines {citation.line_start}–" in shown


def test_the_json_export_holds_the_answers_as_the_api_gives_them(exchanges):
    exported = through_the_browser(export_json(exchanges, "Title"))
    assert exported["title"] == "Title"
    assert [one["question"] for one in exported["exchanges"]] == [one.question for one in exchanges]
    for one, before in zip(exported["exchanges"], exchanges, strict=True):
        assert one["answer"] == (answer_json(before.answer) if before.answer else None)
        assert one["rating"] == before.rating
        if before.answer:
            assert [cited["quote"] for cited in one["answer"]["citations"]] == [
                c.quote for c in before.answer.citations
            ]


@pytest.mark.parametrize("base", ["", BASE])
def test_the_markdown_export_links_to_sources_alone(exchanges, base):
    shown = rendered(export_markdown(exchanges, "Title", base))
    assert bool(shown.links) == bool(base)
    assert all(link.startswith(f"{BASE}/sources/docker-vs-vms.md?start=") for link in shown.links)


@pytest.mark.parametrize("url", [None, "https://example.org/a"])
@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_was_asked_or_found_the_export_holds_no_html_no_image_and_no_foreign_link(text, url):
    source = passage(text, title=text, section=(text,), document_id=text, url=url)
    whole = Citation(1, source, text, source.start, source.end, 7, 9)
    found = [
        Exchange(
            text, answer=answered(text, source, search_query=text, notices=(text,), citations=(whole,)), trouble=text
        ),
        Exchange(text, answer=refused(text, source)),
    ]
    exported = export_markdown(found, text, BASE)
    shown = rendered(exported)
    assert shown.tags <= {"h1", "h2", "p", "strong", "em", "code", "a", "ul", "li"}
    assert shown.attributes <= {"href"}
    assert all(link.startswith((f"{BASE}/sources/", "https://example.org/a#")) for link in shown.links)
    assert not invisible(exported)
    assert letters(one_line(clean(text))) in letters(shown.letters)


def test_a_refusal_is_exported_with_what_comes_nearest():
    hits = tuple(Hit(passage(f"Near {number}.", document_id=f"{number}.md"), 0.5) for number in range(5))
    shown = rendered(export_markdown([Exchange("Why?", answer=refused("Nothing says so.")), Exchange("?")], "T"))
    assert "a.md, lines 7–9" in shown.letters
    shown = rendered(
        export_markdown(
            [Exchange("Why?", answer=answered("", text="No.", refused=True, sentences=(), citations=(), hits=hits))],
            "T",
        )
    )
    assert [name for name in ("0.md", "1.md", "2.md", "3.md") if name in shown.letters] == ["0.md", "1.md", "2.md"]
