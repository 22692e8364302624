"""A run's result: canonical JSON, and the same for people (terminal, Markdown, JUnit)."""

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from assistant.corpus import Corpus, corpus_digest
from assistant.gate import WEIGHTS
from assistant.settings import CHECKOUT
from evals import drafts
from evals.asking import Answers
from evals.comparing import Change, most_changed
from evals.gold import Question, gold_digest, locate
from evals.metrics import BY_NAME, METRICS, Score, latencies, score
from evals.statistics import mean
from evals.summary import COMPOSITES, summarize

SCHEMA = 2
PACKAGES = ("chromadb", "sentence-transformers", "onnxruntime", "bm25s", "numpy")


def provenance(questions: Sequence[Question], corpus: Corpus, index: str, model: str, weights: str) -> dict[str, Any]:
    """What a result depends on, as digests, names and versions."""
    prompts = sorted((CHECKOUT / "prompts").glob("*.md"))
    return {
        "gold": gold_digest(list(questions)),
        "corpus": corpus_digest(corpus.documents),
        "index": index,
        "weights": weights,
        "gate": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest(),
        "prompts": hashlib.sha256(b"".join(path.read_bytes() for path in prompts)).hexdigest(),
        "model": model,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "packages": {name: version(name) for name in PACKAGES},
    }


def report(
    questions: Sequence[Question], answers: Answers, corpus: Corpus, origin: dict[str, Any], repeats: int = 1
) -> dict[str, Any]:
    """The whole result: canonical, without clocks or paths; equal runs give equal bytes.

    Of repeated questions each value is the mean; those that pass once and fail once are `flaky`.
    """
    documents = {document.id: document for document in corpus.documents}
    scores: list[Score] = []
    lost: list[str] = []
    errors: dict[str, Any] = {}
    flaky: list[str] = []
    for question in questions:
        needed, gone = locate(question, documents)
        lost += gone
        given = [answers.get((question.id, repeat), _missing()) for repeat in range(repeats)]
        if failed := [answer["error"] for answer in given if "error" in answer]:
            errors[question.id] = failed[0]
            continue
        each = [score(question, needed, answer, documents, corpus.comparison) for answer in given]
        if len({one.values["passed"] for one in each}) > 1:
            flaky.append(question.id)
        scores.append(_merged(each))
    drafted = [answer for answer in answers.values() if answer.get("draft")]
    return {
        **({"drafts": drafts.summary(drafted)} if drafted else {}),
        "schema": SCHEMA,
        "provenance": origin,
        "repeats": repeats,
        "splits": {
            split: summarize([one for one in scores if one.split == split])
            for split in sorted({one.split for one in scores})
        },
        "kinds": {
            f"{split}: {kind}": summarize([one for one in scores if (one.split, one.kind) == (split, kind)])
            for split, kind in sorted({(one.split, one.kind) for one in scores})
        },
        "errors": errors,
        "flaky": flaky,
        "lost_evidence": lost,
        "questions": [_row(one) for one in scores],
    }


def _missing() -> dict[str, Any]:
    return {"error": {"type": "Missing", "message": "not asked"}}


def _merged(each: Sequence[Score]) -> Score:
    first = each[0]
    if len(each) == 1:
        return first
    values = {
        metric.name: mean([value for one in each if (value := one.values[metric.name]) is not None])
        for metric in METRICS
    }
    return replace(first, values=values, refused=2 * sum(one.refused for one in each) > len(each))


def _row(one: Score) -> dict[str, Any]:
    values = {name: round(value, 4) for name, value in one.values.items() if value is not None}
    return {
        "id": one.id,
        "kind": one.kind,
        "split": one.split,
        "answerable": one.answerable,
        "refused": one.refused,
        "values": values,
        "missed": list(one.missed),
        "faults": list(one.faults),
    }


def timings(answers: Answers) -> dict[str, Any]:
    """Latencies in milliseconds, stage by stage; kept apart, as no two runs agree."""
    taken = [answer["timings_ms"] for answer in answers.values() if answer.get("timings_ms")]
    return {stage: latencies([times[stage] for times in taken]) for stage in (taken[0] if taken else {})}


def canonical(data: Any) -> str:
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def baseline_of(result: dict[str, Any]) -> str:
    """What later runs are compared with: each question's gated values, one question a line."""
    gated = {metric.name for metric in METRICS if metric.budget is not None}
    rows = [
        {
            **{key: row[key] for key in ("id", "kind", "split", "answerable", "refused")},
            "values": {name: value for name, value in row["values"].items() if name in gated},
        }
        for row in result["questions"]
    ]
    lines = ",\n".join(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)
    head = json.dumps({"schema": result["schema"], "provenance": result["provenance"]}, sort_keys=True)
    return f'{head[:-1]}, "questions": [\n{lines}\n]}}\n'


def table(result: dict[str, Any], times: dict[str, Any], changes: Sequence[Change] = ()) -> str:
    """The report for a person: for each split a row a metric; beside it what it was in the run compared with."""
    blocks = []
    for split, summary in result["splits"].items():
        compared = {change.metric: change for change in changes if change.split == split}
        rows = [[f"{split}: {summary['questions']} questions", "value", "95 % interval", "n"]]
        if compared:
            rows[0] += ["before", "change", "p", "gate"]
        for name in (*(metric.name for metric in METRICS), *COMPOSITES):
            rows.append([name, *_cells(summary[name]), *(_compared(compared.get(name)) if compared else ())])
        rows.append(["words, median / most", f"{_number(summary['words_median'])} / {_number(summary['words_most'])}"])
        blocks.append(_aligned(rows))
    for split, systems in result.get("references", {}).items():
        rows = [[f"{split}, beside", *systems]]
        rows += [
            [name, *(_cells(summary[name])[0] for summary in systems.values())]
            for name in (*(metric.name for metric in METRICS), *COMPOSITES)
        ]
        blocks.append(_aligned(rows))
    if "drafts" in result:
        blocks.append(drafts.line(result["drafts"]))
    if times:
        blocks.append(f"latency, ms: p50 {times['total']['p50']:.1f}, p95 {times['total']['p95']:.1f}")
    if result["flaky"]:
        blocks.append(f"flaky ({len(result['flaky'])}): {', '.join(result['flaky'])}")
    return "\n\n".join(blocks)


