"""A document's page: what is cited is marked exactly, and whatever the document holds, nothing foreign is on the page."""

import re
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_rendering import HOSTILE, Page, invisible, passage

from assistant.chunking import layout, split
from assistant.corpus import load_corpus, read_document
from assistant.nouns import Document
from assistant.rendering import PLAIN, inline
from assistant.sentences import statements
from assistant.viewer import CITED, check_of, deep_link, excerpt, located, page, source_path

NOTHING = frozenset()
FRAME = set("html head meta title link body header nav main".split())
TEXT = set(
    "a p h1 h2 h3 h4 h5 h6 ul ol li blockquote div table thead tbody tr th td pre code strong em br hr mark".split()
)
ATTRIBUTES = set("lang charset name content rel href class id start role tabindex aria-label".split())


class Marked(Page):
    """A page that also tells the marked letters and where its links lead."""

    def __init__(self, text):
        self.marked, self.anchors, self._marks = "", [], 0
        super().__init__(text)

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        self._marks += tag == "mark"
        if tag == "a":
            self.anchors.append(dict(attrs).get("href"))

    def handle_endtag(self, tag):
        self._marks -= tag == "mark"

    def handle_data(self, data):
        super().handle_data(data)
        if self._marks:
            self.marked += data


def made(text, name="a.md", title="Title", url=None, body=0):
    return Document(name, title, text, url, "", body)


def letters(text):
    """What a reader sees of a text, less the marks that stand alone where a span begins or ends within emphasis."""
    # The bars too: a passage may begin within a table, whose rows are then no rows.
    return re.sub(r"[\s*_`\\|]", "", text)


def seen(statement):
    """The letters of a statement: Markdown's marks left out, a row's cells one after the other."""
    parts = re.split(r"(?<!\\)\|", statement.text) if statement.kind == "row" else [statement.text]
    return "".join(letters(inline(part, PLAIN)) for part in parts)


def cited_everywhere(document, size=700):
    """(statement, marked on its page, marked in its passage) of every statement of a document."""
    structure = layout(document)
    for piece in split(document, size, structure=structure):
        for statement in statements(piece, structure.code):
            span = statement.start, statement.end
            yield statement, Marked(page(document, span, NOTHING)), Marked(excerpt(piece, span))


def main(document, known=NOTHING, span=None):
    """The document's own part of its page."""
    return Marked(re.search(r"<main>\n(.*)</main>", page(document, span, known), re.DOTALL)[1])


# --- what is cited is marked


def test_every_statement_of_the_corpus_is_marked_to_the_letter(repository):
    wrong = []
    for document in load_corpus(repository / "corpus").documents:
        for statement, on_page, in_passage in cited_everywhere(document):
            expected = seen(statement)
            if letters(on_page.marked) != expected or letters(in_passage.marked) != expected:
                wrong.append((document.id, statement.text, on_page.marked, in_passage.marked))
            assert on_page.ids.count(CITED) == 1
    assert wrong == []


DECORATED = [
    "{}",
    "**{}**",
    "*{}*",
    "`{}`",
    "``{}``",
    "[{}](other.md)",
    "[{}](other.md 'a title')",
    "[{}][r]",
    "[**{}**](<other.md>)",
    "![{}](x.png)",
    "{} &amp; {}",
    "{} &lt; {}",
    "{} < {}",
    "{} \\* {}",
    "{} * {}",
    "<b>{}</b>",
    "<https://example.org/> {}",
    "~{}~",
    '"{}"',
    "{} 1 {}",
    "{} - {}",
    "`{} {}`",
    "`{}\n{}`",
    "{}\\\n{}",
    "&copy; {}",
    "\t{}",
    "**{}\n{}**",
]
BLOCKS = [
    "{}",
    "- {}",
    "1. {}",
    "1. 1 {}",
    "> {}",
    "> - {}",
    "- - {}",
    "- [ ] {}",
    "| {} | {} |",
    "- - x\n\n  {}",
    "a\n: {}",
]
SENTENCE = st.lists(st.sampled_from(DECORATED), min_size=1, max_size=4).map(
    lambda parts: f"Now {' '.join(parts)} done."
)
BLOCK = st.tuples(st.sampled_from(BLOCKS), st.lists(SENTENCE, min_size=1, max_size=3).map(" ".join))


