"""Answer -> JSON, safe Markdown, safe HTML and terminal text: the one allow-list for every surface.

Text is parsed as Markdown and written anew from the tokens: letters, emphasis and code. Whatever else a
document holds (HTML, images, addresses, control characters) comes out as plain characters or not at all.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from assistant.nouns import MARKER, Answer, Citation, Hit, Passage

SCHEMA = 1
# What a mark like [2?] means.
IN_PART = "The source supports this only in part"
DOUBT = "A number with a question mark: the source supports the sentence only in part."

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_ESCAPED_MARK = re.compile(r"\\\[(?=\d+\])")
# The comparison that ends an answer: names of the sides, a rule, rows. Only our own writer makes one.
_TABLE = re.compile(r"^(?P<head>\| .+ \|)\n\|(?: --- \|)+(?P<rows>(?:\n\| .+ \|)+)\Z", re.MULTILINE)
_BAR = re.compile(r"(?<!\\)\|")
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$^=:>@])")
# What a model has no business to write: it was given none.
_ADDRESS = re.compile(
    r"\b(?:https?|ftp|file|data|javascript|vbscript|mailto|tel):\S|//\w|\bwww\.|<[a-z/!?]|\b[\w.+-]+@[\w-]+\.\w",
    re.IGNORECASE,
)
_MARKS = re.compile(r"([\\`*_\[\]<>~$])")
_INLINE = MarkdownIt("commonmark", {"html": False}).disable(["image", "autolink"])


def answer_json(answer: Answer) -> dict[str, Any]:
    """The answer as programs get it from the CLI, the API and the evals; schema 1, documented in docs/answer-json.md."""
    return {
        "schema": SCHEMA,
        "id": answer.id,
        "question": answer.question,
        "search_query": answer.search_query,
        "text": answer.text,
        "refused": answer.refused,
        "answered_by": answer.answered_by,
        "notices": list(answer.notices),
        "sentences": [
            {
                "text": sentence.text,
                "start": sentence.start,
                "end": sentence.end,
                "citations": list(sentence.citations),
                "support": sentence.support,
            }
            for sentence in answer.sentences
        ],
        "citations": [citation_json(citation) for citation in answer.citations],
        "hits": [hit_json(hit) for hit in answer.hits],
        "timings_ms": dict(answer.timings_ms),
        "index": answer.index,
    }


def citation_json(citation: Citation) -> dict[str, Any]:
    passage = citation.passage
    return {
        "number": citation.number,
        "document": passage.document_id,
        "title": passage.title,
        "section": list(passage.section),
        "quote": citation.quote,
        "start": citation.start,
        "end": citation.end,
        "line_start": citation.line_start,
        "line_end": citation.line_end,
        "url": passage.url,
    }


def hit_json(hit: Hit) -> dict[str, Any]:
    passage = hit.passage
    return {
        "document": passage.document_id,
        "title": passage.title,
        "section": list(passage.section),
        "text": passage.text,
        "start": passage.start,
        "end": passage.end,
        "line_start": passage.line_start,
        "line_end": passage.line_end,
        "score": round(hit.score, 6),
        "url": passage.url,
    }


@dataclass(frozen=True, slots=True)
class Style:
    """How a surface writes the few things that are allowed."""

    text: Callable[[str], str]
    strong: tuple[str, str]
    emphasis: tuple[str, str]
    code: Callable[[str], str]


def clean(text: str) -> str:
    """Text without control, zero-width, direction and tag characters; tabs and line breaks stay."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """Clean text with every run of blank space as one space."""
    return re.sub(r"\s+", " ", clean(text))


def inline(text: str, style: Style) -> str:
    """One paragraph of Markdown, written anew in a style, on one line.

    Emphasis whose marks would not be read back as it was meant (side by side, inside a word) is left out.
    """
    tokens = _INLINE.parseInline(clean(text))
    written = _written(tokens, style)
    if style.emphasis[0] and _written(_INLINE.parseInline(written), PLAIN) != _written(tokens, PLAIN):
        written = _written(tokens, replace(style, strong=("", ""), emphasis=("", "")))
    return written


def _written(tokens: Sequence[Token], style: Style) -> str:
    return "".join(_write(token.children or (), style) for token in tokens)


def _write(tokens: Sequence[Token], style: Style) -> str:
    parts: list[str] = []
    for token in tokens:
        match token.type:
            case "text" | "text_special":
                # Entities are letters only now: "&#27;" has become a control character.
                parts.append(style.text(one_line(token.content)))
            case "softbreak" | "hardbreak":
                parts.append(style.text(" "))
            case "code_inline":
                # Inside code the mark of a literal "[7]" would show.
                parts.append(style.code(_ESCAPED_MARK.sub("[", one_line(token.content))))
            case "strong_open" | "strong_close":
                parts.append(style.strong[token.type.endswith("close")])
            case "em_open" | "em_close":
                parts.append(style.emphasis[token.type.endswith("close")])
            case "link_open" | "link_close":
                pass  # the label stays; the only links are our own, to sources
            case _:
                parts.append(style.text(one_line(token.content)))
    return "".join(parts)


def escape_markdown(text: str) -> str:
    """Text that any Markdown renderer shows as these characters and nothing else."""
    return _SPECIAL.sub(r"\\\1", one_line(text).replace("&", "&amp;").replace("<", "&lt;"))


def model_markdown(text: str) -> str:
    """What a model wrote, as Markdown in which nothing is a link, an image, HTML or a mark of its own; empty where it holds an address."""
    bare = inline(text, PLAIN)
    if _ADDRESS.search(bare):
        return ""
    return inline(text, MODEL).strip()


def _escape_marks(text: str) -> str:
    return _MARKS.sub(r"\\\1", text)


def _markdown_code(content: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if content.startswith("`") or content.endswith("`") else ""
    return f"{fence}{pad}{content}{pad}{fence}"


MARKDOWN = Style(escape_markdown, ("**", "**"), ("*", "*"), _markdown_code)
# A bar inside code would end the cell of a table.
CELL = replace(MARKDOWN, code=lambda content: _markdown_code(content).replace("|", "\\|"))
MODEL = Style(_escape_marks, ("**", "**"), ("*", "*"), _markdown_code)
PLAIN = Style(str, ("", ""), ("", ""), str)
BOLD = Style(str, ("\x1b[1m", "\x1b[22m"), ("", ""), str)


def markdown(answer: Answer, anchor: Callable[[int], str]) -> str:
    """The answer for a Markdown surface; each citation is a link to `anchor(number)`, or a plain number where that is empty."""

    weak = _weak(answer)

    def piece(text: str, style: Style = MARKDOWN) -> str:
        doubt = "?" if text in weak else ""

        def mark(number: int) -> str:
            shown, target = f"\\[{number}{doubt}\\]", anchor(number)
            title = f' "{IN_PART}"' if doubt else ""
            return f"[{shown}]({target}{title})" if target else shown

        return _pieces(text, style, mark)

    blocks = []
    for block in blocks_of(answer):
        if isinstance(block, Table):
            rows = [[escape_markdown(name) for name in block.header], ["---"] * len(block.header)]
            rows += [[piece(cell, CELL) for cell in row] for row in block.rows]
            blocks.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
        else:
            blocks.append(piece(block))
    if weak:
        blocks.append(f"*{escape_markdown(DOUBT)}*")
    return "\n\n".join(blocks) or escape_markdown(answer.text)


def _weak(answer: Answer) -> set[str]:
    """The sentences that their sources support only in part, as `blocks_of` gives them."""
    return {one.text.replace("\\|", "|") for one in answer.sentences if one.support != "supported"}


@dataclass(frozen=True, slots=True)
class Table:
    """The cells of a comparison below the names of the sides; Markdown text, an empty cell said in words."""

    header: list[str]
    rows: list[list[str]]


def blocks_of(answer: Answer) -> list[str | Table]:
    """An answer's sentences in order, those of a table together as one block."""
    blocks: list[str | Table] = []
    at = 0
    table = _TABLE.search(answer.text) if answer.sentences else None
    for sentence in answer.sentences:
        if table and table.start() <= sentence.start < table.end():
            continue
        blocks.append(sentence.text)
        at = sentence.end
    if table and at <= table.start():
        # The bars of a quote are escaped in a cell; outside of one they are plain letters.
        lines = [table["head"], *table["rows"].strip().split("\n")]
        header, *rows = (
            [cell.strip().replace("\\|", "|") for cell in _BAR.split(line.strip().strip("|"))] for line in lines
        )
        blocks.append(Table(header, rows))
    return blocks


