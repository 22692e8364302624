"""A folder of files of every kind: the good ones are cited, the bad ones named, and nothing is done twice."""

import json
import subprocess
import sys

import pytest
from conftest import child_environment
from made import docx, paragraph, pdf

from assistant import conversion
from assistant.answering import open_assistant
from assistant.corpus import check_corpus, chooser, corpus_of, load_corpus
from assistant.errors import CorpusError, UsageError
from assistant.settings import Settings

GOOD = {
    "guide/backup.html": b"<title>Backup</title><nav>Menu</nav><main><h1>Backup</h1><h2>Schedule</h2>"
    b"<p>The nightly backup of the billing database starts at 02:40.</p></main>",
    "guide/Printers.HTM": b"<title>Printers</title><p>The label printer in the warehouse uses thermal paper.</p>",
    "cache.rst": b"Cache\n=====\n\nEviction\n--------\n\nThe session cache evicts entries after ninety minutes of silence.\n",
    "travel.docx": docx(
        paragraph("Travel", "H1"), paragraph("Receipts for train journeys must be handed in within three weeks.")
    ),
    "handbook.pdf": pdf(
        ["This handbook is about the laboratory."],
        ["The centrifuge in the laboratory must be calibrated", "every eleven days by a technician."],
        title="Laboratory handbook",
    ),
    "plain.md": b"# Parking\n\nThe parking garage closes at midnight.\n",
}
QUESTIONS = {
    "guide/backup.html": "When does the nightly backup of the billing database start?",
    "guide/Printers.HTM": "What paper does the label printer in the warehouse use?",
    "cache.rst": "When does the session cache evict entries?",
    "travel.docx": "When must receipts for train journeys be handed in?",
    "handbook.pdf": "How often must the centrifuge in the laboratory be calibrated?",
}
SECTIONS = {
    "guide/backup.html": ("Backup", "Schedule"),
    "cache.rst": ("Cache", "Eviction"),
    "travel.docx": ("Travel",),
    "handbook.pdf": ("Page 2",),
}
BAD = {
    "bad.docx": b"PK\x03\x04 broken",
    "bad.html": b"<meta charset=utf-8><p>\xff\xfe",
    "bad.pdf": b"%PDF-1.4 broken",
    "bad.rst": b"\xff\xfe\xfa",
    "bomb.docx": docx(paragraph("x"), **{"word/media/x.bin": bytes(120_000_000)}),
    "empty.pdf": b"",
    "locked.pdf": pdf(["Text."], password="secret"),
}


@pytest.fixture
def settings(tmp_path, index_home, write_corpus):
    def made(files, **more):
        return Settings(corpus=write_corpus(tmp_path / "corpus", files), index=index_home, **more)

    return made


@pytest.fixture
def converted(monkeypatch):
    """The suffixes of what was converted."""
    calls = []
    real = conversion.convert
    monkeypatch.setattr(
        conversion, "convert", lambda data, suffix, limits: calls.append(suffix) or real(data, suffix, limits)
    )
    return calls


def urls(corpus):
    return {document.id: document.url for document in corpus.documents}


def test_documents_of_every_kind_are_cited_by_their_text(settings):
    complaints = []
    assistant = open_assistant(settings({**GOOD, **BAD, "image.png": b"\x89"}), complain=complaints.append)
    try:
        assert sorted(line.split()[2].rstrip(":") for line in complaints) == sorted(BAD)
        for name, question in QUESTIONS.items():
            answer = assistant.ask(question)
            citation = answer.citations[0]
            assert citation.passage.document_id == name
            document, _ = assistant.document(name)
            assert document.text[citation.start : citation.end] == citation.quote
            assert citation.passage.section == SECTIONS.get(name, ())
        assert assistant.document("handbook.pdf")[0].title == "Laboratory handbook"
        assert assistant.document("guide/Printers.HTM")[0].title == "Printers"
        assert "calibrated every eleven days" in assistant.ask(QUESTIONS["handbook.pdf"]).text
    finally:
        assistant.close()


