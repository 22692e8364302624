"""The eval command: gold files, metrics, reports, resuming, calibration."""

import json
from collections import Counter
from xml.etree import ElementTree

import pytest

from assistant.answering import open_assistant
from assistant.chain import Models
from assistant.corpus import Corpus, load_corpus
from assistant.errors import IndexUnusable, UsageError
from assistant.gate import Signals
from assistant.nouns import Document, Hit, Passage
from assistant.settings import Settings
from evals.asking import Plan, ask_all, asker, read_answers
from evals.calibrate import fit, signals
from evals.chunking_evaluation import Item, measure
from evals.comparing import compare, regressions
from evals.corpora import on_poisoned
from evals.gold import FOUNDING_GOLD, GOLD, POISON, Question, Span, load_gold, locate
from evals.metrics import holds, normalized, score, ungrounded
from evals.reports import baseline_of, canonical, junit, markdown, read_result, report, table
from evals.statistics import mcnemar, percentile, sign_flip, wilson
from evals.summary import summarize

TEXT = "# T\n\nContainers share the kernel. VMs boot a system.\n"
DOCUMENT = Document("a.md", "T", TEXT, None, "d", 0)
DOCUMENTS = {"a.md": DOCUMENT}
QUOTE = "Containers share the kernel."


def question(**fields):
    return Question.model_validate(
        {
            "id": "q",
            "question": "Who shares?",
            "split": "dev",
            "evidence": [{"doc": "a.md", "quote": QUOTE}],
            "nuggets": [{"any_of": ["share the kernel"]}, {"importance": "okay", "any_of": ["boot"]}],
            **fields,
        }
    )


def answer(text=f"{QUOTE} [1]", refused=False, quotes=(QUOTE,)):
    citations = [
        {
            "number": n,
            "document": "a.md",
            "title": "T",
            "section": [],
            "quote": quote,
            "start": TEXT.find(quote),
            "end": TEXT.find(quote) + len(quote),
        }
        for n, quote in enumerate(quotes, 1)
    ]
    return {
        "text": text,
        "refused": refused,
        "citations": citations,
        "sentences": [{"text": text, "citations": [1], "support": "supported"} for _ in quotes],
        "hits": [{"document": "a.md", "start": 5, "end": 50, "text": TEXT[5:50]}],
        "timings_ms": {"total": 1.0},
    }


def scored(asked, given):
    return score(asked, locate(asked, DOCUMENTS)[0], given, DOCUMENTS)


def test_a_perfect_answer_scores_one_everywhere():
    values = scored(question(), answer()).values
    names = (
        "passed",
        "facts",
        "citation_precision",
        "citation_recall",
        "passage_recall",
        "hit@5",
        "recall@5",
        "ndcg@5",
    )
    assert {name: values[name] for name in names} == dict.fromkeys(names, 1.0)
    assert (values["citations_valid"], values["citations_verbatim"], values["ungrounded"]) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        (answer("Nothing of it [1]"), "facts", 0.0),
        (answer("It says no.", refused=True, quotes=()), "facts", 0.0),
        (answer("It says no.", refused=True, quotes=()), "citation_recall", 0.0),
        (answer("It says no.", refused=True, quotes=()), "citation_precision", None),
        (answer(f"{QUOTE} [1] [2]"), "citations_valid", 0.0),
        (answer(QUOTE), "citations_valid", 0.0),
        (answer(quotes=("VMs boot a system.",)), "citation_precision", 0.0),
        (answer(quotes=(QUOTE, "VMs boot a system."), text="x [1] [2]"), "citation_precision", 0.5),
    ],
)
def test_each_fault_is_seen_by_its_metric(given, field, value):
    assert scored(question(), given).values[field] == value


def test_a_quote_that_is_not_the_documents_own_characters_is_not_verbatim():
    given = answer()
    given["citations"][0]["start"] += 1
    assert scored(question(), given).values["citations_verbatim"] == 0


def test_lost_evidence_counts_as_missed_and_is_named():
    asked = question(evidence=[{"doc": "a.md", "quote": QUOTE}, {"doc": "gone.md", "quote": "x"}])
    assert scored(asked, answer()).values["citation_recall"] == 0.5
    assert locate(asked, DOCUMENTS)[1] == ["q: gone.md: 'x'"]


