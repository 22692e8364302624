"""Question + history -> the standalone query that is searched, gated and shown."""

import re
from collections.abc import Sequence
from typing import Any

from assistant.addressed import machine_addressed
from assistant.comparison import NOTHING, Comparison
from assistant.errors import UsageError
from assistant.nouns import Turn
from assistant.sentences import sentence_spans
from assistant.terms import STOP_WORDS, stem, terms, words

# Words that lean on what was said before. "This page", "the same host" and "is it safe to …" do not.
_PRONOUN = re.compile(
    r"\b(?:they|them|theirs?|these|those|its|he|she|his|her)\b"
    r"|\bit\b(?!\s+(?:generally|really|still|even|ever|ok(?:ay)?|a good idea|good|bad|better|best|possible|true|safe|enough|worth|wise|easier|harder|"
    r"correct|right|advisable|necessary|common)\b.{0,12}\b(?:to|that|if|for|when|practice|in)\b|\s+(?:possible|true)\b)",
    re.IGNORECASE,
)
_POINTER = re.compile(
    r"\b(?:this|that)\b(?=\s*(?:[?.!,;]|$|is\b|was\b|so\b|too\b|one\b|means?\b|makes?\b|would\b|does\b|happens?\b|thing\b|case\b|way\b|risky\b|be\b|work\b|good\b|bad\b|for\b|compares?\b))"
    r"|^\W*(?:is|isn't|was|does|doesn't|would|could|can|will|why|how|and|so|but)(?: (?:is|does|did|would|was|not|about|come|then))?\s+(?:this|that)\b"
    r"|\b(?:the )?(?:former|latter)\b|\bthe (?:others?|rest)\b(?! \w+ing\b)|\bthe (?:first|second|same|other) ones?\b|\binstead\s*\W*$|\b(?:what|anything|who|where) else\b"
    r"|\b(?:\w+er|applied|used|had|have|got|take|need|want|such) ones?\s*[?.!]*$"
    r"|\bsame (?:question|thing|for|with)\b|\bthe rest of (?:it|them)\b|\bthe other\s*[?.!]*$",
    re.IGNORECASE,
)
# "Of that technique", "did that also work": these point back unless what they point to stands before them.
_DEMONSTRATIVE = re.compile(
    r"\b(?:of|in|on|to|for|from|with|by|about|under|at|does|do|is|are|was|were|did|will|would|can|has|have|why|how)\s+(?:that|this)\s+"
    r"(?!page|document|text|note|site|one\b)[a-z]{3,}",
    re.IGNORECASE,
)
_POSSESSIVE = {"their", "theirs", "its", "his", "her"}
_CONTINUES = re.compile(
    r"\s*(?:and|but|or|so|what about|how about|what if|also|then|ok|okay|really|same for|why not|and what about)\b[\s,:]*",
    re.IGNORECASE,
)
_CORRECTS = re.compile(
    r"\s*(?:(?:no|nope|sorry|oops|wait|pardon|my mistake|i mean|actually)\b[\s,.!:;-]*)*"
    r"(?:(?:what )?i (?:meant|mean|wanted to ask|was asking about|am asking about)|i'm asking about|i was talking about|make that|rather(?! than)|not that one)\b(?! to\b)[\s,:]*"
    r"|\s*(?:no|nope|sorry|oops|wait)\s*[,.!:;-]+\s*(?=\S)",
    re.IGNORECASE,
)
_LEAVES = re.compile(
    r"\s*(?:(?:ok(?:ay)?|thanks?(?: you)?|great|now)\b[\s,.!]*)*(?:(?:a |on (?:to )?a |to )?(?:different|new|another|other|separate|unrelated) (?:topic|question|subject|thing|matter)"
    r"|something (?:else|different)(?: entirely)?|changing (?:the )?(?:topic|subject)|by the way|btw|unrelated(?=\s*[,.:;-]))\b[\s,.:;-]*",
    re.IGNORECASE,
)
_REJECTED = re.compile(r"\bnot (?:the |about |on )?((?:[\w-]+)(?: [\w-]+)?)", re.IGNORECASE)
_OTHER = re.compile(
    r"\bthe other (?:one|option|technology|approach|side|kind)\b|\bthe other\b(?= *[?.!,;]*$| (?:is|does|do|be|has|need|for|when|in)\b)|\bthe alternative\b",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"\b(?:the )?(former|latter)(?: one)?\b", re.IGNORECASE)
