"""What was said -> Sentences and Citations, each checked against the document's own characters."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from assistant.comparison import NOTHING, Comparison
from assistant.corpus import LINE_BREAK
from assistant.nouns import MARKER, Citation, Passage, Sentence, Support
from assistant.sentences import opening_header
from assistant.writing import Quote

# What the cell of a side says where the documents hold nothing on it.
SILENT = "The documents say nothing on this."
# An even number of backslashes leaves the bracket unescaped.
_LITERAL = re.compile(r"(?<!\\)((?:\\\\)*)\[(?=\d+\])")
# A line break inside a quote, with the block-quote marks and the indentation of the next line.
_WRAP = re.compile(r"[ \t]*(?:\r\n|\n|\r)[ \t]*(?:>[ \t]?)*[ \t]*")


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence that is no quote, checked: Markdown without markers, the quotes it rests on, and how well.

    `cell` is the side whose cell of a comparison it fills; None where it stands as a sentence.
    """

    text: str
    quotes: tuple[Quote, ...]
    support: Support
    cell: int | None = None


@dataclass(frozen=True, slots=True)
class Cited:
    """A text whose every `[n]` is a citation, its sentences, and the citations by number."""

    text: str
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]


def cite(spoken: Iterable[Quote | Claim], comparison: Comparison = NOTHING) -> Cited:
    """One sentence a quote or claim, each followed by its numbers; a span that is cited twice keeps one number.

    What fills cells comes last, as a table with one column a side; a side without a sentence says so.
    """
    spoken = list(spoken)
    text = ""
    sentences: list[Sentence] = []
    citations: dict[tuple[str, int, int], Citation] = {}

    def numbered(quote: Quote) -> Citation:
        key = (quote.passage.id, quote.start, quote.end)
        return citations.setdefault(key, quote_citation(len(citations) + 1, quote))

    def say(one: Quote | Claim, shown: Callable[[str], str] = str) -> None:
        nonlocal text
        if isinstance(one, Claim):
            numbers = tuple(dict.fromkeys(numbered(quote).number for quote in one.quotes))
            said = shown(f"{one.text} {' '.join(f'[{number}]' for number in numbers)}")
            state = one.support
        else:
            citation = numbered(one)
            numbers = (citation.number,)
            lead = f"{displayed(one.lead)}: " if one.lead else ""
            said = shown(f"{lead}{displayed(one.text)} [{citation.number}]")
            state = support(said, citation)
        sentences.append(Sentence(said, len(text), len(text) + len(said), numbers, state))
        text += said

    for one in spoken:
        if one.cell is None:
            text += "\n\n" if text else ""
            say(one)
    columns = [[one for one in spoken if one.cell == side] for side in range(len(comparison.sides))]
    rows = max(map(len, columns), default=0)
    if rows:
        text += "\n\n" if text else ""
        names = [_in_cell(side.name) for side in comparison.sides]
        text += f"| {' | '.join(names)} |\n| {' | '.join('---' for _ in names)} |"
    for row in range(rows):
        text += "\n|"
        for column in columns:
            text += " "
            if row < len(column):
                say(column[row], _in_cell)
            else:
                text += SILENT
            text += " |"
    return Cited(text, tuple(sentences), tuple(citations.values()))


def _in_cell(text: str) -> str:
    return text.replace("|", r"\|")


def displayed(quote: str) -> str:
    """A quote on one line, with a literal "[7]" escaped so that it is not taken for a citation."""
    return _LITERAL.sub(r"\1\[", _WRAP.sub(" ", quote)).strip()


def support(said: str, citation: Citation) -> Support:
    """Whether a citation supports a sentence: `supported` if it is the quote itself, led at most by a heading above it.

    The span is compared with the passage's own characters, not with what the writer claims.
    """
    passage = citation.passage
    actual = passage.text[citation.start - passage.start : citation.end - passage.start]
    if actual != citation.quote:
        return "unsupported"
    bare = MARKER.sub("", said).strip()
    quoted = next((shown for shown in (_in_cell(displayed(actual)), displayed(actual)) if bare.endswith(shown)), None)
    if quoted is None:
        return "unsupported"
    lead = bare.removesuffix(quoted).strip()
    above = {f"{displayed(text)}:" for text in (*passage.section, opening_header(passage))}
    return "supported" if not lead or lead in above else "weak"


def lines_of(passage: Passage, start: int, end: int) -> tuple[int, int]:
    """The first and last line of a span of a passage, counted from 1 in the document."""
    low, high = start - passage.start, end - passage.start
    first = passage.line_start + len(LINE_BREAK.findall(passage.text, 0, low))
    return first, first + len(LINE_BREAK.findall(passage.text, low, high))


def quote_citation(number: int, quote: Quote) -> Citation:
    """The citation of a quote's exact span."""
    line_start, line_end = lines_of(quote.passage, quote.start, quote.end)
    return Citation(number, quote.passage, quote.text, quote.start, quote.end, line_start, line_end)
