"""The notes of this checkout: enough of them, of a size to read, without findings, all indexed."""

import datetime
from pathlib import Path

import pytest

from assistant.corpus import load_corpus
from assistant.index import open_index
from evals.gold import FOUNDING
from evals.lint import lint

CORPUS = load_corpus(Path(__file__).parent.parent / "corpus")
NOTES = [document for document in CORPUS.documents if document.id != FOUNDING]


def test_every_file_is_read():
    assert CORPUS.problems == () and CORPUS.skipped == 0
    assert len(NOTES) >= 45
    assert all("/" in note.id for note in NOTES)


@pytest.mark.parametrize("note", NOTES, ids=lambda note: note.id)
def test_a_note_has_a_size_to_read(note):
    words = [word for word in note.text[note.body :].split() if any(map(str.isalnum, word))]
    assert 300 <= len(words) <= 1000


def test_the_notes_have_no_findings(encoder):
    today = max(datetime.date.today(), datetime.date(2026, 11, 24))  # a clock that is behind finds no fault
    assert [str(one) for one in lint(CORPUS.documents, encoder.window, 700, today)] == []


def test_every_document_is_indexed(whole_home):
    index = open_index(whole_home)
    assert {passage.document_id for passage in index.passages} == {document.id for document in CORPUS.documents}
    index.close()
