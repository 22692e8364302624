"""`python -m evals`: run, score, compare, lint, calibrate, promote, replay, attack, support, chunking, mtrag_un, bench. Exit codes: 0 pass, 1 worse, 2 usage, 3 incomplete."""

import datetime
import json
import random
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from assistant.chunking import split as split_into_passages
from assistant.cli import complain, ratings_file
from assistant.cli import run as command_line
from assistant.corpus import corpus_of
from assistant.embedding import open_encoder
from assistant.errors import UsageError
from assistant.gate import WEIGHTS
from assistant.settings import CHECKOUT, load_settings
from evals import benchmarks as benchmarks  # its commands are the program's too
from evals import calibrate as calibration
from evals import comparing, feedback, references
from evals import lint as notes
from evals.app import (
    CorpusOption,
    FoundingOption,
    GoldOption,
    IndexOption,
    JsonOption,
    ModelOption,
    OutOption,
    app,
    opened,
)
from evals.asking import Plan, ask_all, asker, read_answers
from evals.corpora import POISONED, on_founding, on_poisoned
from evals.gold import FOUNDING_GOLD, GOLD, POISON, Question, gold_digest, load_gold, locate
from evals.lint_gold import lint_gold
from evals.reports import (
    baseline_of,
    canonical,
    comparison_table,
    junit,
    markdown,
    provenance,
    read_result,
    report,
    table,
    timings,
)

RatingArgument = Annotated[str, typer.Argument(metavar="ID", help="As `assistant feedback list` shows it.")]

BASELINE = Path(__file__).parent / "baseline.json"
FOUNDING_BASELINE = Path(__file__).parent / "baseline_founding.json"


@app.command()
def run(
    gold: GoldOption = GOLD,
    corpus: CorpusOption = None,
    index: IndexOption = None,
    out: OutOption = CHECKOUT / "evals" / "out",
    model: ModelOption = None,
    split: Annotated[str | None, typer.Option("--split", help="Only dev or test.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this id, kind or tag; repeatable.")] = None,
    failed_from: Annotated[
        Path | None, typer.Option("--failed-from", metavar="RUN", help="Only what did not pass in that run.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N questions.")] = None,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="Only N questions, always the same.")] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, max=64, help="Questions asked at a time.")] = 1,
    repeat: Annotated[int, typer.Option("--repeat", min=1, max=100, help="Ask each question N times.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run was killed.")] = False,
    retry_errors: Annotated[bool, typer.Option("--retry-errors", help="Resume, and ask again what failed.")] = False,
    max_errors: Annotated[int | None, typer.Option("--max-errors", min=0, help="Stop at more errors than N.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Compare with evals/baseline.json.")] = False,
    write_baseline: Annotated[bool, typer.Option("--write-baseline", help="Make this run the baseline.")] = False,
    beside: Annotated[bool, typer.Option("--beside", help="Simpler systems in a table of their own.")] = False,
    founding: FoundingOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask every gold question and say how good the answers are."""
    settings = load_settings(corpus=corpus, index=index, model=model)
    if founding:
        gold, settings = FOUNDING_GOLD, on_founding(settings)
    gold_questions = all_of(gold)
    questions = drawn(chosen(gold_questions, split, only or [], failed_from, limit), sample)
    standing = FOUNDING_BASELINE if founding else BASELINE
    baseline = read(standing) if check else None
    documents = corpus_of(settings)
    assistant = opened(settings)
    asks = {"": asker(assistant)}
    if any(question.kind == POISONED for question in questions):
        poisoned = on_poisoned(settings)
        asks[POISONED] = asker(opened(poisoned))
        documents = replace(documents, documents=corpus_of(poisoned).documents)
    with assistant.live.borrow() as current:
        name = current.id
    origin = provenance(gold_questions, documents, name, settings.model, assistant.encoder.weights)
    plan = Plan(jobs, repeat, resume, retry_errors, max_errors)
    out.mkdir(parents=True, exist_ok=True)
    (out / "run.json").write_text(canonical({"provenance": origin, "repeats": repeat}), "utf-8")
    answers = ask_all(
        lambda question: asks.get(question.kind, asks[""])(question),
        questions,
        out,
        plan,
        counter(len(questions) * repeat),
    )
    result = report(questions, answers, documents, origin, repeat)
    if beside:
        result["references"] = references.reports(assistant, questions, documents, origin, answers)
    assistant.close()
    if write_baseline:
        standing.write_text(baseline_of(result), "utf-8")
    tell(result, timings(answers), out, baseline, as_json)


@app.command()
def score(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
    gold: GoldOption = GOLD,
    corpus: CorpusOption = None,
    check: Annotated[bool, typer.Option("--check", help="Compare with evals/baseline.json.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Judge a run's saved answers again, without asking anything."""
    answers = read_answers(folder / "answers.jsonl")
    if not answers:
        raise UsageError(f"There are no answers in {str(folder)!r}. Make them with: python -m evals run --out DIR")
    gold_questions = all_of(gold)
    questions = [question for question in gold_questions if (question.id, 0) in answers]
    if not questions:
        raise UsageError(f"None of the answers in {str(folder)!r} is to a question in {str(gold)!r}.")
    known = json.loads((folder / "run.json").read_text("utf-8")) if (folder / "run.json").exists() else {}
    settings = load_settings(corpus=corpus)
    documents = corpus_of(settings)
    if any(question.kind == POISONED for question in questions):
        documents = replace(documents, documents=corpus_of(on_poisoned(settings)).documents)
    before = known.get("provenance", {})
    origin = provenance(
        gold_questions, documents, before.get("index", ""), before.get("model", ""), before.get("weights", "")
    )
    repeats = 1 + max(repeat for _, repeat in answers)
    result = report(questions, answers, documents, origin, repeats)
    tell(result, timings(answers), folder, read(BASELINE) if check else None, as_json)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A run's folder, a report or a baseline.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="The same, of the later run.")],
    as_json: JsonOption = False,
) -> None:
    """What changed between two runs on the same gold questions; exit 1 where a metric got worse than its budget."""
    one, other = read(before), read(after)
    changes = comparing.compare(one, other)
    other_than = comparing.differences(one, other)
    worse = comparing.regressions(changes)
    if as_json:
        told = {"differences": other_than, "changes": [asdict(change) for change in changes], "worse": worse}
        print(canonical(told), end="")
    else:
        texts = [
            {name: str(answer.get("text", "")) for (name, _), answer in read_answers(path / "answers.jsonl").items()}
            if path.is_dir()
            else {}
            for path in (before, after)
        ]
        print(comparison_table(one, other, changes, other_than, (texts[0], texts[1])))
        for line in worse:
            complain(line)
    raise typer.Exit(1 if worse else 0)


