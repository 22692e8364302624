"""What a question asks for: a choice, a comparison, or a fact of a kind (a price, a date, a person, a command …)."""

import re
from dataclasses import dataclass

from assistant.comparison import Comparison
from assistant.terms import terms

# Phrases that ask for a choice; what else a question says is the situation.
_USE = r"(?:use|choose|pick|take|run|go|recommend|suggest|select|prefer|adopt|buy|opt|put|host|deploy|build|move|rely|install|settle|advise)"
_CHOICE = re.compile(
    r"\bwhich (?:one|of (?:the two|them|these|those|both)|technology|option|approach|solution|way|is (?:better|best|right)|fits|suits|should|would|do|to|side|kind|type)\b"
    rf"|\b(?:what|which|where)\b.{{0,25}}\b(?:should|shall)\b(?: \w+){{0,3}}? {_USE}\b(?: (?:for|with|on|to)\b)?(?: it\b)?(?: (?:on|in|to)\b)?"
    rf"|\b(?:what|which|where)\b.{{0,25}}\b(?:do|does|would|could|can) (?:i|we|you|they|one|people)(?: \w+)? {_USE}\b(?: (?:for|with|on|to)\b)?(?: it\b)?(?: (?:on|in|to)\b)?"
    rf"|\b(?:what|which|where)(?: \w+)? to {_USE}\b"
    rf"|\bshould (?:i|we|they|it|this|that|my|our|the|a|an|one)\b(?: (?:rather|better|just))?(?: {_USE}\b)?|\bdo (?:i|we) (?:need|want)\b"
    r"|\bwinner\b|\b(?:our|the|my|your) (?:choice|decision|pick|recommendation|advice)\b"
    r"|\bbetter (?:off|choice|option|fit|suited|with|for|to use)\b|\b(?:is it better|does it make sense) to (?:go|use|run|take)(?: (?:with|for))?\b"
    r"|\bsuit(?:s|ed|able)?\b|\b(?:good|right|best) (?:choice|fit|option|idea|tool)\b"
    r"|\b(?:recommend\w*|advise|advice|your take|go (?:for|with))\b|\bwhat (?:fits|suits) (?:better|best|us|me)\b|\bwhere to (?:put|run|host|keep) it\b",
    re.IGNORECASE,
)
# A need, told without a question.
_NEED = re.compile(
    r"\W*(?:we|i|our|my)\b.{0,80}\b(?:need|needs|want|wants|must|have to|has to|require|requires)\b"
    r"(?! to (?:know|understand|learn|ask|see|explain|hear|find|read)\b)",
    re.IGNORECASE,
)
_EITHER = re.compile(
    r"\W*\bor\b(?:\s+(?:rather|better|just|in|on|for|a|an|the|use|with|plain|do))*\s*|\s*\?\s*", re.IGNORECASE
)
_PAIRED = re.compile(r"\s+and\s+(?:(?:a|an|the|in|of|for|on|with|to)\s+)*", re.IGNORECASE)
_COMPARISON = re.compile(
    r"\b(?:compar\w+|differences?|differ|differs|different|differently|distinguish\w*|distinction|versus|vs\.?|against|as opposed to|relative to|than|pros and cons"
    r"|contrast\w*|trade-?offs?|side by side|respective(?:ly)?|in common|each of (?:them|the two)|both|the two|neither)\b",
    re.IGNORECASE,
)
# How a question dresses what it asks about; none of it tells one statement from another.
_FRAME = re.compile(
    r"\b(?:compar(?:e|ing|ison)|compared (?:to|with)|differences?|differ(?:s|ent|ently)?|versus|vs|as opposed to|in contrast(?: to| with)?"
    r"|contrast(?:ed)?(?: with)?|set against|side by side|respectively|regarding|with (?:respect|regard) to|when it comes to|in terms of"
    r"|both|the two|of these|please|tell me|explain(?: me)?|i (?:would|'d) like to know|main|between)\b",
    re.IGNORECASE,
)
# What a choice without any circumstances asks for.
OPEN_CHOICE = "what the decision should be based on"
_IDLE = frozenset(
    terms("good better best right just one us me our company team project need needs general simply always")
)
_CLAUSE = re.compile(r"(?<=[.?!;])\s+|,\s+(?=which|what|so|should|or)")
_PART = re.compile(
    r"(?<=\?)\s+(?:(?:and|also|on another note|second(?:ly)?|plus|then)\b[\s,:]*)*"
    r"|[,;]?\s+(?:and|but)\s+(?:also\s+)?(?=(?:(?:for|on|in|to|by|with|of)\s+)?(?:what|how|why|which|where|when|who|whose|is|are|does|do|can|should)\b)"
    r"|[.;]\s+(?:also|second(?:ly)?|on another note|besides|then)\b[\s,:]*|\s+/\s+(?=(?:as\s+)?(?:what|how|why|which|where|when|who)\b)"
    r"|,?\s+and also\s+(?=(?:what|how|why|which|where|when|who)\b)",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\b(?:what|how|why|which|where|when|who|whose|is|are|does|do|can|could|should|will|would|has|have|tell|explain|name|list)\b",
    re.IGNORECASE,
)
_VERB = re.compile(r"\b(?:is|are|was|were|does|do|did|can|could|may|might|should|will|would|has|have)\b", re.IGNORECASE)
_BOTH = re.compile(r"\b(?:both|the two|neither|either|two (?:technologies|approaches|options))\b", re.IGNORECASE)
_YES_NO = re.compile(
    r"\W*(?:(?:so|and|but|then|ok(?:ay)?|well|hi|hello|please|tell me|quick question)\b[\s,:]*)*"
    r"(?:(?:is|are|was|were|do|does|did|can|could|will|would|has|have|should|must|may|might)(?:n't)?|isn't|aren't|can't|cannot|won't)\s"
    r"|.*,\s*(?:right|correct|true|yes|no|is(?:n't)? (?:it|that)(?: (?:right|true|correct|so))?|are(?:n't)? they|do(?:n't)? they|does(?:n't)? it|can(?:'t)? (?:i|we|it|they))\s*\?*\s*$"
    r"|.*\b(?:is it (?:true|correct|right) that|true or false|yes or no)\b",
    re.IGNORECASE | re.DOTALL,
)

