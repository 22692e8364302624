"""Ratings in a real SQLite file: nothing is lost, what is deleted is gone, and what cannot be done is said in one line."""

import json
import sqlite3
import subprocess
import sys
import threading

import pytest

from assistant.errors import AssistantError, UsageError
from assistant.feedback import COMMENT, REASONS, TRACE, Feedback, open_feedback

SOURCE = {"question": "Why?", "history": [{"question": "a", "answer": "b"}], "answer": {"text": "é 🐳", "hits": []}}
UNKNOWN = "0123456789abcdef"


@pytest.fixture
def feedback(tmp_path):
    return Feedback(tmp_path / "deep" / "er" / "feedback.sqlite3")


def test_a_rating_is_kept_with_its_whole_trace(feedback):
    assert feedback.all() == []
    assert not feedback.path.exists()
    rating_id = feedback.save("down", SOURCE, REASONS[0], "In my words: é 🐳\n'; drop table feedback; --")
    (one,) = feedback.all()
    assert one == feedback.get(rating_id)
    assert (one.id, one.rating, one.reason) == (rating_id, "down", REASONS[0])
    assert one.comment == "In my words: é 🐳\n'; drop table feedback; --"
    assert one.trace == SOURCE
    assert one.created.endswith("+00:00")
    assert Feedback(feedback.path).all() == [one]


def test_ratings_come_in_the_order_they_were_given(feedback):
    ids = [feedback.save("up", {"number": number}) for number in range(20)]
    assert [one.id for one in feedback.all()] == ids
    assert [one.trace["number"] for one in feedback.all()] == list(range(20))


def test_a_rating_is_replaced_in_place_and_its_trace_stays(feedback):
    first, second = feedback.save("up", SOURCE), feedback.save("up", {})
    assert feedback.save("down", SOURCE, REASONS[1], "Wrong.", first) == first
    one, other = feedback.all()
    assert (one.id, one.rating, one.reason, one.comment) == (first, "down", REASONS[1], "Wrong.")
    assert one.trace == SOURCE
    assert (other.id, other.rating) == (second, "up")


@pytest.mark.parametrize("unknown", [UNKNOWN, "", "%", "' or '1'='1"])
def test_a_rating_that_is_not_there_is_stored_anew_and_under_an_id_of_our_own(feedback, unknown):
    kept = feedback.save("up", {})
    made = feedback.save("down", {}, rating_id=unknown)
    assert made not in (unknown, kept)
    assert [(one.id, one.rating) for one in feedback.all()] == [(kept, "up"), (made, "down")]


def test_a_rating_is_deleted_once(feedback):
    assert feedback.delete(UNKNOWN) is False
    assert not feedback.path.exists()
    kept, gone = feedback.save("up", {}), feedback.save("down", {})
    assert feedback.delete(gone) is True
    assert feedback.delete(gone) is False
    assert feedback.delete("%") is False
    assert [one.id for one in feedback.all()] == [kept]
    with pytest.raises(UsageError, match=gone):
        feedback.get(gone)


WRONG = [
    {"rating": ""},
    {"rating": "sideways"},
    {"rating": "UP"},
    {"rating": None},
    {"reason": "Because."},
    {"comment": "x" * (COMMENT + 1)},
    {"comment": "half \ud800"},
    {"trace": {"text": "x" * TRACE}},
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: next(iter(wrong)))
def test_what_is_no_rating_is_refused_in_one_line_and_nothing_is_stored(feedback, wrong):
    with pytest.raises(UsageError) as raised:
        feedback.save(**{"rating": "up", "trace": {}, **wrong})
    assert "\n" not in str(raised.value)
    assert feedback.all() == []


def test_the_longest_comment_and_half_characters_of_a_trace_are_kept(feedback):
    feedback.save("up", {"text": "half \ud800"}, comment="é" * COMMENT)
    (one,) = feedback.all()
    assert one.comment == "é" * COMMENT
    assert one.trace == {"text": "half \ud800"}


def a_folder(path):
    path.mkdir()


def no_database(path):
    path.write_bytes(b"no database at all " * 100)


def another_table(path):
    database = sqlite3.connect(path)
    database.execute("create table feedback (something text)")
    database.commit()
    database.close()


