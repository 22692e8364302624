"""Misspelt words of a question, put right by the words of the documents."""

import re
from collections.abc import Callable, Iterable

from assistant.terms import STOP_WORDS, stem, words


def spell(query: str, vocabulary: frozenset[str], english: Callable[[str], bool] = lambda word: False) -> str:
    """The query with words that occur nowhere in the documents replaced by the one they misspell.

    A word of five letters may be one edit away, of eight two; the first letter must agree, and a word
    that could be several, or is `english` as it stands ("spend" is no "speed"), is left as it is.
    """
    for word in dict.fromkeys(words(query)):
        if len(word) < 5 or not word.isalpha() or word in vocabulary or word in STOP_WORDS or english(word):
            continue
        stems = {stem(word)}
        if any(stem(known) in stems for known in vocabulary if known[:3] == word[:3]):
            continue
        if (meant := _nearest(word, vocabulary)) is not None:
            query = re.sub(rf"(?i)(?<!\w){re.escape(word)}(?!\w)", meant, query)
    return query


def _nearest(word: str, vocabulary: Iterable[str]) -> str | None:
    most = 2 if len(word) >= 8 else 1
    found: dict[int, set[str]] = {}
    for known in vocabulary:
        if len(known) < 4 or known[0] != word[0] or abs(len(known) - len(word)) > most:
            continue
        if (distance := edit_distance(word, known, most)) <= most:
            found.setdefault(distance, set()).add(known)
    for distance in sorted(found):
        # Several forms of one word are no ambiguity; the shortest is taken.
        if len({stem(known) for known in found[distance]}) == 1:
            return min(found[distance], key=lambda known: (len(known), known))
        return None
    return None


def edit_distance(first: str, second: str, most: int) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment); `most + 1` if more."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        last, row, older = row, [i], before
        for j, b in enumerate(second, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        before = last
    return min(row[-1], most + 1)