@app.command()
def lint(
    gold: GoldOption = GOLD, corpus: CorpusOption = None, index: IndexOption = None, as_json: JsonOption = False
) -> None:
    """Check the notes (exit 2 where something is found) and the gold questions' evidence (exit 1 where it is lost)."""
    questions = load_gold(gold)
    settings = load_settings(corpus=corpus, index=index)
    loaded = corpus_of(settings)
    documents = {document.id: document for document in loaded.documents}
    encoder = open_encoder(settings.embeddings, settings.index / "encoders", settings.threads)
    findings = notes.lint(loaded.documents, encoder.window, settings.passage_characters, datetime.date.today())
    passages = [
        passage
        for document in loaded.documents
        for passage in split_into_passages(document, settings.passage_characters, encoder.window)
    ]
    findings += lint_gold(questions, passages)
    if gold == GOLD:
        questions = [*questions, *load_gold(FOUNDING_GOLD), *load_gold(POISON)]
    unread = [str(problem) for problem in loaded.problems]
    lost = [line for question in questions for line in locate(question, documents)[1]]
    if as_json:
        told = {"findings": [asdict(one) for one in findings], "unreadable": unread, "lost_evidence": lost}
        print(canonical(told | {"documents": len(documents), "questions": len(questions)}), end="")
    else:
        for line in [*map(str, findings), *unread, *(f"evidence is lost: {line}" for line in lost)]:
            print(line)
        print(
            f"{len(documents)} documents, {len(findings) + len(unread)} findings; "
            f"{len(questions)} questions, gold {gold_digest(questions)[:12]}, {len(lost)} lost evidence"
        )
    raise typer.Exit(2 if findings or unread else 1 if lost else 0)


