"""Numbers of a text with their units on one scale and their bounds ("at least", "up to")."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise

from assistant.terms import fold

SMALL = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty".split()
    )
}


TENS = {
    word: 10 * value for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}


FRACTIONS = {"half": 1 / 2, "third": 1 / 3, "thirds": 1 / 3, "quarter": 1 / 4, "quarters": 1 / 4, "tenth": 1 / 10}
SCALES = {
    "hundred": 1e2,
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "k": 1e3,
    "m": 1e6,
    "bn": 1e9,
    "dozen": 12.0,
}


TIMES = {"twice": 2.0, "thrice": 3.0, "double": 2.0, "doubled": 2.0, "doubles": 2.0}
UNITS: dict[str, tuple[str, float]] = {
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
    r"|\b(?P<word>" + "|".join(sorted({*SMALL, *TENS, *FRACTIONS, *TIMES}, key=len, reverse=True)) + r")\b"
    r"(?:[\s-](?P<tail>"
    + "|".join(
        sorted(
            {*SMALL, *FRACTIONS, *SCALES, *UNITS} - {"s", "m", "h", "d", "b", "k", "min", "%"},
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


@dataclass(frozen=True, slots=True)
class Quantity:
    written: str
    raw: float  # as it stands there
    value: float  # in seconds, bytes …
    kind: str  # time, size, share, version, or "" for a plain count
    bound: int  # +1 at least, -1 at most
    lead: str  # the word before: to, by


@lru_cache(maxsize=2048)
def quantities_in(text: str) -> tuple[Quantity, ...]:
    """The numbers of a text, units made one: 400 ms and 0.4 seconds are equal."""
    folded = fold(text).replace("per cent", "percent")
    folded = re.sub(
        rf"\b({'|'.join(FRACTIONS)}) (?:of )?(?:an?|the) ({'|'.join(unit for unit in UNITS if len(unit) > 2)})\b",
        r"\1 \2",
        folded,
    )
    found: list[Quantity] = []
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
        found.append(Quantity(_written(match), _raw(match, value), value, kind, bound, lead[1] if lead else ""))
    for match in _RATE.finditer(folded):
        found.append(Quantity(match[0], 1.0, UNITS[match[1]][1], "rate", 0, ""))
    # "two hours and ten minutes" is one span of time more
    for first, second in pairwise(found.copy()):
        if first.kind == second.kind == "time" and first.value > second.value:
            found.append(
                Quantity(first.written, first.raw, first.value + second.value, "time", first.bound, first.lead)
            )
            break
    return tuple(found)


def _written(match: re.Match[str]) -> str:
    """The number as it stands there, with its unit and without any other word."""
    unit = match["unit"]
    known = not unit or unit in UNITS or unit in SCALES
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
        if unit in SCALES:
            return value * SCALES[unit], ""
        if unit in UNITS:
            kind, size = UNITS[unit]
            return value * size, kind
        return value, ""
    word, tail = match["word"], match["tail"]
    value = float(TIMES.get(word, FRACTIONS.get(word, TENS.get(word, SMALL.get(word, 0)))))
    if tail in UNITS:
        kind, size = UNITS[tail]
        return value * size, kind
    if tail in SCALES:
        return value * SCALES[tail], ""
    if tail in FRACTIONS:
        return value * FRACTIONS[tail], ""
    if tail in SMALL and word in TENS:
        return value + SMALL[tail], ""
    # "one" is a pronoun as often as a number.
    return None if word == "one" else (value, "")


def derived(number: Quantity, numbers: Sequence[Quantity]) -> bool:
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


def _year(number: Quantity) -> bool:
    return not number.kind and number.value.is_integer() and 1900 <= number.value <= 2100


def same_quantity(one: Quantity, other: Quantity) -> bool:
    """Whether two quantities are equal, on the same scale."""
    if one.kind != other.kind:
        # "From 12 minutes to 3": the unit may be written once.
        return "" in (one.kind, other.kind) and one.raw == other.raw and "rate" not in (one.kind, other.kind)
    # 1024 is 1000 where sizes are spoken of.
    return math.isclose(one.value, other.value, rel_tol=0.03 if one.kind == "size" else 1e-6)
