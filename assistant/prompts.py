"""What is sent to a model: messages from the files of `prompts/`, the passages as numbered blocks between random marks."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from assistant.errors import UsageError
from assistant.nouns import Passage, Turn
from assistant.rendering import clean, one_line

ANSWER, COMPARISON, QUESTION = "answer", "comparison", "question"
STANDALONE, CONVERSATION = "standalone", "conversation"
NAMES = (ANSWER, COMPARISON, QUESTION, STANDALONE, CONVERSATION)
# A model's own tokens for a text may be more than the embedding model's by this factor.
TOKENS = 1.35
# What a chat template adds to each message, in tokens.
TEMPLATE = 16
# The most that an earlier answer takes of a prompt, in characters.
ANSWER_CHARACTERS = 600

# What chat templates mark the turns of a conversation with.
_CONTROL_TOKENS = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|<</?SYS>>"
    r"|</?s>|<(?:bos|eos|pad|unk)>|</?(?:start|end)_of_turn>|</?(?:think|thinking|tool_call)>",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Message:
    """One message to a model, and the file that it was made from."""

    role: str  # system or user
    text: str
    file: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """The messages of one request, and how many of the passages found room in the model's window."""

    messages: tuple[Message, ...]
    passages: int
    tokens: int  # estimated, never too few


class Prompts:
    """The files of a folder. Raises UsageError where one is missing or names a value that it is not given."""

    def __init__(self, folder: Path) -> None:
        self._texts: dict[str, str] = {}
        for name in NAMES:
            path = folder / f"{name}.md"
            try:
                self._texts[name] = path.read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(
                    f"The prompt {str(path)!r} cannot be read. Set ASSISTANT_PROMPTS to its folder."
                ) from error
        self.digest = hashlib.sha256("\0".join(self._texts.values()).encode()).hexdigest()

    def answer(
        self,
        question: str,
        passages: Sequence[Passage],
        sides: Sequence[str],
        boundary: str,
        room: int,
        count: Callable[[str], int],
    ) -> Prompt | None:
        """The request for an answer, or for a table where `sides` has the names of two.

        As many whole passages as fit into `room` tokens, the best first; None where not even one does. `count` counts
        tokens as the embedding model does.
        """
        if sides:
            system = self._message("system", COMPARISON, boundary=boundary, first=sides[0], second=sides[1])
        else:
            system = self._message("system", ANSWER, boundary=boundary)
        for most in range(len(passages), 0, -1):
            blocks = numbered(passages[:most], boundary)
            user = self._message("user", QUESTION, passages=blocks, question=safe(question))
            tokens = sum(TEMPLATE + round(TOKENS * count(one.text)) for one in (system, user))
            if tokens <= room:
                return Prompt((system, user), most, tokens)
        return None

    def standalone(
        self, question: str, history: Sequence[Turn], room: int, count: Callable[[str], int]
    ) -> Prompt | None:
        """The request for a question that stands alone, with as many of the last turns as fit into `room` tokens."""
        system = self._message("system", STANDALONE)
        for first in range(len(history)):
            turns = "\n".join(
                f"Question: {one_line(safe(turn.question))}\nAnswer: {one_line(safe(turn.answer[:ANSWER_CHARACTERS]))}"
                for turn in history[first:]
            )
            user = self._message("user", CONVERSATION, turns=turns, question=safe(question))
            tokens = sum(TEMPLATE + round(TOKENS * count(one.text)) for one in (system, user))
            if tokens <= room:
                return Prompt((system, user), 0, tokens)
        return None

    def _message(self, role: str, name: str, **values: str) -> Message:
        try:
            return Message(role, Template(self._texts[name]).substitute(values), f"{name}.md")
        except (KeyError, ValueError) as error:
            raise UsageError(f"The prompt {name}.md names a value that it is not given ({error}).") from error


def numbered(passages: Sequence[Passage], boundary: str) -> str:
    """The passages as blocks `[n]` with their title and headings, between lines that begin with the boundary."""
    blocks = []
    for number, passage in enumerate(passages, 1):
        path = " › ".join([passage.title, *(one for one in passage.section if one != passage.title)])
        blocks.append(f"{boundary} [{number}] {one_line(safe(path))}\n{safe(passage.text, boundary)}")
    return "\n".join([*blocks, f"{boundary} end"])


def safe(text: str, boundary: str = "") -> str:
    """A copy for a prompt: composed characters, no control characters, comments, chat-template tokens or boundary."""
    text = _COMMENT.sub("", clean(unicodedata.normalize("NFKC", text)))
    while (bare := _CONTROL_TOKENS.sub("", text)) != text:
        text = bare  # what was taken out may have parted another
    return (text.replace(boundary, "") if boundary else text).strip()
