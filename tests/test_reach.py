"""What the pages of another origin meet at a server: each fault is found and its fix is named."""

import pytest

from assistant import reach
from assistant.errors import UsageError
from assistant.reach import Reply, examine_origin

DOCS, PUBLIC, HERE = "https://docs.example", "https://assistant.example", "http://127.0.0.1:7860"
SCRIPT = {"content-type": "text/javascript; charset=utf-8", "cross-origin-resource-policy": "cross-origin"}
CORS = {
    "access-control-allow-origin": DOCS,
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "Authorization, Content-Type",
}
GOOD = {
    ("GET", "/healthz"): Reply(200),
    ("GET", "/widget.js"): Reply(200, SCRIPT),
    ("HEAD", "/widget.js"): Reply(200, SCRIPT),
    ("OPTIONS", "/api/v1/ask"): Reply(204, CORS),
    ("GET", "/api/v1/ask"): Reply(405, {"access-control-allow-origin": DOCS}),
}


@pytest.fixture
def examined(monkeypatch):
    """The findings by name, at a server that answers well but for what is given."""

    def examine(replies=(), server=PUBLIC):
        sent = {**GOOD, **dict(replies)}
        monkeypatch.setattr(reach, "_send", lambda base, method, path, headers=None: sent[method, path])
        return {one.what: one for one in examine_origin(DOCS, server)}

    return examine


def test_nothing_is_found_where_all_is_well(examined):
    assert all(one.good for one in examined().values())


@pytest.mark.parametrize(
    ("request_", "reply", "what", "fix"),
    [
        (("GET", "/healthz"), Reply(0, says="refused"), "server", "assistant serve"),
        (("GET", "/healthz"), Reply(421), "server", "ASSISTANT_ALLOWED_HOSTS"),
        (("GET", "/healthz"), Reply(502), "server", "--server"),
        (("GET", "/widget.js"), Reply(404), "widget.js", "Update"),
        (("HEAD", "/widget.js"), Reply(405), "widget.js", "HEAD"),
        (("GET", "/widget.js"), Reply(200, {**SCRIPT, "content-type": "text/plain"}), "widget.js", "text/plain"),
        (("HEAD", "/widget.js"), Reply(200, {"content-type": "text/javascript"}), "widget.js", "Resource-Policy"),
        (("OPTIONS", "/api/v1/ask"), Reply(403), "CORS preflight", f"ASSISTANT_ALLOWED_ORIGINS={DOCS}"),
        (("OPTIONS", "/api/v1/ask"), Reply(200, {}), "CORS preflight", f"ASSISTANT_ALLOWED_ORIGINS={DOCS}"),
        (
            ("OPTIONS", "/api/v1/ask"),
            Reply(200, {**CORS, "access-control-allow-headers": "accept"}),
            "CORS preflight",
            "authorization, content-type",
        ),
        (
            ("OPTIONS", "/api/v1/ask"),
            Reply(200, {**CORS, "access-control-allow-methods": "GET"}),
            "CORS preflight",
            "post",
        ),
        (("GET", "/api/v1/ask"), Reply(403), "CORS", f"ASSISTANT_ALLOWED_ORIGINS={DOCS}"),
        (("GET", "/api/v1/ask"), Reply(401), "CORS", "ASSISTANT_REQUIRE_KEY"),
        (("GET", "/api/v1/ask"), Reply(429), "CORS", "minute"),
        (("GET", "/api/v1/ask"), Reply(405, {"access-control-allow-origin": "*"}), "CORS", "ASSISTANT_ALLOWED_ORIGINS"),
        (
            ("GET", "/api/v1/ask"),
            Reply(405, {"access-control-allow-origin": DOCS, "access-control-allow-credentials": "true"}),
            "CORS",
            "proxy",
        ),
    ],
)
def test_a_fault_is_found_and_its_fix_is_named(examined, request_, reply, what, fix):
    found = examined({request_: reply})
    assert [one.what for one in found.values() if not one.good] == [what]
    assert fix in found[what].says
    if what == "server":
        assert list(found) == ["server"]


def test_an_https_page_loads_nothing_from_http_but_from_this_machine(examined):
    bad = examined(server="http://assistant.example:8080")["mixed content"]
    assert not bad.good and "ASSISTANT_TRUSTED_PROXY" in bad.says
    for server in (HERE, "http://localhost:7860", "http://[::1]:7860"):
        near = examined(server=server)["mixed content"]
        assert near.good and "Safari" in near.says


def test_the_lines_of_the_policy_name_the_server_alone(examined):
    says = examined(server=f"{PUBLIC}:8443/below/")["CSP"].says
    assert f"script-src {PUBLIC}:8443; connect-src {PUBLIC}:8443" in says
    assert "below" not in says


@pytest.mark.parametrize(
    "server",
    ["", "assistant.example", "ftp://a.example", "http://", "http://a:b@c.example", "http://a.example:x", "http://[a"],
)
def test_a_server_has_an_address(server):
    with pytest.raises(UsageError, match="--server"):
        examine_origin(DOCS, server)
