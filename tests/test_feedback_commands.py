"""What becomes of ratings: listed, exported, deleted, made drafts of gold questions, asked again."""

import json
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest
import yaml
from conftest import child_environment, with_encoders
from test_cli import HEAVY, complains_once, loaded

from assistant import __version__
from assistant.answering import open_assistant
from assistant.corpus import load_corpus
from assistant.errors import UsageError
from assistant.feedback import REASONS, Feedback, Rating
from assistant.nouns import Turn
from assistant.rendering import answer_json
from assistant.settings import Settings
from evals import feedback
from evals.gold import load_gold, locate

QUESTION = "Why do containers start faster than VMs?"
UNANSWERED = "What does a Docker subscription cost?"
HISTORY = [{"question": "How fast do containers start?", "answer": "Almost instantly."}]
UNKNOWN = "0123456789abcdef"


@pytest.fixture(scope="module")
def traced(founding_corpus, founding_home):
    """Asks a question of the founding document and gives the trace that the chat would store."""
    assistant = open_assistant(Settings(corpus=founding_corpus, index=founding_home), update=False)

    def trace(question=QUESTION, history=(), query=""):
        turns = [Turn(**turn) for turn in history]
        answer = deque(assistant.stream(question, turns, query=query), maxlen=1).pop()
        return {
            "question": question,
            "query": query,
            "history": list(history),
            "answer": answer_json(answer),
            "versions": {"assistant": __version__, "index": answer.index, "written_by": answer.answered_by},
        }

    yield trace
    assistant.close()


@pytest.fixture
def stored(tmp_path):
    return Feedback(tmp_path / "ratings" / "feedback.sqlite3")


@pytest.fixture
def ready(founding_corpus, founding_home, stored):
    """The environment of a process whose index is up to date and whose ratings are `stored`."""
    return child_environment(founding_corpus, founding_home) | {"ASSISTANT_FEEDBACK": str(stored.path)}


def run(program, arguments, env):
    return subprocess.run(
        [sys.executable, "-m", program, *arguments],
        cwd=Path(__file__).parent.parent,
        env=env,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def assistant(*arguments, env):
    return run("assistant.cli", ["feedback", *arguments], env)


def evals(*arguments, env):
    return run("evals", arguments, env)


def rating(trace, rated="down", reason="", comment=""):
    return Rating(UNKNOWN, "2026-11-24T12:00:00+00:00", rated, reason, comment, trace)


def read_draft(text, folder, **filled):
    """The one question of a draft, as `load_gold` reads it once what is TODO is filled in."""
    (entry,) = yaml.safe_load(text)
    folder.mkdir(exist_ok=True)
    (folder / "draft.yaml").write_text(yaml.safe_dump([entry | filled]), "utf-8")
    (question,) = load_gold(folder)
    return question


def test_the_list_has_a_line_for_each_rating(stored, ready, traced):
    up = stored.save("up", traced())
    down = stored.save(
        "down", traced() | {"question": "Is it\x1b[31m\nred\u202e?"}, "Something is missing", "more\n\x1b[31mwords"
    )
    dates = [one.created[:10] for one in stored.all()]
    done = assistant("list", env=ready)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{up}  {dates[0]}  up    -                     {QUESTION}",
        f"{down}  {dates[1]}  down  Something is missing  Is it[31m red?",
    ]
    told = json.loads(assistant("list", "--json", env=ready).stdout)
    assert [list(one) for one in told] == [["id", "created", "rating", "reason", "comment", "question"]] * 2
    assert told[1]["comment"] == "more\n\x1b[31mwords" and told[1]["question"] == "Is it\x1b[31m\nred\u202e?"


def test_nothing_rated_is_an_empty_list_and_makes_no_file(stored, ready):
    done = assistant("list", env=ready)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "assistant: nothing was rated yet\n")
    assert assistant("list", "--json", env=ready).stdout == "[]\n"
    assert assistant("export", env=ready).stdout == ""
    assert not stored.path.exists()


