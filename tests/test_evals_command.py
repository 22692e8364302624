"""`python -m evals` as a command: killed and resumed, checked against a baseline, and blind to nothing that matters."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import child_environment, with_encoders

from assistant.answering import open_assistant
from assistant.corpus import load_corpus
from assistant.settings import Settings
from evals import references
from evals.asking import ask_all, asker
from evals.comparing import compare, regressions
from evals.gold import GOLD, load_gold
from evals.reports import baseline_of, canonical, provenance, read_result, report
from evals.summary import summarize

DATA = Path(__file__).parent / "data" / "databases"


@pytest.fixture(scope="module")
def place(tmp_path_factory, encoders):
    """A folder of its own with a corpus, its gold questions and an index."""
    home = tmp_path_factory.mktemp("evals")
    shutil.copytree(DATA / "corpus", home / "corpus")
    shutil.copytree(DATA / "gold", home / "gold")
    with_encoders(home / "index", encoders)
    return home


def evals(place, *arguments, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "evals", *arguments],
        cwd=Path(__file__).parent.parent,
        env=child_environment(place / "corpus", place / "index"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def run(place, *arguments):
    process = evals(place, "run", "--gold", str(place / "gold"), *arguments)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def test_a_run_killed_half_way_and_resumed_gives_the_same_bytes(place, tmp_path):
    code, _, err = run(place, "--out", str(tmp_path / "whole"))
    assert code == 0, err
    whole = (tmp_path / "whole" / "report.json").read_bytes()
    process = evals(place, "run", "--gold", str(place / "gold"), "--out", str(tmp_path / "run"), start_new_session=True)
    answers = tmp_path / "run" / "answers.jsonl"
    until = time.monotonic() + 120
    while not (answers.exists() and answers.read_text("utf-8").count("\n") >= 5) and time.monotonic() < until:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = answers.read_text("utf-8")
    answers.write_text(before[: before.rindex("\n") - 3], "utf-8")  # torn, as by a power cut
    assert not (tmp_path / "run" / "report.json").exists()
    code, _, err = run(place, "--out", str(tmp_path / "run"), "--resume")
    assert code == 0, err
    assert (tmp_path / "run" / "report.json").read_bytes() == whole
    kept = [line for line in before.split("\n")[:-2] if line]
    assert kept and answers.read_text("utf-8").split("\n")[: len(kept)] == kept
    code, _, _ = run(place, "--out", str(tmp_path / "jobs"), "-j", "4")
    assert (code, (tmp_path / "jobs" / "report.json").read_bytes()) == (0, whole)


def test_scoring_saved_answers_gives_the_same_report(place, tmp_path):
    assert run(place, "--out", str(tmp_path / "run"))[0] == 0
    asked = (tmp_path / "run" / "report.json").read_bytes()
    process = evals(place, "score", str(tmp_path / "run"), "--gold", str(place / "gold"))
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert (tmp_path / "run" / "report.json").read_bytes() == asked
    process = evals(place, "compare", str(tmp_path / "run"), str(tmp_path / "run"), "--json")
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0 and json.loads(out)["worse"] == json.loads(out)["differences"] == []


def test_only_what_the_flags_name_is_asked(place, tmp_path):
    code, out, _ = run(place, "--out", str(tmp_path / "a"), "--limit", "3", "--json")
    assert code == 0 and len(json.loads(out)["questions"]) == 3
    one = json.loads(out)["questions"][1]["id"]
    code, out, _ = run(place, "--out", str(tmp_path / "b"), "--only", one, "--repeat", "2", "--json")
    result = json.loads(out)
    assert [row["id"] for row in result["questions"]] == [one] and (result["repeats"], result["flaky"]) == (2, [])
    code, _, err = run(place, "--out", str(tmp_path / "c"), "--only", "no such question")
    assert code == 2 and "No gold question is left" in err and err.count("\n") == 1
    code, out, err = run(place, "--out", str(tmp_path / "d"), "--failed-from", str(tmp_path / "b"), "--only", one)
    assert code == (2 if result["questions"][0]["values"]["passed"] == 1 else 0)


@pytest.fixture(scope="module")
def whole(whole_home, repository):
    """The assistant on the whole corpus, sixty dev questions, and the baseline that their answers make."""
    settings = Settings(corpus=repository / "corpus", index=whole_home)
    assistant = open_assistant(settings, update=False)
    questions = [one for one in load_gold(GOLD) if one.split == "dev"][::5]
    corpus = load_corpus(settings.corpus)
    origin = provenance(questions, corpus, "index", "quotes", assistant.encoder.weights)
    yield assistant, questions, corpus, origin
    assistant.close()


def told(whole, tmp_path, ask=None, corpus=None, name="run"):
    assistant, questions, documents, origin = whole
    answers = ask_all(ask or asker(assistant), questions, tmp_path / name)
    return report(questions, answers, corpus or documents, origin)


def test_what_must_not_happen_is_named_with_its_questions(whole, tmp_path):
    assistant, questions, corpus, _ = whole
    good = told(whole, tmp_path)
    (tmp_path / "baseline.json").write_text(baseline_of(good), "utf-8")
    baseline = read_result(tmp_path / "baseline.json")
    assert canonical(good) == canonical(told(whole, tmp_path, name="again"))
    assert regressions(compare(baseline, good)) == []

    always = told(whole, tmp_path, asker(replace(assistant, refuses=False)), name="always")
    assert any(
        "answered_unanswerable was" in line and "dev-" in line for line in regressions(compare(baseline, always))
    )

    def unmarked(question):
        answer = asker(assistant)(question)
        return answer | {"text": answer["text"].replace("[1]", "")}

    bare = told(whole, tmp_path, unmarked, name="bare")
    assert any("citations_valid was" in line and "dev-" in line for line in regressions(compare(baseline, bare)))

    # A fact deleted from a note: its evidence is lost and named.
    asked = next(one for one in questions if one.evidence)
    gone = asked.evidence[0]
    documents = tuple(
        replace(document, text=document.text.replace(gone.quote, "")) if document.id == gone.doc else document
        for document in corpus.documents
    )
    lost = told(whole, tmp_path, corpus=replace(corpus, documents=documents), name="lost")["lost_evidence"]
    assert any(line.startswith(f"{asked.id}: {gone.doc}") for line in lost)


def test_the_reference_systems_land_where_theory_puts_them(whole):
    assistant, questions, corpus, origin = whole
    summaries = references.reports(assistant, questions, corpus, origin)["dev"]

    def value(system, metric):
        return summaries[system][metric]["value"]

    unanswerable = sum(not one.answerable for one in questions) / len(questions)
    assert value("always refuse", "refused_answerable") == 1 and value("always refuse", "answered_unanswerable") == 0
    assert value("always refuse", "facts") == value("always refuse", "utility") == 0
    assert value("always refuse", "passed") == pytest.approx(unanswerable, abs=1e-4)
    for never in ("gate off", "top passage", "all passages", "dense top 3", "random"):
        assert value(never, "refused_answerable") == 0 and value(never, "answered_unanswerable") == 1
        assert value(never, "f1_refused") == 0
    assert (
        value("oracle", "facts") > 0.95
        and value("oracle", "citation_recall") == value("oracle", "citation_precision") == 1
    )
    assert value("oracle", "trust") > max(value(name, "trust") for name in summaries if name != "oracle")
    assert value("all passages", "facts") >= value("gate off", "facts") and value("all passages", "words") > 3 * value(
        "gate off", "words"
    )
    assert value("random", "facts") < 0.2 and value("top passage", "citation_recall") < value(
        "all passages", "citation_recall"
    )
    assert summarize([])["questions"] == 0
