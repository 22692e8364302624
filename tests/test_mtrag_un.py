"""MTRAG-UN: a set of four tasks through the real index and encoder, and the arithmetic by hand."""

import json
from pathlib import Path

import pytest
from conftest import with_encoders

from assistant.answering import open_assistant
from assistant.errors import UsageError
from assistant.nouns import Turn
from assistant.settings import Settings
from evals.mtrag_un import (
    Judged,
    Task,
    auroc_with_interval,
    best_threshold,
    judge,
    load,
    measure,
    scores,
    summarize,
    table,
)
from evals.reports import canonical
from evals.statistics import auroc, risk_at_coverage

LIGHTHOUSE = (
    "The lighthouse of Norrholm was built of grey granite. The keeper of the lighthouse lights the lamp at dusk "
    "and puts it out at dawn.\n\nThe lamp of the lighthouse burns rapeseed oil."
)
BEES = "Bees dance to show the way to flowers. A worker bee lives about six weeks in summer."
ORCHARD = "The orchard grows pears and quinces. Quinces are picked in October, after the first cold night."


def said(*texts):
    return [{"speaker": ("user", "agent")[at % 2], "text": text} for at, text in enumerate(texts)]


def entry(name, answerability, multi_turn, texts, contexts=()):
    return {
        "task_id": name,
        "input": said(*texts),
        "contexts": [{"document_id": document, "text": text} for document, text in contexts],
        "answerability": [answerability],
        "Multi-Turn": [multi_turn],
        "Collection": "own",
    }


ENTRIES = (
    entry("a", "ANSWERABLE", "N/A", ["What does the lamp of the lighthouse burn?"], [("light/1 house", LIGHTHOUSE)]),
    entry(
        "b",
        "ANSWERABLE",
        "Follow-up",
        ["How do bees dance to show the way?", "They dance.", "And how long do they live?"],
        [("bees", BEES), ("bees again", BEES), ("orchard", ORCHARD)],
    ),
    entry("c", "UNANSWERABLE", "Follow-up", ["Hello", "Hello.", "Who won the football world cup of Brazil in 1986?"]),
    entry("d", "UNDERSPECIFIED", "N/A", ["What about the other one?"]),
)


def write(folder, entries=ENTRIES):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reference.jsonl").write_text("".join(json.dumps(one) + "\n" for one in entries), "utf-8")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("mtrag_un"))


@pytest.fixture(scope="module")
def home(tmp_path_factory, encoders):
    return with_encoders(tmp_path_factory.mktemp("mtrag_un_home") / "index", encoders).parent


@pytest.fixture(scope="module")
def ours(founding_corpus, founding_home):
    return Settings(corpus=founding_corpus, index=founding_home)


@pytest.fixture(scope="module")
def result(data, home, ours):
    return measure(data, home, ours)


def task(answerability, multi_turn="N/A"):
    return Task("t", "q", (), answerability, multi_turn, "own", ())


def judged(answered, confidence, cosine=0.5):
    return Judged(answered, confidence, cosine, {"nearness": cosine}, ())


def test_without_the_data_the_error_says_where_it_is(tmp_path):
    with pytest.raises(UsageError, match=r"MTRAG-UN by IBM.*https://github\.com/IBM/mt-rag-benchmark.*--data"):
        measure(tmp_path / "nothing", tmp_path)


def test_equal_texts_are_one_document_with_a_safe_name(data):
    tasks, names = load(data)
    assert set(names) == {LIGHTHOUSE, BEES, ORCHARD}
    assert names[BEES] == "bees.txt"
    assert names[LIGHTHOUSE].startswith("light_1_house-")
    assert len(set(names.values())) == 3
    assert tasks[1].turns == (Turn("How do bees dance to show the way?", "They dance."),)
    assert tasks[1].question == "And how long do they live?"


def test_four_tasks_through_the_real_index(result):
    assert (result["tasks"], result["documents"]) == (4, 3)
    counts = result["gate"]["confusion"]
    answered = {one["id"]: one["answered"] for one in result["questions"]}
    assert counts["answerable_answered"] == answered["a"] + answered["b"]
    assert counts["answerable_answered"] + counts["answerable_refused"] == 2
    assert counts["unanswerable_answered"] + counts["unanswerable_refused"] == 1
    assert (answered["a"], answered["c"]) == (True, False)
    assert result["auroc"]["cosine"]["auroc"] == 1.0
    assert result["apart"]["UNDERSPECIFIED"]["answered"]["of"] == 1
    assert result["apart"]["PARTIAL"]["answered"]["rate"] is None
    assert result["retrieval"]["standalone query"]["all"]["count"] == 2
    assert result["retrieval"]["whole conversation"]["Follow-up"]["of"] == 1
    assert sorted(result["multi_turn"]) == ["Follow-up", "N/A"]
    assert result["collections"]["own"]["answered_unanswerable"]["of"] == 1


def test_a_second_run_keeps_the_index_and_gives_the_same_bytes(result, data, home, ours):
    snapshots = sorted(path.name for path in (home / "index").iterdir())
    assert canonical(measure(data, home, ours)) == canonical(result)
    assert sorted(path.name for path in (home / "index").iterdir()) == snapshots
    assert str(Path(home)) not in canonical(result)


