"""Does this span support this sentence? A logistic regression on signals, its weights kept as data in `support.json`.

Lexical overlap and sentence vectors both take "A is faster than B" for "B is faster than A". So the sentence is
aligned with its evidence word by word, and what is measured is where the two part: a negation on one side only, an
opposite, a number, a name, a side, turned roles, a word that nothing in the evidence answers to.
`python -m evals support --fit` fits the weights.
"""

import json
import math
import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from functools import lru_cache
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from assistant.comparison import NOTHING, Comparison
from assistant.embedding import Encoder, Vectors
from assistant.nouns import Support
from assistant.terms import STOP_WORDS, fold, stem

WEIGHTS = Path(__file__).with_name("support.json")
OPPOSITES = Path(__file__).with_name("opposites.json")

# A pair of words counts as the same in meaning from this cosine on, and the signal begins at the lower one.
NEAR, FAR = 0.75, 0.35
SYNONYM = 0.9
RELATED = 0.85  # one stem starts as the other: isolation, isolated
MATCHED = 0.5
WORD_VECTORS = 20_000


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the evidence supports the claim, how surely (0 to 1), and what speaks against it."""

    state: Support
    score: float
    reasons: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Weights:
    """A fitted check: one weight a signal, in the order of Signals, and the scores where the states part."""

    bias: float
    weights: tuple[float, ...]
    supported: float
    unsupported: float

    def score(self, signals: Signals) -> float:
        total = self.bias + sum(w * x for w, x in zip(self.weights, astuple(signals), strict=True))
        return 1 / (1 + math.exp(-total))

    def state(self, score: float) -> Support:
        if score >= self.supported:
            return "supported"
        return "unsupported" if score < self.unsupported else "weak"


@lru_cache(maxsize=1)
def load_weights() -> Weights:
    data = json.loads(WEIGHTS.read_text("utf-8"))
    names = [field.name for field in fields(Signals)]
    return Weights(
        data["bias"],
        tuple(data["weights"][name] for name in names),
        data["thresholds"]["supported"],
        data["thresholds"]["unsupported"],
    )


def judge(
    claim: str, quote: str, headings: Sequence[str], encoder: Encoder, comparison: Comparison = NOTHING
) -> Judgement:
    """Whether a quote, below its headings, supports a claim."""
    if not any(character.isalnum() for character in claim):
        return Judgement("unsupported", 0.0, ("it says nothing",))
    whole = _plain(quote)
    if _plain(claim).strip(" .") in {part.strip(" .") for part in (whole, *_SENTENCE.split(whole))}:
        return Judgement("supported", 1.0)
    signals, reasons = measure(claim, quote, headings, encoder, comparison)
    weights = load_weights()
    score = weights.score(signals)
    state = weights.state(score)
    return Judgement(state, score, () if state == "supported" else reasons)


def measure(
    claim: str, quote: str, headings: Sequence[str], encoder: Encoder, comparison: Comparison = NOTHING
) -> tuple[Signals, tuple[str, ...]]:
    """The signals of a claim and its evidence, and the reasons for doubt in words."""
    above = ". ".join(_NUMBERING.sub("", heading) for heading in headings)
    said, source, titles = _abbreviated((_plain(claim), _plain(quote), _plain(above)))
    about = next((side for one in reversed(headings) if (side := comparison.only(one)) is not None), None)
    pair = _Pair(_read(said), _read(source), _read(titles), _Vectors(encoder), comparison, about)
    return pair.signals(encoder, _plain(claim), _plain(quote), above)


# --- reading a text -------------------------------------------------------------------------------------------------

_NUMBERING = re.compile(r"^\d+(?:\.\d+)*[.)]?\s+")
_SENTENCE = re.compile(r"(?<=[.!?]) ")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ABBREVIATION = re.compile(r"\b([a-z]?[A-Z]{2,6})(?:e?s|'s)?\b")

_BREAKS = frozenset(
    "but while whereas although though because since so which who whom whose that if unless when where until whenever yet".split()
)
_NEGATIONS = frozenset(
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
# Stop words that say which way a comparison, an order in time or an ownership goes.
_DIRECTIONS = frozenset(
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
class _Word:
    text: str
    stem: str
    place: int
    clause: int
    content: bool
    preposition: str  # the one that governs it
    name: bool
    negated: bool


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text as words in clauses, and how often each clause is negated."""

    text: str
    words: tuple[_Word, ...]
    negated: tuple[int, ...]  # negations, one count a clause
    all: frozenset[str]

    @property
    def content(self) -> list[_Word]:
        return [word for word in self.words if word.content]


