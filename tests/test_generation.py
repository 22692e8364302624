"""Asking a model: its words as they come, what is asked again and when, and where a request goes."""

import asyncio
import gc
import json
import random
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from misbehaving import BEHAVIOURS, failing, misbehaving

from assistant import generation
from assistant.answering import open_assistant
from assistant.errors import UsageError
from assistant.generation import BACKOFF, CHARACTERS, RETRIES, Budget, ChatModel, Failed, Stopped
from assistant.models import Profile
from assistant.settings import Settings

KEY = f"sk-test-{'4242' * 8}"
MESSAGES = [("system", "Answer in one sentence."), ("user", "What is a container?")]
TABLE = Path("/proc/self/net/tcp")
# Enough for a busy machine; nothing here is expected to take as long.
SECONDS = 20.0


class Noted(Budget):
    """Notes how long it was to wait, and does not."""

    def __init__(self, seconds=SECONDS):
        super().__init__(seconds)
        self.waits = []

    def wait(self, seconds):
        self.waits.append(seconds)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with misbehaving() as one:
        yield one


@pytest.fixture
def behaves(server, monkeypatch):
    """A model that behaves as a function of the server's reply says."""

    def made(reply, **limits):
        monkeypatch.setitem(BEHAVIOURS, "as-told", reply)
        return chat(server.url("as-told"), **limits)

    return made


def chat(url="", name="openai:test", **limits):
    allowed = {"window": 4096, "tokens": 320, "seconds": SECONDS, "first_seconds": SECONDS, **limits}
    return ChatModel(Profile(model=name, url=url, **allowed))


def heard(model, budget=None):
    """The pieces of an answer."""
    return list(model.words(MESSAGES, budget or Budget(SECONDS)))


def until(true: Callable[[], bool]) -> None:
    """Waits for what comes at once."""
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def connections(port: int) -> int:
    """How many connections to a port of this machine are established; none where there is no way to see."""
    entries = [line.split() for line in TABLE.read_text().splitlines()[1:]] if TABLE.exists() else []
    return sum(there.endswith(f":{port:04X}") and state == "01" for _, _, there, state, *_ in entries)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_budget_is_never_overdrawn():
    for seconds in (0.0, 1e-9):
        budget = Budget(seconds)
        while budget.left:
            pass
        budget.wait(3600)  # no longer than is left
    assert 0 < Budget(SECONDS).left <= SECONDS


def test_a_wait_ends_as_soon_as_nobody_wants_the_answer():
    looks = iter([False, False, True])
    with pytest.raises(Stopped):
        Budget(3600, lambda: next(looks)).wait(3600)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_words_come_as_they_were_said_and_then_the_end(chunk, server):
    server.chunk, server.say = chunk, "Ein Container – kein “VM” 🐳 – teilt\n\nden Kernel. [1]"
    *pieces, last = heard(chat(server.url("good")))
    assert "".join(piece for piece, _ in pieces) == server.say
    assert all(piece and not ended for piece, ended in pieces)
    assert last == ("", True)


def test_an_answer_at_its_greatest_length_says_that_it_is_cut(server):
    *pieces, last = heard(chat(server.url("length")))
    assert server.say.startswith("".join(piece for piece, _ in pieces))
    assert last == ("", False)


def test_only_the_first_word_has_to_come_early(server):
    server.say, server.chunk = "word " * 14, 1
    *pieces, last = heard(chat(server.url("slow"), first_seconds=3.0))
    assert "".join(piece for piece, _ in pieces) == server.say
    assert last == ("", True)


def test_a_model_that_does_not_keep_to_its_limit_is_left(server):
    server.say = "x" * (CHARACTERS * 16)
    assert heard(chat(server.url("good"), tokens=16))[-1] == ("", True)
    server.say += "x"
    with pytest.raises(Failed, match="did not stop writing"):
        heard(chat(server.url("good"), tokens=16))


def test_several_questions_share_a_model(server):
    model = chat(server.url("slow"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: "".join(piece for piece, _ in heard(model)), range(16)))
    assert answers == [server.say] * 16


def test_what_is_sent_is_the_messages_and_the_limits(server):
    heard(chat(server.url("good"), tokens=99))
    (request,) = server.requests
    assert [(one["role"], one["content"]) for one in request.body["messages"]] == MESSAGES
    assert request.body["stream"] is True
    assert request.body["max_tokens"] == request.body["max_completion_tokens"] == 99
    assert request.body["temperature"] == 0
    assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("status", [400, 401, 402, 404, 408, 409, 413, 418, 422, 429, 500, 501, 502, 503, 504])
