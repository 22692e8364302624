"""A claim beside its evidence: which word answers to which, and where the two part."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from assistant.comparison import Comparison
from assistant.embedding import Encoder
from assistant.likeness import WordVectors, sentence_vector
from assistant.opposites import groups, opposed, synonymous
from assistant.quantities import SMALL, derived, quantities_in, same_quantity
from assistant.reading import COUNTING, DIRECTIONS, NEGATIONS, Reading, Word, read
from assistant.terms import STOP_WORDS, fold, stem

# A pair of words counts as the same in meaning from this cosine on, and the signal begins at the lower one.
NEAR, FAR = 0.75, 0.35
SYNONYM = 0.9
RELATED = 0.85  # one stem starts as the other: isolation, isolated
MATCHED = 0.5


@dataclass(frozen=True, slots=True)
class Signals:
    """What the check knows of a claim and its evidence; each between 0 and 1."""

    cosine: float  # of the sentences
    coverage: float  # how well the claim's content words are matched, on average
    stranger: float  # content words that nothing in the evidence answers to, as 1 - 1/(1+n)
    dropped: float  # share of matched words that only the source negates
    added: float  # 1 where the claim is the source's words in their order with a negation put in
    opposite: float  # 1 where a word of the claim meets its opposite and no negation takes it back
    number: float  # numbers that are not in the evidence, bounds turned round
    name: float  # names that are not in the evidence
    roles: float  # said of the other side, or of something else, or with subject and object exchanged
    substituted: float  # another word where the neighbours on both sides are the same
    scope: float  # every, never, only, exactly one where the source does not say so
    concession: float  # although, even, despite, whatever in the claim only


# With one of these in the source, a negation in the claim may say the same.
_LICENSES = frozenset("only unless until except before apart all just merely instead rather longer alone few".split())
_UNIVERSAL = frozenset(
    "all every each always never any anything only just exactly sole solely exclusively none whatever whichever "
    "everyone everything nothing regardless alone merely".split()
)
_RESTRICTIVE = frozenset("only just exactly sole solely exclusively alone merely".split())
_RESERVED = frozenset("reserved dedicated exclusive limited restricted except unless until but".split())
_CONCESSIONS = frozenset("although though despite even regardless whatever whichever notwithstanding".split())
_ONE = re.compile(
    r"\b(?:exactly|only|just|at most|no more than) one\b|\bone (?:common|single|shared)\b|\b(?:single|sole)\b"
)
_PASSIVE = re.compile(
    r"\b(?:is|are|was|were|be|been|being)\b(?: \w+){0,3}? (?:\w+ed|\w+en|run|set|kept|held|built|made|lost|cut)\b|\bby\b"
)
_CONTRAST = re.compile(r"[;.](?= |$)|,? \b(?:while|whereas|but)\b")


@dataclass(frozen=True, slots=True)
class _Match:
    """A content word of the claim and the word of the evidence that answers to it best."""

    word: Word
    other: Word | None
    score: float
    opposed: bool
    heading: bool


class Pair:
    """One claim beside one piece of evidence."""

    def __init__(
        self,
        claim: Reading,
        quote: Reading,
        headings: Reading,
        vectors: WordVectors,
        comparison: Comparison,
        about: int | None,
    ) -> None:
        self.about = about  # the side that the nearest heading to name just one is about
        self.claim, self.quote, self.headings = claim, quote, headings
        self.comparison = comparison
        self.vectors = vectors
        self.matches = self._aligned()
        self.everything = quote.all | headings.all

    def _aligned(self) -> list[_Match]:
        claimed, quoted, titled = self.claim.content, self.quote.content, self.headings.content
        others = [*quoted, *titled]
        # Too common to be looked for, yet with an opposite: typically, provide.
        faint = [word for word in self.quote.words if not word.content and word.text not in STOP_WORDS]
        cosines = self.vectors.cosines(claimed, others)
        matches = []
        # What one word of the claim repeats is no synonym of another.
        repeated = {
            (row, column)
            for row, word in enumerate(claimed)
            for column, other in enumerate(others)
            if word.stem == other.stem or _related(word.text, other.text)
        }
        for row, word in enumerate(claimed):
            taken = {column for one, column in repeated if one != row} - {
                column for one, column in repeated if one == row
            }
            best: tuple[float, int] | None = None
            against: tuple[float, int] | None = None
            alike = self._same_head(word, others) if word.text in DIRECTIONS else []
            for column, other in enumerate(others):
                if alike and column not in alike:
                    continue
                score = self._likeness(word, other, float(cosines[row, column]))
                heading = column >= len(quoted)
                if heading:
                    score *= 0.98
                if opposed(word.text, other.text) and word.stem != other.stem:
                    if not heading and (against is None or score > against[0]):
                        against = (score, column)
                elif best is None or score > best[0]:
                    best = (score, column)
            if against and best and best[1] in taken:
                best = None
            if best is None or best[0] < RELATED * 0.98:
                denied = next((one for one in faint if opposed(word.text, one.text)), None)
                if denied and against is None:
                    matches.append(_Match(word, denied, 0.8, True, False))
                    continue
            if against and (best is None or best[0] < RELATED * 0.98):
                matches.append(_Match(word, others[against[1]], 0.8, True, False))
            elif best and best[0] > 0:
                matches.append(_Match(word, others[best[1]], best[0], False, best[1] >= len(quoted)))
            else:
                matches.append(_Match(word, None, 0.0, False, False))
        return matches

    def _same_head(self, word: Word, others: Sequence[Word]) -> list[int]:
        """The words that stand before the same word as this one: fewer resources, increased resources."""
        behind = {one.place: other for one, other in pairwise(self.claim.content)}.get(word.place)
        quoted = self.quote.content
        if behind is None:
            return []
        return [
            place
            for place, (one, other) in enumerate(pairwise(quoted))
            if self._like(behind.text, other.text) and (groups(one.text) or one.text in DIRECTIONS)
        ]

    def _likeness(self, word: Word, other: Word, cosine: float) -> float:
        if word.stem == other.stem or word.text == other.text:
            return 1.0
        if synonymous(word.text, other.text) and not opposed(word.text, other.text):
            return SYNONYM
        side = self.comparison.only(word.text)
        if side is not None and side == self.comparison.only(other.text):
            return SYNONYM
        if _related(word.text, other.text):
            return RELATED
        return min(1.0, max(0.0, (cosine - FAR) / (NEAR - FAR))) * RELATED

    def signals(self, encoder: Encoder, claim: str, quote: str, above: str) -> tuple[Signals, tuple[str, ...]]:
        """All signals of the pair, and the reasons for doubt in words."""
        reasons: list[str] = []
        dropped, added, opposite = self._polarity(reasons)
        number = self._numbers(reasons)
        bound = self._bounds(reasons)
        name = self._names(reasons)
        roles = max(self._side(reasons), self._roles(reasons), self._subject(reasons), self._crossed(reasons))
        weighed = [match for match in self.matches if match.word.text not in DIRECTIONS]
        strangers = [match.word.text for match in weighed if match.score < MATCHED]
        if strangers:
            shown = ", ".join(f'"{word.replace("_", " ")}"' for word in strangers[:3])
            reasons.append(f"not in the source: {shown}")
        total = len(weighed) or 1
        cosine = self._cosine(encoder, claim, quote, above)
        return (
            Signals(
                cosine=cosine,
                coverage=sum(match.score for match in weighed) / total,
                stranger=1 - 1 / (1 + len(strangers)),
                dropped=dropped,
                added=added,
                opposite=opposite,
                number=max(number, bound),
                name=name,
                roles=roles,
                substituted=self._substituted(),
                scope=max(self._universal(reasons), self._restricted(reasons)),
                concession=float(bool((self.claim.all - self.quote.all) & _CONCESSIONS)),
            ),
            tuple(reasons),
        )

    def _polarity(self, reasons: list[str]) -> tuple[float, float, float]:
        """Negations that the claim leaves out, negations that it adds, and opposites that nothing takes back."""
        turned = self._turned()
        flipped = dropped = both = neither = 0
        opposed = {match.word.clause for match in self.matches if match.opposed}
        for match in self.matches:
            if match.other is None or match.heading or match.score < MATCHED:
                continue
            mine, theirs = match.word.negated, match.other.negated
            if match.opposed:
                if (mine != theirs) == bool(turned):
                    flipped += 1
                    reasons.append(f'says the opposite of "{match.other.text.replace("_", " ")}"')
            elif match.word.clause in opposed or match.score < RELATED:
                continue
            elif mine and theirs:
                both += 1
            elif theirs and not self.claim.negated[match.word.clause]:
                dropped += 1
            else:
                neither += 1
        # "Larger ones are slower" is "smaller ones are faster".
        if flipped > 1 and self.matches[0].opposed:
            flipped = 0
        if turned and ("less" in self.claim.all) != ("less" in self.quote.all):
            dropped = 0
        elif turned and not opposed:
            reasons.append("compared the other way round")
            flipped += 1
        # "No A that does not" is every A; and what is negated in both need not be so word by word.
        if both or sum(self.claim.negated) > 1:
            dropped = 0
        if self.claim.all & {"without", "unless", "except"}:
            dropped = 0
        if dropped:
            reasons.append('the source says "not"')
        total = dropped + neither or 1
        inserted = self._inserted()
        if inserted:
            reasons.append('the source does not say "not"')
        return min(1.0, 2 * dropped / total), inserted, 1 - 1 / (1 + flipped)

    def _inserted(self) -> float:
        """1 where a clause is the source's words in the source's order with a negation put in."""
        if sum(self.claim.negated) != 1 or any(match.score < MATCHED for match in self.matches):
            return 0.0
        # "Only …" in the source may be "no other …" in the claim; a mere insertion keeps the word.
        if (self.everything - self.claim.all) & _LICENSES:
            return 0.0
        for clause, count in enumerate(self.claim.negated):
            here = [word for word in self.claim.content if word.clause == clause]
            if count != 1 or len(here) < 2 or not any(word.negated for word in here):
                continue
            place, denied = 0, False
            for word in self.quote.content:
                if place < len(here) and word.stem == here[place].stem:
                    denied = denied or word.negated
                    place += 1
            if place == len(here) and not denied:
                return 1.0
        return 0.0

    def _turned(self) -> int:
        """1 where both compare with "than" and the things compared have changed places."""
        mine, theirs = self._than(self.claim), self._than(self.quote)
        if not mine:
            return 0
        if theirs:
            (before, thing), (other_before, other_thing) = mine, theirs
            crossed = any(self._like(thing, one) for one in other_before) and any(
                self._like(other_thing, one) for one in before
            )
            return int(crossed and not self._like(thing, other_thing))
        # Only one of two sides is spoken of: its opposite may be said of the other.
        about, first = self._evidence_side(), self.comparison.first(self.claim.text)
        named = self.comparison.named(self.quote.text)
        return int(
            about is not None
            and first is not None
            and about != first
            and not all(named)
            and all(self.comparison.named(self.claim.text))
        )

    def _than(self, reading: Reading) -> tuple[list[str], str] | None:
        """The words before "than" (or "as fast as") and the first word behind it."""
        words = reading.words
        places = [word.place for word in words if word.text == "than"] or [
            word.place for word in words[2:] if word.text == "as" and words[word.place - 2].text == "as"
        ]
        for place in places:
            if place + 1 < len(words) and (words[place + 1].text[0].isdigit() or words[place + 1].text in COUNTING):
                continue  # a bound, not a comparison
            before = [
                word.text for word in words if word.place < place and word.content and word.text not in DIRECTIONS
            ]
            behind = [word.text for word in words if word.place > place and word.content]
            if before and behind:
                return before, behind[0]
        return None

    def _like(self, one: str, other: str) -> float:
        side = self.comparison.only(one)
        if side is not None and side == self.comparison.only(other):
            return 1.0
        return float(stem(one) == stem(other))

    def _evidence_side(self) -> int | None:
        first = self.comparison.first(self.quote.text)
        return first if first is not None else self.about

    def _numbers(self, reasons: list[str]) -> float:
        evidence = (*quantities_in(self.quote.text), *quantities_in(self.headings.text))
        missing = 0.0
        for number in quantities_in(self.claim.text):
            if number.kind == "rate" and all(other.kind != "rate" for other in evidence):
                continue
            if any(same_quantity(number, other) for other in evidence):
                continue
            if derived(number, evidence):
                missing += 0.25
                continue
            limits = [other for other in evidence if other.bound and (other.kind == number.kind)]
            if limits and all((number.value - other.value) * other.bound >= 0 for other in limits):
                missing += 0.25
                continue
            missing += 1 if number.written[0].isdigit() or number.kind else 0.25
            if not (number.written[0].isdigit() or number.kind):
                continue
            reasons.append(f"the number {number.written} is not in the source")
        if self._one_of_many():
            reasons.append("the number one is not in the source")
            missing += 1
        return 1 - 1 / (1 + missing)

    def _one_of_many(self) -> bool:
        """Whether the claim has one of what the source has another number of."""
        mine, theirs = self.claim.words, self.quote.words
        for word in mine:
            if word.text != "one" or "one" in self.quote.all:
                continue
            heads = {other.stem for other in mine[word.place + 1 : word.place + 3] if other.content}
            for other in theirs:
                if other.text in SMALL and heads & {one.stem for one in theirs[other.place + 1 : other.place + 4]}:
                    return True
        return False

    def _bounds(self, reasons: list[str]) -> float:
        evidence = (*quantities_in(self.quote.text), *quantities_in(self.headings.text))
        for number in quantities_in(self.claim.text):
            for other in evidence:
                if not same_quantity(number, other):
                    continue
                if number.bound * other.bound < 0:
                    reasons.append(f"the bound {number.written} is turned round")
                    return 1.0
                if {number.lead, other.lead} == {"to", "by"}:
                    reasons.append(f'"{number.lead} {number.written}" where the source has "{other.lead}"')
                    return 1.0
        return 0.0

    def _names(self, reasons: list[str]) -> float:
        missing = [match.word.text for match in self.matches if match.word.name and match.score < RELATED * 0.97]
        for word in missing[:2]:
            reasons.append(f'the name "{word}" is not in the source')
        return 1 - 1 / (1 + len(missing))

    def _side(self, reasons: list[str]) -> float:
        claimed = self.comparison.only(self.claim.text)
        if claimed is None:
            return 0.0
        quoted = self.comparison.named(self.quote.text)
        if quoted[claimed]:
            return self._exchanged(claimed, reasons)
        if self.about == claimed or not (quoted[1 - claimed] or self.about is not None):
            return 0.0
        reasons.append("said of the other side")
        return 1.0

    def _exchanged(self, claimed: int, reasons: list[str]) -> float:
        """Whether what is said of one side stands in a clause that names only the other."""
        if not all(self.comparison.named(self.quote.text)):
            return 0.0
        names: dict[int, set[int]] = {}
        for word in self.quote.content:
            side = self.comparison.only(word.text)
            if side is not None:
                names.setdefault(word.clause, set()).add(side)
        votes: dict[int, float] = {}
        for match in self.matches:
            if (
                match.other
                and not match.heading
                and match.score >= MATCHED
                and self.comparison.only(match.word.text) is None
            ):
                votes[match.other.clause] = votes.get(match.other.clause, 0.0) + match.score
        if not votes:
            return 0.0
        best = max(votes, key=lambda one: votes[one])
        if names.get(best) == {1 - claimed}:
            reasons.append("said of the other side")
            return 1.0
        return 0.0

    def _roles(self, reasons: list[str]) -> float:
        """Whether two words have exchanged the preposition that governs them."""
        exact = [match for match in self.matches if match.other and match.score >= 1 and not match.heading]
        mine: dict[str, set[str]] = {}
        theirs: dict[str, set[str]] = {}
        for words, held in ((self.claim.content, mine), (self.quote.content, theirs)):
            for word in words:
                held.setdefault(word.stem, set()).add(word.preposition)
        common = {match.word.stem for match in exact}
        for one, other in combinations(sorted(common), 2):
            for preposition in ("by", "from", "on", "into", "over"):
                for first, second in ((one, other), (other, one)):
                    if (
                        preposition in mine[first]
                        and preposition not in theirs[first]
                        and preposition in theirs[second]
                        and preposition not in mine[second]
                    ):
                        reasons.append("who does what to whom is turned round")
                        return 1.0
        return 0.0

    def _substituted(self) -> float:
        """How unlike a word is to the one in its place between the same neighbours."""
        mine, theirs = self.claim.content, self.quote.content
        worst = 0.0
        for place, match in enumerate(self.matches):
            if match.score >= RELATED or match.word.text in DIRECTIONS:
                continue
            before, behind = mine[place - 1] if place else None, mine[place + 1] if place + 1 < len(mine) else None
            for there in range(len(theirs)):
                left = theirs[there - 1] if there else None
                right = theirs[there + 1] if there + 1 < len(theirs) else None
                same = sum(
                    one is not None and other is not None and self._like(one.text, other.text)
                    for one, other in ((before, left), (behind, right))
                )
                edge = before is None and left is None
                if same == 2 or (same == 1 and edge):
                    worst = max(worst, 1 - match.score)
        return worst

    def _subject(self, reasons: list[str]) -> float:
        """Whether the first words of claim and quote stand in each other's places, both in the active voice."""
        if self._than(self.claim) or _PASSIVE.search(fold(self.claim.text)) or _PASSIVE.search(fold(self.quote.text)):
            return 0.0
        mine, theirs = self.claim.content, self.quote.content
        if not mine or not theirs or self._like(mine[0].text, theirs[0].text):
            return 0.0
        first, other = mine[0], theirs[0]
        for there in theirs[1:]:
            if there.clause != other.clause or not self._like(there.text, first.text):
                continue
            for here in mine[1:]:
                if here.clause != first.clause or not self._like(here.text, other.text):
                    continue
                verbs = {word.stem for word in theirs if other.place < word.place < there.place}
                if verbs & {word.stem for word in mine if first.place < word.place < here.place}:
                    reasons.append("who does what to whom is turned round")
                    return 1.0
        return 0.0

    def _crossed(self, reasons: list[str]) -> float:
        """Whether the claim says of one thing what the source says, in a contrasting part, of another."""
        parts = [read(part) for part in _CONTRAST.split(self.quote.text) if part.strip()]
        if len(parts) < 2:
            return 0.0
        held = [self._items(part) for part in parts]
        for part in _CONTRAST.split(self.claim.text):
            items = self._items(read(part))
            subject = items[:2] if items[1:2] and items[1][0].isdigit() else items[:1]
            rest = set(items[len(subject) :])
            if len(rest) < 2:
                continue
            overlaps = [len(rest & set(one)) for one in held]
            best = max(range(len(held)), key=lambda one: overlaps[one])
            if overlaps[best] < 2 or overlaps.count(overlaps[best]) > 1 or overlaps[best] < 0.6 * len(rest):
                continue
            if any(one not in held[best] and any(one in other for other in held) for one in subject):
                reasons.append("said of something else")
                return 1.0
        return 0.0

    def _items(self, reading: Reading) -> list[str]:
        """The stems and digits of a text in order; the words for a side are one."""
        found = []
        for word in reading.words:
            side = self.comparison.only(word.text)
            if side is not None:
                found.append(f"side {side}")
            elif word.text[0].isdigit() or word.text in COUNTING or (word.content and word.text not in DIRECTIONS):
                found.append(word.stem)
        return found

    def _universal(self, reasons: list[str]) -> float:
        return self._added(_UNIVERSAL - _RESTRICTIVE, reasons)

    def _restricted(self, reasons: list[str]) -> float:
        said = fold(self.claim.text)
        if _ONE.search(said) and not _ONE.search(fold(self.quote.text)):
            reasons.append("one only, which the source does not say")
            return 1.0
        return 0.0 if self.quote.all & _RESERVED else self._added(_RESTRICTIVE, reasons)

    def _added(self, kind: frozenset[str], reasons: list[str]) -> float:
        # "Not every" and "no … any" claim little.
        mine = {word.text for word in self.claim.words if word.text in kind and not self.claim.negated[word.clause]}
        mine |= self.claim.all & kind & NEGATIONS
        if not mine or self.quote.all & kind:
            return 0.0
        reasons.append(f'"{min(mine)}" is more than the source says')
        return 1.0

    def _cosine(self, encoder: Encoder, claim: str, quote: str, above: str) -> float:
        said = encoder.encode_query(claim)
        texts = (quote, f"{above}. {quote}") if above else (quote,)
        return max(0.0, *(float(said @ sentence_vector(encoder, text)) for text in texts))


def _related(one: str, other: str) -> bool:
    """Whether two words begin alike for most of their length: isolation, isolated."""
    common = _common(one, other)
    return common >= 4 and common >= 0.6 * min(len(one), len(other))


def _common(one: str, other: str) -> int:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return length