def numbered(blocks, line_break):
    """A document of these blocks in which every word that is put in is another: w1, w2, …"""
    parts = []
    for frame, text in blocks:
        # A line that goes on within a block quote or a table would not be of it.
        text = text.replace("\n", " ") if frame[0] in ">|" else text.replace("\n", "\n    " if frame != "{}" else "\n")
        head = "| a | b |\n|---|---|\n" if frame.startswith("|") else ""
        parts.append(head + frame.replace("{}", text))
    text = "\n\n".join(["# Title", *parts, "[r]: other.md"]) + "\n"
    pieces = text.split("{}")
    text = "".join(f"{piece}w{number}" for number, piece in enumerate(pieces[:-1])) + pieces[-1]
    return text.replace("\n", line_break)


@given(st.lists(BLOCK, min_size=1, max_size=4), st.sampled_from(["\n", "\r\n", "\r"]))
@example([("{}", "Now {} &lt; {} done. Now {} < {} done.")], "\n")
@example([("{}", "Now `{}\n{}` done. Now {} done.")], "\r\n")
@example([("- {}", "`{}\n{}` done."), ("- {}", "Now {} done.")], "\n")
@settings(database=None, deadline=None, max_examples=60)
def test_however_words_are_dressed_those_of_a_statement_are_marked_and_no_others(blocks, line_break):
    document = made(numbered(blocks, line_break))
    for statement, on_page, in_passage in cited_everywhere(document):
        words = re.findall(r"w\d+", statement.text)
        assert re.findall(r"w\d+", on_page.marked) == words
        assert re.findall(r"w\d+", in_passage.marked) == words


@pytest.mark.parametrize("text", ["1. 1\n2. 2\n", "- -x\n", "1) 1\n2) 2\n", "- a\n- a\n- a\n"])
def test_an_item_that_looks_like_its_mark_or_another_is_marked_itself(text):
    document = made(text)
    for statement, on_page, _ in cited_everywhere(document):
        before = sum(letters(one.text) == letters(statement.text) for one in said_before(document, statement))
        assert letters(on_page.marked) == letters(statement.text)
        assert page(document, (statement.start, statement.end), NOTHING).split("<mark")[0].count("<li>") >= before + 1


def said_before(document, statement):
    return [one for one, _, _ in cited_everywhere(document) if one.start < statement.start]


@pytest.mark.parametrize("name", ["a.txt", "A.TXT"])
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_plain_text_is_shown_as_it_stands_with_its_statement_marked(name, line_break):
    text = "# No *heading*.\n\n<b>One</b> & two.  Three.\n".replace("\n", line_break)
    document = made(text, name)
    for statement, on_page, in_passage in cited_everywhere(document):
        assert on_page.marked == in_passage.marked == statement.text
    shown = main(document)
    assert shown.letters.strip() == f"Title{text.replace(line_break, chr(10)).rstrip()}"
    assert shown.tags == {"h1", "pre"}


def test_offsets_count_from_behind_a_byte_order_mark_and_the_front_matter_is_not_shown(tmp_path):
    (tmp_path / "a.md").write_bytes("\ufeff---\r\ntitle: Fönt\r\n---\r\nOne – é.\r\nTwo.\r\n".encode())
    document = read_document(tmp_path / "a.md", tmp_path)
    start = document.text.index("Two.")
    shown = main(document, span=(start, start + 4))
    assert shown.marked == "Two."
    assert shown.letters.split() == ["FöntOne", "–", "é.", "Two."]