def test_the_export_has_the_whole_trace_a_line(stored, ready, traced):
    traces = [traced(), traced("And VMs?", HISTORY), traced() | {"question": "a\nline\u2028break"}]
    names = [stored.save("down", trace, REASONS[0], "é\n") for trace in traces]
    done = assistant("export", env=ready)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [list(line) for line in lines] == [["id", "created", "rating", "reason", "comment", "trace"]] * 3
    assert [line["id"] for line in lines] == names
    assert [line["trace"] for line in lines] == json.loads(json.dumps(traces))
    assert lines[0]["comment"] == "é\n"


def test_a_rating_is_deleted_once(stored, ready, traced):
    kept, gone = stored.save("up", traced()), stored.save("up", traced())
    done = assistant("delete", gone, env=ready)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [one.id for one in stored.all()] == [kept]
    again = assistant("delete", gone, env=ready)
    complains_once(again, 1)
    assert gone in again.stderr and "assistant feedback list" in again.stderr


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["export"], ["delete", UNKNOWN]])
def test_without_a_file_of_ratings_nothing_can_be_listed(arguments, ready):
    done = assistant(*arguments, env=ready | {"ASSISTANT_FEEDBACK": "off"})
    complains_once(done, 2)
    assert "ASSISTANT_FEEDBACK" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["delete"], ["show"], ["list", "--no-such-flag"]])
def test_wrong_usage_is_one_line(arguments, ready):
    complains_once(assistant(*arguments, env=ready), 2)


def test_a_file_that_holds_no_ratings_is_one_line(stored, ready):
    stored.path.parent.mkdir()
    stored.path.write_bytes(b"no database, but long enough to be taken for one" * 100)
    done = assistant("list", env=ready)
    complains_once(done, 1)
    assert str(stored.path) in done.stderr


def test_the_list_loads_nothing_heavy(stored, ready, traced):
    stored.save("up", traced())
    assert loaded(HEAVY, ["feedback", "list"], ready) == "0 []"


@pytest.mark.parametrize("command", ["promote", "replay"])
def test_an_unknown_rating_is_wrong_usage(command, ready):
    done = evals(command, UNKNOWN, env=ready)
    complains_once(done, 2)
    assert UNKNOWN in done.stderr and "assistant feedback list" in done.stderr
    complains_once(evals(command, UNKNOWN, env=ready | {"ASSISTANT_FEEDBACK": "off"}), 2)


def test_a_good_answer_becomes_a_draft_with_its_evidence(stored, ready, traced, founding_corpus, tmp_path):
    trace = traced()
    name = stored.save("up", trace)
    done = evals("promote", name, env=ready)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"# A draft, from feedback {name} of ")
    assert "# Candidates" not in done.stdout and "# TODO evidence" not in done.stdout
    nuggets = [{"any_of": ["almost instantly"]}]
    question = read_draft(done.stdout, tmp_path / "gold", split="dev", nuggets=nuggets, reference="At once.")
    assert (question.question, question.kind, question.answerable) == (QUESTION, "fact", True)
    assert question.id == f"feedback-{name}"
    quotes = [one.quote for one in question.evidence]
    assert quotes == list(dict.fromkeys(one["quote"] for one in trace["answer"]["citations"])) and quotes
    documents = {document.id: document for document in load_corpus(founding_corpus).documents}
    assert locate(question, documents)[1] == []


def test_a_draft_is_written_once_and_is_no_gold_question_yet(stored, ready, traced, tmp_path):
    name = stored.save("down", traced(), "Something is missing")
    file = tmp_path / "gold" / "draft.yaml"
    complains_once(evals("promote", name, "--out", str(file), env=ready), 2)  # there is no such folder
    file.parent.mkdir()
    done = evals("promote", name, "--out", str(file), env=ready)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    before = file.read_bytes()
    assert before.decode() == feedback.draft(stored.get(name))
    again = evals("promote", stored.save("up", traced()), "--out", str(file), env=ready)
    complains_once(again, 2)
    assert "draft.yaml" in again.stderr and file.read_bytes() == before

    lint = evals("lint", "--gold", str(file.parent), env=ready)
    complains_once(lint, 2)
    assert f"draft.yaml, question feedback-{name}: split: still TODO; a draft" in lint.stderr


