"""HTML, DOCX and reStructuredText as Markdown, by libraries of the extra `documents`.

Runs only in the child process of `conversion.py`: what a hostile file makes of these libraries stays there.
"""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from assistant.errors import CorpusError

# A DOCX is unpacked only where its parts are smaller than this altogether, and no more than so many times its size.
UNPACKED = 100_000_000
RATIO = 200
# Below this size a file of few words repeats itself a lot and is harmless.
SMALL = 5_000_000

_CHROME = "script, style, noscript, template, nav, footer, aside, form, button, iframe, svg, img, [hidden], [aria-hidden=true]"
_NOT_SHOWN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_DUBLIN_TITLE = "{http://purl.org/dc/elements/1.1/}title"
# A word's own underscore is no mark: CommonMark lets none begin or end within a word.
_MARKS = re.compile(r"[\\`*<]|\](?=\()|&(?=#?\w+;)|(?<!\w)_|_(?!\w)")
_OPENERS = re.compile(r"(?=#{1,6}(?:\s|$)|>|[-+](?:\s|$)|-{3,}|=+\s*$|~{3})")
_NUMBERED = re.compile(r"(\d{1,9})([.)])(?=\s|$)")

# Directives of Sphinx that say nothing to a reader of this page.
_LEFT_OUT = (
    "automodule autoclass autofunction currentmodule highlight index literalinclude tabularcolumns toctree".split()
)
_CODE = "code code-block sourcecode console prompt doctest testcode".split()


def escaped(text: str) -> str:
    """The same words as Markdown that means nothing but these words."""
    text = _MARKS.sub(r"\\\g<0>", text)
    text = _NUMBERED.sub(r"\1\\\2", text, count=1) if _NUMBERED.match(text) else text
    return f"\\{text}" if _OPENERS.match(text) else text


def with_title(title: str, markdown: str) -> str:
    """Markdown whose front matter names its title, if there is one. Raises CorpusError where there is no text."""
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in markdown.splitlines())).strip()
    if not re.search(r"\w", body):
        raise CorpusError("it holds no text")
    title = " ".join(title.split())[:300]
    if title:
        # JSON's strings are YAML's.
        return f"---\ntitle: {json.dumps(title, ensure_ascii=False)}\n---\n\n{body}\n"
    return f"\n{body}\n" if body.startswith("---") else f"{body}\n"


def from_html(data: bytes) -> str:
    """The main part of a page as Markdown: no scripts, no navigation, nothing that a reader would not see."""
    if b"\0" in data and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CorpusError("it is no HTML but binary data")
    page = _page(data)
    title = page.title.get_text(" ") if page.title else ""
    root = page.select_one("main, [role=main]")
    if root is None:
        articles = page.select("article")
        root = articles[0] if len(articles) == 1 else page.body or page
    for one in root.select(_CHROME):
        one.decompose()
    for one in root.select("[style]"):
        if not one.decomposed and _NOT_SHOWN.search(str(one.get("style"))):
            one.decompose()
    for one in root.select("header"):
        if not one.decomposed:
            # An article's heading often stands in its header.
            kept = [heading.extract() for heading in one.select("h1, h2, h3, h4, h5, h6")]
            one.replace_with(*kept)
    for link in root.select("a"):
        if link.get_text().strip() in ("", "¶", "#", "🔗"):
            link.decompose()
        elif re.match(r"(?!https?:|mailto:)[\w.+-]+:", str(link.get("href", ""))) or not link.get("href"):
            link.unwrap()
    headings = root.select("h1")
    if len(headings) == 1:
        title = headings[0].get_text(" ")
    return with_title(title, _markdown(root))


def _page(data: bytes) -> Any:
    """A page in UTF-8 where it can be, else in the encoding that it names."""
    from bs4 import BeautifulSoup

    try:
        # Not left to guesses: a few words look like many encodings.
        return BeautifulSoup(data.decode("utf-8-sig"), "html.parser")
    except UnicodeDecodeError as error:
        page = BeautifulSoup(data, "html.parser")
        named = page.declared_html_encoding or ""
        if page.contains_replacement_characters or named.lower().replace("_", "-") in ("utf-8", "utf8"):
            raise CorpusError(f"not UTF-8 (byte {error.start}); save it as UTF-8") from error
        return page


def from_docx(data: bytes) -> str:
    """A Word document as Markdown, unpacked only where its parts are of a sensible size."""
    import mammoth

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            _refuse_bombs(parts, len(data))
            if "word/document.xml" not in parts.namelist():
                raise CorpusError("it is no Word document: it holds no word/document.xml")
            title = _core_title(parts)
        said = mammoth.convert_to_html(
            io.BytesIO(data),
            style_map="p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => p:fresh",
            convert_image=lambda image: [],
            external_file_access=False,
        )
    except zipfile.BadZipFile as error:
        if data.startswith(b"\xd0\xcf\x11\xe0"):
            raise CorpusError("it is encrypted or an old .doc file; save it as .docx without a password") from error
        raise CorpusError(f"it is damaged, or no .docx file ({error})") from error
    from bs4 import BeautifulSoup

    return with_title(title, _markdown(BeautifulSoup(said.value, "html.parser")))


