"""This project's own docs site, built by MkDocs with the plugin: a reader asks on a page and is led to the sentence on another."""

import os
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest
from conftest import child_environment
from pages import browser, needs_browser, watched
from test_api import free_port, served

pytestmark = needs_browser
__all__ = ["browser"]

QUESTION = "How does Firecracker isolate its guests?"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(whole_home, repository, tmp_path_factory):
    """The addresses of the docs site and of the assistant that its pages ask."""
    folder = tmp_path_factory.mktemp("site")
    home = shutil.copytree(whole_home, folder / "index", symlinks=True)
    port = free_port()
    assistant = f"http://127.0.0.1:{port}"
    built = folder / "built"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(built)))
    docs = f"http://127.0.0.1:{server.server_port}"
    names = {"ASSISTANT_PUBLIC_URL": assistant, "SITE_URL": f"{docs}/", "NO_MKDOCS_2_WARNING": "1"}
    config = ["--config-file", str(repository / "docs" / "mkdocs.yml"), "--site-dir", str(built)]
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", *config]
    subprocess.run(command, env={**os.environ, **names}, check=True, timeout=240)
    threading.Thread(target=partial(server.serve_forever, 0.05), daemon=True).start()
    settings = {"ASSISTANT_ALLOWED_ORIGINS": docs, "ASSISTANT_URLS": str(built / "assistant-urls.json")}
    with served({**child_environment(repository / "corpus", home), **settings}, folder / "log", port):
        yield docs, assistant
    server.shutdown()
    server.server_close()


def test_a_reader_is_led_from_one_page_to_the_sentence_on_another(browser, site):
    from playwright.sync_api import expect

    docs, _ = site
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    with watched(page, "docs-site"):
        page.goto(f"{docs}/docker-vs-vms/")
        page.get_by_role("button", name="Ask the docs").click()
        box = page.get_by_role("textbox", name="Question")
        box.fill(QUESTION)
        box.press("Enter")
        numbers = page.locator("assistant-widget button.number")
        numbers.first.wait_for()
        page.locator("assistant-widget .log[aria-busy=false]").wait_for()
        page.screenshot(path=f"{__file__.rpartition('/')[0]}/screenshots/docs-site-answer.png")
        numbers.first.click()
        card = page.locator("assistant-widget details[open]")
        quoted = card.locator("mark").inner_text()
        link = card.get_by_role("link", name="On its page")
        address = link.get_attribute("href")
        assert address.startswith(docs)
        assert not address.startswith(f"{docs}/docker-vs-vms/")
        link.click()
        page.wait_for_url(re.compile(re.escape(address.partition("#")[0])))
        # The browser took the text fragment: the sentence is in view, and highlighted on the picture.
        first = unquote(address.partition(":~:text=")[2]).partition(",")[0]
        assert "".join(re.findall(r"\w", quoted)).startswith("".join(re.findall(r"\w", first)))
        expect(page.locator("article").get_by_text(first).first).to_be_in_viewport()
        page.wait_for_timeout(500)
    context.close()


def test_a_strangers_page_is_refused_with_the_reason(site):
    import httpx

    _, assistant = site
    headers = {"Origin": "https://stranger.example"}
    answer = httpx.post(f"{assistant}/api/v1/ask", json={"question": QUESTION}, headers=headers, trust_env=False)
    assert answer.status_code == 403
    assert "https://stranger.example" in answer.json()["detail"]
    assert "ASSISTANT_ALLOWED_ORIGINS" in answer.json()["detail"]