@given(st.integers(-5, 60), st.integers(-5, 60))
@settings(database=None, deadline=None, max_examples=60)
def test_any_span_marks_letters_of_that_span_alone(low, high):
    text = "# Ab\n\nCd **ef** `gh` &amp; ij.\n\n```\nkl\nmn\n```\n\n| op |\n|---|\n| qr |\n"
    shown = main(made(text), span=(low, high))
    assert set(letters(shown.marked)) <= set(text[max(low, 0) : max(high, 0)]) | {"&"}
    expected = [
        word
        for word in ("Ab", "Cd", "ef", "gh", "ij", "kl", "mn", "op", "qr")
        if low <= text.index(word) and text.index(word) + 2 <= high
    ]
    assert all(word in shown.marked for word in expected)
    assert shown.ids.count(CITED) <= 1


# --- nothing foreign is on the page

LINES = st.lists(
    st.sampled_from(
        [*HOSTILE, "[a](javascript:alert(1))", "[a](data:text/html,x)", "- ", "> ", "| a | b |\n|---|---|\n"]
    ),
    max_size=6,
).map("\n\n".join)


def harmless(text, document):
    shown = Marked(text.removeprefix("<!DOCTYPE html>"))
    assert shown.tags <= FRAME | TEXT
    assert shown.attributes <= ATTRIBUTES
    assert not invisible(shown.letters)
    for link in shown.links:
        there = urlsplit(urljoin(f"http://here.example/sources/{document.id}", link))
        assert (there.scheme, there.netloc) == ("http", "here.example"), link


@given(
    LINES,
    st.sampled_from(["a.md", "deep/er/a.md", "a.txt"]),
    st.sampled_from(HOSTILE),
    st.integers(0, 200),
    st.integers(0, 200),
)
@settings(database=None, deadline=None, max_examples=60)
def test_whatever_a_document_holds_its_page_has_no_script_no_image_and_no_link_elsewhere(text, name, title, start, end):
    document = made(text, name, title)
    harmless(page(document, (start, end), NOTHING, notice="Mo<v>ed."), document)


@given(st.text(st.sampled_from("ab1 \n\t#>-*_`~[]()!<>&;|\\:/\"'="), max_size=60))
@settings(database=None, deadline=None, max_examples=60)
def test_any_markdown_makes_a_harmless_page_with_its_tags_closed(text):
    document = made(text)
    shown = page(document, (0, len(text)), NOTHING)
    harmless(shown, document)
    for tag in TEXT - {"br", "hr"}:
        assert len(re.findall(rf"<{tag}[ >]", shown)) == shown.count(f"</{tag}>"), tag


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java&#x09;script:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "http://evil.example",
        "//evil.example",
        "/chat/",
        "mailto:a@b.example",
        "%6aavascript:alert(1)",
        "..//evil.example",
        "\\\\evil.example",
        "?q=1",
        "",
    ],
)
def test_a_link_elsewhere_is_letters_alone(target):
    document = made(f"See [the **words**]({target}) and <{target}>.\n\n[the words][r]\n\n[r]: <{target}>\n")
    shown = main(document, frozenset({"a.md", "evil.example"}))
    assert shown.anchors == []
    assert "words" in shown.letters


@pytest.mark.parametrize("url", [None, "ftp://example.org/", "javascript:alert(1)"])
def test_only_a_web_address_is_linked_as_the_original_page(url):
    assert "original page" not in page(made("One.", url=url), None, NOTHING)


def test_the_original_page_is_linked_to_the_letter():
    url = "https://example.org/a?b=1&copy='2'"
    shown = Marked(page(made("One.", url=url), None, NOTHING))
    assert url in shown.anchors


# --- links and headings


def resolved(document, link):
    """The document that a link of a page leads to, and the anchor in it."""
    address = f"http://here.example/sources/{source_path(passage('x', document_id=document.id), 100, 101)}"
    there = urlsplit(urljoin(address, link))
    assert there.path.startswith("/sources/")
    return unquote(there.path.removeprefix("/sources/")), unquote(there.fragment)


