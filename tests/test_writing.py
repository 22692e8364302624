"""The quoting writer: verbatim, without repetition, the subject named, the same bytes every time."""

import json
import subprocess

import pytest
from conftest import child_environment, with_encoders

from assistant.index import open_index
from assistant.nouns import Passage
from assistant.retrieval import retrieve
from assistant.sentences import opening_header, opens_with_reference
from assistant.writing import MOST, ROWS, SHARED, names_subject, points_elsewhere, quoting_writer

QUESTIONS = (
    "Which should I use to run untrusted code?",
    "Why do containers start faster than VMs?",
    "Compare the isolation of containers and VMs",
    "What are the differences in performance?",
    "When is Docker a good choice?",
    "Which is better for legacy applications?",
    "Do I need a hypervisor?",
    "What about CI/CD pipelines?",
    "kernel",
    "zzzz qqqq",
)


@pytest.fixture
def opened(tmp_path, write_corpus, build_snapshot, encoders):
    """Opens the snapshot of a few documents."""
    indexes = []

    def made(documents):
        home = with_encoders(tmp_path / f"index{len(indexes)}", encoders)
        build_snapshot(write_corpus(tmp_path / f"corpus{len(indexes)}", documents), home)
        indexes.append(open_index(home))
        return indexes[-1]

    yield made
    for index in indexes:
        index.close()


def quotes(index, encoder, question, count=5):
    return list(quoting_writer(index, [retrieve(index, encoder, question, count)]))


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_few_verbatim_quotes_of_the_hits(question, founding, encoder, founding_text):
    told = quotes(founding, encoder, question)
    sentences = [quote for quote in told if quote.cell is None]
    cells = [quote.cell for quote in told if quote.cell is not None]
    if cells:
        assert len(sentences) <= 1
        assert all(cells.count(side) <= ROWS for side in (0, 1))
        assert set(cells) <= {0, 1}
    else:
        assert 1 <= len(sentences) <= MOST
    hits = {hit.passage for hit in retrieve(founding, encoder, question, 5).hits}
    for quote in told:
        assert quote.passage in hits
        assert founding_text[quote.start : quote.end] == quote.text
        assert quote.passage.start <= quote.start < quote.end <= quote.passage.end


@pytest.mark.parametrize("question", QUESTIONS)
def test_nothing_is_said_twice(question, founding, encoder):
    told = quotes(founding, encoder, question)
    assert len({quote.text for quote in told}) == len(told)
    for first in told:
        for second in told:
            if first is not second and first.passage == second.passage:
                assert first.end <= second.start or second.end <= first.start


def test_the_same_sentence_in_two_documents_is_quoted_once(opened, encoder):
    text = "# Boxes\n\nA container shares the kernel of its host. Images are built in layers.\n"
    told = quotes(opened({"a.md": text, "b.md": text}), encoder, "What does a container share?")
    assert len({quote.text for quote in told}) == len(told)


def test_a_comparison_quotes_both_sides(founding, encoder):
    told = quotes(founding, encoder, "Compare the startup of containers and VMs")
    cells = [(quote.cell, founding.comparison.only(quote.text)) for quote in told if quote.cell is not None]
    assert set(cells) == {(0, 0), (1, 1)}


def test_an_item_that_names_no_subject_is_led_by_its_heading(founding, encoder):
    told = {quote.text: quote.lead for quote in quotes(founding, encoder, "Which is better for legacy applications?")}
    legacy = next(text for text in told if "Legacy Applications" in text)
    assert told[legacy] == "When to Use Virtual Machines"


def test_an_item_that_names_its_subject_stands_alone(founding, encoder):
    told = quotes(founding, encoder, "Why do containers start faster than VMs?")
    startup = next(quote for quote in told if "Faster Startup" in quote.text)
    assert startup.lead == ""


def test_a_lead_is_a_heading_above_the_quote(founding, encoder):
    for question in QUESTIONS:
        for quote in quotes(founding, encoder, question):
            assert not quote.lead or quote.lead in quote.passage.section


