"""One table in one SQLite file that only its owner reads; several processes and threads may write at the same time."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from assistant.errors import AssistantError

WAIT = 10.0  # seconds for another writer


class Database:
    """A file with a table; each look is a connection of its own, so that processes and threads only meet in SQLite's locks.

    Raises AssistantError where the file cannot be used: `what` names it, `instead` says what to do.
    """

    def __init__(self, path: Path, table: str, what: str, instead: str) -> None:
        self.path = path
        self._table = table
        self._what = what
        self._instead = instead

    def there(self) -> bool:
        """Whether there is anything at the path; what is no such file is told apart when it is opened."""
        try:
            return self.path.exists()
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; what is deleted in it leaves no bytes."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Before SQLite does, which would let the umask decide who may read it; its journal takes the same mode.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            self.path.chmod(0o600)
            with closing(sqlite3.connect(self.path, timeout=WAIT)) as database, database:
                database.execute("pragma secure_delete = on")
                database.execute("begin immediate")
                database.execute(self._table)
                yield database
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A look that writes nothing and waits for nobody who reads."""
        try:
            address = f"{self.path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, timeout=WAIT, uri=True)) as database:
                yield database
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> AssistantError:
        return AssistantError(f"{self._what} {str(self.path)!r} cannot be used ({error}). {self._instead}")
