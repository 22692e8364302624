"""The web chat in a real Chromium: a cited answer, its sources, a refusal; nothing leaves this machine."""

import re
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from conftest import child_environment

CHROMIUM = Path("/usr/bin/chromium")
SCREENSHOTS = Path(__file__).with_name("screenshots")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
).split()
SIZES = {1280: 900, 360: 740}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}; on Debian run: apt-get install chromium"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed; run: make setup"),
]


@pytest.fixture(scope="module")
def address(founding_home, founding_corpus, tmp_path_factory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("chat") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "assistant.cli", "serve", "--port", str(port)],
            env=child_environment(founding_corpus, founding_home),
            stdout=output,
            stderr=output,
        )
    try:
        until = time.monotonic() + 120
        while True:
            assert process.poll() is None and time.monotonic() < until, log.read_text("utf-8")
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(params=SIZES, ids=lambda width: f"{width}px")
def page(request, browser, address):
    """The open chat; afterwards nothing may have left this machine and the console must be clean."""
    opened = browser.new_page(viewport={"width": request.param, "height": SIZES[request.param]})
    outside: list[str] = []
    errors: list[str] = []

    def sent(what) -> None:
        parts = urlsplit(what.url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            outside.append(what.url)

    def said(message) -> None:
        missing_icon = "404" in message.text and re.search(r"\.(?:ico|png|svg)|icon", message.location.get("url", ""))
        if message.type == "error" and not missing_icon:
            errors.append(f"{message.text} ({message.location.get('url')})")

    opened.on("request", sent)
    opened.on("websocket", sent)
    opened.on("console", said)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(f"{address}/")
    opened.get_by_label("Question").wait_for()
    yield opened
    SCREENSHOTS.mkdir(exist_ok=True)
    name = re.sub(r"\W+", "-", request.node.originalname.removeprefix("test_"))
    opened.screenshot(path=SCREENSHOTS / f"{name}-{request.param}.png", full_page=True)
    opened.close()
    assert outside == []
    assert errors == []


def ask(page, question: str) -> None:
    box = page.get_by_label("Question")
    box.fill(question)
    box.press("Enter")


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_there_is_one_place_to_ask(page, address):
    assert urlsplit(page.url).path == "/chat/"
    assert page.get_by_label("Question").count() == 1
    assert page.locator("textarea").count() == 1
    assert page.locator("html").get_attribute("lang")
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0, "the page scrolls sideways"


def test_an_answer_is_cited_and_its_number_leads_to_the_marked_source(page, founding_text):
    from playwright.sync_api import expect

    ask(page, "Which should I use to run untrusted code?")
    link = page.locator("a", has_text=re.compile(r"^\[1\]$")).first
    link.wait_for()
    answer = page.locator(".bot").last
    expect(answer).to_contain_text(re.compile("VMs|[Vv]irtual [Mm]achine"))
    assert answer.locator("img, iframe, script, form").count() == 0
    marks = page.locator(".sources mark")
    expect(marks.first).to_be_attached()
    for text in marks.all_inner_texts():
        assert squeezed(text)
        assert squeezed(text) in squeezed(founding_text)
    assert page.locator("#source-1").count() == 1
    # The answer is drawn anew as it ends; the buttons below it say that it has.
    page.get_by_role("button", name=re.compile("retry", re.IGNORECASE)).first.wait_for()
    link.click()
    page.wait_for_url(re.compile("#source-1$"))
    expect(page.locator("#source-1")).to_be_in_viewport()
    numbers = {text.strip("[]") for text in answer.locator("a").all_inner_texts()}
    assert numbers
    assert all(page.locator(f"#source-{number}").count() == 1 for number in numbers)


def test_a_comparison_is_a_table_with_a_citation_in_every_cell(page):
    from playwright.sync_api import expect

    ask(page, "Compare the isolation of containers and VMs")
    table = page.locator(".bot table")
    expect(table.locator("th")).to_have_text(["Containers", "Virtual machines"])
    expect(table.locator("td").first).to_be_visible()
    page.get_by_role("button", name=re.compile("retry", re.IGNORECASE)).first.wait_for()
    for cell in table.locator("td").all():
        assert cell.locator("a", has_text=re.compile(r"^\[\d+\]$")).count() == 1
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0, "the page scrolls sideways"


def test_a_refusal_shows_the_nearest_passages(page):
    from playwright.sync_api import expect

    ask(page, "What does a Docker subscription cost?")
    expect(page.get_by_role("heading", name="Nearest passages")).to_be_attached()
    expect(page.locator(".bot").last).to_contain_text("subscription")
    assert page.locator(".sources mark").count() == 0
    assert page.locator(".bot a").count() == 0


def test_an_example_asks_its_question(page):
    from playwright.sync_api import expect

    page.get_by_role("button", name="Why do containers start faster than VMs?").first.click()
    expect(page.locator(".bot").last).to_contain_text("start")
    page.locator("a", has_text=re.compile(r"^\[1\]$")).first.wait_for()


def test_a_second_question_leans_on_the_first(page):
    from playwright.sync_api import expect

    ask(page, "How fast do containers start?")
    page.locator("a", has_text=re.compile(r"^\[1\]$")).first.wait_for()
    expect(page.locator(".bot")).to_have_count(1)
    ask(page, "And virtual machines?")
    expect(page.locator(".sources .query")).to_contain_text("How fast do virtual machines start?")


def test_markup_in_a_question_stays_text(page):
    from playwright.sync_api import expect

    ask(page, "<img src=x onerror=document.title='broken'> **containers** <script>document.title='broken'</script>")
    expect(page.locator(".sources .query")).to_contain_text("<img src=x")
    expect(page.locator(".bot").last).not_to_have_text("…")
    assert page.title() != "broken"
    assert page.locator(".sources img, .sources script, .message img").count() == 0
