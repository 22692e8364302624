"""Passage -> Statements: the sentences, list items and table rows that can be quoted, with their spans."""

import re
from collections.abc import Iterator, Sequence

from assistant.comparison import Comparison
from assistant.corpus import lines_with_ends
from assistant.nouns import Passage, Statement

# A list item is quoted whole up to this many characters; a longer one by its sentences.
ITEM_CHARACTERS = 160

_ABBREVIATIONS = frozenset(
    "e.g i.e etc vs cf al ed eds dr mr mrs ms prof st sr jr inc ltd co corp dept "
    "jan feb mar apr jun jul aug sep sept oct nov dec ver resp viz u.s u.k".split()
)
# These abbreviate only before a number: "No. 5", but "The answer is no."
_BEFORE_NUMBERS = frozenset("no nos fig figs sec ch vol pp eq approx est min max".split())
# An end of sentence, closing marks included, blank space, and the first character of what follows.
_END = re.compile(r"""(?<![.!?…])(?P<stop>[.!?…]+)(?P<close>["'”’)\]*_`]*)(?P<space>\s+)(?=\S)""")
_CODE_SPAN = re.compile(r"(`+)(?:(?!`).|(?!\1)`)*?\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\[[^\[\]]*\]\([^()\s]*(?:\s+\"[^\"]*\")?\)|<https?://[^>\s]*>")
_QUOTE_MARKS = re.compile(r"[ \t]*(?:>[ \t]?)*")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]+(?:\[[ xX]\][ \t]+)?|$)")
_DELIMITER_ROW = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_RULE_OR_HEADING = re.compile(r" {0,3}(?:#{1,6}(?:[ \t]|$)|(?:[-*_][ \t]*){3,}$|=+[ \t]*$)")
_CELLS = re.compile(r"[^\s|](?:.*[^\s|])?", re.DOTALL)  # a table row without its outer pipes and blank space
_DEFINITION = re.compile(r" {0,3}\[[^\]]+\]:")
_LABEL = re.compile(r"[*_]{2}([^*_]+)[*_]{2}")
_REFERENCE_OPENER = re.compile(
    r"[\"'“*_]*(?:this|these|that|those|it|its|they|their|them|such|here|there|he|she|both|either|neither|"
    r"as a result|for this reason|because of this|however|therefore|thus|hence|instead|otherwise|conversely)\b",
    re.IGNORECASE,
)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a prose text stand, blank space between them left out.

    A stop inside a code span or a link, after an abbreviation, an initial or a list number ends nothing.
    """
    masked = [match.span() for pattern in (_CODE_SPAN, _LINK) for match in pattern.finditer(text)]
    spans: list[tuple[int, int]] = []
    start = len(text) - len(text.lstrip())
    for match in _END.finditer(text):
        at = match.start("stop")
        if any(low <= at < high - 1 for low, high in masked):
            continue
        if match["stop"] == "." and _ends_nothing(text[start:at], text[match.end() : match.end() + 1]):
            continue
        spans.append((start, match.end("close")))
        start = match.end("space")
    end = len(text.rstrip())
    if start < end:
        spans.append((start, end))
    return spans


def _ends_nothing(before: str, after: str) -> bool:
    word = re.split(r"[\s(\[\"'“*_]", before)[-1]
    bare = word.lower().rstrip(".")
    if bare in _BEFORE_NUMBERS:
        return after.isdigit()
    return bare in _ABBREVIATIONS or (len(bare) == 1 and bare.isalpha()) or (before.strip().isdigit())


def opens_with_reference(text: str) -> bool:
    """Whether a sentence leans on the one before it ("This makes …", "They only …")."""
    return _REFERENCE_OPENER.match(text) is not None


def aspects(text: str, comparison: Comparison) -> list[str]:
    """What a statement is about: each of its sentences, and its bold label, without the names of the sides.

    "VMs take longer to start" and "Containers take longer to start" have the same aspect.
    """
    parts = [text[low:high] for low, high in sentence_spans(text)] or [text]
    if label := _LABEL.match(text):
        parts.append(label.group(1))
    bare = [part for part in map(comparison.neutral, parts) if any(map(str.isalnum, part))]
    return bare or [text]


def is_delimiter_row(line: str) -> bool:
    return "-" in line and "|" in line and _DELIMITER_ROW.match(line) is not None


def opening_header(passage: Passage) -> str:
    """The header row that a passage opens with, without its outer pipes; nothing where it opens inside a table."""
    lines = list(lines_with_ends(passage.text.lstrip()))[:2]
    texts = [passage.text.lstrip()[low:high] for low, high, _ in lines]
    return texts[0].strip(" \t|") if len(texts) == 2 and is_delimiter_row(texts[1]) else ""


def statements(passage: Passage, code: Sequence[tuple[int, int]] = ()) -> list[Statement]:
    """The statements of a passage in order; what lies in the document's `code` spans is not quotable."""
    found: list[Statement] = []
    code = [(low, high) for low, high in code if low < passage.end and passage.start < high]
    for kind, start, end in _blocks(passage.text, passage.start, code):
        block = passage.text[start:end]
        whole = kind == "row" or (kind == "item" and len(block) <= ITEM_CHARACTERS)
        spans = [(0, len(block))] if whole else sentence_spans(block)
        for low, high in spans:
            # What opens a line of a block quote is no part of the sentence.
            while low < high and (block[low].isspace() or (low and block[low] == ">")):
                low += 1
            text = block[low:high]
            if any(character.isalnum() for character in text):
                absolute = passage.start + start
                found.append(
                    Statement(
                        "row" if kind == "row" else "item" if whole else "sentence",
                        text,
                        absolute + low,
                        absolute + high,
                    )
                )
    return found


def _blocks(text: str, offset: int, code: Sequence[tuple[int, int]]) -> Iterator[tuple[str, int, int]]:
    """(kind, start, end) of each paragraph, list item and table row of a passage's text."""
    kind, start, end = "", 0, 0  # the open block; kind "" is none
    table = text.lstrip().startswith("|")
    lines = list(lines_with_ends(text))
    for number, (low, high, _) in enumerate(lines):
        marks = _QUOTE_MARKS.match(text, low, high)
        content = marks.end() if marks else low
        line = text[content:high]
        in_code = any(a < offset + high and offset + low < b for a, b in code)
        header = (
            number + 1 < len(lines)
            and "|" in line
            and is_delimiter_row(_QUOTE_MARKS.sub("", text[lines[number + 1][0] : lines[number + 1][1]], count=1))
        )
        item = _ITEM.match(text, content, high)
        breaks = in_code or not line.strip() or header or _RULE_OR_HEADING.match(line) or _DEFINITION.match(line)
        if table and "|" not in line:
            table = False
        if is_delimiter_row(line):
            table, breaks = True, True
        if kind and (breaks or item or table):
            yield kind, start, end
            kind = ""
        if breaks:
            continue
        trimmed = content + len(line.rstrip())
        if table:
            if cells := _CELLS.search(line):
                yield "row", content + cells.start(), content + cells.end()
        elif item:
            kind, start, end = "item", item.end(), max(item.end(), trimmed)
        elif kind:
            if start == end:  # an item whose text begins on the line after its mark
                start = content + len(line) - len(line.lstrip())
            end = trimmed
        else:
            kind, start, end = "sentence", content + len(line) - len(line.lstrip()), trimmed
    if kind and start < end:
        yield kind, start, end
