"""The chat in a real Chromium while a model writes: an attacker, one that has to be stopped, one in doubt, one that fails."""

import re
import time

import pytest
from misbehaving import misbehaving
from pages import ask, asked, browser, chat, needs_browser
from test_api import served
from test_attack_end_to_end import MODEL, WRITTEN, Attacker, environment, harm, questions

from assistant.rendering import DOUBT
from evals.attack import LIES, plain
from evals.attacker import CANARY, HOST

pytestmark = needs_browser
__all__ = ["browser", "questions"]  # fixtures

QUESTION = "Why do containers start faster than VMs?"
# Its source says "typically take longer to start", of booting.
DOUBTFUL = "VMs take longer to start because a full OS is loaded. [2]"
# What would be loaded, followed, sent or run, wherever an element of these parts of the page names it.
ADDRESSES = """() => [...document.querySelectorAll('.message *, .sources *')].flatMap(
    element => [...element.attributes]
        .filter(one => /^(href|xlink:href|src|srcset|action|formaction|data|poster|background|on.*)$/i.test(one.name))
        .map(one => `${one.name}=${one.value}`))"""


@pytest.fixture(scope="module")
def server():
    with misbehaving() as one:
        yield one


@pytest.fixture(scope="module")
def slow(server, founding_corpus, founding_home, tmp_path_factory):
    """The address of an assistant whose model takes a moment for each piece that it says."""
    log = tmp_path_factory.mktemp("slow") / "log"
    with served(environment(founding_corpus, founding_home, server.url("slow")), log) as client:
        yield str(client.base_url)
    assert "Traceback" not in log.read_text("utf-8")


@pytest.fixture(scope="module")
def failing(server, founding_corpus, founding_home, tmp_path_factory):
    """The address of an assistant whose model is always out of order."""
    log = tmp_path_factory.mktemp("failing") / "log"
    with served(environment(founding_corpus, founding_home, server.url("503")), log) as client:
        yield str(client.base_url)


def sentences(told: str) -> list[str]:
    """The sentences that a message shows with a number and without a doubt."""
    return [plain(text) for text, marks in re.findall(r"([^\[\]]+)((?:\[\d+\??\]\s*)+)", told) if "?" not in marks]


def test_nothing_that_an_attacker_writes_does_harm_in_the_page(browser, slow, server, comparison, questions):
    server.say, server.chunk = (attacker := Attacker(comparison)), 400
    written, believed = 0, []
    with chat(browser, slow, "model-attacker") as page:
        title = page.title()
        for number, question in enumerate(questions, 1):
            asked(page, question, number)
            addresses = page.evaluate(ADDRESSES)
            assert [one for one in addresses if not re.match(r"href=(?:#|\.\./sources/)", one)] == []
            assert page.locator(".bot img, .bot iframe, .bot form, .bot script, .bot style, .bot object").count() == 0
            assert page.locator(".sources img, .sources iframe, .sources form, .sources script").count() == 0
            # Its own words; the panel shows the passages as they are.
            told = page.locator(".bot").last.inner_text()
            assert not harm(attacker, [told]), told
            believed += [
                one
                for one in sentences(told)
                if one in {lie for said in attacker.said for lie in attacker.falsehoods(said)}
            ]
            text = page.locator("body").inner_text()
            assert HOST not in text
            assert CANARY not in text
            written += f"The model {MODEL}" not in told and page.locator(".bot").last.locator("a").count() > 0
        assert page.title() == title
        assert page.locator(".bot a", has_text=re.compile(r"^\[\d+\]$")).count() >= len(questions) / 2
    assert written >= WRITTEN
    said = sum(len(attacker.falsehoods(question)) for question in attacker.said)
    assert said > 2 * WRITTEN
    assert len(believed) <= LIES * said, believed


def test_stop_closes_the_stream_of_the_model(browser, slow, server):
    # Half a minute long, in pieces of seven characters.
    server.say, server.chunk = f"{'Containers start fast, and so on, ' * 100}.", 7
    before = len(server.requests)
    with chat(browser, slow, "model-stopped") as page:
        ask(page, QUESTION)
        until(page, lambda: server.open_streams == 1)
        page.get_by_role("button", name="Stop").click()
        until(page, lambda: server.open_streams == 0, seconds=5)
        server.say = DOUBTFUL
        ask(page, QUESTION)
        page.locator(".bot a").first.wait_for()
    assert len(server.requests) == before + 2


def test_a_doubtful_sentence_has_a_question_mark_and_the_page_says_what_it_means(browser, slow, server):
    from playwright.sync_api import expect

    server.say, server.chunk = DOUBTFUL, 7
    with chat(browser, slow, "model-doubtful") as page:
        asked(page, QUESTION)
        link = page.locator(".bot a", has_text=re.compile(r"^\[\d+\?\]$"))
        expect(link).to_have_count(1)
        expect(page.locator(".bot")).to_contain_text(DOUBT)
        target = link.get_attribute("href")
        assert page.locator(f".sources {target} mark").count() >= 1
        line = "getComputedStyle(document.querySelector('.bot p:has(> a), .bot td:has(> a)')).textDecoration"
        assert "dotted" in page.evaluate(line)


def test_a_model_that_fails_is_named_beside_the_quotes(browser, failing, server):
    from playwright.sync_api import expect

    with chat(browser, failing, "model-failed") as page:
        asked(page, QUESTION)
        notice = page.locator(".bot").get_by_text(f"The model {MODEL} failed (503). The documents are quoted instead.")
        expect(notice).to_be_visible()
        assert page.locator(".bot a", has_text=re.compile(r"^\[1\]$")).count() >= 1
        assert "SECRET" not in page.content()


def until(page, holds, seconds: float = 30.0) -> None:
    """Waits while the page lives on."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        page.wait_for_timeout(50)
