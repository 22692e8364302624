"""Asks every gold question and writes report.json, timings.json and answers.jsonl."""

import json
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from assistant.answering import Assistant
from assistant.corpus import Corpus, corpus_digest
from assistant.errors import AssistantError
from assistant.rendering import answer_json
from evals.gold import Question, gold_digest, locate
from evals.metrics import Score, latencies, score, summarize

SCHEMA = 1
PACKAGES = ("chromadb", "sentence-transformers", "onnxruntime", "bm25s", "numpy")

# Metric, whether more is better, and by how much it may fall behind the baseline.
CHECKED: tuple[tuple[str, bool, float], ...] = (
    ("hit@5", True, 0.005),
    ("facts", True, 0.005),
    ("citation_precision", True, 0.01),
    ("citation_recall", True, 0.01),
    ("citations_valid", True, 0.0),
    ("citations_verbatim", True, 0.0),
    ("supported", True, 0.0),
    ("choice_first", True, 0.0),
    ("forbidden", False, 0.0),
    ("refused_answerable", False, 0.0),
    ("answered_unanswerable", False, 0.0),
)


def ask_all(
    assistant: Assistant, questions: list[Question], out: Path, resume: bool, asked: Callable[[], None]
) -> dict[str, dict[str, Any]]:
    """Answers by id, each written and synced to `answers.jsonl` before the next is asked.

    With `resume`, questions answered before are not asked again. An error is recorded as an error: neither
    pass nor fail, and asked again on resume.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / "answers.jsonl"
    done = read_answers(path) if resume else {}
    done = {
        question.id: done[question.id] for question in questions if "error" not in done.get(question.id, {"error": 1})
    }
    scratch = path.with_suffix(".tmp")
    scratch.write_text("".join(_line(name, answer) for name, answer in done.items()), "utf-8")
    scratch.replace(path)
    with path.open("a", encoding="utf-8") as file:
        for question in questions:
            if question.id in done:
                asked()
                continue
            try:
                answer = answer_json(assistant.ask(question.question, question.turns))
            except AssistantError as error:
                answer = {"error": {"type": type(error).__name__, "message": str(error)}}
            file.write(_line(question.id, answer))
            file.flush()
            os.fsync(file.fileno())
            done[question.id] = answer
            asked()
    return done


def read_answers(path: Path) -> dict[str, dict[str, Any]]:
    """The answers of a run that may have been killed: a torn last line is dropped."""
    answers: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return answers
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and "id" in entry:
            answers[str(entry["id"])] = entry.get("answer") or {"error": entry.get("error")}
    return answers


def report(
    questions: list[Question], answers: dict[str, dict[str, Any]], corpus: Corpus, index: str, model: str
) -> dict[str, Any]:
    """The whole result: canonical, without clocks or paths; equal runs give equal bytes."""
    documents = {document.id: document for document in corpus.documents}
    scores: list[Score] = []
    lost: list[str] = []
    errors: dict[str, Any] = {}
    for question in questions:
        spans, gone = locate(question, documents)
        lost += gone
        answer = answers.get(question.id, {"error": {"type": "Missing", "message": "not asked"}})
        if "error" in answer:
            errors[question.id] = answer["error"]
        else:
            scores.append(score(question, spans, len(gone), answer, documents, corpus.comparison))
    return {
        "schema": SCHEMA,
        "gold": gold_digest(questions),
        "corpus": corpus_digest(corpus.documents),
        "index": index,
        "model": model,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "packages": {name: version(name) for name in PACKAGES},
        "splits": {
            split: summarize([one for one in scores if one.split == split])
            for split in sorted({one.split for one in scores})
        },
        "kinds": {
            kind: summarize([one for one in scores if one.kind == kind])
            for kind in sorted({one.kind for one in scores})
        },
        "errors": errors,
        "lost_evidence": lost,
        "questions": [asdict(one) for one in scores],
    }


def timings(answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Latencies in milliseconds, stage by stage; kept apart, as no two runs agree."""
    taken = [answer["timings_ms"] for answer in answers.values() if "error" not in answer]
    return {stage: latencies([times[stage] for times in taken]) for stage in (taken[0] if taken else {})}


def regressions(now: dict[str, Any], baseline: dict[str, Any]) -> list[str]:
    """What got worse than the baseline, by split; a baseline of other questions cannot be compared with."""
    if baseline["gold"] != now["gold"]:
        return [
            "the baseline was made with other gold questions; make it again with --write-baseline and say why in evals/LOG.md"
        ]
    worse = []
    for split, before in baseline["splits"].items():
        after = now["splits"].get(split)
        if after is None:
            worse.append(f"{split}: not in this run")
            continue
        for metric, more_is_better, budget in CHECKED:
            old, new = _value(before.get(metric)), _value(after[metric])
            if old is None or new is None:
                continue
            if (old - new if more_is_better else new - old) > budget + 1e-9:
                worse.append(f"{split}: {metric} was {old:.4f}, is {new:.4f}")
    return worse


def baseline_of(result: dict[str, Any]) -> dict[str, Any]:
    return {"gold": result["gold"], "splits": result["splits"]}


def canonical(data: Any) -> str:
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def table(result: dict[str, Any], times: dict[str, Any]) -> str:
    """The report for a person: one row a metric, one column a split, and one for each reference system."""
    result = {**result, "splits": {**result["splits"], **result.get("references", {})}}
    splits = list(result["splits"])
    rows: list[Iterable[str]] = [["", *splits]]
    first = result["splits"][splits[0]] if splits else {}
    rows += [[metric, *(_cell(result["splits"][split][metric]) for split in splits)] for metric in first]
    if times:
        rows.append(["latency ms, p50 / p95", f"{times['total']['p50']:.1f} / {times['total']['p95']:.1f}"])
    widths = [
        max(len(cell) for cell in column)
        for column in zip(*(list(row) + [""] * (len(splits) + 1 - len(list(row))) for row in rows), strict=True)
    ]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        low, high = value["interval"]
        return (
            "n/a"
            if value["rate"] is None
            else f"{value['count']}/{value['of']} = {value['rate']:.3f} [{low:.3f}, {high:.3f}]"
        )
    if isinstance(value, float):
        return f"{value:.3f}"
    return "n/a" if value is None else str(value)


def _value(metric: Any) -> float | None:
    value = metric["rate"] if isinstance(metric, dict) else metric
    return None if value is None else float(value)


def _line(name: str, answer: dict[str, Any]) -> str:
    entry = {"id": name, "error": answer["error"]} if "error" in answer else {"id": name, "answer": answer}
    return json.dumps(entry, ensure_ascii=False) + "\n"
