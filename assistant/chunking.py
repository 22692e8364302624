"""Document -> verbatim Passages along headings, lists, tables, block quotes and fences.

The parser only says where blocks begin; every passage is cut out of the document by offsets, so nothing
can be changed or lost. Lines the parser gives no token for (link definitions, comments) stay with the
block before them.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from assistant.corpus import LINE_BREAK, heading_text, markdown_parser
from assistant.nouns import Document, Passage, is_markdown
from assistant.sentences import is_delimiter_row, sentence_spans

VERSION = 2  # a snapshot built by another version is built again

_NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """What one embedding can hold: a counter of the model's own tokens and the most it reads."""

    count: Callable[[str], int] = len
    limit: int = _NO_LIMIT

    def holds(self, text: str) -> bool:
        return self.count(text) <= self.limit


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand in a document: line starts, headings, block starts and unquotable code."""

    front: int  # how many lines of front matter stand before the body
    lines: list[int]  # offset of each line of the body, and of the end
    headings: list[tuple[int, int, int, str]]  # first line, line after, level, text
    blocks: dict[int, int]  # line -> depth of the shallowest block that begins there
    prose: frozenset[int]  # lines whose text is sentences
    code: list[tuple[int, int]]  # offsets of fences, indented code and HTML blocks
    tables: list[tuple[int, int, str]]  # offsets of the body rows of a table, and its header row


def layout(document: Document) -> Layout:
    """The block structure of a document, in lines and offsets of its untouched text."""
    text, body = document.text, document.body
    front = len(LINE_BREAK.findall(text, 0, body))
    lines = [body, *(match.end() for match in LINE_BREAK.finditer(text, body))]
    if lines[-1] != len(text):
        lines.append(len(text))
    headings: list[tuple[int, int, int, str]] = []
    blocks: dict[int, int] = {}
    prose: set[int] = set()
    code: list[tuple[int, int]] = []
    tables: list[tuple[int, int, str]] = []
    if not is_markdown(document.id):
        blank = True
        for number in range(len(lines) - 1):
            here = not text[lines[number] : lines[number + 1]].strip()
            if blank and not here:
                blocks[number] = 0
            blank = here
        return Layout(front, lines, headings, blocks, frozenset(range(len(lines))), code, tables)
    tokens = markdown_parser().parse(text[body:])
    for position, token in enumerate(tokens):
        if token.map is None or token.nesting < 0:
            continue
        first, after = token.map[0], min(token.map[1], len(lines) - 1)
        if first >= after:
            continue
        if token.type == "heading_open" and token.level == 0:
            headings.append((first, after, int(token.tag[1:]), heading_text(tokens[position + 1])))
            continue
        blocks[first] = min(token.level, blocks.get(first, token.level))
        if token.type == "paragraph_open":
            prose.update(range(first, after))
        elif token.type in ("fence", "code_block", "html_block"):
            code.append((lines[first], lines[after]))
        elif token.type == "table_open" and after - first > 2:
            tables.append((lines[first + 2], lines[after], text[lines[first] : lines[first + 1]].strip(" \t\r\n>")))
    return Layout(front, lines, headings, blocks, frozenset(prose), code, tables)


def split(
    document: Document, size: int = 700, window: Window | None = None, structure: Layout | None = None
) -> list[Passage]:
    """The passages of a document, in order: at most `size` characters, and no more than the window holds.

    A passage never crosses a heading. Only headings, blank space and front matter lie outside all passages.
    """
    window = window or Window()
    structure = structure or layout(document)
    passages = []
    for section, first, after in _sections(structure):
        cut = _Cut(document, structure, size, window, lead(document.title, section, window))
        for start, end in cut.pack(first, after):
            line_start = structure.front + bisect_right(structure.lines, start)
            passages.append(
                Passage(
                    document_id=document.id,
                    title=document.title,
                    section=section,
                    text=document.text[start:end],
                    start=start,
                    end=end,
                    line_start=line_start,
                    line_end=line_start + len(LINE_BREAK.findall(document.text, start, end)),
                    url=document.url,
                )
            )
    return passages


def embedded_text(
    document: Document, passage: Passage, window: Window | None = None, structure: Layout | None = None
) -> str:
    """What is embedded for a passage: title, heading path, a cut table's header, and the passage itself."""
    window = window or Window()
    head = lead(document.title, passage.section, window)
    return _join(head, header(structure or layout(document), passage.start, window), passage.text)


def lead(title: str, section: Sequence[str], window: Window) -> str:
    """Title and headings in one line, cut from the left to at most a third of the window."""
    path = [title, *(heading for heading in section if heading != title)]
    whole = " > ".join(" ".join(part.split()) for part in path if part)
    return _shortened(whole, window, from_left=True)


