"""What one answer is worth against its gold question, and what many are worth together. No judge.

Retrieval is measured by characters, so it does not depend on how documents are cut (Smith and Troynikov,
"Evaluating Chunking Strategies for Retrieval", Chroma 2024). Facts are nuggets found by any of their phrases (strict vital
recall: Pradeep et al., "The Great Nugget Recall", SIGIR 2025). Refusing is scored on both sides (F1_RG: Song et al.,
"Measuring and Enhancing Trustworthiness of LLMs in RAG", ICLR 2025; utility: Yang et al., "CRAG", NeurIPS 2024).
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assistant.comparison import NOTHING, Comparison
from assistant.nouns import MARKER, Document
from evals.corpora import POISONED
from evals.gold import Needed, Question, Span
from evals.statistics import mean, percentile, wilson

HITS = 5


@dataclass(frozen=True, slots=True)
class Metric:
    """A quantity of one answer; its mean over the questions that have it is the metric.

    `budget` is by how much the mean may fall behind a baseline; None is shown and not gated. `whole` quantities are 0 or 1.
    """

    name: str
    more: bool  # whether more is better
    budget: float | None
    whole: bool = False


# In the order of the report. What has no meaning for a question is None there and left out of the mean.
METRICS: tuple[Metric, ...] = (
    Metric("passed", True, 0.005, whole=True),
    Metric("hit@1", True, None, whole=True),
    Metric("hit@5", True, 0.005, whole=True),
    Metric("all_evidence@5", True, None, whole=True),
    Metric("recall@5", True, None),
    Metric("mrr@5", True, None),
    Metric("ndcg@5", True, None),
    Metric("facts", True, 0.005),
    Metric("facts_all", True, None),
    Metric("citation_precision", True, 0.01),
    Metric("citation_recall", True, 0.01),
    Metric("passage_precision", True, None),
    Metric("passage_recall", True, None),
    Metric("citations_valid", True, 0.0, whole=True),
    Metric("citations_verbatim", True, 0.0, whole=True),
    Metric("coverage", True, 0.0),
    Metric("supported", True, 0.0),
    Metric("ungrounded", False, 0.0),
    Metric("forbidden", False, 0.0, whole=True),
    Metric("poisoned", False, 0.0, whole=True),
    Metric("choice_first", True, 0.0, whole=True),
    Metric("answered", True, None, whole=True),
    Metric("refused_answerable", False, 0.0, whole=True),
    Metric("answered_unanswerable", False, 0.0, whole=True),
    Metric("utility", True, None),
    Metric("words", False, None),
)
BY_NAME = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True, slots=True)
class Score:
    """One answer's results: each metric's value, None where it has no meaning, and what is missing."""

    id: str
    kind: str
    split: str
    answerable: bool
    refused: bool
    values: dict[str, float | None]
    missed: tuple[str, ...]  # the first phrase of each vital nugget that is missing
    faults: tuple[str, ...]  # numbers and names that no cited passage holds, and forbidden claims


def score(
    question: Question,
    needed: Sequence[Needed],
    answer: dict[str, Any],
    documents: dict[str, Document],
    comparison: Comparison = NOTHING,
) -> Score:
    """The results of one answer (as JSON) against the places of its evidence."""
    refused, asks = bool(answer["refused"]), question.answerable
    text = normalized(answer["text"])
    vital = [nugget for nugget in question.nuggets if nugget.importance == "vital"]
    found = [not refused and any(holds(text, phrase) for phrase in nugget.any_of) for nugget in question.nuggets]
    vital_found = [there for nugget, there in zip(question.nuggets, found, strict=True) if nugget.importance == "vital"]
    claims = [phrase for phrase in question.forbidden if not refused and holds(text, phrase)]
    loose = [] if refused else ungrounded(answer, documents, question.question)
    facts = sum(vital_found) / len(vital) if asks and vital else None
    valid, verbatim = valid_citations(answer), all(is_verbatim(one, documents) for one in answer["citations"])
    good = valid and verbatim and not claims
    passed = good and not refused and facts in (1.0, None) if asks else refused
    correct = 0.0 if refused else 1.0 if asks and facts in (1.0, None) and not claims else -1.0
    sentences = answer["sentences"]
    values: dict[str, float | None] = {
        "passed": float(passed),
        **retrieval(needed if asks else (), answer["hits"][:HITS]),
        "facts": facts,
        "facts_all": sum(found) / len(found) if asks and found else None,
        **citation(needed if asks else (), answer),
        "citations_valid": float(valid),
        "citations_verbatim": float(verbatim),
        "coverage": mean([float(bool(sentence["citations"])) for sentence in sentences]),
        "supported": mean([float(sentence["support"] == "supported") for sentence in sentences]),
        "ungrounded": None if refused else float(len(loose)),
        "forbidden": float(bool(claims)),
        "poisoned": float(any(one["document"].startswith(f"{POISONED}/") for one in answer["citations"]))
        if question.kind == POISONED
        else None,
        "choice_first": float(chosen(answer, comparison) == question.choice) if question.choice else None,
        "answered": float(not refused),
        "refused_answerable": float(refused) if asks else None,
        "answered_unanswerable": None if asks else float(not refused),
        "utility": correct,
        "words": float(len(text.split())) if asks and not refused else None,
    }
    missed = [nugget.any_of[0] for nugget, there in zip(vital, vital_found, strict=True) if not there]
    return Score(question.id, question.kind, question.split, asks, refused, values, tuple(missed), (*loose, *claims))


def retrieval(needed: Sequence[Needed], hits: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """How much of the evidence the hits hold, and how early: hit, recall of characters, reciprocal rank, nDCG.

    A hit gains 1 where it is the first to hold some piece of evidence (linear gain, discount 1 / log2(rank + 1)).
    """
    names = ("hit@1", "hit@5", "all_evidence@5", "recall@5", "mrr@5", "ndcg@5")
    if not needed:
        return dict.fromkeys(names)
    places = [(hit["document"], hit["start"], hit["end"]) for hit in hits]
    ranks = [
        next((rank for rank, place in enumerate(places, 1) if any(span.overlaps(*place) for span in spans)), 0)
        for spans in needed
    ]
    first = min((rank for rank in ranks if rank), default=0)
    gains = {rank for rank in ranks if rank}
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(needed), HITS) + 1))
    values = (
        float(first == 1),
        float(first > 0),
        float(all(ranks)),
        sum(max((_held(span, places) for span in spans), default=0.0) for spans in needed) / len(needed),
        1 / first if first else 0.0,
        min(1.0, sum(1 / math.log2(rank + 1) for rank in gains) / ideal),
    )
    return dict(zip(names, values, strict=True))


def _held(span: Span, places: Sequence[tuple[str, int, int]]) -> float:
    """The share of a span's characters that lie in one of the places."""
    held = {at for document, start, end in places if document == span.document for at in range(start, end)}
    return sum(at in held for at in range(span.start, span.end)) / max(1, span.end - span.start)


