"""MTRAG-UN (IBM): does the gate, as shipped, know what foreign documents do not answer, and are follow-ups found?

The contexts of all tasks are one corpus; each task's last question is asked with its conversation. ANSWERABLE
should be answered and UNANSWERABLE refused; PARTIAL and UNDERSPECIFIED have no right answer here and are only
counted. Nothing is fitted on this set, the reference systems neither.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from assistant.answering import Assistant, open_assistant, shared, surest
from assistant.build import Progress
from assistant.errors import UsageError
from assistant.gate import measure as gate_signals
from assistant.index import Index
from assistant.nouns import Hit, Turn
from assistant.query import check_question
from assistant.retrieval import Found, retrieve
from assistant.settings import Settings, load_settings
from evals.gold import GOLD, load_gold
from evals.metrics import rate
from evals.statistics import auroc, auroc_interval, risk_at_coverage

FILE = "reference.jsonl"
TOP = 5
FOLLOW_UP = "Follow-up"


@dataclass(frozen=True, slots=True)
class Task:
    """A conversation that ends with a question, what is said of it, and the texts that answer it."""

    id: str
    question: str
    turns: tuple[Turn, ...]
    answerability: str
    multi_turn: str
    collection: str
    contexts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the assistant makes of a question up to the gate; of two questions in one, the surer one's signals."""

    answered: bool
    confidence: float
    cosine: float  # of the best statement
    signals: Mapping[str, float]
    hits: tuple[Hit, ...]


def load(folder: Path) -> tuple[list[Task], dict[str, str]]:
    """The tasks of the set, and the name of the file for each distinct text. Raises UsageError where there are none."""
    path = folder / FILE
    if not path.is_file():
        raise UsageError(
            f"There is no {FILE} in {str(folder)!r}. Name the folder of MTRAG-UN by IBM (mtragun-human in "
            "https://github.com/IBM/mt-rag-benchmark) with --data."
        )
    tasks: list[Task] = []
    names: dict[str, str] = {}
    for line in path.read_text("utf-8").splitlines():
        entry = json.loads(line)
        for context in entry["contexts"]:
            names.setdefault(context["text"], _file_name(context["document_id"]))
        tasks.append(
            Task(
                id=entry["task_id"],
                question=entry["input"][-1]["text"],
                turns=_turns(entry["input"][:-1]),
                answerability=entry["answerability"][0],
                multi_turn=entry["Multi-Turn"][0],
                collection=entry["Collection"],
                contexts=tuple(context["text"] for context in entry["contexts"]),
            )
        )
    return tasks, names


