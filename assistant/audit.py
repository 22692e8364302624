"""One line of JSON for each question that is asked over HTTP; what was asked only where the settings say so."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assistant.errors import AssistantError
from assistant.settings import Settings


class Audit:
    """A file that lines are added to, opened anew for each, so that it may be moved away at any time."""

    def __init__(self, path: Path, questions: bool, complain: Callable[[str], None]) -> None:
        self.path, self.questions, self._complain = path, questions, complain
        self._failed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._add(b"")
        except OSError as error:
            raise AssistantError(
                f"The audit file {str(path)!r} cannot be written ({error.strerror}). Choose another with ASSISTANT_AUDIT."
            ) from error

    def write(self, line: dict[str, Any]) -> None:
        """Adds a line; where that fails, says so once and lets the server go on."""
        try:
            self._add(json.dumps(line).encode() + b"\n")
        except OSError as error:
            if not self._failed:
                self._complain(f"The audit file {str(self.path)!r} cannot be written ({error.strerror}).")
            self._failed = True
        else:
            self._failed = False

    def _add(self, line: bytes) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line)
        finally:
            os.close(file)


def open_audit(settings: Settings, complain: Callable[[str], None]) -> Audit | None:
    """The file that the settings name; None where they name none."""
    if not settings.audit.strip():
        return None
    return Audit(Path(settings.audit).expanduser(), settings.audit_questions, complain)


def asked(body: bytes) -> str | None:
    """The question in the body of any of the ways in; None where there is none to be seen."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return _question(data) if isinstance(data, dict) else None


def _question(data: dict[str, Any]) -> str | None:
    for name in ("question", "query", "input"):
        if isinstance(data.get(name), str):
            return str(data[name])
    match data:
        case {"messages": [*messages]}:
            said = [one.get("content") for one in messages if isinstance(one, dict) and one.get("role") == "user"]
            return _text(said[-1]) if said else None
        case {"data": [[*_, {"question": str(question)}], *_]}:  # the chat's conversation, its last exchange
            return question
        case {"params": {"arguments": dict(arguments)}}:
            return _question(arguments)
    return None


def _text(content: Any) -> str | None:
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else None
