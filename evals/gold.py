"""Gold questions: YAML files, each a list; read strictly, so that a slip in a file is no silent zero."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from assistant.errors import UsageError
from assistant.nouns import Document, Turn

Model = TypeVar("Model", bound=BaseModel)

GOLD = Path(__file__).parent / "gold"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Evidence(_Strict):
    """An exact quote of a document that a full answer needs."""

    doc: str
    quote: str = Field(min_length=1)


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
        return self.document == document and self.start < end and start < self.end


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


def locate(question: Question, documents: dict[str, Document]) -> tuple[list[Span], list[str]]:
    """The spans of a question's evidence, and the quotes that no longer stand in their document."""
    spans: list[Span] = []
    lost: list[str] = []
    for evidence in question.evidence:
        document = documents.get(evidence.doc)
        start = document.text.find(evidence.quote) if document else -1
        if start < 0:
            lost.append(f"{question.id}: {evidence.doc}: {evidence.quote[:70]!r}")
        else:
            spans.append(Span(evidence.doc, start, start + len(evidence.quote)))
    return spans, lost


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
