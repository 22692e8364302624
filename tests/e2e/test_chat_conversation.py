"""A conversation in a real Chromium: taken back, asked again, kept, exported, interrupted, rated."""

import json
import re
import signal
import time

import pytest
from conftest import child_environment
from misbehaving import misbehaving
from pages import ask, asked, browser, chat, needs_browser, numbers, question_box, serving, watched, whole
from test_api import end, free_port, start, wait_for

from assistant.feedback import REASONS, Feedback

pytestmark = needs_browser
__all__ = ["browser"]

QUESTION = "Why do containers start faster than VMs?"
OTHER = "Which should I use to run untrusted code?"


@pytest.fixture(scope="module")
def ratings(tmp_path_factory):
    return Feedback(tmp_path_factory.mktemp("ratings") / "feedback.sqlite3")


@pytest.fixture(scope="module")
def model():
    with misbehaving() as server:
        yield server


@pytest.fixture(scope="module")
def address(model, ratings, founding_corpus, founding_home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("conversation")
    profiles = folder / "profiles.yaml"
    profiles.write_text(f"slow:\n  model: openai:slow\n  url: {model.url('slow')}\n", "utf-8")
    settings = {"ASSISTANT_FEEDBACK": str(ratings.path), "ASSISTANT_PROFILES": str(profiles)}
    with serving(founding_corpus, founding_home, folder, **settings) as at:
        yield at


def until(holds, seconds: float = 10.0) -> None:
    """Waits for what happens outside of the page; a model of this kind would speak for half a minute."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def button(page, name: str):
    return page.get_by_role("button", name=re.compile(name, re.IGNORECASE)).last


def test_a_question_is_asked_again_edited_and_taken_back(browser, address):
    from playwright.sync_api import expect

    with chat(browser, address, "asked-again") as page:
        asked(page, QUESTION)
        first = page.locator(".bot").last.inner_text()
        button(page, "retry").click()
        whole(page)
        expect(page.locator(".bot").last).to_have_text(first, use_inner_text=True)

        button(page, "edit").click()
        page.locator(".user textarea, .message textarea").first.fill(OTHER)
        button(page, "submit").click()
        expect(page.locator(".bot").last).to_contain_text(re.compile("VMs|[Vv]irtual [Mm]achine"))
        whole(page)
        expect(page.locator(".user")).to_have_count(1)
        expect(page.locator(".user")).to_contain_text(OTHER)
        expect(page.get_by_label("Searched for")).to_have_value(OTHER)

        button(page, "undo").click()
        expect(page.locator(".bot")).to_have_count(0)
        expect(question_box(page)).to_have_value(OTHER)


def test_a_conversation_outlives_a_reload_until_it_is_cleared(browser, address):
    from playwright.sync_api import expect

    with chat(browser, address, "kept") as page:
        asked(page, QUESTION)
        asked(page, "And virtual machines?", 2)
        shown = page.locator(".bot").all_inner_texts()
        page.reload()
        whole(page, 2)
        assert page.locator(".bot").all_inner_texts() == shown
        numbers(page).first.click()
        expect(page.locator("#source-2-1")).to_be_focused()
        # The follow-up after the reload leans on what was said before it.
        asked(page, "How secure are they?", 3)
        expect(page.get_by_label("Searched for")).to_have_value(re.compile("virtual machine", re.IGNORECASE))
        page.get_by_role("button", name="New conversation").click()
        expect(page.locator(".bot")).to_have_count(0)
        page.reload()
        question_box(page).wait_for()
        page.wait_for_timeout(1000)
        assert page.locator(".bot").count() == 0


def test_a_conversation_is_exported_with_its_citations_in_full(browser, address, founding_text):
    with chat(browser, address, "exported") as page:
        asked(page, QUESTION)
        with page.expect_download() as made:
            page.get_by_role("button", name="Export as JSON").click()
        assert made.value.suggested_filename == "conversation.json"
        told = json.loads(made.value.path().read_text("utf-8"))
        answer = told["exchanges"][0]["answer"]
        for citation in answer["citations"]:
            assert founding_text[citation["start"] : citation["end"]] == citation["quote"]
        with page.expect_download() as made:
            page.get_by_role("button", name="Export as Markdown").click()
        text = made.value.path().read_text("utf-8")
        links = re.findall(r"<(http://127\.0\.0\.1[^>]+)>", text)
        assert len(links) == len(answer["citations"])
        for link in links:
            page.goto(link)
            assert page.locator("mark").count() >= 1


def test_stop_ends_the_work_and_keeps_what_was_said(browser, address, model):
    from playwright.sync_api import expect

    with chat(browser, address, "stopped") as page:
        model.say, model.chunk = f"Containers share the kernel of the host system. {'And so on, ' * 300}.", 7
        page.get_by_label("Written by").click()
        page.get_by_role("option", name="slow").click()
        ask(page, QUESTION)
        expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
        until(lambda: model.open_streams == 1)
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.locator(".bot").last).to_contain_text("Stopped.")
        until(lambda: not model.open_streams)
        page.get_by_label("Written by").click()
        page.get_by_role("option", name="quotes").click()
        asked(page, OTHER, 2)
        assert numbers(page).count() >= 1


def test_others_do_not_wait_for_one_slow_answer(browser, address, model):
    with chat(browser, address, "slow-neighbour") as slow, chat(browser, address, "quick-neighbour") as quick:
        model.say, model.chunk = f"Containers share the kernel of the host system. {'And so on, ' * 300}.", 7
        slow.get_by_label("Written by").click()
        slow.get_by_role("option", name="slow").click()
        ask(slow, QUESTION)
        until(lambda: model.open_streams == 1)
        asked(quick, OTHER)
        assert model.open_streams == 1, "the slow one ended before the quick one"
        slow.get_by_role("button", name="Stop", exact=True).click()


def test_a_page_that_is_closed_ends_its_work(browser, address, model):
    with chat(browser, address, "before-closing") as page:
        model.say, model.chunk = f"Containers share the kernel of the host system. {'And so on, ' * 300}.", 7
        page.get_by_label("Written by").click()
        page.get_by_role("option", name="slow").click()
        ask(page, QUESTION)
        until(lambda: model.open_streams == 1)
    until(lambda: not model.open_streams)


def test_a_server_that_dies_in_the_middle_of_an_answer_loses_nothing(
    browser, model, founding_corpus, founding_home, tmp_path
):
    from playwright.sync_api import expect

    env = child_environment(founding_corpus, founding_home)
    slow = {**env, "ASSISTANT_MODEL": "openai:slow", "ASSISTANT_MODEL_URL": model.url("slow")}
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    model.say, model.chunk = "Containers share the kernel of their host. " * 3, 400
    process = start(port, slow, tmp_path / "log")
    try:
        wait_for(f"{address}/readyz", process)
        with chat(
            browser, address, "died", allowed="ERR_|network error|Connection errored out|Failed to fetch"
        ) as page:
            asked(page, OTHER)
            first = page.locator(".bot").first.inner_text()
            model.say, model.chunk = f"Containers share the kernel of the host system. {'And so on, ' * 300}.", 7
            ask(page, QUESTION)
            until(lambda: model.open_streams == 1)
            process.send_signal(signal.SIGKILL)
            process.wait(30)
            process = start(port, env, tmp_path / "log2")
            wait_for(f"{address}/readyz", process)
            page.goto(f"{address}/chat/")
            question_box(page).wait_for()
            expect(page.locator(".bot")).to_have_count(2)
            assert page.locator(".bot").first.inner_text() == first
            expect(page.locator(".user").last).to_contain_text(QUESTION)
            expect(page.locator(".bot").last).to_contain_text("This answer was interrupted")
            button(page, "retry").click()
            expect(page.locator(".bot").last).not_to_contain_text("interrupted")
            whole(page, 2)
            asked(page, "Is Docker suited for microservices?", 3)
            assert numbers(page).count() >= 1
    finally:
        end(process)


def test_a_rating_is_stored_with_its_trace_and_explained(browser, address, ratings):
    from playwright.sync_api import expect

    before = len(ratings.all())
    with chat(browser, address, "rated") as page:
        asked(page, QUESTION)
        asked(page, "And virtual machines?", 2)
        button(page, "dislike").click()
        page.get_by_label(REASONS[1]).check()
        page.get_by_label("In your words").fill("It speaks of something else.")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_text("Thank you.")).to_be_visible()
        expect(page.get_by_role("button", name="Send")).not_to_be_visible()
        assert page.locator("textarea").count() == 1
    stored = ratings.all()
    assert len(stored) == before + 1
    one = stored[-1]
    assert (one.rating, one.reason, one.comment) == ("down", REASONS[1], "It speaks of something else.")
    assert one.trace["question"] == "And virtual machines?"
    assert [turn["question"] for turn in one.trace["history"]] == [QUESTION]
    assert one.trace["answer"]["citations"]
    assert one.trace["answer"]["hits"]
    assert one.trace["answer"]["search_query"] != one.trace["question"]
    assert one.trace["versions"]["index"] == one.trace["answer"]["index"]
    assert "127.0.0.1" not in json.dumps(one.trace)


def test_the_source_viewer_shows_the_cited_sentence(browser, address, founding_text):
    from playwright.sync_api import expect

    with chat(browser, address, "to-the-viewer") as page:
        asked(page, OTHER)
        with page.expect_popup() as opened:
            page.get_by_role("link", name="In the document").first.click()
        viewer = page.context.new_page()
        with watched(viewer, "viewer"):
            viewer.goto(opened.value.url)
            expect(viewer.locator("mark").first).to_be_in_viewport()
            letters = "".join(re.findall(r"\w", " ".join(viewer.locator("mark").all_inner_texts())))
            assert letters
            assert letters in "".join(re.findall(r"\w", founding_text))
            assert viewer.locator("h1").count() == 1
            anchor = viewer.locator("h2 a.anchor").first
            anchor.click()
            assert viewer.url.endswith(anchor.get_attribute("href"))
