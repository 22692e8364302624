"""What was said -> Sentences and Citations, each checked against the document's own characters."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from assistant.corpus import LINE_BREAK
from assistant.nouns import MARKER, Citation, Passage, Sentence, Support
from assistant.sentences import opening_header
from assistant.writing import Quote

# An even number of backslashes leaves the bracket unescaped.
_LITERAL = re.compile(r"(?<!\\)((?:\\\\)*)\[(?=\d+\])")
# A line break inside a quote, with the block-quote marks and the indentation of the next line.
_WRAP = re.compile(r"[ \t]*(?:\r\n|\n|\r)[ \t]*(?:>[ \t]?)*[ \t]*")


@dataclass(frozen=True, slots=True)
class Cited:
    """A text whose every `[n]` is a citation, its sentences, and the citations by number."""

    text: str
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]


def cite_quotes(quotes: Iterable[Quote]) -> Cited:
    """One sentence a quote, each followed by its number; a span that is quoted twice keeps one number."""
    text = ""
    sentences: list[Sentence] = []
    citations: dict[tuple[str, int, int], Citation] = {}
    for quote in quotes:
        key = (quote.passage.id, quote.start, quote.end)
        citation = citations.setdefault(key, _citation(len(citations) + 1, quote))
        lead = f"{displayed(quote.lead)}: " if quote.lead else ""
        said = f"{lead}{displayed(quote.text)} [{citation.number}]"
        text += "\n\n" if text else ""
        sentences.append(Sentence(said, len(text), len(text) + len(said), (citation.number,), support(said, citation)))
        text += said
    return Cited(text, tuple(sentences), tuple(citations.values()))


def displayed(quote: str) -> str:
    """A quote on one line, with a literal "[7]" escaped so that it is not taken for a citation."""
    return _LITERAL.sub(r"\1\\[", _WRAP.sub(" ", quote)).strip()


def support(said: str, citation: Citation) -> Support:
    """Whether a citation supports a sentence: `supported` if it is the quote itself, led at most by a heading above it.

    The span is compared with the passage's own characters, not with what the writer claims.
    """
    passage = citation.passage
    actual = passage.text[citation.start - passage.start : citation.end - passage.start]
    if actual != citation.quote:
        return "unsupported"
    bare = MARKER.sub("", said).strip()
    if not bare.endswith(displayed(actual)):
        return "unsupported"
    lead = bare.removesuffix(displayed(actual)).strip()
    above = {f"{displayed(text)}:" for text in (*passage.section, opening_header(passage))}
    return "supported" if not lead or lead in above else "weak"


def lines_of(passage: Passage, start: int, end: int) -> tuple[int, int]:
    """The first and last line of a span of a passage, counted from 1 in the document."""
    low, high = start - passage.start, end - passage.start
    first = passage.line_start + len(LINE_BREAK.findall(passage.text, 0, low))
    return first, first + len(LINE_BREAK.findall(passage.text, low, high))


def _citation(number: int, quote: Quote) -> Citation:
    line_start, line_end = lines_of(quote.passage, quote.start, quote.end)
    return Citation(number, quote.passage, quote.text, quote.start, quote.end, line_start, line_end)