def comparison_table(
    before: dict[str, Any],
    after: dict[str, Any],
    changes: Sequence[Change],
    differences: Sequence[str],
    texts: tuple[dict[str, str], dict[str, str]],
) -> str:
    """Two runs for a person: what else differs, each metric, and the questions that lost and gained most, side by side."""
    blocks = ["\n".join(["other than before:", *(f"  {line}" for line in differences)])] if differences else []
    for split in sorted({change.split for change in changes}):
        rows = [[split, "before", "after", "change", "p", "gate", "worse", "better"]]
        rows += [
            [
                change.metric,
                f"{change.before:.3f}",
                f"{change.after:.3f}",
                f"{change.after - change.before:+.3f}",
                f"{change.p:.3f}",
                change.gate,
                str(len(change.worse)),
                str(len(change.better)),
            ]
            for change in changes
            if change.split == split
        ]
        blocks.append(_aligned(rows))
    for title, names in zip(("worse", "better"), most_changed(changes), strict=True):
        for name in names:
            parts = [f"{title}: {name}"]
            for label, result, said in zip(("before", "after"), (before, after), texts, strict=True):
                row = next(row for row in result["questions"] if row["id"] == name)
                values = ", ".join(
                    f"{key} {value:g}" for key, value in row["values"].items() if BY_NAME[key].budget is not None
                )
                parts.append(f"  {label}: {values}")
                parts += [f"    {line}" for line in said.get(name, "").splitlines()]
            blocks.append("\n".join(parts))
    return "\n\n".join(blocks)


def markdown(result: dict[str, Any], changes: Sequence[Change], worse: Sequence[str]) -> str:
    """The report for a pull request."""
    origin = result["provenance"]
    lines = [
        f"### Answers by `{origin['model']}`: {'worse' if worse else 'no worse'} than the baseline"
        if changes
        else f"### Answers by `{origin['model']}`",
        "",
    ]
    for split, summary in result["splits"].items():
        compared = {change.metric: change for change in changes if change.split == split}
        lines += [f"**{split}**, {summary['questions']} questions", ""]
        head = ["metric", "value", "95 % interval", "n", *(["before", "change", "p", "gate"] if compared else [])]
        lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        for metric in METRICS:
            cells = [metric.name, *_cells(summary[metric.name])]
            cells += _compared(compared.get(metric.name)) if compared else []
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    lines += [f"- {line}" for line in worse]
    return "\n".join(lines).rstrip() + "\n"


def junit(result: dict[str, Any]) -> str:
    """One test case a question, its kind as the class; a question that did not pass is a failure, an error an error."""
    rows, errors = result["questions"], result["errors"]
    failed = [row for row in rows if row["values"]["passed"] < 1]
    suite = ElementTree.Element(
        "testsuite",
        name="evals",
        tests=str(len(rows) + len(errors)),
        failures=str(len(failed)),
        errors=str(len(errors)),
    )
    for row in rows:
        case = ElementTree.SubElement(suite, "testcase", classname=row["kind"], name=row["id"])
        if row["values"]["passed"] < 1:
            ElementTree.SubElement(case, "failure", message=why_failed(row))
    for name, error in errors.items():
        case = ElementTree.SubElement(suite, "testcase", classname="error", name=name)
        ElementTree.SubElement(case, "error", message=f"{error['type']}: {error['message']}")
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def why_failed(row: dict[str, Any]) -> str:
    """In a few words what is wrong with an answer."""
    values = row["values"]
    if row["answerable"] and row["refused"]:
        return "refused, though the documents answer"
    if not row["answerable"]:
        return "answered, though the documents do not"
    parts = [f"misses {', '.join(row['missed'])}"] if row["missed"] else []
    parts += [f"says {', '.join(row['faults'])}"] if row["faults"] else []
    parts += ["a citation leads nowhere or is missing"] if values["citations_valid"] < 1 else []
    parts += ["a quote is not the document's"] if values["citations_verbatim"] < 1 else []
    return "; ".join(parts) or "failed"


def _cells(entry: Any) -> list[str]:
    if not isinstance(entry, dict) or entry["value"] is None:
        return ["n/a", "", "0"]
    low, high = entry["interval"]
    count = f"{entry['count']} of {entry['n']}" if "count" in entry else str(entry["n"])
    return [f"{entry['value']:.3f}", f"{low:.3f} to {high:.3f}", count]


def _compared(change: Change | None) -> list[str]:
    if change is None:
        return ["", "", "", ""]
    return [f"{change.before:.3f}", f"{change.after - change.before:+.3f}", f"{change.p:.3f}", change.gate]


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:g}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[at]) for row in rows if at < len(row)) for at in range(max(map(len, rows)))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows
    )


def read_result(path: Path) -> dict[str, Any]:
    """A report or a baseline, from its file or a run's folder. Raises OSError or ValueError."""
    loaded: dict[str, Any] = json.loads((path / "report.json" if path.is_dir() else path).read_text("utf-8"))
    if loaded.get("schema") != SCHEMA:
        raise ValueError(f"it has schema {loaded.get('schema')}, this command reads {SCHEMA}")
    return loaded
