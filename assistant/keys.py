"""API keys, each with a name and a rate, in one SQLite file that holds their hashes and never the keys."""

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from assistant.database import Database
from assistant.errors import UsageError

MARK = "ak_"
RATE = 60  # questions a minute
MOST_RATE = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_KEY = re.compile(r"ak_[A-Za-z0-9_-]{32,128}")

_TABLE = """create table if not exists keys (
    name text primary key,
    created text not null,
    rate integer not null,
    salt blob not null,
    digest blob not null
)"""


@dataclass(frozen=True, slots=True)
class Key:
    """Who may ask, and how many questions a minute."""

    name: str
    created: str  # UTC, to the second
    rate: int


class Keys:
    """A file of keys; each look reads the file, so that what another process adds or revokes counts at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path, _TABLE, "The file of keys", "Choose another with ASSISTANT_KEYS.")

    def add(self, name: str, rate: int = RATE) -> str:
        """Makes a key and gives it; it is stored nowhere. Raises UsageError for a name that is taken or is none."""
        if not _NAME.fullmatch(name):
            raise UsageError("A key's name has 1 to 64 letters, digits, dots, dashes, underscores or @.")
        if not 1 <= rate <= MOST_RATE:
            raise UsageError(f"A key's rate is a number of questions a minute, 1 to {MOST_RATE:,}.")
        # Long and random, so that one plain hash holds against guessing.
        key, salt = MARK + secrets.token_urlsafe(32), secrets.token_bytes(16)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        with self._database.writing() as database:
            if database.execute("select 1 from keys where name = ?", (name,)).fetchone():
                raise UsageError(f"There is a key {name!r} already. Revoke it first: assistant keys revoke {name}")
            database.execute("insert into keys values (?, ?, ?, ?, ?)", (name, created, rate, salt, _digest(salt, key)))
        return key

    def all(self) -> list[Key]:
        """Every key, the oldest first; none where there is no file."""
        if not self._database.there():
            return []
        with self._database.reading() as database:
            return [Key(*row) for row in database.execute("select name, created, rate from keys order by rowid")]

    def revoke(self, name: str) -> bool:
        """Whether there was a key of this name to delete."""
        if not self._database.there():
            return False
        with self._database.writing() as database:
            return bool(database.execute("delete from keys where name = ?", (name,)).rowcount)

    def find(self, key: str) -> Key | None:
        """Whose key this is. Raises AssistantError where the file cannot be read."""
        if not _KEY.fullmatch(key) or not self._database.there():
            return None
        found = None
        with self._database.reading() as database:
            for name, created, rate, salt, digest in database.execute("select * from keys"):
                if hmac.compare_digest(digest, _digest(salt, key)):
                    found = Key(name, created, rate)
        return found


def _digest(salt: bytes, key: str) -> bytes:
    return sha256(salt + key.encode()).digest()
