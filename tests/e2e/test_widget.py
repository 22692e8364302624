"""The widget on a docs site with a strict policy: three origins, a real Chromium and the real assistant."""

import gzip
import html
import json
import re
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from conftest import with_encoders
from pages import browser, needs_browser, serving, sideways, watched
from test_accessibility import grave

from assistant.feedback import Feedback
from assistant.rest import WIDGET

pytestmark = needs_browser
__all__ = ["browser"]

MOST = 12_288  # bytes, gzipped
QUESTION = "Which should I use to run untrusted code?"
TABLE = "Compare the isolation of containers and VMs"
REFUSED = "What does a Docker subscription cost?"
# What a document may hold and no page may show as it is.
MARKUP = (
    "# Frobnicators\n\nThe frobnicator `run_all` reads [the manual](https://elsewhere.example/) and "
    "<img src=x onerror=alert(1)> **before** its snake_case_name starts at 5 * 3 * 2 volts.\n"
)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def give(self, body: bytes, kind: str, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Docs(Handler):
    """A docs site: every path is a page; its query says how the widget's script is asked for."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        said = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        site = self.server.site
        if parts.path.endswith(".js"):
            self.give(site.scripts[parts.path].encode(), "text/javascript")
            return
        if not parts.path.endswith("/"):
            self.give(b"", "text/plain", 404)
            return
        script = f"{site.assistant}/widget.js"
        if "via" in said:
            script = f"{site.relay}/{said['via']}/widget.js"
        own = f"http://{self.headers['Host']}"
        before = f'<script src="/{said["before"]}.js"></script>' if "before" in said else ""
        text = "".join(f"<p>{html.escape(line)}</p>" for line in site.text.splitlines() if line.strip())
        page = (
            f'<!DOCTYPE html><html lang="en" {said.get("attributes", "")}><head><meta charset="utf-8"><title>Docs</title>'
            f'<meta name="viewport" content="width=device-width"><link rel="canonical" href="{own}{parts.path}">'
            f"{said.get('head', '')}{before}"
            f'<script src="{html.escape(script)}{html.escape(said.get("script", ""))}" {said.get("data", "")}></script>'
            f'</head><body><main><h1>Docs</h1><label>Search <input id="search"></label>{text}</main></body></html>'
        )
        origins = f"{site.assistant} {site.relay}"
        policy = (
            f"default-src 'none'; script-src {own} {origins}; connect-src {origins}; base-uri 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        self.give(page.encode(), "text/html; charset=utf-8", Content_Security_Policy=policy)


class Relay(Handler):
    """The assistant behind a proxy with manners of its own: one a path."""

    def do_GET(self) -> None:
        answer = httpx.get(f"{self.server.site.assistant}/widget.js", trust_env=False)
        self.give(answer.content, answer.headers["content-type"])

    def do_OPTIONS(self) -> None:
        self.forward("OPTIONS", b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        site = self.server.site
        _, manner, path = self.path.split("/", 2)
        if manner == "json":
            self.headers.replace_header("Accept", "application/json")
        if manner in ("json", "flaky") and not (manner == "flaky" and site.failures and path == "api/v1/ask"):
            self.forward("POST", body)
            return
        if manner == "flaky":
            site.failures -= 1
            allowed = {"Access_Control_Allow_Origin": self.headers["Origin"]}
            problem = json.dumps({"title": "Service Unavailable", "status": 503, "detail": "Back in a minute."})
            self.give(problem.encode(), "application/problem+json", 503, **allowed)
            return
        answer = self.asked("POST", body)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Access-Control-Allow-Origin", self.headers["Origin"])
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        events = re.findall(r"event: (\w+)\ndata: (.*)\n\n", answer.text)
        getattr(self, manner)(events)

    def asked(self, method: str, body: bytes) -> httpx.Response:
        kept = ("accept", "content-type", "origin", "access-control-request-method", "access-control-request-headers")
        headers = {name: value for name, value in self.headers.items() if name.lower() in kept}
        path = "/" + self.path.split("/", 2)[2]
        site = self.server.site
        return httpx.request(method, site.assistant + path, content=body, headers=headers, trust_env=False, timeout=60)

    def forward(self, method: str, body: bytes) -> None:
        answer = self.asked(method, body)
        names = [name for name in answer.headers if name.startswith("access-control-")]
        headers = {name.replace("-", "_"): answer.headers[name] for name in names}
        self.give(answer.content, answer.headers.get("content-type", "text/plain"), answer.status_code, **headers)

    def cut(self, events) -> None:
        """Cut inside characters and between the two bytes that end a line."""
        whole = ": a comment\r\n\r\n" + "".join(
            f"event: {name}\r\ndata: {json.dumps(json.loads(data), ensure_ascii=False)}\r\n\r\n"
            for name, data in events
        )
        written = whole.encode()
        places = [at + 1 for at in range(len(written)) if written[at : at + 1] == b"\r" or written[at] >= 0xC0]
        assert any(written[at] >= 0x80 for at in places)
        for start, end in zip([0, *places], [*places, len(written)], strict=True):
            self.wfile.write(written[start:end])
            self.wfile.flush()
            time.sleep(0.005)

    def slow(self, events) -> None:
        """Stays at the first sentence until the page has gone."""
        until = [name for name, _ in events].index("sentence") + 1
        for name, data in events[:until]:
            self.wfile.write(f"event: {name}\ndata: {data}\n\n".encode())
        self.wfile.flush()
        self.connection.settimeout(20)
        self.server.site.left = self.connection.recv(1) == b""

    def weak(self, events) -> None:
        """As if the first sentence stood on little, with a notice and a page that is none."""
        for name, data in events:
            said = json.loads(data)
            if name == "answer":
                said["sentences"][0]["support"] = "weak"
                said["notices"] = ["Something <b>to know</b>."]
                said["links"][0]["page"] = "javascript:alert(1)"
            self.wfile.write(f"event: {name}\ndata: {json.dumps(said)}\n\n".encode())

    def broken(self, events) -> None:
        self.wfile.write("".join(f"event: {name}\ndata: {data}\n\n" for name, data in events).encode()[:-40])


@contextmanager
def listening(handler, site):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.site = site
    thread = threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def site(founding_corpus, founding_text, encoders, write_corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("widget")
    files = {one.name: one.read_bytes() for one in founding_corpus.iterdir()}
    corpus = write_corpus(folder / "corpus", {**files, "markup.md": MARKUP})
    site = SimpleNamespace(text=re.sub(r"[#*]+ ?|^- ", "", founding_text, flags=re.MULTILINE), failures=0, left=False)
    site.ratings = folder / "feedback.sqlite3"
    with (
        listening(Docs, site) as site.docs,
        listening(Docs, site) as site.stranger,
        listening(Relay, site) as site.relay,
    ):
        urls = folder / "urls.json"
        urls.write_text(json.dumps({"docker-vs-vms.md": f"{site.docs}/comparison/"}), "utf-8")
        with serving(
            corpus,
            with_encoders(folder / "index", encoders),
            folder,
            ASSISTANT_ALLOWED_ORIGINS=site.docs,
            ASSISTANT_URLS=str(urls),
            ASSISTANT_FEEDBACK=str(site.ratings),
        ) as address:
            site.assistant = address.rstrip("/")
            yield site


@contextmanager
def reading(browser, site, name, path="/guide/", origin="", allowed="", width=1280, height=800, **options):
    """A page of the docs site; whatever breaks its policy is an error."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.add_init_script(
        """document.addEventListener("securitypolicyviolation", (event) =>
             console.error("violation", event.violatedDirective, event.blockedURI));
           window.heard = [];
           for (const one of ["open", "close", "question", "answer", "source", "feedback", "error"])
             document.addEventListener(`assistant:${one}`, (event) => window.heard.push([one, event.detail]));"""
    )
    page = context.new_page()
    page.sent = []
    page.on("request", lambda request: page.sent.append(request))
    try:
        with watched(page, f"widget-{name}", allowed):
            page.goto((origin or site.docs) + path)
            page.locator("assistant-widget").wait_for(state="attached")
            yield page
    finally:
        context.close()


