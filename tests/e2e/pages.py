"""A real Chromium for every test here, and pages in which nothing may leave this machine or go wrong."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import child_environment
from test_api import served

CHROMIUM = Path("/usr/bin/chromium")
SCREENSHOTS = Path(__file__).with_name("screenshots")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
).split()
# Gradio asks for an icon that it does not ship.
ICON = re.compile(r"\.(?:ico|png|svg)|icon|manifest")


def missing() -> str:
    """What a browser test needs and is not there."""
    if not CHROMIUM.exists():
        return f"no {CHROMIUM}; on Debian run: apt-get install chromium"
    if find_spec("playwright") is None or find_spec("axe_playwright_python") is None:
        return "playwright is not installed; run: make setup"
    return ""


# Where nothing may be skipped, the tests fail instead.
needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()) and "REQUIRE_BROWSER" not in os.environ, reason=missing() or "nothing"),
]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import expect, sync_playwright

    assert not missing(), missing()
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield launched
        launched.close()


@contextmanager
def serving(corpus: Path, home: Path, folder: Path, **settings: str) -> Iterator[str]:
    """The address of an assistant over these documents."""
    with served({**child_environment(corpus, home), **settings}, folder / "log") as client:
        yield str(client.base_url)
    assert "Traceback" not in (folder / "log").read_text("utf-8")


@contextmanager
def watched(page, name: str, allowed: str = "") -> Iterator[None]:
    """At the end a picture is taken, and nothing may have left this machine or been complained of.

    `allowed` matches complaints that belong to the test.
    """
    outside: list[str] = []
    errors: list[str] = []

    def sent(what) -> None:
        parts = urlsplit(what.url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            outside.append(what.url)

    def said(message) -> None:
        icon = "404" in message.text and ICON.search(message.location.get("url", ""))
        if message.type == "error" and not icon and not (allowed and re.search(allowed, message.text)):
            errors.append(f"{message.text} ({message.location.get('url')})")

    page.on("request", sent)
    page.on("websocket", sent)
    page.on("console", said)
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.on("popup", lambda popup: outside.append(popup.url) if urlsplit(popup.url).hostname != "127.0.0.1" else None)
    page.on(
        "pageerror", lambda error: errors.append(str(error)) if not re.search(allowed or r"\Z\A.", str(error)) else None
    )
    try:
        yield
    finally:
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    assert outside == []
    assert errors == []


@contextmanager
def chat(browser, address: str, name: str, width: int = 1280, height: int = 900, allowed: str = "", **options):
    """The chat in a browser of its own, open and ready to be asked."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    try:
        with watched(page, name, allowed):
            page.goto(f"{address}/")
            question_box(page).wait_for()
            yield page
    finally:
        context.close()


def question_box(page):
    return page.get_by_label("Question", exact=True)


def ask(page, question: str) -> None:
    box = question_box(page)
    box.fill(question)
    box.press("Enter")


def asked(page, question: str, answers: int = 1) -> None:
    """Asks and waits for the end of that answer."""
    ask(page, question)
    whole(page, answers)


def whole(page, answers: int = 1) -> None:
    """Waits until so many answers are there and the last one is whole."""
    from playwright.sync_api import expect

    expect(page.locator(".bot")).to_have_count(answers)
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    page.get_by_role("button", name=re.compile("retry", re.IGNORECASE)).first.wait_for()


def numbers(page):
    """The links of the last answer's citations."""
    return page.locator(".bot").last.locator("a", has_text=re.compile(r"^\[\d+\??\]$"))


def sideways(page) -> int:
    """How many pixels the page can be scrolled to the side."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
