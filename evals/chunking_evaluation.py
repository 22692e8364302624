"""Chroma's "Evaluating Chunking" (2024) on this assistant's own index: its five corpora, questions and protocol.

One index over all corpora, the best five passages over everything. In characters: recall is what the
passages of the question's own corpus cover of its references; precision and IoU divide by the plain sum of
the lengths of all five passages, whatever corpus they come from.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.answering import Assistant
from assistant.errors import UsageError
from assistant.nouns import Hit
from evals.statistics import mean

# Choices were made on these three; all five are reported.
DEVELOPMENT = ("chatlogs", "finance", "state_of_the_union")
TOP = 5


@dataclass(frozen=True, slots=True)
class Item:
    """A question, its corpus, and the character spans that answer it."""

    question: str
    corpus: str
    spans: tuple[tuple[int, int], ...]


def load(folder: Path) -> list[Item]:
    """The questions of the set. Raises UsageError where the folder holds none."""
    path = folder / "questions_df.csv"
    if not path.is_file():
        raise UsageError(
            f"There is no {path.name} in {str(folder)!r}. Name the folder of chunking_evaluation with --data."
        )
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Item(
                row["question"],
                row["corpus_id"],
                tuple((span["start_index"], span["end_index"]) for span in json.loads(row["references"])),
            )
            for row in csv.DictReader(file)
        ]


def measure(item: Item, hits: Sequence[Hit]) -> dict[str, float]:
    """Recall, precision and IoU of the hits of one question, and their length in characters."""
    gold = {at for start, end in item.spans for at in range(start, end)}
    wanted = sum(end - start for start, end in item.spans)
    own = {
        at
        for hit in hits
        if hit.passage.document_id == f"{item.corpus}.md"
        for at in range(hit.passage.start, hit.passage.end)
    }
    covered = len(own & gold)
    returned = sum(hit.passage.end - hit.passage.start for hit in hits)
    return {
        "recall": covered / wanted,
        "precision": covered / returned if returned else 0.0,
        "iou": covered / (returned + wanted - covered),
        "characters": float(returned),
    }


def evaluate(assistant: Assistant, items: Sequence[Item]) -> dict[str, Any]:
    """Means by corpus, over the development corpora and over all, in per cent (characters as they are)."""
    results = [(item.corpus, measure(item, assistant.search(item.question, TOP))) for item in items]
    groups = {
        **{name: (name,) for name in sorted({corpus for corpus, _ in results})},
        "development": DEVELOPMENT,
        "all": tuple({corpus for corpus, _ in results}),
    }
    return {
        group: {
            metric: _mean([values[metric] for corpus, values in results if corpus in names], metric)
            for metric in ("recall", "precision", "iou", "characters")
        }
        for group, names in groups.items()
    }


def _mean(values: Sequence[float], metric: str) -> float:
    average = mean(values) or 0.0
    return round(average if metric == "characters" else 100 * average, 2)
