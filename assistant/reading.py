"""A sentence read word by word: what is negated, compared, named, restricted."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from assistant.opposites import lexicon, phrases
from assistant.quantities import FRACTIONS, SCALES, SMALL, TENS, TIMES, UNITS
from assistant.terms import STOP_WORDS, fold, stem

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ABBREVIATION = re.compile(r"\b([a-z]?[A-Z]{2,6})(?:e?s|'s)?\b")
_BREAKS = frozenset(
    "but while whereas although though because since so which who whom whose that if unless when where until whenever yet".split()
)
NEGATIONS = frozenset(
    "not no never neither nor none nobody nothing nowhere hardly barely scarcely seldom rarely cannot without unless"
    " lack lacks lacked lacking fail fails except stop stops stopped ceases ceased prevents prevent avoids avoid".split()
)
# Not a negation of what follows: a bound, or "not only".
_NOT_NEGATING = re.compile(
    r"\b(?:not|no|nothing|n't) (?:just|only|merely|more than|less than|fewer than|longer than|later than|earlier than|other than|but|matter|doubt)\b"
    r"|\bwithout doubt\b|\bif not\b|\bnot necessarily only\b"
)
_IDIOMS = re.compile(
    r"\b(?:thanks|due|owing|according|up|prior|next|apart) (?:to|from)\b|\bby (?:default|means of|hand)\b|\bon demand\b"
)
_BREAKING_PHRASES = re.compile(r"\b(rather than|instead of|as opposed to|and not|in place of)\b")
_PREPOSITIONS = frozenset(
    "by from to on of in into than over under through via for with within inside onto off across between against "
    "before after above below during at".split()
)
# Stop words that say which way a comparison, an order in time or an ownership goes.
DIRECTIONS = frozenset(
    "more less fewer few most before after above below under over same different own further off still".split()
)
_CONTENTLESS = STOP_WORDS | frozenset(
    "also always another become becomes being came come comes cannot does done else even ever exactly "
    "go goes going gone keep keeps least less lot make makes made making need needs never nothing none nobody number "
    "often part perhaps possible put respectively simply since still take takes taking took together use used uses using "
    "usually typically well whatever whereas whichever whole without work works yet serve serves provide provides "
    "one two three four five six seven eight nine ten hundred thousand million kind means instead thereby therefore "
    "able unless nor hardly rarely seldom scarcely barely neither nobody lack lacks fail fails except".split()
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word and how it stands in its sentence."""

    text: str
    stem: str
    place: int
    clause: int
    content: bool
    preposition: str  # the one that governs it
    name: bool
    negated: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as words in clauses, and how often each clause is negated."""

    text: str
    words: tuple[Word, ...]
    negated: tuple[int, ...]  # negations, one count a clause
    all: frozenset[str]

    @property
    def content(self) -> list[Word]:
        return [word for word in self.words if word.content]


def plain(text: str) -> str:
    """The text without Markdown's marks, single spaces."""
    text = _LINK.sub(r"\1", text).replace("`", "").replace("**", "").replace("__", "").replace("’", "'")
    return " ".join(re.sub(r"(?m)^\s*(?:[-*+>#|]+|\d+[.)])\s+", "", text).split())


