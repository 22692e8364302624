"""A document as one page: its Markdown rendered from an allow-list, the cited span marked and scrolled to."""

import hashlib
import html
import re
from collections.abc import Iterator, Sequence
from posixpath import normpath
from urllib.parse import quote, unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from assistant.corpus import LINE_BREAK
from assistant.nouns import Document, Passage, is_markdown
from assistant.rendering import PLAIN, clean, inline, one_line

CITED = "cited"  # the anchor of the first marked character
# A span that has moved is looked for where that takes comparing so many characters at most, a fraction of a second.
SEARCHED = 50_000_000
# A quote of more words is named by its first and its last ones.
WORDS, ENDS = 12, 4

_TAGS = {
    "paragraph": "p",
    "bullet_list": "ul",
    "list_item": "li",
    "blockquote": "blockquote",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
    "th": "th",
    "td": "td",
    "strong": "strong",
    "em": "em",
    "s": "s",
}
# Escaped letters stay tokens of their own, so that each is found in the text.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "autolink", "text_join"])


def source_path(passage: Passage, start: int, end: int) -> str:
    """Where the viewer shows a span of a passage: a path below `/sources/`, with what tells whether the text is still the same."""
    check = check_of(passage.text[start - passage.start : end - passage.start])
    return f"{quote(passage.document_id)}?start={start}&end={end}&check={check}#{CITED}"


def address_of(passage: Passage, start: int, end: int, base: str) -> str:
    """The whole address of a span: on the document's own page where it has one, else in the viewer of the server at `base`."""
    return deep_link(passage, start, end) or f"{base}/sources/{source_path(passage, start, end)}"


def check_of(text: str) -> str:
    """Eight hexadecimal digits that tell one span's text from another's."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def deep_link(passage: Passage, start: int, end: int) -> str | None:
    """The address of a note's own page at a span of it, by a text fragment; None where the note has none.

    Source: URL Fragment Text Directives, WICG 2023: `#:~:text=start,end`, with "-", "," and "&" percent-encoded.
    """
    if not passage.url or not passage.url.startswith(("http://", "https://")):
        return None
    span = passage.text[start - passage.start : end - passage.start]
    # A fragment is looked for within one block, a pair of ends across several.
    blocks = [words for part in re.split(r"[|\n]", span) if (words := one_line(inline(part, PLAIN)).split())]
    page, _, anchor = passage.url.partition("#")
    anchor = anchor.partition(":~:")[0]
    if not blocks:
        return passage.url
    if len(blocks) == 1 and len(blocks[0]) <= WORDS:
        fragment = _encoded(blocks[0])
    else:
        fragment = f"{_encoded(blocks[0][:ENDS])},{_encoded(blocks[-1][-ENDS:])}"
    return f"{page}#{anchor}:~:text={fragment}"


def _encoded(words: Sequence[str]) -> str:
    return quote(" ".join(words), safe="").replace("-", "%2D")


def located(document: Document, start: int, end: int, check: str) -> tuple[int, int] | None:
    """Where the cited text stands now: at its place, or where it has moved to; None where it is gone.

    Without `check` the place is taken as it is.
    """
    length = end - start
    inside = 0 <= start < end <= len(document.text)
    if inside and check in ("", check_of(document.text[start:end])):
        return start, end
    if not check or length <= 0 or length * len(document.text) > SEARCHED:
        return None
    for at in range(len(document.text) - length + 1):
        if check_of(document.text[at : at + length]) == check:
            return at, at + length
    return None


def page(document: Document, span: tuple[int, int] | None, known: frozenset[str], notice: str = "") -> str:
    """The page's HTML. `known` are the documents that may be linked to; `notice` is said above the text."""
    title = html.escape(one_line(document.title))
    body = _Page(document, span or (0, 0), known).html()
    heading = "" if "<h1" in body else f"<h1>{title}</h1>"
    said = f'<p class="notice" role="status">{html.escape(notice)}</p>' if notice else ""
    there = f'<p><a class="skip" href="#{CITED}">Go to the cited sentence</a></p>' if span else ""
    original = ""
    if document.url and document.url.startswith(("http://", "https://")):
        original = f' · <a href="{html.escape(document.url, quote=True)}" rel="noopener noreferrer">original page</a>'
    up = "../" * (document.id.count("/") + 1)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<title>{title}</title>\n<link rel="stylesheet" href="{up}static/viewer.css">\n</head>\n<body>\n'
        f'<header><nav aria-label="Assistant"><a href="{up}chat/">Ask the documents</a>{original}</nav>'
        f'<p class="file">{html.escape(one_line(document.id))}</p>{there}{said}</header>\n'
        f"<main>\n{heading}{body}</main>\n</body>\n</html>\n"
    )