@pytest.mark.parametrize(
    ("text", "phrase", "there"),
    [
        ("They **share the** kernel [1].", "share the kernel", True),
        ("Sharing the kernel", "share the kernel", False),
        ("no VMs here", "VM", False),
        ("the host's kernel", "HOST'S", True),
    ],
)
def test_phrases_are_found_at_word_boundaries_whatever_the_marks(text, phrase, there):
    assert holds(normalized(text), phrase) is there


def test_refusing_everything_and_answering_everything_land_where_theory_puts_them():
    asked = [question(id="a"), question(id="u", answerable=False, evidence=[], nuggets=[])]
    refusing = summarize([scored(one, answer("no", refused=True, quotes=())) for one in asked])
    answering = summarize([scored(one, answer()) for one in asked])
    assert (refusing["refused_answerable"]["value"], refusing["answered_unanswerable"]["value"]) == (1.0, 0.0)
    assert (answering["refused_answerable"]["value"], answering["answered_unanswerable"]["value"]) == (0.0, 1.0)
    assert (refusing["facts"]["value"], answering["facts"]["value"]) == (0.0, 1.0)
    # One of two rightly refused and the other half of the F1 nought; answering likewise.
    assert refusing["f1_rg"]["value"] == answering["f1_rg"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert (refusing["trust"]["value"], refusing["utility"]["value"], answering["utility"]["value"]) == (
        pytest.approx(1 / 9, abs=1e-4),
        0.0,
        0.0,
    )


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (0, 0, 0.0, 1.0)]
)
def test_wilson_gives_the_published_intervals(successes, total, low, high):
    assert wilson(successes, total) == pytest.approx((low, high), abs=1e-4)


def test_percentile_is_a_value_that_occurred():
    assert (percentile([3, 1, 2], 0.5), percentile([3, 1, 2], 0.95), percentile([], 0.5)) == (2, 3, None)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("id: x", "a list"),
        ("- {id: x}", "question"),
        ("- {id: x, question: y, colour: red}", "colour"),
        ("- {id: x, question: y, answerable: false, nuggets: [{any_of: [z]}]}", "unanswerable"),
        ("- {id: x, question: y}\n- {id: x, question: z}", "already"),
        ("[", "readable"),
    ],
)
def test_a_slip_in_a_gold_file_is_named(tmp_path, content, named):
    (tmp_path / "gold.yaml").write_text(content, "utf-8")
    with pytest.raises(UsageError, match=named):
        load_gold(tmp_path)


def test_the_gold_questions_meet_their_own_rules(repository):
    questions = load_gold(FOUNDING_GOLD)
    documents = {document.id: document for document in load_corpus(repository / "corpus").documents}
    assert [line for one in questions for line in locate(one, documents)[1]] == []
    halves = {split: [one for one in questions if one.split == split] for split in ("dev", "test")}
    assert len(questions) >= 100 and all(len(half) >= 50 for half in halves.values())
    for one in questions:
        for nugget in one.nuggets:
            assert not any(holds(normalized(one.question), phrase) for phrase in nugget.any_of), one.id


def test_a_torn_last_line_is_dropped(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps({"id": "a", "answer": {"text": "x"}}) + '\n{"id": "b", "ans', "utf-8")
    assert set(read_answers(path)) == {("a", 0)}


ORIGIN = {"gold": "g", "corpus": "c", "model": "quotes"}
CORPUS = Corpus((DOCUMENT,), (), 0)


def result_of(given, **fields):
    return report([question(**fields)], {("q", 0): given}, CORPUS, ORIGIN)


def test_a_report_holds_no_clock(tmp_path):
    result = result_of(answer())
    assert "timings" not in canonical(result) and "1.0" not in canonical(result["provenance"])
    assert canonical(result) == canonical(result_of({**answer(), "timings_ms": {"total": 2.0}}))


def test_an_error_is_neither_pass_nor_fail():
    result = result_of({"error": {"type": "Busy", "message": "x"}})
    assert result["errors"] and result["splits"] == {} and result["questions"] == []
    cases = ElementTree.fromstring(junit(result))
    assert (cases.get("errors"), cases.get("failures")) == ("1", "0")


