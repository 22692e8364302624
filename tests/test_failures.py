"""A model that fails costs nothing: whatever it does, the reader gets the quotes and one sentence that says why."""

import json
import re
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import child_environment
from misbehaving import BEHAVIOURS, misbehaving
from test_api import served
from test_generation import KEY, closed_port, connections, until

from assistant.answering import open_assistant
from assistant.chain import Chain
from assistant.nouns import Turn
from assistant.rendering import answer_json
from assistant.settings import Settings

ANSWERABLE = "Why do containers start faster than VMs?"
SENTENCE = "Containers can start almost instantly, as they do not require booting a full OS."
QUOTED = "The documents are quoted instead."
SECRETS = re.compile(rf"SECRET|Bearer|{KEY}")

BROKE_OFF = "broke off in the middle of its answer"
NO_ANSWER = "sent something that is no answer"
UNSUPPORTED = "said nothing that the documents support"
NO_MORE = "takes no more requests at the moment (429)"

# What goes wrong: what the reader is told, and how often the request is made.
FAILURES = {
    "refused": ("could not be reached: nothing answers at its address", 3),
    "dns": ("could not be reached: its host name is not known", 1),
    "tls": ("could not be reached: no secure connection was possible", 1),
    "401": ("refused the key (401)", 1),
    "403": ("did not allow the request (403)", 1),
    "404": ("does not know the model, or nothing is at its address (404)", 1),
    "408": ("took too long (408)", 3),
    "409": ("rejected the request (409)", 1),
    "422": ("rejected the request (422)", 1),
    "429": (NO_MORE, 3),
    "429-long": (NO_MORE, 1),
    "500": ("failed (500)", 3),
    "502": ("failed (502)", 3),
    "503": ("failed (503)", 3),
    "silent": ("said nothing for 2 seconds", 1),
    "headers": ("said nothing for 2 seconds", 1),
    "stalls": ("was not done after 3 seconds", 1),
    "cut": (BROKE_OFF, 1),
    "unfinished": (BROKE_OFF, 1),
    "malformed": (NO_ANSWER, 1),
    "shapeless": (NO_ANSWER, 1),
    "html": (NO_ANSWER, 1),
    "empty": ("gave an empty answer", 1),
    "blank": (UNSUPPORTED, 1),
    "thousand": ("did not stop writing", 1),
    "repeats": ("repeated itself", 1),
    "thinks-forever": (UNSUPPORTED, 1),
    "json_key_echo": ("refused the key (401)", 1),
}
LIMITS = {
    "silent": {"model_first_seconds": 2.0},
    "headers": {"model_first_seconds": 2.0},
    "stalls": {"model_seconds": 3.0},
}


@pytest.fixture
def server():
    with misbehaving() as one:
        one.say = f"{SENTENCE} [1]"
        yield one


@pytest.fixture
def opened(founding_corpus, founding_home, monkeypatch):
    """Opens an assistant on the founding document, by settings; closes it afterwards."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assistants = []

    def made(**settings):
        assistants.append(open_assistant(Settings(corpus=founding_corpus, index=founding_home, **settings)))
        return assistants[-1]

    yield made
    for assistant in assistants:
        assistant.close()


@pytest.fixture(scope="module")
def quotes(founding_corpus, founding_home):
    """What is answered without any model."""
    assistant = open_assistant(Settings(corpus=founding_corpus, index=founding_home))
    yield assistant.ask(ANSWERABLE)
    assistant.close()


@pytest.fixture
def asked(opened, server):
    """The answer of a model that behaves in a certain way."""
    return lambda behaviour: opened(model="openai:test", model_url=server.url(behaviour)).ask(ANSWERABLE)


@pytest.fixture
def profiles(server, tmp_path):
    """A file of profiles: a name and a behaviour for each."""

    def made(**behaviours):
        lines = [f"{name}: {{model: 'openai:test', url: '{server.url(one)}'}}" for name, one in behaviours.items()]
        path = tmp_path / "profiles.yaml"
        path.write_text("\n".join(lines))
        return path

    return made


@pytest.fixture
def tries(monkeypatch):
    """Counts what goes out: the connections by port, the look-ups by name. No name of the test's own is known."""
    made: list[object] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def counted(self, address):
        made.append(address[1] if isinstance(address, tuple) else address)
        return connect(self, address)

    def unknown(host, *rest, **options):
        name = host.decode() if isinstance(host, bytes) else host
        if not str(name).endswith(".invalid"):
            return look_up(host, *rest, **options)
        made.append(name)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket.socket, "connect", counted)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    return made


