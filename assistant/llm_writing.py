"""Hits -> what is said, by a model: its draft sentence by sentence verified, cited from our side, or left out."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from assistant.citations import Claim
from assistant.drafting import Said, drafted
from assistant.embedding import Encoder
from assistant.generation import Failed
from assistant.index import Index
from assistant.nouns import Passage
from assistant.rendering import PLAIN, inline, model_markdown
from assistant.terms import terms
from assistant.verification import Evidence, Verdict, evidence_of, verified
from assistant.writing import Quote

# A sentence that comes this often is written by a model that goes in circles.
CIRCLES = 4

# What opens an answer and cannot be checked against a passage: whether yes or no is right depends on the question.
_OPENS = re.compile(
    r"\A(?:(?:the )?(?:answer|response|a)\s*(?:is)?\s*:\s*)?(?:(?:yes|no|correct|right|indeed|actually|in short|overall|in summary|to sum up)\s*[,;:.–—-]+\s+)?",
    re.IGNORECASE,
)
_ENDED = re.compile(r"[.!?…:;)\]\"'”’`*]\Z")


@dataclass(frozen=True, slots=True)
class Draft:
    """What a model has said so far: the sentences that stand, and how many were left out or cited anew."""

    claims: tuple[Claim, ...] = ()
    dropped: int = 0  # supported by nothing
    repaired: int = 0  # supported by another passage than the one the model named, or named without any

    @property
    def stands(self) -> bool:
        """Whether the draft may be shown: something in it is supported, or at least more stands than was left out."""
        return any(one.support == "supported" for one in self.claims) or len(self.claims) > self.dropped


def llm_writer(
    index: Index, encoder: Encoder, passages: Sequence[Passage], words: Iterator[tuple[str, bool]]
) -> Iterator[Draft]:
    """Yields the draft each time that it has grown; the last one is whole.

    `passages` are those that the model was shown, in its numbering first, and any others that were found. `words` are pieces
    of its answer, then an empty one that says whether it came to its end. Raises Failed for a model that goes in circles.
    The last draft depends on the whole answer alone, not on how it was split.
    """
    judge = _Judge(index, encoder, passages)
    text = ""
    shown = Draft()
    for piece, ended in words:
        text += piece
        final = not piece
        said = drafted(text, final)
        if final and not ended and said and not _ENDED.search(said[-1].text):
            said = said[:-1]  # cut at its greatest length, in the middle of a sentence
        if max(Counter(_same(one.text) for one in said).values(), default=0) >= CIRCLES:
            raise Failed("repeated itself")
        draft = judge.draft(said)
        if final or draft != shown:
            shown = draft
            yield draft


class _Judge:
    """The verdicts on the sentences of one answer, each found once."""

    def __init__(self, index: Index, encoder: Encoder, passages: Sequence[Passage]) -> None:
        self._sides = len(index.comparison.sides)
        self._headings = [set(terms(one)) for passage in passages for one in (passage.title, *passage.section)]
        self._verdicts: dict[Said, Verdict] = {}
        evidence = evidence_of(index, passages)
        self._verified = partial(verified, evidence=evidence, index=index, encoder=encoder)

    def draft(self, said: Sequence[Said]) -> Draft:
        claims: list[Claim] = []
        rows: dict[int, int] = {}
        dropped = repaired = 0
        seen: set[str] = set()
        for one in said:
            if (key := _same(one.text)) in seen or not key:
                continue
            seen.add(key)
            shown = model_markdown(without_opening(one.text))
            verdict = self._verdict(one) if shown else None
            if verdict is None or verdict.evidence is None or verdict.support == "unsupported":
                dropped += 1
                continue
            repaired += verdict.evidence.number not in one.numbers
            rows[len(claims)] = one.cell[0] if one.cell else -1
            claims.append(Claim(shown, (_quoted(verdict.evidence),), verdict.support, self._side(one)))
        return Draft(tuple(_paired(claims, rows)), dropped, repaired)

    def _verdict(self, one: Said) -> Verdict:
        if one not in self._verdicts:
            claim = inline(without_opening(one.text), PLAIN).strip()
            self._verdicts[one] = (
                Verdict("unsupported", None, 0.0) if self._says_nothing(claim) else self._verified(claim, one.numbers)
            )
        return self._verdicts[one]

    def _says_nothing(self, claim: str) -> bool:
        """Whether a sentence announces what follows, or is only a heading of the passages."""
        said = set(terms(claim))
        return claim.endswith(":") or (not claim.endswith(".") and any(said <= heading for heading in self._headings))

    def _side(self, one: Said) -> int | None:
        if one.cell is None or one.cell[1] >= self._sides:
            return None
        return self._sides - 1 - one.cell[1]


def _paired(claims: Sequence[Claim], rows: Mapping[int, int]) -> list[Claim]:
    """Rows of a table have a cell on either side; a cell that is left alone is a sentence."""
    whole = Counter(rows[at] for at, one in enumerate(claims) if one.cell is not None)
    return [
        one if one.cell is None or whole[rows[at]] == 2 else Claim(one.text, one.quotes, one.support)
        for at, one in enumerate(claims)
    ]


def without_opening(text: str) -> str:
    """A sentence without what only opens it, with a capital."""
    rest = text[_OPENS.match(text).end() :]  # type: ignore[union-attr]  # it matches the empty text too
    return rest[:1].upper() + rest[1:] if rest != text else text


def _quoted(evidence: Evidence) -> Quote:
    statement = evidence.statement
    return Quote(evidence.passage, statement.text, statement.start, statement.end)


def _same(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
