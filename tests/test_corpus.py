"""What is read from a folder, what is named as a problem, and what is left alone."""

import hashlib
import os
import unicodedata
from pathlib import Path

import pytest

from assistant.comparison import NOTHING, Comparison, Side
from assistant.corpus import MAX_BYTES, comparison_of, corpus_digest, front_matter, lines_with_ends, load_corpus
from assistant.errors import CorpusError

FOUNDING = Path(__file__).resolve().parents[1] / "corpus" / "docker-vs-vms.md"


def write(folder, **files):
    """Files below `folder`; `__` in a name is the dot of its suffix."""
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def only(folder):
    (document,) = load_corpus(folder).documents
    return document


def reasons(corpus):
    return {problem.document_id: problem.reason for problem in corpus.problems}


# --- text


def test_a_byte_order_mark_is_dropped_and_no_other_character(tmp_path):
    document = only(write(tmp_path, a__md=b"\xef\xbb\xbf# T\n\xef\xbb\xbfx"))
    assert document.text == "# T\n\ufeffx"
    assert document.title == "T"


@pytest.mark.parametrize("text", ["a\r\nb\r\n", "a\rb", "a\n\r\nb\r", "e\u0301 \u00a0\u2028x\x0b"])
def test_text_is_neither_translated_nor_normalised(tmp_path, text):
    assert only(write(tmp_path, a__md=text)).text == text


def test_offsets_count_code_points(tmp_path):
    document = only(write(tmp_path, a__md="\ufeff---\ntitle: 🐳é\n---\n🐳 text"))
    assert document.text[document.body :] == "🐳 text"


def test_the_digest_of_a_document_is_that_of_its_bytes(tmp_path):
    data = b"\xef\xbb\xbfa\r\n"
    assert only(write(tmp_path, a__md=data)).digest == hashlib.sha256(data).hexdigest()


def test_lines_end_at_line_feed_and_carriage_return_only():
    text = "a\x0bb\x0cc\x85d\u2028e\u2029f\x1cg\nh\r\ni\rj"
    spans = list(lines_with_ends(text))
    assert [text[start:end] for start, end, _ in spans] == ["a\x0bb\x0cc\x85d\u2028e\u2029f\x1cg", "h", "i", "j"]
    assert [after for _, _, after in spans] == [start for start, _, _ in spans[1:]] + [len(text)]


def test_the_founding_document_is_byte_for_byte_the_same():
    digest = "ceeb6c7f39f8d2e569fa942cf0e72d64aab78da25159520e4b4b9b415673d7f4"
    assert hashlib.sha256(FOUNDING.read_bytes()).hexdigest() == digest


# --- files


@pytest.mark.parametrize("content", [b"caf\xe9", b"\xff\xfea\x00", b"\xed\xa0\x80", b"", b"\xef\xbb\xbf", b" \r\n\t "])
def test_what_is_not_utf8_or_empty_is_a_problem_and_the_rest_is_loaded(tmp_path, content):
    corpus = load_corpus(write(tmp_path, good__md="x", bad__md=content))
    assert [document.id for document in corpus.documents] == ["good.md"]
    assert list(reasons(corpus)) == ["bad.md"]


def test_a_file_above_the_limit_is_a_problem(tmp_path):
    write(tmp_path, good__md="x")
    with (tmp_path / "large.md").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert MAX_BYTES == 20_000_000
    assert "20 MB" in reasons(load_corpus(tmp_path))["large.md"]


def test_links_are_followed_within_the_folder_and_named_otherwise(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "real").mkdir(parents=True)
    write(tmp_path, secret__md="secret")
    write(folder / "real", good__md="x")
    (folder / "inside.md").symlink_to(folder / "real" / "good.md")
    (folder / "outside.md").symlink_to(tmp_path / "secret.md")
    (folder / "broken.md").symlink_to(folder / "gone.md")
    (folder / "loop.md").symlink_to(folder / "loop.md")
    (folder / "linked").symlink_to(folder / "real")
    (folder / "above").symlink_to(tmp_path)
    corpus = load_corpus(folder)
    assert [document.id for document in corpus.documents] == ["inside.md", "real/good.md"]
    assert sorted(reasons(corpus)) == ["above", "broken.md", "linked", "loop.md", "outside.md"]
    assert "out of the corpus" in reasons(corpus)["outside.md"]


@pytest.mark.timeout(10)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_a_problem_and_is_not_waited_for(tmp_path):
    write(tmp_path, good__md="x")
    os.mkfifo(tmp_path / "pipe.md")
    assert list(reasons(load_corpus(tmp_path))) == ["pipe.md"]


def test_dot_files_and_dot_folders_are_left_out_and_other_kinds_counted(tmp_path):
    (tmp_path / ".git").mkdir()
    write(tmp_path / ".git", a__md="x")
    write(tmp_path, a__md="x", b__txt="x", c__MD="x", d__csv="x", e__png=b"\x89", Makefile="x", __hidden__md="x")
    corpus = load_corpus(tmp_path)
    assert [document.id for document in corpus.documents] == ["a.md", "b.txt", "c.MD"]
    assert corpus.skipped == 3
    assert not corpus.problems