@pytest.mark.parametrize("rated", ["up", "down"])
@pytest.mark.parametrize("question", [QUESTION, UNANSWERED])
def test_no_draft_counts_before_each_of_its_fields_is_filled_in(rated, question, traced, tmp_path):
    text = feedback.draft(rating(traced(question), rated))
    (entry,) = yaml.safe_load(text)
    filled = {
        "split": "dev",
        "evidence": [{"doc": "a.md", "quote": "a"}],
        "nuggets": [{"any_of": ["a"]}],
        "reference": "a",
    }
    left = [name for name in filled if f"# TODO {name}: " in text]
    assert left == [name for name in filled if "TODO" in json.dumps(entry.get(name))]
    assert "split" in left and (len(left) > 1) == entry.get("answerable", True)
    for name in left:
        with pytest.raises(UsageError, match=rf"draft\.yaml, question feedback-{UNKNOWN}: {name}.*: still TODO"):
            read_draft(text, tmp_path, **{other: filled[other] for other in left if other != name})
    assert read_draft(text, tmp_path, **{name: filled[name] for name in left}).question == question


def test_what_a_bad_answer_cited_is_only_offered(traced):
    trace = traced()
    text = feedback.draft(rating(trace, "down", "It is wrong"))
    (entry,) = yaml.safe_load(text)
    assert entry["evidence"] == [{"doc": "TODO", "quote": "TODO"}]
    comments = text[text.index("# Candidates") : text.index("\n- id:")].splitlines()[1:]
    offered = yaml.safe_load("\n".join(line.removeprefix("#   ") for line in comments))
    assert offered == feedback.candidates(trace["answer"])
    assert {one["quote"] for one in offered} == {one["quote"] for one in trace["answer"]["citations"]}


def test_a_question_that_should_have_been_answered_is_offered_the_passages_found(traced):
    trace = traced(UNANSWERED)
    text = feedback.draft(rating(trace, "down", feedback.SHOULD_ANSWER))
    assert trace["answer"]["refused"] and "# Candidates" in text
    assert feedback.candidates(trace["answer"])[0] == {
        "doc": trace["answer"]["hits"][0]["document"],
        "quote": trace["answer"]["hits"][0]["text"],
    }


def test_what_a_reader_wrote_stays_a_comment(traced):
    words = "first\n- id: mine\r\n  question: x\x85- id: y\u2028- id: z\n\n# \x1b[31m\ufffe end"
    trace = traced(query="startup time of containers") | {"question": "- id: 'x'\n# \"is it: &a *b\ufffe?"}
    text = feedback.draft(rating(trace, "down", "Something else", words))
    (entry,) = yaml.safe_load(text)
    assert entry["id"] == f"feedback-{UNKNOWN}" and entry["question"] == trace["question"]
    head = text[: text.index("\n- id: feedback")].splitlines()
    assert all(line.startswith("#") for line in head)
    assert head[1:3] == ["# Reason: Something else", "# Comment: first"]
    assert "#   - id: mine" in head and "#   # [31m end" in head
    assert "# Searched instead of the question: startup time of containers" in head


