"""Files of other kinds as Markdown: what is kept of them, what is refused, what it may cost."""

import os
import socket
import subprocess
import sys
import threading

import pytest
from made import docx, paragraph, pdf, table

from assistant import conversion
from assistant.conversion import Conversions, Limits, convert, converter, digest_of
from assistant.errors import CorpusError
from assistant.pdf import Line, _blocks

BILLION = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaaaaaaaa">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 16}">' for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


def refused(data, suffix, limits=conversion.LIMITS):
    with pytest.raises(CorpusError) as caught:
        convert(data, suffix, limits)
    reason = str(caught.value)
    assert reason and "\n" not in reason and "Traceback" not in reason and len(reason) < 400
    return reason


# --- HTML


def test_a_page_is_its_main_part():
    page = b"""<!doctype html><title>Storage | Site</title><style>p{}</style><nav>Menu</nav><header>Banner</header>
    <main><header><h1>Storage <a class="headerlink" href="#s">&para;</a></h1></header><p>The disk holds <b>40</b> GB.</p>
    <aside>Advertisement</aside><script>tracked()</script></main><footer>Imprint</footer>"""
    assert convert(page, ".html") == '---\ntitle: "Storage"\n---\n\n# Storage\n\nThe disk holds **40** GB.\n'


def test_without_a_heading_the_title_is_that_of_the_head():
    assert convert(b"<title>A \xc3\xbc\n 'b'</title><p>Text.", ".htm").startswith("---\ntitle: \"A ü 'b'\"\n---\n")


@pytest.mark.parametrize(
    "hidden",
    ["hidden", "aria-hidden=true", 'style="color: red; DISPLAY : none"', "style=visibility:hidden"],
)
def test_what_a_reader_would_not_see_is_left_out(hidden):
    assert convert(f"<p>Seen.</p><div {hidden}>Not <p>seen.</p></div>".encode(), ".html") == "Seen.\n"


def test_text_that_looks_like_marks_stays_text():
    page = b"<p>1. a &lt;script> *b* _c_ max_size `d` [e](f) &amp;amp; \\</p><p># g</p><p>- h</p>"
    marked = convert(page, ".html")
    assert marked == "1\\. a \\<script> \\*b\\* \\_c\\_ max_size \\`d\\` [e\\](f) \\&amp; \\\\\n\n\\# g\n\n\\- h\n"


def test_links_lead_to_pages_only():
    page = b"<p><a href='other.html'>one</a> <a href='https://a.b/'>two</a> <a href='javascript:x()'>three</a> <a>four</a></p>"
    assert convert(page, ".html") == "[one](other.html) [two](https://a.b/) three four\n"


def test_tables_code_and_lists_of_terms_keep_their_form():
    page = b"""<table><tr><th>A</th><th>B|C</th></tr><tr><td>1<br>2</td><td>x|y</td></tr></table>
    <pre><code>a ``` b\n  c</code></pre><dl><dt>port</dt><dd><p>a number</p></dd></dl>"""
    assert convert(page, ".html") == (
        "| A | B\\|C |\n| --- | --- |\n| 1 2 | x\\|y |\n\n````\na ``` b\n  c\n````\n\n**port** a number\n"
    )


def test_a_page_is_read_in_the_encoding_that_it_names():
    assert convert("<meta charset=iso-8859-1><p>über".encode("latin-1"), ".html") == "über\n"
    assert "UTF-8" in refused(b"<meta charset=utf-8><p>\xff\xfe\xfa", ".html")
    assert "binary" in refused(b"\x7fELF\0\0\0", ".html")


# --- reStructuredText

RST = b"""
=====
Ports
=====

See :ref:`the list <ports>`, :py:class:`~a.Server` and ``code_x``.

.. toctree::

   left-out

.. versionadded:: 3.2
   The *new* port.

.. code-block:: sh
   :emphasize-lines: 1

   run --now

Table
-----

====  ====
Name  Port
====  ====
db    5432
====  ====
"""


def test_rst_is_read_with_what_sphinx_adds_to_it():
    assert convert(RST, ".rst") == (
        "# Ports\n\nSee the list, a.Server and `code_x`.\n\n3.2\nThe *new* port.\n\n"
        "```\nrun --now\n```\n\n## Table\n\n| Name | Port |\n| --- | --- |\n| db | 5432 |\n"
    )