def from_rst(data: bytes) -> str:
    """reStructuredText as Markdown; nothing is included from other files, nothing passed through raw."""
    from docutils.core import publish_parts

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"not UTF-8 (byte {error.start}); save it as UTF-8") from error
    if "\0" in text:
        raise CorpusError("it is no text but binary data")
    _know_sphinx()
    parts = publish_parts(
        text,
        writer="html5",
        settings_overrides={
            "_disable_config": True,
            "embed_stylesheet": False,
            "file_insertion_enabled": False,
            "halt_level": 5,
            "doctitle_xform": False,  # it makes a lone section's heading a plain paragraph
            "initial_header_level": 1,
            "line_length_limit": 1_000_000,  # a longer line makes the whole file empty
            "math_output": "LaTeX",
            "raw_enabled": False,
            "report_level": 5,
            "smart_quotes": False,
            "syntax_highlight": "none",
            "traceback": False,
        },
    )
    from bs4 import BeautifulSoup

    body = BeautifulSoup(parts["html_body"], "html.parser")
    for one in body.select("span.literal"):
        one.name = "code"
    return with_title("", _markdown(body))


def _markdown(root: Any) -> str:
    import markdownify

    base: Any = markdownify.MarkdownConverter  # its types leave out what is overridden here

    class Converter(base):  # type: ignore[misc]
        def escape(self, text: str, parent_tags: Any) -> str:
            return escaped(text)

        # CommonMark has no lists of terms: each is set in front of what is said of it.
        def convert_dt(self, el: Any, text: str, parent_tags: Any) -> str:
            return f"\n\n**{text.strip()}** " if text.strip() else ""

        def convert_dd(self, el: Any, text: str, parent_tags: Any) -> str:
            return f"{text.strip()}\n\n"

        def convert_td(self, el: Any, text: str, parent_tags: Any) -> str:
            return str(super().convert_td(el, _cell(text), parent_tags))

        def convert_th(self, el: Any, text: str, parent_tags: Any) -> str:
            return str(super().convert_th(el, _cell(text), parent_tags))

        def convert_pre(self, el: Any, text: str, parent_tags: Any) -> str:
            fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", text))])
            return f"\n\n{fence}\n{text.strip(chr(10))}\n{fence}\n\n" if text.strip() else ""

    options = {"heading_style": markdownify.ATX, "bullets": "-", "table_infer_header": True, "newline_style": "spaces"}
    return str(Converter(**options).convert_soup(root))


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def _refuse_bombs(parts: zipfile.ZipFile, size: int) -> None:
    """Raises CorpusError where the parts are too large to be unpacked, by what the file itself says of them.

    A part that is larger than it says is cut there by `zipfile` and fails its checksum. Files within files are left packed.
    """
    entries = parts.infolist()
    if any(entry.flag_bits & 1 for entry in entries):
        raise CorpusError("it is encrypted; save it without a password")
    whole = sum(entry.file_size for entry in entries)
    if whole > UNPACKED or (whole > SMALL and whole > RATIO * size):
        raise CorpusError(f"it would unpack to {whole / 1e6:,.0f} MB from {size / 1e6:,.1f} MB, and is not unpacked")


def _core_title(parts: zipfile.ZipFile) -> str:
    try:
        found = ElementTree.fromstring(parts.read("docProps/core.xml")).find(_DUBLIN_TITLE)
    except (KeyError, ElementTree.ParseError):
        return ""
    return found.text or "" if found is not None else ""


class _AnyOption(dict[str, Any]):
    """Takes every option of a directive."""

    def __missing__(self, name: str) -> Any:
        return str


def _know_sphinx() -> None:
    """Shows what docutils does not know, which is most of Sphinx, instead of dropping it: roles as their words, directives
    as their argument and content.
    """
    from docutils import nodes
    from docutils.parsers.rst import Directive, directives, roles

    def words(name: str, rawtext: str, text: str, *rest: Any, **more: Any) -> tuple[list[Any], list[Any]]:
        shown = re.sub(r"\s*<[^<>]*>$", "", nodes.unescape(text)).lstrip("!~")
        return [nodes.inline(rawtext, shown)], []

    class Shown(Directive):  # type: ignore[misc]  # it ships no types
        optional_arguments, final_argument_whitespace, has_content = 1, True, True
        option_spec: Mapping[str, Any] = _AnyOption(any=str)

        def run(self) -> list[Any]:
            box = nodes.Element()
            if self.arguments:
                inline, _ = self.state.inline_text(self.arguments[0], self.lineno)
                box += nodes.paragraph("", "", *inline)
            self.state.nested_parse(self.content, self.content_offset, box)
            return list(box.children)

    class Code(Shown):
        def run(self) -> list[Any]:
            text = "\n".join(self.content)
            return [nodes.literal_block(text, text)]

    class LeftOut(Shown):
        def run(self) -> list[Any]:
            return []

    for names, kind in ((_CODE, Code), (_LEFT_OUT, LeftOut)):
        for name in names:
            directives.register_directive(name, kind)
    known_role, known_directive = roles.role, directives.directive

    def role(*asked: Any) -> tuple[Any, list[Any]]:
        found, said = known_role(*asked)
        return (found, said) if found else (words, [])

    def directive(*asked: Any) -> tuple[Any, list[Any]]:
        found, said = known_directive(*asked)
        return (found, said) if found else (Shown, [])

    # Only this process, which ends with this file.
    roles.role, directives.directive = role, directive