KNOWN = frozenset(
    {
        "top.md",
        "one/a.md",
        "one/b c.md",
        "one/two/c.md",
        "other/d#1.md",
        "other/e?x=1.md",
        "other/100%.md",
        "other/ü:é.txt",
    }
)


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("one/a.md", "b%20c.md", "one/b c.md"),
        ("one/a.md", "<b c.md>", "one/b c.md"),
        ("one/a.md", "./two/c.md", "one/two/c.md"),
        ("one/a.md", "../top.md", "top.md"),
        ("one/two/c.md", "../../other/../one/./a.md", "one/a.md"),
        ("top.md", "one/a.md", "one/a.md"),
        ("top.md", "other/d%231.md", "other/d#1.md"),
        ("top.md", "other/e%3Fx=1.md", "other/e?x=1.md"),
        ("top.md", "other/100%25.md", "other/100%.md"),
        ("top.md", "other/%C3%BC:é.txt", "other/ü:é.txt"),
        ("other/d#1.md", "../top.md", "top.md"),
        ("other/e?x=1.md", "./d%231.md", "other/d#1.md"),
    ],
)
@pytest.mark.parametrize("anchor", ["", "a-section", "über-uns"])
def test_a_link_to_a_document_leads_to_its_page(name, target, expected, anchor):
    hash_ = f"#{anchor}" if anchor else ""
    target = f"{target[:-1]}{hash_}>" if target.endswith(">") else f"{target}{hash_}"
    document = made(f"[words]({target})", name)
    (link,) = main(document, KNOWN).anchors
    assert resolved(document, link) == (expected, anchor)


@pytest.mark.parametrize(
    "target", ["nothing.md", "../../top.md", "../../../etc/passwd", "one/a.md", "two", "../one/", "b c.md%00"]
)
def test_a_link_to_a_document_that_is_not_there_is_its_words_alone(target):
    shown = main(made(f"[words](<{target}>)", "one/a.md"), KNOWN)
    assert shown.anchors == []
    assert shown.letters.strip() == "Titlewords"


@given(
    st.lists(
        st.sampled_from(["Cited", "cited-1", "A", "a-1", "a 1", "A **a**", "!", "Über", "section", "[x](y)", ""]),
        max_size=8,
    )
)
@example(["A", "A", "A-1"])
@settings(database=None, deadline=None, max_examples=60)
def test_headings_have_ids_of_their_own_and_links_to_them(headings):
    text = "\n\n".join([*(f"## {heading}" for heading in headings), "Words."])
    shown = main(made(text), span=(text.index("Words."), len(text)))
    assert len(shown.ids) == len(set(shown.ids)) == len(headings) + 1
    assert all(not re.search(r"[\s\"'<>#]", one) for one in shown.ids)
    assert [unquote(link) for link in shown.anchors] == [f"#{one}" for one in shown.ids if one != CITED]


def test_a_link_within_a_document_leads_to_its_heading():
    shown = main(made("[there](#über-uns)\n\n## Über uns\n"))
    assert unquote(shown.anchors[0]) == "#über-uns"
    assert "über-uns" in shown.ids


def test_a_passage_has_no_ids_and_no_links():
    piece = passage("# One\n\n[a](a.md) [b](#one)\n")
    shown = Marked(excerpt(piece, (piece.start, piece.end)))
    assert shown.ids == []
    assert shown.links == []
    assert letters(shown.marked) == "Oneab"


# --- where the cited text stands now

ANY = st.text("ab é\n", min_size=1, max_size=40)


