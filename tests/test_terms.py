"""What counts as a word."""

import threading

import pytest

from assistant.terms import STOP_WORDS, fold, stem, terms, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Docker's VMs, e.g. x86_64!", ["docker's", "vms", "e", "g", "x86", "64"]),
        ("host’s KERNEL", ["host's", "kernel"]),
        ("ＶＭ ﬁle ½", ["vm", "file", "1", "2"]),
        ("cafe\u0301 Straße", ["café", "straße"]),
        ("'quoted' **bold** `code`", ["quoted", "bold", "code"]),
        ("process-level CI/CD", ["process", "level", "ci", "cd"]),
        (" \n?!🐳", []),
    ],
)
def test_words_are_folded_runs_of_letters_and_digits(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the kernel?", ["kernel"]),
        ("Tell me about Docker, please", ["docker"]),
        ("Why don’t they?", []),
        ("containers Container CONTAINER's", ["contain"] * 3),
        ("isolated isolation isolating", ["isol"] * 3),
        ("two VMs", ["two", "vms"]),
    ],
)
def test_terms_are_stems_without_stop_words(text, expected):
    assert terms(text) == expected


@pytest.mark.parametrize("forms", ["start starts started starting", "machine machines machine's", "resource resources"])
def test_forms_of_one_word_share_a_stem(forms):
    assert len({stem(form) for form in forms.split()}) == 1


def test_stop_words_are_folded_words_and_hold_no_subject():
    assert all(words(word) == [word] for word in STOP_WORDS)
    assert not STOP_WORDS & set(
        words("container docker vm kernel isolation security cost use fast slow better need run")
    )


def test_folding_twice_changes_nothing():
    text = "Ｄｏｃｋｅｒ’s ﬁle CAFÉ"
    assert fold(fold(text)) == fold(text)


def test_stemming_is_safe_from_many_threads():
    failed = []

    def work(start):
        for number in range(start, start + 500):
            if stem(f"{'word' * (number % 7)}containers{number}ing".removesuffix("ing") + "s")[:4] == "":
                failed.append(number)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 4000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