def opened(page):
    page.get_by_role("button", name="Ask the docs").click()
    page.get_by_role("dialog").wait_for()


def asked(page, question, answers=1):
    box(page).fill(question)
    box(page).press("Enter")
    whole(page, answers)


def whole(page, answers=1):
    from playwright.sync_api import expect

    expect(page.locator("assistant-widget article")).to_have_count(answers)
    page.locator("assistant-widget .log[aria-busy=false]").wait_for()


def box(page):
    return page.get_by_role("textbox", name="Question")


def numbers(page):
    return page.locator("assistant-widget button.number")


def active(page) -> str:
    """The part that has the focus inside the widget."""
    return page.evaluate(
        "document.querySelector('assistant-widget').shadowRoot.activeElement?.getAttribute('part') ?? ''"
    )


def heard(page) -> list[str]:
    return [name for name, _ in page.evaluate("window.heard")]


def bodies(page) -> list[dict]:
    return [one.post_data_json for one in page.sent if one.method == "POST" and one.url.endswith("/ask")]


def test_it_is_small():
    assert len(gzip.compress(WIDGET.read_bytes(), 9, mtime=0)) <= MOST


def test_it_is_served_to_every_site(site):
    for method in ("GET", "HEAD"):
        answer = httpx.request(method, f"{site.assistant}/widget.js", trust_env=False)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


