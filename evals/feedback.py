"""A rated answer at work: the draft of a gold question, and what has changed since it was given."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from assistant import __version__
from assistant.answering import Assistant
from assistant.feedback import Rating
from assistant.nouns import MARKER
from assistant.query import read_history
from assistant.rendering import answer_json, clean, one_line
from evals.gold import TODO

SHOULD_ANSWER, SHOULD_REFUSE = "It should have been answered", "It should not have been answered"
WIDTH = 160  # of a line, as in the gold files

# What is left to a person, field by field.
LEFT = {
    "split": "dev if the assistant may be tuned on it, test if it is only reported",
    "evidence": "what a full answer needs; below `also:` what says the same; the candidates are listed below",
    "nuggets": "the facts, each with the phrases of which an answer holds one",
    "reference": "the right answer in one sentence",
}
SURE = "each piece of evidence is one that a full answer needs; below `also:` what only says the same"
KINDS = "it is guessed; others are unanswerable_far, comparison, decision, yes_no, false_premise, two_in_one, typo"


def draft(rating: Rating) -> str:
    """A gold question in YAML that `load_gold` refuses until a person has filled in what is TODO."""
    entry = question(rating)
    left = [name for name in LEFT if _left(entry.get(name))]
    lines = [*_said(rating), "#", *(f"# {TODO} {name}: {LEFT[name]}" for name in left)]
    if "evidence" in entry and "evidence" not in left:
        lines.append(f"# Check evidence: {SURE}")
    lines.append(f"# Check kind: {KINDS}")
    found = candidates(rating.trace["answer"])
    if "evidence" in left and found:
        lines += ["#", "# Candidates for evidence, as the answer cited them or as the search found them:"]
        lines += [f"#   {line}".rstrip() for line in _dumped(found).splitlines()]
    return "\n".join(lines) + "\n" + _dumped([entry])


def question(rating: Rating) -> dict[str, Any]:
    """The entry of a draft, its fields in the order of the gold files."""
    trace = rating.trace
    entry: dict[str, Any] = {"id": f"feedback-{rating.id}", "split": TODO, "kind": kind(rating)}
    if trace["history"]:
        entry["history"] = trace["history"]
    entry["question"] = trace["question"]
    if unanswerable(rating):
        return {**entry, "answerable": False}
    cited = candidates(trace["answer"]) if rating.rating == "up" and trace["answer"]["citations"] else []
    return {
        **entry,
        "evidence": cited or [{"doc": TODO, "quote": TODO}],
        "nuggets": [{"importance": "vital", "any_of": [TODO]}],
        "reference": TODO,
    }


def unanswerable(rating: Rating) -> bool:
    """Whether the reader and the answer, as far as one can tell, agree that the documents hold no answer."""
    refused = bool(rating.trace["answer"]["refused"])
    return rating.reason == SHOULD_REFUSE or (refused and rating.reason != SHOULD_ANSWER)


def kind(rating: Rating) -> str:
    """A guess; a question that readers ask of these documents and that they do not answer comes near them."""
    if rating.trace["history"]:
        return "follow_up"
    return "unanswerable_near" if unanswerable(rating) else "fact"


def candidates(answer: dict[str, Any]) -> list[dict[str, str]]:
    """The quotes that an answer cites, or the passages that were found where it cites nothing; none twice."""
    places = [(one["document"], one["quote"]) for one in answer["citations"]]
    places = places or [(one["document"], one["text"]) for one in answer["hits"]]
    return [{"doc": document, "quote": quote} for document, quote in dict.fromkeys(places)]


def ask_again(assistant: Assistant, rating: Rating) -> dict[str, Any]:
    """The answer's JSON to the question as it was asked then, on what is indexed now."""
    trace = rating.trace
    stream = assistant.stream(trace["question"], read_history(trace["history"]), query=trace["query"])
    return answer_json(deque(stream, maxlen=1).pop())