def told(answer) -> str:
    """Everything that a client gets of an answer."""
    return json.dumps(answer_json(answer), ensure_ascii=False)


def as_timed(notice: str) -> str:
    """A notice without the number of seconds, which depends on the machine."""
    return re.sub(r"(?<=done after )[\d.]+ seconds?", "… seconds", notice)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_model_that_fails_is_replaced_by_the_quotes_and_says_so(failure, opened, quotes, server, tries):
    clause, times = FAILURES[failure]
    port = closed_port()
    elsewhere = {
        "refused": (f"http://127.0.0.1:{port}/v1", port),
        "dns": ("http://nowhere.invalid/v1", "nowhere.invalid"),
        "tls": (server.url("good").replace("http:", "https:"), server.server_port),
    }
    url, goal = elsewhere.get(failure, (server.url(failure) if failure in BEHAVIOURS else "", server.server_port))
    answer = opened(model="openai:test", model_url=url, **LIMITS.get(failure, {})).ask(ANSWERABLE)
    assert answer.answered_by == "quotes"
    assert (answer.text, answer.sentences, answer.citations) == (quotes.text, quotes.sentences, quotes.citations)
    (notice,) = answer.notices
    assert as_timed(notice) == as_timed(f"The model openai:test {clause}. {QUOTED}")
    assert not SECRETS.search(told(answer))
    assert tries.count(goal) == times
    assert len(server.requests) == (0 if failure in elsewhere else times)
    until(lambda: not server.open_streams)


def test_every_behaviour_of_the_server_is_met():
    answers = {"good", "slow", "length", "recovers", "thinks"}
    assert {*FAILURES, *answers} - {"refused", "dns", "tls"} == set(BEHAVIOURS)


@pytest.mark.parametrize(("behaviour", "times"), [("good", 1), ("slow", 1), ("thinks", 1), ("recovers", 3)])
def test_a_model_that_answers_is_heard(behaviour, times, asked, server):
    answer = asked(behaviour)
    assert answer.answered_by == "openai:test"
    assert answer.sentences[0].text == f"{SENTENCE} [1]"
    assert not any("openai:test" in notice for notice in answer.notices)
    assert not SECRETS.search(told(answer))
    assert len(server.requests) == times


def test_of_a_model_that_thinks_no_thought_is_ever_shown(opened, server):
    server.chunk = 1
    assistant = opened(model="openai:test", model_url=server.url("thinks"))
    steps = list(assistant.stream(ANSWERABLE))
    assert steps[-1].answered_by == "openai:test"
    assert not any(SECRETS.search(told(step)) or "The question is about" in step.text for step in steps)


def test_a_sentence_that_is_cut_at_the_end_is_not_shown(asked, server):
    cut = "VMs typically take longer to start because they need"
    server.say = f"{SENTENCE} [1] {cut}"
    assert any(one.text.startswith(f"{cut} [") for one in asked("good").sentences)
    server.say = server.say.ljust(2 * len(server.say))  # half of it is said
    answer = asked("length")
    assert answer.answered_by == "openai:test"
    assert answer.sentences[0].text == f"{SENTENCE} [1]"
    assert not any(one.text.startswith(f"{cut} [") for one in answer.sentences)