def test_the_index_names_what_is_broken_and_holds_the_rest(tmp_path, index_home, write_corpus):
    environment = child_environment(write_corpus(tmp_path / "corpus", {**GOOD, **BAD}), index_home)
    done = subprocess.run(
        [sys.executable, "-m", "assistant.cli", "index", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    said = json.loads(done.stdout)
    assert said["documents"] == len(GOOD)
    assert [problem["document_id"] for problem in said["problems"]] == sorted(BAD)
    lines = [line for line in done.stderr.splitlines() if line.startswith("assistant: left out ")]
    assert [line.split()[3].rstrip(":") for line in lines] == sorted(BAD)


def test_the_text_of_a_pdf_without_a_title_is_named_after_its_file(settings):
    (document,) = corpus_of(settings({"ports of call.pdf": pdf(["Text."])})).documents
    assert document.title == "ports of call" and document.text[document.body :].startswith("## Page 1")


def test_nothing_is_converted_twice(settings, converted):
    given = settings({**GOOD, **BAD})
    first = corpus_of(given)
    assert len(converted) == 11
    assert corpus_of(given) == first and len(converted) == 11
    (given.corpus / "cache.rst").write_text("Cache\n=====\n\nChanged.\n")
    second = corpus_of(given)
    assert converted[11:] == [".rst"]
    assert [before.id for before, now in zip(first.documents, second.documents, strict=True) if before != now] == [
        "cache.rst"
    ]
    corpus_of(given, again=True)
    assert sorted(converted[12:]) == [".docx", ".docx", ".html", ".pdf", ".pdf", ".rst"]
    assert len(list((given.index / "converted").iterdir())) == 11


def test_a_file_beside_the_settings_is_left_alone_by_a_corpus_without_a_cache(tmp_path, write_corpus):
    corpus = load_corpus(write_corpus(tmp_path / "corpus", GOOD))
    assert {document.id for document in corpus.documents} == set(GOOD)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_without_the_extra_such_files_are_problems_and_the_rest_is_loaded(settings, monkeypatch):
    def missing(name):
        raise conversion.PackageNotFoundError(name)

    monkeypatch.setattr(conversion, "version", missing)
    conversion.converter.cache_clear()
    try:
        given = settings(GOOD)
        corpus = corpus_of(given)
    finally:
        conversion.converter.cache_clear()
    assert [document.id for document in corpus.documents] == ["plain.md"]
    assert [problem.document_id for problem in corpus.problems] == sorted(QUESTIONS)
    assert all("pip install 'container-vm-assistant[documents]'" in problem.reason for problem in corpus.problems)
    monkeypatch.undo()
    assert len(corpus_of(given).documents) == len(GOOD)


# --- which documents


@pytest.mark.parametrize(
    ("include", "exclude", "kept"),
    [
        ("", "", ["a.md", "b/a.md", "b/c.txt"]),
        ("b/*", "", ["b/a.md", "b/c.txt"]),
        ("*.md, *.txt", "b/a*", ["a.md", "b/c.txt"]),
        ("", "*/*", ["a.md"]),
        ("a.md", "*.md", []),
        ("A.md", "", []),
        (" , ", "", ["a.md", "b/a.md", "b/c.txt"]),
    ],
)
def test_globs_choose_documents_and_excluding_wins(include, exclude, kept):
    chosen = chooser(include, exclude)
    assert [name for name in ("a.md", "b/a.md", "b/c.txt") if chosen(name)] == kept


def test_what_is_excluded_is_not_even_read(settings):
    given = settings(
        {**BAD, "a.md": "# A\n\nText.\n", "b.md": "# B\n\nText.\n"}, exclude="*bad.*,*bomb*,empty*,locked*"
    )
    assert corpus_of(given).problems == ()
    assert [one.id for one in corpus_of(given.model_copy(update={"include": "a.*"})).documents] == ["a.md"]
    with pytest.raises(CorpusError):
        corpus_of(given.model_copy(update={"include": "nothing"}))


# --- where documents are published

PAGES = {
    "index.md": "# A\n\nText.\n",
    "guide/index.rst": "A\n=\n\nText.\n",
    "guide/set up.html": "<p>Text.</p>",
    "own.md": "---\nurl: https://own.example/\n---\nText.\n",
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            "https://docs.example/{path}/",
            ["https://docs.example/guide/", "https://docs.example/guide/set%20up/", "https://docs.example/"],
        ),
        (
            "https://docs.example/{path}.html",
            [f"https://docs.example/{one}.html" for one in ("guide/index", "guide/set%20up", "index")],
        ),
        (
            "http://docs.example/view?of={id}#{name}",
            [
                "http://docs.example/view?of=guide/index.rst#index",
                "http://docs.example/view?of=guide/set%20up.html#set%20up",
                "http://docs.example/view?of=index.md#index",
            ],
        ),
    ],
)
def test_a_template_gives_each_document_its_url(settings, template, expected):
    found = urls(corpus_of(settings(PAGES, url_template=template)))
    assert found == dict(
        zip(
            ["guide/index.rst", "guide/set up.html", "index.md", "own.md"],
            [*expected, "https://own.example/"],
            strict=True,
        )
    )


