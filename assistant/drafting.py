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
_UNFINISHED_MARK = re.compile(r"\s*[\[【][^\]】\n]{0,24}\Z|<[/\w]{0,12}\Z")
_MARK = re.compile(
    r"\s*[\[【]\^?(?:(?:passage|source|no\.?)s?\s*)?(\d{1,3}(?:\s*[,;&]\s*\d{1,3})*)[^\]】\n]{0,12}[\]】](?!\()",
    re.IGNORECASE,
)
_LINE_MARKS = re.compile(r"\s*(?:>\s*)*(?:(?:[-*+•]|\d{1,2}[.)])\s+)?")
_HEADING = re.compile(r"\s*#{1,6}\s")
_FENCE = re.compile(r"\s*(?:```|~~~)")
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

    Reasoning, headings and code are no sentences of an answer.
    """
    text = _THOUGHT.sub("\n", _THOUGHT_BEFORE.sub("", text))
    if not final:
        text = _UNFINISHED_MARK.sub("", text)
    said: list[Said] = []
    lines = text.split("\n")
    fenced, row = False, 0
    for number, line in enumerate(lines):
        if _FENCE.match(line):
            fenced = not fenced
            continue
        last = number == len(lines) - 1
        if fenced or _HEADING.match(line):
            continue
        if line.lstrip().startswith("|"):
            following = lines[number + 1] if not last else ""
            # The line after it tells whether it is a header.
            open_end = not final and number >= len(lines) - 2
            if not (is_delimiter_row(line) or is_delimiter_row(following) or open_end):
                said += _cells(line, row)
                row += 1
            continue
        found = _sentences(line)
        said += found[:-1] if last and not final else found
    return said


def _sentences(line: str) -> list[Said]:
    """The sentences of a line; a marker belongs to the sentence it stands in or behind."""
    marks = list(_MARK.finditer(line))
    bare = line
    for mark in marks:
        bare = bare[: mark.start()] + " " * len(mark[0]) + bare[mark.end() :]
    opening = _LINE_MARKS.match(bare)
    begin = opening.end() if opening else 0
    spans = [(begin + low, begin + high) for low, high in sentence_spans(bare[begin:])]
    numbers: list[list[int]] = [[] for _ in spans]
    for mark in marks:
        owner = max((at for at, (low, _) in enumerate(spans) if low <= mark.start()), default=0)
        if spans:
            numbers[owner] += [int(number) for number in re.findall(r"\d+", mark[1])]
    return [
        Said(words, tuple(dict.fromkeys(named)))
        for (low, high), named in zip(spans, numbers, strict=True)
        if any(map(str.isalpha, words := _tidied(bare[low:high])))
    ]


def _cells(line: str, row: int) -> list[Said]:
    cells = [_sentences(cell.replace("\\|", "|")) for cell in _BAR.split(line.strip().strip("|"))]
    said = []
    for column, cell in enumerate(reversed(cells)):
        if cell:
            words = " ".join(one.text for one in cell)
            said.append(
                Said(words, tuple(dict.fromkeys(number for one in cell for number in one.numbers)), (row, column))
            )
    return said[::-1]


def _tidied(text: str) -> str:
    """A sentence on one line, the gap that a marker left before a stop closed."""
    return re.sub(r"\s+([.,;:!?])", r"\1", " ".join(text.split()))