def test_only_what_may_do_better_is_asked_again(status, behaves, server):
    budget = Noted()
    with pytest.raises(Failed, match=rf"\({status}\)\Z") as failed:
        heard(behaves(failing(status)), budget)
    assert "SECRET" not in str(failed.value)
    assert len(server.requests) == len(budget.waits) + 1
    assert len(budget.waits) == (RETRIES if status in (408, 429, 500, 502, 503, 504) else 0)
    assert all(0 <= wait <= BACKOFF * 2**number for number, wait in enumerate(budget.waits))


def test_each_wait_is_a_random_share_of_twice_the_one_before(server, monkeypatch):
    shares = []
    monkeypatch.setattr(random, "uniform", lambda low, high: shares.append((low, high)) or high)
    budget = Noted()
    with pytest.raises(Failed):
        heard(chat(server.url("503")), budget)
    assert shares[:RETRIES] == [(0, BACKOFF * 2**number) for number in range(RETRIES)]
    assert budget.waits == [high for _, high in shares[:RETRIES]]


@pytest.mark.parametrize(("said", "waits"), [("0", 0.0), ("1.5", 1.5), ("-5", 0.0), ("nan", 0.0)])
def test_a_provider_says_how_long_to_wait(said, waits, behaves):
    budget = Noted()
    with pytest.raises(Failed):
        heard(behaves(failing(429, Retry_After=said)), budget)
    assert budget.waits == [waits] * RETRIES


@pytest.mark.parametrize("said", ["", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_wait_that_is_no_number_of_seconds_is_ours_to_choose(said, behaves):
    budget = Noted()
    with pytest.raises(Failed):
        heard(behaves(failing(429, Retry_After=said)), budget)
    assert len(budget.waits) == RETRIES
    assert all(0 <= wait <= BACKOFF * 2**number for number, wait in enumerate(budget.waits))


@pytest.mark.parametrize(
    ("said", "first", "left"),
    [("3600", SECONDS, SECONDS), ("5", 5.0, SECONDS), ("5", SECONDS, 5.0), ("inf", SECONDS, SECONDS)],
)
def test_a_wait_that_leaves_no_time_is_not_begun(said, first, left, behaves, server):
    budget = Noted(left)
    with pytest.raises(Failed, match="429"):
        heard(behaves(failing(429, Retry_After=said), first_seconds=first), budget)
    assert budget.waits == []
    assert len(server.requests) == 1


def test_what_has_begun_is_not_asked_again(server):
    for behaviour in ("cut", "unfinished", "malformed"):
        budget, pieces = Noted(), []
        with pytest.raises(Failed):
            pieces.extend(chat(server.url(behaviour)).words(MESSAGES, budget))
        assert budget.waits == []
    assert len(server.requests) == 3


def cut_before_a_word(reply):
    reply.begin()
    reply.cut()


@pytest.mark.parametrize("reply", [lambda reply: reply.cut(), cut_before_a_word], ids=["at once", "before a word"])
def test_a_connection_that_is_lost_before_a_word_is_made_again(reply, behaves, server):
    with pytest.raises(Failed, match="could not be reached: the connection was lost"):
        heard(behaves(reply), Noted())
    assert len(server.requests) == RETRIES + 1


@pytest.mark.parametrize("words", ["", "A container "])
def test_an_error_inside_the_stream_is_not_repeated(words, behaves, server):
    def reply(reply):
        reply.begin()
        reply.speak(words)
        reply.event(json.dumps({"error": {"message": f"SECRET {KEY}", "type": "server_error", "code": "overloaded"}}))
        reply.close()

    with pytest.raises(Failed) as failed:
        heard(behaves(reply), Noted())
    clause = "broke off in the middle of its answer" if words else "sent something that is no answer"
    assert str(failed.value) == clause
    assert len(server.requests) == 1


@pytest.mark.parametrize("behaviour", ["slow", "stalls", "silent", "headers", "repeats"])
def test_whoever_stops_gets_no_more_words(behaviour, server):
    budget = Budget(SECONDS, lambda: bool(server.requests))
    with pytest.raises(Stopped):
        heard(chat(server.url(behaviour)), budget)
    assert len(server.requests) == 1


def test_for_a_question_that_was_stopped_before_nothing_is_started():
    with pytest.raises(Stopped):
        heard(chat("", "llamacpp:/no/such/model.gguf"), Budget(SECONDS, lambda: True))


@pytest.mark.skipif(not TABLE.exists(), reason="there is no /proc to see connections in")
def test_a_model_that_is_left_as_it_ends_keeps_no_connection(server):
    # It is stopped at its last letter, so that one of the two ends comes in the middle of the other.
    server.say, server.chunk = "x" * (CHARACTERS * 16 + 1), 1
    model = chat(server.url("good"), tokens=16)
    gc.disable()  # it would close what is left sooner or later
    try:
        for _ in range(150):
            with pytest.raises(Failed, match="did not stop writing"):
                heard(model)
        until(lambda: not connections(server.server_port))
    finally:
        gc.enable()


async def fails():
    raise ValueError(KEY)


async def leaves_a_failure():
    await asyncio.wait([asyncio.create_task(fails())])


class Stubborn:
    """A model that answers being cancelled with an error."""

    def __init__(self):
        self.done = threading.Event()

    async def astream(self, messages):
        try:
            await asyncio.sleep(SECONDS)
            yield
        finally:
            self.done.set()
            await fails()


def test_an_error_that_nobody_waits_for_is_not_printed(capfd, caplog):
    caplog.set_level(0)
    model, stubborn = chat("http://127.0.0.1:1/v1"), Stubborn()
    model._opened = ("", stubborn)
    looks = iter([False, False, True])
    with pytest.raises(Stopped):
        heard(model, Budget(SECONDS, lambda: next(looks)))
    assert stubborn.done.wait(SECONDS)
    asyncio.run_coroutine_threadsafe(leaves_a_failure(), generation._loop()).result(SECONDS)
    gc.collect()
    said = capfd.readouterr()
    assert KEY not in said.out + said.err + caplog.text
    assert "ValueError" in caplog.text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.25, "0.25 seconds"),
        (1.0, "1 second"),
        (0.999, "1 second"),
        (1.5, "1.5 seconds"),
        (29.99, "30 seconds"),
        (3600.0, "3600 seconds"),
    ],
)
def test_seconds_are_said_as_people_say_them(seconds, shown):
    assert generation._too_slow(seconds, said=False) == f"said nothing for {shown}"
    assert generation._too_slow(seconds, said=True) == f"was not done after {shown}"


