"""The HTTP API over a real server: events, search, documents, ratings, what watches it; errors as problem details."""

import json
import re
import shutil
import subprocess

import httpx
import pytest
from conftest import child_environment, same_as_written
from test_api import served

from assistant.feedback import Feedback

QUESTION = "Why do containers start faster than VMs?"


@pytest.fixture(scope="module")
def ratings(tmp_path_factory):
    return Feedback(tmp_path_factory.mktemp("ratings") / "feedback.sqlite3")


@pytest.fixture(scope="module")
def client(founding_corpus, founding_home, ratings, tmp_path_factory):
    env = {**child_environment(founding_corpus, founding_home), "ASSISTANT_FEEDBACK": str(ratings.path)}
    with served(env, tmp_path_factory.mktemp("rest") / "log") as opened:
        yield opened


def events(text: str) -> list[tuple[str, dict]]:
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    return [
        (
            re.search(r"^event: (.+)$", block, re.MULTILINE)[1],
            json.loads(re.search(r"^data: (.+)$", block, re.MULTILINE)[1]),
        )
        for block in blocks
    ]


def streamed(client: httpx.Client, **body: object) -> list[tuple[str, dict]]:
    response = client.post("/api/v1/ask", json=body, headers={"Accept": "text/event-stream"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-accel-buffering"] == "no"
    return events(response.text)


def without_times(answer: dict) -> dict:
    return {name: value for name, value in answer.items() if name not in ("timings_ms", "links")}


def test_events_tell_the_query_the_hits_each_sentence_and_the_whole_answer(client):
    told = streamed(client, question=QUESTION)
    names = [name for name, _ in told]
    sentences = [data for name, data in told if name == "sentence"]
    assert names == ["query", "hits", *["sentence"] * len(sentences), "answer"]
    answer = told[-1][1]
    assert [(one["text"], one["support"]) for one in sentences] == [
        (one["text"], one["support"]) for one in answer["sentences"]
    ]
    assert told[1][1]["hits"] == answer["hits"]
    assert without_times(answer) == without_times(client.post("/api/v1/ask", json={"question": QUESTION}).json())


def test_every_citation_has_a_link_that_shows_its_quote(client):
    answer = streamed(client, question=QUESTION)[-1][1]
    assert [one["number"] for one in answer["links"]] == [one["number"] for one in answer["citations"]]
    for link, citation in zip(answer["links"], answer["citations"], strict=True):
        marked = "".join(re.findall(r"<mark[^>]*>([^<]*)</mark>", client.get(link["viewer"]).text))
        assert re.findall(r"\w+", marked) == re.findall(r"\w+", citation["quote"])
        assert link["page"] is None


def test_a_document_is_what_offsets_count_in(client):
    answer = client.post("/api/v1/ask", json={"question": QUESTION}).json()
    for citation in answer["citations"]:
        document = client.get(f"/api/v1/documents/{citation['document']}").json()
        assert document["text"][citation["start"] : citation["end"]] == citation["quote"]


def test_search_gives_as_many_hits_as_asked_for(client):
    found = client.get("/api/v1/search", params={"q": "hypervisor", "k": 3}).json()
    assert found["query"] == "hypervisor"
    assert len(found["hits"]) == 3
    assert found["hits"] == client.get("/api/v1/search", params={"q": "hypervisor", "k": 5}).json()["hits"][:3]


def test_a_rating_is_stored_and_replaced(client, ratings):
    answer = client.post("/api/v1/ask", json={"question": QUESTION}).json()
    made = client.post("/api/v1/feedback", json={"rating": "down", "answer": answer})
    assert made.status_code == 201
    again = {"rating": "down", "answer": answer, "comment": "Too short.", "id": made.json()["id"]}
    assert client.post("/api/v1/feedback", json=again).json() == made.json()
    stored = ratings.get(made.json()["id"])
    assert stored.comment == "Too short."
    assert stored.trace["answer"]["citations"] == answer["citations"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"rating": "sideways", "answer": {}},
        {"rating": "up", "answer": {}},
        {"rating": "up"},
        {"rating": "up", "answer": {"schema": 1}},
    ],
)
def test_what_is_no_rating_is_refused(client, ratings, wrong):
    before = len(ratings.all())
    response = client.post("/api/v1/feedback", json=wrong)
    assert response.status_code in (400, 422)
    assert len(ratings.all()) == before


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/ask", {"question": " ?"}, 400),
        ("POST", "/api/v1/ask", {"question": "x" * 2001}, 400),
        ("POST", "/api/v1/ask", {}, 422),
        ("POST", "/api/v1/ask", {"question": "x", "model": "y"}, 422),
        ("GET", "/api/v1/search", None, 422),
        ("GET", "/api/v1/search?q=x&k=0", None, 422),
        ("GET", "/api/v1/documents/nothing.md", None, 404),
        ("GET", "/api/v1/documents/../../etc/passwd", None, 404),
        ("GET", "/sources/nothing.md", None, 404),
        ("GET", "/nothing", None, 404),
        ("DELETE", "/api/v1/ask", None, 405),
        ("POST", "/v1/chat/completions", {"messages": [{"role": "system", "content": "x"}]}, 400),
        ("POST", "/v1/chat/completions", {"messages": []}, 422),
        ("POST", "/v1/chat/completions", {"model": "gpt", "messages": [{"role": "user", "content": "x"}]}, 404),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_errors_are_problem_details(client, method, path, body, status, accept):
    response = client.request(method, path, json=body, headers={"Accept": accept})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert not re.search(r"Traceback|/assistant/|\.py|site-packages", response.text)