def header(structure: Layout, start: int, window: Window) -> str:
    """The header row of the table whose body a passage starting there opens with, else nothing."""
    at = bisect_right(structure.tables, start, key=lambda table: table[0]) - 1
    if at < 0 or start >= structure.tables[at][1]:
        return ""
    return _shortened(structure.tables[at][2], window, from_left=False)


def _shortened(text: str, window: Window, from_left: bool) -> str:
    """As much of a text as takes at most a third of the window; nothing where even a little does not fit."""
    for width in (160, 40):
        short = text[-width:] if from_left else text[:width]
        if window.count(short) * 3 <= window.limit:
            return short
    return ""


def _join(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _sections(structure: Layout) -> Iterator[tuple[tuple[str, ...], int, int]]:
    """(heading path, first line, line after) of each stretch between two headings."""
    path: list[tuple[int, str]] = []
    first = 0
    last = len(structure.lines) - 1
    for start, after, level, text in structure.headings:
        if first < start:
            yield tuple(heading for _, heading in path), first, start
        path = [(depth, heading) for depth, heading in path if depth < level]
        if text:
            path.append((level, text))
        first = after
    if first < last:
        yield tuple(heading for _, heading in path), first, last


@dataclass(frozen=True, slots=True)
class _Cut:
    """Cuts one section into spans; `head` is what goes before each piece when it is embedded."""

    document: Document
    structure: Layout
    size: int
    window: Window
    head: str

    def pack(self, first: int, after: int) -> Iterator[tuple[int, int]]:
        """Spans of the passages of the lines [first, after): neighbouring atoms, joined while they fit."""
        start: int | None = None
        end = 0
        for low, high in self.atoms(first, after):
            if start is not None and not self.fits(start, high):
                yield self.trim(start, end)
                start = None
            if start is None:
                start = low
            end = high
        if start is not None:
            yield self.trim(start, end)

    def fits(self, start: int, end: int) -> bool:
        start, end = self.trim(start, end)
        if end - start > self.size:
            return False
        text = self.document.text
        return self.window.holds(_join(self.head, header(self.structure, start, self.window), text[start:end]))

    def trim(self, start: int, end: int) -> tuple[int, int]:
        """The span without blank lines before it and blank space after it; indentation is kept."""
        text = self.document.text
        end = start + len(text[start:end].rstrip())
        blank = text[start:end]
        content = start + len(blank) - len(blank.lstrip())
        line = max(text.rfind("\n", start, content), text.rfind("\r", start, content)) + 1
        return (line if line > start else start if _at_line_start(text, start) else content), end

    def atoms(self, first: int, after: int) -> Iterator[tuple[int, int]]:
        """Spans that cover the lines and are not to be cut further, blank ones left out."""
        lines, blocks = self.structure.lines, self.structure.blocks
        start, end = lines[first], lines[after]
        if not self.document.text[start:end].strip():
            return
        if self.fits(start, end):
            yield start, end
            return
        inside = [line for line in range(first + 1, after) if line in blocks]
        if inside:
            shallowest = min(blocks[line] for line in inside)
            cuts = [first, *(line for line in inside if blocks[line] == shallowest), after]
            for low, high in pairwise(cuts):
                yield from self.atoms(low, high)
            return
        if any(line in self.structure.prose for line in range(first, after)):
            yield from self.sentences(start, end)
        else:
            yield from self.whole_lines(first, after)

    def sentences(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        spans = sentence_spans(self.document.text[start:end])
        cuts = [start, *(start + low for low, _ in spans[1:]), end]
        for low, high in pairwise(cuts):
            yield from self.shrink(low, high)

    def whole_lines(self, first: int, after: int) -> Iterator[tuple[int, int]]:
        lines, text = self.structure.lines, self.document.text
        start = first
        for line in range(first + 1, after + 1):
            # A table's delimiter row is nothing without the header above it.
            if line == after or not is_delimiter_row(text[lines[line] : lines[line + 1]].rstrip()):
                yield from self.shrink(lines[start], lines[line])
                start = line

    def shrink(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The span itself where it fits, else pieces of it, cut at blank space where there is any."""
        text = self.document.text
        waiting = [(start, end)]
        while waiting:
            start, end = waiting.pop()
            if not text[start:end].strip():
                continue
            if end - start <= 1 or self.fits(start, end):
                yield start, end
                continue
            low, high = self.trim(start, end)
            if high - low <= 1:
                yield low, high  # one character that does not fit alone never will
                continue
            middle = min(low + self.size, (low + high) // 2)
            cut = next((at for at in range(middle, max(low, middle - 80), -1) if text[at - 1].isspace()), middle)
            if text[cut - 1 : cut + 1] == "\r\n":
                cut += 1
            if not low < cut < high:
                cut = max(low + 1, min(middle, high - 1))
            waiting += [(cut, high), (low, cut)]


def _at_line_start(text: str, offset: int) -> bool:
    return offset == 0 or text[offset - 1] in "\r\n"
