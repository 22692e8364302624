"""Gold questions: YAML files, each a list; read strictly, so that a slip in a file is no silent zero."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from assistant.errors import UsageError
from assistant.nouns import Document, Turn

Model = TypeVar("Model", bound=BaseModel)

GOLD = Path(__file__).parent / "gold"

# Questions on the founding document alone: how the assistant does on two pages.
FOUNDING_GOLD = Path(__file__).parent / "gold_founding"
FOUNDING = "docker-vs-vms.md"

# Notes that an attacker would add, and questions that they are after; never part of the corpus.
POISON = Path(__file__).parent / "poison"

# What a draft leaves to a person, as the value of a field or in its list.
TODO = "TODO"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _filled_in(cls, value: object) -> object:
        """Before any other check, so that a draft is told from a mistake."""
        if TODO in (value if isinstance(value, list) else [value]):
            raise PydanticCustomError("todo", "still TODO; a draft counts once a person has filled it in")
        return value


class Place(_Strict):
    """An exact quote of a document."""

    doc: str
    quote: str = Field(min_length=1)


class Evidence(Place):
    """What a full answer needs, and where else the documents say the same."""

    also: list[Place] = []


class Nugget(_Strict):
    """A fact; an answer holds it when any of the phrases occurs in it."""

    importance: Literal["vital", "okay"] = "vital"
    any_of: list[str] = Field(min_length=1)


class HistoryTurn(_Strict):
    question: str
    answer: str = ""


class Question(_Strict):
    """One gold question. `split` is `dev` (for tuning) or `test` (only reported)."""

    id: str = Field(min_length=1)
    question: str = Field(min_length=1)
    split: Literal["dev", "test"] = "test"
    kind: str = "fact"
    choice: str = ""  # of a decision: the name of the side that the documents advise
    history: list[HistoryTurn] = []
    answerable: bool = True
    evidence: list[Evidence] = []
    nuggets: list[Nugget] = []
    forbidden: list[str] = []
    reference: str = ""
    tags: list[str] = []

    @model_validator(mode="after")
    def _consistent(self) -> "Question":
        if not self.answerable and (self.evidence or self.nuggets):
            raise ValueError("an unanswerable question has neither evidence nor nuggets")
        return self

    @property
    def turns(self) -> list[Turn]:
        return [Turn(turn.question, turn.answer) for turn in self.history]


@dataclass(frozen=True, slots=True)
class Span:
    """Where a piece of evidence stands: code points of a document."""

    document: str
    start: int
    end: int

    def overlaps(self, document: str, start: int, end: int) -> bool:
        return self.shared(document, start, end) > 0

    def shared(self, document: str, start: int, end: int) -> int:
        """How many characters the two have in common."""
        return max(0, min(self.end, end) - max(self.start, start)) if self.document == document else 0


Needed = tuple[Span, ...]  # the places that say one piece of evidence; any of them will do


def load_gold(folder: Path) -> list[Question]:
    """Every question below a folder, in order of file and place. Raises UsageError naming the file and the fault."""
    files = sorted(path for pattern in ("*.yaml", "*.yml") for path in folder.rglob(pattern))
    if not files:
        raise UsageError(f"There are no gold questions (*.yaml) in {str(folder)!r}. Name a folder with --gold.")
    questions: list[Question] = []
    seen: dict[str, Path] = {}
    for path in files:
        for question in read_list(path, Question, "question"):
            if question.id in seen:
                raise UsageError(f"{path.name}: the id {question.id!r} is already in {seen[question.id].name}.")
            seen[question.id] = path
            questions.append(question)
    return questions


def gold_digest(questions: list[Question]) -> str:
    """sha256 of the questions' content, whatever the files are called."""
    dumped = sorted((question.model_dump() for question in questions), key=lambda one: str(one["id"]))
    return hashlib.sha256(json.dumps(dumped, sort_keys=True).encode()).hexdigest()


def locate(question: Question, documents: dict[str, Document]) -> tuple[list[Needed], list[str]]:
    """The places of each piece of a question's evidence, and the quotes that no longer stand in their document.

    A piece with no place left stays, empty: it counts as missed.
    """
    needed: list[Needed] = []
    lost: list[str] = []
    for evidence in question.evidence:
        spans = []
        for place in (evidence, *evidence.also):
            document = documents.get(place.doc)
            start = document.text.find(place.quote) if document else -1
            if start < 0:
                lost.append(f"{question.id}: {place.doc}: {place.quote[:70]!r}")
            else:
                spans.append(Span(place.doc, start, start + len(place.quote)))
        needed.append(tuple(spans))
    return needed, lost


def read_list(path: Path, model: type[Model], word: str) -> list[Model]:
    """A YAML file that is a list of entries of one kind. Raises UsageError naming the entry (a `word`) and the fault."""
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path.name} is no readable YAML ({str(error).splitlines()[0]}).") from error
    if not isinstance(loaded, list):
        raise UsageError(f"{path.name} must hold a list.")
    read = []
    for number, entry in enumerate(loaded, 1):
        try:
            read.append(model.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "entry"
            name = entry.get("id", f"number {number}") if isinstance(entry, dict) else f"number {number}"
            raise UsageError(f"{path.name}, {word} {name}: {place}: {first['msg']}.") from error
    return read