def test_nothing_is_asked_before_a_question_and_nobody_else_then(browser, site):
    with reading(browser, site, "quiet") as page:
        page.wait_for_timeout(300)
        assert [one.url for one in page.sent] == [f"{site.docs}/guide/", f"{site.assistant}/widget.js"]
        opened(page)
        page.wait_for_timeout(300)
        assert len(page.sent) == 2
        asked(page, QUESTION)
        assert {one.url for one in page.sent[2:]} == {f"{site.assistant}/api/v1/ask"}
        assert bodies(page)[0] == {"question": QUESTION, "history": [], "page": f"{site.docs}/guide/"}


def test_a_number_leads_to_the_marked_passage_and_on_to_the_page(browser, site, founding_text):
    from playwright.sync_api import expect

    with reading(browser, site, "cited") as page:
        opened(page)
        asked(page, QUESTION)
        number = numbers(page).first
        number.click()
        card = page.locator("assistant-widget details[open]")
        expect(card.locator("summary")).to_be_focused()
        marked = "".join(re.findall(r"\w", card.locator("mark").inner_text()))
        assert len(marked) > 20
        assert marked in "".join(re.findall(r"\w", founding_text))
        page.screenshot(path=f"{__file__.rpartition('/')[0]}/screenshots/widget-card.png")
        page.keyboard.press("Escape")
        expect(number).to_be_focused()
        number.click()
        viewer = card.get_by_role("link", name="In the document").get_attribute("href")
        assert viewer.startswith(f"{site.assistant}/sources/docker-vs-vms.md?start=")
        assert "<mark" in httpx.get(viewer, trust_env=False).text
        link = card.get_by_role("link", name="On its page")
        assert link.get_attribute("href").startswith(f"{site.docs}/comparison/#:~:text=")
        link.click()
        page.wait_for_url(f"{site.docs}/comparison/**")
        page.wait_for_function("scrollY > 0")
        # The conversation is still there, and does not take the focus from the page.
        expect(page.locator("assistant-widget article")).to_have_count(1)
        expect(page.get_by_role("dialog")).to_be_visible()
        page.wait_for_timeout(200)
        assert active(page) == ""
        assert "source" not in heard(page)


def test_a_comparison_is_a_table_and_a_refusal_shows_what_comes_nearest(browser, site):
    from playwright.sync_api import expect

    with reading(browser, site, "table") as page:
        opened(page)
        asked(page, TABLE)
        expect(page.locator("assistant-widget th")).to_have_text(["Containers", "Virtual machines"])
        for cell in page.locator("assistant-widget td").all():
            expect(cell.locator("button.number")).to_have_count(1)
        asked(page, REFUSED, 2)
        refusal = page.locator("assistant-widget article").last
        expect(refusal.locator("h4")).to_have_text("Nearest passages")
        assert 1 <= refusal.locator("details").count() <= 3
        refusal.locator("summary").first.click()
        expect(refusal.get_by_role("link", name="In the document").first).to_be_visible()
        expect(refusal.locator("mark:not(:empty)")).to_have_count(0)


