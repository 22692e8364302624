"""What stands before every route: first in front of a small application, then a real server with the chat."""

import asyncio
import json
import subprocess
import sys

import httpx
import pytest
from conftest import child_environment, with_encoders
from test_api import FACTS, MAX_BODY, QUESTION, Served, served
from test_cli import complains_once

from assistant.access import Access
from assistant.audit import Audit
from assistant.guard import CHAT_COST, Guard
from assistant.keys import Keys
from assistant.settings import Settings

DOCS, EVIL = "https://docs.example", "https://evil.example"
OWN = "http://127.0.0.1:7860"
ASK, COMPLETIONS, FEEDBACK, MCP = "/api/v1/ask", "/v1/chat/completions", "/api/v1/feedback", "/mcp"
JOIN = "/chat/gradio_api/queue/join"
COSTLY = [ASK, COMPLETIONS, FEEDBACK, MCP, "/api/v1/search", "/v1/models", JOIN, "/chat/queue/join"]
COSTLY += ["/chat/gradio_api/run/ask", "/chat/gradio_api/call/ask", "/chat/gradio_api/api/ask"]
SHARED = [ASK, COMPLETIONS, FEEDBACK, MCP, "/sources/ports.md", "/widget.js"]
SECRET = "Where is the treasure buried?"


class Application:
    """Says what it was called with, and lets every origin do everything, as Gradio does."""

    def __init__(self):
        self.scope = None
        self.body = b""

    async def __call__(self, scope, receive, send):
        self.scope, self.body, more = scope, b"", True
        while more:
            message = await receive()
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        origin = dict(scope["headers"]).get(b"origin", b"*")
        headers = [
            (b"content-type", b"text/plain"),
            (b"access-control-allow-origin", origin),
            (b"Access-Control-Allow-Credentials", b"true"),
            (b"vary", b"Accept"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"passed"})


class House:
    """A guard with an application behind it, and the file of its keys."""

    def __init__(self, folder, **settings):
        self.application = Application()
        self.said = []
        self.keys = Keys(folder / "keys.sqlite3")
        self.audit = folder / "audit.jsonl"
        found = Settings(keys=self.keys.path, **settings)
        audit = Audit(self.audit, found.audit_questions, self.said.append)
        # A clock that stands still: no limit grows back while a test runs.
        self.guard = Guard(self.application, Access(found, lambda: 0.0), self.said.append, audit)

    def send(self, method, path, headers=None, client="127.0.0.1", **more):
        async def sent():
            transport = httpx.ASGITransport(self.guard, client=(client, 5000))
            async with httpx.AsyncClient(transport=transport, base_url=OWN) as visitor:
                return await visitor.request(method, path, headers=headers, **more)

        self.application.scope = None
        return asyncio.run(sent())

    def post(self, path=ASK, origin=None, client="127.0.0.1", key=None, **headers):
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given |= {"origin": origin} if origin is not None else {}
        given |= {"authorization": f"Bearer {key}"} if key else {}
        return self.send("POST", path, given, client, json={"question": SECRET})

    def preflight(self, path, origin, asks="content-type"):
        wants = {"access-control-request-method": "POST", "access-control-request-headers": asks}
        return self.send("OPTIONS", path, {"origin": origin, **wants})

    @property
    def passed(self):
        return self.application.scope is not None

    def lines(self):
        return [json.loads(line) for line in self.audit.read_text("utf-8").splitlines()]


@pytest.fixture
def house(tmp_path):
    return lambda **settings: House(tmp_path, **settings)


