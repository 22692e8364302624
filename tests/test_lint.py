"""Each rule of `evals lint` finds what it is for, and nothing in a note that has no fault."""

import datetime
import json
import sys

import pytest

from assistant.chunking import Window
from assistant.cli import run
from assistant.corpus import load_corpus
from assistant.nouns import Passage
from evals.__main__ import app
from evals.gold import FOUNDING, Question
from evals.lint import lint
from evals.lint_gold import lint_gold

TODAY = datetime.date(2026, 11, 24)
WHOLE = Window()

FRONT = """---
title: Boot times
sources:
  - title: "A measured boot"
    publisher: Ahrens et al., Systems Symposium
    year: 2021
    url: https://example.org/boot
  - title: Boot manual
    publisher: Example Project
    year: 2024
    url: https://example.org/manual
reviewed: 2026-10-01
---
"""

BODY = """
# Boot times

Containers start as processes of the host, as the [kernel note](deep/kernel.md#the-kernel) explains.

## Figures

A virtual machine needed 900 ms to boot in a test on one server (Ahrens et al., Systems Symposium 2021).

| What | Containers | Virtual machines |
|---|---|---|
| It starts | as a process | by booting a kernel |
"""

OTHER = (
    FRONT.replace("Boot times", "The kernel") + "\n# The kernel\n\nEvery container shares one kernel with its host.\n"
)


def found(tmp_path, body=BODY, front=FRONT, window=WHOLE, **files):
    folder = tmp_path / "corpus"
    (folder / "deep").mkdir(parents=True)
    (folder / "boot.md").write_text(front + body, "utf-8")
    (folder / "deep" / "kernel.md").write_text(OTHER, "utf-8")
    for name, text in files.items():
        (folder / f"{name}.md").write_text(text, "utf-8")
    return lint(load_corpus(folder).documents, window, 700, TODAY)


def rules(tmp_path, **changes):
    return [(one.document, one.rule) for one in found(tmp_path, **changes)]


def test_a_good_note_has_no_findings(tmp_path):
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("title: Boot times\n", ""),
        ("title: Boot times\n", 'title: ""\n'),
        ("reviewed: 2026-10-01\n", ""),
        ("reviewed: 2026-10-01\n", "reviewed: last week\n"),
        ("reviewed: 2026-10-01\n", "reviewed: 2026-11-25\n"),
        ("    publisher: Example Project\n", ""),
        ("    title: Boot manual\n".lstrip(), "title: \n"),
        ("year: 2024", "year: 2027"),
        ("year: 2024", "year: unknown"),
        ("https://example.org/manual", "example.org/manual"),
        (FRONT[FRONT.index("  - title: Boot manual") : FRONT.index("reviewed")], ""),
        (FRONT, "---\ntitle: Boot: times\nsources: two\n---\n"),
        (FRONT, ""),
    ],
)
def test_incomplete_front_matter(tmp_path, old, new):
    assert old in FRONT
    assert ("boot.md", "front matter") in rules(tmp_path, front=FRONT.replace(old, new))


@pytest.mark.parametrize(
    ("address", "broken"),
    [
        ("deep/kernel.md", False),
        ("./deep/../deep/kernel.md", False),
        ("#figures", False),
        ("https://example.org/", False),
        ("kernel.md", True),
        ("deep/kernel.md#another", True),
        ("#another", True),
        ("/deep/kernel.md", True),
        ("../corpus/boot.md", True),
        ("mailto:someone@example.org", True),
    ],
)
def test_links(tmp_path, address, broken):
    body = BODY.replace("deep/kernel.md#the-kernel", address)
    assert rules(tmp_path, body=body) == [("boot.md", "link")] * broken


def test_a_link_is_found_in_its_line(tmp_path):
    (finding,) = found(tmp_path, body=BODY.replace("deep/kernel.md", "kernel.md"))
    text = (tmp_path / "corpus" / "boot.md").read_text("utf-8")
    assert "kernel.md" in text.splitlines()[finding.line - 1]


def test_a_passage_over_the_window(tmp_path):
    # No cut can satisfy this one: every character is too many.
    assert ("boot.md", "window") in rules(tmp_path, window=Window(len, 0))


@pytest.mark.parametrize(
    ("sentence", "dangles"),
    [
        ("It starts at once.", True),
        ("This makes containers start at once.", True),
        ("However, they start at once.", True),
        ("**These** start at once.", True),
        ("Their kernel is the host's.", True),
        ("- It starts at once and needs nothing else of the host.", True),
        ("Italian servers start at once.", False),
        ("Containers start at once; it is a process that starts.", False),
        ("What it starts is a process.", False),
        ("```\nit starts at once\n```", False),
    ],
)
def test_dangling_pronouns(tmp_path, sentence, dangles):
    assert rules(tmp_path, body=f"{BODY}\n{sentence}\n") == [("boot.md", "pronoun")] * dangles


@pytest.mark.parametrize(
    ("section", "unsourced"),
    [
        ("A container started in 50 ms.", True),
        ("A container used 12 MiB of memory.", True),
        ("Throughput fell by 20 %.", True),
        ("Throughput fell 3x.", True),
        ("Throughput reached 9.4 Gbit/s.", True),
        ("| Aspect | Figure |\n|---|---|\n| Start | 50 ms |", True),
        ("A container started in 50 ms, in 2021.", True),
        ("A container started in 50 ms (Systems Symposium 2020).", True),
        ("A container started in 50 ms (Ahrens et al. 2021).", False),
        ("The manual of the Example Project, of 2024, gives 50 ms.", False),
        ("A container started in 50 ms, says [a test](https://example.org/test).", False),
        ("A server ran three containers of version 1.24 on an x86 machine.", False),
    ],
)
def test_figures_without_a_source(tmp_path, section, unsourced):
    body = f"{BODY}\n## More\n\n{section}\n"
    assert rules(tmp_path, body=body) == [("boot.md", "figure")] * unsourced