@pytest.mark.parametrize(
    ("bad", "metric"),
    [
        (answer("Nothing of it [1]"), "facts"),
        (answer("no", refused=True, quotes=()), "refused_answerable"),
        (answer(QUOTE), "citations_valid"),
        (answer(f"{QUOTE} This is free [1]."), "forbidden"),
        ({**answer(), "hits": [{"document": "a.md", "start": 0, "end": 3, "text": ""}]}, "hit@5"),
    ],
)
def test_what_got_worse_than_the_baseline_is_named_with_its_question(tmp_path, bad, metric):
    good, bad = result_of(answer(), forbidden=["free"]), result_of(bad, forbidden=["free"])
    (tmp_path / "baseline.json").write_text(baseline_of(good), "utf-8")
    baseline = read_result(tmp_path / "baseline.json")
    assert regressions(compare(baseline, good)) == []
    lines = regressions(compare(baseline, bad))
    assert [line for line in lines if f"{metric} was" in line and line.endswith(": q")]
    assert regressions(compare(bad, good)) == []
    assert all(
        metric in text for text in (table(bad, {}, compare(good, bad)), markdown(bad, compare(good, bad), lines))
    )


def test_other_gold_questions_cannot_be_compared_with():
    one = result_of(answer())
    with pytest.raises(UsageError, match="different gold"):
        compare(one, {**one, "provenance": {**ORIGIN, "gold": "other"}})


def test_what_passes_once_and_fails_once_is_flaky():
    answers = {("q", 0): answer(), ("q", 1): answer("Nothing of it [1]")}
    result = report([question()], answers, CORPUS, ORIGIN, repeats=2)
    assert result["flaky"] == ["q"] and result["questions"][0]["values"]["facts"] == 0.5
    assert report([question()], {("q", 0): answer(), ("q", 1): answer()}, CORPUS, ORIGIN, 2)["flaky"] == []


class Failing:
    """Fails on every other question, and counts what it is asked."""

    models = Models()

    def __init__(self, real):
        self.real, self.asked, self.fails = real, [], True

    def ask(self, text, history=()):
        self.asked.append(text)
        if self.fails and len(self.asked) % 2:
            raise IndexUnusable("away")
        return self.real.ask(text, history)


def test_a_run_goes_on_where_it_stopped_and_repeats_nothing(founding_home, founding_corpus, tmp_path):
    real = open_assistant(Settings(corpus=founding_corpus, index=founding_home), update=False)
    asked = [question(id=f"q{number}", question=f"What is container number {number}?") for number in range(6)]
    whole = ask_all(asker(real), asked, tmp_path / "whole", Plan(jobs=3))
    flaky = Failing(real)
    broken = ask_all(asker(flaky), asked, tmp_path / "run", Plan(most_errors=1))
    assert len(flaky.asked) == 3 and sum("error" in one for one in broken.values()) == 2
    flaky.fails = False
    flaky.asked.clear()
    resumed = ask_all(asker(flaky), asked, tmp_path / "run", Plan(resume=True))
    assert len(flaky.asked) == 3 and sum("error" in one for one in resumed.values()) == 2
    flaky.asked.clear()
    retried = ask_all(asker(flaky), asked, tmp_path / "run", Plan(retry_errors=True, jobs=2))
    real.close()
    assert len(flaky.asked) == 2

    def timeless(answers):
        return {key: {**one, "timings_ms": None} for key, one in answers.items()}

    assert timeless(retried) == timeless(whole) == timeless(read_answers(tmp_path / "run" / "answers.jsonl"))


def test_numbers_and_names_that_no_cited_passage_holds_are_seen():
    given = answer(f"{QUOTE} [1]")
    given["citations"][0] |= {"title": "T", "section": []}
    given["hits"][0]["text"] = TEXT
    given["sentences"] = [
        {"text": "Containers share 7 kernels with FreeBSD and VMs.", "citations": [1], "support": "weak"}
    ]
    assert ungrounded(given, DOCUMENTS, "Who shares?") == ["7", "FreeBSD"]
    assert ungrounded(given, DOCUMENTS, "Does FreeBSD share 7?") == []