@given(ANY, st.integers(0, 40), st.integers(1, 40), ANY)
@settings(database=None, deadline=None, max_examples=60)
def test_text_that_has_moved_is_found_and_text_that_is_gone_is_not(text, start, length, before):
    cited = text[start : start + length]
    if not cited:
        return
    span, check = (start, start + len(cited)), check_of(cited)
    assert located(made(text), *span, check) == span
    moved = located(made(before + text), *span, check)
    assert moved is not None
    assert (before + text)[slice(*moved)] == cited
    gone = located(made(text.replace(cited, "x")), *span, check)
    assert gone is None


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (3, 2), (-1, 2), (-3, -1), (0, 99), (98, 99), (10**30, 10**30 + 1), (-(10**30), 10**30)]
)
@pytest.mark.parametrize("check", ["", "00000000", "no check"])
def test_a_span_that_is_none_is_not_located(start, end, check):
    assert located(made("A text."), start, end, check) is None


def test_without_a_check_a_span_is_taken_as_it_is():
    assert located(made("A text."), 2, 6, "") == (2, 6)


def test_what_would_take_long_to_find_is_not_looked_for():
    text = "word " * 20_000
    assert located(made(f"x{text}"), 0, len(text) // 2, check_of(text[: len(text) // 2])) is None
    assert located(made(f"x{text}"), 0, 4, check_of("word")) == (1, 5)


# --- addresses

STRANGE = st.text(st.sampled_from("ab /#?%&=+~:;@,.éü🐳\"'<>()[]{}|\\^`$!*-_"), min_size=1, max_size=20)


@given(STRANGE)
@example("a b.md")
@example("a#b.md")
@example("a?start=9&b.md")
@example("100%.md")
@example("%41.md")
@example("ü/é.txt")
@settings(database=None, deadline=None, max_examples=60)
def test_the_path_of_a_source_leads_back_to_document_span_and_text(name):
    document = passage("A passage – é.", document_id=name)
    path = source_path(document, 102, 109)
    assert not re.search(r"[\s\"'<>]", path)
    there = urlsplit(f"http://here.example/sources/{path}")
    assert unquote(there.path) == f"/sources/{name}"
    assert parse_qs(there.query) == {"start": ["102"], "end": ["109"], "check": [check_of("passage")]}
    assert there.fragment == CITED


def fragment(text, url="https://example.org/a"):
    piece = passage(text, url=url)
    return deep_link(piece, piece.start, piece.end)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one-two, three & 100%", "one%2Dtwo%2C%20three%20%26%20100%25"),
        ("é 🐳", "%C3%A9%20%F0%9F%90%B3"),
        ("**Bold** `code` [label](https://example.org/x)", "Bold%20code%20label"),
        ("a#b?c=d", "a%23b%3Fc%3Dd"),
        ("one two\nthree four", "one%20two,three%20four"),
        ("| one | two | three |", "one,three"),
        (" ".join(map(str, range(13))), "0%201%202%203,9%2010%2011%2012"),
    ],
)
def test_a_deep_link_names_the_words_with_all_that_is_syntax_encoded(text, expected):
    assert fragment(text) == f"https://example.org/a#:~:text={expected}"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(database=None, deadline=None, max_examples=60)
def test_a_deep_link_holds_nothing_that_ends_it(text):
    link = fragment(text)
    assert re.fullmatch(r"https://example\.org/a(#:~:text=[\w.~%]+(,[\w.~%]+)?)?", link, re.ASCII)


def test_an_anchor_stays_and_a_fragment_directive_is_replaced():
    assert fragment("one", "https://example.org/a#part") == "https://example.org/a#part:~:text=one"
    assert fragment("one", "https://example.org/a#part:~:text=two") == "https://example.org/a#part:~:text=one"


@pytest.mark.parametrize("url", [None, "", "ftp://example.org/", "javascript:alert(1)", "a.md", "//example.org"])
def test_without_a_web_address_there_is_no_deep_link(url):
    assert fragment("one", url) is None


def test_a_span_without_words_leads_to_the_page():
    assert fragment(" | | ") == "https://example.org/a"