@pytest.mark.parametrize(
    "template",
    [
        "docs.example/{path}",
        "ftp://a/{path}",
        "https://a/",
        "https://a/{other}",
        "https://a/{path}/{",
        "https://a b/{id}",
    ],
)
def test_a_template_that_is_none_is_wrong_configuration(settings, template):
    with pytest.raises(UsageError, match="ASSISTANT_URL_TEMPLATE"):
        corpus_of(settings(PAGES, url_template=template))


def sitemap(*addresses):
    listed = "".join(f"<url><loc> {one} </loc></url>" for one in addresses)
    return f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{listed}</urlset>'


def test_a_sitemap_gives_documents_the_page_whose_path_ends_like_theirs(settings, tmp_path):
    (tmp_path / "sitemap.xml").write_text(
        sitemap(
            "https://docs.example/en/latest/",
            "https://docs.example/en/latest/guide/",
            "https://docs.example/en/latest/old/guide/set%20up.html",
            "https://docs.example/en/latest/guide/set%20up.html",
            "https://docs.example/en/latest/index.html",
            "https://docs.example/tail/",
            "javascript:alert(1)/other",
            "https://docs.example/own/",
        )
    )
    files = {**PAGES, "deep/tail.md": "Text.", "other.md": "Text.", "up.md": "Text."}
    assert urls(corpus_of(settings(files, sitemap=str(tmp_path / "sitemap.xml")))) == {
        "deep/tail.md": "https://docs.example/tail/",
        "guide/index.rst": "https://docs.example/en/latest/guide/",
        "guide/set up.html": "https://docs.example/en/latest/guide/set%20up.html",
        "index.md": None,
        "other.md": None,
        "own.md": "https://own.example/",
        "up.md": None,
    }


def test_a_document_that_a_sitemap_does_not_list_has_the_url_of_the_template(settings, tmp_path):
    (tmp_path / "sitemap.xml").write_text(sitemap("https://a.example/guide/"))
    given = settings(PAGES, sitemap=str(tmp_path / "sitemap.xml"), url_template="https://b.example/{id}")
    assert urls(corpus_of(given))["guide/index.rst"] == "https://a.example/guide/"
    assert urls(corpus_of(given))["index.md"] == "https://b.example/index.md"


@pytest.mark.parametrize("text", [None, "no XML", "<sitemapindex/>"])
def test_a_sitemap_that_is_none_is_wrong_configuration(settings, tmp_path, text):
    if text:
        (tmp_path / "sitemap.xml").write_text(text)
    with pytest.raises(UsageError, match="ASSISTANT_SITEMAP"):
        corpus_of(settings(PAGES, sitemap=str(tmp_path / "sitemap.xml")))


def test_a_url_or_a_choice_that_changes_makes_another_snapshot(settings):
    from assistant.build import snapshot_id

    given = settings(PAGES)
    names = {
        snapshot_id(corpus_of(given.model_copy(update=update)), "weights", 700)
        for update in (
            {},
            {"url_template": "https://a/{id}"},
            {"url_template": "https://b/{id}"},
            {"exclude": "own.md"},
            {},
        )
    }
    assert len(names) == 4


def test_a_server_opens_its_port_before_anything_is_converted(settings, converted, tmp_path):
    check_corpus(settings(GOOD))
    assert converted == []
    with pytest.raises(CorpusError):
        check_corpus(Settings(corpus=tmp_path / "nothing"))
    with pytest.raises(UsageError):
        check_corpus(settings(GOOD, url_template="nowhere"))
