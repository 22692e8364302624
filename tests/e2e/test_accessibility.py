"""axe-core on the chat and the source viewer, light and dark; the keyboard alone; less motion."""

import pytest
from pages import asked, browser, chat, needs_browser, numbers, question_box, serving, watched

pytestmark = needs_browser
__all__ = ["browser"]

SCHEMES = ("light", "dark")
QUESTIONS = {
    "answer": "Which should I use to run untrusted code?",
    "table": "Compare the isolation of containers and VMs",
    "refusal": "What does a Docker subscription cost?",
}


@pytest.fixture(scope="module")
def address(founding_corpus, founding_home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("accessible")
    with serving(founding_corpus, founding_home, folder, ASSISTANT_FEEDBACK=str(folder / "feedback.sqlite3")) as at:
        yield at


def grave(page) -> list[str]:
    """What axe-core calls serious or critical: the rule, and where."""
    from axe_playwright_python.sync_playwright import Axe

    # The page's policy forbids a script of ours; what axe says does not depend on how it came in.
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_empty_page_has_no_grave_fault(browser, address, scheme):
    with chat(browser, address, f"empty-{scheme}", color_scheme=scheme) as page:
        page.wait_for_timeout(500)
        assert grave(page) == []


@pytest.mark.parametrize("kind", QUESTIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_answer_has_no_grave_fault(browser, address, scheme, kind):
    with chat(browser, address, f"{kind}-{scheme}", color_scheme=scheme) as page:
        asked(page, QUESTIONS[kind])
        assert grave(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_follows_the_scheme_of_the_system(browser, address, scheme):
    with chat(browser, address, f"scheme-{scheme}", color_scheme=scheme) as page:
        page.wait_for_timeout(500)
        red, green, blue, *_ = page.evaluate(
            "getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number)"
        )
        assert (red + green + blue > 380) == (scheme == "light")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", (360, 1280))
def test_the_source_viewer_has_no_grave_fault(browser, address, scheme, width):
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    with watched(page, f"viewer-{scheme}-{width}"):
        page.goto(f"{address}/sources/docker-vs-vms.md?start=1138&end=1238#cited")
        assert page.locator("mark").count() >= 1
        assert grave(page) == []
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    context.close()


def test_a_citation_is_opened_and_left_with_the_keyboard_alone(browser, address):
    with chat(browser, address, "keyboard") as page:
        question_box(page).focus()
        page.keyboard.type(QUESTIONS["answer"])
        page.keyboard.press("Enter")
        numbers(page).first.wait_for()
        page.get_by_role("button", name="Retry").wait_for()
        for _ in range(40):
            page.keyboard.press("Shift+Tab")
            if page.evaluate("document.activeElement.getAttribute('href')?.startsWith('#source-1-')"):
                break
        at = page.evaluate("document.activeElement.getAttribute('href')")
        assert at and at.startswith("#source-1-")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline not in ("none", "")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == at[1:]
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.getAttribute('href')") == at


def test_nothing_moves_for_those_who_ask_for_that(browser, address):
    with chat(browser, address, "still", reduced_motion="reduce") as page:
        asked(page, QUESTIONS["answer"])
        moving = page.evaluate("document.getAnimations().filter(one => one.playState === 'running').length")
        assert moving == 0
