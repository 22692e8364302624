"""A real server on a free port: what is answered, what is refused, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from conftest import child_environment, with_encoders
from test_cli import ANSWER_KEYS

from assistant.guard import MAX_BODY

FACTS = "# Ports\n\nThe container registry listens on port 5000. The web server listens on port 8080.\n"
QUESTION = "Which port does the container registry listen on?"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(port: int, env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "assistant.cli", "serve", "--port", str(port)],
            env=env,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )


def wait_for(url: str, process: subprocess.Popen[bytes], status: int = 200, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, "the server ended"
        try:
            if httpx.get(url, trust_env=False).status_code == status:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{url} never gave {status}")


def end(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@contextmanager
def served(env: dict[str, str], log: Path, port: int = 0):
    port = port or free_port()
    process = start(port, env, log)
    try:
        wait_for(f"http://127.0.0.1:{port}/readyz", process)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
            yield client
    finally:
        end(process)


class Served:
    """A running server, its documents and its index."""

    def __init__(self, client: httpx.Client, corpus: Path, home: Path, log: Path) -> None:
        self.client, self.corpus, self.home, self.log = client, corpus, home, log


@pytest.fixture(scope="module")
def server(tmp_path_factory, encoders, write_corpus):
    folder = tmp_path_factory.mktemp("server")
    corpus = write_corpus(folder / "corpus", {"ports.md": FACTS})
    home = with_encoders(folder / "index", encoders)
    env = {**child_environment(corpus, home), "ASSISTANT_IN_FLIGHT": "2", "ASSISTANT_WAITING": "2"}
    with served(env, folder / "log") as client:
        yield Served(client, corpus, home, folder / "log")


def ask(server, question: object, **more: object) -> httpx.Response:
    return server.client.post("/api/v1/ask", json={"question": question, **more})


def test_health_and_readiness(server):
    assert server.client.get("/healthz").json() == {"status": "ok"}
    assert server.client.get("/readyz").json() == {"status": "ready"}


def test_a_question_gets_the_answer_as_json(server):
    response = ask(server, QUESTION)
    answer = response.json()
    assert response.status_code == 200
    assert set(answer) == set(ANSWER_KEYS)
    assert "port 5000" in answer["text"]
    for citation in answer["citations"]:
        assert FACTS[citation["start"] : citation["end"]] == citation["quote"]


def test_a_follow_up_uses_the_history(server):
    history = [{"question": QUESTION, "answer": "Port 5000."}]
    assert "registry" in ask(server, "And why does it?", history=history).json()["search_query"]


@pytest.mark.parametrize("question", ["", "   ", "?!", "x" * 2001])
def test_a_question_that_cannot_be_asked_is_400(server, question):
    response = ask(server, question)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "UsageError"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"question": 7}',
        b'{"question": "a", "history": "b"}',
        b'{"question": "a", "more": 1}',
    ],
    ids=lambda body: body[:30].decode("latin-1"),
)
def test_a_malformed_body_is_422_and_says_why(server, body):
    response = server.client.post("/api/v1/ask", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert set(response.json()["error"]) == {"type", "message"}


@pytest.mark.parametrize(
    "body",
    [b'{"question": "\\ud800 a"}', b"\xff\xfe", b"[" * 100_000],
    ids=["half a character", "no text", "too deep"],
)
def test_a_body_that_is_no_json_is_refused_in_the_form_of_every_error(server, body):
    response = server.client.post("/api/v1/ask", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    assert set(response.json()["error"]) == {"type", "message"}


def test_a_path_that_is_not_there_is_refused_in_the_form_of_every_error(server):
    for response in (server.client.get("/api/v1/nothing"), server.client.get("/api/v1/ask")):
        assert response.status_code in (404, 405)
        assert set(response.json()["error"]) == {"type", "message"}


@pytest.mark.parametrize("turn", [{}, {"question": 1}, {"answer": "a"}, {"question": "a", "answer": []}])
def test_a_malformed_turn_is_refused(server, turn):
    assert ask(server, QUESTION, history=[turn]).status_code in (400, 422)


def test_errors_never_show_the_servers_insides(server):
    for content in (b"{", b"[" * 100_000, b'{"question": "\\ud800"}'):
        text = server.client.post("/api/v1/ask", content=content).text
        assert "Traceback" not in text
        assert "site-packages" not in text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1"])
@pytest.mark.parametrize("path", ["/healthz", "/chat/", "/api/v1/ask", "/chat/gradio_api/queue/join"])
def test_an_unknown_host_is_refused(server, host, path):
    response = server.client.get(path, headers={"host": host})
    assert 400 <= response.status_code < 500
    assert response.status_code not in (404, 405)
    assert "error" in response.json()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:7860", "127.0.0.1", "[::1]:7860"])
def test_this_machines_own_names_are_answered(server, host):
    assert server.client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "upload",
        "upload_progress?upload_id=1",
        "file=http://127.0.0.1/",
        "proxy=http://127.0.0.1/",
        "component_server",
        "stream/1/2/3/playlist.m3u8",
        "monitoring",
        "monitoring/summary",
        "dev/reload",
        "deep_link",
        "login",
        "logout",
        "token",
    ],
)
@pytest.mark.parametrize("prefix", ["/chat/", "/chat/gradio_api/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_endpoints_a_chat_does_not_need_are_closed(server, method, prefix, path):
    assert server.client.request(method, prefix + path).status_code == 404


@pytest.mark.parametrize("name", ["/etc/passwd", "pyproject.toml", "CURRENT", "../../etc/passwd"])
def test_no_file_of_this_machine_is_served(server, name):
    for prefix in ("/chat/gradio_api/file=", "/chat/file=", "/chat/static/", "/chat/assets/", "/chat/"):
        assert server.client.get(f"{prefix}{name}").status_code >= 400
    assert server.client.get(f"/chat/gradio_api/file={server.home / 'CURRENT'}").status_code >= 400


def test_a_large_body_is_413_whether_it_names_its_length_or_not(server):
    large = json.dumps({"question": "x" * MAX_BODY}).encode()
    headers = {"content-type": "application/json"}
    named = server.client.post("/api/v1/ask", content=large, headers=headers)
    assert named.status_code == 413
    assert "error" in named.json()
    pieces = (large[at : at + 65536] for at in range(0, len(large), 65536))
    unnamed = server.client.post("/api/v1/ask", content=pieces, headers=headers)
    assert 400 <= unnamed.status_code < 500
    assert "error" in unnamed.json()


def test_the_root_leads_to_the_chat(server):
    response = server.client.get("/")
    assert response.is_redirect
    assert response.headers["location"] == "/chat/"
    page = server.client.get("/chat/")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]


@pytest.mark.parametrize("path", ["/", "/chat/", "/healthz", "/nothing-here"])
def test_security_headers_are_on_every_response(server, path):
    headers = server.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "server" not in headers


def test_the_page_asks_for_nothing_from_elsewhere(server):
    page = server.client.get("/chat/").text
    for outside in ("fonts.googleapis.com", "fonts.gstatic.com", "cdn.", "google-analytics", "api.gradio.app"):
        assert f'src="https://{outside}' not in page
        assert f'href="https://{outside}' not in page


def test_questions_at_once_are_answered_or_told_to_come_back(server):
    responses: list[httpx.Response] = []

    def one() -> None:
        responses.append(ask(server, QUESTION))

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(responses) == 12
    assert {response.status_code for response in responses} <= {200, 503}
    assert any(response.status_code == 200 for response in responses)
    for response in responses:
        if response.status_code == 503:
            assert int(response.headers["retry-after"]) > 0
            assert response.json()["error"]["type"] == "Busy"
    assert ask(server, QUESTION).status_code == 200


def test_a_snapshot_that_another_process_publishes_is_noticed(server):
    before = ask(server, QUESTION).json()["index"]
    (server.corpus / "ports.md").write_text(FACTS.replace("5000", "5443"), "utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "assistant.cli", "index"],
            env=child_environment(server.corpus, server.home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer = ask(server, QUESTION).json()
        assert answer["index"] != before
        assert "port 5443" in answer["text"]
    finally:
        (server.corpus / "ports.md").write_text(FACTS, "utf-8")


def test_the_log_holds_no_traceback(server):
    """Last of those that share the server: whatever was sent to it, nothing was unforeseen."""
    assert "Traceback" not in server.log.read_text("utf-8")


def test_a_port_in_use_is_one_line(server):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "assistant.cli", "serve", "--port", str(port)],
            env=child_environment(server.corpus, server.home),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert str(port) in done.stderr


def test_of_two_servers_started_at_once_one_says_that_the_port_is_taken(server, tmp_path):
    port = free_port()
    env = child_environment(server.corpus, server.home)
    both = [start(port, env, tmp_path / f"log{number}") for number in (0, 1)]
    try:
        while not all("Ready" in (tmp_path / f"log{number}").read_text("utf-8") for number in (0, 1)):
            if any(process.poll() is not None for process in both):
                break
            time.sleep(0.1)
        codes = [process.poll() for process in both]
        assert sorted(codes, key=str) == [1, None]
        said = (tmp_path / f"log{codes.index(1)}").read_text("utf-8")
        assert "Traceback" not in said
        assert str(port) in said.splitlines()[-1]
    finally:
        for process in both:
            end(process)


def test_sigterm_ends_a_server_and_frees_its_port(server, tmp_path):
    port = free_port()
    process = start(port, child_environment(server.corpus, server.home), tmp_path / "log")
    wait_for(f"http://127.0.0.1:{port}/readyz", process)
    assert end(process) in (0, -signal.SIGTERM)
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # no child of it is left
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)


def test_a_server_that_is_told_to_end_while_it_prepares_ends(tmp_path, index_home, write_corpus):
    lines = "\n\n".join(f"Container {number} listens on port {number} of host {number * 7}." for number in range(3000))
    corpus = write_corpus(tmp_path / "corpus", {"many.md": f"# Ports\n\n{lines}\n"})
    port = free_port()
    process = start(port, child_environment(corpus, index_home), tmp_path / "log")
    wait_for(f"http://127.0.0.1:{port}/readyz", process, status=503)
    response = httpx.post(f"http://127.0.0.1:{port}/api/v1/ask", json={"question": QUESTION}, trust_env=False)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert end(process) in (0, -signal.SIGTERM)
    assert not (index_home / "CURRENT").exists()
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")