def test_metrics_count_answers_refusals_and_errors_and_name_nobody(client):
    def value(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    answered, refused = 'assistant_answers_total{written_by="quotes"}', "assistant_refusals_total"
    before = value(answered), value(refused)
    client.post("/api/v1/ask", json={"question": QUESTION})
    client.post("/api/v1/ask", json={"question": "What does a Docker subscription cost?"})
    assert (value(answered), value(refused)) == (before[0] + 1, before[1] + 1)
    client.post("/api/v1/ask", json={"question": "?"})
    assert value('assistant_errors_total{type="UsageError"}') >= 1
    text = client.get("/metrics").text
    assert "subscription" not in text
    assert 'assistant_stage_seconds_count{stage="retrieve"}' in text


def test_a_machine_finds_the_documents(client):
    listed = client.get("/llms.txt").text
    for path in re.findall(r"\]\((\S+)\)", listed):
        assert client.get(path).status_code == 200


def test_the_widget_is_served_to_get_and_head(client):
    got, head = client.get("/widget.js"), client.head("/widget.js")
    assert got.status_code == head.status_code == 200
    assert got.headers["content-type"] == head.headers["content-type"] == "text/javascript; charset=utf-8"
    assert got.headers["cross-origin-resource-policy"] == "cross-origin"
    assert got.text
    assert not head.text


def test_curl_shows_an_answer_as_it_grows(client, repository):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    body = json.dumps({"question": QUESTION})
    address = f"{client.base_url}/api/v1/ask"
    headers = ["-H", "Content-Type: application/json", "-H", "Accept: text/event-stream"]
    done = subprocess.run(
        [curl, "-sN", address, *headers, "-d", body], capture_output=True, text=True, timeout=60, check=True
    )
    shown = re.sub(r'"id": "[0-9a-f]{16}"', '"id": "…"', done.stdout)
    lines = [line if len(line) <= 160 else f"{line[:160]}…" for line in shown.splitlines()]
    command = f"$ curl -N http://127.0.0.1:7860/api/v1/ask -H 'Content-Type: application/json' -H 'Accept: text/event-stream' -d '{body}'"
    same_as_written(repository / "docs" / "transcripts" / "curl.txt", "\n".join([command, *lines]) + "\n")
