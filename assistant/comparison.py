"""The two sides that a corpus compares: `comparison.yaml` beside its documents, absent where nothing is compared.

Everything this assistant knows of its subject stands in that file; the code knows two sides, whatever they are.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

FILE = "comparison.yaml"


@dataclass(frozen=True, slots=True)
class Side:
    """One side: its name as readers see it, and the words that name it in texts and questions."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides, or none; and what a chat over these documents is called and suggests to ask."""

    sides: tuple[Side, ...] = ()
    title: str = ""
    examples: tuple[str, ...] = ()

    def named(self, text: str) -> tuple[bool, bool]:
        """Whether a text names the first side, and whether it names the second."""
        if not self.sides:
            return False, False
        return tuple(_pattern(side.words).search(text) is not None for side in self.sides)  # type: ignore[return-value]

    def only(self, text: str) -> int | None:
        """The one side that a text names; None where it names both or neither."""
        first, second = self.named(text)
        return None if first == second else int(second)

    def first(self, text: str) -> int | None:
        """The side that a text names first."""
        places = [(match.start(), side) for side in (0, 1) if (match := self.search(side, text))]
        return min(places)[1] if places else None

    def search(self, side: int, text: str) -> re.Match[str] | None:
        return _pattern(self.sides[side].words).search(text) if self.sides else None

    def without(self, side: int, text: str) -> str:
        """The text with the words that name a side taken out."""
        return _pattern(self.sides[side].words).sub(" ", text)

    def neutral(self, text: str) -> str:
        """The text without the names of both sides, single spaces."""
        before, text = "", " ".join(text.split())
        while text != before:  # what is left on both sides of a name may be a name
            before = text
            for side in range(len(self.sides)):
                text = " ".join(self.without(side, text).split())
        return text

    def replaced(self, side: int, text: str, word: str) -> str:
        """The text with the words that name a side replaced by another."""
        return _pattern(self.sides[side].words).sub(lambda match: word, text)

    def as_data(self) -> dict[str, Any]:
        """What `read_comparison` makes a Comparison of again."""
        return {
            "sides": [{"name": side.name, "words": list(side.words)} for side in self.sides],
            "title": self.title,
            "examples": list(self.examples),
        }


NOTHING = Comparison()


def read_comparison(data: Any) -> Comparison:
    """The comparison in a parsed `comparison.yaml`. Raises ValueError that says what is wrong with it."""
    if not isinstance(data, Mapping) or not data.keys() <= {"sides", "title", "examples"}:
        raise ValueError("it must hold `sides`, and may hold `title` and `examples`")
    entries = data.get("sides") or []
    if not isinstance(entries, Sequence) or isinstance(entries, str) or len(entries) not in (0, 2):
        raise ValueError("`sides` must be a list of two")
    sides = []
    for entry in entries:
        if not isinstance(entry, Mapping) or entry.keys() != {"name", "words"}:
            raise ValueError("each side must have a `name` and `words`")
        sides.append(Side(_string(entry["name"], "name"), _strings(entry["words"], "words")))
        if not sides[-1].words:
            raise ValueError(f"the side {sides[-1].name!r} has no words")
    title = _string(data["title"], "title") if data.get("title") else ""
    return Comparison(tuple(sides), title, _strings(data.get("examples") or [], "examples"))


def _string(value: Any, key: str) -> str:
    if not isinstance(value, str) or not any(character.isalnum() for character in value):
        raise ValueError(f"`{key}` must be text")
    return " ".join(value.split())


def _strings(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"`{key}` must be a list of texts")
    return tuple(_string(one, key) for one in value)


@lru_cache(maxsize=32)
def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    # The longest first, so that "virtual machine" is taken whole; the last word may stand in the plural.
    ordered = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    written = (r"[\s_-]+".join(re.escape(word) for word in re.split(r"[\s_-]+", phrase)) for phrase in ordered)
    return re.compile(rf"(?<!\w)(?:{'|'.join(written)})(?:e?s)?(?!\w)", re.IGNORECASE)