def test_ids_are_posix_paths_in_order(tmp_path):
    for path in ("b/c/d.md", "a.md", "b/a.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    assert [document.id for document in load_corpus(tmp_path).documents] == ["a.md", "b/a.txt", "b/c/d.md"]


def test_ids_are_in_normal_form_and_a_second_file_of_the_same_id_is_a_problem(tmp_path):
    composed, apart = "caf\u00e9.md", unicodedata.normalize("NFD", "café.md")
    (tmp_path / apart).write_text("x")
    assert only(tmp_path).id == composed
    (tmp_path / composed).write_text("y")
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system does not tell the two names apart")
    corpus = load_corpus(tmp_path)
    assert [document.id for document in corpus.documents] == [composed]
    assert list(reasons(corpus)) == [composed]


def test_no_documents_is_an_error(tmp_path):
    with pytest.raises(CorpusError):
        load_corpus(write(tmp_path, a__csv="x"))
    with pytest.raises(CorpusError, match=r"bad\.md"):
        load_corpus(write(tmp_path, bad__md=b""))


def test_a_missing_folder_is_an_error(tmp_path):
    write(tmp_path, a__md="x")
    for path in (tmp_path / "missing", tmp_path / "a.md"):
        with pytest.raises(CorpusError, match="--corpus"):
            load_corpus(path)


# --- front matter


@pytest.mark.parametrize(
    ("text", "fields", "body"),
    [
        ("---\ntitle: A\n---\nbody", {"title": "A"}, "body"),
        ("---\r\ntitle: A\r\n---\r\nbody", {"title": "A"}, "body"),
        ("---\rtitle: A\r---\rbody", {"title": "A"}, "body"),
        ("--- \ntitle: A\n...\nbody", {"title": "A"}, "body"),
        ("---\ntitle: A\n---", {"title": "A"}, ""),
        ("---\ntitle: Docker: the basics\nurl: http://a.b/\n---\nbody", {"title": "Docker: the basics"}, "body"),
        ('---\ntitle: "A"\nb: c: d\n---\nbody', {"title": "A"}, "body"),
        ("---\ndate: 2026-13-45\n---\nbody", {}, "body"),
        # A thematic break is no front matter.
        ("---\nA paragraph of text.\n---\nbody", {}, None),
        ("---\n\n# A heading\n\n---\nbody", {}, None),
        ("---\n\n- **Shared kernel**: one\n- `code`: two\n\n---\nbody", {}, None),
        ("---\n\n# A heading\n\n- **Shared kernel**: one\n\n---\nbody", {}, None),
        ("---\n- a\n- b\n---\nbody", {}, None),
        ("---\n---\nbody", {}, None),
        ("---\ntitle: A\nnever closed", {}, None),
        ("\n---\ntitle: A\n---\nbody", {}, None),
        ("----\ntitle: A\n----\nbody", {}, None),
    ],
)
def test_front_matter_is_a_mapping_between_two_marks(text, fields, body):
    found, at = front_matter(text)
    assert text[at:] == (text if body is None else body)
    assert fields.items() <= found.items()
    assert found.keys() <= {"title", "url", "date", "b"}


def test_front_matter_that_breaks_the_parser_breaks_nothing_else(tmp_path):
    write(tmp_path, good__md="x", deep__md="---\ntitle: A\nb: " + "[" * 5000 + "\n---\nbody")
    assert "good.md" in [document.id for document in load_corpus(tmp_path).documents]


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("https://example.org/a?b=c", "https://example.org/a?b=c"),
        ("http://example.org", "http://example.org"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("file:///etc/passwd", None),
        ("//example.org", None),
        ("'https://a b'", None),
        ("'https://a\"onclick=x'", None),
        ('"https://a\\nb"', None),
        ("[https://a]", None),
        ("7", None),
    ],
)
def test_only_web_addresses_become_the_url(tmp_path, value, url):
    assert only(write(tmp_path, a__md=f"---\nurl: {value}\n---\nx")).url == url


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: Front\n---\n# Heading", "Front"),
        ("---\ntitle: 2024\n---\n# Heading", "2024"),
        ("---\ntitle: ''\n---\n# Heading", "Heading"),
        ("---\nurl: http://a.b\n---\n# Heading", "Heading"),
        ("text\n\n# Heading #\n\n# Other", "Heading"),
        ("text\r# Heading\rmore", "Heading"),
        ("#no heading\n# Heading", "Heading"),
        ("# C#\n", "C#"),
        ("Heading\n=======\n\ntext", "Heading"),
        ("```sh\n# comment\n```\n# Heading", "Heading"),
        ("~~~\n```\n# comment\n~~~\n# Heading", "Heading"),
        ("````md\n```\n# comment\n```\n````\n# Heading", "Heading"),
        ("```md\n```python\n# comment\n```\n# Heading", "Heading"),
        ("<!--\n# comment\n-->\n\n# Heading", "Heading"),
        ("    # code\n", "name"),
        ("```\n# comment", "name"),
        ("just text", "name"),
        ("#\n\ntext", "name"),
    ],
)
def test_the_title_is_that_of_the_front_matter_or_the_first_heading_or_the_file_name(tmp_path, text, title):
    assert only(write(tmp_path, name__md=text)).title == title


