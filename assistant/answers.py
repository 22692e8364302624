"""The JSON of answers as types, for the description of the API; docs/answer-json.md says it in words."""

from typing import Literal

from typing_extensions import TypedDict


class SentenceJson(TypedDict):
    text: str
    start: int
    end: int
    citations: list[int]
    support: Literal["supported", "weak", "unsupported"]


class PlaceJson(TypedDict):
    document: str
    title: str
    section: list[str]
    start: int
    end: int
    line_start: int
    line_end: int
    url: str | None


class CitationJson(PlaceJson):
    number: int
    quote: str


class HitJson(PlaceJson):
    text: str
    score: float


class AnswerJson(TypedDict):
    schema: int
    id: str
    question: str
    search_query: str
    text: str
    refused: bool
    answered_by: str
    notices: list[str]
    sentences: list[SentenceJson]
    citations: list[CitationJson]
    hits: list[HitJson]
    timings_ms: dict[str, float]
    index: str


class HitsJson(TypedDict):
    query: str
    hits: list[HitJson]


class DocumentJson(TypedDict):
    id: str
    title: str
    url: str | None
    digest: str
    text: str
