"""A sentence that is nearly a copy: what was put in, taken out or exchanged, word by word.

The weighing of many signals lets one changed word pass where all the others stand as they were. In a copy
that one word is the whole difference, so here it decides.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from assistant.comparison import NOTHING, Comparison
from assistant.opposites import opposed, synonymous
from assistant.quantities import Quantity, derived, quantities_in, same_quantity
from assistant.reading import NEGATIONS
from assistant.terms import STOP_WORDS, fold, stem

# From this share of a sentence's words on, found in the source in their order, it is taken for a copy.
COPIED = 0.7
# A shorter sentence is copied by chance.
SHORTEST = 5

Change = Literal["none", "wording", "meaning"]

_WORD = re.compile(r"\d+(?:[.,:]\d+)*%?|\w+(?:['’]\w+)*")
_NO_MATTER = re.compile(r"\bno matter (?:how|what|which|whether)\b", re.IGNORECASE)
_AT_MOST = re.compile(
    r"\bnot ([^.;,]{0,40}?)\b(?:more|longer|later|larger|higher|greater) than\b|\bno (?:more|longer|later) than\b",
    re.IGNORECASE,
)
# Taken out, they leave a claim that says more than its source; put in, one that says something else.
_LIMITS = frozenset(
    "only usually often sometimes mostly mainly may might could should can some most many few partly nearly almost about at least up "
    "unless if when except until before after without more less fewer than rather instead first last".split()
)


@dataclass(frozen=True, slots=True)
class _Token:
    text: str  # folded
    stem: str
    name: bool  # a capital inside the sentence, or a digit among letters


def change(
    claim: str, source: str, headings: Sequence[str] = (), comparison: Comparison = NOTHING
) -> tuple[Change, str] | None:
    """How a near copy differs from its source below its headings, and the words that say so; None where it is no copy.

    `meaning`: a negation, a number, a name, a side or an opposite was put in, taken out or exchanged. `wording`: other
    words were. `none`: at most words were left out that limit nothing.
    """
    said, given = _tokens(claim), _tokens(source)
    if len(said) < SHORTEST:
        return None
    matcher = SequenceMatcher(None, [one.stem for one in said], [one.stem for one in given], autojunk=False)
    if sum(block.size for block in matcher.get_matching_blocks()) < COPIED * len(said):
        return None
    worst: tuple[Change, str] = ("none", "")
    first, last = _reach(matcher)
    # A heading that names both sides says of neither that this is about it.
    sides = _sides(given, comparison) | {side for one in headings if (side := comparison.only(one)) is not None}
    context = [*given, *(token for heading in headings for token in _tokens(heading))]
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal" or (kind == "delete" and a == b):
            continue
        taken, put = given[max(c, first) : min(d, last)], said[a:b]
        what = _compared(put, taken, context, sides, comparison)
        if what == "meaning":
            words = " ".join(one.text for one in put) or "left out: " + " ".join(one.text for one in taken)
            return "meaning", words
        if what == "wording" and worst[0] == "none":
            worst = ("wording", " ".join(one.text for one in put or taken))
    return worst


def _reach(matcher: "SequenceMatcher[str]") -> tuple[int, int]:
    """The part of the source that the copy covers; what lies before and after it was not taken out of anything."""
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    return blocks[0].b, blocks[-1].b + blocks[-1].size


def _compared(
    put: Sequence[_Token], taken: Sequence[_Token], context: Sequence[_Token], sides: set[int], comparison: Comparison
) -> Change:
    """What one exchange does; `context` is the whole source with its headings, `sides` are those it speaks of."""
    if _negations(put) % 2 != _negations(taken) % 2:
        # Turned twice, "does not run slower" for "runs faster", it may say the same.
        turned = any(opposed(one.text, other.text) for one in _plain(put) for other in _plain(taken))
        return "wording" if turned else "meaning"
    other = _sides(put, comparison) - _sides(taken, comparison)
    if other and (_sides(taken, comparison) or not other <= sides):
        return "meaning"
    new = [one for one in _numbers(put) if not any(same_quantity(one, other) for other in _numbers(taken))]
    made = any(not derived(one, _numbers(context)) for one in new) and any(one.text[0].isdigit() for one in put)
    if made or (new and _numbers(taken)):
        return "meaning"
    names = {one.stem for one in put if one.name} - {one.stem for one in context}
    if names and any(one.name for one in taken):
        return "meaning"
    if any(opposed(one.text, other.text) for one in put for other in taken):
        return "meaning"
    content = [one for one in put if one.text not in STOP_WORDS or one.text in _LIMITS]
    left = [one for one in taken if one.text in _LIMITS]
    alike = [one for one in content if any(synonymous(one.text, other.text) for other in taken)]
    return "wording" if len(content) > len(alike) or other or new or (left and not put) else "none"


def _plain(tokens: Sequence[_Token]) -> list[_Token]:
    return [one for one in tokens if one.text not in NEGATIONS and not one.text.endswith("n't")]


def _negations(tokens: Sequence[_Token]) -> int:
    return sum(one.text in NEGATIONS or one.text.endswith("n't") for one in tokens)


def _sides(tokens: Sequence[_Token], comparison: Comparison) -> set[int]:
    named = comparison.named(" ".join(one.text for one in tokens))
    return {side for side, there in enumerate(named) if there}


def _numbers(tokens: Sequence[_Token]) -> tuple[Quantity, ...]:
    return quantities_in(" ".join(one.text for one in tokens))


def _at_most(match: re.Match[str]) -> str:
    return f"{match[1] or ''}at most"


def _tokens(text: str) -> list[_Token]:
    text = _AT_MOST.sub(_at_most, _NO_MATTER.sub("however", text))
    tokens = []
    for match in _WORD.finditer(text):
        word = match[0]
        opens = not text[: match.start()].strip(" *_\"'“(")
        many = any(map(str.isdigit, word)) or word[1:] != word[1:].lower()
        name = not word[0].isdigit() and word.lower() not in STOP_WORDS and (many or (word[0].isupper() and not opens))
        folded = fold(word)
        tokens.append(_Token(folded, stem(folded), name))
    return tokens