def _plain(text: str) -> str:
    """The text without Markdown's marks, single spaces."""
    text = _LINK.sub(r"\1", text).replace("`", "").replace("**", "").replace("__", "").replace("’", "'")
    return " ".join(re.sub(r"(?m)^\s*(?:[-*+>#|]+|\d+[.)])\s+", "", text).split())


def _abbreviated(texts: tuple[str, ...]) -> tuple[str, ...]:
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
def _read(text: str) -> _Reading:
    """The words of a text with clause, negation and governing preposition."""
    folded = fold(text)
    phrases, written = _phrases()
    folded = phrases.sub(lambda match: written[match[0]], folded)
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
    words: list[_Word] = []
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
            token in _NEGATIONS
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
            and (plain not in _CONTENTLESS or plain in _DIRECTIONS)
            and plain not in _COUNTING
            and not plain[0].isdigit()
            and ("_" not in plain or plain in _lexicon())
            and not plain.endswith("n't")
        )
        words.append(
            _Word(
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
            if preposition and plain not in _lexicon():
                held += 1
                if held == 2:
                    preposition = ""
    return _Reading(text, tuple(words), tuple(negated), frozenset(everything))


_BROKEN = frozenset({"rather_than", "instead_of", "as_opposed_to", "and_not", "in_place_of"})
_NAME = re.compile(
    r"(?<![.!?:] )(?<!^)\b[A-Z][\w-]*\w|\b[A-Z]{2,}\w*|\b[a-z]+[A-Z]\w*|\b[A-Z][a-z]+[A-Z]\w*|\b[a-zA-Z]+\d\w*"
)


def _names(text: str) -> set[str]:
    return {part for match in _NAME.finditer(text) for part in match[0].split("-") if len(part) > 1}


# --- opposites ------------------------------------------------------------------------------------------------------

# word -> the places where it stands: (set, end)
_Groups = dict[str, frozenset[tuple[int, int]]]


@lru_cache(maxsize=1)
def _sets() -> list[list[list[str]]]:
    """Words that exclude each other: each set has two ends or more, each end its words, alike in meaning."""
    sets: list[list[list[str]]] = json.loads(OPPOSITES.read_text("utf-8"))
    return sets


@lru_cache(maxsize=1)
def _phrases() -> tuple[re.Pattern[str], dict[str, str]]:
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
def _lexicon() -> _Groups:
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
def _groups(word: str) -> frozenset[tuple[int, int]]:
    lexicon = _lexicon()
    return lexicon.get(word, frozenset()) | lexicon.get(stem(word), frozenset())


@lru_cache(maxsize=50_000)
def _opposed(one: str, other: str) -> bool:
    theirs = _groups(other)
    return (
        any(pair == its and end != far for pair, end in _groups(one) for its, far in theirs)
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
def _synonymous(one: str, other: str) -> bool:
    return bool(_groups(one) & _groups(other))


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


# --- numbers --------------------------------------------------------------------------------------------------------

_SMALL = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty".split()
    )
}
_TENS = {
    word: 10 * value for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_FRACTIONS = {"half": 1 / 2, "third": 1 / 3, "thirds": 1 / 3, "quarter": 1 / 4, "quarters": 1 / 4, "tenth": 1 / 10}
_SCALES = {
    "hundred": 1e2,
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "k": 1e3,
    "m": 1e6,
    "bn": 1e9,
    "dozen": 12.0,
}
_TIMES = {"twice": 2.0, "thrice": 3.0, "double": 2.0, "doubled": 2.0, "doubles": 2.0}
_UNITS: dict[str, tuple[str, float]] = {
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), ("time", 1e-9)),
    **dict.fromkeys(("us", "µs", "μs", "microsecond", "microseconds"), ("time", 1e-6)),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), ("time", 1e-3)),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), ("time", 1.0)),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), ("time", 60.0)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "hourly"), ("time", 3600.0)),
    **dict.fromkeys(("d", "day", "days", "daily"), ("time", 86400.0)),
    **dict.fromkeys(("week", "weeks", "weekly"), ("time", 604800.0)),
    **dict.fromkeys(("month", "months", "monthly"), ("time", 2629800.0)),
    **dict.fromkeys(("year", "years", "yearly"), ("time", 31557600.0)),
    **dict.fromkeys(("byte", "bytes", "b"), ("size", 1.0)),
    **dict.fromkeys(("kb", "kilobyte", "kilobytes", "kib"), ("size", 1e3)),
    **dict.fromkeys(("mb", "megabyte", "megabytes", "mib"), ("size", 1e6)),
    **dict.fromkeys(("gb", "gigabyte", "gigabytes", "gib"), ("size", 1e9)),
    **dict.fromkeys(("tb", "terabyte", "terabytes", "tib"), ("size", 1e12)),
    **dict.fromkeys(("%", "percent", "per_cent"), ("share", 0.01)),
}
_COUNT = re.compile(
    r"(?P<digits>\d+(?:[.,:]\d+)*)\s?-?(?P<unit>%|[a-zµμ]+)?"
    r"|\b(?P<word>" + "|".join(sorted({*_SMALL, *_TENS, *_FRACTIONS, *_TIMES}, key=len, reverse=True)) + r")\b"
    r"(?:[\s-](?P<tail>"
    + "|".join(
        sorted(
            {*_SMALL, *_FRACTIONS, *_SCALES, *_UNITS} - {"s", "m", "h", "d", "b", "k", "min", "%"},
            key=len,
            reverse=True,
        )
    )
    + r")\b)?"
)
_UPPER = re.compile(
    r"(?:at[ _]most|up to|no[ _](?:more|longer|later)[ _]than|not[ _](?:more|longer)[ _]than|less than|fewer than|under|below|within|maximum(?: of)?)\s*(?:a |the )?$"
)
_LOWER = re.compile(
    r"(?:at[ _]least|more than|over|above|no[ _](?:less|fewer)[ _]than|exceed(?:s|ing)?|minimum(?: of)?|longer than|older than|larger than|beyond)\s*(?:a |the )?$"
)
_RATE = re.compile(r"\b(?:per|every|each) (second|minute|hour|day|week|month|year)\b")
_DENIED = re.compile(r"\b(?:not|never|no|cannot|\w+n't)\b[^.;,]{0,90}$")


