"""Hits -> what is said: the quoting writer picks verbatim statements and puts them in the order the question asks for."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from assistant.comparison import NOTHING, Comparison
from assistant.embedding import Vectors
from assistant.index import Index, Scores
from assistant.intents import OPEN_CHOICE, implies_sides, is_choice, is_comparison, is_yes_no
from assistant.nouns import Passage, Statement
from assistant.retrieval import Found
from assistant.sentences import opening_header, opens_with_reference
from assistant.terms import stem, terms, words

# How many statements an answer has at most.
MOST = 4
# The most for each of two questions in one.
SHARED = 2
# How much of the best statement's score another needs to be quoted as well.
ENOUGH = 0.92
# What a statement gains by meeting all of the question's words that those chosen before it do not meet.
COVER = 2.0
# How much of the better side's score the other side's cell of a comparison needs; below, its cell stays empty.
CELL = 0.4
# Where a statement stands: document, start, end.
Span = tuple[str, int, int]

# Two statements nearer than this (cosine) say the same thing.
SAME = 0.95
# An answer that has this many words takes no further statement.
WORDS = 70
# Weights of the statement's cosine to the question, of its aspect's to the question's aspect, of its late interaction with the
# question (headings included), of its passage's score, and of being advice where a choice is asked for.
COSINE, ASPECT, INTERACTION, PASSAGE, ADVICE = 0.75, 0.75, 1.0, 0.4, 0.15
# What two cells of a comparison gain by standing below the same heading.
PARALLEL = 0.1
# How many of each side's statements are tried in pairs.
PAIRED = 5
# How many pairs a comparison may show.
ROWS = 2
# How many of the best statements vote on the side to take, each by exp(SHARPNESS x score).
VOTERS, SHARPNESS = 4, 4.0

# A statement with a link, a word for telling and at most this many content words beside the link only points to it.
POINTING = 6

_LINK = re.compile(r"\[[^\[\]]+\]\((?!https?:)[^()\s]*\)")
_POINTING = re.compile(
    r"\b(?:described?|describes|cover(?:s|ed)?|explain(?:s|ed)?|discuss(?:es|ed)?|list(?:s|ed)?|treat(?:s|ed)?|compare[sd]?|subject of|more|see|read|note|details?)\b",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    r"\b(?:ideal|suit\w*|best for|great for|good for|better for|appropriate|recommend\w*|prefer\w*|choose|when to use|use cases?|fits?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Quote:
    """A verbatim span of one passage, and the heading that names its subject where it does not itself.

    `cell` is the side whose cell of a comparison it fills; None where it stands as a sentence.
    """

    passage: Passage
    text: str
    start: int
    end: int
    lead: str = ""
    cell: int | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    passage: Passage
    statement: Statement
    before: Statement | None  # the one before it in its passage
    score: float
    vector: Vectors
    side: int | None  # the side it speaks of
    met: Scores  # how well it meets each word of the question


def quoting_writer(index: Index, founds: Sequence[Found]) -> Iterator[Quote]:
    """Verbatim statements from the hits, none repeated, part by part of the question. Same input, same bytes.

    A decision is answered by the side that the best statements speak for, a comparison by the best statement
    of each side, any other question by the best statements in order.
    """
    told: list[Quote] = []
    for found in founds:
        for quote in _answer(index, found, alone=len(founds) == 1):
            if not any(_overlap(quote, other) for other in told):
                told.append(quote)
                yield quote


def compares(found: Found, comparison: Comparison) -> bool:
    """Whether a question is answered by a table of both sides."""
    both = all(comparison.named(found.query)) or implies_sides(found.query, comparison)
    return both and is_comparison(found.query, comparison)


def left_out(index: Index, founds: Sequence[Found], said: Sequence[Span]) -> Iterator[Quote]:
    """What the quoting writer would still say after statements that are said already, given as document, start and end.

    Nothing where one of these is as good as its best; else its own best, and what meets words that are not met yet.
    """
    for found in founds:
        ranked = _candidates(index, found, is_choice(found.query, index.comparison))
        told = [one for one in ranked if any(_within(one, span) for span in said)]
        if not ranked or (told and told[0].score >= ENOUGH * ranked[0].score):
            continue
        for candidate in _best(ranked, found.asked.weights, MOST if len(founds) == 1 else SHARED, told):
            if candidate not in told:
                yield _quote(index.comparison, candidate)


def _within(one: _Candidate, span: Span) -> bool:
    document, start, end = span
    return one.passage.document_id == document and one.statement.start < end and start < one.statement.end


def _answer(index: Index, found: Found, alone: bool) -> Iterator[Quote]:
    comparison = index.comparison
    choice = is_choice(found.query, comparison)
    ranked = _candidates(index, found, choice)
    if choice and comparison.sides and found.aspect != OPEN_CHOICE:
        # "When should I use this one?" has chosen; "Should I use this one?" has not.
        ranked = _decided(ranked, None if is_yes_no(found.query) else comparison.only(found.query))
    elif alone and compares(found, comparison):
        yield from _compared(comparison, ranked)
        return
    for candidate in _best(ranked, found.asked.weights, MOST if alone else SHARED):
        yield _quote(comparison, candidate)


def _compared(comparison: Comparison, ranked: Sequence[_Candidate]) -> Iterator[Quote]:
    """The best statement about both sides where it is the best of all, then cells: the best pair of statements, one
    of each side, and another pair where there is room for it.
    """
    left = list(ranked)
    shown: list[Quote] = []
    said = 0
    if left and all(comparison.named(left[0].statement.text)):
        shown.append(_quote(comparison, left[0]))
        yield shown[0]
        said = _length(left[0])
        left = [one for one in left[1:] if not _same(one, left[0])]
    best = 0.0
    for row in range(ROWS):
        cells = _pair(left)
        best = best or max((one.score for one in cells), default=0.0)
        cells = [one for one in cells if one.score >= (ENOUGH if row else CELL) * best]
        said += sum(map(_length, cells))
        quotes = [replace(_quote(comparison, cell), lead="", cell=cell.side) for cell in cells]
        again = any(_overlap(quote, other) for quote in quotes for other in shown)
        if not cells or (row and (len(cells) < 2 or said > WORDS or again)):
            return
        yield from quotes
        if len(cells) < 2:
            return
        shown += quotes
        left = [one for one in left if not any(_same(one, cell) for cell in cells)]


def _pair(ranked: Sequence[_Candidate]) -> list[_Candidate]:
    """The best statement of each side, those in sister sections preferred."""
    sides = [[one for one in ranked if one.side == side][:PAIRED] for side in (0, 1)]
    pairs = [[first, second] for first in sides[0] for second in sides[1]]
    if not pairs:
        return [*sides[0][:1], *sides[1][:1]]
    return max(pairs, key=lambda pair: pair[0].score + pair[1].score + PARALLEL * _parallel(*pair))


def _length(candidate: _Candidate) -> int:
    return len(candidate.statement.text.split())


def _parallel(first: _Candidate, second: _Candidate) -> bool:
    """Whether two statements stand in sister sections of one document."""
    one, other = first.passage, second.passage
    return one.document_id == other.document_id and len(one.section) > 1 and one.section[:-1] == other.section[:-1]


def _decided(ranked: Sequence[_Candidate], chosen: int | None) -> list[_Candidate]:
    """The two best candidates of the chosen side first; without one, of the side that the best ones speak for."""
    if chosen is None:
        votes = [0.0, 0.0]
        for one in ranked[:VOTERS]:
            if one.side is not None:
                votes[one.side] += float(np.exp(SHARPNESS * one.score))
        if votes[0] == votes[1]:
            return list(ranked)
        chosen = int(votes[1] > votes[0])
    ours = [one for one in ranked if one.side == chosen][:2]
    return [*ours, *(one for one in ranked if one not in ours)]


def _best(
    ranked: Sequence[_Candidate], weights: Scores, most: int, told: Sequence[_Candidate] = ()
) -> list[_Candidate]:
    """The first candidate, then whichever adds most: by its score, and by the words of the question that it meets better
    than what is chosen or told already (a greedy cover, as in Nemhauser, Wolsey and Fisher 1978).
    """
    left = [one for one in ranked if one not in told]
    chosen: list[_Candidate] = list(told)
    met = np.max([one.met for one in told], axis=0) if told else np.zeros(len(weights))
    total = float(weights.sum()) or 1.0
    while left and len(chosen) < most:

        def worth(one: _Candidate, met: Scores = met) -> float:
            gained = float((np.maximum(one.met, met) - met) @ weights) / total
            return one.score + COVER * gained

        candidate = max(left, key=worth) if chosen else left[0]
        length = sum(map(_length, (*chosen, candidate)))
        if chosen and (worth(candidate) < ENOUGH * ranked[0].score or length > WORDS):
            break
        left.remove(candidate)
        if not any(_same(candidate, other) for other in chosen):
            chosen.append(candidate)
            met = np.maximum(met, candidate.met)
    return chosen


def _overlap(first: Quote, second: Quote) -> bool:
    return first.passage == second.passage and first.start < second.end and second.start < first.end


def _candidates(index: Index, found: Found, choice: bool) -> list[_Candidate]:
    """Every statement of the hits, by falling score; equal scores go by place."""
    candidates = []
    columns = zip(found.hits, found.statement_cosines, found.aspect_cosines, found.met_by_statements, strict=True)
    for hit, cosines, aspects, met in columns:
        row = index.row(hit.passage)
        held = index.statements(row)
        vectors = index.vectors_of_statements(row)
        for number, statement in enumerate(held):
            if statement.text.endswith(":") or points_elsewhere(statement.text):
                continue  # it announces what follows, or where it stands, and says nothing itself
            # A situation that asks for a choice names the sides only to choose between them.
            share = 0.0 if choice else COSINE
            score = share * float(cosines[number]) + (COSINE + ASPECT - share) * float(aspects[number])
            score += INTERACTION * found.asked.score(met[number]) + PASSAGE * hit.score
            if choice and _ADVICE.search(f"{statement.text} {' '.join(hit.passage.section)}"):
                score += ADVICE
            side = _side_of(index.comparison, hit.passage, statement)
            before = held[number - 1] if number else None
            candidates.append(_Candidate(hit.passage, statement, before, score, vectors[number], side, met[number]))
    return sorted(candidates, key=lambda one: (-one.score, one.passage.document_id, one.statement.start))


def _same(first: _Candidate, second: _Candidate) -> bool:
    return float(np.dot(first.vector, second.vector)) > SAME


def _side_of(comparison: Comparison, passage: Passage, statement: Statement) -> int | None:
    """The one side that a statement speaks of: by its own words, else by its nearest heading that names one."""
    for text in (statement.text, *reversed(passage.section)):
        if (named := comparison.only(text)) is not None:
            return named
    return None


def _quote(comparison: Comparison, candidate: _Candidate) -> Quote:
    passage, statement = candidate.passage, candidate.statement
    start = statement.start
    before = candidate.before
    if before is not None and statement.kind == "sentence" and opens_with_reference(statement.text):
        between = passage.text[before.end - passage.start : start - passage.start]
        if before.kind == "sentence" and not between.strip():
            start = before.start
    text = passage.text[start - passage.start : statement.end - passage.start]
    return Quote(passage, text, start, statement.end, _lead(comparison, passage, text, statement.kind))


def points_elsewhere(text: str) -> bool:
    """Whether a statement only says where something is told ("Volumes are described in [storage](storage.md).")."""
    rest = _LINK.sub(" ", text)
    return rest != text and _POINTING.search(rest) is not None and len(set(terms(rest))) <= POINTING


def _lead(comparison: Comparison, passage: Passage, text: str, kind: str) -> str:
    """What names the subject of a statement that does not: a row's table header, else the nearest heading."""
    heading = passage.section[-1] if passage.section else ""
    if kind == "row":
        # Cells that are sentences need no header to be understood.
        told = all(cell.strip().endswith((".", "!", "?")) for cell in text.strip("| \t").split("|")[1:])
        return "" if told and "|" in text else opening_header(passage) or heading
    if not any(comparison.named(text)):
        heading = next((one for one in reversed(passage.section) if any(comparison.named(one))), heading)
    return heading if kind == "item" and not names_subject(text, heading, comparison) else ""


def names_subject(text: str, heading: str, comparison: Comparison = NOTHING) -> bool:
    """Whether a text holds a content word of a heading, its initials ("VM", "VMs"), or the same side."""
    held = set(terms(text))
    of_heading = [word for word in words(heading) if stem(word) in set(terms(heading)) and not word.isdigit()]
    if held & {stem(word) for word in of_heading}:
        return True
    initials = "".join(word[0] for word in of_heading)
    if len(initials) > 1 and any(
        stem(initials[at:]) in held or stem(f"{initials[at:]}s") in held for at in range(len(initials) - 1)
    ):
        return True
    return any(here and there for here, there in zip(comparison.named(text), comparison.named(heading), strict=True))