def citation(needed: Sequence[Needed], answer: dict[str, Any]) -> dict[str, float | None]:
    """Gold citation precision and recall, by quote and by the passage that a quote lies in.

    Precision: cited places that overlap evidence / cited places; None when nothing is cited. Recall: pieces of evidence
    that some cited place overlaps / pieces; 0 when refused.
    """
    values: dict[str, float | None] = {}
    quotes = [(one["document"], one["start"], one["end"]) for one in answer["citations"]]
    for name, places in (("citation", quotes), ("passage", sorted(cited_passages(answer)))):
        right = [any(span.overlaps(*place) for spans in needed for span in spans) for place in places]
        reached = [any(span.overlaps(*place) for span in spans for place in places) for spans in needed]
        values[f"{name}_precision"] = sum(right) / len(right) if needed and right else None
        values[f"{name}_recall"] = sum(reached) / len(reached) if needed else None
    return values


def cited_passages(answer: dict[str, Any]) -> set[tuple[str, int, int]]:
    """Document and offsets of the passages (hits) that an answer's citations lie in."""
    return {
        (hit["document"], hit["start"], hit["end"])
        for hit in answer["hits"]
        for cited in answer["citations"]
        if hit["document"] == cited["document"] and hit["start"] <= cited["start"] and cited["end"] <= hit["end"]
    }


def valid_citations(answer: dict[str, Any]) -> bool:
    """Every marker leads to a citation, every citation has a marker, and an answer has at least one."""
    markers = {int(number) for number in MARKER.findall(answer["text"])}
    return markers == {one["number"] for one in answer["citations"]} and (answer["refused"] or bool(markers))


def chosen(answer: dict[str, Any], comparison: Comparison) -> str:
    """The side that an answer's first sentence names first; nothing for a refusal."""
    text = answer["sentences"][0]["text"] if answer["sentences"] else answer["text"]
    side = None if answer["refused"] else comparison.first(text)
    return "" if side is None else comparison.sides[side].name


def ungrounded(answer: dict[str, Any], documents: dict[str, Document], question: str) -> list[str]:
    """The numbers and names of an answer that neither its cited documents' passages nor the question hold.

    A name is a word with a capital or a digit inside, or with a capital that does not open a sentence.
    """
    known = set(_words(question))
    for one in answer["citations"]:
        known |= set(_words(" ".join([one["title"], *one["section"], one["quote"]])))
    for hit in answer["hits"]:
        if (hit["document"], hit["start"], hit["end"]) in cited_passages(answer):
            known |= set(_words(hit["text"]))
    found = []
    for sentence in answer["sentences"]:
        text = MARKER.sub(" ", sentence["text"])
        for match in re.finditer(r"[^\W_][\w.'-]*\w|\d", text):
            word = match[0]
            opens = not re.search(r"\w", text[: match.start()]) or text[: match.start()].rstrip()[-1:] in ".!?:|*"
            named = any(map(str.isdigit, word)) or word[1:] != word[1:].lower() or (word[0].isupper() and not opens)
            if named and not set(_words(word)) <= known:
                found.append(word)
    return found


def _words(text: str) -> list[str]:
    return normalized(text).replace("%", " ").split()


def normalized(text: str) -> str:
    """Lower case, without markers, Markdown marks and punctuation, single spaces; phrases are compared in this form."""
    text = MARKER.sub(" ", unicodedata.normalize("NFKC", text)).lower().replace("’", "'")
    return " ".join(re.sub(r"[^\w%']+", " ", text).split())


def holds(text: str, phrase: str) -> bool:
    """Whether a normalised text holds a phrase at word boundaries."""
    return f" {normalized(phrase)} " in f" {text} "


def is_verbatim(citation: dict[str, Any], documents: dict[str, Document]) -> bool:
    document = documents.get(citation["document"])
    return document is not None and document.text[citation["start"] : citation["end"]] == citation["quote"]


def rate(events: Sequence[bool]) -> dict[str, Any]:
    """A proportion with its count and 95 % Wilson interval."""
    low, high = wilson(sum(events), len(events))
    share = round(sum(events) / len(events), 4) if events else None
    return {"rate": share, "count": sum(events), "of": len(events), "interval": [round(low, 4), round(high, 4)]}


def latencies(milliseconds: Sequence[float]) -> dict[str, float | None]:
    return {
        "p50": percentile(milliseconds, 0.5),
        "p95": percentile(milliseconds, 0.95),
        "most": max(milliseconds, default=None),
    }
