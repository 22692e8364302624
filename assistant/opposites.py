"""Words that mean the opposite, or nearly the same; the lists are data, in `opposites.json`."""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from assistant.terms import stem

OPPOSITES = Path(__file__).with_name("opposites.json")


# word -> the places where it stands: (set, end)
_Groups = dict[str, frozenset[tuple[int, int]]]


@lru_cache(maxsize=1)
def _sets() -> list[list[list[str]]]:
    """Words that exclude each other: each set has two ends or more, each end its words, alike in meaning."""
    sets: list[list[list[str]]] = json.loads(OPPOSITES.read_text("utf-8"))
    return sets


@lru_cache(maxsize=1)
def phrases() -> tuple[re.Pattern[str], dict[str, str]]:
    """The listed words of several parts, inflected too, and what each is written as."""
    written: dict[str, str] = {}
    for phrase in (word for ends in _sets() for end in ends for word in end if " " in word):
        first, rest = phrase.split(" ", 1)
        for form in (
            first,
            *(first + ending for ending in ("s", "d", "ed", "ing", first[-1] + "ing")),
            first[:-1] + "ing",
        ):
            written.setdefault(f"{form} {rest}", phrase.replace(" ", "_"))
    return re.compile(rf"\b(?:{'|'.join(sorted(written, key=lambda one: (-len(one), one)))})\b"), written


@lru_cache(maxsize=1)
def lexicon() -> _Groups:
    """The sets that each word of the data belongs to: number of the set, and which half."""
    groups: dict[str, set[tuple[int, int]]] = {}
    for number, ends in enumerate(_sets()):
        for end, members in enumerate(ends):
            for member in members:
                for form in _forms(member.replace(" ", "_")):
                    groups.setdefault(form, set()).add((number, end))
    return {word: frozenset(places) for word, places in groups.items()}


def _forms(word: str) -> Iterator[str]:
    """A word, its stem and, where it is short enough to have them, its comparative and superlative."""
    yield word
    yield stem(word)
    if len(word) <= 6:
        root = word[:-1] + "i" if word.endswith("y") else word.removesuffix("e")
        for ending in ("er", "est"):
            yield root + ending
            if re.search(r"[^aeiou][aeiou][bdgmnpt]$", word):
                yield root + word[-1] + ending


@lru_cache(maxsize=20_000)
def groups(word: str) -> frozenset[tuple[int, int]]:
    """The sets that a word belongs to, by itself or by its stem."""
    known = lexicon()
    return known.get(word, frozenset()) | known.get(stem(word), frozenset())


@lru_cache(maxsize=50_000)
def opposed(one: str, other: str) -> bool:
    """Whether two words are opposites."""
    theirs = groups(other)
    return (
        any(pair == its and end != far for pair, end in groups(one) for its, far in theirs)
        or _denies(one, other)
        or _denies(other, one)
    )


def opposite_of(word: str) -> str:
    """The first opposite that is listed for a word; nothing where none is."""
    for ends in _sets():
        for end, members in enumerate(ends):
            if word in members:
                return ends[end - 1][0]
    return ""


@lru_cache(maxsize=50_000)
def synonymous(one: str, other: str) -> bool:
    """Whether two words stand in the same half of a set."""
    return bool(groups(one) & groups(other))


def _denies(one: str, other: str) -> bool:
    """Whether a word is another with a negating prefix or ending: unsuitable, insecure, disconnected, painless."""
    root = stem(other)
    if len(root) < 4:
        return False
    for prefix in ("un", "non", "dis", "mis", "in", "im", "ir", "il", "de"):
        rest = one.removeprefix(prefix)
        # The shorter prefixes open many a word that denies nothing: install, design.
        if rest != one and len(rest) >= (4 if prefix in ("un", "non", "dis") else 5) and stem(rest) == root:
            return True
    return one.endswith("less") and stem(one.removesuffix("less")) == root
