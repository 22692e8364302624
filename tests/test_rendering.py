"""Whatever a document holds, a reader sees letters, emphasis, code and links to sources, and a program the schema."""

import json
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from assistant.citations import SILENT, cite, displayed
from assistant.comparison import Comparison, Side
from assistant.nouns import MARKER, Answer, Citation, Hit, Passage, Sentence
from assistant.rendering import (
    PLAIN,
    Table,
    answer_json,
    blocks_of,
    clean,
    escape_markdown,
    inline,
    markdown,
    terminal,
    terminal_hits,
)
from assistant.writing import Quote

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a <b onclick=x>b</b> &lt;script&gt; &#x3c;script>",
    "<a href='javascript:alert(1)'>x</a>",
    "![x](http://evil.example/a.png)",
    "![x][1]",
    "[x](javascript:alert(1))",
    "[x](java&#x09;script:alert(1))",
    "[x](data:text/html,x)",
    "[x](http://evil.example) <http://evil.example> https://evil.example",
    "[x](//evil.example)",
    "[x][y]\n\n[y]: http://evil.example",
    "[y]: http://evil.example",
    "[![x](http://evil.example/a.png)](http://evil.example)",
    "<form action=http://evil.example><input name=a></form>",
    "```mermaid\ngraph TD\n```",
    "~~~\ncode\n~~~",
    "$$\\href{javascript:alert(1)}{x}$$ $x$ \\(x\\) \\[x\\]",
    "\x1b]8;;http://evil.example\x07x\x1b]8;;\x07",
    "\x1b[31mred\x9b31m\x08\x08\x7f",
    "&#27;[31mred &#x9b;31m &#13;over &#12;page &#7; &#x202e;bidi &ZeroWidthSpace; &#0;",
    "zero\u200bwidth\u200d\ufeff\u2060 bidi\u202eevil\u2066\u2069\u061c\u200f tag\U000e0041",
    "`code \u202e <script>` ``a`b`` `` ` ``",
    "</mark></div></article><h1>x</h1>",
    "<!-- x --> <![CDATA[x]]> <?php x ?>",
    "# heading\n\n> quote\n\n- item\n\n1. one\n\n***\n\n| a | b |\n|---|---|\n| 1 | 2 |",
    "setext\n======",
    "    indented",
    "a&#10;&#10;    indented&#10;&#10;# heading",
    "~~gone~~ ==marked== H~2~O :smile: @user #1 [^1]",
    "{{7*7}} ${7*7} {% raw %}",
    "**bold *both* `code`** _em_ a_b_c **open *open `open [open",
    "trailing \\",
]


def passage(text, **changes):
    given = {"document_id": "a.md", "title": "Title", "section": ("One", "Two"), "text": text}
    given |= {"start": 100, "end": 100 + len(text), "line_start": 7, "line_end": 9, "url": "https://example.org/a"}
    return Passage(**(given | changes))


def answered(said, source=None, **changes):
    """An answer of one sentence with one citation of `source`, whose first half is the quote."""
    source = source or passage("A passage.")
    stop = source.start + len(source.text) // 2
    quote = source.text[: stop - source.start]
    text = f"{said} [1]"
    given = {
        "id": "0",
        "question": "Why?",
        "search_query": "why boot",
        "text": text,
        "refused": False,
        "answered_by": "quotes",
        "index": "i",
        "notices": ("A notice.",),
        "sentences": (Sentence(text, 0, len(text), (1,), "supported"),),
        "citations": (Citation(1, source, quote, source.start, stop, 7, 8),),
        "hits": (Hit(source, 0.5),),
        "timings_ms": {"retrieve": 1.0, "write": 2.0, "verify": 3.0, "total": 6.0},
    }
    return Answer(**(given | changes))


def refused(text, source=None):
    return answered("", source, text=text, refused=True, sentences=(), citations=())


def anchor(number):
    return f"#source-{number}"