PROXIES = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "OPENAI_PROXY"]


@pytest.mark.parametrize("variable", PROXIES)
def test_a_model_on_this_machine_is_not_asked_for_through_a_proxy(variable, server, monkeypatch, capfd, caplog):
    monkeypatch.setenv(variable, f"http://127.0.0.1:{closed_port()}")
    assert heard(chat(server.url("good")))[-1] == ("", True)
    with pytest.raises(Failed, match="400"):  # the server's own word: it does not speak Ollama's language
        heard(chat(server.url("good"), "ollama:test"))
    assert not [one for one in caplog.records if one.levelname == "WARNING"]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "OPENAI_PROXY"])
def test_a_model_elsewhere_is_asked_for_through_the_proxy(variable, server, monkeypatch):
    for name in (*PROXIES, "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    elsewhere = server.url("good").replace("127.0.0.1", "0.0.0.0")
    assert heard(chat(elsewhere))[-1] == ("", True)
    monkeypatch.setenv(variable, f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(Failed, match="could not be reached"):
        heard(chat(elsewhere), Noted())
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("name", "variable", "host"),
    [
        ("openai:test", "OPENAI_BASE_URL", "api.openai.com"),
        ("openai:test", "OPENAI_API_BASE", "api.openai.com"),
        ("anthropic:test", "ANTHROPIC_BASE_URL", "api.anthropic.com"),
        ("anthropic:test", "ANTHROPIC_API_URL", "api.anthropic.com"),
        ("ollama:test", "OLLAMA_HOST", ""),
    ],
)
def test_no_variable_of_a_library_sends_a_question_elsewhere(name, variable, host, server, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv(variable, server.url("good"))
    model = chat("", name)
    assert model.profile.host == host
    with pytest.raises(Failed):  # a test reaches no other machine
        heard(model, Noted())
    assert not server._connections


def test_a_model_is_not_spoken_to_before_a_question_is_answered(founding_corpus, founding_home, server):
    settings = {"corpus": founding_corpus, "index": founding_home, "model_url": server.url("good")}
    server.say = "Containers can start almost instantly, as they do not require booting a full OS. [1]"
    quoting, assistant = open_assistant(Settings(**settings)), open_assistant(Settings(**settings, model="openai:test"))
    assistant.models.warm()
    assert quoting.ask("Why do containers start faster than VMs?").answered_by == "quotes"
    assert assistant.search("containers", 3)
    assert assistant.ask("What does a Docker subscription cost?").refused
    with pytest.raises(UsageError):
        assistant.ask("?!")
    assert not server._connections
    assert assistant.ask("Why do containers start faster than VMs?").answered_by == "openai:test"
    assert len(server.requests) == 1
    quoting.close()
    assistant.close()