def measure(
    data: Path,
    home: Path,
    own: Settings | None = None,
    progress: Callable[[], Progress] | None = None,
    complain: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """The whole result: canonical, without clocks or paths.

    Documents and index are kept below `home`. `own` says where our documents are, on whose gold questions of
    the split dev the reference thresholds are fitted.
    """
    tasks, names = load(data)
    ours = open_assistant(own or load_settings(), True, progress, complain)
    thresholds = cosine_thresholds(ours)
    ours.close()
    settings = load_settings(corpus=write_documents(names, home), index=home / "index")
    assistant = open_assistant(settings, True, progress, complain)
    with assistant.live.borrow() as index:
        name = index.id
        judged = [judge(assistant, index, task.question, task.turns) for task in tasks]
        retrieved = retrieval(assistant, index, tasks, judged, names)
    assistant.close()
    return {
        "data": hashlib.sha256((data / FILE).read_bytes()).hexdigest(),
        "index": name,
        "tasks": len(tasks),
        "documents": len(names),
        **summarize(tasks, judged, thresholds),
        "retrieval": retrieved,
        "questions": [
            {
                "id": task.id,
                "answerability": task.answerability,
                "answered": one.answered,
                "confidence": round(one.confidence, 4),
                "signals": {signal: round(value, 4) for signal, value in one.signals.items()},
            }
            for task, one in zip(tasks, judged, strict=True)
        ],
    }


def write_documents(names: Mapping[str, str], home: Path) -> Path:
    """Writes each text to its file, in a folder named for all of them, so that none of another set is among them."""
    digest = hashlib.sha256(json.dumps(sorted(names.items())).encode()).hexdigest()
    folder = home / f"documents-{digest[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    for text, name in names.items():
        (folder / name).write_bytes(text.encode())
    return folder


def judge(assistant: Assistant, index: Index, question: str, history: Sequence[Turn]) -> Judged:
    """What `Assistant.stream` does up to the gate's decision."""
    turns = assistant.settings.history_turns
    query = assistant.standalone(index, check_question(question), history[-turns:] if turns else ())
    considered = assistant.consider(index, query)
    founds = [one.found for one in considered]
    best = surest(considered)
    signals = gate_signals(index, assistant.encoder, best.found) if best.found.hits else None
    return Judged(
        answered=any(one.decision.answer for one in considered),
        confidence=best.decision.confidence,
        cosine=best_cosine(founds),
        signals=asdict(signals) if signals else {},
        hits=shared(founds, assistant.settings.passages),
    )


def best_cosine(founds: Iterable[Found]) -> float:
    """The cosine of the best statement; 0 where nothing was found."""
    return max(
        (float(cosines.max(initial=0.0)) for found in founds for cosines in found.statement_cosines), default=0.0
    )


def cosine_thresholds(assistant: Assistant) -> dict[str, float]:
    """The cosines of the best statement that part our own dev questions best, by what counts as best."""
    questions = [question for question in load_gold(GOLD) if question.split == "dev"]
    with assistant.live.borrow() as index:
        cosines = [judge(assistant, index, question.question, question.turns).cosine for question in questions]
    answerable = [question.answerable for question in questions]
    return {
        "fewest errors": best_threshold(cosines, answerable, (1.0, 1.0)),
        # As the gate's own threshold is chosen: both classes weigh the same.
        "least error rates": best_threshold(
            cosines, answerable, (1 / max(1, len(answerable) - sum(answerable)), 1 / max(1, sum(answerable)))
        ),
    }


def best_threshold(values: Sequence[float], answerable: Sequence[bool], costs: tuple[float, float]) -> float:
    """The threshold whose errors cost least, half-way between two values; the middle one of several.

    `costs` are those of answering an unanswerable question and of refusing an answerable one.
    """
    ordered = sorted(set(values))
    edges = [0.0, *((low + high) / 2 for low, high in pairwise(ordered)), 1.0]
    totals = [
        round(sum(costs[asks] for value, asks in zip(values, answerable, strict=True) if (value >= edge) != asks), 9)
        for edge in edges
    ]
    best = [edge for edge, total in zip(edges, totals, strict=True) if total == min(totals)]
    return round(best[len(best) // 2], 4)


def summarize(tasks: Sequence[Task], judged: Sequence[Judged], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """Everything that follows from the gate's decisions, and the reference systems on the same tasks."""
    pairs = list(zip(tasks, judged, strict=True))
    primary = [(task, one) for task, one in pairs if task.answerability in ("ANSWERABLE", "UNANSWERABLE")]
    answerable = [task.answerability == "ANSWERABLE" for task, _ in primary]
    confidences = [one.confidence for _, one in primary]
    signals = sorted({name for _, one in primary for name in one.signals})
    return {
        "gate": scores([one.answered for _, one in primary], answerable),
        "references": {
            "always refuse": scores([False] * len(primary), answerable),
            "never refuse": scores([True] * len(primary), answerable),
            **{
                f"cosine {threshold:.4f}, {name}": scores([one.cosine >= threshold for _, one in primary], answerable)
                for name, threshold in thresholds.items()
            },
        },
        "auroc": {
            "confidence": auroc_with_interval(confidences, answerable),
            "cosine": auroc_with_interval([one.cosine for _, one in primary], answerable),
            **{
                f"signal {name}": auroc_with_interval([one.signals.get(name, 0.0) for _, one in primary], answerable)
                for name in signals
            },
        },
        "risk_at_coverage": risk_at_coverage(confidences, answerable),
        "apart": {
            label: {"answered": rate([one.answered for task, one in pairs if task.answerability == label])}
            for label in ("PARTIAL", "UNDERSPECIFIED")
        },
        "multi_turn": _by([task.multi_turn for task, _ in primary], primary),
        "collections": _by([task.collection for task, _ in primary], primary),
    }


def scores(answered: Sequence[bool], answerable: Sequence[bool]) -> dict[str, Any]:
    """The confusion matrix of a system, its error rates, and precision, recall and F1 of refusing and of answering.

    F1_RG is the mean of both F1 (Song et al., "Trust-Align", 2024). A share of nothing is None, an F1 then 0.
    """
    pairs = list(zip(answered, answerable, strict=True))
    refusing = _precision_recall([(not answers, not asks) for answers, asks in pairs])
    answering = _precision_recall(pairs)
    return {
        "confusion": {
            "answerable_answered": sum(answers and asks for answers, asks in pairs),
            "answerable_refused": sum(not answers and asks for answers, asks in pairs),
            "unanswerable_answered": sum(answers and not asks for answers, asks in pairs),
            "unanswerable_refused": sum(not answers and not asks for answers, asks in pairs),
        },
        "refused_answerable": rate([not answers for answers, asks in pairs if asks]),
        "answered_unanswerable": rate([answers for answers, asks in pairs if not asks]),
        "refusing": refusing,
        "answering": answering,
        "f1_rg": round((_f1(refusing) + _f1(answering)) / 2, 4),
    }


def auroc_with_interval(values: Sequence[float], positive: Sequence[bool]) -> dict[str, Any]:
    """The AUROC of the positive ones and its 95 % bootstrap interval; None where either class is missing."""
    value = auroc(values, positive)
    low, high = auroc_interval(values, positive)
    return {"auroc": None if value is None else round(value, 4), "interval": [round(low, 4), round(high, 4)]}


def retrieval(
    assistant: Assistant, index: Index, tasks: Sequence[Task], judged: Sequence[Judged], names: Mapping[str, str]
) -> dict[str, Any]:
    """How often one of the contexts is among the best five passages, for the answerable tasks, by query."""
    found: dict[str, list[tuple[str, bool]]] = {"last question": [], "standalone query": [], "whole conversation": []}
    for task, one in zip(tasks, judged, strict=True):
        if task.answerability != "ANSWERABLE" or not task.contexts:
            continue
        gold = {names[text] for text in task.contexts}
        whole = " ".join([*(turn.question for turn in task.turns), task.question])
        hits = {
            "last question": retrieve(index, assistant.encoder, task.question, TOP).hits,
            "standalone query": one.hits[:TOP],
            "whole conversation": retrieve(index, assistant.encoder, whole, TOP).hits,
        }
        for query, passages in hits.items():
            found[query].append((task.multi_turn, any(hit.passage.document_id in gold for hit in passages)))
    return {
        query: {
            "all": rate([hit for _, hit in outcomes]),
            FOLLOW_UP: rate([hit for multi_turn, hit in outcomes if multi_turn == FOLLOW_UP]),
        }
        for query, outcomes in found.items()
    }


def table(result: dict[str, Any]) -> str:
    """The result for a person."""
    systems = {"gate": result["gate"], **result["references"]}
    lines = [f"{result['tasks']} tasks, {result['documents']} documents", ""]
    lines.append(
        f"{'':34}{'refused answerable':>32}{'answered unanswerable':>32}{'F1 ref':>8}{'F1 ans':>8}{'F1_RG':>8}"
    )
    lines += [
        f"{name:34}{_cell(one['refused_answerable']):>32}{_cell(one['answered_unanswerable']):>32}"
        f"{one['refusing']['f1']:8.3f}{one['answering']['f1']:8.3f}{one['f1_rg']:8.3f}"
        for name, one in systems.items()
    ]
    lines.append("")
    lines += [
        f"gate, {name:18} precision {_cell(result['gate'][name]['precision'])}, recall {_cell(result['gate'][name]['recall'])}"
        for name in ("refusing", "answering")
    ]
    lines += ["", f"{'AUROC':34}"]
    for name, one in result["auroc"].items():
        low, high = one["interval"]
        value = "n/a" if one["auroc"] is None else f"{one['auroc']:.3f}"
        lines.append(f"{name:34}{value:>6} [{low:.3f}, {high:.3f}]")
    lines += [
        "",
        "risk at coverage  " + "  ".join(f"{at}: {risk:.3f}" for at, risk in result["risk_at_coverage"].items()),
    ]
    lines += [f"{label}, answered  {_cell(one['answered'])}" for label, one in result["apart"].items()]
    lines += ["", f"{'':34}{'refused answerable':>32}{'answered unanswerable':>32}"]
    lines += [
        f"{name:34}{_cell(one['refused_answerable']):>32}{_cell(one['answered_unanswerable']):>32}"
        for group in ("multi_turn", "collections")
        for name, one in result[group].items()
    ]
    lines += ["", f"{'a context among the best 5':34}{'all':>32}{FOLLOW_UP:>32}"]
    lines += [
        f"{query:34}{_cell(one['all']):>32}{_cell(one[FOLLOW_UP]):>32}" for query, one in result["retrieval"].items()
    ]
    return "\n".join(lines)


def _file_name(document_id: str) -> str:
    """A name that any file system takes, and no two ids share."""
    safe = re.sub(r"[^\w-]", "_", document_id, flags=re.ASCII)[:100]
    return (
        f"{safe}.txt" if safe == document_id else f"{safe}-{hashlib.sha256(document_id.encode()).hexdigest()[:8]}.txt"
    )


def _turns(messages: Iterable[Mapping[str, str]]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    for message in messages:
        if message["speaker"] == "user":
            turns.append(Turn(message["text"]))
        elif turns:
            turns[-1] = Turn(turns[-1].question, f"{turns[-1].answer} {message['text']}".strip())
    return tuple(turns)


def _by(groups: Sequence[str], primary: Sequence[tuple[Task, Judged]]) -> dict[str, Any]:
    """The two error rates of each group."""
    outcomes = [
        (group, task.answerability == "ANSWERABLE", one.answered)
        for group, (task, one) in zip(groups, primary, strict=True)
    ]
    return {
        name: {
            "refused_answerable": rate([not answers for group, asks, answers in outcomes if group == name and asks]),
            "answered_unanswerable": rate([answers for group, asks, answers in outcomes if group == name and not asks]),
        }
        for name in sorted(set(groups))
    }


def _precision_recall(pairs: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    """Of (did, should) pairs."""
    right = sum(did and should for did, should in pairs)
    wrong = sum(did != should for did, should in pairs)
    return {
        "precision": rate([should for did, should in pairs if did]),
        "recall": rate([did for did, should in pairs if should]),
        "f1": round(2 * right / (2 * right + wrong), 4) if right else 0.0,
    }


def _f1(of: Mapping[str, Any]) -> float:
    return float(of["f1"])


def _cell(value: Mapping[str, Any]) -> str:
    if value["rate"] is None:
        return "n/a"
    low, high = value["interval"]
    return f"{value['count']}/{value['of']} = {value['rate']:.3f} [{low:.3f}, {high:.3f}]"