def test_a_text_never_becomes_markup(browser, site):
    with reading(browser, site, "markup") as page:
        opened(page)
        asked(page, "What does the frobnicator read?")
        answer = page.locator("assistant-widget [part=answer]")
        for name in ("img", "a", "script"):
            assert answer.locator(name).count() == 0
        assert answer.locator("code").inner_text() == "run_all"
        assert answer.locator("strong").inner_text() == "before"
        assert "reads the manual and" in answer.inner_text()
        assert "snake_case_name starts at 5 * 3 * 2 volts" in answer.inner_text()
        # As a question it stays text too.
        asked(page, "What is <img src=x onerror=alert(1)> [it](javascript:alert(1))?", 2)
        assert (
            page.locator("assistant-widget")
            .get_by_role("heading", level=3)
            .last.inner_text()
            .startswith("What is <img src=x")
        )


def test_a_doubt_is_shown_and_explained(browser, site):
    from playwright.sync_api import expect

    with reading(browser, site, "weak", "/guide/?via=weak") as page:
        opened(page)
        asked(page, QUESTION)
        expect(numbers(page).first).to_have_text("[1?]")
        expect(numbers(page).first).to_have_accessible_name("Source 1: The source supports this only in part")
        expect(page.locator("assistant-widget p.weak")).to_have_css("text-decoration-style", "dotted")
        expect(page.locator("assistant-widget [part=legend]")).to_contain_text("only in part")
        expect(page.locator("assistant-widget [part=notice]")).to_have_text("Something <b>to know</b>.")
        numbers(page).first.click()
        expect(page.locator("assistant-widget details[open] a")).to_have_text(["In the document"])


def test_on_a_narrow_screen_the_panel_makes_way_for_the_page(browser, site):
    from playwright.sync_api import expect

    with reading(browser, site, "narrow", "/comparison/", width=360, height=640) as page:
        opened(page)
        asked(page, QUESTION)
        for width in (1280, 360):  # as when a page is zoomed
            page.set_viewport_size({"width": width, "height": 640})
            expect(page.locator("assistant-widget dialog:modal")).to_have_count(int(width == 360))
            assert active(page) == "input"
        numbers(page).first.click()
        page.get_by_role("link", name="On its page").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        page.wait_for_function("scrollY > 0")
        opened(page)
        expect(page.locator("assistant-widget article")).to_have_count(1)


def test_an_answer_can_be_stopped_and_asked_again(browser, site):
    from playwright.sync_api import expect

    site.left = False
    with reading(browser, site, "stopped", "/guide/?via=slow") as page:
        opened(page)
        box(page).fill(QUESTION)
        box(page).press("Enter")
        expect(page.locator("assistant-widget [part=answer] p")).to_have_count(2)
        assert page.locator("assistant-widget .log").get_attribute("aria-busy") == "true"
        page.get_by_role("button", name="Stop", exact=True).click()
        whole(page)
        expect(page.locator("assistant-widget article")).to_contain_text("Stopped.")
        assert active(page) == "input"
        until = time.monotonic() + 10
        while not site.left and time.monotonic() < until:
            page.wait_for_timeout(50)
        assert site.left
        page.reload()
        opened_again(page)
        expect(page.locator("assistant-widget article")).to_contain_text(QUESTION)
        page.get_by_role("button", name="Ask again").click()
        expect(page.locator("assistant-widget [part=answer] p")).to_have_count(2)
        page.get_by_role("button", name="New conversation").click()
        expect(page.locator("assistant-widget article")).to_have_count(0)


def opened_again(page):
    """After a reload the panel is open as it was."""
    from playwright.sync_api import expect

    expect(page.get_by_role("dialog")).to_be_visible()


