"""Snapshots: built, published, searched and swapped; a crash or a damaged half never answers."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import child_environment, with_encoders

from assistant.build import build, changes, is_current, snapshot_id
from assistant.corpus import load_corpus
from assistant.errors import IndexUnusable
from assistant.index import current, open_index
from assistant.live import LiveIndex
from assistant.publishing import build_lock
from assistant.retrieval import retrieve

SMALL = {
    "containers.md": "# Containers\n\nContainers share the kernel of the host. They start within a second.\n",
    "machines.md": "# Machines\n\nA virtual machine boots a kernel of its own. A hypervisor keeps machines apart.\n",
    "deep/notes.txt": "The registry stores images. Layers are reused between images.\n",
}

QUERIES = tuple(
    f"{start} {subject}?"
    for start in ("What about", "How fast is", "Who needs", "Why use", "Is there a risk in", "Compare")
    for subject in ("containers", "virtual machines", "the hypervisor", "an image registry", "legacy applications")
)


@pytest.fixture
def corpus(tmp_path, write_corpus):
    return write_corpus(tmp_path / "corpus", SMALL)


@pytest.fixture
def live(index_home, encoder):
    """The live index of this test's folder, closed whatever happens."""
    opened = LiveIndex(index_home, encoder.weights)
    yield opened
    opened.close()


def chroma(folder):
    """The Chroma directory of a snapshot: its name is drawn anew for each build."""
    return next(folder.glob("chroma-*"))


def snapshots(home: Path) -> set[str]:
    return {folder.name for folder in home.iterdir() if folder.is_dir() and folder.name != "encoders"}


def found(home: Path, encoder, query: str, count: int = 5) -> list[tuple[str, float]]:
    index = open_index(home)
    try:
        return [(hit.passage.id, hit.score) for hit in retrieve(index, encoder, query, count).hits]
    finally:
        index.close()