_COUNTING = frozenset(
    {*_SMALL, *_TENS, *_FRACTIONS, *_SCALES, *_TIMES, *_UNITS, "percent", "times"} - {"double", "doubled", "doubles"}
)


@dataclass(frozen=True, slots=True)
class _Number:
    written: str
    raw: float  # as it stands there
    value: float  # in seconds, bytes …
    kind: str  # time, size, share, version, or "" for a plain count
    bound: int  # +1 at least, -1 at most
    lead: str  # the word before: to, by


@lru_cache(maxsize=2048)
def _numbers(text: str) -> tuple[_Number, ...]:
    """The numbers of a text, units made one: 400 ms and 0.4 seconds are equal."""
    folded = fold(text).replace("per cent", "percent")
    folded = re.sub(
        rf"\b({'|'.join(_FRACTIONS)}) (?:of )?(?:an?|the) ({'|'.join(unit for unit in _UNITS if len(unit) > 2)})\b",
        r"\1 \2",
        folded,
    )
    found: list[_Number] = []
    for match in _COUNT.finditer(folded):
        before = folded[: match.start()]
        if before and (before[-1].isalnum() or before[-1] == "_"):
            continue
        one = _number(match)
        if one is None:
            continue
        value, kind = one
        bound = -1 if _UPPER.search(before) else 1 if _LOWER.search(before) else 0
        if bound and _DENIED.search(before) and not re.search(r"(?:no|not)[ _]\w+[ _]than\s*$", before):
            bound = 0  # what is denied with it, the verb or the bound, cannot be told
        lead = re.search(r"\b(to|by|from)\s(?:about |roughly |some |around |a |an |the )*$", before)
        found.append(_Number(_written(match), _raw(match, value), value, kind, bound, lead[1] if lead else ""))
    for match in _RATE.finditer(folded):
        found.append(_Number(match[0], 1.0, _UNITS[match[1]][1], "rate", 0, ""))
    # "two hours and ten minutes" is one span of time more
    for first, second in pairwise(found.copy()):
        if first.kind == second.kind == "time" and first.value > second.value:
            found.append(_Number(first.written, first.raw, first.value + second.value, "time", first.bound, first.lead))
            break
    return tuple(found)


def _written(match: re.Match[str]) -> str:
    """The number as it stands there, with its unit and without any other word."""
    unit = match["unit"]
    known = not unit or unit in _UNITS or unit in _SCALES
    return match[0].strip() if known else match["digits"]


def _raw(match: re.Match[str], value: float) -> float:
    """The number without its unit; the value where it is not written in digits."""
    digits = match["digits"] or ""
    return float(digits) if re.fullmatch(r"\d+(?:\.\d+)?", digits) else value


