"""What a model has written so far -> the sentences that are finished, without their markers and marks.

Everything here is a function of the whole text so far, so that it does not matter how a stream was split.
"""

import re
from dataclasses import dataclass

from assistant.sentences import is_delimiter_row, sentence_spans

# Reasoning that some models write before they answer; an open one goes on to the end.
_THOUGHT = re.compile(r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
# Chat templates that open the reasoning themselves leave only its end to be seen.
_THOUGHT_BEFORE = re.compile(r"\A.*</(?:think|thinking|thought|reasoning)>", re.DOTALL | re.IGNORECASE)
_OPEN_TAG = re.compile(r"<[/\w]{0,12}\Z")
# "[1]", "[1, 2]", "[^3]", "[passage 4]", "(source 5)", "【6†L1】"; "[1](address)" is a link.
_WORD = r"(?:passages?|sources?|nos?\.?)\s*"
_NUMBERS = rf"(\d{{1,3}}(?:\s*(?:[,;&–-]|and)\s*(?:{_WORD})?\d{{1,3}})*)(?!\d)"
_BRACKET = rf"[\[【]\^?(?:{_WORD})?"
_INSIDE = r"[^\[\]【】()`]"
_MARK = re.compile(
    rf"(?:{_BRACKET}|\((?:passages?|sources?)\s*){_NUMBERS}(?:\s*[:†|#,;–-]{_INSIDE}{{0,80}})?"
    r"(?:[\]】](?!\([^()\s]*(?:\s+\"[^\"]*\")?\))|\))",
    re.IGNORECASE,
)
# What is left around markers in brackets of their own; a marker without its end; one that has only begun.
_EMPTIED = re.compile(r"[\[【(]\s{3}[\s,;&]*[\]】)]")
_HALF = re.compile(rf"{_BRACKET}{_NUMBERS}(?!{_INSIDE}*[\]】])", re.IGNORECASE)
_BEGUN = re.compile(r"[\[【]\^?\w{0,8}\.?\Z")
# What the next characters may make a marker, or a link, in which no sentence ends.
_OPEN = re.compile(r"\[[^\]]*\]?\Z|【[^\]】]*\Z|\([^)]*\Z")
_CODE_SPAN = re.compile(r"(?<!`)(`+)[^`]+\1(?![`]|\Z)")
_LINE_MARKS = re.compile(r"\s*(?:>\s*)*((?:[-*+•]|\d{1,2}[.)])\s+(?:\[[ xX]\]\s+)?)?")
_HEADING = re.compile(r"#{1,6}\s")
_FENCE = re.compile(r"```|~~~")
# A line that makes a heading of the one above it; it may still become one as long as it is made of such characters.
_UNDERLINE = re.compile(r"=+|-{2,}")
_RULE = re.compile(r"[\s|:=-]*")
_STOPPED = re.compile(r"[.!?…][\"'”’)\]*_`]*\Z")
_BAR = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence as the model wrote it, and the numbers of the passages it named for it.

    `cell` is (row, column) where it fills a cell of a table; columns count from the right, the last is 0.
    """

    text: str
    numbers: tuple[int, ...]
    cell: tuple[int, int] | None = None


def drafted(text: str, final: bool) -> list[Said]:
    """The sentences of a model's answer in order; while it is not final, only those that nothing can change any more.

    Reasoning, headings and code are no sentences of an answer. The end of a reasoning whose beginning is not to be seen
    takes back what was said before it.
    """
    text = _THOUGHT_BEFORE.sub("", _THOUGHT.sub("\n", text))
    if not final:
        text = _settled(text)
    said: list[Said] = []
    lines = [_without_marks(line.rstrip()) for line in text.split("\n")]
    fenced, row = False, 0
    for number, (line, item) in enumerate(lines):
        # The line after it tells whether it is a header or a heading; an item of a list does not.
        following, other = lines[number + 1] if number + 1 < len(lines) else ("", False)
        open_end = not final and number >= len(lines) - 2 and _RULE.fullmatch(following) is not None
        rule = "" if other else following
        if _FENCE.match(line):
            fenced = not fenced
        elif fenced or _HEADING.match(line):
            pass
        elif line.startswith("|"):
            if not (open_end or is_delimiter_row(line) or is_delimiter_row(rule)):
                said += _cells(line, row)
                row += 1
        else:
            found = _sentences(line)
            underlined = _UNDERLINE.fullmatch(rule) and len(found) == 1 and not item
            if not (underlined and not _STOPPED.search(found[0].text)):
                said += found[:-1] if open_end else found
    return said


def _settled(text: str) -> str:
    """As much of an unfinished text as can be told: up to what its last line leaves open."""
    text = _OPEN_TAG.sub("", text)
    begin = text.rfind("\n") + 1
    while True:
        bare, _ = _without_markers(text[begin:])
        bracket, tick = _OPEN.search(bare), _CODE_SPAN.sub(_blank, bare).find("`")
        opens = [at for at in (bracket.start() if bracket else -1, tick) if at >= 0]
        if not opens:
            return text
        text = text[: begin + min(opens)]


def _without_marks(line: str) -> tuple[str, bool]:
    """A line without what makes it part of a quotation or a list, and whether it is an item of a list."""
    marks = _LINE_MARKS.match(line)
    assert marks is not None  # it matches the empty text too
    return line[marks.end() :], marks[1] is not None


def _without_markers(line: str) -> tuple[str, list[tuple[int, list[int]]]]:
    """A line with blank space in the place of its markers; where each of them began, and its numbers."""
    marks: list[tuple[int, list[int]]] = []
    while found := list(_MARK.finditer(line)):
        marks += [(mark.start(), [int(number) for number in re.findall(r"\d+", mark[1])]) for mark in found]
        line = _EMPTIED.sub(_blank, _MARK.sub(_blank, line))
    return line, marks


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _sentences(line: str) -> list[Said]:
    """The sentences of a line; a marker belongs to the sentence it stands in or behind."""
    bare, marks = _without_markers(line)
    spans = sentence_spans(bare)
    numbers: list[list[int]] = [[] for _ in spans]
    for start, named in sorted(marks):
        if spans:
            numbers[max((at for at, (low, _) in enumerate(spans) if low <= start), default=0)] += named
    return [
        Said(words, tuple(dict.fromkeys(named)))
        for (low, high), named in zip(spans, numbers, strict=True)
        if any(map(str.isalpha, words := _tidied(bare[low:high])))
    ]


def _cells(line: str, row: int) -> list[Said]:
    cells = _BAR.split(line)[1:]
    if not cells[-1]:
        cells.pop()  # behind the last bar
    said = []
    for column, cell in enumerate(reversed(cells)):
        if found := _sentences(cell.replace("\\|", "|")):
            words = " ".join(one.text for one in found)
            numbers = dict.fromkeys(number for one in found for number in one.numbers)
            said.append(Said(words, tuple(numbers), (row, column)))
    return said[::-1]


def _tidied(text: str) -> str:
    """A sentence on one line without half a marker, the gap that a marker left before a stop closed."""
    text = _HALF.sub("", text).rstrip()
    while begun := _BEGUN.search(text, max(0, len(text) - 11)):
        text = text[: begun.start()].rstrip()
    return re.sub(r"\s+([.,;:!?])(?=[\s\"'”’)]|\Z)", r"\1", " ".join(text.split()))
