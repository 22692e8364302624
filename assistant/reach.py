"""Whether the pages of another origin reach a running server, seen from outside; each finding says the fix."""

import ssl
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from assistant.access import read_origin
from assistant.doctor import Finding
from assistant.errors import UsageError

SECONDS = 10.0
ASK, WIDGET = "/api/v1/ask", "/widget.js"
SENT = "content-type, authorization"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said to one request; `says` is why it said nothing, or the refusal that it named."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    says: str = ""

    def names(self, header: str) -> set[str]:
        return {part.strip().lower() for part in self.headers.get(header, "").split(",")}


def examine_origin(origin: str, server: str) -> list[Finding]:
    """What a page of `origin` meets at `server`. Raises UsageError where one of them is no address."""
    origin, base = read_origin(origin), _server(server)
    reached = _reached(base)
    if not reached.good:
        return [reached]
    return [
        reached,
        _widget(base, origin),
        _preflight(base, origin),
        _answered(base, origin),
        _mixed(base, origin),
        _policy(base),
    ]


def _server(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(mark in text for mark in "@?#"):
        raise UsageError(f"--server={text!r} is no address of a server, as in http://127.0.0.1:7860")
    return text.rstrip("/")


def _reached(base: str) -> Finding:
    reply = _send(base, "GET", "/healthz")
    if reply.status == 421:
        host = urlsplit(base).hostname
        return Finding(
            "server", False, f"{base} does not answer to the name {host}. Add it to ASSISTANT_ALLOWED_HOSTS there"
        )
    if reply.status == 0:
        return Finding("server", False, f"{base} cannot be reached ({reply.says}). Run: assistant serve")
    if reply.status != 200:
        return Finding("server", False, f"{base}/healthz says {reply.status}. Is that the assistant? See --server")
    return Finding("server", True, f"{base} answers, and to this name")


def _widget(base: str, origin: str) -> Finding:
    for method in ("GET", "HEAD"):
        reply = _send(base, method, WIDGET, {"Origin": origin})
        if reply.status != 200:
            return Finding(
                "widget.js",
                False,
                f"{method} {base}{WIDGET} says {reply.status or reply.says}, not 200. Update the assistant there, and let "
                "a proxy before it pass this path",
            )
        kind = reply.headers.get("content-type", "none").partition(";")[0].strip()
        if kind != "text/javascript":
            return Finding(
                "widget.js",
                False,
                f"{method} {base}{WIDGET} is of type {kind}; browsers run text/javascript. A proxy must leave it as it is",
            )
        if reply.headers.get("cross-origin-resource-policy") != "cross-origin":
            return Finding(
                "widget.js",
                False,
                f"{method} {base}{WIDGET} lacks “Cross-Origin-Resource-Policy: cross-origin”. A proxy must leave it as it is",
            )
    return Finding("widget.js", True, "text/javascript, by GET and HEAD")


def _preflight(base: str, origin: str) -> Finding:
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": SENT}
    reply = _send(base, "OPTIONS", ASK, asks)
    if not 200 <= reply.status < 300 or reply.headers.get("access-control-allow-origin") != origin:
        return Finding("CORS preflight", False, f"{origin} is not allowed ({reply.status}). {_allow(origin)}")
    missing = {"post"} - reply.names("access-control-allow-methods") | set(SENT.split(", ")) - reply.names(
        "access-control-allow-headers"
    )
    if missing:
        return Finding(
            "CORS preflight",
            False,
            f"{', '.join(sorted(missing))} not allowed. A proxy must leave OPTIONS requests to the assistant",
        )
    return Finding("CORS preflight", True, f"{origin} may send questions")


def _answered(base: str, origin: str) -> Finding:
    # GET is not answered there, so that nothing is asked; the headers are those of a question.
    reply = _send(base, "GET", ASK, {"Origin": origin})
    if reply.status == 401:
        return Finding(
            "CORS", False, "a key is needed, which a page cannot keep. Set ASSISTANT_REQUIRE_KEY=auto on the server"
        )
    if reply.status == 429:
        return Finding("CORS", False, "too many requests from this address; run this again in a minute")
    allowed = reply.headers.get("access-control-allow-origin")
    if allowed != origin:
        return Finding("CORS", False, f"answers are for {allowed or 'no other origin'}, not {origin}. {_allow(origin)}")
    if reply.headers.get("access-control-allow-credentials"):
        return Finding("CORS", False, "answers allow credentials. A proxy before the server must not add CORS headers")
    return Finding("CORS", True, f"{origin} may read answers")


def _mixed(base: str, origin: str) -> Finding:
    parts = urlsplit(base)
    if not origin.startswith("https:") or parts.scheme == "https":
        return Finding("mixed content", True, "none")
    if parts.hostname in _LOOPBACK:
        return Finding(
            "mixed content", True, "http on this machine alone, which Chrome and Firefox allow and Safari does not"
        )
    return Finding(
        "mixed content",
        False,
        f"browsers let no https page load from {base}. Put a proxy with TLS before it, set ASSISTANT_TRUSTED_PROXY to its "
        "address, and use its https address",
    )


def _policy(base: str) -> Finding:
    ours = "{0.scheme}://{0.netloc}".format(urlsplit(base))
    return Finding(
        "CSP", True, f"a site that sends a Content-Security-Policy adds: script-src {ours}; connect-src {ours}"
    )


def _allow(origin: str) -> str:
    return f"Set ASSISTANT_ALLOWED_ORIGINS={origin} on the server (more of them separated by commas) and start it again"


def _send(base: str, method: str, path: str, headers: dict[str, str] | None = None) -> Reply:
    """One request, by no proxy and to no other place than this."""
    parts = urlsplit(base)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        connection.request(method, parts.path + path, headers=headers or {})
        response = connection.getresponse()
        response.read()
    except ssl.SSLCertVerificationError as error:
        return Reply(0, says=f"its certificate: {error.verify_message}")
    except (OSError, HTTPException) as error:
        return Reply(0, says=str(error) or type(error).__name__)
    finally:
        connection.close()
    return Reply(response.status, {name.lower(): value for name, value in response.getheaders()})