def _number(match: re.Match[str]) -> tuple[float, str] | None:
    if digits := match["digits"]:
        unit = match["unit"] or ""
        if digits.count(".") > 1 or ":" in digits:
            return float(int(re.sub(r"\D", "", digits)[:15])), "version"
        value = float(re.sub(r",(?=\d{3}\b)", "", digits).replace(",", "."))
        if unit in _SCALES:
            return value * _SCALES[unit], ""
        if unit in _UNITS:
            kind, size = _UNITS[unit]
            return value * size, kind
        return value, ""
    word, tail = match["word"], match["tail"]
    value = float(_TIMES.get(word, _FRACTIONS.get(word, _TENS.get(word, _SMALL.get(word, 0)))))
    if tail in _UNITS:
        kind, size = _UNITS[tail]
        return value * size, kind
    if tail in _SCALES:
        return value * _SCALES[tail], ""
    if tail in _FRACTIONS:
        return value * _FRACTIONS[tail], ""
    if tail in _SMALL and word in _TENS:
        return value + _SMALL[tail], ""
    # "one" is a pronoun as often as a number.
    return None if word == "one" else (value, "")


def _derived(number: _Number, numbers: Sequence[_Number]) -> bool:
    """Whether two numbers of the evidence make this one: their sum, difference or quotient."""
    if number.kind == "version" or _year(number):
        return False
    values = sorted({other.value for other in numbers if other.kind != "version" and not _year(other)})
    made = {1 - one for one in values if 0 < one < 1}
    for one, other in combinations(values, 2):
        made |= {one + other, other - one}
        if one:
            made |= {other / one, one / other}
        if one < 1:
            made.add(one * other)  # a third of 72 hours
    return any(math.isclose(number.value, one, rel_tol=0.001) for one in made) or any(
        number.value < 100 and one > 1 and math.isclose(number.value, other / one, rel_tol=0.1)
        for one, other in combinations(values, 2)
        if one and not number.kind and "time" in number.written
    )


def _year(number: _Number) -> bool:
    return not number.kind and number.value.is_integer() and 1900 <= number.value <= 2100


# --- vectors of words -----------------------------------------------------------------------------------------------

_word_vectors: "OrderedDict[tuple[str, str], Vectors]" = OrderedDict()


def _sentence(encoder: Encoder, text: str) -> Vectors:
    return _Vectors(encoder).of(text)


@dataclass(frozen=True, slots=True)
class _Vectors:
    """The vectors of single words, remembered for as long as there is room."""

    encoder: Encoder

    def of(self, word: str) -> Vectors:
        key = (self.encoder.weights, word)
        vector = _word_vectors.get(key)
        if vector is None:
            vector = self.encoder.encode_query(word)
            _word_vectors[key] = vector
            while len(_word_vectors) > WORD_VECTORS:
                try:
                    _word_vectors.popitem(last=False)
                except KeyError:  # another thread was quicker
                    break
        return vector

    def cosines(self, some: Sequence[_Word], others: Sequence[_Word]) -> Vectors:
        if not some or not others:
            return np.zeros((len(some), len(others)), dtype=np.float32)
        left = np.stack([self.of(word.text) for word in some])
        right = np.stack([self.of(word.text) for word in others])
        return (left @ right.T).astype(np.float32)


# --- claim against evidence -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Match:
    """A content word of the claim and the word of the evidence that answers to it best."""

    word: _Word
    other: _Word | None
    score: float
    opposed: bool
    heading: bool