_UNITS = (
    r"(?:milliseconds?|microseconds?|seconds?|minutes?|hours?|days?|ms|percent(?:age)?|%|[kmgt]i?b|megabytes?|gigabytes?|terabytes?"
    r"|bytes?|watts?|mhz|ghz|cores?|lines of code|requests per second|iops|mbit|gbit|dollars?|euros?|usd|eur)"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fact: how a question asks for it, and what a text that holds one looks like."""

    name: str
    asks: re.Pattern[str]
    holds: re.Pattern[str]


def _kind(name: str, asks: str, holds: str, ignore_case: bool = True) -> Kind:
    return Kind(
        name, re.compile(asks, re.IGNORECASE), re.compile(holds, re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
    )


KINDS = (
    _kind(
        "a price",
        r"\bhow much (?:money|does|do|would|will|is)\b.*\b(?:cost|costs|pay|paid|charge[ds]?|subscription|licen[cs]e)\b"
        r"|\b(?:pricing|price tag|price list|fees?|list price)\b"
        r"|\bwhat (?:does|do|would|will) .{1,60} cost\b|\b(?:prices?|costs?|fees?) (?:of|for|per)\b"
        r"|\bper (?:month|year|seat|user|developer|hour|core|socket)\b|\bhow (?:expensive|cheap)\b",
        r"[$€£¥]\s?\d|\b\d[\d.,]*\s?(?:dollars?|euros?|usd|eur|cents?|per (?:month|year|seat|user|hour))\b|\bfree of charge\b",
    ),
    _kind(
        "a date",
        r"\b(?:what|which) (?:year|month|date|day)\b|\bin what year\b|\brelease date\b|\bsince when\b|\bhow old\b"
        r"|\bwhen (?:was|were|did|is|will)\b.{1,60}\b(?:released?|invented|founded|created|launch\w*|introduced|announced|start\w*|end\w*|appear\w*|come out|came out|version)\b",
        r"\b(?:19|20)\d\d\b|\b(?:january|february|march|april|may|june|july|august|september|october|november|december) \d",
    ),
    _kind(
        "a person",
        r"\bwho (?:invented|created|made|wrote|founded|developed|built|started|designed|owns|leads|runs|is behind|came up|maintains)\b"
        r"|\b(?:inventor|founder|co-founder|creator|ceo|maintainer)s? of\b|\bwhose (?:idea|invention)\b",
        r"\b(?:by|[Ff]ounder|[Ii]nventor|[Cc]reator|[Aa]uthor|[Ee]ngineer|Dr\.|Mr\.|Ms\.) [A-Z][a-z]+ (?:[A-Z]\. )?[A-Z][a-z]+\b"
        r"|\b[A-Z][a-z]+ (?:[A-Z]\. )?[A-Z][a-z]+ (?:invented|created|founded|wrote|started|designed|built|released|announced)\b",
        ignore_case=False,
    ),
    _kind(
        "a command or setting",
        r"\b(?:which|what|the|exact|give me|show me|write|need)\b.{0,40}\b(?:commands?|flags?|command[- ]line|cli|syntax|config(?:uration)? file|\w+file|yaml|"
        r"environment variable|api call|port number|script)\b",
        r"`[^`]+`|^ {0,3}(?:```|~~~)|^(?: {4}|\t)\S",
    ),
    _kind(
        "steps",
        r"\bhow (?:do|can|should|would|could|to)(?: (?:i|we|you|one))? (?:install|configure|set ?up|create|convert|migrate|enable|disable|write|deploy|move|reset|"
        r"debug|upgrade|update|delete|remove|connect|mount|list|stop|back ?up|restore|monitor|build|export|import|publish|pull|push|tag|prune|expose|limit)\b"
        r"|\bsteps? (?:for|to|by step|required|needed)\b|\btutorial\b|\bwalk me through\b|\binstructions (?:for|to|on)\b|\bhow-?to\b",
        r"`[^`]+`|^ {0,3}(?:```|~~~)|^\s*1[.)] ",
    ),
    _kind(
        "a figure",
        rf"\bhow (?:many|much)\b.{{0,25}}\b{_UNITS}(?!\w)|\b(?:what|which|exact|average|typical|roughly what)\b.{{0,20}}\b(?:percentage|percent|number of|size in|{_UNITS})(?!\w)"
        rf"|\bin (?:milliseconds|seconds|percent|gigabytes|megabytes|mb|gb|ms)\b|\bbenchmarks?\b|\bexact (?:figures?|numbers?)\b",
        r"\d",
    ),
)


def asked_kinds(question: str) -> tuple[Kind, ...]:
    """The kinds of fact a question asks for; none for most questions."""
    return tuple(kind for kind in KINDS if kind.asks.search(question))


def is_choice(question: str, comparison: Comparison) -> bool:
    """Whether a question asks which side to take ("Should I …", "this or that?")."""
    if _CHOICE.search(question) or (comparison.sides and "?" not in question and _NEED.match(question)):
        return True
    between = _between(question, comparison)
    return between is not None and _EITHER.fullmatch(between) is not None


def is_comparison(question: str, comparison: Comparison) -> bool:
    """Whether a question asks how two things differ, or the same of both sides ("How do X and Y start?")."""
    if _COMPARISON.search(question):
        return True
    between = _between(question, comparison)
    return between is not None and _PAIRED.fullmatch(between) is not None


def _between(question: str, comparison: Comparison) -> str | None:
    """What stands between the names of the two sides, where a question names both."""
    places = [match for side in range(len(comparison.sides)) if (match := comparison.search(side, question))]
    if len(places) < 2:
        return None
    first, second = sorted(places, key=lambda match: match.start())
    return question[first.end() : second.start()]


def is_yes_no(question: str) -> bool:
    """Whether a question can be answered with yes or no."""
    return _YES_NO.match(question) is not None


def implies_sides(question: str, comparison: Comparison) -> bool:
    """Whether a question is about the two sides without naming either ("which one", "both")."""
    if not comparison.sides or any(comparison.named(question)):
        return False
    return is_choice(question, comparison) or _BOTH.search(question) is not None


def aspect(question: str, comparison: Comparison) -> str:
    """What a question is about, whichever side is meant: without the names of the sides and the words around it.

    "What is the difference in startup between X and Y?" and "Which one should I take for a quick startup?"
    are both about startup. A question that is nothing but frame comes back as it is.
    """
    bare = comparison.neutral(question)
    clauses = [
        clause
        for clause in _CLAUSE.split(bare)
        if not (_CHOICE.search(clause) and len(set(terms(_CHOICE.sub(" ", clause)))) <= 2)
    ]
    text = " ".join(clauses) or bare
    for frame in (_CHOICE, _FRAME):
        without = " ".join(frame.sub(" ", text).split())
        if len(set(terms(without))) >= (2 if frame is _CHOICE else 1):
            text = without
    circumstances = set(terms(_FRAME.sub(" ", _CHOICE.sub(" ", bare)))) - _IDLE
    if not circumstances and comparison.only(question) is None and is_choice(question, comparison):
        return OPEN_CHOICE
    return text if terms(text) else question


def parts(question: str) -> tuple[str, ...]:
    """The questions in one message, each of which asks for something of its own; one for most messages."""
    found: list[str] = []
    start = 0
    for gap in [*_PART.finditer(question), None]:
        before = question[start : gap.start()] if gap else question[start:]
        after = question[gap.end() :] if gap else ""
        if gap is None or (_asks(before) and _asks(_PART.split(after, maxsplit=1)[0])):
            found.append(before.strip())
            start = gap.end() if gap else start
    return tuple(found)


def _asks(piece: str) -> bool:
    """Whether a piece of a message is a question of its own, and not the tail of one ("and why?")."""
    content = len(set(terms(piece)))
    return _ASKS.search(piece) is not None and (content > 1 or (content == 1 and _VERB.search(piece) is not None))