def test_the_stream_may_be_cut_anywhere(browser, site):
    question = "Which should I use to run untrusted code — naïve “ünïcode” 🙂?"
    with reading(browser, site, "cut", "/guide/?via=cut") as page:
        opened(page)
        asked(page, question)
        answer = page.evaluate("window.heard").pop()[1]["answer"]
        assert answer["question"] == question
        assert numbers(page).count() >= 1


def test_an_answer_in_one_piece_is_shown_as_well(browser, site):
    with reading(browser, site, "json", "/guide/?via=json") as page:
        opened(page)
        asked(page, QUESTION)
        numbers(page).first.click()
        link = page.locator("assistant-widget details[open]").get_by_role("link", name="In the document")
        assert "/sources/docker-vs-vms.md?start=" in link.get_attribute("href")


def test_a_stream_that_breaks_off_keeps_the_question(browser, site):
    from playwright.sync_api import expect

    with reading(browser, site, "broken", "/guide/?via=broken") as page:
        opened(page)
        asked(page, QUESTION)
        expect(page.locator("assistant-widget [part=error]")).to_have_text("The answer broke off.")
        expect(page.get_by_role("button", name="Ask again")).to_be_visible()
        assert heard(page)[-1] == "error"


def test_an_error_says_what_the_server_says_and_the_question_is_not_lost(browser, site):
    from playwright.sync_api import expect

    site.failures = 1
    with reading(browser, site, "error", "/guide/?via=flaky", allowed="503") as page:
        opened(page)
        asked(page, QUESTION)
        expect(page.locator("assistant-widget [part=error]")).to_have_text("Back in a minute.")
        page.get_by_role("button", name="Ask again").click()
        numbers(page).first.wait_for()
        expect(page.locator("assistant-widget article")).to_have_count(1)
        expect(page.locator("assistant-widget [part=error]")).to_have_count(0)


def test_what_cannot_be_asked_is_said_by_the_assistant(browser, site):
    from playwright.sync_api import expect

    with reading(browser, site, "empty-question", allowed="400") as page:
        opened(page)
        asked(page, "?!")
        expect(page.locator("assistant-widget [part=error]")).to_contain_text("letter")


def test_a_stranger_is_refused_and_told_why(browser, site):
    from playwright.sync_api import expect

    with reading(browser, site, "stranger", origin=site.stranger, allowed="CORS|ERR_FAILED|403") as page:
        opened(page)
        asked(page, QUESTION)
        error = page.locator("assistant-widget [part=error]")
        expect(error).to_contain_text(f"does not answer pages of {site.stranger}")
        expect(error).to_contain_text("ASSISTANT_ALLOWED_ORIGINS")
        expect(page.get_by_role("heading", name=QUESTION)).to_be_visible()
        expect(page.get_by_role("button", name="Ask again")).to_be_visible()


def test_a_second_question_leans_on_the_first_and_a_reload_keeps_both(browser, site):
    from playwright.sync_api import expect

    with reading(browser, site, "history") as page:
        opened(page)
        asked(page, "Why do containers start faster than VMs?")
        asked(page, "And which is more secure?", 2)
        first, second = bodies(page)
        assert first["history"] == []
        assert [one["question"] for one in second["history"]] == ["Why do containers start faster than VMs?"]
        assert second["history"][0]["answer"]
        box(page).fill("not yet asked")
        page.goto(f"{site.docs}/another/")
        expect(page.locator("assistant-widget article")).to_have_count(2)
        expect(box(page)).to_have_value("not yet asked")
        asked(page, "And the performance?", 3)
        assert len(bodies(page)[-1]["history"]) == 2
        assert bodies(page)[-1]["page"] == f"{site.docs}/another/"
        page.get_by_role("button", name="New conversation").click()
        page.reload()
        expect(page.locator("assistant-widget article")).to_have_count(0)


