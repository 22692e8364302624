"""Many at once, through the page's own protocol: all are answered, or told that there is no room; nobody hangs."""

import pytest

from assistant.settings import Settings
from evals import load

QUESTIONS = ("Why do containers start faster than VMs?", "Which should I use to run untrusted code?", "Is Docker fast?")


@pytest.fixture(scope="module")
def founding_settings(founding_corpus, founding_home):
    return Settings(corpus=founding_corpus, index=founding_home)


def measured(founding_settings, **settings):
    return load.measure(
        founding_settings.model_copy(update=settings), QUESTIONS, users=6, each=3, crowd=60, early=16, late=32
    )


def test_all_who_may_wait_are_answered(founding_settings):
    found = measured(founding_settings, waiting=100)
    assert found["users"]["answered"] == 18
    assert found["at once"]["answered"] == 60
    assert found["remote"] == 0


def test_the_surplus_is_told_to_come_later(founding_settings):
    found = measured(founding_settings, waiting=0, in_flight=1)["at once"]
    assert found["busy"] > 0
    assert found["answered"] > 0
    assert found["answered"] + found["busy"] == 60