KINDS = {
    "an answer": (QUESTION, (), "", "fact", True),
    "a follow-up": ("And VMs?", HISTORY, "", "follow_up", True),
    "a refusal": (UNANSWERED, (), "", "unanswerable_near", False),
    "a refusal for another reason": (UNANSWERED, (), "Something else", "unanswerable_near", False),
    "a refusal that should not be": (UNANSWERED, (), "It should have been answered", "fact", True),
    "an answer that should not be": (QUESTION, (), "It should not have been answered", "unanswerable_near", False),
    "such a follow-up": ("And VMs?", HISTORY, "It should not have been answered", "follow_up", False),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_kind_is_guessed_from_the_answer_and_the_reason(name, traced):
    question, history, reason, kind, answerable = KINDS[name]
    text = feedback.draft(rating(traced(question, history), "down", reason))
    (entry,) = yaml.safe_load(text)
    assert (entry["kind"], entry.get("answerable", True), entry.get("history", [])) == (kind, answerable, list(history))
    assert ("evidence" in entry, "nuggets" in entry, "# Candidates" in text) == (answerable,) * 3


def test_the_reasons_that_decide_are_those_that_are_offered():
    assert {feedback.SHOULD_ANSWER, feedback.SHOULD_REFUSE} < set(REASONS)


def test_asked_again_on_the_same_documents_nothing_changes(stored, ready, traced):
    """Though the history and what the reader had searched instead are what the question leans on."""
    name = stored.save("down", traced("And virtual machines?", HISTORY, "How secure are virtual machines?"))
    done = evals("replay", name, env=ready)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "And virtual machines?\nnothing changed\n"
    leaning = stored.save("up", traced("And virtual machines?", HISTORY))
    told = json.loads(evals("replay", leaning, "--json", env=ready).stdout)
    assert told == {"id": leaning, "question": "And virtual machines?", "changes": {}, "versions": {}}


def test_asked_again_on_other_documents_what_changed_is_shown(
    stored, ready, traced, founding_text, write_corpus, tmp_path, encoders
):
    trace = traced()
    name = stored.save("down", trace)
    gone = trace["answer"]["citations"][0]["quote"]
    corpus = write_corpus(
        tmp_path / "corpus",
        {
            "docker-vs-vms.md": founding_text.replace(gone, ""),
            "boot.md": "# Start\n\nContainers start faster than VMs because no second kernel has to boot.\n",
        },
    )
    home = with_encoders(tmp_path / "index", encoders)
    arguments = ["replay", name, "--corpus", str(corpus), "--index", str(home)]
    done = evals(*arguments, env=ready)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == QUESTION
    assert "  + Containers start faster than VMs because no second kernel has to boot." in lines
    assert f"  - docker-vs-vms.md: {gone}" in lines and "  + boot.md" in lines
    assert "nothing changed" not in done.stdout

    told = json.loads(evals(*arguments, "--json", env=ready).stdout)
    assert told["id"] == name and list(told["versions"]) == ["index"]
    assert told["versions"]["index"]["before"] == trace["answer"]["index"]
    assert {"sentences", "citations", "documents"} <= set(told["changes"])
    assert told["changes"]["documents"] == {"gone": [], "new": ["boot.md"]}


def test_each_change_is_told_and_nothing_else(traced):
    trace = traced()
    now = json.loads(json.dumps(trace["answer"]))
    was = rating(trace)
    assert feedback.replayed(was, now | {"timings_ms": {}, "id": "other"})["changes"] == {}

    renumbered = [one | {"text": one["text"].replace("[1]", "[9]")} for one in now["sentences"]]
    assert feedback.replayed(was, now | {"sentences": renumbered})["changes"] == {}

    def told(**changed):
        return feedback.report(feedback.replayed(was, now | changed)).splitlines()[1:]

    assert told(search_query="a\x1b[31m b") == [f"search query: {QUESTION} -> a[31m b"]
    assert told(refused=True) == ["refused: False -> True"]
    assert told(answered_by="openai:x") == ["answered by: quotes -> openai:x"]
    assert told(index="other") == ["nothing changed in the answer", f"version of the index: {now['index']} -> other"]
    first, *others = now["sentences"]
    weak = told(sentences=[first | {"support": "partial"}, *others])
    assert weak[0] == "sentences:" and weak[2] == f"{weak[1].replace('-', '+', 1)} (partial)"
    assert told(sentences=[*others, first]) == ["sentences: the same in another order"]
    assert told(citations=[])[0] == "citations:" and told(hits=[]) == ["documents:", "  - docker-vs-vms.md"]
    moved = [one | {"start": one["start"] + 7, "line_start": 0} for one in now["citations"]]
    assert told(citations=moved) == ["nothing changed"]


def test_a_refusal_that_says_something_else_has_changed(traced):
    trace = traced(UNANSWERED)
    told = feedback.replayed(rating(trace), trace["answer"] | {"text": "Something else is missing."})
    assert told["changes"] == {"text": {"before": trace["answer"]["text"], "after": "Something else is missing."}}


def test_of_two_that_are_equal_one_may_be_gone():
    assert feedback.difference(["a", "a", "b"], ["a", "c"]) == {"gone": ["a", "b"], "new": ["c"]}