@pytest.mark.parametrize(
    ("sentence", "stale"),
    [
        ("As of 2025, containers have no such limit.", True),
        ("As of September 2026, containers have no such limit.", True),
        ("Containers currently, in version 4 of 2026-09-30, have no such limit.", True),
        ("Support will end in June 2026.", True),
        ("The release is planned for 2025.", True),
        ("As of 2026, containers have no such limit.", False),
        ("As of October 2026, containers have no such limit.", False),
        ("Support will end in June 2027.", False),
        ("Support ended in June 2026.", False),
        ("A kernel will boot faster with fewer devices (Ahrens et al., Systems Symposium 2021).", False),
    ],
)
def test_dates_before_the_review(tmp_path, sentence, stale):
    assert rules(tmp_path, body=f"{BODY}\n{sentence}\n") == [("boot.md", "date")] * stale


def test_near_duplicates_are_found_in_other_files_only(tmp_path):
    sentence = "A guest kernel boots its own drivers before the first process of an application can start running."
    nearly = sentence.replace("running", "to run")
    again = FRONT + f"\n# Again\n\n{nearly}\n"
    assert rules(tmp_path, body=f"{BODY}\n## Twice\n\n{sentence}\n\n## Thrice\n\n{sentence}\n") == []
    both = lint(load_corpus(tmp_path / "corpus").documents, Window(), 700, TODAY)
    assert both == []
    (tmp_path / "corpus" / "again.md").write_text(again, "utf-8")
    both = lint(load_corpus(tmp_path / "corpus").documents, Window(), 700, TODAY)
    assert {one.rule for one in both} == {"duplicate"}


def test_the_founding_document_is_exempt_by_name(tmp_path):
    text = "# Docker\n\nThis starts in 50 ms, see [more](nowhere.md), as it will until 2020 at the very latest.\n"
    assert found(tmp_path, **{FOUNDING.removesuffix(".md"): text}) == []
    copied = FRONT + text.split("\n\n")[1].replace("This starts", "Docker starts")
    (tmp_path / "corpus" / "a.md").write_text(copied, "utf-8")
    documents = load_corpus(tmp_path / "corpus").documents
    assert {one.document for one in lint(documents, Window(), 700, TODAY) if one.rule == "duplicate"} == {"a.md"}


def test_the_command_says_what_it_finds_and_exits_2(tmp_path, monkeypatch, capsys, index_home):
    def evals_cli(*arguments):
        monkeypatch.setattr(sys, "argv", ["python -m evals", *arguments])
        code = run(app, "python -m evals", undone=3)
        return code, *capsys.readouterr()

    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "boot.md").write_text(FRONT + BODY.replace("deep/kernel.md#the-kernel", "gone.md"), "utf-8")
    gold = tmp_path / "gold"
    gold.mkdir()
    (gold / "a.yaml").write_text(
        "- {id: a, question: 'When?', evidence: [{doc: boot.md, quote: 'needed 900 ms'}], nuggets: [{any_of: ['900']}]}\n"
    )
    options = ["lint", "--corpus", str(folder), "--gold", str(gold), "--index", str(index_home)]
    code, out, err = evals_cli(*options)
    assert (code, err) == (2, "")
    assert "boot.md:17: link: gone.md leads to no document of the corpus" in out
    code, out, _ = evals_cli(*options, "--json")
    assert code == 2
    assert [one["rule"] for one in json.loads(out)["findings"]] == ["link"]
    (folder / "boot.md").write_text(FRONT + BODY.replace("deep/kernel.md#the-kernel", "boot.md"), "utf-8")
    assert evals_cli(*options)[0] == 0
    (folder / "boot.md").write_text(
        FRONT + BODY.replace("deep/kernel.md", "boot.md").replace("900", "800").replace("#the-kernel", "")
    )
    code, out, _ = evals_cli(*options)
    assert code == 1
    assert "evidence is lost" in out


PASSAGES = [
    Passage("a.md", "A", (), text, 0, len(text), 1, 1) for text in ["Containers share a kernel."] * 6 + ["Fast."] * 14
]


@pytest.mark.parametrize(
    ("phrase", "fault"),
    [
        ("share a kernel", "30%"),
        ("quickly", "in the question"),
        ("Quickly!", "in the question"),
        ("the", "common word"),
        ("125 ms", None),
        ("whiteout", None),
        ("share no kernel", None),
    ],
)
def test_phrases_that_prove_nothing(phrase, fault):
    asked = Question(id="q", question="What starts quickly?", nuggets=[{"any_of": [phrase]}])
    found = [str(one) for one in lint_gold([asked], PASSAGES)]
    assert len(found) == (fault is not None)
    assert all(fault in line and line.startswith("q:") for line in found)


def test_a_word_of_every_tenth_passage_is_common():
    asked = Question(id="q", question="What?", nuggets=[{"any_of": ["hypervisor"]}])
    hypervisors = [Passage("a.md", "A", (), "A hypervisor.", 0, 13, 1, 1)] * 5
    assert lint_gold([asked], hypervisors + PASSAGES * 3)[0].says == "'hypervisor' is one common word"
    assert lint_gold([asked], hypervisors + PASSAGES * 5) == []


def test_a_question_asked_twice_is_found_unless_its_history_differs():
    def asked(name, text, *history):
        return Question(id=name, question=text, history=[{"question": one} for one in history])

    questions = [asked("a", "And VMs?", "Boot?"), asked("b", "and VMs", "boot"), asked("c", "And VMs?", "Size?")]
    assert [(one.document, one.rule) for one in lint_gold(questions, PASSAGES)] == [("b", "twice")]
