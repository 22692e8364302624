"""What a question asks for: a choice, a comparison, or a fact of a kind (a price, a date, a person, a command …)."""

import re
from dataclasses import dataclass

from assistant.query import sides

_CHOICE = re.compile(
    r"\bwhich (?:one|of (?:the two|them|these|those)|technology|option|approach|is (?:better|best|right)|fits|should)\b"
    r"|\b(?:what|which)\b.{0,20}\b(?:should|do|would|could|to|shall)(?: (?:i|we|you))? (?:use|choose|pick|take|run)\b"
    r"|\bshould (?:i|we)\b|\bdo (?:i|we) (?:need|want)\b|\bwe need\b|\bwinner\b|\b(?:our|the|my) (?:choice|decision)\b"
    r"|\bbetter off\b|\bsuit(?:s|ed|able)?\b|\b(?:containers?|docker|vms?|virtual machines?),? or (?:(?:a|an|in) )?(?:containers?|docker|vms?|virtual machines?)\b",
    re.IGNORECASE,
)
_COMPARISON = re.compile(
    r"\b(?:compar\w+|difference|differ|differs|versus|vs\.?|against|as opposed to|than|pros and cons|contrast\w*|both|the two)\b",
    re.IGNORECASE,
)
_BOTH = re.compile(r"\b(?:both|the two|neither|either|two technologies)\b", re.IGNORECASE)

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
    return Kind(name, re.compile(asks, re.IGNORECASE), re.compile(holds, re.IGNORECASE if ignore_case else 0))


KINDS = (
    _kind(
        "a price",
        r"\bhow much (?:money|does|do|would|will|is)\b.*\b(?:cost|costs|pay|paid|charge[ds]?|subscription|licen[cs]e)\b"
        r"|\b(?:subscription|licen[cs]e|licen[cs]ing|pricing|price tag|price list|fees?|list price)\b"
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
        r"\b(?:which|what|the|exact|give me|show me|write|need)\b.{0,40}\b(?:commands?|flags?|command[- ]line|cli|syntax|config(?:uration)? file|dockerfile|yaml|"
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


def is_choice(question: str) -> bool:
    """Whether a question asks which side to take ("Should I …", "Docker or a VM?")."""
    return _CHOICE.search(question) is not None


def is_comparison(question: str) -> bool:
    """Whether a question asks how the two sides differ."""
    return _COMPARISON.search(question) is not None


def implies_sides(question: str) -> bool:
    """Whether a question is about the two sides without naming either ("which one", "both")."""
    return not any(sides(question)) and (is_choice(question) or _BOTH.search(question) is not None)