def test_where_the_first_model_fails_the_next_one_answers(opened, profiles, server):
    file = profiles(first="json_key_echo", second="good", third="good")
    answer = opened(model="first", fallback="second,third", profiles=file).ask(ANSWERABLE)
    assert answer.answered_by == "second"
    assert answer.notices[0] == "The model first refused the key (401). second answered instead."
    assert not any("model first" in notice or "third" in notice for notice in answer.notices[1:])
    assert answer.sentences[0].text == f"{SENTENCE} [1]"
    assert not SECRETS.search(told(answer))
    assert [one.behaviour for one in server.requests] == ["json_key_echo", "good"]


def test_what_a_model_had_begun_to_say_is_gone_when_the_next_one_answers(opened, profiles, server):
    server.say = f"{SENTENCE} [1] {SENTENCE.replace('full OS', 'full operating system')} [1] {'and so on ' * 20}"
    file = profiles(first="cut", second="good")
    steps = list(opened(model="first", fallback="second", profiles=file).stream(ANSWERABLE))
    assert SENTENCE in steps[1].text
    assert steps[-1].answered_by == "second"
    assert steps[-1].text.count(SENTENCE) == 1
    assert steps[-1].notices[0] == f"The model first {BROKE_OFF}. second answered instead."


def test_where_every_model_fails_each_has_its_notice(opened, quotes, profiles, server):
    file = profiles(first="401", second="empty", third="html")
    answer = opened(model="first", fallback="second, third", profiles=file).ask(ANSWERABLE)
    assert answer.answered_by == "quotes"
    assert (answer.text, answer.sentences, answer.citations) == (quotes.text, quotes.sentences, quotes.citations)
    assert answer.notices == (
        f"The model first refused the key (401). {QUOTED}",
        f"The model second gave an empty answer. {QUOTED}",
        f"The model third {NO_ANSWER}. {QUOTED}",
    )


def test_the_time_of_a_model_begins_with_its_first_request(opened):
    chain = Chain(opened(model="openai:test", model_url="http://127.0.0.1:1/v1", model_seconds=0.5).models)
    time.sleep(0.6)
    assert chain._share().left


def test_a_slow_model_leaves_time_for_the_next(opened, profiles):
    file = profiles(first="silent", second="good")
    answer = opened(model="first", fallback="second", profiles=file, model_seconds=6.0).ask(ANSWERABLE)
    assert answer.answered_by == "second"


def test_a_question_is_made_whole_by_rule_where_the_model_fails(opened, server):
    history = [Turn("How fast do containers start?", "Almost instantly.")]
    ruled = opened().ask("And why is that?", history)
    answer = opened(model="openai:test", model_url=server.url("401")).ask("And why is that?", history)
    assert answer.search_query == ruled.search_query
    assert answer.text == ruled.text
    assert answer.notices == (f"The model openai:test refused the key (401). {QUOTED}",)
    assert len(server.requests) == 1, "a model that has failed is asked again"


LOGS = "import logging\nlogging.basicConfig(level=logging.DEBUG)\n"


@pytest.fixture
def environment(founding_corpus, founding_home, tmp_path):
    """What a child gets that logs all there is to log."""
    (tmp_path / "sitecustomize.py").write_text(LOGS)
    return {
        **child_environment(founding_corpus, founding_home),
        "PYTHONPATH": str(tmp_path),
        "OPENAI_API_KEY": KEY,
        "OPENAI_LOG": "debug",
        "ASSISTANT_MODEL": "openai:test",
    }