@pytest.mark.parametrize(
    ("text", "heading", "expected"),
    [
        ("**Faster Startup**: Containers can start almost instantly", "Docker Containers", True),
        ("VMs typically take longer to start", "Virtual Machines", True),
        ("Each VM has its own system", "Virtual Machines", True),
        ("A virtual machine is a computer", "Virtual Machines", True),
        ("Run on a hypervisor", "Virtual Machines", True),
        ("Best for running old applications", "When to Use Virtual Machines", False),
        ("Great for rapid cycles", "When to Use Docker", False),
        ("The lightweight nature of containers", "When to Use Docker", True),
        ("Reads and writes are cached", "3. Storage", False),
        ("The storage driver", "3. Storage", True),
        ("Exactly 3 of them", "3. Storage", False),
        ("Anything at all", "", False),
        ("", "Docker", False),
    ],
)
def test_whether_a_text_names_the_subject_of_its_heading(text, heading, expected, comparison):
    assert names_subject(text, heading, comparison) is expected


def test_a_sentence_that_leans_on_the_one_before_brings_it_along(opened, encoder):
    index = opened(
        {
            "a.md": "# Start\n\nContainers share the host kernel. This makes them start within milliseconds.\n\n"
            "# Other\n\nThe registry is green. A volume is blue. The network is red. The logo shows a whale.\n"
        }
    )
    told = quotes(index, encoder, "What starts within milliseconds?")
    leaning = next(quote for quote in told if "milliseconds" in quote.text)
    assert leaning.text == "Containers share the host kernel. This makes them start within milliseconds."
    assert index.passages[0].text[leaning.start - index.passages[0].start :].startswith(leaning.text)


def test_no_quote_of_prose_opens_with_a_reference_to_what_is_not_shown(opened, encoder):
    prose = "Pods group containers. They share a network. Routes are flat. These have two ends. Nodes run pods."
    index = opened({"a.md": f"# Pods\n\n{prose}\n"})
    for question in ("What has two ends?", "What is flat?", "What do pods share?"):
        for quote in quotes(index, encoder, question):
            assert not opens_with_reference(quote.text), quote.text


def test_a_row_is_led_by_the_header_of_its_table(opened, encoder):
    index = opened({"t.md": "# Times\n\n| Runtime | Start |\n|---|---|\n| runc | 50 ms |\n| kata | 150 ms |\n"})
    told = quotes(index, encoder, "How long does kata take to start?")
    row = next(quote for quote in told if "kata" in quote.text)
    assert "Runtime" in row.lead
    assert "Start" in row.lead


def test_one_statement_is_said_once(opened, encoder):
    told = quotes(opened({"a.txt": "Containers share the kernel."}), encoder, "What do containers share?")
    assert [quote.text for quote in told] == ["Containers share the kernel."]


def test_a_decision_puts_the_chosen_side_first(founding, encoder):
    for question, side in (
        ("Which should I use to run untrusted code?", 1),
        ("Which is better for legacy applications?", 1),
        ("Containers or VMs for microservices?", 0),
    ):
        first = quotes(founding, encoder, question)[0]
        assert founding.comparison.first(f"{first.lead} {first.text}") == side, question
        assert first.cell is None


TWO = (
    "# Boxes\n\n## Startup\n\n### Containers\n\n- **Fast**: They start within a second.\n\n"
    "### Virtual machines\n\n- **Slow**: They boot a whole system first.\n\n"
    "## Snapshots\n\n### Virtual machines\n\n- **Snapshots**: The memory and the disks are saved as one snapshot.\n"
)
SIDES = (
    "sides:\n  - {name: Containers, words: [container]}\n  - {name: Virtual machines, words: [virtual machine, vm]}\n"
)


def test_cells_are_filled_from_sister_sections(opened, encoder):
    index = opened({"a.md": TWO, "comparison.yaml": SIDES})
    told = quotes(index, encoder, "Compare the startup of containers and VMs")
    cells = [quote for quote in told if quote.cell is not None]
    assert [quote.cell for quote in cells[:2]] == [0, 1]
    assert "second" in cells[0].text
    assert "whole system" in cells[1].text


def test_a_side_of_which_nothing_is_said_gets_no_cell(opened, encoder):
    index = opened({"a.md": TWO, "comparison.yaml": SIDES})
    told = quotes(index, encoder, "Compare the snapshots of the memory and the disks of containers and VMs")
    assert [(quote.cell, "snapshot" in quote.text) for quote in told if quote.cell is not None] == [(1, True)]


