"""The nouns of the project. Every other module is a verb between two of them.

Document --split--> Passage --index, search--> Hit --write, cite--> Answer
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

# How an answer's text marks a citation: "[1]". An escaped bracket belongs to a quoted literal.
MARKER = re.compile(r"(?<!\\)\[(\d+)\]")

Support = Literal["supported", "weak", "unsupported"]
Kind = Literal["sentence", "item", "row"]


@dataclass(frozen=True, slots=True)
class Document:
    """A file of the corpus: `text` is its bytes as UTF-8 without a leading BOM, or what it was converted to."""

    id: str  # the POSIX path below the corpus folder, NFC
    title: str
    text: str
    url: str | None
    digest: str  # sha256 of the file's bytes, and of what converted them
    body: int  # where the text starts after the front matter, in code points


def is_markdown(document_id: str) -> bool:
    """Whether a document's text is Markdown: every kind is, or is converted to it, but plain text."""
    return not document_id.lower().endswith(".txt")


@dataclass(frozen=True, slots=True)
class Passage:
    """A verbatim piece of a document: `document.text[start:end] == text`, always."""

    document_id: str
    title: str
    section: tuple[str, ...]  # the headings above it, outermost first
    text: str
    start: int  # code points
    end: int
    line_start: int  # counted from 1
    line_end: int
    url: str | None = None

    @property
    def id(self) -> str:
        return f"{self.document_id}@{self.start}-{self.end}"


@dataclass(frozen=True, slots=True)
class Statement:
    """A quotable piece of a passage: one sentence, one short list item or one table row."""

    kind: Kind
    text: str  # verbatim: `document.text[start:end]`
    start: int
    end: int


class Hit(NamedTuple):
    """A passage and how well it matched. Scores rank hits; they are not probabilities."""

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class Turn:
    """A question asked earlier in the conversation, and its answer."""

    question: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """An exact span of a document: `document.text[start:end] == quote`, and it lies within `passage`."""

    number: int
    passage: Passage
    quote: str
    start: int
    end: int
    line_start: int
    line_end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """A piece of the answer, `answer.text[start:end] == text`, with the numbers of what supports it."""

    text: str
    start: int
    end: int
    citations: tuple[int, ...]
    support: Support


@dataclass(frozen=True, slots=True)
class Answer:
    """What every surface shows. While an answer streams, each step is one of these."""

    id: str
    question: str
    search_query: str
    text: str
    refused: bool
    answered_by: str
    index: str
    notices: tuple[str, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    citations: tuple[Citation, ...] = ()
    hits: tuple[Hit, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    dropped: int = 0  # sentences of a model that were left out