def _pieces(text: str, style: Style, mark: Callable[[int], str]) -> str:
    parts = []
    at = 0
    for match in MARKER.finditer(text):
        parts += [inline(text[at : match.start()], style), mark(int(match.group(1)))]
        at = match.end()
    parts.append(inline(text[at:], style))
    return "".join(parts)


def plain(answer: Answer) -> str:
    """The answer's words alone, without numbers; of a table each cell with the name of its side."""
    parts: list[str] = []
    for block in blocks_of(answer):
        if isinstance(block, Table):
            for name, *cells in zip(block.header, *block.rows, strict=True):
                parts.append(f"{inline(name, PLAIN)}: {' '.join(_pieces(cell, PLAIN, lambda n: '') for cell in cells)}")
        else:
            parts.append(_pieces(block, PLAIN, lambda n: ""))
    return one_line(" ".join(parts)).strip() or clean(answer.text)


def terminal(answer: Answer, color: bool) -> str:
    """The answer with footnotes for a terminal: document, section, line."""
    style = BOLD if color else PLAIN
    dim = ("\x1b[2m", "\x1b[22m") if color else ("", "")

    weak = _weak(answer)

    def piece(text: str) -> str:
        doubt = "?" if text in weak else ""
        return _pieces(text, style, lambda n: f"[{n}{doubt}]")

    blocks: list[str] = []
    for block in blocks_of(answer):
        if isinstance(block, Table):
            for name, *cells in zip(block.header, *block.rows, strict=True):
                named = f"{style.strong[0]}{inline(name, PLAIN)}:{style.strong[1]}"
                blocks.append("\n".join(f"{named} {piece(cell)}" for cell in cells))
        else:
            blocks.append(piece(block))
    blocks = blocks or [clean(answer.text)]
    if answer.search_query != answer.question:
        blocks.append(f"{dim[0]}Searched for: {one_line(answer.search_query)}{dim[1]}")
    notices = [*answer.notices, *([DOUBT] if weak else [])]
    blocks += [f"{dim[0]}Note: {one_line(notice)}{dim[1]}" for notice in notices]
    notes = [
        f"[{citation.number}] {_footnote(citation.passage.document_id, citation.passage.section, citation.line_start, citation.line_end)}"
        for citation in answer.citations
    ]
    if answer.refused and answer.hits:
        notes = ["Nearest:"] + [
            f"  {_footnote(hit.passage.document_id, hit.passage.section, hit.passage.line_start, hit.passage.line_end)}"
            for hit in answer.hits[:3]
        ]
    if notes:
        blocks.append("\n".join(f"{dim[0]}{note}{dim[1]}" for note in notes))
    return "\n\n".join(blocks)


def terminal_hits(hits: Sequence[Hit], color: bool) -> str:
    """Hits for a terminal: place and score, then the passage."""
    dim = ("\x1b[2m", "\x1b[22m") if color else ("", "")
    return "\n\n".join(
        f"{dim[0]}{_footnote(p.document_id, p.section, p.line_start, p.line_end)}  {hit.score:.3f}{dim[1]}\n{clean(p.text)}"
        for hit in hits
        for p in [hit.passage]
    )


def _footnote(document_id: str, section: Sequence[str], first: int, last: int) -> str:
    where = f", {' › '.join(section)}" if section else ""
    return one_line(f"{document_id}{where}, {lines(first, last)}")


def path_of(passage: Passage) -> str:
    """A passage's title and headings, outermost first, none twice in a row."""
    return " › ".join([passage.title, *(heading for heading in passage.section if heading != passage.title)])


def lines(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first}–{last}"
