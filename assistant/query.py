"""Question + history -> the standalone query that is searched, gated and shown."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from assistant.errors import UsageError
from assistant.nouns import Turn
from assistant.terms import STOP_WORDS, stem, terms, words

# The two sides that this assistant's documents compare; a follow-up that names one drops the other.
SIDES: tuple[re.Pattern[str], re.Pattern[str]] = (
    re.compile(r"\b(?:containers?|docker|containeri[sz]ed|containeri[sz]ation)\b", re.IGNORECASE),
    re.compile(r"\b(?:vms?|virtual machines?|hypervisors?|virtual-machine|microvms?)\b", re.IGNORECASE),
)

_LEANS_BACK = re.compile(
    r"\b(?:it|its|they|their|them|theirs|this|that|these|those|ones?|former|latter|both|either|neither|"
    r"(?<!each )others?|same|he|she|his|her|instead|else)\b",
    re.IGNORECASE,
)
_CONTINUES = re.compile(r"\s*(?:and|but|or|so|what about|how about|what if|also|then|ok|okay|really)\b", re.IGNORECASE)
_FEW_TERMS = 2
MAX_QUESTION = 2000


def check_question(question: str) -> str:
    """The question without the blank space around it. Raises UsageError where there is nothing to answer."""
    question = question.strip()
    if any("\ud800" <= character <= "\udfff" for character in question):
        raise UsageError("The question is not valid Unicode.")
    if not any(character.isalnum() for character in question):
        raise UsageError("The question is empty: it needs at least one letter or digit.")
    if len(question) > MAX_QUESTION:
        raise UsageError(f"The question has {len(question):,} characters; the most is {MAX_QUESTION:,}. Shorten it.")
    return question


def read_history(turns: Any) -> list[Turn]:
    """The conversation as programs send it: a list of `{"question": …, "answer": …}`. Raises UsageError."""
    if turns is None:
        return []
    if not isinstance(turns, list):
        raise UsageError('"history" must be a list of {"question": …, "answer": …}.')
    read = []
    for turn in turns:
        if (
            not isinstance(turn, dict)
            or not isinstance(turn.get("question"), str)
            or not isinstance(turn.get("answer", ""), str)
        ):
            raise UsageError('Each turn of "history" must be {"question": …, "answer": …}, both strings.')
        read.append(Turn(turn["question"][:MAX_QUESTION], turn.get("answer", "")))
    return read


def sides(text: str) -> tuple[bool, bool]:
    """Whether a text names containers, and whether it names virtual machines."""
    return bool(SIDES[0].search(text)), bool(SIDES[1].search(text))


def needs_history(question: str) -> bool:
    """Whether a question can hardly be understood alone: a pronoun, an ellipsis, or next to no content."""
    return (
        bool(_CONTINUES.match(question))
        or bool(_LEANS_BACK.search(question))
        or len(set(terms(question))) <= _FEW_TERMS
    )


def standalone(question: str, history: Sequence[Turn]) -> str:
    """The question itself, or, where it leans on the conversation, with the words it leaves out.

    The words come from the question before (and from the one before that, where that one leaned back too).
    A side that the new question replaces ("And VMs?" after a question on containers) is left out.
    """
    if not history or not needs_history(question):
        return question
    earlier = history[-1].question
    if len(history) > 1 and needs_history(earlier):
        earlier = f"{history[-2].question} {earlier}"
    named = sides(question)
    for side in (0, 1):
        if named[side] and not named[1 - side]:
            earlier = SIDES[1 - side].sub(" ", earlier)
    present = set(terms(question))
    kept = []
    for word in words(earlier):
        term = stem(word)
        if word in STOP_WORDS or term in present:
            continue
        kept.append(word)
        present.add(term)
    return f"{question} {' '.join(kept)}" if kept else question


def spell(query: str, vocabulary: frozenset[str]) -> str:
    """The query with words that occur nowhere in the documents replaced by the one they misspell.

    A word of five letters may be one edit away, of eight two; the first letter must agree, and a word
    that could be several is left as it is.
    """
    for word in dict.fromkeys(words(query)):
        if len(word) < 5 or not word.isalpha() or word in vocabulary or word in STOP_WORDS:
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