def test_a_text_file_has_no_heading_for_a_title(tmp_path):
    assert only(write(tmp_path, name__txt="# Heading")).title == "name"


# --- digest


def test_the_digest_of_a_corpus_changes_with_a_name_or_a_byte_and_with_nothing_else(tmp_path):
    def digest(name, **files):
        folder = tmp_path / name
        folder.mkdir()
        return corpus_digest(load_corpus(write(folder, **files)).documents)

    first = digest("first", a__md="x", b__md="y", c__csv="z")
    assert digest("same", b__md="y", a__md="x") == first
    others = [
        digest("byte", a__md="x ", b__md="y"),
        digest("mark", a__md="\ufeffx", b__md="y"),
        digest("name", a__md="x", c__md="y"),
        digest("swap", a__md="y", b__md="x"),
        digest("less", a__md="x"),
    ]
    assert len({first, *others}) == len(others) + 1


# --- what is compared

SIDES = "sides:\n  - {name: Tea, words: [tea]}\n  - {name: Coffee, words: [coffee, espresso]}\ntitle: Tea or coffee?\n"
DRINKS = Comparison((Side("Tea", ("tea",)), Side("Coffee", ("coffee", "espresso"))), "Tea or coffee?")


def test_the_file_that_says_what_is_compared_is_no_document_and_is_not_skipped(tmp_path):
    corpus = load_corpus(write(tmp_path, a__md="# A\n\nText.", comparison__yaml=SIDES, b__json="{}"))
    assert [document.id for document in corpus.documents] == ["a.md"]
    assert corpus.problems == ()
    assert corpus.skipped == 1
    assert corpus.comparison == comparison_of(tmp_path) == DRINKS


def test_without_that_file_nothing_is_compared(tmp_path):
    corpus = load_corpus(write(tmp_path, a__md="# A\n\nText."))
    assert corpus.comparison == comparison_of(tmp_path) == comparison_of(tmp_path / "none") == NOTHING
    assert corpus.problems == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "sides"),
        ("- a\n", "sides"),
        ("sides: [a, b]\n", "each side"),
        ("sides:\n  - {name: Tea, words: [tea]}\n", "list of two"),
        ("sides: [", "does not say what is compared"),
        ("title: 2026-13-45\n", "does not say what is compared"),
        ("a: &a [*a]\n", "sides"),
        ("[" * 5000, "does not say what is compared"),
        (b"\xff\xfe\xfa", "does not say what is compared"),
        ("!!python/object/apply:os.getcwd []", "does not say what is compared"),
    ],
)
def test_a_file_that_does_not_say_it_is_a_problem_and_the_rest_is_loaded(tmp_path, content, reason):
    corpus = load_corpus(write(tmp_path, a__md="# A\n\nText.", comparison__yaml=content))
    assert [document.id for document in corpus.documents] == ["a.md"]
    assert reason in reasons(corpus)["comparison.yaml"]
    assert "\n" not in reasons(corpus)["comparison.yaml"]
    assert corpus.skipped == 0
    assert corpus.comparison == comparison_of(tmp_path) == NOTHING


@pytest.mark.parametrize("content", [SIDES, "sides: ["])
def test_a_file_of_that_name_in_a_folder_below_is_skipped_like_any_other(tmp_path, content):
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", comparison__yaml=content)
    corpus = load_corpus(write(tmp_path, a__md="# A\n\nText."))
    assert corpus.skipped == 1
    assert corpus.problems == ()
    assert corpus.comparison == NOTHING


def test_a_folder_of_that_name_says_nothing(tmp_path):
    (tmp_path / "comparison.yaml").mkdir()
    corpus = load_corpus(write(tmp_path, a__md="# A\n\nText."))
    assert corpus.comparison == comparison_of(tmp_path) == NOTHING
    assert [document.id for document in corpus.documents] == ["a.md"]


def test_a_link_that_leads_out_of_the_corpus_says_nothing(tmp_path):
    (tmp_path / "outside.yaml").write_text(SIDES, "utf-8")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "comparison.yaml").symlink_to(tmp_path / "outside.yaml")
    corpus = load_corpus(write(tmp_path / "corpus", a__md="# A\n\nText."))
    assert corpus.comparison == NOTHING
    assert "comparison.yaml" in reasons(corpus)


@pytest.mark.timeout(20)
def test_a_pipe_of_that_name_is_a_problem_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "comparison.yaml")
    corpus = load_corpus(write(tmp_path, a__md="# A\n\nText."))
    assert "comparison.yaml" in reasons(corpus)
    assert corpus.comparison == NOTHING
