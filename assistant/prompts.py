"""What is sent to a model: messages from the files of `prompts/`, the passages as numbered blocks between random marks."""

import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from assistant.errors import UsageError
from assistant.nouns import Passage, Turn
from assistant.rendering import clean, one_line

ANSWER, QUESTION, COMPARISON, TABLE = "answer", "question", "comparison", "table"
STANDALONE, CONVERSATION = "standalone", "conversation"
# The files, and the values that each may name as `$name`.
FILES: Mapping[str, frozenset[str]] = {
    ANSWER: frozenset({"boundary"}),
    COMPARISON: frozenset({"boundary", "first", "second"}),
    QUESTION: frozenset({"passages", "question"}),
    TABLE: frozenset({"passages", "question"}),
    STANDALONE: frozenset(),
    CONVERSATION: frozenset({"turns", "question"}),
}
# A model's own tokens for plain words may be more than the embedding model's by this factor.
TOKENS = 1.35
# What a chat template adds to each message, in tokens.
TEMPLATE = 16
# The most that an earlier answer takes of a prompt, in characters.
ANSWER_CHARACTERS = 600

# What chat templates mark the turns of a conversation with, and comments.
_NOT_SHOWN = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|THINK)\]|<</?SYS>>"
    r"|</?s>|<(?:bos|eos|pad|unk)>|</?(?:start|end)_of_turn>|</?(?:think|thinking|thought|reasoning|tool_call|tool_response)>"
    r"|<!--.*?(?:-->|\Z)",
    re.IGNORECASE | re.DOTALL,
)
# Characters that no reader sees: soft hyphens, fillers, variation selectors, all tags, halves of characters.
_UNSEEN = re.compile(
    r"[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ud800-\udfff\ufe00-\ufe0f\uffa0"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Brackets and bars of full width, which some tokenizers take for the usual ones.
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0xFE64: "<", 0xFE65: ">"}
# What a model's tokenizer takes in smaller pieces than the embedding model's: digits, capitals inside words, layout.
_SMALLER = re.compile(r"\d|(?<=\w)[A-Z]|[^\S ]| {2,}")
# What the embedding model takes for one token whatever is in it.
_UNREAD = re.compile(r"\w{100,}|[^\x00-\x7f]+")


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
        for name, given in FILES.items():
            path = folder / f"{name}.md"
            try:
                self._texts[name] = path.read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(
                    f"The prompt {str(path)!r} cannot be read. Set ASSISTANT_PROMPTS to its folder."
                ) from error
            template = Template(self._texts[name])
            unknown = sorted(f"${one}" for one in template.get_identifiers() if one not in given)
            if unknown or not template.is_valid():
                known = ", ".join(f"${one}" for one in sorted(given)) or "none"
                raise UsageError(
                    f"The prompt {str(path)!r} names {unknown[0] if unknown else 'a value'} that it is not given (it is given {known}); "
                    "write $$ for a dollar sign."
                )
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
            first, second = (one_line(safe(side, boundary)) for side in sides)
            system = self._message("system", COMPARISON, boundary=boundary, first=first, second=second)
        else:
            system = self._message("system", ANSWER, boundary=boundary)
        for most in range(len(passages), 0, -1):
            blocks = numbered(passages[:most], boundary)
            user = self._message(
                "user", TABLE if sides else QUESTION, passages=blocks, question=safe(question, boundary)
            )
            if (length := _length((system, user), count)) <= room:
                return Prompt((system, user), most, length)
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
            if (length := _length((system, user), count)) <= room:
                return Prompt((system, user), 0, length)
        return None

    def _message(self, role: str, name: str, **values: str) -> Message:
        return Message(role, Template(self._texts[name]).substitute(values), f"{name}.md")


def numbered(passages: Sequence[Passage], boundary: str) -> str:
    """The passages as blocks `[n]` with their title and headings, between lines that begin with the boundary."""
    blocks = []
    for number, passage in enumerate(passages, 1):
        path = " › ".join([passage.title, *(one for one in passage.section if one != passage.title)])
        blocks.append(f"{boundary} [{number}] {one_line(safe(path, boundary))}\n{safe(passage.text, boundary)}")
    return "\n".join([*blocks, f"{boundary} end"])


def safe(text: str, boundary: str = "") -> str:
    """A copy for a prompt: no unseen characters, comments, chat-template tokens or boundary; the others as they are."""
    text = unicodedata.normalize("NFC", _UNSEEN.sub("", clean(text))).translate(_WIDE)
    bare = None
    while bare != text:  # what was taken out may have parted another
        bare = text
        text = _NOT_SHOWN.sub("", text.replace(boundary, "") if boundary else text)
    return text.strip()


def tokens(text: str, count: Callable[[str], int]) -> int:
    """The most tokens that a text may be for a model, from the embedding model's own number."""
    unread = sum(len(one.encode()) for one in _UNREAD.findall(text))
    return math.ceil(TOKENS * count(text)) + len(_SMALLER.findall(text)) + unread


def _length(messages: Sequence[Message], count: Callable[[str], int]) -> int:
    return sum(TEMPLATE + tokens(one.text, count) for one in messages)