@app.command()
def calibrate(
    gold: GoldOption = GOLD,
    corpus: CorpusOption = None,
    index: IndexOption = None,
    write: Annotated[bool, typer.Option("--write", help="Write assistant/gate.json.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit the gate that answers or refuses on the dev half, and say how well it separates.

    Our own questions are joined by those on the founding document alone, so that it holds on a small corpus too.
    """
    settings = load_settings(corpus=corpus, index=index)
    chosen_sets = {"whole": (gold, settings)}
    if gold == GOLD:
        opened(settings).close()
        chosen_sets["founding"] = (FOUNDING_GOLD, on_founding(settings))
    measured = {}
    told = {}
    for name, (folder, place) in chosen_sets.items():
        questions = [question for question in load_gold(folder) if question.split == "dev"]
        if len({question.answerable for question in questions}) < 2:
            raise UsageError("Calibrating needs answerable and unanswerable questions of the split dev.")
        assistant = opened(place)
        measured[name] = calibration.signals(assistant, questions)
        told[f"gold, {name}"] = gold_digest(questions)
        with assistant.live.borrow() as current:
            told[f"index, {name}"] = current.id
        assistant.close()
    fits = calibration.fit(list(measured.values()))
    data = calibration.gate_data(fits[0], told)
    shown = {
        name: calibration.confusion(fitted, answerable)
        for fitted, (name, (_, answerable)) in zip(fits, measured.items(), strict=True)
    }
    if as_json:
        print(canonical({"gate": json.loads(data), "sets": shown}), end="")
    else:
        print(data, end="")
        for name, told_of in shown.items():
            rates = (told_of[side] for side in ("refused_answerable", "answered_unanswerable"))
            refused, answered = (f"{one['count']} of {one['of']}" for one in rates)
            print(f"{name}, leave-one-out: refused answerable {refused}, answered unanswerable {answered}")
    if write:
        WEIGHTS.write_text(data, "utf-8")


@app.command()
def promote(
    rating: RatingArgument,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A new file; without it the draft is printed.")
    ] = None,
) -> None:
    """Make the draft of a gold question from a rating; it counts once a person has filled in what is TODO."""
    text = feedback.draft(ratings_file().get(rating))
    if out is None:
        print(text, end="")
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{str(out)!r} is there already and stays as it is. Name a new file with --out.") from error
    except OSError as error:
        raise UsageError(f"{str(out)!r} cannot be written ({error.strerror}). Name another with --out.") from error


@app.command()
def replay(
    rating: RatingArgument,
    corpus: CorpusOption = None,
    index: IndexOption = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a rated question again, as it was asked then, and show what has changed."""
    rated = ratings_file().get(rating)
    assistant = opened(load_settings(corpus=corpus, index=index, model=model))
    try:
        told = feedback.replayed(rated, feedback.ask_again(assistant, rated))
    finally:
        assistant.close()
    print(canonical(told) if as_json else feedback.report(told) + "\n", end="")


def all_of(gold: Path) -> list[Question]:
    """The gold questions of a folder; ours come with those that the poisoned notes are after."""
    return [*load_gold(gold), *(load_gold(POISON) if gold == GOLD else [])]


def chosen(
    questions: list[Question], split: str | None, only: list[str], failed_from: Path | None, limit: int | None
) -> list[Question]:
    """The questions that the flags name, in their order."""
    picked = [question for question in questions if split in (None, question.split)]
    if only:
        picked = [question for question in picked if {question.id, question.kind, *question.tags} & set(only)]
    if failed_from is not None:
        former = read(failed_from)
        good = {row["id"] for row in former["questions"] if row["values"]["passed"] == 1}
        picked = [question for question in picked if question.id not in good]
    if not picked:
        raise UsageError("No gold question is left to ask; see --gold, --split, --only and --failed-from.")
    return picked[:limit]


def drawn(questions: list[Question], sample: int | None) -> list[Question]:
    """So many of the questions, in their order, drawn by a fixed seed; those on poisoned notes stay out of it."""
    if sample is None:
        return questions
    names = [question.id for question in questions if question.kind != POISONED]
    random.Random(20261124).shuffle(names)
    return [question for question in questions if question.id in set(names[:sample])]


def tell(
    result: dict[str, Any], times: dict[str, Any], out: Path, baseline: dict[str, Any] | None, as_json: bool
) -> None:
    """Writes the reports, prints one, and exits as the result deserves."""
    changes = comparing.compare(baseline, result) if baseline else []
    worse = [f"evidence is lost: {lost}" for lost in result["lost_evidence"]] + comparing.regressions(changes)
    (out / "report.json").write_text(canonical(result), "utf-8")
    (out / "timings.json").write_text(canonical(times), "utf-8")
    (out / "report.md").write_text(markdown(result, changes, worse), "utf-8")
    (out / "junit.xml").write_text(junit(result), "utf-8")
    print(canonical(result) if as_json else table(result, times, changes))
    for line in worse:
        complain(line)
    if result["errors"]:
        complain(f"{len(result['errors'])} questions failed; run again with --retry-errors")
        raise typer.Exit(3)
    raise typer.Exit(1 if worse else 0)


def read(path: Path) -> dict[str, Any]:
    try:
        return read_result(path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{str(path)!r} is no result of a run ({error}). Make one with: python -m evals run --out DIR; "
            "a baseline with --write-baseline"
        ) from error


def counter(total: int) -> Callable[[], None]:
    """Counts questions on stderr where that is a terminal."""
    done = 0

    def asked() -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty():
            print(f"\r{done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return asked


if __name__ == "__main__":
    # What cannot be done leaves the run incomplete: 3.
    sys.exit(command_line(app, "python -m evals", undone=3))
