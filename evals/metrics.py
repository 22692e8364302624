"""What one answer is worth against its gold question, and what many are worth together. No judge."""

import re
import statistics
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.comparison import NOTHING, Comparison
from assistant.nouns import MARKER, Document
from evals.gold import Question, Span
from evals.statistics import mean, percentile, wilson

HITS = 5


@dataclass(frozen=True, slots=True)
class Score:
    """One question's results. None stands where a quantity has no meaning (an unanswerable question has no facts)."""

    id: str
    kind: str
    split: str
    answerable: bool
    refused: bool
    hit: bool | None  # some evidence lies in the best five passages
    all_evidence: bool | None  # each piece of it does
    facts: float | None  # vital nuggets in the answer / vital nuggets; 0 when refused
    citation_precision: float | None  # citations that overlap evidence / citations; None when refused
    citation_recall: float | None  # evidence that some citation overlaps / evidence; 0 when refused
    passage_precision: float | None  # the same by passage: cited passages that overlap evidence / cited passages
    passage_recall: float | None  # evidence that some cited passage overlaps / evidence; 0 when refused
    citations_valid: bool  # every marker resolves, and every citation is used
    citations_verbatim: bool  # every quote is the document's own characters at its offsets
    supported: float | None  # sentences marked `supported` / sentences
    forbidden: bool  # a forbidden claim occurs
    choice: bool | None  # of a decision: the first sentence names the side the documents advise before the other
    words: int
    missed: tuple[str, ...]  # the first phrase of each vital nugget that is missing


def score(
    question: Question,
    spans: Sequence[Span],
    lost: int,
    answer: dict[str, Any],
    documents: dict[str, Document],
    comparison: Comparison = NOTHING,
) -> Score:
    """The results of one answer (as JSON); `lost` evidence counts as missed."""
    citations = answer["citations"]
    refused = bool(answer["refused"])
    markers = {int(number) for number in MARKER.findall(answer["text"])}
    numbers = {citation["number"] for citation in citations}
    text = normalized(answer["text"])
    vital = [nugget for nugget in question.nuggets if nugget.importance == "vital"]
    found = [any(holds(text, phrase) for phrase in nugget.any_of) for nugget in vital]
    total = len(spans) + lost
    covered = [
        any(span.overlaps(hit["document"], hit["start"], hit["end"]) for hit in answer["hits"][:HITS]) for span in spans
    ]
    cited = [any(span.overlaps(c["document"], c["start"], c["end"]) for c in citations) for span in spans]
    right = [any(span.overlaps(c["document"], c["start"], c["end"]) for span in spans) for c in citations]
    passages = cited_passages(answer)
    near = [any(span.overlaps(*passage) for span in spans) for passage in passages]
    reached = [any(span.overlaps(*passage) for passage in passages) for span in spans]
    asks = question.answerable
    return Score(
        id=question.id,
        kind=question.kind,
        split=question.split,
        answerable=asks,
        refused=refused,
        hit=any(covered) if asks and total else None,
        all_evidence=sum(covered) == total if asks and total else None,
        facts=(0.0 if refused else sum(found) / len(vital)) if asks and vital else None,
        citation_precision=sum(right) / len(right) if asks and total and right else None,
        citation_recall=(0.0 if refused else sum(cited) / total) if asks and total else None,
        passage_precision=sum(near) / len(near) if asks and total and near else None,
        passage_recall=(0.0 if refused else sum(reached) / total) if asks and total else None,
        citations_valid=markers == numbers and (refused or bool(citations)),
        citations_verbatim=all(is_verbatim(citation, documents) for citation in citations),
        supported=mean([float(sentence["support"] == "supported") for sentence in answer["sentences"]]),
        forbidden=not refused and any(holds(text, phrase) for phrase in question.forbidden),
        choice=chosen(answer, comparison) == question.choice if question.choice else None,
        words=len(text.split()),
        missed=tuple(nugget.any_of[0] for nugget, there in zip(vital, found, strict=True) if not there or refused),
    )


def cited_passages(answer: dict[str, Any]) -> set[tuple[str, int, int]]:
    """Document and offsets of the passages (hits) that an answer's citations lie in."""
    return {
        (hit["document"], hit["start"], hit["end"])
        for hit in answer["hits"]
        for cited in answer["citations"]
        if hit["document"] == cited["document"] and hit["start"] <= cited["start"] and cited["end"] <= hit["end"]
    }


def chosen(answer: dict[str, Any], comparison: Comparison) -> str:
    """The side that an answer's first sentence names first; nothing for a refusal."""
    text = answer["sentences"][0]["text"] if answer["sentences"] else answer["text"]
    side = None if answer["refused"] else comparison.first(text)
    return "" if side is None else comparison.sides[side].name


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


def summarize(scores: Sequence[Score]) -> dict[str, Any]:
    """The metrics of some questions; rates come with their counts and 95 % Wilson intervals."""

    def average(pick: Callable[[Score], float | bool | None]) -> float | None:
        value = mean([float(one) for item in scores if (one := pick(item)) is not None])
        return None if value is None else round(value, 4)

    answerable = [item for item in scores if item.answerable]
    unanswerable = [item for item in scores if not item.answerable]
    words = [item.words for item in answerable if not item.refused]
    return {
        "questions": len(scores),
        "hit@5": average(lambda item: item.hit),
        "all_evidence@5": average(lambda item: item.all_evidence),
        "facts": average(lambda item: item.facts),
        "citation_precision": average(lambda item: item.citation_precision),
        "citation_recall": average(lambda item: item.citation_recall),
        "passage_precision": average(lambda item: item.passage_precision),
        "passage_recall": average(lambda item: item.passage_recall),
        "citations_valid": average(lambda item: item.citations_valid),
        "citations_verbatim": average(lambda item: item.citations_verbatim),
        "supported": average(lambda item: item.supported),
        "choice_first": rate([item.choice for item in scores if item.choice is not None]),
        "forbidden": rate([item.forbidden for item in scores]),
        "refused_answerable": rate([item.refused for item in answerable]),
        "answered_unanswerable": rate([not item.refused for item in unanswerable]),
        "words_median": statistics.median(words) if words else None,
        "words_most": max(words, default=None),
    }


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