def replayed(rating: Rating, now: dict[str, Any]) -> dict[str, Any]:
    """What differs between the rated answer and one given now; `changes` and `versions` hold nothing else."""
    then = rating.trace["answer"]
    changes: dict[str, Any] = {}
    for name in ("search_query", "refused", "answered_by"):
        if then[name] != now[name]:
            changes[name] = {"before": then[name], "after": now[name]}
    # A refusal has no sentences; what it says is missing stands in its text alone.
    if then["refused"] and now["refused"] and then["text"] != now["text"]:
        changes["text"] = {"before": then["text"], "after": now["text"]}
    for name, listed in (("sentences", _sentences), ("citations", _citations), ("documents", _documents)):
        if (before := listed(then)) != (after := listed(now)):
            changes[name] = difference(before, after)
    # Who wrote it is among the changes already.
    known = {"assistant": __version__, "index": now["index"]}
    versions = {
        name: {"before": rating.trace["versions"].get(name, ""), "after": version}
        for name, version in known.items()
        if rating.trace["versions"].get(name, "") != version
    }
    return {"id": rating.id, "question": rating.trace["question"], "changes": changes, "versions": versions}


def difference(before: Sequence[str], after: Sequence[str]) -> dict[str, list[str]]:
    """What is gone and what is new; both empty where only the order is another."""
    gone, new = list(before), []
    for one in after:
        if one in gone:
            gone.remove(one)
        else:
            new.append(one)
    return {"gone": gone, "new": new}


def report(told: dict[str, Any]) -> str:
    """What has changed, for a terminal."""
    lines = [one_line(told["question"])]
    if not told["changes"]:
        lines.append("nothing changed" + (" in the answer" if told["versions"] else ""))
    for name, change in told["changes"].items():
        lines += _told(name, change)
    for name, change in told["versions"].items():
        lines += _told(f"version of the {name}", change)
    return "\n".join(lines)


def _told(name: str, change: dict[str, Any]) -> Iterator[str]:
    shown = name.replace("_", " ")
    if "before" in change:
        before, after = (one_line(str(change[side])) for side in ("before", "after"))
        yield f"{shown}: {before} -> {after}"
        return
    yield f"{shown}:" if change["gone"] or change["new"] else f"{shown}: the same in another order"
    yield from (f"  - {one_line(one)}" for one in change["gone"])
    yield from (f"  + {one_line(one)}" for one in change["new"])


def _sentences(answer: dict[str, Any]) -> list[str]:
    """Without the numbers, which move when any citation does; with the verdict where it is not the usual one."""
    return [
        MARKER.sub("", one["text"]).strip() + ("" if one["support"] == "supported" else f" ({one['support']})")
        for one in answer["sentences"]
    ]


def _citations(answer: dict[str, Any]) -> list[str]:
    """Without offsets, which move when the document changes elsewhere."""
    return [f"{one['document']}: {one['quote']}" for one in answer["citations"]]


def _documents(answer: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(one["document"] for one in answer["hits"]))


def _said(rating: Rating) -> Iterator[str]:
    """Who said what of the answer, as YAML comments."""
    yield f"# A draft, from feedback {rating.id} of {rating.created[:10]}: rated {rating.rating}."
    for name, text in (
        ("Reason", rating.reason),
        ("Comment", rating.comment),
        ("Searched instead of the question", rating.trace["query"]),
        ("The answer", rating.trace["answer"]["text"]),
    ):
        written = [shown for line in clean(text).splitlines() if (shown := _printable(line))]
        if written:
            yield f"# {name}: {written[0]}"
        yield from (f"#   {line}" for line in written[1:])


def _printable(line: str) -> str:
    """A line without what YAML allows not even in a comment."""
    return "".join(character for character in one_line(line) if character.isprintable()).strip()


def _left(value: Any) -> bool:
    """Whether anything in a field is left to a person."""
    if isinstance(value, dict | list):
        return any(map(_left, value.values() if isinstance(value, dict) else value))
    return bool(value == TODO)


def _dumped(entries: Sequence[dict[str, Any]]) -> str:
    return yaml.safe_dump(list(entries), sort_keys=False, allow_unicode=True, width=WIDTH)