def test_rst_reads_no_other_file_and_passes_nothing_through(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    text = f"""Text.

.. include:: {tmp_path}/secret.txt
.. literalinclude:: {tmp_path}/secret.txt
.. csv-table::
   :file: {tmp_path}/secret.txt
.. raw:: html

   <b>raw</b>
.. unknown:: argument
   :option: x

   Content with :unknown:`a role <target>`.

`broken link_ and |substitution|.
"""
    said = convert(text.encode(), ".rst")
    assert "\n\nargument\n\nContent with a role.\n" in said
    assert said.startswith("Text.\n") and "secret" not in said and "raw" not in said and "ystem Message" not in said


def test_rst_complains_to_nobody():
    done = subprocess.run(
        [sys.executable, "-P", "-m", "assistant.conversion", "a.rst"],
        input=b"Text.\n\n.. unknown:: x\n\n`broken_ *here\n",
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_rst_that_is_no_text_is_refused():
    assert "byte 1" in refused(b"a\xff", ".rst")
    assert "binary" in refused(b"a\0", ".rst")


# --- Word


def test_a_word_document_keeps_headings_and_tables():
    made = docx(
        paragraph("Port list", "T"),
        paragraph("Ports", "H1"),
        paragraph("Port &lt;5000>."),
        table(("A", "B"), ("1", "2")),
    )
    assert convert(made, ".docx") == "# Port list\n\n# Ports\n\nPort \\<5000>.\n\n| A | B |\n| --- | --- |\n| 1 | 2 |\n"


def test_a_word_document_has_the_title_of_its_properties():
    assert (
        convert(docx(paragraph("Text."), title="Ports &amp; more"), ".docx")
        == '---\ntitle: "Ports & more"\n---\n\nText.\n'
    )


@pytest.mark.parametrize("size", [120_000_000, 6_000_000])
def test_a_bomb_is_not_unpacked(size):
    assert "not unpacked" in refused(docx(paragraph("x"), **{"word/media/x.bin": bytes(size)}), ".docx")


def test_a_bomb_within_a_file_is_left_packed():
    inner = docx(paragraph("x"), **{"word/media/x.bin": bytes(120_000_000)})
    assert convert(docx(paragraph("Text."), **{"word/embeddings/x.docx": inner}), ".docx") == "Text.\n"


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04broken",
        docx(paragraph("x"))[:-300],
        docx(**{"word/document.xml": b"<w:document"}),
        docx(**{"word/document.xml": f"{BILLION}]><a>&h;</a>".encode()}),
    ],
    ids=["no zip", "cut off", "no XML", "a billion laughs"],
)
def test_a_broken_word_document_is_refused_in_one_line(data):
    refused(data, ".docx")


def test_an_encrypted_word_document_is_refused():
    assert "password" in refused(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), ".docx")


# --- PDF


def test_a_pdf_has_a_heading_for_each_page_and_whole_paragraphs():
    made = pdf(
        [("Ports of servers", 20), "", "The first line of a para-", "graph that goes on over", "three lines."],
        ["• One point", "that goes on", "• Another *point*", "", "7"],
        title="Handbook",
    )
    assert convert(made, ".pdf") == (
        '---\ntitle: "Handbook"\n---\n\n## Page 1\n\n### Ports of servers\n\nThe first line of a paragraph that goes on over three '
        "lines.\n\n## Page 2\n\n- One point that goes on\n\n- Another \\*point\\*\n"
    )


@pytest.mark.parametrize("hyphen", ["\x02", "\ufffe", "\xad", "-"])
def test_a_word_that_was_cut_at_the_end_of_a_line_is_whole_again(hyphen):
    lines = [Line(f"a para{hyphen}", 72, 700, 500, 11), Line("graph", 72, 686, 500, 11)]
    assert list(_blocks(lines, 11)) == ["a paragraph"]


def test_what_stands_on_every_page_is_left_out():
    pages = [
        ["Handbook of ports", f"Fact {word} is here.", f"Page {number} of 3"] for number, word in enumerate("abc", 1)
    ]
    said = convert(pdf(*pages), ".pdf")
    assert said == "".join(f"## Page {at}\n\nFact {word} is here.\n\n" for at, word in enumerate("abc", 1))[:-1]


@pytest.mark.parametrize("title", ["", "Microsoft Word - ports.doc", "untitled", "ports.indd"])
def test_a_title_that_nobody_gave_is_none(title):
    assert convert(pdf(["Text."], title=title), ".pdf") == "## Page 1\n\nText.\n"


def test_a_locked_pdf_is_refused():
    assert "password" in refused(pdf(["Text."], password="secret"), ".pdf")


def test_a_broken_pdf_is_refused_in_one_line():
    assert "damaged" in refused(b"%PDF-1.4 broken", ".pdf")
    assert "OCR" in refused(pdf(b"0 0 100 100 re f"), ".pdf")


# --- limits

SLOW = pdf(b"BT /F1 9 Tf 72 700 Td " + b"(word word) Tj 0 -1 Td " * 1_500_000 + b" ET")