def is_problem(response, status):
    told = response.json()
    assert response.status_code == told["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert told["error"]["message"] == told["detail"]
    assert response.headers["x-content-type-options"] == "nosniff"
    return told["detail"]


def allowed(response):
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


# Pages


@pytest.mark.parametrize("path", COSTLY)
@pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1:8000"])
def test_a_strangers_page_is_refused_with_the_reason_and_the_setting(house, path, origin):
    made = house(allowed_origins=DOCS)
    response = made.post(path, origin)
    detail = is_problem(response, 403)
    assert origin in detail and "ASSISTANT_ALLOWED_ORIGINS" in detail
    assert not made.passed
    assert allowed(response) == {}


@pytest.mark.parametrize("path", COSTLY)
@pytest.mark.parametrize("origin", [OWN, DOCS, None])
def test_own_pages_allowed_pages_and_programs_are_let_through(house, path, origin):
    made = house(allowed_origins=DOCS)
    assert made.post(path, origin).status_code == 200
    assert made.passed


@pytest.mark.parametrize("path", SHARED)
def test_an_allowed_page_may_read_the_answer_and_nothing_with_credentials(house, path):
    response = house(allowed_origins=DOCS).send("GET", path, {"origin": DOCS})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == DOCS
    assert "access-control-allow-credentials" not in response.headers
    assert "retry-after" in response.headers["access-control-expose-headers"]
    assert response.headers["vary"] == "Accept, Origin"


@pytest.mark.parametrize("path", ["/healthz", "/chat/", "/chat/config", "/chat/gradio_api/queue/data", *SHARED])
def test_no_response_lets_a_stranger_read_it(house, path):
    for origin in (EVIL, "null"):
        response = house(allowed_origins=DOCS).send("GET", path, {"origin": origin})
        assert allowed(response) == {}


@pytest.mark.parametrize("path", SHARED)
def test_responses_that_differ_by_origin_say_so_to_caches(house, path):
    assert "Origin" in house().send("GET", path).headers["vary"]


@pytest.mark.parametrize("path", SHARED)
def test_a_preflight_of_an_allowed_page_is_answered_here(house, path):
    made = house(allowed_origins=DOCS, require_key="always")
    response = made.preflight(path, DOCS)
    assert response.status_code == 204
    assert not made.passed
    assert response.headers["access-control-allow-origin"] == DOCS
    assert {"authorization", "content-type", "accept"} <= {
        one.strip() for one in response.headers["access-control-allow-headers"].split(",")
    }
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in response.headers
    assert "Origin" in response.headers["vary"]


@pytest.mark.parametrize("path", [*SHARED, JOIN])
def test_a_preflight_of_a_stranger_is_given_nothing(house, path):
    response = house(allowed_origins=DOCS).preflight(path, EVIL)
    assert allowed(response) == {}
    if path != JOIN:
        assert "ASSISTANT_ALLOWED_ORIGINS" in is_problem(response, 403)


def test_images_and_scripts_of_other_sites_cost_nothing(house):
    made = house()
    for site in ("cross-site", "same-site"):
        is_problem(made.send("GET", "/api/v1/search?q=a", {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}), 403)
    assert made.send("GET", "/v1/models", {"sec-fetch-site": "same-origin"}).status_code == 200
    assert made.send("GET", "/v1/models", {"sec-fetch-site": "none"}).status_code == 200


def test_the_widget_is_everybodys(house):
    made = house(host="0.0.0.0", require_key="always", rate=1)
    for method in ("GET", "HEAD"):
        for _ in range(3):
            response = made.send(method, "/widget.js", {"origin": EVIL}, "203.0.113.9")
            assert response.status_code == 200
            assert response.headers["cross-origin-resource-policy"] == "cross-origin"
            assert allowed(response) == {}
    assert "cross-origin-resource-policy" not in made.send("GET", "/sources/a.md").headers


# Keys


def test_a_program_elsewhere_needs_a_key(house):
    made = house(host="0.0.0.0")
    response = made.post(client="203.0.113.9")
    assert "assistant keys add" in is_problem(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"
    assert not made.passed
    assert made.post(client="203.0.113.9", key=made.keys.add("ci")).status_code == 200
    assert made.post(client="127.0.0.1").status_code == 200
    assert made.send("GET", "/chat/", client="203.0.113.9").status_code == 200
    assert made.send("GET", "/sources/ports.md", client="203.0.113.9").status_code == 200


@pytest.mark.parametrize("path", COSTLY)
def test_every_route_that_costs_asks_for_it(house, path):
    made = house(host="0.0.0.0")
    assert is_problem(made.post(path, client="203.0.113.9"), 401)
    assert made.post(path, OWN, client="203.0.113.9").status_code == 200


def test_a_key_that_was_revoked_stops_at_once(house):
    made = house(host="0.0.0.0")
    key = made.keys.add("ci")
    assert made.post(client="203.0.113.9", key=key).status_code == 200
    Keys(made.keys.path).revoke("ci")
    for client in ("203.0.113.9", "127.0.0.1"):
        detail = is_problem(made.post(client=client, key=key), 401)
        assert "revoked" in detail and key not in detail


def test_other_bearers_are_no_matter_where_no_key_is_needed(house):
    assert house().post(key="not-needed").status_code == 200


def test_keys_that_cannot_be_read_are_503_and_the_reason_stays_inside(house):
    made = house()
    key = made.keys.add("ci")
    made.keys.path.write_bytes(b"nothing of the kind" * 100)
    response = made.post(key=key)
    detail = is_problem(response, 503)
    assert str(made.keys.path) not in response.text and "sqlite" not in detail.lower()
    assert len(made.said) == 1 and "ASSISTANT_KEYS" in made.said[0] and key not in made.said[0]


# Limits


@pytest.mark.parametrize("path", COSTLY)
def test_every_route_that_costs_is_limited(house, path):
    made = house(rate=2)
    most = round(2 / (CHAT_COST if path.startswith("/chat/") else 1))
    assert [made.post(path).status_code for _ in range(most)] == [200] * most
    response = made.post(path, OWN)
    assert "ASSISTANT_RATE" in is_problem(response, 429)
    assert 1 <= int(response.headers["retry-after"]) <= 60
    assert response.json()["error"]["type"] == "Busy"
    assert not made.passed
    assert made.post(path, client="127.0.0.2").status_code == 200


def test_a_page_can_read_that_it_is_to_come_back(house):
    made = house(rate=1, allowed_origins=DOCS)
    made.post(origin=DOCS)
    response = made.post(origin=DOCS)
    assert response.status_code == 429
    assert response.headers["access-control-allow-origin"] == DOCS
    assert "retry-after" in response.headers["access-control-expose-headers"]


def test_what_costs_nothing_is_not_limited(house):
    made = house(rate=1, rate_total=1)
    made.post()
    for path in ("/healthz", "/chat/", "/sources/a.md", "/chat/gradio_api/queue/data"):
        assert made.send("GET", path).status_code == 200
    assert made.preflight(ASK, OWN).status_code == 204


# Proxies


def test_the_application_sees_the_client_that_a_trusted_proxy_names(house):
    made = house(trusted_proxy="10.0.0.1")
    told = {"x-forwarded-for": "127.0.0.1, 198.51.100.1", "x-forwarded-proto": "https"}
    made.send("GET", "/chat/", told, "10.0.0.1")
    assert made.application.scope["client"] == ("198.51.100.1", 0)
    assert made.application.scope["scheme"] == "https"
    made.send("GET", "/chat/", {**told, "x-forwarded-host": EVIL, "forwarded": "for=1"}, "203.0.113.9")
    assert made.application.scope["client"][0] == "203.0.113.9"
    assert made.application.scope["scheme"] == "http"
    assert not any(b"forwarded" in name for name, _ in made.application.scope["headers"])


def test_the_own_origin_is_the_one_the_proxy_is_reached_by(house):
    made = house(trusted_proxy="10.0.0.1", allowed_hosts="a.example")
    told = {"host": "a.example", "x-forwarded-for": "198.51.100.1", "x-forwarded-proto": "https"}
    assert made.send("POST", ASK, {**told, "origin": "https://a.example"}, "10.0.0.1").status_code == 200
    assert made.send("POST", ASK, {**told, "origin": "http://a.example"}, "10.0.0.1").status_code == 403
    # Whoever merely claims to be a proxy is http, and from where it comes from.
    refused = made.send("POST", ASK, {**told, "origin": "https://a.example"}, "203.0.113.9")
    assert "ASSISTANT_TRUSTED_PROXY" in is_problem(refused, 403)


def test_nobody_gets_round_a_limit_with_a_header(house):
    made = house(rate=1)
    found = [made.post(x_forwarded_for=f"198.51.100.{number}").status_code for number in range(3)]
    assert found == [200, 429, 429]


def test_nobody_is_on_this_machine_by_saying_so(house):
    made = house(host="0.0.0.0", trusted_proxy="10.0.0.1")
    for client in ("10.0.0.1", "203.0.113.9"):
        assert made.post(client=client, x_forwarded_for="127.0.0.1").status_code == 401


# Sizes, names, streams


def test_names_sizes_and_closed_routes_come_first(house):
    made = house()
    assert "ASSISTANT_ALLOWED_HOSTS" in is_problem(made.post(host="evil.example"), 421)
    is_problem(made.post("/chat/gradio_api/upload"), 404)
    is_problem(made.send("POST", ASK, content=b"x" * (MAX_BODY + 1)), 413)
    assert not made.passed


@pytest.mark.parametrize("path", [JOIN, "/chat/gradio_api/run/predict"])
def test_the_chats_whole_conversation_is_let_through(house, path):
    made = house()
    assert made.send("POST", path, content=b"x" * (MAX_BODY + 1)).status_code == 200
    assert len(made.application.body) == MAX_BODY + 1


def test_each_piece_of_a_stream_goes_out_before_the_next_is_made(tmp_path):
    told = []

    async def streaming(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for number in range(3):
            told.append(f"made {number}")
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(message):
        if message.get("body"):
            told.append(f"sent {message['body'].decode()}")

    async def receive():
        raise AssertionError("nobody waits for the body, or for the client to leave")

    guard = House(tmp_path).guard
    guard._app = streaming
    headers = [(b"host", b"127.0.0.1:7860"), (b"origin", OWN.encode())]
    scope = {"type": "http", "method": "POST", "path": ASK, "scheme": "http", "client": ("127.0.0.1", 1)}
    asyncio.run(guard({**scope, "headers": headers}, receive, send))
    assert told == ["made 0", "sent 0", "made 1", "sent 1", "made 2", "sent 2"]


def test_what_is_neither_request_nor_socket_passes(tmp_path):
    seen = []

    async def application(scope, receive, send):
        seen.append(scope)

    guard = House(tmp_path).guard
    guard._app = application
    asyncio.run(guard({"type": "lifespan"}, None, None))
    assert seen == [{"type": "lifespan"}]


# The audit file


def test_a_line_for_each_question_and_neither_question_nor_key(house):
    made = house(host="0.0.0.0", allowed_origins=DOCS)
    key = made.keys.add("ci")
    made.post(client="203.0.113.9", key=key)
    made.post(client="203.0.113.9")
    made.post(origin=EVIL)
    made.post(JOIN, OWN)
    made.send("GET", f"/api/v1/search?q={SECRET}")
    made.send("GET", "/chat/")
    made.post("/chat/gradio_api/run/ask")
    lines = made.lines()
    assert [list(line) for line in lines] == [["time", "client", "key", "origin", "path", "status", "ms"]] * 5
    found = [(line["client"], line["key"], line["origin"], line["path"], line["status"]) for line in lines]
    assert found == [
        ("203.0.113.9", "ci", "", ASK, 200),
        ("203.0.113.9", "", "", ASK, 401),
        ("127.0.0.1", "", EVIL, ASK, 403),
        ("127.0.0.1", "", OWN, JOIN, 200),
        ("127.0.0.1", "", "", "/api/v1/search", 200),
    ]
    written = made.audit.read_text("utf-8")
    assert key not in written and "treasure" not in written and made.said == []


def test_questions_are_in_it_where_the_settings_say_so(house):
    made = house(audit_questions=True)
    made.post()
    assert json.loads(made.application.body) == {"question": SECRET}
    made.send("GET", "/api/v1/search", params={"q": SECRET})
    assert [line["question"] for line in made.lines()] == [SECRET, SECRET]


# A real server


@pytest.fixture(scope="module")
def server(tmp_path_factory, encoders, write_corpus):
    """One that believes a proxy on this machine: nobody is local, and every program needs a key."""
    folder = tmp_path_factory.mktemp("guarded")
    corpus = write_corpus(folder / "corpus", {"ports.md": FACTS})
    home = with_encoders(folder / "index", encoders)
    env = {
        **child_environment(corpus, home),
        "ASSISTANT_TRUSTED_PROXY": "127.0.0.1",
        "ASSISTANT_ALLOWED_ORIGINS": DOCS,
        "ASSISTANT_ALLOWED_HOSTS": "127.0.0.1,assistant.example",
        "ASSISTANT_AUDIT": str(folder / "audit.jsonl"),
    }
    with served(env, folder / "log") as client:
        running = Served(client, corpus, home, folder / "log")
        running.keys, running.audit = Keys(home / "keys.sqlite3"), folder / "audit.jsonl"
        yield running


def bearer(key):
    return {"authorization": f"Bearer {key}"}


def test_a_served_key_works_until_it_is_revoked(server):
    body = {"question": QUESTION}
    assert is_problem(server.client.post(ASK, json=body), 401)
    key = server.keys.add("served")
    assert "5000" in server.client.post(ASK, json=body, headers=bearer(key)).json()["text"]
    server.keys.revoke("served")
    assert "revoked" in is_problem(server.client.post(ASK, json=body, headers=bearer(key)), 401)


def test_a_served_page_of_an_allowed_origin_asks_without_a_key(server):
    response = server.client.post(ASK, json={"question": QUESTION}, headers={"origin": DOCS})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == DOCS


def test_a_served_key_is_limited_in_the_chat_too(server):
    key = server.keys.add("chatting", 1)
    for path in (JOIN, "/chat/gradio_api/run/ask"):
        assert server.client.post(path, json={}, headers=bearer(key)).status_code not in (401, 403, 429)
    for path in (JOIN, "/chat/gradio_api/run/ask", "/chat/gradio_api/call/ask", ASK):
        response = server.client.post(path, json={}, headers=bearer(key))
        assert is_problem(response, 429)
        assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize("path", ["/chat/", "/chat/config", "/chat/theme.css", JOIN, ASK, "/static/chat.js"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_gradio_tells_no_stranger_that_it_may_read(server, path, method):
    """It does so for every origin where the host is not this machine."""
    headers = {"host": "assistant.example", "origin": EVIL, "access-control-request-method": "POST"}
    assert allowed(server.client.request(method, path, headers=headers)) == {}


def test_the_chats_page_asks_its_own_server_without_a_key(server):
    own = str(server.client.base_url).rstrip("/")
    response = server.client.post(JOIN, json={}, headers={"origin": own})
    assert response.status_code not in (401, 403, 429)


def doctor(server, origin, *arguments, url=None):
    url = url or str(server.client.base_url)
    return subprocess.run(
        [sys.executable, "-m", "assistant.cli", "doctor", "--origin", origin, "--server", url, *arguments],
        env=child_environment(server.corpus, server.home),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_the_doctor_finds_nothing_for_an_allowed_origin(server):
    done = doctor(server, DOCS)
    ours = str(server.client.base_url).rstrip("/")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"script-src {ours}; connect-src {ours}" in done.stdout
    told = json.loads(doctor(server, DOCS, "--json").stdout)
    assert [one["what"] for one in told] == ["server", "widget.js", "CORS preflight", "CORS", "mixed content", "CSP"]


def test_the_doctor_names_the_setting_that_lets_an_origin_in(server):
    told = {one["what"]: one for one in json.loads(doctor(server, EVIL, "--json").stdout)}
    for what in ("CORS preflight", "CORS"):
        assert not told[what]["good"]
        assert f"ASSISTANT_ALLOWED_ORIGINS={EVIL}" in told[what]["says"]
    assert doctor(server, EVIL).returncode == 1


def test_the_doctor_says_that_a_name_is_not_served(server):
    # localhost is this server too, though not by that name.
    port = server.client.base_url.port
    done = doctor(server, DOCS, url=f"http://localhost:{port}")
    assert done.returncode == 1
    assert "ASSISTANT_ALLOWED_HOSTS" in done.stdout and len(done.stdout.splitlines()) == 1


def test_the_doctor_says_that_nothing_runs_there(server):
    done = doctor(server, DOCS, url="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "assistant serve" in done.stdout and "Traceback" not in done.stderr


def test_the_doctor_wants_an_origin_and_a_server(server):
    complains_once(doctor(server, "docs.example"), 2)
    complains_once(doctor(server, DOCS, url="127.0.0.1:7860"), 2)


def test_no_key_and_no_question_is_in_the_log_or_the_audit_file(server):
    """Last of those that share the server."""
    key = server.keys.add("secretive")
    server.client.post(ASK, json={"question": SECRET}, headers=bearer(key))
    server.client.post(ASK, json={"question": SECRET}, headers=bearer(f"{key}x"))
    server.client.get("/api/v1/search", params={"q": SECRET}, headers=bearer(key))
    log, audit = server.log.read_text("utf-8"), server.audit.read_text("utf-8")
    assert "Traceback" not in log
    for text in (log, audit):
        assert key not in text and "treasure" not in text
    last = [json.loads(line) for line in audit.splitlines()][-3:]
    assert [(line["key"], line["path"], line["status"]) for line in last[:2]] == [
        ("secretive", ASK, 200),
        ("", ASK, 401),
    ]
