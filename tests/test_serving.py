"""One assistant for many at once: who waits, who is told to come later, and that nobody keeps a place who has left."""

import asyncio
from contextlib import aclosing

import pytest

from assistant.errors import Busy, UsageError
from assistant.models import QUOTES
from assistant.nouns import Turn
from assistant.rendering import answer_json
from assistant.serving import FULL, PREPARING, Question, Service
from assistant.settings import Settings

WHY = Question("Why do containers start faster than VMs?")
WHAT = Question("What is a hypervisor for?")


@pytest.fixture
def make(founding_home, founding_corpus):
    """Makes services on the founding document; closes them afterwards."""
    services = []

    def made(opened=True, **options):
        service = Service(Settings(corpus=founding_corpus, index=founding_home, **options))
        services.append(service)
        if opened:
            service.open(None, print)
        return service

    yield made
    for service in services:
        service.close()


def run(scene):
    # A place that is never given back would be waited for without an end.
    asyncio.run(asyncio.wait_for(scene, 60))


def told(answer):
    """An answer without what differs from time to time."""
    return {**answer_json(answer), "timings_ms": None}


async def begun(service, question=WHY):
    """An answer that has taken its place and is not read on."""
    going = service.answers(question)
    assert (await anext(going)).hits
    return going


async def finished(tasks):
    return await asyncio.gather(*tasks, return_exceptions=True)