def build_elsewhere(corpus: Path, home: Path) -> None:
    """`assistant index` in another process, as it is when a server has the snapshot open."""
    done = subprocess.run(
        [sys.executable, "-m", "assistant.cli", "index"],
        env=child_environment(corpus, home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def edit(corpus: Path, text: str) -> None:
    (corpus / "containers.md").write_text(f"# Containers\n\n{text}\n", "utf-8")


def test_passages_are_found_and_verbatim(corpus, index_home, build_snapshot, encoder):
    report = build_snapshot(corpus, index_home)
    assert report.built
    assert report.documents == 3
    index = open_index(index_home)
    texts = {document.id: document.text for document in load_corpus(corpus).documents}
    for passage in index.passages:
        assert texts[passage.document_id][passage.start : passage.end] == passage.text
    for query, document in (("shared kernel of containers", "containers.md"), ("image layers", "deep/notes.txt")):
        hits = retrieve(index, encoder, query, 3).hits
        assert hits[0].passage.document_id == document
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    index.close()


def test_documents_are_kept_as_they_were_when_the_snapshot_was_made(
    corpus, write_corpus, index_home, build_snapshot, encoder
):
    write_corpus(corpus, {"crlf é#%.md": "---\r\ntitle: Lines\r\nurl: https://example.org/\r\n---\r\nOne.\r\nTwo.\r\n"})
    write_corpus(corpus, {"mark.md": b"\xef\xbb\xbf# Mark\n\nA \xe2\x80\xa8 line.\n"})
    loaded = load_corpus(corpus)
    build_snapshot(corpus, index_home)
    edit(corpus, "Something else.")
    index = open_index(index_home)
    assert index.documents == {document.id for document in loaded.documents}
    assert tuple(index.document(name) for name in sorted(index.documents)) == loaded.documents
    for passage in index.passages:
        assert index.document(passage.document_id).text[passage.start : passage.end] == passage.text
    for name in ("", "nothing.md", "../containers.md", "containers.md "):
        assert index.document(name) is None
    index.close()


def test_two_builds_give_the_same_hits_in_the_same_order(founding_corpus, tmp_path, encoders, encoder, build_snapshot):
    homes = [with_encoders(tmp_path / name, encoders) for name in ("first", "second")]
    opened = []
    for home in homes:
        build_snapshot(founding_corpus, home)
        opened.append(open_index(home))
    assert opened[0].id == opened[1].id
    assert len(QUERIES) == 30
    for query in QUERIES:
        first, second = (retrieve(index, encoder, query, 10) for index in opened)
        assert first.hits == second.hits
        assert first.cosines == second.cosines
    for index in opened:
        index.close()


def test_more_hits_than_passages_are_all_of_them_once(corpus, index_home, build_snapshot, encoder):
    build_snapshot(corpus, index_home)
    index = open_index(index_home)
    hits = retrieve(index, encoder, "kernel", 1000).hits
    assert sorted(hit.passage.id for hit in hits) == sorted(passage.id for passage in index.passages)
    assert retrieve(index, encoder, "zzzz qqqq", 1).hits
    index.close()


def test_two_identical_documents_are_two_documents(tmp_path, write_corpus, index_home, build_snapshot, encoder):
    corpus = write_corpus(tmp_path / "twins", {"b.md": SMALL["machines.md"], "a.md": SMALL["machines.md"]})
    report = build_snapshot(corpus, index_home)
    assert report.documents == report.passages == 2
    hits = retrieve(index := open_index(index_home), encoder, "hypervisor", 5).hits
    assert [hit.passage.document_id for hit in hits] == ["a.md", "b.md"]
    assert hits[0].score == hits[1].score
    index.close()


def test_a_document_of_only_headings_holds_nothing_and_harms_nothing(corpus, index_home, build_snapshot, encoder):
    (corpus / "empty.md").write_text("# One\n\n## Two\n", "utf-8")
    report = build_snapshot(corpus, index_home)
    assert report.documents == 4
    assert all(not passage.startswith("empty.md@") for passage, _ in found(index_home, encoder, "Two", 50))


def test_a_corpus_of_only_headings_is_refused_and_the_old_snapshot_stays(corpus, index_home, build_snapshot):
    before = build_snapshot(corpus, index_home).index
    for path in corpus.rglob("*.*"):
        path.unlink()
    (corpus / "empty.md").write_text("# One\n", "utf-8")
    with pytest.raises(IndexUnusable, match="nothing to index"):
        build_snapshot(corpus, index_home)
    assert current(index_home) == before
    open_index(index_home).close()


def test_before_the_first_build_there_is_no_index(index_home):
    with pytest.raises(IndexUnusable, match="Run: assistant index"):
        open_index(index_home)


def test_an_unchanged_corpus_embeds_nothing(corpus, index_home, build_snapshot):
    first = build_snapshot(corpus, index_home)
    second = build_snapshot(corpus, index_home)
    assert (second.index, second.built) == (first.index, False)
    assert second.embedded_passages == second.embedded_statements == 0
    assert second.reused == first.passages + first.statements


def test_one_edited_sentence_embeds_one_passage_and_one_statement(corpus, index_home, build_snapshot):
    first = build_snapshot(corpus, index_home)
    text = (corpus / "containers.md").read_text("utf-8")
    (corpus / "containers.md").write_text(text.replace("within a second", "within a blink"), "utf-8")
    assert changes(load_corpus(corpus), index_home).changed == ("containers.md",)
    report = build_snapshot(corpus, index_home)
    assert report.index != first.index
    assert (report.embedded_passages, report.embedded_statements) == (1, 1)
    assert report.reused == report.passages + report.statements - 2


def test_added_and_removed_documents_are_named(corpus, index_home, build_snapshot):
    build_snapshot(corpus, index_home)
    (corpus / "machines.md").rename(corpus / "renamed.md")
    difference = changes(load_corpus(corpus), index_home)
    assert (difference.added, difference.changed, difference.removed) == (("renamed.md",), (), ("machines.md",))


def test_going_back_to_former_documents_reuses_their_snapshot(corpus, index_home, build_snapshot):
    original = (corpus / "containers.md").read_text("utf-8")
    first = build_snapshot(corpus, index_home)
    edit(corpus, "Something else.")
    build_snapshot(corpus, index_home)
    (corpus / "containers.md").write_text(original, "utf-8")
    third = build_snapshot(corpus, index_home)
    assert (third.index, third.built) == (first.index, False)
    assert current(index_home) == first.index


def test_the_current_and_the_previous_snapshot_are_kept_and_an_open_one_stays(
    corpus, index_home, build_snapshot, encoder
):
    ids = [build_snapshot(corpus, index_home).index]
    oldest = open_index(index_home)
    for text in ("Second text.", "Third text.", "Fourth text."):
        edit(corpus, text)
        ids.append(build_snapshot(corpus, index_home).index)
    assert snapshots(index_home) == {ids[0], ids[2], ids[3]}
    assert retrieve(oldest, encoder, "kernel", 5).hits
    oldest.close()
    edit(corpus, "Fifth text.")
    ids.append(build_snapshot(corpus, index_home).index)
    assert snapshots(index_home) == {ids[3], ids[4]}


def test_folders_that_are_no_snapshots_are_left_alone(corpus, index_home, build_snapshot):
    """Whoever names a folder with --index that holds other things keeps them."""
    precious = index_home / "thesis" / "chapter.txt"
    precious.parent.mkdir()
    precious.write_text("years of work", "utf-8")
    build_snapshot(corpus, index_home)
    edit(corpus, "Something else.")
    build_snapshot(corpus, index_home)
    assert precious.is_file()


def _delete_database(folder: Path) -> None:
    (chroma(folder) / "chroma.sqlite3").unlink()


def _delete_graph(folder: Path) -> None:
    for path in chroma(folder).iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def _garble_database(folder: Path) -> None:
    (chroma(folder) / "chroma.sqlite3").write_bytes(b"no database" * 1000)


def _truncate_vectors(folder: Path) -> None:
    path = folder / "passage_vectors.npy"
    path.write_bytes(path.read_bytes()[:-8])


def _empty_statements(folder: Path) -> None:
    (folder / "statement_vectors.npy").write_bytes(b"")


def _truncate_documents(folder: Path) -> None:
    path = folder / "documents.jsonl"
    path.write_bytes(path.read_bytes()[:-8])


def _delete_words(folder: Path) -> None:
    shutil.rmtree(folder / "bm25")


def _truncate_words(folder: Path) -> None:
    for path in (folder / "bm25").glob("*.npy"):
        path.write_bytes(path.read_bytes()[:-4])


def _garble_words(folder: Path) -> None:
    for path in (folder / "bm25").glob("*.json"):
        path.write_text("{", "utf-8")


def _delete_passages(folder: Path) -> None:
    (folder / "passages.jsonl").unlink()


def _garble_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{", "utf-8")


def _delete_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _delete_all(folder: Path) -> None:
    shutil.rmtree(folder)


DAMAGES = (
    _delete_database,
    _garble_database,
    _truncate_vectors,
    _empty_statements,
    _truncate_documents,
    _delete_words,
    _truncate_words,
    _garble_words,
    _delete_passages,
    _garble_manifest,
    _delete_manifest,
    _delete_all,
)


@pytest.mark.parametrize("damage", DAMAGES, ids=[damage.__name__.strip("_") for damage in DAMAGES])
def test_a_damaged_snapshot_is_named_and_the_next_build_repairs_it(
    damage: Callable[[Path], None], corpus, index_home, build_snapshot, encoder
):
    name = build_snapshot(corpus, index_home).index
    whole = found(index_home, encoder, "kernel")
    damage(index_home / name)
    with pytest.raises(IndexUnusable) as raised:
        found(index_home, encoder, "kernel")
    assert str(raised.value).endswith("Run: assistant index")
    assert "\n" not in str(raised.value)
    assert build_snapshot(corpus, index_home).index == name
    assert found(index_home, encoder, "kernel") == whole


def test_without_its_graph_a_snapshot_answers_as_before_or_is_named(
    founding_corpus, index_home, build_snapshot, encoder
):
    name = build_snapshot(founding_corpus, index_home).index
    index = open_index(index_home)
    vector = encoder.encode_query("a hypervisor")
    whole = index.dense(vector, 10)
    index.close()
    _delete_graph(index_home / name)
    try:
        index = open_index(index_home)
    except IndexUnusable as error:
        assert str(error).endswith("Run: assistant index")
    else:
        try:
            assert index.dense(vector, 10) == whole
        except IndexUnusable as error:
            assert str(error).endswith("Run: assistant index")
        finally:
            index.close()
    build_snapshot(founding_corpus, index_home)
    index = open_index(index_home)
    assert index.dense(vector, 10) == whole
    index.close()


def test_a_changed_vector_is_found_by_the_next_build(corpus, index_home, build_snapshot, encoder):
    name = build_snapshot(corpus, index_home).index
    whole = found(index_home, encoder, "kernel")
    vectors = np.load(index_home / name / "passage_vectors.npy")
    np.save(index_home / name / "passage_vectors.npy", -vectors)
    report = build_snapshot(corpus, index_home)
    assert report.built
    assert found(index_home, encoder, "kernel") == whole


def test_a_damaged_snapshot_that_a_reader_has_open_is_built_again_or_the_reader_is_named(
    corpus, index_home, build_snapshot, encoder
):
    name = build_snapshot(corpus, index_home).index
    reader = open_index(index_home)
    try:
        _delete_words(index_home / name)
        try:
            build_snapshot(corpus, index_home)
        except IndexUnusable as error:
            assert "open in another process" in str(error)
            assert "\n" not in str(error)
        else:
            assert found(index_home, encoder, "kernel")
    finally:
        reader.close()
    build_snapshot(corpus, index_home)
    assert found(index_home, encoder, "kernel")


def test_a_build_that_was_cut_off_is_built_again(corpus, index_home, build_snapshot, encoder):
    name = build_snapshot(corpus, index_home).index
    (index_home / name / "manifest.json").unlink()
    (index_home / "CURRENT").unlink()
    assert build_snapshot(corpus, index_home).built
    assert found(index_home, encoder, "kernel")


def test_live_index_swaps_while_an_old_question_goes_on(corpus, index_home, build_snapshot, encoder, live):
    first = build_snapshot(corpus, index_home).index
    with live.borrow() as old:
        assert old.id == first
        edit(corpus, "Containers are boxes.")
        second = build_snapshot(corpus, index_home).index
        with live.borrow() as new:
            assert new.id == second
            assert retrieve(old, encoder, "kernel", 3).hits
            assert retrieve(new, encoder, "boxes", 3).hits[0].passage.text == "Containers are boxes."
        assert not old._lease.closed
    assert old._lease.closed
    with live.borrow() as again:
        assert again is new
    live.close()
    assert new._lease.closed


def test_live_index_keeps_one_open_snapshot_for_one_current(corpus, index_home, build_snapshot, encoder, live):
    build_snapshot(corpus, index_home)
    with live.borrow() as one, live.borrow() as two:
        assert one is two
        live.close()
        assert not one._lease.closed
    assert one._lease.closed


def test_live_index_notices_a_snapshot_that_was_built_again_under_its_name(
    corpus, index_home, build_snapshot, encoder, live
):
    """A server that opened a snapshot before it was damaged and repaired goes on answering."""
    name = build_snapshot(corpus, index_home).index
    with live.borrow() as index:
        whole = retrieve(index, encoder, "kernel", 5).hits
    (index_home / name / "manifest.json").unlink()
    build_elsewhere(corpus, index_home)
    with live.borrow() as index:
        # Not the open files of the one that is gone: Chroma may need to open them again at any time.
        assert not index.removed
        assert retrieve(index, encoder, "kernel", 5).hits == whole


def test_live_index_passes_over_what_it_cannot_use_until_it_is_repaired(
    corpus, index_home, build_snapshot, encoder, word_encoder, live
):
    first = build_snapshot(corpus, index_home).index
    with live.borrow() as index:
        assert index.id == first
    edit(corpus, "Containers are boxes.")
    with build_lock(index_home):
        build(load_corpus(corpus), index_home, word_encoder, 700)
    with live.borrow() as index:
        assert index.id == first
    second = build_snapshot(corpus, index_home).index
    words = index_home / second / "bm25"
    words.rename(index_home / "aside")
    with live.borrow() as index:
        assert index.id == first
        assert retrieve(index, encoder, "kernel", 3).hits
    (index_home / "aside").rename(words)
    build_elsewhere(corpus, index_home)
    with live.borrow() as index:
        assert index.id == second


def test_the_lock_admits_one_build_at_a_time(index_home):
    with build_lock(index_home) as first, build_lock(index_home, wait=False) as second:
        assert (first, second) == (True, False)
    with build_lock(index_home, wait=False) as third:
        assert third


def test_the_snapshot_is_named_for_documents_model_and_splitter(corpus, encoder):
    documents = load_corpus(corpus)
    names = {snapshot_id(documents, weights, size) for weights in ("a", "b") for size in (700, 300)}
    edit(corpus, "Other.")
    names.add(snapshot_id(load_corpus(corpus), "a", 700))
    assert len(names) == 5


SIDES = "sides:\n  - {name: Boxes, words: [container]}\n  - {name: Machines, words: [machine]}\n"


def test_another_comparison_is_another_snapshot_of_the_same_texts(corpus, index_home, build_snapshot, encoder):
    plain = build_snapshot(corpus, index_home)
    (corpus / "comparison.yaml").write_text(SIDES, "utf-8")
    assert not is_current(load_corpus(corpus), index_home, encoder.weights, 700)
    compared = build_snapshot(corpus, index_home)
    assert compared.built
    assert compared.index != plain.index
    assert compared.embedded_passages == compared.embedded_statements == 0, "unchanged texts were embedded again"
    assert compared.reused == plain.passages + plain.statements
    index = open_index(index_home)
    assert index.comparison == load_corpus(corpus).comparison
    index.close()
    (corpus / "comparison.yaml").write_text(SIDES.replace("Boxes", "Crates"), "utf-8")
    renamed = build_snapshot(corpus, index_home)
    assert len({plain.index, compared.index, renamed.index}) == 3
    (corpus / "comparison.yaml").write_text("# The same, said anew.\n" + SIDES.replace("Boxes", "Crates"), "utf-8")
    assert build_snapshot(corpus, index_home).index == renamed.index
    (corpus / "comparison.yaml").unlink()
    assert build_snapshot(corpus, index_home).index == plain.index


def test_a_comparison_that_cannot_be_read_is_none(corpus, index_home, build_snapshot):
    plain = build_snapshot(corpus, index_home)
    (corpus / "comparison.yaml").write_text("sides: [", "utf-8")
    assert build_snapshot(corpus, index_home).index == plain.index


def test_statements_that_differ_by_their_side_alone_have_the_same_aspect(
    tmp_path, write_corpus, index_home, build_snapshot, encoder
):
    texts = "# Start\n\nContainers take long to start.\n\nMachines take long to start.\n\nThe registry is green.\n"
    build_snapshot(write_corpus(tmp_path / "sides", {"a.md": texts, "comparison.yaml": SIDES}), index_home)
    index = open_index(index_home)
    cosines = [
        index.aspect_cosines(encoder.encode_query("take long to start."), row) for row in range(len(index.passages))
    ]
    assert [len(one) for one in cosines] == [len(index.statements(row)) for row in range(len(index.passages))]
    ordered = np.concatenate(cosines).tolist()
    assert ordered[0] == pytest.approx(ordered[1], abs=1e-5)
    assert ordered[0] > ordered[2]
    index.close()


def test_the_manifest_lists_the_documents_and_their_digests(corpus, index_home, build_snapshot):
    name = build_snapshot(corpus, index_home).index
    manifest = json.loads((index_home / name / "manifest.json").read_text("utf-8"))
    assert manifest["documents"] == {one.id: one.digest for one in load_corpus(corpus).documents}


READ_ONLY = """
import os, pathlib, sys, tempfile
from assistant.embedding import open_encoder
from assistant.index import open_index
from assistant.retrieval import retrieve
home = pathlib.Path(sys.argv[1])
encoder = open_encoder("all-MiniLM-L6-v2", pathlib.Path(sys.argv[2]))
retrieve(index := open_index(pathlib.Path(sys.argv[3])), encoder, "warm", 3)  # every late import, while still allowed
index.close()
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
if any(os.access(path, os.W_OK) for path in home.rglob("*")):
    sys.exit("writable")
before = set(pathlib.Path(tempfile.gettempdir()).glob("assistant-chroma-*"))
index = open_index(home)
[scratch] = set(pathlib.Path(tempfile.gettempdir()).glob("assistant-chroma-*")) - before
print(retrieve(index, encoder, "kernel", 3).hits[0].passage.id)
index.close()
assert not scratch.exists(), "the scratch copy stays behind"
"""


def test_a_snapshot_that_may_not_be_written_is_read_from_a_copy(corpus, index_home, encoders, build_snapshot, encoder):
    """Root may write everything, so a child of root reads as another user."""
    build_snapshot(corpus, index_home)
    with tempfile.TemporaryDirectory(prefix="assistant-test-") as folder:
        home = Path(folder) / "home"
        build_snapshot(corpus, home)
        best = found(home, encoder, "kernel", 3)
        Path(folder).chmod(0o755)
        for path in [*home.rglob("*"), home]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            done = subprocess.run(
                [sys.executable, "-c", READ_ONLY, str(home), str(encoders), str(index_home)],
                env={**os.environ, "TMPDIR": "/tmp"},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.stderr.strip() == "writable":
                pytest.skip("this user may write read-only files")
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip() == best[0][0]
        finally:
            for path in [home, *home.rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)


def test_many_readers_answer_while_a_build_runs(corpus, index_home, build_snapshot, encoder, assistant_command):
    build_snapshot(corpus, index_home)
    environment = child_environment(corpus, index_home)
    command = [*assistant_command, "ask", "Do containers share the kernel of the host?", "--json", "--no-update"]
    readers = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    published = [current(index_home)]
    while any(reader.poll() is None for reader in readers):
        edit(corpus, f"Containers share the kernel of the host, in version {len(published)}.")
        published.append(build_snapshot(corpus, index_home).index)
    for reader in readers:
        out, err = reader.communicate()
        assert (reader.returncode, err) == (0, "")
        answer = json.loads(out)
        assert answer["index"] in published
        assert answer["hits"]


def test_a_build_killed_at_any_moment_leaves_a_whole_snapshot(
    founding_corpus, tmp_path, index_home, build_snapshot, encoder, assistant_command
):
    corpus = tmp_path / "corpus"
    shutil.copytree(founding_corpus, corpus)
    build_snapshot(corpus, index_home)
    environment = child_environment(corpus, index_home)
    command = [*assistant_command, "index"]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def touch(number: int) -> str:
        lines = [
            f"Fact {number}.{line}: container {line} of round {number} listens on port {line}." for line in range(9)
        ]
        (corpus / "facts.md").write_text(f"# Facts\n\n{' '.join(lines)}\n", "utf-8")
        return snapshot_id(load_corpus(corpus), encoder.weights, 700)

    target = touch(0)
    begun = time.monotonic()
    assert start().wait() == 0
    whole_run = time.monotonic() - begun
    assert current(index_home) == target

    chance = random.Random(20261124)
    published = 0
    for number in range(1, 21):
        old, new = current(index_home), touch(number)
        build_process = start()
        try:
            # Most of a run is imports; what matters happens towards its end.
            build_process.wait(whole_run * chance.uniform(0.3, 1.1))
        except subprocess.TimeoutExpired:
            build_process.send_signal(signal.SIGKILL)
        build_process.wait()
        assert current(index_home) in (old, new)
        published += current(index_home) == new
        index = open_index(index_home)
        index.check()
        hits = retrieve(index, encoder, f"Which port does container 3 of round {number} listen on?", 5).hits
        assert len(hits) == 5
        assert hits[0].passage.document_id == "facts.md"
        index.close()
    assert published < 20

    new = touch(21)
    assert start().wait() == 0
    assert current(index_home) == new
    assert is_current(load_corpus(corpus), index_home, encoder.weights, 700)
    assert len(snapshots(index_home)) <= 2
    assert not list(index_home.glob("*.tmp")), "a killed build's scratch files stay behind"


def test_a_snapshot_of_another_model_embeds_everything_anew(corpus, index_home, build_snapshot, word_encoder):
    build_snapshot(corpus, index_home)
    with build_lock(index_home):
        report = build(load_corpus(corpus), index_home, word_encoder, 700)
    assert report.reused == 0
    assert found(index_home, word_encoder, "hypervisor keeps machines apart")[0][0].startswith("machines.md")


def test_other_foreign_questions_give_another_snapshot(tmp_path, write_corpus, monkeypatch):
    corpus = load_corpus(write_corpus(tmp_path / "corpus", {"a.md": "# A\n\nA lamp gives light."}))
    before = snapshot_id(corpus, "weights", 700)
    (tmp_path / "foreign.json").write_text('["How is cheese made?"]', "utf-8")
    monkeypatch.setattr("assistant.build.FOREIGN", tmp_path / "foreign.json")
    assert snapshot_id(corpus, "weights", 700) != before