def test_a_selection_becomes_a_draft(browser, site):
    from playwright.sync_api import expect

    with reading(browser, site, "selection") as page:
        about = page.get_by_role("button", name="Ask about this")
        page.evaluate("getSelection().selectAllChildren(document.querySelector('main p'))")
        page.wait_for_timeout(300)
        expect(about).to_have_count(0)  # a script selected, and no hand
        paragraph = page.locator("main p", has_text="Faster Startup")
        paragraph.click(click_count=3)
        expect(about).to_be_in_viewport()
        page.mouse.click(5, 400)
        expect(about).to_have_count(0)
        paragraph.click(click_count=3)
        about.click()
        expect(about).to_have_count(0)
        assert box(page).input_value() == f"About “{paragraph.inner_text().strip()}”: "
        assert active(page) == "input"
        assert bodies(page) == []
        page.get_by_role("button", name="Close").click()
        page.locator("#search").fill("words in a box")
        page.locator("#search").press("Control+a")
        page.wait_for_timeout(200)
        expect(about).to_have_count(0)
        # From the keyboard: the button is reached by Tab.
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("Control+a")
        expect(about).to_be_visible()


def test_the_selection_can_be_left_alone(browser, site):
    from playwright.sync_api import expect

    with reading(browser, site, "selection-off", "/guide/?script=%3Fselection%3Doff") as page:
        page.locator("main p").first.click(click_count=3)
        page.wait_for_timeout(300)
        expect(page.get_by_role("button", name="Ask about this")).to_have_count(0)


def lightness(page) -> float:
    return page.evaluate(
        """(() => {
             const panel = document.querySelector("assistant-widget").shadowRoot.querySelector("dialog");
             const numbers = getComputedStyle(panel).backgroundColor.match(/[\\d.]+/g).map(Number);
             return numbers[0] + numbers[1] + numbers[2];
           })()"""
    )


@pytest.mark.parametrize("scheme", ("light", "dark"))
def test_it_is_as_light_or_dark_as_the_site(browser, site, scheme):
    with reading(browser, site, f"scheme-{scheme}", color_scheme=scheme) as page:
        opened(page)
        assert (lightness(page) > 380) == (scheme == "light")
        for name, dark, light in (("theme", "dark", "light"), ("mdColorScheme", "slate", "default")):
            for place in ("documentElement", "body"):
                for value in (dark, light):
                    page.evaluate(f"document.{place}.dataset.{name} = '{value}'")
                    page.wait_for_timeout(30)
                    assert (lightness(page) > 380) == (value == light), (name, place, value)
                page.evaluate(f"delete document.{place}.dataset.{name}")


@pytest.mark.parametrize("accent", ("#ffffff", "#000000", "#4051b5", "#ffd600", "#00c853", "#777777"))
def test_words_on_the_accent_can_be_read_whatever_it_is(browser, site, accent):
    from axe_playwright_python.sync_playwright import Axe

    with reading(browser, site, "accent") as page:
        page.evaluate(f"document.body.style.setProperty('--md-primary-fg-color', '{accent}')")
        opened(page)
        found = Axe().run(page, context="assistant-widget").response
        assert [one for one in found["violations"] if one["id"] == "color-contrast"] == []


@pytest.mark.parametrize("width", (360, 1280))
def test_everything_is_done_with_the_keyboard_alone(browser, site, width):
    from playwright.sync_api import expect

    with reading(browser, site, f"keyboard-{width}", width=width) as page:
        for _ in range(5):
            page.keyboard.press("Tab")
            if active(page) == "launcher":
                break
        page.keyboard.press("Enter")
        assert active(page) == "input"
        page.keyboard.type(QUESTION)
        page.keyboard.press("Enter")
        numbers(page).first.wait_for()
        whole(page)
        assert active(page) == "input"
        for _ in range(60):
            page.keyboard.press("Shift+Tab")
            if active(page) == "number":
                break
        style = "getComputedStyle(document.querySelector('assistant-widget').shadowRoot.activeElement).outlineStyle"
        assert page.evaluate(style) == "solid"
        page.keyboard.press("Enter")
        expect(page.locator("assistant-widget details[open] summary")).to_be_focused()
        page.keyboard.press("Escape")
        assert active(page) == "number"
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert active(page) == "launcher"
        assert sideways(page) <= 0
        if width == 360:  # the page behind is out of reach while the panel covers it
            page.keyboard.press("Enter")
            for _ in range(30):
                page.keyboard.press("Tab")
                assert page.evaluate("document.activeElement.id") != "search"


