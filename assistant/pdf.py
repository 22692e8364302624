"""A PDF as Markdown: a heading for each page, wrapped lines joined, what repeats on every page left out.

Runs only in the child process of `conversion.py`. PDFium gives the text in the order of the file, which is the order of reading
in what word processors and TeX write; larger letters are taken for headings.
"""

import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from assistant.errors import CorpusError
from assistant.formats import escaped, with_title

PAGES = 5_000
# So much larger than the text's letters are a heading's, and so much wider than between lines is the gap between paragraphs.
LARGER = 1.15
WIDER = 1.3
HEADING = 160  # the longest heading in characters

_BULLET = re.compile(r"(?:[•‣▪◦●○■–—*-])\s+(?=\S)")
_ENDS = re.compile(r"[.!?:;][)\]”\"’']*$")
_NUMBER_ALONE = re.compile(r"(?:page\s+)?(?:\d{1,4}|[ivxlc]{1,6})(?:\s*(?:/|of)\s*\d{1,4})?", re.IGNORECASE)
# What PDFium gives for a hyphen at the end of a line, and the soft hyphen.
_SOFT = "\x02\ufffe\xad"
# Names that programs give to what nobody named.
_NO_TITLE = re.compile(
    r"untitled.*|document\d*|(?:microsoft \w+ ?- ?)?.*\.(?:docx?|odt|tex|dvi|pptx?|xlsx?|indd|qxd|pdf|html?|rtf|txt)|\W*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page with where it stands, in points from the page's lower left."""

    text: str
    left: float
    bottom: float
    right: float
    height: float


def from_pdf(data: bytes) -> str:
    """The text of a PDF as Markdown. Raises CorpusError for one that is encrypted, damaged or without text."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise CorpusError("it is encrypted; save it without a password") from error
        raise CorpusError("it is damaged, or no PDF file") from error
    if len(document) > PAGES:
        raise CorpusError(f"it has {len(document):,} pages, more than {PAGES:,}; split it")
    try:
        pages = [_lines(page) for page in document]
    except pypdfium2.PdfiumError as error:
        raise CorpusError(f"it is damaged ({error})") from error
    if not any(pages):
        raise CorpusError("it holds no text, only pictures; run it through text recognition (OCR) first")
    pages = _without_running_heads(pages)
    sizes = Counter(round(line.height, 1) for page in pages for line in page for _ in line.text)
    body = sizes.most_common(1)[0][0] if sizes else 0.0
    blocks: list[str] = []
    for number, lines in enumerate(pages, 1):
        blocks += [f"## Page {number}", *_blocks(lines, body)]
    title = str(document.get_metadata_value("Title"))
    return with_title("" if _NO_TITLE.fullmatch(title.strip()) else title, "\n\n".join(blocks))


def _lines(page: Any) -> list[Line]:
    from pypdfium2 import raw

    textpage = page.get_textpage()
    text = textpage.get_text_range()
    found = []
    for match in re.finditer(r"[^\r\n]+", text):
        shown = match[0].rstrip()
        if not shown.strip():
            continue
        ends = (match.end() - len(match[0].lstrip()), match.start() + len(shown.rstrip(_SOFT)) - 1)
        # Characters of the text are not always those of the page: PDFium adds and leaves out some.
        first, last = (raw.FPDFText_GetCharIndexFromTextIndex(textpage, at) for at in ends)
        if first < 0 or last < 0:
            continue
        boxes = [textpage.get_charbox(at, loose=True) for at in (first, (first + last) // 2, last)]
        left, bottom, right = boxes[0][0], boxes[-1][1], boxes[-1][2]
        # A bullet or a name in a line may be of another font.
        height = statistics.median(top - bottom for _, bottom, _, top in boxes)
        clean = "".join(sign for sign in shown.strip() if sign.isprintable() or sign in _SOFT)
        found.append(Line(" ".join(clean.split()), left, bottom, right, height))
    return found


def _without_running_heads(pages: Sequence[list[Line]]) -> list[list[Line]]:
    """The pages without the line at the top or the bottom that most of them share, and without their numbers."""
    seen = Counter(_pattern(line) for page in pages for line in {id(one): one for one in _edges(page)}.values())
    shared = {pattern for pattern, count in seen.items() if count >= max(3, len(pages) / 2)}
    kept = []
    for page in pages:
        edges = {
            id(line)
            for line in _edges(page)
            if _pattern(line) in shared or _NUMBER_ALONE.fullmatch(line.text) is not None
        }
        kept.append([line for line in page if id(line) not in edges])
    return kept


def _edges(page: Sequence[Line]) -> list[Line]:
    return [page[0], page[-1]] if page else []


def _pattern(line: Line) -> str:
    return re.sub(r"\d+", "0", line.text)


def _blocks(lines: Sequence[Line], body: float) -> Iterator[str]:
    """Headings, list items and paragraphs of one page."""
    steps = [before.bottom - line.bottom for before, line in pairwise(lines)]
    downwards = [step for step in steps if step > 0]
    usual = statistics.median_low(downwards) if downwards else 0.0
    widest = max((line.right for line in lines), default=0.0)
    block: list[Line] = []
    for line in lines:
        if block and _begins(block[-1], line, usual, widest):
            yield _block(block, body)
            block = []
        block.append(line)
    if block:
        yield _block(block, body)


def _begins(before: Line, line: Line, usual: float, widest: float) -> bool:
    """Whether a line begins a new paragraph, by what a reader sees: the gap, the letters, a bullet, a short last line."""
    step = before.bottom - line.bottom
    if abs(line.height - before.height) > 0.1 * before.height or _BULLET.match(line.text):
        return True
    if step > WIDER * max(usual, line.height) or step < -line.height:
        # A sentence goes on at the top of the next column.
        return step > 0 or _ENDS.search(before.text) is not None
    ended = _ENDS.search(before.text) is not None
    return ended and (before.right < 0.85 * widest or line.left > before.left + line.height / 2)


def _block(lines: Sequence[Line], body: float) -> str:
    text = lines[0].text
    for line in lines[1:]:
        if text[-1:] in _SOFT:
            text = text.rstrip(_SOFT) + line.text
        elif text.endswith("-") and text[-2:-1].isalpha() and line.text[:1].islower():
            text = text[:-1] + line.text
        else:
            text = f"{text} {line.text}"
    text = "".join(sign for sign in text if sign not in _SOFT)
    if bullet := _BULLET.match(text):
        return f"- {escaped(text[bullet.end() :])}"
    if lines[0].height > LARGER * body and len(text) <= HEADING and not text.endswith("."):
        return f"### {escaped(text)}"
    return escaped(text)
