"""What simpler systems would answer to the same questions, for the same table."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from assistant.answering import Assistant
from assistant.citations import displayed, quote_citation
from assistant.nouns import Hit
from assistant.rendering import answer_json, citation_json, hit_json
from assistant.writing import Quote
from evals.gold import Question

PASTED = 3

Ask = Callable[[Question], dict[str, Any]]


def systems(assistant: Assistant) -> dict[str, Ask]:
    """By name: the assistant with its gate switched off, and the passages nearest by cosine alone, pasted."""
    open_gate = replace(assistant, refuses=False)
    return {
        "gate off": lambda question: answer_json(open_gate.ask(question.question, question.turns)),
        "dense top 3 pasted": lambda question: pasted(assistant, question),
    }


def pasted(assistant: Assistant, question: Question) -> dict[str, Any]:
    """The whole text of the three passages nearest to the question, never refused, as the tutorials do it."""
    with assistant.live.borrow() as index:
        vector = assistant.encoder.encode_query(question.question)
        rows = index.dense(vector, PASTED)
        hits = [Hit(index.passages[row], float(index.cosines(vector, [row])[0])) for row in rows]
    quotes = [Quote(hit.passage, hit.passage.text, hit.passage.start, hit.passage.end) for hit in hits]
    return {
        "text": "\n\n".join(f"{displayed(quote.text)} [{number}]" for number, quote in enumerate(quotes, 1)),
        "refused": False,
        "sentences": [],
        "citations": [citation_json(quote_citation(number, quote)) for number, quote in enumerate(quotes, 1)],
        "hits": [hit_json(hit) for hit in hits],
    }


def answers(ask: Ask, questions: Sequence[Question]) -> dict[str, dict[str, Any]]:
    return {question.id: ask(question) for question in questions}