def test_what_is_typed_is_none_of_the_sites_shortcuts(browser, site):
    with reading(browser, site, "shortcuts", "/guide/?script=%3Fshortcut%3Dctrl%2Bk") as page:
        page.evaluate("window.stolen = ''; window.addEventListener('keydown', (event) => { stolen += event.key; })")
        page.locator("#search").press("Control+k")
        assert page.get_by_role("dialog").count() == 0
        page.evaluate("document.activeElement.blur()")
        page.evaluate("window.stolen = ''")
        page.keyboard.press("Control+k")
        assert active(page) == "input"
        page.evaluate("window.stolen = ''")
        page.keyboard.type("s/?")
        assert page.evaluate("window.stolen") == ""
        assert box(page).input_value() == "s/?"


def test_without_being_told_it_takes_no_key(browser, site):
    with reading(browser, site, "no-shortcut") as page:
        for key in ("Control+k", "/", "Control+."):
            page.keyboard.press(key)
        assert page.get_by_role("dialog").count() == 0


def test_an_answer_is_announced_once(browser, site):
    with reading(browser, site, "announced") as page:
        opened(page)
        page.evaluate(
            """(() => {
                 const status = document.querySelector("assistant-widget").shadowRoot.querySelector("[role=status]");
                 window.said = [];
                 new MutationObserver(() => window.said.push(status.textContent)).observe(status, {childList: true, characterData: true, subtree: true});
               })()"""
        )
        asked(page, QUESTION)
        said = page.evaluate("window.said")
        assert said[0] == "Searching…"
        assert len(said) == 2
        assert not re.search(r"\[\d+\]", said[1])
        shown = page.locator("assistant-widget [part=answer] p").first.inner_text()
        assert said[1].startswith(re.sub(r"\s*\[\d+\??\].*", "", shown, flags=re.DOTALL))
        live = page.evaluate(
            """[...document.querySelector("assistant-widget").shadowRoot.querySelectorAll("[aria-live], [role=status], [role=log], [role=alert]")].length"""
        )
        assert live == 1