@pytest.mark.parametrize(("behaviour", "answered_by"), [("json_key_echo", "quotes"), ("good", "openai:test")])
def test_the_key_is_written_nowhere(behaviour, answered_by, environment, founding_home, server):
    done = ask({**environment, "ASSISTANT_MODEL_URL": server.url(behaviour)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answered_by"] == answered_by
    (request,) = server.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "DEBUG:assistant.generation" in done.stderr or behaviour == "good"
    assert "DEBUG" in done.stderr, "nothing is logged, so that nothing is shown"
    assert KEY not in done.stdout + done.stderr
    files = [path for path in founding_home.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    "key", [KEY, "gsk_4242abcd4242abcd", "hf_AbCdEfGh", "a1b2c3d4e5f64242a1b2c3d4e5f64242", 4242424242424242]
)
def test_a_key_in_the_place_of_its_variables_name_is_not_repeated(key, environment, tmp_path, server):
    file = tmp_path / "profiles.yaml"
    file.write_text(json.dumps({"mine": {"model": "openai:test", "url": server.url("good"), "key": key}}))
    done = ask({**environment, "ASSISTANT_PROFILES": str(file), "ASSISTANT_MODEL": "mine"})
    assert done.returncode == 2
    assert done.stdout == ""
    assert "'mine': key: " in done.stderr
    assert str(key) not in done.stderr
    assert not server.requests


def ask(env) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "assistant.cli", "ask", ANSWERABLE, "--json"]
    return subprocess.run(arguments, env=env, capture_output=True, encoding="utf-8", check=False)


def test_a_question_that_is_stopped_leaves_nothing_behind(opened, server):
    # No model comes to the end of this in the time that the test takes.
    server.say, server.chunk = f"Containers start fast, {'and so on, ' * 60}.", 1
    behaviours = ("slow", "stalls", "silent", "repeats")
    assistants = [opened(model="openai:test", model_url=server.url(one)) for one in behaviours]

    def stopped_once_asked(assistant):
        before = len(server.requests)
        steps = list(assistant.stream(ANSWERABLE, stopped=lambda: len(server.requests) > before))
        assert len(server.requests) == before + 1
        assert not any(step.id for step in steps), "it came to its end"
        until(lambda: not server.open_streams)

    for assistant in assistants:
        stopped_once_asked(assistant)  # what is started once is there now
    until(lambda: not connections(server.server_port))
    threads = threading.active_count()
    for number in range(20):
        stopped_once_asked(assistants[number % len(assistants)])
    until(lambda: threading.active_count() <= threads)
    until(lambda: not connections(server.server_port))


def test_an_answer_that_nobody_reads_on_is_not_asked_for_any_more(opened, server):
    server.say = f"{SENTENCE} [1] {'And so on and so on. ' * 100}"
    steps = opened(model="openai:test", model_url=server.url("slow")).stream(ANSWERABLE)
    while SENTENCE not in next(steps).text:
        pass
    assert server.open_streams == 1
    steps.close()
    until(lambda: not server.open_streams and not connections(server.server_port))


def test_no_connection_outlives_an_answer(asked, server):
    for behaviour in ("good", "recovers", "401", "cut"):
        asked(behaviour)
    until(lambda: not connections(server.server_port))


def test_a_question_that_was_stopped_before_is_not_asked(opened, server):
    assistant = opened(model="openai:test", model_url=server.url("good"))
    steps = list(assistant.stream(ANSWERABLE, stopped=lambda: True))
    assert not any(step.id for step in steps)
    assert not server.requests


@pytest.mark.parametrize("follow_up", [False, True], ids=["a question", "a follow-up"])
def test_a_client_that_hangs_up_stops_the_model(follow_up, founding_corpus, founding_home, server, tmp_path):
    history = [{"question": "How fast do containers start?", "answer": "Almost instantly."}] if follow_up else []
    body = json.dumps({"question": "And why is that?" if follow_up else ANSWERABLE, "history": history}).encode()
    head = (
        f"POST /api/v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    env = {
        **child_environment(founding_corpus, founding_home),
        "OPENAI_API_KEY": KEY,
        "ASSISTANT_MODEL": "openai:test",
        "ASSISTANT_MODEL_URL": server.url("silent"),
    }
    log = tmp_path / "log"
    with served(env, log) as client:
        assert not server.requests, "a model is spoken to before anybody asks"
        with socket.create_connection(("127.0.0.1", client.base_url.port)) as connection:
            connection.sendall(head.encode() + b"\r\n\r\n" + body)
            until(lambda: server.open_streams == 1)
        until(lambda: not server.open_streams)
        assert client.get("/readyz").json() == {"status": "ready"}
    assert len(server.requests) == 1
    assert "Traceback" not in log.read_text()