_TOGETHER = re.compile(r"\b(?:both|either|neither|each|which of|the two)\b", re.IGNORECASE)
_REPLY = re.compile(
    r"\W*(?:(?:thanks?|thank you|thx|ok(?:ay)?|no|yes|great|cool|bye|hello|hi|hey|got it|i see)\W*)+", re.IGNORECASE
)
_PLACES = re.compile(
    r"\s*(?:and|but|so|or)?\s*(?:on|in|with|without|for|when|if|during|under|after|before|at|as|to)\b", re.IGNORECASE
)
_COMPARED = re.compile(r"\b(?:compar\w+|differen\w+|differs?|versus|vs|than)\b", re.IGNORECASE)
_NAME = re.compile(r"[^\W_]*[^\W\d_][\w.-]*\w|[^\W_]")
_FEW_TERMS = 2
# Words of a follow-up that say nothing of their own.
_NO_CONTENT = frozenset(terms("one ones question answer case other others rest sure right meant sorry former latter"))
# Words for what is always something's: alone in a question, they ask it of what was named before.
_RELATIONAL = frozenset(
    terms(
        "reason cost trade default difference advantage disadvantage drawback downside limit price purpose catch alternative risk impact effect "
        "consequence example benefit cause size name gain lose requirement"
    )
)
MAX_QUESTION = 2000


def check_question(question: str) -> str:
    """The question without the blank space around it. Raises UsageError where there is nothing to answer."""
    question = question.strip()
    if any("\ud800" <= character <= "\udfff" for character in question):
        raise UsageError("The question is not valid Unicode.")
    if not any(character.isalnum() for character in question):
        raise UsageError("The question is empty: it needs at least one letter or digit.")
    if len(question) > MAX_QUESTION:
        raise UsageError(f"The question has {len(question):,} characters; the most is {MAX_QUESTION:,}. Shorten it.")
    return question


def without_orders(question: str) -> str:
    """The sentences of a question that ask something; orders to the machine ("End your answer with …") are left out.

    A question that is nothing but an order stays as it is.
    """
    kept = [question[low:high] for low, high in sentence_spans(question) if not machine_addressed(question[low:high])]
    asked = " ".join(kept)
    return asked if terms(asked) else question


def read_history(turns: Any) -> list[Turn]:
    """The conversation as programs send it: a list of `{"question": …, "answer": …}`. Raises UsageError."""
    if turns is None:
        return []
    if not isinstance(turns, list):
        raise UsageError('"history" must be a list of {"question": …, "answer": …}.')
    read = []
    for turn in turns:
        if (
            not isinstance(turn, dict)
            or not isinstance(turn.get("question"), str)
            or not isinstance(turn.get("answer", ""), str)
        ):
            raise UsageError('Each turn of "history" must be {"question": …, "answer": …}, both strings.')
        read.append(Turn(turn["question"][:MAX_QUESTION], turn.get("answer", "")))
    return read


def needs_history(question: str, comparison: Comparison = NOTHING) -> bool:
    """Whether a question can hardly be understood alone: a reference, an ellipsis, or next to no content."""
    if _LEAVES.match(question) or _REPLY.fullmatch(question):
        return False
    content = len(set(terms(question)))
    if _CORRECTS.match(question) or content <= _FEW_TERMS or refers_back(question, comparison):
        return True
    return bool(_CONTINUES.match(question)) and content <= 2 * _FEW_TERMS


def refers_back(question: str, comparison: Comparison = NOTHING) -> bool:
    """Whether a question holds a word that stands for something said before it ("it", "the other one", "that")."""
    if _POINTER.search(question) and not _inside(question, comparison):
        return True
    shown = _DEMONSTRATIVE.search(question)
    if shown is not None and not _explained(question[: shown.start()], comparison):
        return True
    pronoun = _PRONOUN.search(question)
    if pronoun is None:
        return False
    compared = comparison.only(question) is not None and _COMPARED.search(question)
    return bool(compared) or not _explained(question[: pronoun.start()], comparison)


def leans(part: str, comparison: Comparison = NOTHING) -> bool:
    """Whether the second of two questions in one message leans on the first: "…, and what is the reason?"."""
    return refers_back(part, comparison) or set(terms(part)) <= _RELATIONAL


def standalone(question: str, history: Sequence[Turn], comparison: Comparison = NOTHING) -> str:
    """The question itself, or, where it leans on the conversation, one that says what it leaves out.

    What is left out comes from the question before, made whole itself, and, for a pronoun, from its answer.
    "And VMs?" asks the question before of the other side; "it" and "they" become the side spoken of; a new
    aspect replaces the former one and keeps its side; whatever else leans back gets the earlier words.
    """
    if left := _LEAVES.match(question):
        return question[left.end() :].strip() or question
    if not history or not needs_history(question, comparison):
        return question
    before = standalone(history[-1].question, history[:-1], comparison)
    asked = question
    rejected: set[str] = set()
    if correction := _CORRECTS.match(question):
        asked = question[correction.end() :].strip() or question
        for match in _REJECTED.finditer(asked):
            rejected.update(terms(match.group(1)))
        asked = _REJECTED.sub(" ", asked).strip(" ,.;") or asked
    asked, resolved = _resolved(asked, history[-1], before, comparison)
    side = comparison.only(asked)
    bare = len(_beside(asked, comparison)) == 0
    if side is not None and bare and comparison.only(before) == 1 - side:
        named = comparison.search(side, asked)
        assert named is not None
        return comparison.replaced(1 - side, before, named.group())
    if correction and rejected and side is None:
        kept = " ".join(word for word in before.split() if not set(terms(word)) & rejected)
        return f"{kept} ({asked})" if kept else asked
    whole = _with_words(asked, before, rejected, correction is not None, resolved, comparison)
    carried = _names(before) + (
        _names(_first_sentence(history[-1].answer)) if refers_back(question, comparison) else []
    )
    return _with_names(whole, [name for name in carried if stem(name.lower()) not in rejected], comparison)