@pytest.mark.parametrize("made", [a_folder, no_database, another_table])
@pytest.mark.parametrize("what", ["save", "all", "get", "delete"])
def test_a_path_that_cannot_be_used_is_one_clear_line(tmp_path, made, what):
    path = tmp_path / "feedback"
    made(path)
    feedback = Feedback(path)
    calls = {"save": lambda: feedback.save("up", {}), "all": feedback.all}
    calls |= {"get": lambda: feedback.get(UNKNOWN), "delete": lambda: feedback.delete(UNKNOWN)}
    with pytest.raises(AssistantError) as raised:
        calls[what]()
    assert not isinstance(raised.value, UsageError)
    assert str(path) in str(raised.value)
    assert "ASSISTANT_FEEDBACK" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_path_below_a_file_cannot_be_written_and_holds_nothing(tmp_path):
    (tmp_path / "file").write_text("x")
    feedback = Feedback(tmp_path / "file" / "feedback.sqlite3")
    assert feedback.all() == []
    with pytest.raises(AssistantError, match="ASSISTANT_FEEDBACK"):
        feedback.save("up", {})


@pytest.mark.parametrize("setting", ["off", "OFF", " Off "])
def test_off_stores_nothing(setting):
    assert open_feedback(setting) is None


def test_a_setting_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_feedback(str(tmp_path / "a.sqlite3")).path == tmp_path / "a.sqlite3"
    assert open_feedback("~/b.sqlite3").path == tmp_path / "b.sqlite3"


# --- many at once

WRITER = """
import pathlib, sys
from assistant.feedback import Feedback
feedback = Feedback(pathlib.Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    rating = feedback.save("up", {"writer": sys.argv[2], "number": number})
    feedback.save("down", {}, comment=f"{sys.argv[2]} {number}", rating_id=rating)
"""
EACH = 15


def test_writers_in_several_threads_and_processes_lose_nothing(feedback):
    failures = []

    def write(name):
        try:
            for number in range(EACH):
                rating = feedback.save("up", {"writer": name, "number": number})
                feedback.save("down", {}, comment=f"{name} {number}", rating_id=rating)
        except AssistantError as error:
            failures.append(error)

    names = [f"process {number}" for number in range(3)]
    command = [sys.executable, "-c", WRITER, str(feedback.path)]
    processes = [subprocess.Popen([*command, name, str(EACH)], stderr=subprocess.PIPE, text=True) for name in names]
    threads = [threading.Thread(target=write, args=(f"thread {number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        _, complaint = process.communicate()
        assert (process.returncode, complaint) == (0, "")
    assert failures == []
    kept = feedback.all()
    names += [f"thread {number}" for number in range(3)]
    expected = sorted(f"{name} {number}" for name in names for number in range(EACH))
    assert sorted(one.comment for one in kept) == expected
    assert sorted(f"{one.trace['writer']} {one.trace['number']}" for one in kept) == expected
    assert {one.rating for one in kept} == {"down"}
    assert len({one.id for one in kept}) == len(kept)


def test_a_writer_that_is_killed_leaves_what_was_stored_before(feedback):
    kept = feedback.save("up", SOURCE)
    script = (
        "import os, pathlib, sys\nfrom assistant.feedback import Feedback\n"
        "with Feedback(pathlib.Path(sys.argv[1]))._database.writing() as database:\n"
        "    database.execute('delete from feedback')\n    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(feedback.path)], check=False)
    assert done.returncode == -9
    assert [one.id for one in feedback.all()] == [kept]
    feedback.save("down", {})
    assert len(feedback.all()) == 2


# --- deleted is gone


def written(folder):
    """Every byte of the file and of whatever SQLite keeps beside it."""
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("length", [1, 500, 20_000], ids=["short", "a page", "several pages"])
def test_of_what_is_deleted_no_byte_stays_in_the_file(feedback, length):
    words = {name: f"{name}-7f3a " for name in ("question", "comment", "other")}
    trace = {"question": words["question"] * length}
    kept = feedback.save("up", {"question": words["other"]})
    gone = feedback.save("down", trace, comment=words["comment"])
    folder = feedback.path.parent
    assert words["question"].encode() in written(folder)
    feedback.delete(gone)
    for name in ("question", "comment"):
        assert words[name].strip().encode() not in written(folder)
    assert gone.encode() not in written(folder)
    assert words["other"].encode() in written(folder)
    assert [one.id for one in feedback.all()] == [kept]


def test_of_a_comment_that_is_replaced_no_byte_stays_in_the_file(feedback):
    rating = feedback.save("down", SOURCE, comment="regretted-7f3a " * 100)
    feedback.save("down", SOURCE, comment="Better.", rating_id=rating)
    assert b"regretted" not in written(feedback.path.parent)
    assert json.dumps(feedback.get(rating).trace, sort_keys=True) == json.dumps(SOURCE, sort_keys=True)
