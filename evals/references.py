"""What simpler systems would answer to the same questions: each lands where theory puts it, beside the assistant."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from assistant.answering import Assistant
from assistant.chain import Models
from assistant.citations import displayed, quote_citation
from assistant.corpus import Corpus
from assistant.drafting import drafted
from assistant.index import Index
from assistant.nouns import Hit, Passage
from assistant.rendering import answer_json, citation_json, hit_json
from assistant.writing import Quote
from evals.asking import Answers
from evals.gold import Question, locate
from evals.reports import report

PASTED = 3

Ask = Callable[[Question], dict[str, Any]]


def reports(
    assistant: Assistant,
    questions: Sequence[Question],
    corpus: Corpus,
    origin: dict[str, Any],
    asked: Answers | None = None,
) -> dict[str, dict[str, Any]]:
    """The summary of each system by split and name; beside a model, the quotes and its own words unchecked."""
    told: dict[str, dict[str, Any]] = {}
    asks = systems(replace(assistant, models=Models()), corpus)
    if assistant.models.models and asked is not None:
        quotes = replace(assistant, models=Models())
        asks = {
            "quotes": lambda question: answer_json(quotes.ask(question.question, question.turns)),
            "unchecked": lambda question: unchecked(asked[question.id, 0]),
        }
    for name, ask in asks.items():
        answers: Answers = {(question.id, 0): ask(question) for question in questions}
        for split, summary in report(questions, answers, corpus, origin)["splits"].items():
            told.setdefault(split, {})[name] = summary
    return told


def systems(assistant: Assistant, corpus: Corpus) -> dict[str, Ask]:
    """By name, from the assistant without its gate down to a random passage; `oracle` pastes the gold evidence."""
    documents = {document.id: document for document in corpus.documents}
    open_gate = replace(assistant, refuses=False)

    def found(question: Question, count: int) -> dict[str, Any]:
        with assistant.live.borrow() as index:
            hits = assistant.search(assistant.standalone(index, question.question, question.turns), count)
        return pasted(hits)

    def anything(question: Question) -> dict[str, Any]:
        with assistant.live.borrow() as index:
            return pasted([Hit(random.Random(question.id).choice(index.passages), 0.0)])

    def oracle(question: Question) -> dict[str, Any]:
        spans = [places[0] for places in locate(question, documents)[0] if places]
        passages = [
            Passage(
                span.document,
                documents[span.document].title,
                (),
                documents[span.document].text[span.start : span.end],
                span.start,
                span.end,
                1,
                1,
            )
            for span in dict.fromkeys(spans)
        ]
        return pasted([Hit(passage, 1.0) for passage in passages]) if question.answerable else refused()

    return {
        "gate off": lambda question: answer_json(open_gate.ask(question.question, question.turns)),
        "always refuse": lambda question: refused(),
        "top passage": lambda question: found(question, 1),
        "all passages": lambda question: found(question, assistant.settings.passages),
        "dense top 3": lambda question: dense(assistant, question),
        "random": anything,
        "oracle": oracle,
    }


def dense(assistant: Assistant, question: Question) -> dict[str, Any]:
    """The whole text of the three passages nearest to the question by cosine, as the tutorials do it."""
    with assistant.live.borrow() as index:
        return pasted(_nearest(assistant, index, question.question))


def _nearest(assistant: Assistant, index: Index, question: str) -> list[Hit]:
    vector = assistant.encoder.encode_query(question)
    rows = index.dense(vector, PASTED)
    return [Hit(index.passages[row], float(index.cosines(vector, [row])[0])) for row in rows]


def unchecked(answer: dict[str, Any]) -> dict[str, Any]:
    """What a model wrote, as it wrote it: its markers are believed, each stands for the whole passage of that number.

    The answer itself where the model was not asked, or gave nothing.
    """
    draft = answer.get("draft", "")
    if answer.get("refused", True) or not draft:
        return answer
    hits, said = answer["hits"], drafted(draft, True)
    named = sorted({number for one in said for number in one.numbers if 0 < number <= len(hits)})
    keys = ("document", "title", "section", "start", "end", "line_start", "line_end", "url")
    return answer | {
        "text": draft,
        "sentences": [
            {"text": one.text, "citations": [n for n in one.numbers if n in named], "support": "unsupported"}
            for one in said
        ],
        "citations": [
            {"number": number, "quote": hits[number - 1]["text"], **{key: hits[number - 1][key] for key in keys}}
            for number in named
        ],
    }


def pasted(hits: Sequence[Hit]) -> dict[str, Any]:
    """Whole passages as an answer, never refused, one citation each."""
    quotes = [Quote(hit.passage, hit.passage.text, hit.passage.start, hit.passage.end) for hit in hits]
    texts = [displayed(quote.text) for quote in quotes]
    return {
        "text": "\n\n".join(f"{text} [{number}]" for number, text in enumerate(texts, 1)),
        "refused": False,
        "sentences": [
            {"text": text, "citations": [number], "support": "supported"} for number, text in enumerate(texts, 1)
        ],
        "citations": [citation_json(quote_citation(number, quote)) for number, quote in enumerate(quotes, 1)],
        "hits": [hit_json(hit) for hit in hits],
    }


def refused() -> dict[str, Any]:
    return {"text": "The documents do not answer.", "refused": True, "sentences": [], "citations": [], "hits": []}