def test_a_file_that_takes_too_long_is_given_up():
    assert "longer than 1 seconds" in refused(SLOW, ".pdf", Limits(seconds=1))


def test_a_converter_that_only_waits_is_ended(tmp_path, monkeypatch):
    waiting = tmp_path / "waiting"
    waiting.write_text("#!/bin/sh\nexec sleep 250\n")
    waiting.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(waiting))
    assert "longer than 1 seconds" in refused(b"<p>Text.", ".html", Limits(seconds=1))


def test_the_kernel_keeps_the_time_where_the_parent_is_gone():
    done = subprocess.run(
        [sys.executable, "-P", "-m", "assistant.conversion", "x.pdf", "1"], input=SLOW, capture_output=True, check=False
    )
    assert done.returncode == -9 and done.stdout == b""


def test_a_file_that_takes_too_much_memory_is_given_up():
    said = refused(b"<p>word <b>x</b></p>" * 40_000, ".html", Limits(memory=100_000_000))
    assert "100 MB of memory" in said


def test_a_page_that_swells_is_given_up():
    said = refused(pdf(b" " * 300_000_000), ".pdf", Limits(memory=300_000_000))
    assert "very large" in said or "memory" in said


def test_a_text_that_is_too_large_is_given_up():
    assert "20 MB" in refused(b"word " * 4_500_000, ".html")


def test_nesting_without_end_is_refused_in_one_line():
    refused(b"<div>" * 50_000 + b"x", ".html")


@pytest.mark.parametrize("act", ["socket.create_connection({!r})", "subprocess.run(['true'])", "os.system('true')"])
def test_a_converter_reaches_nobody(act):
    with socket.create_server(("127.0.0.1", 0)) as server:
        act = act.format(server.getsockname())
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import os, socket, subprocess; from assistant import conversion as c; c._limit(9, 10**9); {act}",
            ],
            capture_output=True,
            check=False,
        )
    assert b"PermissionError: a document's converter may not use" in done.stderr


def test_a_package_beside_the_documents_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "bs4.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    assert convert(b"<p>Text.", ".html") == "Text.\n"


# --- what is kept


@pytest.fixture
def counted(monkeypatch):
    """How often something was converted."""
    calls = []
    monkeypatch.setattr(
        conversion, "convert", lambda data, suffix, limits: calls.append(data) or convert(data, suffix, limits)
    )
    return calls


def asked(folder, data, suffix=".html", again=False):
    conversions = Conversions(folder, again)
    return conversions, conversions.markdown(data, suffix, digest_of(data, suffix))


def test_a_file_is_converted_once_and_forgotten_when_it_is_gone(tmp_path, counted):
    for _ in range(2):
        conversions, text = asked(tmp_path / "kept", b"<p>One.")
        assert text == "One.\n" and len(counted) == 1
    conversions.prune()
    assert len(list((tmp_path / "kept").iterdir())) == 1
    conversions, _ = asked(tmp_path / "kept", b"<p>Two.")
    (tmp_path / "kept" / "mine.md").write_text("x")
    scratch = tmp_path / "kept" / f"{'0' * 64}.1.1.tmp"
    scratch.write_text("x")
    conversions.prune()
    assert len(list((tmp_path / "kept").iterdir())) == 3
    os.utime(scratch, (0, 0))
    conversions.prune()
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == sorted(
        [f"{digest_of(b'<p>Two.', '.html')}.md", "mine.md"]
    )


def test_why_a_file_failed_is_kept_too_until_it_is_tried_again(tmp_path, counted):
    for again, calls in ((False, 1), (False, 1), (True, 2)):
        with pytest.raises(CorpusError, match="damaged"):
            asked(tmp_path, b"no pdf", ".pdf", again)
        assert len(counted) == calls


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path, counted):
    (tmp_path / "file").write_text("x")
    for calls in (1, 2):
        conversions, text = asked(tmp_path / "file" / "kept", b"<p>One.")
        conversions.prune()
        assert text == "One.\n" and len(counted) == calls


def test_half_a_file_is_never_read(tmp_path):
    results = []
    threads = [threading.Thread(target=lambda: results.append(asked(tmp_path, b"<p>One.")[1])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["One.\n"] * 3
    assert [path.suffix for path in tmp_path.iterdir()] == [".md"]


def test_another_version_of_the_converter_is_another_digest(monkeypatch):
    before = digest_of(b"x", ".pdf")
    converter.cache_clear()
    monkeypatch.setattr(conversion, "VERSION", conversion.VERSION + 1)
    assert digest_of(b"x", ".pdf") != before
    monkeypatch.undo()
    converter.cache_clear()
    assert digest_of(b"x", ".pdf") == before != digest_of(b"x", ".docx")