def test_without_a_comparison_there_are_no_cells(opened, encoder):
    told = quotes(opened({"a.md": TWO}), encoder, "Compare the startup of containers and VMs")
    assert told
    assert all(quote.cell is None for quote in told)


@pytest.mark.parametrize(
    "asked",
    [
        ("Why do containers start quickly?", "How strong is the isolation of VMs?"),
        ("How strong is the isolation of VMs?", "How strong is the isolation of VMs?"),
        ("What is a hypervisor for?", "zzzz qqqq", "Do containers share the kernel?"),
    ],
)
def test_each_part_of_a_question_is_answered_and_nothing_twice(asked, founding, encoder):
    founds = [retrieve(founding, encoder, part, 5) for part in asked]
    told = list(quoting_writer(founding, founds))
    assert len({(quote.passage, quote.start) for quote in told}) == len(told)
    assert 1 <= len(told) <= SHARED * len(asked)
    best = {next(quoting_writer(founding, [found])).text for found in founds}
    assert best <= {quote.text for quote in told}
    assert all(quote.cell is None for quote in told)


def test_what_is_code_is_not_quoted(opened, encoder):
    index = opened({"a.md": "# Run\n\nStart a container like this.\n\n```\ndocker run alpine\n```\n"})
    assert all("alpine" not in quote.text for quote in quotes(index, encoder, "docker run alpine"))


def test_the_same_question_gives_the_same_bytes_in_every_process(founding_home, founding_corpus, assistant_command):
    answers = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [*assistant_command, "ask", "--json", "--no-update", "Compare the isolation of containers and VMs"],
            env={**child_environment(founding_corpus, founding_home), "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        answers.append(json.loads(done.stdout))
        assert answers[-1].pop("timings_ms")
    assert json.dumps(answers[0]) == json.dumps(answers[1])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("lines", "header"),
    [
        (["| What | Start |", "|---|---|", "| VM | 30 s |"], "What | Start"),
        (["| VM | 30 s |", "| Container | 1 s |"], ""),
        (["Text.", "", "| What | Start |", "|---|---|"], ""),
        (["| VM | 30 s |"], ""),
    ],
)
def test_a_row_is_led_by_its_header_and_never_by_another_row(lines, header, end):
    text = end.join(lines)
    assert opening_header(Passage("a.md", "T", (), text, 0, len(text), 1, len(lines))) == header


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("Volumes are described in [container storage](../storage/volumes.md).", True),
        ("See [volumes](volumes.md) for more.", True),
        ("The note on [volumes](volumes.md) lists the drivers.", True),
        ("Volumes are described by the engine.", False),
        ("A volume is a [directory](volumes.md) on the host.", False),
        ("See the [manual](https://example.org/manual) for more.", False),
        (
            "A container that writes to a [volume](volumes.md) keeps more data than the engine lists after its end.",
            False,
        ),
    ],
)
def test_what_only_says_where_something_is_told(text, pointer):
    assert points_elsewhere(text) is pointer


def test_a_pointer_is_never_quoted(opened, encoder):
    text = "# Volumes\n\nVolumes are described in [storage](storage.md).\n\nVolumes outlive the container that mounts them.\n"
    index = opened({"a.md": text, "storage.md": "# Storage\n\nDisks are of many kinds.\n"})
    told = [quote.text for quote in quotes(index, encoder, "What is described of volumes?")]
    assert any("outlive" in text for text in told) and not any("described in" in text for text in told)


def test_a_row_of_sentences_needs_no_header(opened, encoder):
    text = "| Mount | What it is | Where |\n|---|---|---|\n| Volume | A volume is managed by the engine. | A volume lies on the host. |\n| tmpfs | memory | no disk |\n"
    index = opened({"a.md": text})
    for asked, word, lead in (
        ("What manages a volume?", "Volume", ""),
        ("What is tmpfs?", "tmpfs", "Mount | What it is | Where"),
    ):
        quote = next(one for one in quotes(index, encoder, asked) if word in one.text)
        assert quote.lead == lead
