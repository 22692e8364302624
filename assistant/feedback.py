"""Ratings of answers with their whole trace, in one SQLite file."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assistant.database import Database
from assistant.errors import UsageError
from assistant.nouns import Turn

OFF = "off"
RATINGS = ("up", "down")
REASONS = (
    "It is wrong",
    "Its source does not say so",
    "Something is missing",
    "It should have been answered",
    "It should not have been answered",
    "Something else",
)
COMMENT = 2000  # characters
TRACE = 400_000  # bytes

_TABLE = """create table if not exists feedback (
    id text primary key,
    created text not null,
    rating text not null check (rating in ('up', 'down')),
    reason text not null,
    comment text not null,
    trace text not null
)"""


@dataclass(frozen=True, slots=True)
class Rating:
    """One rating as it is kept. `trace` is the question, its history, the answer's JSON with its hits, and versions."""

    id: str
    created: str  # UTC, to the second
    rating: str
    reason: str
    comment: str
    trace: dict[str, Any]


def trace_of(
    question: str, history: Sequence[Turn], answer: Mapping[str, Any], version: str, query: str = ""
) -> dict[str, Any]:
    """What is kept with a rating; `answer` is the answer's JSON, `query` what the reader had searched instead."""
    return {
        "question": question,
        "query": query,
        "history": [{"question": turn.question, "answer": turn.answer} for turn in history],
        "answer": dict(answer),
        "versions": {"assistant": version, "index": answer["index"], "written_by": answer["answered_by"]},
    }


class Feedback:
    """A file of ratings; several processes and threads may write at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        instead = f"Choose another with ASSISTANT_FEEDBACK, or {OFF}."
        self._database = Database(path, _TABLE, "The feedback file", instead)

    def save(
        self, rating: str, trace: Mapping[str, Any], reason: str = "", comment: str = "", rating_id: str = ""
    ) -> str:
        """Stores a rating and gives its id; with the id of one that is there, replaces that.

        Raises UsageError for what is no rating, AssistantError where the file cannot be written.
        """
        if rating not in RATINGS:
            raise UsageError(f"A rating is {' or '.join(RATINGS)}, not {rating!r}.")
        if reason not in ("", *REASONS):
            raise UsageError("The reason is none of those that are offered.")
        if len(comment) > COMMENT:
            raise UsageError(f"A comment has at most {COMMENT:,} characters.")
        if any("\ud800" <= character <= "\udfff" for character in comment):
            raise UsageError("The comment is not valid Unicode.")
        written = json.dumps(trace, sort_keys=True)
        if len(written) > TRACE:
            raise UsageError("The conversation is too long to be stored with a rating.")
        created = datetime.now(UTC).isoformat(timespec="seconds")
        with self._database.writing() as database:
            done = database.execute(
                "update feedback set rating = ?, reason = ?, comment = ? where id = ?",
                (rating, reason, comment, rating_id),
            )
            if done.rowcount:
                return rating_id
            rating_id = secrets.token_hex(8)
            database.execute(
                "insert into feedback values (?, ?, ?, ?, ?, ?)",
                (rating_id, created, rating, reason, comment, written),
            )
        return rating_id

    def all(self) -> list[Rating]:
        """Every rating, the oldest first; none where nothing was ever rated."""
        if not self._database.there():
            return []
        with self._database.writing() as database:
            rows = database.execute(
                "select id, created, rating, reason, comment, trace from feedback order by created, rowid"
            )
            return [Rating(a, b, c, d, e, json.loads(trace)) for a, b, c, d, e, trace in rows]

    def get(self, rating_id: str) -> Rating:
        """Raises UsageError where there is none of this id."""
        for one in self.all():
            if one.id == rating_id:
                return one
        raise UsageError(f"There is no feedback {rating_id!r}. See: assistant feedback list")

    def delete(self, rating_id: str) -> bool:
        """Whether there was one of this id to delete."""
        if not self._database.there():
            return False
        with self._database.writing() as database:
            return bool(database.execute("delete from feedback where id = ?", (rating_id,)).rowcount)


def open_feedback(setting: str) -> Feedback | None:
    """The file that a setting names; None where it says that nothing is stored."""
    return None if setting.strip().lower() == OFF else Feedback(Path(setting).expanduser())