def _with_names(asked: str, names: Sequence[str], comparison: Comparison) -> str:
    """A question with the names it lacks in brackets; those of the sides are left to what else says which is meant."""
    present = set(terms(asked))
    kept = []
    for name in names:
        if not set(terms(name)) <= present and not any(comparison.named(name)):
            kept.append(name)
            present.update(terms(name))
    if not kept:
        return asked
    return f"{asked[:-1]} {' '.join(kept)})" if asked.endswith(")") else f"{asked} ({' '.join(kept)})"


def _names(text: str) -> list[str]:
    """Words that name something: with a capital that opens no sentence, a capital inside, or a digit among letters."""
    found = []
    for match in _NAME.finditer(text):
        word = match[0]
        opens = not text[: match.start()].strip() or text[: match.start()].rstrip()[-1:] in ".!?:"
        many = any(map(str.isupper, word[1:])) or any(map(str.isdigit, word))
        if (many or (word[0].isupper() and not opens)) and word.lower() not in STOP_WORDS and len(word) > 1:
            found.append(word)
    return found


def _with_words(
    asked: str, before: str, rejected: set[str], corrected: bool, resolved: bool, comparison: Comparison
) -> str:
    """A question followed, in brackets, by the words of the one before that it needs."""
    side = comparison.only(asked)
    if side is not None and not _COMPARED.search(asked):
        before = comparison.without(1 - side, before)
    content = _beside(asked, comparison)
    new_aspect = (corrected or _CONTINUES.match(asked) is not None) and not _PLACES.match(
        _CONTINUES.sub("", asked, count=1)
    )
    if comparison.sides and content and (resolved or (new_aspect and any(comparison.named(before)))):
        # The aspect is new: of the question before, only what it was about stays.
        before = " ".join(
            match.group()
            for match in [*(comparison.search(number, before) for number in (0, 1)), _COMPARED.search(before)]
            if match
        )
        if resolved:
            before = ""
    present = set(terms(asked)) | rejected
    kept = []
    for word in words(before):
        term = stem(word)
        if word in STOP_WORDS or term in present:
            continue
        kept.append(word)
        present.add(term)
    return f"{asked} ({' '.join(kept)})" if kept else asked


def _resolved(asked: str, last: Turn, before: str, comparison: Comparison) -> tuple[str, bool]:
    """The question with "they", "it" or "the other one" replaced by the side that is meant, where that is plain."""
    if not comparison.sides:
        return asked, False
    if (ordinal := _ORDINAL.search(asked)) and (first := comparison.first(before)) is not None:
        meant = first if ordinal.group(1).lower() == "former" else 1 - first
        return f"{asked[: ordinal.start()]}{comparison.sides[meant].name.lower()}{asked[ordinal.end() :]}", False
    focus = comparison.only(before)
    source = before
    if focus is None:
        source = _first_sentence(last.answer)
        focus = comparison.first(source)
    if focus is None or _TOGETHER.search(asked):
        return asked, False
    match = comparison.search(focus, source)
    name = match.group() if match else comparison.sides[focus].name
    named = comparison.named(asked)
    if _OTHER.search(asked) and not any(named):
        return _OTHER.sub(comparison.sides[1 - focus].name.lower(), asked, count=1), True
    pronoun = _PRONOUN.search(asked)
    compared = named[1 - focus] and _COMPARED.search(asked)
    if pronoun is None or named[focus] or (not compared and _explained(asked[: pronoun.start()], comparison)):
        return asked, False
    mark = "'s" if pronoun.group().lower() in _POSSESSIVE else ""
    said = f"{asked[: pronoun.start()]}{name}{mark}{asked[pronoun.end() :]}"
    return said, len(_beside(asked, comparison)) > 0


def _explained(text: str, comparison: Comparison) -> bool:
    """Whether a pronoun after this text can refer to something in it."""
    return any(comparison.named(text)) or len(set(terms(text))) > _FEW_TERMS


def _inside(question: str, comparison: Comparison) -> bool:
    return any(comparison.named(question)) and len(_beside(question, comparison)) > _FEW_TERMS


def _beside(text: str, comparison: Comparison) -> set[str]:
    """The terms of a text beside the names of the sides."""
    for side in range(len(comparison.sides)):
        text = comparison.without(side, text)
    return set(terms(text)) - _NO_CONTENT


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?])\s", text.strip(), maxsplit=1)[0]