@pytest.mark.parametrize("width", (360, 1280))
@pytest.mark.parametrize("scheme", ("light", "dark"))
def test_axe_finds_nothing(browser, site, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    with reading(browser, site, f"axe-{scheme}-{width}", color_scheme=scheme, width=width) as page:
        # The page itself is the test's own and has no style; what is its fault is none of the widget's.
        def found():
            violations = Axe().run(page, context="assistant-widget").response["violations"]
            return [f"{one['id']}: {node['html'][:200]}" for one in violations for node in one["nodes"]]

        assert found() == []
        opened(page)
        assert found() == []
        asked(page, TABLE)
        asked(page, REFUSED, 2)
        asked(page, QUESTION, 3)
        numbers(page).last.click()
        page.get_by_role("group", name="Did this help?").last.get_by_role("button", name="No").click()
        page.get_by_role("textbox", name="What should we know?").wait_for()
        page.wait_for_timeout(200)
        assert found() == []
        assert grave(page) == []
        assert sideways(page) <= 0
        panel = "document.querySelector('assistant-widget').shadowRoot.querySelector('.log')"
        assert page.evaluate(f"{panel}.scrollWidth - {panel}.clientWidth") <= 0


def test_nothing_moves_for_those_who_ask_for_that(browser, site):
    with reading(browser, site, "still", "/guide/?via=slow", reduced_motion="reduce") as page:
        opened(page)
        box(page).fill(QUESTION)
        box(page).press("Enter")
        page.locator("assistant-widget [part=answer] p").nth(1).wait_for()
        assert page.evaluate("document.getAnimations().length") == 0
        page.get_by_role("button", name="Stop", exact=True).click()


def test_a_rating_is_stored_and_its_comment_is_added_to_it(browser, site):
    from playwright.sync_api import expect

    before = len(Feedback(site.ratings).all())
    with reading(browser, site, "rated") as page:
        opened(page)
        asked(page, QUESTION)
        group = page.get_by_role("group", name="Did this help?")
        group.get_by_role("button", name="No").click()
        expect(group).to_contain_text("Thank you.")
        comment = page.get_by_role("textbox", name="What should we know?")
        comment.fill("Too short")
        comment.press("Enter")
        expect(comment).to_have_count(0)
        ratings = Feedback(site.ratings).all()
        assert len(ratings) == before + 1
        assert (ratings[-1].rating, ratings[-1].comment) == ("down", "Too short")
        assert ratings[-1].trace["answer"]["question"] == QUESTION
        assert group.get_by_role("button", name="No").get_attribute("aria-pressed") == "true"
        assert heard(page).count("feedback") == 2


def test_options_come_from_four_places_and_the_nearest_wins(browser, site):
    from playwright.sync_api import expect

    head = "".join(
        f'<meta name="assistant:string-{key}" content="meta">' for key in ("launcher", "ask", "close", "new")
    )
    head += '<meta name="assistant:title" content="Ask the manual">'
    site.scripts = {
        "/before.js": "window.AssistantWidget = {strings: {launcher: 'object'}, examples: ['One?', 'Two?']};"
    }
    query = {
        "head": head,
        "before": "before",
        "data": 'defer data-string-launcher="data" data-string-ask="data" data-position="left"',
        "script": "?string-launcher=query&string-ask=query&string-close=query&lang=de",
    }
    path = f"/guide/?{httpx.QueryParams(query)}"
    with reading(browser, site, "options", path) as page:
        page.get_by_role("button", name="object").click()
        for name in ("data", "query", "meta"):
            expect(page.get_by_role("button", name=name)).to_be_visible()
        expect(page.get_by_role("heading", name="Ask the manual")).to_be_visible()
        assert page.locator("assistant-widget").get_attribute("lang") == "de"
        assert page.get_by_role("dialog").bounding_box()["x"] < 100
        page.get_by_role("button", name="Two?").click()
        whole(page)
        assert bodies(page)[0]["question"] == "Two?"


def test_a_page_drives_it_and_hears_of_it(browser, site):
    site.scripts = {
        "/stub.js": """
            window.AssistantWidget ??= { calls: [] };
            for (const name of ["open", "close", "ask"])
              window.AssistantWidget[name] ??= (...given) => window.AssistantWidget.calls.push([name, ...given]);
            window.AssistantWidget.open({ question: "Called before it was there" });"""
    }
    with reading(browser, site, "driven", "/guide/?before=stub") as page:
        page.get_by_role("dialog").wait_for()
        assert box(page).input_value() == "Called before it was there"
        answer = page.evaluate(f"window.AssistantWidget.ask({json.dumps(QUESTION)})")
        assert answer["question"] == QUESTION
        numbers(page).first.click()
        page.evaluate("window.AssistantWidget.close()")
        assert heard(page) == ["open", "question", "answer", "source", "close"]
        assert page.evaluate("window.heard[3][1].number") == 1
        page.evaluate("window.AssistantWidget.open({question: 'Only written'})")
        assert box(page).input_value() == "Only written"
        page.locator("main p", has_text="Faster Startup").click(click_count=3)
        page.get_by_role("button", name="Ask about this").click()
        assert box(page).input_value().endswith("”: Only written")
        assert len(bodies(page)) == 1


def test_it_stays_where_a_site_swaps_its_body(browser, site):
    from playwright.sync_api import expect

    with reading(browser, site, "swapped") as page:
        opened(page)
        asked(page, QUESTION)
        page.evaluate("document.body = document.createElement('body')")
        expect(page.locator("assistant-widget article")).to_have_count(1)
        asked(page, TABLE, 2)
        page.evaluate("document.body.replaceChildren()")
        expect(page.locator("assistant-widget")).to_have_count(1)
        expect(page.get_by_role("dialog")).to_be_visible()
