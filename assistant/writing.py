"""Hits -> what is said: the quoting writer picks verbatim statements, best first."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from assistant.embedding import Vectors
from assistant.gate import idf
from assistant.index import Index
from assistant.intents import implies_sides, is_comparison
from assistant.nouns import Passage, Statement
from assistant.query import sides
from assistant.retrieval import Found
from assistant.sentences import opening_header, opens_with_reference
from assistant.terms import stem, terms, words

MOST = 4
LEAST = 3
# How much of the best statement's score another needs to be quoted as well.
ENOUGH = 0.9
# Two statements nearer than this (cosine) say the same thing.
SAME = 0.95
# Weights of the statement's cosine to the question, of the share of the question's words (by idf) that it
# holds, and of its passage's score.
COSINE, OVERLAP, PASSAGE = 1.0, 0.35, 0.1


@dataclass(frozen=True, slots=True)
class Quote:
    """A verbatim span of one passage, and the heading that names its subject where it does not itself."""

    passage: Passage
    text: str
    start: int
    end: int
    lead: str = ""


@dataclass(frozen=True, slots=True)
class _Candidate:
    passage: Passage
    statement: Statement
    before: Statement | None  # the one before it in its passage
    score: float
    vector: Vectors


def quoting_writer(index: Index, found: Found) -> Iterator[Quote]:
    """Two to four verbatim statements from the hits, best first, none repeated. Same input, same bytes."""
    told: list[Quote] = []
    for candidate in _choose(found.query, _candidates(index, found)):
        quote = _quote(candidate)
        if not any(_overlap(quote, other) for other in told):
            told.append(quote)
            yield quote


def _choose(query: str, ranked: list[_Candidate]) -> list[_Candidate]:
    """The candidates that are said, best first. A comparison gets the best of each side before anything else."""
    chosen: list[_Candidate] = []
    firsts: list[_Candidate] = []
    if is_comparison(query) and (all(sides(query)) or implies_sides(query)):
        for side in (0, 1):
            firsts += [candidate for candidate in ranked if _side_of(candidate) == side][:1]
        firsts.sort(key=ranked.index)
    for candidate in [*firsts, *ranked]:
        if len(chosen) == MOST:
            break
        if len(chosen) >= max(LEAST, len(firsts)) and candidate.score < ENOUGH * ranked[0].score:
            break
        if not any(candidate is other or _same(candidate, other) for other in chosen):
            chosen.append(candidate)
    return chosen


def _overlap(first: Quote, second: Quote) -> bool:
    return first.passage == second.passage and first.start < second.end and second.start < first.end


def _candidates(index: Index, found: Found) -> list[_Candidate]:
    """Every statement of the hits, by falling score; equal scores go by place."""
    asked = list(dict.fromkeys(terms(found.query)))
    mass = {term: idf(index, term) for term in asked if index.document_frequency(term)}
    total = sum(mass.values()) or 1.0
    candidates = []
    for hit, cosines in zip(found.hits, found.statement_cosines, strict=True):
        row = index.row(hit.passage)
        held = index.statements(row)
        vectors = index.vectors_of_statements(row)
        for number, statement in enumerate(held):
            if statement.text.endswith(":"):
                continue  # it announces what follows and says nothing itself
            heading = hit.passage.section[-1] if hit.passage.section else ""
            said = set(terms(f"{heading} {statement.text}"))
            overlap = sum(weight for term, weight in mass.items() if term in said) / total
            score = COSINE * float(cosines[number]) + OVERLAP * overlap + PASSAGE * hit.score
            before = held[number - 1] if number else None
            candidates.append(_Candidate(hit.passage, statement, before, score, vectors[number]))
    return sorted(candidates, key=lambda one: (-one.score, one.passage.document_id, one.statement.start))


def _same(first: _Candidate, second: _Candidate) -> bool:
    return float(np.dot(first.vector, second.vector)) > SAME


def _side_of(candidate: _Candidate) -> int | None:
    """The one side a statement speaks of, by its own words, else by its headings."""
    for text in (candidate.statement.text, *reversed(candidate.passage.section)):
        named = sides(text)
        if named[0] != named[1]:
            return 0 if named[0] else 1
        if all(named):
            return None
    return None


def _quote(candidate: _Candidate) -> Quote:
    passage, statement = candidate.passage, candidate.statement
    start = statement.start
    before = candidate.before
    if before is not None and statement.kind == "sentence" and opens_with_reference(statement.text):
        between = passage.text[before.end - passage.start : start - passage.start]
        if before.kind == "sentence" and not between.strip():
            start = before.start
    text = passage.text[start - passage.start : statement.end - passage.start]
    return Quote(passage, text, start, statement.end, _lead(passage, text, statement.kind))


def _lead(passage: Passage, text: str, kind: str) -> str:
    """What names the subject of a statement that does not: a row's table header, else the nearest heading."""
    heading = passage.section[-1] if passage.section else ""
    if kind == "row":
        return opening_header(passage) or heading
    return heading if kind == "item" and not names_subject(text, heading) else ""


def names_subject(text: str, heading: str) -> bool:
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
    return any(here and there for here, there in zip(sides(text), sides(heading), strict=True))