def test_the_verdict_is_the_assistants_own(result, home, data):
    [corpus] = home.glob("documents-*")
    assistant = open_assistant(Settings(corpus=corpus, index=home / "index"))
    with assistant.live.borrow() as index:
        for one in load(data)[0]:
            verdict = judge(assistant, index, one.question, one.turns)
            answer = assistant.ask(one.question, one.turns)
            assert verdict.answered != answer.refused
            assert verdict.hits == answer.hits
    assistant.close()


def test_a_person_reads_every_part(result):
    text = table(result)
    for part in (
        "4 tasks, 3 documents",
        "gate",
        "always refuse",
        "never refuse",
        "fewest errors",
        "least error rates",
        "confidence",
        "Follow-up",
    ):
        assert part in text


def test_the_confusion_matrix_by_hand():
    # Of four answerable questions three are answered, of three unanswerable ones two refused.
    got = scores([True, True, True, False, True, False, False], [True] * 4 + [False] * 3)
    assert got["confusion"] == {
        "answerable_answered": 3,
        "answerable_refused": 1,
        "unanswerable_answered": 1,
        "unanswerable_refused": 2,
    }
    assert (got["refused_answerable"]["count"], got["refused_answerable"]["of"]) == (1, 4)
    assert got["answered_unanswerable"]["rate"] == pytest.approx(1 / 3, abs=1e-4)
    assert got["answering"]["precision"]["rate"] == got["answering"]["recall"]["rate"] == got["answering"]["f1"] == 0.75
    assert got["refusing"]["f1"] == pytest.approx(2 / 3, abs=1e-4)
    assert got["f1_rg"] == pytest.approx((0.75 + 2 / 3) / 2, abs=1e-4)
    # Wilson, by hand, for 1 of 4.
    assert got["refused_answerable"]["interval"] == pytest.approx([0.0456, 0.6994], abs=1e-4)


def test_only_answerable_and_unanswerable_tasks_count():
    tasks = [task("ANSWERABLE"), task("UNANSWERABLE", "Follow-up"), task("PARTIAL"), task("UNDERSPECIFIED")]
    answers = [judged(True, 0.9, 0.8), judged(False, 0.2, 0.6), judged(True, 0.8), judged(False, 0.1)]
    got = summarize(tasks, answers, {"by hand": 0.5})
    assert sum(got["gate"]["confusion"].values()) == 2
    assert got["gate"]["f1_rg"] == 1.0
    # Both cosines lie above the threshold.
    assert got["references"]["cosine 0.5000, by hand"] == got["references"]["never refuse"]
    assert got["apart"]["PARTIAL"]["answered"]["count"] == 1
    assert got["apart"]["UNDERSPECIFIED"]["answered"]["count"] == 0
    assert got["auroc"]["signal nearness"]["auroc"] == 1.0
    assert got["multi_turn"]["N/A"]["answered_unanswerable"]["rate"] is None


@pytest.mark.parametrize(("yes", "no"), [(285, 97), (3, 1)])
def test_systems_that_never_look_have_the_values_of_theory(yes, no):
    tasks = [task("ANSWERABLE")] * yes + [task("UNANSWERABLE")] * no
    references = summarize(tasks, [judged(True, 0.5)] * (yes + no), {})["references"]
    refuses, answers = references["always refuse"], references["never refuse"]
    assert refuses["answering"]["f1"] == 0.0
    assert refuses["answering"]["precision"]["rate"] is None
    assert refuses["refusing"]["recall"]["rate"] == 1.0
    assert refuses["refusing"]["f1"] == round(2 * no / (2 * no + yes), 4)
    assert answers["refusing"]["f1"] == 0.0
    assert answers["answering"]["f1"] == round(2 * yes / (2 * yes + no), 4)
    assert answers["f1_rg"] == pytest.approx(yes / (2 * yes + no), abs=1e-4)


def test_auroc_counts_pairs_and_ties_half():
    assert auroc([0.9, 0.5, 0.5, 0.1], [True, True, False, False]) == pytest.approx(3.5 / 4)
    assert auroc([0.5, 0.5], [True, False]) == 0.5
    assert auroc([0.5], [True]) is None
    values, labels = [0.9, 0.4, 0.6, 0.5, 0.3, 0.2], [True, True, True, False, False, False]
    got = auroc_with_interval(values, labels)
    assert got == auroc_with_interval(values, labels)
    assert got["interval"][0] <= got["auroc"] <= got["interval"][1]


def test_the_surest_are_answered_first():
    risks = risk_at_coverage([0.1, 0.9, 0.8, 0.7], [False, True, False, True])
    assert (risks["0.2"], risks["0.5"], risks["1.0"]) == (0.0, 0.5, 0.5)
    assert risk_at_coverage([], []) == {}


def test_the_reference_threshold_has_the_least_costs():
    assert best_threshold([0.2, 0.4, 0.6, 0.8], [False, False, True, True], (1, 1)) == 0.5
    values, answerable = [0.2, 0.4, 0.6, 0.8, 0.9], [True, True, False, True, True]
    assert best_threshold(values, answerable, (1, 1)) <= 0.2
    assert best_threshold(values, answerable, (1, 1 / 4)) == 0.7
    assert best_threshold([0.2, 0.4], [True, True], (1, 1)) <= 0.2
