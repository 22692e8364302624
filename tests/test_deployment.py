"""The Dockerfile and docs/deployment.md, read: no image is built here. What they say of files is done with files."""

import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import threading
import tomllib
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from conftest import child_environment
from test_cli import QUESTION, run

from assistant.cli import app
from assistant.feedback import Feedback
from assistant.settings import Settings

COMMANDS = {one.name or one.callback.__name__ for one in app.registered_commands} | {
    group.name for group in app.registered_groups
}
SYSTEM = {"apt-get", "rm", "useradd"}
SETTINGS = {f"ASSISTANT_{name.upper()}" for name in Settings.model_fields}


@pytest.fixture(scope="module")
def instructions(repository):
    """(name, arguments) of each instruction, continuation lines joined, comments left out."""
    text = (repository / "Dockerfile").read_text("utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def final(instructions):
    """The instructions of the last stage: what runs."""
    last = max(at for at, (name, _) in enumerate(instructions) if name == "FROM")
    return instructions[last:]


@pytest.fixture(scope="module")
def document(repository):
    return (repository / "docs" / "deployment.md").read_text("utf-8")


def given(instructions, name):
    return [arguments for one, arguments in instructions if one == name]


def simple_commands(text):
    return [shlex.split(part) for part in re.split(r"&&|;", text)]


def check_command(words, repository):
    """A command of the image is one of ours, a target of the Makefile, or one of a few of the system's."""
    program, *rest = words
    if program == "make":
        targets = (repository / "Makefile").read_text("utf-8").replace("$(VENV)", ".venv")
        assert rest and all(re.search(rf"^{re.escape(target)}:", targets, re.MULTILINE) for target in rest), words
    elif program in ("assistant", ".venv/bin/assistant"):
        assert rest[0] in COMMANDS, words
    elif program == ".venv/bin/python":
        assert rest[:3] == ["-m", "pip", "install"] and rest[3:5] == ["-c", "constraints.txt"], words
        extras = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        assert all(extra in extras for extra in re.findall(r"\.\[([^\]]+)\]", rest[-1])[0].split(",")), words
    else:
        assert program in SYSTEM, words


def test_every_base_image_is_pinned(instructions):
    for base in given(instructions, "FROM"):
        assert re.match(r"python:\d+\.\d+\.\d+-[a-z-]+\b", base), base


def test_it_does_not_run_as_root(final):
    user = given(final, "USER")[-1].partition(":")[0]
    assert user not in ("root", "0")
    assert f"--uid {user} " in given(final, "RUN")[0]
    # The last that writes files as root comes before.
    assert [name for name, _ in final].index("USER") > max(
        at for at, (name, _) in enumerate(final) if name in ("RUN", "COPY")
    )


def test_nothing_is_fetched_by_url(instructions):
    assert not given(instructions, "ADD")
    assert not any(re.search(r"https?://|curl|wget", arguments) for arguments in given(instructions, "RUN"))


def test_torch_comes_by_the_makefile(instructions):
    steps = given(instructions, "RUN")
    assert "make .venv/.torch" in steps
    assert not any("pip" in step and "torch" in step for step in steps)


def test_every_copied_file_is_there_and_goes_to_the_builder(instructions, repository):
    allowed = {
        line[1:] for line in (repository / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")
    }
    sources = set()
    for arguments in given(instructions, "COPY"):
        words = arguments.split()
        if not any(word.startswith("--from=") for word in words):
            sources.update(word.rstrip("/") for word in words[:-1] if not word.startswith("--"))
    assert sources == allowed
    assert all((repository / source).exists() for source in sources)


def test_what_the_package_is_made_of_is_copied(instructions, repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = " ".join(given(instructions, "COPY")).split()
    for needed in [*wheel["packages"], *wheel["force-include"], project["project"]["readme"]]:
        assert needed in copied, needed


def test_every_command_of_the_image_exists(instructions, repository):
    for step in given(instructions, "RUN"):
        for words in simple_commands(step):
            check_command(words, repository)
    check_command(json.loads(given(instructions, "CMD")[-1]), repository)


def test_no_cache_stays(instructions):
    assert any("PIP_NO_CACHE_DIR=1" in step for step in given(instructions, "ENV"))
    for step in given(instructions, "RUN"):
        assert "apt-get install" not in step or "rm -rf /var/lib/apt/lists/*" in step


def test_the_variables_of_the_image_are_settings(instructions):
    named = set(re.findall(r"ASSISTANT_\w+", " ".join(given(instructions, "ENV"))))
    assert named and named <= SETTINGS


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_asks_whether_questions_are_answered(final, status, code):
    asked = []

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Ready) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        _, _, command = given(final, "HEALTHCHECK")[0].partition("CMD ")
        python, option, source = json.loads(command)
        assert (python, option, Settings.model_fields["port"].default) == ("python", "-c", 7860)
        source = source.replace("7860", str(server.server_port))
        assert subprocess.run([sys.executable, option, source], capture_output=True, check=False).returncode == code
    assert asked == ["/readyz"]


def test_every_setting_in_the_document_is_one(document):
    named = set(re.findall(r"ASSISTANT_[A-Z_]+", document))
    assert len(named) > 8 and named <= SETTINGS


def blocks(document, language):
    return re.findall(rf"```{language}\n(.*?)```", document, re.DOTALL)


def test_every_command_in_the_document_exists(document, repository):
    lines = [line.partition(" #")[0] for block in blocks(document, "sh") for line in block.splitlines()]
    ours = [line for line in lines if re.match(r"(?:\.venv/bin/)?assistant |make ", line)]
    inline = re.findall(r"`((?:assistant|make) [^`]+)`", document)
    started = re.findall(r"^ExecStart=\S*/(assistant .*)", blocks(document, "ini")[0], re.MULTILINE)
    assert len(ours) > 3 and inline and started
    for line in [*ours, *inline, *started]:
        check_command(shlex.split(line), repository)


def test_the_proxies_pass_on_what_is_needed_and_hold_nothing_back(document):
    (nginx,), (caddy,) = blocks(document, "nginx"), blocks(document, "caddy")
    for line in ("proxy_buffering off;", "Host $host;", "X-Forwarded-For $proxy", "X-Forwarded-Proto $scheme;"):
        assert line in nginx
    assert "flush_interval -1" in caddy
    for recipe in (nginx, caddy):
        assert recipe.count("{") == recipe.count("}")
        assert f"127.0.0.1:{Settings.model_fields['port'].default}" in recipe


def test_the_document_says_that_no_image_is_built_here(document):
    assert "not built in our CI" in document


def test_a_replica_answers_from_a_copy_as_its_origin_does(founding_corpus, founding_home, tmp_path):
    """In the document's order: encoders and the snapshot, then CURRENT."""
    copy = tmp_path / "copy"
    name = (founding_home / "CURRENT").read_text("utf-8").strip()
    shutil.copytree(founding_home / name, copy / name)
    shutil.copytree(founding_home / "encoders", copy / "encoders")
    shutil.copy(founding_home / "CURRENT", copy / "CURRENT")
    answers = []
    for home in (founding_home, copy):
        # Not told to leave the index alone: a copy of the same documents is found current, and nothing is built.
        done = run(["ask", "--json", QUESTION], child_environment(founding_corpus, home))
        assert (done.returncode, done.stderr) == (0, "")
        answers.append({key: value for key, value in json.loads(done.stdout).items() if key != "timings_ms"})
    assert answers[0] == answers[1]
    assert sorted(one.name for one in copy.iterdir() if one.is_dir() and one.name != "converted") == sorted(
        [name, "encoders"]
    )


def test_ratings_are_backed_up_while_they_are_written(tmp_path):
    kept = Feedback(tmp_path / "feedback.sqlite3")
    first = kept.save("up", {"question": "a"})
    with closing(sqlite3.connect(kept.path)) as writer, closing(sqlite3.connect(kept.path)) as reader:
        writer.execute("begin immediate")
        writer.execute("delete from feedback")
        with closing(sqlite3.connect(tmp_path / "backup.sqlite3")) as backup:
            reader.backup(backup)
        writer.rollback()
    assert [one.id for one in Feedback(tmp_path / "backup.sqlite3").all()] == [first]
