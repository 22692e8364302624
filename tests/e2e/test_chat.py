"""The web chat in a real Chromium: reading an answer, following its numbers, searching again, narrow and wide."""

import re
from urllib.parse import urlsplit

import pytest
from pages import ask, asked, browser, chat, needs_browser, numbers, question_box, serving, sideways, whole

pytestmark = needs_browser
__all__ = ["browser"]

SIZES = {1280: 900, 360: 740, 1920: 1080}


@pytest.fixture(scope="module")
def address(founding_corpus, founding_home, tmp_path_factory):
    with serving(founding_corpus, founding_home, tmp_path_factory.mktemp("chat")) as at:
        yield at


@pytest.fixture(params=SIZES, ids=lambda width: f"{width}px")
def page(request, browser, address):
    name = re.sub(r"\W+", "-", request.node.originalname.removeprefix("test_"))
    with chat(browser, address, f"{name}-{request.param}", request.param, SIZES[request.param]) as opened:
        yield opened


def squeezed(text: str) -> str:
    return " ".join(text.split())


def letters(text: str) -> str:
    return "".join(re.findall(r"\w", text))


def test_there_is_one_place_to_ask(page):
    assert urlsplit(page.url).path == "/chat/"
    assert page.get_by_label("Question").count() == 1
    assert page.get_by_role("textbox", name="Question", exact=True).count() == 1
    assert page.locator("textarea").count() == 1
    assert page.locator("html").get_attribute("lang")
    assert sideways(page) <= 0


def test_an_answer_is_cited_and_its_number_leads_to_the_marked_source_and_back(page, founding_text):
    from playwright.sync_api import expect

    asked(page, "Which should I use to run untrusted code?")
    expect(page.locator(".bot").last).to_contain_text(re.compile("VMs|[Vv]irtual [Mm]achine"))
    assert page.locator(".bot img, .bot iframe, .bot script, .bot form").count() == 0
    for text in page.locator(".sources mark").all_inner_texts():
        assert letters(text)
        assert letters(text) in letters(founding_text)
    link = numbers(page).first
    link.click()
    card = page.locator("#source-1-1")
    expect(card).to_be_in_viewport()
    expect(card).to_be_focused()
    expect(card).to_contain_text("docker-vs-vms.md, line")
    page.keyboard.press("Escape")
    expect(link).to_be_focused()
    for number in numbers(page).all_inner_texts():
        assert page.locator(f"#source-1-{number.strip('[]')} mark").count() >= 1


def test_a_comparison_is_a_table_with_a_citation_in_every_cell(page):
    from playwright.sync_api import expect

    asked(page, "Compare the isolation of containers and VMs")
    table = page.locator(".bot table")
    expect(table.locator("th")).to_have_text(["Containers", "Virtual machines"])
    for cell in table.locator("td").all():
        assert cell.locator("a", has_text=re.compile(r"^\[\d+\]$")).count() == 1
    assert sideways(page) <= 0


def test_a_refusal_shows_the_nearest_passages_and_what_is_missing(page):
    from playwright.sync_api import expect

    asked(page, "What does a Docker subscription cost?")
    expect(page.get_by_role("heading", name="Nearest passages")).to_be_visible()
    expect(page.locator(".bot").last).to_contain_text("subscription")
    assert page.locator(".sources .source").count() == 3
    assert page.locator(".sources mark").count() == 0
    assert page.locator(".bot a").count() == 0


def test_an_example_asks_its_question(page):
    page.get_by_role("button", name="Why do containers start faster than VMs?").first.click()
    whole(page)
    assert numbers(page).count() >= 1


def test_a_second_question_leans_on_the_first_and_its_query_can_be_changed(page):
    from playwright.sync_api import expect

    asked(page, "How fast do containers start?")
    asked(page, "And virtual machines?", 2)
    searched = page.get_by_label("Searched for")
    expect(searched).to_have_value("How fast do virtual machines start?")
    before = page.locator(".bot").last.inner_text()
    searched.fill("Are virtual machines isolated from each other?")
    searched.press("Enter")
    expect(page.locator(".bot").last).not_to_have_text(before)
    whole(page, 2)
    expect(searched).to_have_value("Are virtual machines isolated from each other?")
    expect(page.locator(".message.user, .user").last).to_contain_text("And virtual machines?")
    # The first answer's sources are there too, folded away, and its numbers open them.
    numbers_of_first = page.locator(".bot").first.locator("a", has_text=re.compile(r"^\[1\]$"))
    expect(page.locator("#source-1-1")).not_to_be_visible()
    numbers_of_first.click()
    expect(page.locator("#source-1-1")).to_be_in_viewport()


def test_what_to_ask_next_is_asked_with_a_click(page):
    asked(page, "Why do containers start faster than VMs?")
    offered = page.locator(".option")
    assert 1 <= offered.count() <= 3
    text = offered.first.inner_text()
    offered.first.click()
    whole(page, 2)
    assert squeezed(page.locator(".user").last.inner_text()).startswith(squeezed(text))
    assert numbers(page).count() >= 1


def test_who_answered_and_how_long_each_step_took_is_shown_on_request(page):
    from playwright.sync_api import expect

    asked(page, "Why do containers start faster than VMs?")
    how = page.locator(".sources .how")
    expect(how.locator("p")).not_to_be_visible()
    how.locator("summary").click()
    expect(how.locator("p")).to_contain_text(re.compile(r"Written by: quotes\. searching \d+ ms, .*together \d+ ms"))


def test_markup_in_a_question_stays_text(page):
    from playwright.sync_api import expect

    ask(page, "<img src=x onerror=document.title='broken'> **containers** <script>document.title='broken'</script>")
    whole(page)
    expect(page.locator(".sources .query")).to_contain_text("<img src=x")
    assert page.title() != "broken"
    assert page.locator(".sources img, .sources script, .message img").count() == 0


def test_a_question_in_the_address_fills_the_box_and_is_not_sent(browser, address):
    from playwright.sync_api import expect

    with chat(browser, address, "prefilled") as page:
        page.goto(f"{address}/chat/?q=Is+Docker+%3Cfast%3E%3F")
        expect(question_box(page)).to_have_value("Is Docker <fast>?")
        page.wait_for_timeout(1000)
        assert page.locator(".bot").count() == 0


def test_an_answer_is_announced_once_and_not_word_by_word(browser, address):
    from playwright.sync_api import expect

    with chat(browser, address, "announced") as page:
        expect(page.get_by_role("log")).to_have_attribute("aria-live", "off")
        page.evaluate(
            """() => { window.heard = [];
            new MutationObserver(() => window.heard.push(document.querySelector('.prose.spoken').innerText.trim()))
                .observe(document.querySelector('.prose.spoken'), {childList: true, subtree: true, characterData: true}); }"""
        )
        asked(page, "Why do containers start faster than VMs?")
        page.wait_for_timeout(500)
        heard = {text for text in page.evaluate("window.heard") if text}
        assert len(heard) == 1
        assert "[1]" not in heard.pop()
        assert page.locator(".prose.spoken").get_attribute("role") == "status"


def test_nothing_jumps_while_an_answer_comes(browser, address):
    with chat(browser, address, "steady") as page:
        page.evaluate(
            """() => { window.shifts = [];
            new PerformanceObserver((list) => { for (const one of list.getEntries()) window.shifts.push(one.value); })
                .observe({type: 'layout-shift'}); }"""
        )
        asked(page, "Compare the isolation of containers and VMs")
        page.wait_for_timeout(500)
        # 0.1 is what Core Web Vitals calls good.
        assert sum(page.evaluate("window.shifts")) < 0.1
