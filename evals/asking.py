"""Asks the gold questions and keeps every answer: one synced line each, so that a killed run loses nothing."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assistant.answering import Assistant
from assistant.errors import AssistantError
from assistant.generation import Budget, ChatModel, Message
from assistant.rendering import answer_json
from evals.gold import Question

Answers = dict[tuple[str, int], dict[str, Any]]  # by question and repetition, from 0


@dataclass(frozen=True, slots=True)
class Plan:
    """How the questions are asked. `most_errors` ends the run early: more errors than that, and it is incomplete."""

    jobs: int = 1
    repeats: int = 1
    resume: bool = False
    retry_errors: bool = False
    most_errors: int | None = None


def ask_all(
    ask: Callable[[Question], dict[str, Any]],
    questions: Sequence[Question],
    out: Path,
    plan: Plan = Plan(),
    asked: Callable[[], None] = lambda: None,
) -> Answers:
    """Answers by id and repetition, each written and synced to `answers.jsonl` as it comes.

    Resuming asks again only what was not answered, and errors only with `retry_errors`. An error is recorded as one: neither pass nor fail.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / "answers.jsonl"
    wanted = [(question, repeat) for repeat in range(plan.repeats) for question in questions]
    kept = read_answers(path) if plan.resume or plan.retry_errors else {}
    done: Answers = {}
    for question, repeat in wanted:
        answer = kept.get((question.id, repeat))
        if answer is not None and not (plan.retry_errors and "error" in answer):
            done[question.id, repeat] = answer
            asked()
    scratch = path.with_suffix(".tmp")
    scratch.write_text("".join(_line(*key, answer) for key, answer in done.items()), "utf-8")
    scratch.replace(path)
    waiting = iter([pair for pair in wanted if (pair[0].id, pair[1]) not in done])
    with path.open("a", encoding="utf-8") as file, ThreadPoolExecutor(plan.jobs) as pool:
        running: dict[Future[dict[str, Any]], tuple[str, int]] = {}
        while True:
            while len(running) < plan.jobs and not _too_many(done, plan) and (pair := next(waiting, None)):
                running[pool.submit(_answered, ask, pair[0])] = (pair[0].id, pair[1])
            if not running:
                return done
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                key = running.pop(future)
                done[key] = future.result()
                file.write(_line(*key, done[key]))
                file.flush()
                os.fsync(file.fileno())
                asked()


def read_answers(path: Path) -> Answers:
    """The answers of a run that may have been killed: a torn last line is dropped."""
    answers: Answers = {}
    if not path.exists():
        return answers
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and "id" in entry:
            key = (str(entry["id"]), int(entry.get("repeat", 0)))
            answers[key] = entry.get("answer") or {"error": entry.get("error")}
    return answers


def asker(assistant: Assistant) -> Callable[[Question], dict[str, Any]]:
    """Asks an assistant and gives its answer as programs get it; with what a model wrote, unchecked, as `draft`."""
    if not assistant.models.models:
        return lambda question: answer_json(assistant.ask(question.question, question.turns))
    drafts = threading.local()
    models = tuple(Recorded(model, drafts) for model in assistant.models.models)
    recorded = replace(assistant, models=replace(assistant.models, models=models))

    def ask(question: Question) -> dict[str, Any]:
        drafts.text = ""
        answer = answer_json(recorded.ask(question.question, question.turns))
        return answer | ({"draft": drafts.text} if drafts.text else {})

    return ask


class Recorded(ChatModel):
    """A model whose last answer is kept as it wrote it, thread by thread."""

    def __init__(self, model: ChatModel, drafts: threading.local) -> None:
        vars(self).update(vars(model))
        self._drafts = drafts

    def words(self, messages: Sequence[Message], budget: Budget) -> Iterator[tuple[str, bool]]:
        self._drafts.text = ""
        for piece, whole in super().words(messages, budget):
            self._drafts.text += piece
            yield piece, whole


def _answered(ask: Callable[[Question], dict[str, Any]], question: Question) -> dict[str, Any]:
    try:
        return ask(question)
    except AssistantError as error:
        return {"error": {"type": type(error).__name__, "message": str(error)}}


def _too_many(done: Answers, plan: Plan) -> bool:
    return plan.most_errors is not None and sum("error" in answer for answer in done.values()) > plan.most_errors


def _line(name: str, repeat: int, answer: dict[str, Any]) -> str:
    entry: dict[str, Any] = {"id": name, **({"repeat": repeat} if repeat else {})}
    entry |= {"error": answer["error"]} if "error" in answer else {"answer": answer}
    return json.dumps(entry, ensure_ascii=False) + "\n"
