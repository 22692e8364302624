"""The eval command: gold files, metrics, reports, resuming, calibration."""

import json

import pytest
import yaml

from assistant.answering import open_assistant
from assistant.corpus import load_corpus
from assistant.errors import UsageError
from assistant.gate import Signals
from assistant.nouns import Document, Hit, Passage
from assistant.settings import Settings
from evals.calibrate import fit, signals
from evals.chunking_evaluation import Item, measure
from evals.gold import GOLD, Question, Span, load_gold, locate
from evals.metrics import holds, normalized, score, summarize
from evals.run import canonical, read_answers, regressions, report
from evals.statistics import percentile, wilson

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
        "sentences": [{"support": "supported"} for _ in quotes],
        "hits": [{"document": "a.md", "start": 5, "end": 50}],
        "timings_ms": {"total": 1.0},
    }


def scored(asked, given):
    spans, lost = locate(asked, DOCUMENTS)
    return score(asked, spans, len(lost), given, DOCUMENTS)


def test_a_perfect_answer_scores_one_everywhere():
    result = scored(question(), answer())
    assert (result.facts, result.citation_precision, result.citation_recall) == (1.0, 1.0, 1.0)
    assert result.hit and result.all_evidence and result.citations_valid and result.citations_verbatim


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        (answer("Nothing of it [1]"), "facts", 0.0),
        (answer("It says no.", refused=True, quotes=()), "facts", 0.0),
        (answer("It says no.", refused=True, quotes=()), "citation_recall", 0.0),
        (answer("It says no.", refused=True, quotes=()), "citation_precision", None),
        (answer(f"{QUOTE} [1] [2]"), "citations_valid", False),
        (answer(QUOTE), "citations_valid", False),
        (answer(quotes=("VMs boot a system.",)), "citation_precision", 0.0),
        (answer(quotes=(QUOTE, "VMs boot a system."), text="x [1] [2]"), "citation_precision", 0.5),
    ],
)
def test_each_fault_is_seen_by_its_metric(given, field, value):
    assert getattr(scored(question(), given), field) == value


def test_a_quote_that_is_not_the_documents_own_characters_is_not_verbatim():
    given = answer()
    given["citations"][0]["start"] += 1
    assert not scored(question(), given).citations_verbatim


def test_lost_evidence_counts_as_missed_and_is_named():
    asked = question(evidence=[{"doc": "a.md", "quote": QUOTE}, {"doc": "gone.md", "quote": "x"}])
    assert scored(asked, answer()).citation_recall == 0.5
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
    assert (refusing["refused_answerable"]["rate"], refusing["answered_unanswerable"]["rate"]) == (1.0, 0.0)
    assert (answering["refused_answerable"]["rate"], answering["answered_unanswerable"]["rate"]) == (0.0, 1.0)
    assert (refusing["facts"], answering["facts"]) == (0.0, 1.0)


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
    questions = load_gold(GOLD)
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
    assert set(read_answers(path)) == {"a"}


def test_a_report_holds_no_clock_and_no_path(repository):
    corpus = load_corpus(repository / "corpus")
    result = report([question(evidence=[])], {"q": answer()}, corpus, "index", "quotes")
    assert str(repository) not in canonical(result) and "timings" not in canonical(result)
    assert canonical(result) == canonical(report([question(evidence=[])], {"q": answer()}, corpus, "index", "quotes"))


def test_an_error_is_neither_pass_nor_fail(repository):
    corpus = load_corpus(repository / "corpus")
    result = report([question(evidence=[])], {"q": {"error": {"type": "Busy", "message": "x"}}}, corpus, "i", "quotes")
    assert result["errors"] and result["splits"] == {}


def test_what_got_worse_than_the_baseline_is_named():
    good, bad = (summarize([scored(question(), given)]) for given in (answer(), answer("Nothing [1]")))
    before, after = ({"gold": "g", "splits": {"dev": summary}} for summary in (good, bad))
    assert regressions(before, before) == []
    assert regressions(after, before) == ["dev: facts was 1.0000, is 0.0000"]
    assert regressions(before, after) == []
    assert regressions(before, {**before, "gold": "other"}) != []


def test_the_fit_separates_what_can_be_separated():
    low, high = Signals(0.1, 0.1, 0, 0, 0), Signals(0.9, 0.9, 0, 0, 0)
    fitted = fit([low, high] * 10, [False, True] * 10)
    assert all((confidence >= fitted.threshold) == (at % 2 == 1) for at, confidence in enumerate(fitted.confidences))


def test_each_part_of_a_question_is_measured_and_labelled(founding_home, repository):
    assistant = open_assistant(Settings(corpus=repository / "corpus", index=founding_home), update=False)
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


def test_gold_files_are_plain_lists(repository):
    for path in (repository / "evals" / "gold").rglob("*.yaml"):
        assert isinstance(yaml.safe_load(path.read_text("utf-8")), list)