async def settled():
    """Lets every task run as far as it goes without a thread."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_nobody_is_answered_while_the_assistant_opens(make):
    async def scene():
        service = make(opened=False)
        assert not service.ready
        with pytest.raises(Busy, match=PREPARING):
            await service.ask(WHY)
        with pytest.raises(UsageError):
            await service.ask(Question(" ?! "))
        service.open(None, print)
        assert service.ready
        assert (await service.ask(WHY)).text

    run(scene())


def test_an_answer_grows_and_its_last_is_what_ask_gives(make):
    async def scene():
        service = make()
        async with aclosing(service.answers(WHY)) as answers:
            grown = [answer async for answer in answers]
        assert not grown[0].text
        assert [bool(answer.id) for answer in grown] == [False] * (len(grown) - 1) + [True]
        assert told(grown[-1]) == told(await service.ask(WHY)) == told(service.assistant.ask(WHY.text))

    run(scene())


@pytest.mark.parametrize(("in_flight", "waiting"), [(1, 0), (2, 0), (1, 2), (2, 3)])
def test_busy_is_said_when_the_line_is_full_and_not_before(make, in_flight, waiting):
    async def scene():
        service = make(in_flight=in_flight, waiting=waiting)
        going = [await begun(service) for _ in range(in_flight)]
        line = [asyncio.create_task(service.ask(WHAT)) for _ in range(waiting)]
        await settled()
        assert not any(task.done() for task in line)
        with pytest.raises(Busy, match=FULL):
            await service.ask(WHAT)
        with pytest.raises(Busy, match=FULL):
            await service.suggestions(service.assistant.ask(WHY.text), [])
        with pytest.raises(UsageError):
            await service.ask(Question(""))
        assert [answer async for answer in going[0]]
        answers = await finished(line)
        assert [told(answer) for answer in answers] == [told(service.assistant.ask(WHAT.text))] * waiting
        for one in going[1:]:
            await one.aclose()
        assert (await service.ask(WHAT)).text

    run(scene())


def test_as_many_as_there_are_places_and_seats_are_answered_and_the_others_told_to_come_later(make):
    async def scene():
        service = make(in_flight=2, waiting=3)
        outcomes = await finished([service.ask(WHY) for _ in range(12)])
        answered = [told(one) for one in outcomes if not isinstance(one, BaseException)]
        assert len(answered) == 5
        assert answered == answered[:1] * 5
        assert all(isinstance(one, Busy) for one in outcomes if isinstance(one, BaseException))
        # Whoever comes later finds every place and every seat free again.
        assert not any(isinstance(one, BaseException) for one in await finished([service.ask(WHAT) for _ in range(5)]))

    run(scene())


def test_several_answers_at_once_are_each_the_answer_to_its_question(make):
    async def scene():
        service = make(in_flight=4, waiting=100)
        questions = [WHY, WHAT, Question("Are containers less secure?"), Question("What does a subscription cost?")] * 5
        answers = await finished([service.ask(question) for question in questions])
        expected = {question.text: told(service.assistant.ask(question.text)) for question in questions}
        assert [told(answer) for answer in answers] == [expected[question.text] for question in questions]

    run(scene())


async def close(service):
    going = await begun(service)
    await going.aclose()


async def drop(service):
    # Nobody closes it: it is collected, and the loop closes it.
    await begun(service)
    await settled()


async def cancel(service):
    task = asyncio.create_task(service.ask(WHY))
    await settled()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def stop(service):
    await service.ask(WHY, lambda: True)


async def fail(service):
    with pytest.raises(UsageError):
        await service.ask(Question(WHY.text, query="?!"))


async def break_off(service):
    async for answer in service.answers(WHY):
        assert answer.hits
        break
    await settled()


@pytest.mark.parametrize("leave", [close, drop, cancel, stop, fail, break_off])
def test_whoever_leaves_gives_up_the_place(make, leave):
    async def scene():
        service = make(in_flight=1, waiting=0)
        for _ in range(3):
            await leave(service)
            assert (await service.ask(WHAT)).text

    run(scene())


def test_whoever_stops_waiting_gives_up_the_seat_and_those_behind_are_answered(make):
    async def scene():
        service = make(in_flight=1, waiting=2)
        going = await begun(service)
        first, second = (asyncio.create_task(service.ask(WHAT)) for _ in range(2))
        await settled()
        first.cancel()
        await settled()
        third = asyncio.create_task(service.ask(WHAT))
        await settled()
        assert first.cancelled()
        with pytest.raises(Busy):
            await service.ask(WHAT)
        await going.aclose()
        assert [answer.text for answer in await finished([second, third])] == [
            service.assistant.ask(WHAT.text).text
        ] * 2

    run(scene())


def test_the_history_and_a_query_of_the_readers_own_are_what_is_searched(make):
    async def scene():
        service = make()
        leaning = await service.ask(Question("And why do they?", [Turn(WHY.text)]))
        assert leaning.search_query != "And why do they?"
        chosen = await service.ask(Question("And why do they?", [Turn(WHY.text)], query=WHAT.text))
        assert chosen.search_query == WHAT.text
        assert chosen.question == "And why do they?"

    run(scene())


def test_suggestions_are_the_assistants_own_and_wait_for_a_place(make):
    async def scene():
        service = make(in_flight=1, waiting=1)
        answer = await service.ask(WHY)
        offered = await service.suggestions(answer, [])
        assert offered == service.assistant.suggestions(answer)
        assert offered
        assert offered[0] not in await service.suggestions(answer, [offered[0]])
        going = await begun(service)
        waiting = asyncio.create_task(service.suggestions(answer, []))
        await settled()
        assert not waiting.done()
        await going.aclose()
        assert await waiting == offered

    run(scene())


def test_a_model_is_chosen_by_name_and_an_unknown_one_is_refused_before_a_place_is_taken(make, tmp_path):
    profiles = tmp_path / "profiles.yaml"
    profiles.write_text("nearby:\n  model: openai:none\n  url: http://127.0.0.1:9/v1\n", "utf-8")

    async def scene():
        service = make(in_flight=1, waiting=0, profiles=profiles)
        assert list(service.choices) == [QUOTES, "nearby"]
        assert told(await service.ask(Question(WHY.text, model=QUOTES))) == told(await service.ask(WHY))
        going = await begun(service)
        with pytest.raises(UsageError, match=r"'gpt'.*quotes, nearby"):
            await service.ask(Question(WHY.text, model="gpt"))
        await going.aclose()
        # Nobody listens there: the quotes answer, and the answer says so.
        answer = await service.ask(Question(WHY.text, model="nearby"))
        assert answer.answered_by == QUOTES
        assert answer.notices

    run(scene())