class _Pair:
    """One claim beside one piece of evidence."""

    def __init__(
        self,
        claim: _Reading,
        quote: _Reading,
        headings: _Reading,
        vectors: _Vectors,
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
            alike = self._same_head(word, others) if word.text in _DIRECTIONS else []
            for column, other in enumerate(others):
                if alike and column not in alike:
                    continue
                score = self._likeness(word, other, float(cosines[row, column]))
                heading = column >= len(quoted)
                if heading:
                    score *= 0.98
                if _opposed(word.text, other.text) and word.stem != other.stem:
                    if not heading and (against is None or score > against[0]):
                        against = (score, column)
                elif best is None or score > best[0]:
                    best = (score, column)
            if against and best and best[1] in taken:
                best = None
            if best is None or best[0] < RELATED * 0.98:
                denied = next((one for one in faint if _opposed(word.text, one.text)), None)
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

    def _same_head(self, word: _Word, others: Sequence[_Word]) -> list[int]:
        """The words that stand before the same word as this one: fewer resources, increased resources."""
        behind = {one.place: other for one, other in pairwise(self.claim.content)}.get(word.place)
        quoted = self.quote.content
        if behind is None:
            return []
        return [
            place
            for place, (one, other) in enumerate(pairwise(quoted))
            if self._like(behind.text, other.text) and (_groups(one.text) or one.text in _DIRECTIONS)
        ]

    def _likeness(self, word: _Word, other: _Word, cosine: float) -> float:
        if word.stem == other.stem or word.text == other.text:
            return 1.0
        if _synonymous(word.text, other.text) and not _opposed(word.text, other.text):
            return SYNONYM
        side = self.comparison.only(word.text)
        if side is not None and side == self.comparison.only(other.text):
            return SYNONYM
        if _related(word.text, other.text):
            return RELATED
        return min(1.0, max(0.0, (cosine - FAR) / (NEAR - FAR))) * RELATED

    def signals(self, encoder: Encoder, claim: str, quote: str, above: str) -> tuple[Signals, tuple[str, ...]]:
        reasons: list[str] = []
        dropped, added, opposite = self._polarity(reasons)
        number = self._numbers(reasons)
        bound = self._bounds(reasons)
        name = self._names(reasons)
        roles = max(self._side(reasons), self._roles(reasons), self._subject(reasons), self._crossed(reasons))
        weighed = [match for match in self.matches if match.word.text not in _DIRECTIONS]
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

    def _than(self, reading: _Reading) -> tuple[list[str], str] | None:
        """The words before "than" (or "as fast as") and the first word behind it."""
        words = reading.words
        places = [word.place for word in words if word.text == "than"] or [
            word.place for word in words[2:] if word.text == "as" and words[word.place - 2].text == "as"
        ]
        for place in places:
            if place + 1 < len(words) and (words[place + 1].text[0].isdigit() or words[place + 1].text in _COUNTING):
                continue  # a bound, not a comparison
            before = [
                word.text for word in words if word.place < place and word.content and word.text not in _DIRECTIONS
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
        evidence = (*_numbers(self.quote.text), *_numbers(self.headings.text))
        missing = 0.0
        for number in _numbers(self.claim.text):
            if number.kind == "rate" and all(other.kind != "rate" for other in evidence):
                continue
            if any(_equal(number, other) for other in evidence):
                continue
            if _derived(number, evidence):
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
                if other.text in _SMALL and heads & {one.stem for one in theirs[other.place + 1 : other.place + 4]}:
                    return True
        return False

    def _bounds(self, reasons: list[str]) -> float:
        evidence = (*_numbers(self.quote.text), *_numbers(self.headings.text))
        for number in _numbers(self.claim.text):
            for other in evidence:
                if not _equal(number, other):
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
            if match.score >= RELATED or match.word.text in _DIRECTIONS:
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
        parts = [_read(part) for part in _CONTRAST.split(self.quote.text) if part.strip()]
        if len(parts) < 2:
            return 0.0
        held = [self._items(part) for part in parts]
        for part in _CONTRAST.split(self.claim.text):
            items = self._items(_read(part))
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

    def _items(self, reading: _Reading) -> list[str]:
        """The stems and digits of a text in order; the words for a side are one."""
        found = []
        for word in reading.words:
            side = self.comparison.only(word.text)
            if side is not None:
                found.append(f"side {side}")
            elif word.text[0].isdigit() or word.text in _COUNTING or (word.content and word.text not in _DIRECTIONS):
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
        mine |= self.claim.all & kind & _NEGATIONS
        if not mine or self.quote.all & kind:
            return 0.0
        reasons.append(f'"{min(mine)}" is more than the source says')
        return 1.0

    def _cosine(self, encoder: Encoder, claim: str, quote: str, above: str) -> float:
        said = encoder.encode_query(claim)
        texts = (quote, f"{above}. {quote}") if above else (quote,)
        return max(0.0, *(float(said @ _sentence(encoder, text)) for text in texts))


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


def _equal(one: _Number, other: _Number) -> bool:
    if one.kind != other.kind:
        # "From 12 minutes to 3": the unit may be written once.
        return "" in (one.kind, other.kind) and one.raw == other.raw and "rate" not in (one.kind, other.kind)
    # 1024 is 1000 where sizes are spoken of.
    return math.isclose(one.value, other.value, rel_tol=0.03 if one.kind == "size" else 1e-6)