class Page(HTMLParser):
    """The tags, addresses and letters of a piece of HTML."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.ids, self.letters = set(), [], [], ""
        self.attributes = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value for name, value in attrs if name in ("href", "src", "action")]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.letters += data

    def handle_comment(self, data):
        self.tags.add("!--")

    def unknown_decl(self, data):
        self.tags.add("![")

    handle_pi = handle_decl = handle_comment


def page(text):
    """What a reader with a full Markdown renderer, raw HTML allowed, gets to see."""
    return Page(MarkdownIt("js-default", {"html": True}).render(text))


def squeezed(text):
    return " ".join(text.split())


def invisible(text):
    return [
        f"U+{ord(character):04X}"
        for character in text
        if character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")
    ]


# --- Markdown


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_of_a_sentence_renders_to_letters_emphasis_code_and_links_to_sources(text):
    shown = page(markdown(answered(text), anchor))
    assert shown.tags <= {"p", "strong", "em", "code", "a"}
    assert shown.attributes <= {"href"}
    assert "#source-1" in shown.links
    assert all(re.fullmatch(r"#source-\d+", link) for link in shown.links)
    assert not invisible(shown.letters)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_of_a_refusal_is_nothing_but_letters(text):
    shown = page(markdown(refused(text), anchor))
    assert shown.tags <= {"p"}
    assert not invisible(shown.letters)


MARKS = st.lists(
    st.sampled_from([*"ab7 *_`~!()<>&\\$#:=+-.|{}^@\"'", "**", "```", "&lt;", "\n", "é", "🐳"]), max_size=30
).map("".join)


@given(MARKS)
@example("_`*~*_")
@example("**a*_a_")
@settings(database=None, deadline=None, max_examples=300)
def test_every_surface_shows_the_same_letters(text):
    text = text.strip()
    shown = page(markdown(answered(text), anchor))
    assert shown.tags <= {"p", "strong", "em", "code", "a"}
    assert squeezed(shown.letters) == squeezed(f"{inline(text, PLAIN)} [1]")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@example("\x1b\t0")
@example("a\n\n    b")
@settings(database=None, deadline=None)
def test_escaped_text_is_shown_character_by_character(text):
    shown = page(escape_markdown(text.strip()))
    assert shown.tags <= {"p"}
    assert squeezed(shown.letters) == squeezed(clean(text))


@given(
    st.lists(st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=1, max_size=8), min_size=1).map(" ".join)
)
@settings(database=None, deadline=None)
def test_plain_words_survive_everywhere(text):
    answer = answered(text, passage(text))
    assert text in page(markdown(answer, anchor)).letters
    assert text in terminal(answer, color=False)
    assert text in terminal_hits(answer.hits, color=False)


def test_markers_become_links_to_their_sources_and_a_literal_number_does_not():
    text = r"Pass argv\[7\] and x\[8] on [1][12]"
    sentence = Sentence(text, 0, len(text), (1, 12), "supported")
    shown = page(markdown(answered("", sentences=(sentence,)), anchor))
    assert shown.links == ["#source-1", "#source-12"]
    assert shown.letters.strip() == "Pass argv[7] and x[8] on [1][12]"


def test_a_literal_number_in_code_is_shown_as_it_stands():
    # A sentence carries `\[7]` where its quote has `[7]`, in a code span too.
    answer = answered(r"Pass `argv\[7]` on.")
    assert page(markdown(answer, anchor)).letters.strip() == "Pass argv[7] on. [1]"
    assert "argv[7] on. [1]" in terminal(answer, color=False)


def test_a_link_is_shown_as_its_label():
    shown = page(markdown(answered("See [the **docs**](https://example.org/x)."), anchor))
    assert shown.links == ["#source-1"]
    assert shown.letters.strip() == "See the docs. [1]"


# --- a comparison

SAIL = Comparison((Side("Sail | oars", ("sail", "oar")), Side("Motor (boats)", ("motor",))))


def compared(*said):
    """An answer of (text, cell) as the writer and the citations make it; cell None is a sentence of its own."""
    quotes = []
    for number, (text, cell) in enumerate(said):
        source = passage(text, document_id=f"{number}.md")
        quotes.append(Quote(source, text, source.start, source.start + len(text), "", cell))
    cited = cite(quotes, SAIL)
    hits = tuple(Hit(quote.passage, 0.5) for quote in quotes)
    answer = answered("x", text=cited.text, sentences=cited.sentences, citations=cited.citations, hits=hits, notices=())
    return answer, len({(quote.text, quote.passage) for quote in quotes})


def numbers_shown(text):
    return sorted(int(number) for number in re.findall(r"(?<!\S)\[(\d+)\](?!\S)", text))


CELLS = [
    "a | b",
    "| a | b |",
    r"a \| b",
    r"a \\| b",
    "a `x | y` b",
    "ends with a bar |",
    "| starts with a bar",
    "ends with a backslash \\",
    "| --- | --- |",
    "a **bold | bar** b",
    "over\n| two | lines |\n| --- | --- |",
    "||",
    "argv[7] and x[1]",
    "The documents say nothing on this.",
    "a <b>|</b> &#124; c",
]


@pytest.mark.parametrize(
    ("first", "second"),
    [*((text, "Motors are loud.") for text in CELLS), *(("Sails are quiet.", text) for text in CELLS)],
)
def test_a_comparison_is_a_table_of_two_columns_on_every_surface(first, second):
    answer, count = compared((first, 0), (second, 1))
    (table,) = blocks_of(answer)
    assert isinstance(table, Table)
    assert table.header == ["Sail | oars", "Motor (boats)"]
    assert [len(row) for row in table.rows] == [2]
    shown = page(markdown(answer, anchor))
    assert shown.tags <= {"table", "thead", "tbody", "tr", "th", "td", "p", "strong", "em", "code", "a"}
    assert "table" in shown.tags
    assert shown.links == [f"#source-{number}" for number in range(1, count + 1)]
    told = terminal(answer, color=False).split("\n\n[1] ")[0]
    assert numbers_shown(told) == list(range(1, count + 1))
    assert told.startswith("Sail | oars: ")
    assert "\n\nMotor (boats): " in told
    assert not invisible(told)


@pytest.mark.parametrize("text", CELLS)
def test_a_cell_shows_the_letters_of_its_quote(text):
    answer, _ = compared((text, 0), ("Motors are loud.", 1))
    one_lined = displayed(text)
    assert len(answer.text.split("\n")) == 3
    assert answer.sentences[0].support == "supported"
    letters = page(markdown(answered(one_lined), anchor)).letters
    (table,) = blocks_of(answer)
    assert squeezed(page(markdown(answered(table.rows[0][0].removesuffix(" [1]")), anchor)).letters) == squeezed(
        letters
    )


@pytest.mark.parametrize(
    ("said", "rows"),
    [
        ([("Sails are quiet.", 0)], [[True, False]]),
        ([("Motors are loud.", 1)], [[False, True]]),
        ([("A.", None), ("Sails are quiet.", 0), ("Motors are loud.", 1)], [[True, True]]),
        ([("a", 0), ("b", 1), ("c", 0), ("d", 1)], [[True, True], [True, True]]),
        ([("| a | b |", None), ("c", 0), ("d", 1)], [[True, True]]),
        ([("First.", None), ("Second.", None), ("c", 1)], [[False, True]]),
    ],
)
def test_a_cell_without_a_quote_says_so_and_each_number_is_shown_once(said, rows):
    answer, count = compared(*said)
    *sentences, table = blocks_of(answer)
    assert len(sentences) == sum(cell is None for _, cell in said)
    assert [[cell != SILENT for cell in row] for row in table.rows] == rows
    assert all(bool(MARKER.search(cell)) == (cell != SILENT) for row in table.rows for cell in row)
    expected = list(range(1, count + 1))
    shown = page(markdown(answer, anchor))
    assert sorted(shown.links) == [f"#source-{number}" for number in expected]
    told = terminal(answer, color=False).split("\n\n[1] ")[0]
    assert numbers_shown(told) == expected
    assert told.count(SILENT) == shown.letters.count(SILENT) == sum(not filled for row in rows for filled in row)
    for sentence in answer.sentences:
        assert answer.text[sentence.start : sentence.end] == sentence.text


@given(
    st.lists(
        st.tuples(
            st.text("ab |\\-[]1`*\n", min_size=1, max_size=12).map(str.strip).filter(str.isascii),
            st.sampled_from([None, 0, 1]),
        ),
        min_size=1,
        max_size=5,
    ).filter(lambda said: all(any(map(str.isalnum, text)) for text, _ in said))
)
@settings(database=None, deadline=None, max_examples=300)
def test_whatever_is_compared_every_number_is_shown_once_everywhere(said):
    answer, _ = compared(*said)
    expected = [citation.number for citation in answer.citations]
    shown = page(markdown(answer, anchor))
    assert sorted(int(link.removeprefix("#source-")) for link in shown.links) == expected
    for block in blocks_of(answer):
        if isinstance(block, Table):
            assert {len(row) for row in block.rows} == {2}


@pytest.mark.parametrize("text", ["| a | b |\n| --- | --- |\n| c | d |", "| a | b | | --- | --- | | c | d |"])
def test_a_quote_that_looks_like_a_table_is_a_sentence(text):
    assert [type(block) for block in blocks_of(answered(text))] == [str]
    assert blocks_of(refused(text)) == []
    assert "table" not in page(markdown(answered(text), anchor)).tags


# --- the terminal


@pytest.mark.parametrize("text", HOSTILE)
def test_the_terminal_gets_no_control_character(text):
    source = passage(text, section=(text,), document_id=text)
    answer = answered(text, source, search_query=text, notices=(text,))
    for shown in (terminal(answer, False), terminal(refused(text, source), False), terminal_hits(answer.hits, False)):
        assert not invisible(shown)
    for shown in (terminal(answer, True), terminal(refused(text, source), True), terminal_hits(answer.hits, True)):
        assert not invisible(re.sub(r"\x1b\[(?:1|2|22)m", "", shown))


def test_the_terminal_names_document_section_and_line():
    shown = terminal(answered("Because **so**."), color=False)
    assert "Because so. [1]" in shown
    assert "[1] a.md, One › Two, lines 7–8" in shown
    assert "A notice." in shown
    assert "why boot" in shown
    assert "Nearest" not in shown
    assert "\x1b[1mso\x1b[22m" in terminal(answered("Because **so**."), color=True)


def test_the_query_is_shown_only_where_it_is_not_the_question():
    assert "Searched for" not in terminal(answered("x", search_query="Why?"), color=False)


def test_the_terminal_shows_the_nearest_places_of_a_refusal():
    shown = terminal(refused("Nothing says so."), color=False)
    assert shown.startswith("Nothing says so.")
    assert "Nearest:\n  a.md, One › Two, lines 7–9" in shown


# --- JSON

SCHEMA = {
    "": "schema id question search_query text refused answered_by notices sentences citations hits timings_ms index",
    "sentences": "text start end citations support",
    "citations": "number document title section quote start end line_start line_end url",
    "hits": "document title section text start end line_start line_end score url",
    "timings_ms": "retrieve write verify total",
}


@pytest.mark.parametrize("answer", [answered("Because."), refused("No.")])
def test_the_json_of_an_answer_has_the_documented_keys_and_no_others(answer):
    told = answer_json(answer)
    assert json.loads(json.dumps(told)) == told
    assert list(told) == SCHEMA[""].split()
    assert list(told["timings_ms"]) == SCHEMA["timings_ms"].split()
    for name in ("sentences", "citations", "hits"):
        assert len(told[name]) == len(getattr(answer, name))
        assert all(list(entry) == SCHEMA[name].split() for entry in told[name])


def test_the_json_of_an_answer_says_what_the_answer_says():
    answer = answered("Because.")
    told = answer_json(answer)
    assert told["schema"] == 1
    assert told["text"] == answer.text
    assert told["notices"] == ["A notice."]
    assert told["sentences"] == [{"text": answer.text, "start": 0, "end": 12, "citations": [1], "support": "supported"}]
    assert told["citations"] == [
        {
            "number": 1,
            "document": "a.md",
            "title": "Title",
            "section": ["One", "Two"],
            "quote": "A pas",
            "start": 100,
            "end": 105,
            "line_start": 7,
            "line_end": 8,
            "url": "https://example.org/a",
        }
    ]
    assert told["hits"][0]["score"] == 0.5
    assert (told["hits"][0]["line_start"], told["hits"][0]["line_end"]) == (7, 9)