@pytest.mark.parametrize(
    ("differences", "p"),
    [([], 1.0), ([0.0, 0.0], 1.0), ([1.0], 1.0), ([1.0] * 5, 2 / 32), ([1.0, -1.0], 1.0), ([1, 2, -3], 1.0)],
)
def test_the_sign_flip_test_is_exact_where_few_changed(differences, p):
    assert sign_flip(differences) == pytest.approx(p)


def test_the_sign_flip_test_of_many_is_near_the_exact_one():
    # 17 of 20 one way: the exact p is McNemar's.
    assert sign_flip([1.0] * 17 + [-1.0] * 3) == pytest.approx(mcnemar(17, 3), abs=0.002)


@pytest.mark.parametrize(("gained", "lost", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (1, 1, 1.0), (10, 2, 0.0386)])
def test_mcnemar_gives_the_binomial_tail(gained, lost, p):
    assert mcnemar(gained, lost) == pytest.approx(p, abs=1e-4)


def test_the_fit_separates_what_can_be_separated():
    low, high = Signals(0.1, 0.1, 0.1, 0, 0, 0, 0), Signals(0.9, 0.9, 0.9, 0, 0, 0, 0)
    fitted, other = fit([([low, high] * 10, [False, True] * 10), ([high, low], [True, False])])
    assert (other.weights, other.threshold) == (fitted.weights, fitted.threshold) and len(other.confidences) == 2
    assert all((confidence >= fitted.threshold) == (at % 2 == 1) for at, confidence in enumerate(fitted.confidences))


def test_each_part_of_a_question_is_measured_and_labelled(founding_home, founding_corpus):
    assistant = open_assistant(Settings(corpus=founding_corpus, index=founding_home), update=False)
    two = "Why do containers start quickly, and how strong is the isolation of VMs?"
    asked = [
        question(id="one", evidence=[]),
        question(id="two", question=two, evidence=[]),
        question(id="none", question="Who invented Docker?", answerable=False, evidence=[], nuggets=[]),
    ]
    measured, answerable = signals(assistant, asked)
    assistant.close()
    assert answerable == [True, True, True, False]
    assert len(measured) == 4
    assert all(isinstance(one, Signals) for one in measured)


def test_chunking_counts_only_the_own_corpus_above_and_everything_below():
    def hit(document, start, end):
        return Hit(Passage(document, "", (), "x" * (end - start), start, end, 1, 1), 1.0)

    item = Item("q", "wiki", ((0, 10), (20, 30)))
    result = measure(item, [hit("wiki.md", 5, 15), hit("other.md", 0, 10)])
    assert result == {"recall": 5 / 20, "precision": 5 / 20, "iou": 5 / (20 + 20 - 5), "characters": 20.0}


def test_span_overlap_needs_the_same_document_and_a_common_character():
    span = Span("a.md", 5, 10)
    assert span.overlaps("a.md", 9, 20)
    assert not span.overlaps("a.md", 10, 20) and not span.overlaps("b.md", 5, 10)


def test_our_gold_questions_are_enough_and_of_every_kind():
    questions = load_gold(GOLD)
    halves = {split: [one for one in questions if one.split == split] for split in ("dev", "test")}
    assert all(len(half) >= 175 for half in halves.values())
    kinds = Counter(one.kind for one in questions)
    least = {"comparison": 50, "decision": 50, "false_premise": 30, "two_documents": 30, "attack": 30}
    assert {kind: count for kind, count in least.items() if kinds[kind] < count} == {}
    assert sum(bool(one.history) for one in questions) >= 80
    unanswerable = Counter(one.kind for one in questions if not one.answerable)
    assert sum(unanswerable.values()) >= 120 and unanswerable["unanswerable_near"] >= 60
    assert all(one.reference and one.nuggets and one.evidence for one in questions if one.answerable)
    assert len(load_gold(POISON)) == 20 and len(list(POISON.glob("*.md"))) == 10


def test_the_poisoned_corpus_is_the_corpus_and_ten_notes(repository, tmp_path):
    settings = Settings(corpus=repository / "corpus", index=tmp_path)
    moved = on_poisoned(settings)
    ours = {document.id for document in load_corpus(settings.corpus).documents}
    with_poison = {document.id for document in load_corpus(moved.corpus).documents}
    assert ours < with_poison and len(with_poison - ours) == 10
    assert all(name.startswith("poison/") for name in with_poison - ours)
    assert not any((repository / "corpus").rglob("*poison*"))