def abbreviated(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The texts with every phrase replaced by the abbreviation that one of them uses for it."""
    found = {match[1] for text in texts for match in _ABBREVIATION.finditer(text)}
    for short in sorted(found, key=lambda one: (-len(one), one)):
        texts = tuple(_with_abbreviation(text, short) for text in texts)
    return texts


def _with_abbreviation(text: str, short: str) -> str:
    text = _spelled_out(short).sub(lambda match: _shortened(match, short), text)
    return re.sub(rf"\b{short}e?s\b", short, text)


@lru_cache(maxsize=512)
def _spelled_out(short: str) -> re.Pattern[str]:
    if short[0].islower():  # vCPU: a word with v before CPU
        return re.compile(rf"\b{short[0]}[a-z]{{2,}}[\s-]+{short[1:]}(?:s)?\b", re.IGNORECASE)
    return re.compile(r"\b" + r"[\s-]+".join(rf"{letter}[a-z]{{2,}}" for letter in short) + r"\b", re.IGNORECASE)


def _shortened(match: re.Match[str], short: str) -> str:
    if any(word in STOP_WORDS for word in re.split(r"[\s-]+", match[0].lower())):
        return match[0]
    return short


@lru_cache(maxsize=2048)
def read(text: str) -> Reading:
    """The words of a text with clause, negation and governing preposition."""
    folded = fold(text)
    of_words, written = phrases()
    folded = of_words.sub(lambda match: written[match[0]], folded)
    folded = _BREAKING_PHRASES.sub(lambda match: f" ; not_{match[1].replace(' ', '_')} ", folded)
    folded = _NOT_NEGATING.sub(lambda match: match[0].replace(" ", "_"), folded)
    folded = (
        _IDIOMS.sub(lambda match: match[0].replace(" ", "_"), folded)
        .replace("do without", "do_without")
        .replace("on top of", "on")
        .replace("each other", "each_other")
        .replace("in each of", "in")
        .replace("-", " ")
    )
    names = {fold(match) for match in _names(text)}
    words: list[Word] = []
    negated = [0]
    everything: set[str] = set()
    preposition = ""
    filled = False  # whether this clause has a content word yet
    held = 0  # how many words the preposition governs already
    reach = 0  # how many content words the last negation still covers
    flips = 0
    for match in re.finditer(r"\d+(?:[.,:]\d+)*(?![^\W\d_])|\w+(?:'\w+)*|[,;:.!?()–—]", folded):
        token = match[0]
        if not (token[0].isalnum() or token[0] == "_"):
            if filled:
                negated.append(0)
                filled, preposition, reach = False, "", 0
            continue
        everything.add(token)
        if (token in _BREAKS or token == "without") and filled:
            negated.append(0)
            filled, preposition, reach = False, "", 0
        if (
            token in NEGATIONS
            or token.endswith("n't")
            or (token.startswith("not_") and token[4:] in _BROKEN)
            or token == "do_without"
        ):
            negated[-1] += 1
            flips = flips + 1 if reach else 1
            reach = 4
            if (
                token in ("no", "nothing", "none", "nobody")
                and words
                and words[-1].content
                and words[-1].clause == len(negated) - 1
            ):
                words[-1] = replace(words[-1], negated=not words[-1].negated)  # "loses no data" does not lose
        if token in _PREPOSITIONS:
            preposition, held = token, 0
        plain = token.removesuffix("'s")
        content = (
            len(plain) > 1
            and (plain not in _CONTENTLESS or plain in DIRECTIONS)
            and plain not in COUNTING
            and not plain[0].isdigit()
            and ("_" not in plain or plain in lexicon())
            and not plain.endswith("n't")
        )
        words.append(
            Word(
                plain,
                stem(plain),
                len(words),
                len(negated) - 1,
                content,
                preposition if content else "",
                plain in names,
                reach > 0 and flips % 2 == 1 and content,
            )
        )
        if content:
            filled = True
            reach -= reach > 0
            if preposition and plain not in lexicon():
                held += 1
                if held == 2:
                    preposition = ""
    return Reading(text, tuple(words), tuple(negated), frozenset(everything))


_BROKEN = frozenset({"rather_than", "instead_of", "as_opposed_to", "and_not", "in_place_of"})
_NAME = re.compile(
    r"(?<![.!?:] )(?<!^)\b[A-Z][\w-]*\w|\b[A-Z]{2,}\w*|\b[a-z]+[A-Z]\w*|\b[A-Z][a-z]+[A-Z]\w*|\b[a-zA-Z]+\d\w*"
)


def _names(text: str) -> set[str]:
    return {part for match in _NAME.finditer(text) for part in match[0].split("-") if len(part) > 1}


COUNTING = frozenset(
    {*SMALL, *TENS, *FRACTIONS, *SCALES, *TIMES, *UNITS, "percent", "times"} - {"double", "doubled", "doubles"}
)
