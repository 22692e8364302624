"""The whole flow: ask is the last of stream, a refusal says what is missing, an edit is in the next answer."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import with_encoders

from assistant.answering import Assistant, open_assistant, refusal, whole_parts
from assistant.build import build
from assistant.citations import SILENT
from assistant.corpus import load_corpus
from assistant.errors import AssistantError, IndexUnusable, UsageError
from assistant.gate import Decision
from assistant.index import current
from assistant.nouns import Answer, Turn
from assistant.publishing import build_lock
from assistant.rendering import Table, answer_json, blocks_of
from assistant.settings import Settings
from evals.gold import FOUNDING_GOLD, load_gold

ANSWERABLE = "Why do containers start faster than VMs?"
UNANSWERABLE = "What does a Docker subscription cost?"

FACTS = "# Ports\n\nThe container registry listens on port 5000. The web server listens on port 8080.\n"
QUESTION = "Which port does the container registry listen on?"


@pytest.fixture(scope="module")
def founded(founding_home, founding_corpus):
    assistant = open_assistant(Settings(corpus=founding_corpus, index=founding_home), update=False)
    yield assistant
    assistant.close()


@pytest.fixture
def opened(tmp_path, index_home, write_corpus):
    """Opens an assistant on the documents of this test; closes it afterwards."""
    assistants = []

    def made(documents=None, update=True, **options):
        if documents:
            write_corpus(tmp_path / "corpus", documents)
        settings = Settings(corpus=tmp_path / "corpus", index=index_home)
        assistants.append(open_assistant(settings, update, **options))
        return assistants[-1]

    yield made
    for assistant in assistants:
        assistant.close()


def without_times(answer: Answer):
    return {name: getattr(answer, name) for name in Answer.__slots__ if name != "timings_ms"}


@pytest.mark.parametrize("question", [ANSWERABLE, UNANSWERABLE])
def test_ask_is_the_last_of_stream(question, founded):
    steps = list(founded.stream(question))
    assert all(isinstance(step, Answer) for step in steps)
    assert without_times(steps[-1]) == without_times(founded.ask(question))
    assert all(step.hits == steps[-1].hits and step.refused == steps[-1].refused for step in steps)


def test_an_answer_is_checked_from_end_to_end(founded, founding_text):
    answer = founded.ask(ANSWERABLE)
    assert not answer.refused
    assert answer.answered_by == "quotes"
    assert 2 <= len(answer.sentences) <= 4
    for sentence in answer.sentences:
        assert answer.text[sentence.start : sentence.end] == sentence.text
        assert sentence.support == "supported"
    for citation in answer.citations:
        assert founding_text[citation.start : citation.end] == citation.quote
    assert set(answer.timings_ms) == {"retrieve", "write", "verify", "total"}
    assert all(value >= 0 for value in answer.timings_ms.values())


def test_a_refusal_says_what_is_missing_and_shows_what_comes_nearest(founded):
    answer = founded.ask(UNANSWERABLE)
    assert answer.refused
    assert answer.sentences == answer.citations == ()
    assert answer.hits
    assert "subscription" in answer.text
    assert answer.text.endswith(".")
    assert "[1]" not in answer.text


@pytest.mark.parametrize("missing", [(), ("one",), ("one", "two"), tuple("abcdefgh")])
def test_a_refusal_is_one_sentence(missing):
    text = refusal(Decision(False, 0.0, missing))
    assert text.count(". ") == 0
    assert text.endswith(".")
    assert all(word in text for word in missing[:2])


def test_equal_questions_have_equal_ids_and_others_do_not(founded):
    one = founded.ask(ANSWERABLE).id
    assert one == founded.ask(f"  {ANSWERABLE}\n").id
    assert len({one, founded.ask(UNANSWERABLE).id, founded.ask(ANSWERABLE, [Turn("Hello, docker?", "")]).id}) == 3


class NeverSearched:
    def borrow(self):
        raise AssertionError("the index was searched")


@pytest.mark.parametrize("question", ["", "  \n", "?!", "x" * 2001, "…"])
def test_an_impossible_question_is_refused_before_anything_is_searched(question, encoder):
    assistant = Assistant(Settings(), encoder, NeverSearched())
    with pytest.raises(UsageError):
        assistant.ask(question)
    with pytest.raises(UsageError):
        assistant.search(question, 3)


def test_the_longest_question_is_answered(founded):
    assert founded.ask("containers " * 180 + "start fast?").hits


@pytest.mark.parametrize(
    "question", ["what is \ud800 here", "\x00 containers \x1b[31m", "容器", "🐳 1", "\u202econtainers"]
)
def test_odd_characters_are_answered_or_refused_and_crash_nothing(question, founded):
    try:
        assert founded.ask(question).text
    except AssistantError as error:
        assert "\n" not in str(error)


def test_a_follow_up_leans_on_the_conversation(founded):
    answer = founded.ask("And why is that?", [Turn("How fast do containers start?", "Almost instantly.")])
    assert "start" in answer.search_query
    assert "containers" in answer.search_query
    assert answer.question == "And why is that?"


def test_no_history_is_used_where_none_is_wanted(founding_home, founding_corpus, encoder, founded):
    settings = Settings(corpus=founding_corpus, index=founding_home, history_turns=0)
    answer = Assistant(settings, encoder, founded.live).ask("And why is that?", [Turn("How fast do containers start?")])
    assert answer.search_query == "And why is that?"


def test_search_gives_the_hits_of_the_answer(founded):
    assert founded.search(ANSWERABLE, 5) == founded.ask(ANSWERABLE).hits


def test_opening_without_update_needs_a_snapshot(opened):
    with pytest.raises(IndexUnusable, match="Run: assistant index"):
        opened({"ports.md": FACTS}, update=False)


def test_an_edited_sentence_is_in_the_next_answer(opened, tmp_path):
    first = opened({"ports.md": FACTS})
    assert "port 5000" in first.ask(QUESTION).text
    edited = FACTS.replace("5000", "5443")
    second = opened({"ports.md": edited})
    answer = second.ask(QUESTION)
    assert "port 5443" in answer.text
    assert "5000" not in answer.text
    assert edited[answer.citations[0].start : answer.citations[0].end] == answer.citations[0].quote


def test_an_open_assistant_answers_from_a_snapshot_published_meanwhile(opened):
    first = opened({"ports.md": FACTS})
    before = first.ask(QUESTION)
    opened({"ports.md": FACTS.replace("5000", "5443")})
    after = first.ask(QUESTION)
    assert "port 5443" in after.text
    assert after.index != before.index


def test_a_document_that_cannot_be_read_is_named_and_the_rest_is_answered_from(opened):
    said: list[str] = []
    assistant = opened({"ports.md": FACTS, "bad.md": b"\xff\xfe\xfa"}, complain=said.append)
    assert "port 5000" in assistant.ask(QUESTION).text
    assert len(said) == 1
    assert "bad.md" in said[0]


HOLD = """
import pathlib, sys
from assistant.publishing import build_lock
with build_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_while_another_process_builds_the_old_snapshot_answers_with_a_notice(
    tmp_path, index_home, write_corpus, build_snapshot, opened
):
    corpus = write_corpus(tmp_path / "corpus", {"ports.md": FACTS})
    old = build_snapshot(corpus, index_home).index
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(index_home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        assistant = opened({"ports.md": FACTS.replace("5000", "5443")})
        answer = assistant.ask(QUESTION)
        assert "port 5000" in answer.text
        assert answer.index == old
        assert len(answer.notices) == 1
        assert "rebuilt" in answer.notices[0]
    finally:
        holder.communicate()
    new = build_snapshot(corpus, index_home).index
    later = assistant.ask(QUESTION)
    assert later.index == new
    assert "port 5443" in later.text
    assert later.notices == (), "the notice outlives the build it speaks of"


def test_the_snapshot_of_another_model_is_not_answered_from(opened, tmp_path, index_home, word_encoder, encoders):
    opened({"ports.md": FACTS})
    with build_lock(index_home):
        build(load_corpus(tmp_path / "corpus"), index_home, word_encoder, 700)
    with pytest.raises(IndexUnusable, match="Run: assistant index"):
        opened(update=False)


def test_a_running_assistant_survives_a_snapshot_of_another_model(opened, tmp_path, index_home, word_encoder):
    assistant = opened({"ports.md": FACTS})
    with build_lock(index_home):
        build(load_corpus(tmp_path / "corpus"), index_home, word_encoder, 700)
    try:
        assert "port 5000" in assistant.ask(QUESTION).text
    except AssistantError as error:
        assert "Run: assistant index" in str(error)


def test_two_assistants_share_an_index_folder(tmp_path, encoders, write_corpus):
    home = with_encoders(tmp_path / "shared", encoders)
    settings = Settings(corpus=write_corpus(tmp_path / "c", {"ports.md": FACTS}), index=home)
    first, second = open_assistant(settings), open_assistant(settings)
    assert first.ask(QUESTION).text == second.ask(QUESTION).text
    first.close()
    assert second.ask(QUESTION).index == current(home)
    second.close()


TWO = "Why do containers start quickly, and how strong is the isolation of VMs?"
HALF = "Why do containers start quickly, and what does a Docker subscription cost per year?"


def test_two_questions_in_one_are_both_answered(founded):
    answer = founded.ask(TWO)
    assert not answer.refused
    assert answer.notices == ()
    quoted = " ".join(citation.quote for citation in answer.citations)
    assert "start almost instantly" in quoted
    assert "hardware-level isolation" in quoted
    assert {citation.passage for citation in answer.citations} <= {hit.passage for hit in answer.hits}
    assert len({hit.passage.id for hit in answer.hits}) == len(answer.hits)


def test_the_part_that_is_not_answered_is_named(founded):
    answer = founded.ask(HALF)
    assert not answer.refused
    assert "start almost instantly" in answer.text
    (notice,) = answer.notices
    assert "what does a Docker subscription cost per year?" in notice
    assert "start quickly" not in notice
    assert "subscription" not in answer.text


def test_where_no_part_is_answered_the_whole_is_refused(founded):
    answer = founded.ask(
        "What does a Docker subscription cost per year, and who invented the first hypervisor in Paris?"
    )
    assert answer.refused
    assert answer.notices == ()
    assert answer.sentences == ()


@pytest.mark.parametrize(
    ("question", "answered", "asked"),
    [
        ("What is a hypervisor and what does a Docker subscription cost?", "hypervisor", "subscription"),
        ("What is a hypervisor and what is the weather in Paris?", "hypervisor", "weather"),
        ("What does a Docker subscription cost, and what is a hypervisor?", "hypervisor", "subscription"),
    ],
)
def test_a_short_question_beside_one_that_is_not_answered_is_answered(question, answered, asked, founded):
    answer = founded.ask(question)
    assert not answer.refused
    assert answered in answer.text
    (notice,) = answer.notices
    assert asked in notice


def test_a_single_question_has_no_notice(founded):
    for question in (ANSWERABLE, UNANSWERABLE, "Compare the isolation of containers and VMs"):
        assert founded.ask(question).notices == ()


def test_the_parts_of_a_message_are_made_whole(comparison):
    assert whole_parts(ANSWERABLE, comparison) == [ANSWERABLE]
    first, second = whole_parts(TWO, comparison)
    assert first == "Why do containers start quickly"
    assert second == "how strong is the isolation of VMs?"
    first, second = whole_parts("How fast do containers boot? And how much memory do they need?", comparison)
    assert second == "how much memory do containers need?"


@pytest.mark.parametrize("question", ["Which is faster, and why?", "Do containers share the kernel? And VMs?", "Why?"])
def test_a_message_of_one_question_is_searched_as_it_stands(question, comparison):
    assert whole_parts(question, comparison) == [question]


def test_the_same_question_of_the_other_side_is_shown_whole(founded):
    answer = founded.ask("And VMs?", [Turn("How quickly do containers boot?", "Almost instantly.")])
    assert answer.search_query == "How quickly do VMs boot?"
    assert answer.question == "And VMs?"
    assert "take longer to start" in answer.sentences[0].text
    assert founded.ask(answer.search_query).text == answer.text


def test_a_comparison_is_answered_by_a_table(founded, comparison):
    answer = founded.ask("Compare the isolation of containers and VMs")
    (table,) = [block for block in blocks_of(answer) if isinstance(block, Table)]
    assert table.header == ["Containers", "Virtual machines"]
    for row in table.rows:
        for side, cell in enumerate(row):
            assert cell == SILENT or comparison.only(cell) == side


@pytest.mark.parametrize(
    "question", ["Docker vs VMs: speed", "Containers vs VMs", "What are the differences in speed?"]
)
def test_no_column_is_both_filled_and_silent(question, founded):
    for block in blocks_of(founded.ask(question)):
        if isinstance(block, Table):
            for column in zip(*block.rows, strict=True):
                assert len({cell == SILENT for cell in column}) == 1, column


@pytest.mark.parametrize(
    ("question", "side"),
    [
        ("When should I use VMs?", 1),
        ("When should I use containers?", 0),
        ("When is Docker a good choice?", 0),
        ("When are virtual machines the right choice?", 1),
        ("What are VMs good for?", 1),
        ("How do VMs start?", 1),
        ("How do containers start?", 0),
    ],
)
def test_a_question_about_one_side_is_answered_of_that_side_first(question, side, founded, comparison):
    assert comparison.first(founded.ask(question).sentences[0].text) == side


@pytest.mark.parametrize("aspect", ["startup", "boot time", "isolation", "kernels", "resource consumption", "security"])
def test_no_side_is_said_to_be_silent_on_what_the_documents_tell_of_it(aspect, founded):
    assert SILENT not in founded.ask(f"Compare the {aspect} of containers and VMs").text


def test_many_threads_get_the_answers_of_one(founded, repository):
    questions = [one for one in load_gold(FOUNDING_GOLD) if one.question][:200]
    assert len(questions) == 200

    def ask(one):
        told = answer_json(founded.ask(one.question, one.turns))
        del told["timings_ms"]
        return json.dumps(told)

    alone = [ask(one) for one in questions]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(ask, questions))
    assert together == alone