def excerpt(passage: Passage, span: tuple[int, int]) -> str:
    """A passage's HTML with a span of its document marked; no anchors, and no links."""
    start, end = (edge - passage.start for edge in span)
    piece = Document(passage.document_id, passage.title, passage.text, None, "", 0)
    return _Page(piece, (start, end), frozenset(), whole=False).html()


class _Page:
    """One document on its way to HTML; remembers how far into the text it has come."""

    def __init__(self, document: Document, span: tuple[int, int], known: frozenset[str], whole: bool = True) -> None:
        self._whole = whole
        self._document = document
        self._text = document.text
        self._span = span
        self._known = known
        self._at = document.body
        self._end = len(document.text)
        self._marked = False
        self._slugs = {CITED: 0}  # each with how often it was wanted again
        # Each line's start, one for what follows the last line, and the text as the parser wants it.
        breaks = [match.span() for match in LINE_BREAK.finditer(document.text, document.body)]
        self._starts = [document.body, *(end for _, end in breaks), len(document.text)]
        ends = [*(start for start, _ in breaks), len(document.text)]
        lines = [document.text[low:high] for low, high in zip(self._starts, ends, strict=False)]
        self._source = "\n".join(lines)

    def html(self) -> str:
        if not is_markdown(self._document.id):
            return f'<pre class="plain">{self._piece(self._text[self._document.body :])}</pre>\n'
        return "".join(self._blocks(_PARSER.parse(self._source)))

    def _blocks(self, tokens: Sequence[Token]) -> Iterator[str]:
        for at, token in enumerate(tokens):
            if token.map:
                self._at = max(self._at, self._starts[token.map[0]])
                self._end = self._starts[min(token.map[1], len(self._starts) - 1)]
            if token.type == "list_item_open":
                # An item's text may look like its mark: "1. 1".
                self._at = max(self._at, self._text.find(token.markup, self._at, self._end) + 1)
            kind, _, side = token.type.rpartition("_")
            match token.type:
                case "inline":
                    yield from self._inline(token.children or ())
                case "heading_open":
                    yield f'<{token.tag} id="{self._slug(tokens[at + 1].content)}">' if self._whole else "<p><strong>"
                case "heading_close" if self._whole:
                    link = f'<a class="anchor" href="#{self._last_slug}" aria-label="Link to this section">#</a>'
                    yield f" {link}</{token.tag}>\n"
                case "heading_close":
                    yield "</strong></p>\n"
                case "fence" | "code_block":
                    pieces = [self._piece(line) for line in token.content.splitlines(keepends=True)]
                    yield f'<pre tabindex="0"><code>{"".join(pieces)}</code></pre>\n'
                case "hr":
                    yield "<hr>\n"
                case "ordered_list_open":
                    start = token.attrGet("start")
                    yield f'<ol start="{int(start)}">' if start is not None else "<ol>"
                case "ordered_list_close":
                    yield "</ol>\n"
                case "table_open":
                    yield '<div class="table" tabindex="0" role="region" aria-label="Table"><table>\n'
                case "table_close":
                    yield "</table></div>\n"
                case "html_block":
                    yield f"<p>{self._piece(token.content)}</p>\n"
                case _ if kind in _TAGS and side in ("open", "close"):
                    if not token.hidden:
                        yield f"<{_TAGS[kind]}>" if side == "open" else f"</{_TAGS[kind]}>\n"
                case _:
                    if token.content:
                        yield self._piece(token.content)

    def _inline(self, tokens: Sequence[Token]) -> Iterator[str]:
        linked: list[bool] = []
        for token in tokens:
            kind, _, side = token.type.rpartition("_")
            match token.type:
                case "softbreak":
                    yield "\n"
                case "hardbreak":
                    yield "<br>\n"
                case "text_special":
                    yield self._special(token)
                case "code_inline":
                    yield f"<code>{self._piece(token.content)}</code>"
                case "link_open":
                    target = self._target(str(token.attrGet("href") or ""))
                    linked.append(bool(target))
                    yield f'<a href="{html.escape(target, quote=True)}">' if target else ""
                case "link_close":
                    yield "</a>" if linked.pop() else ""
                case _ if kind in _TAGS and side in ("open", "close"):
                    yield f"<{'/' if side == 'close' else ''}{_TAGS[kind]}>"
                case _:
                    yield self._piece(token.content)

    def _piece(self, content: str) -> str:
        """A piece of text, the cited part of it marked; found in the document behind what came before."""
        found = self._text.find(content, self._at, self._end)
        if found >= 0:
            self._at = found + len(content)
            low, high = (min(max(edge - found, 0), len(content)) for edge in self._span)
            return self._shown(content, low, high)
        parts = re.split(r"(\s+)", content)
        if len(parts) > 1:
            # Not as it stands there (a line that breaks within code, tabs): word by word.
            return "".join(self._piece(part) if part.strip() else self._between(part) for part in parts if part)
        return self._between(content)

    def _special(self, token: Token) -> str:
        """An escaped character or an entity: in the document it stands as its markup."""
        found = self._text.find(token.markup, self._at, self._end)
        if found >= 0:
            self._at = found + len(token.markup)
        low, high = self._span
        return self._shown(token.content, 0, len(token.content) if low <= found < high else 0)

    def _between(self, content: str) -> str:
        """Text that does not stand so in the document: it belongs to where the reading has come to."""
        low, high = self._span
        return self._shown(content, 0, len(content) if low <= self._at < high else 0)

    def _shown(self, content: str, low: int, high: int) -> str:
        """A piece of text with its part from `low` to `high` marked."""
        if not content[low:high].strip():
            return html.escape(clean(content))
        before, cited, after = (html.escape(clean(part)) for part in (content[:low], content[low:high], content[high:]))
        anchor = "" if self._marked or not self._whole else f' id="{CITED}" tabindex="-1"'
        self._marked = True
        return f"{before}<mark{anchor}>{cited}</mark>{after}"

    def _target(self, href: str) -> str:
        """A link to another document of the corpus, as the viewer has it; nothing for any other address."""
        if href.startswith("#"):
            return href if self._whole else ""
        path, hash_, anchor = map(unquote, href.partition("#"))
        if not path or re.match(r"[a-z][a-z0-9+.-]*:|//|/", path, re.IGNORECASE):
            return ""
        folder = self._document.id.rpartition("/")[0]
        name = normpath(f"{folder}/{path}" if folder else path)
        up = "../" * self._document.id.count("/")
        return f"{up}{quote(name)}{hash_}{quote(anchor)}" if name in self._known else ""

    def _slug(self, heading: str) -> str:
        bare = inline(heading, PLAIN).lower()
        slug = re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", bare)).strip("-") or "section"
        self._last_slug = slug
        while self._last_slug in self._slugs:
            self._slugs[slug] += 1
            self._last_slug = f"{slug}-{self._slugs[slug]}"
        self._slugs[self._last_slug] = 0
        return self._last_slug
