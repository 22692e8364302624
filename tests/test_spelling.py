"""Typing errors are mended where one known word is meant."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.spelling import edit_distance, spell

VOCABULARY = frozenset(
    "container containers docker virtualization isolation kernel kernels hypervisor overhead dependencies "
    "kubernetes storage stored trial trail".split()
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Is a contaner safe?", "Is a container safe?"),
        ("CONTIANER isolatoin", "container isolation"),
        ("virtualzation", "virtualization"),
        ("kernal, kernal", "kernel, kernel"),
        # Known words, their forms, short words, stop words and words far from all others stay.
        ("container kernels", "container kernels"),
        ("isolating the dockers", "isolating the dockers"),
        ("vrm", "vrm"),
        ("which weather", "which weather"),
        ("hernel", "hernel"),
        ("kernel5", "kernel5"),
        ("", ""),
        # One word could be several.
        ("traal", "traal"),
        # A part of a longer word is not the word.
        ("contaner contanerly", "container contanerly"),
    ],
)
def test_a_word_is_mended_only_where_one_known_word_is_meant(query, expected):
    assert spell(query, VOCABULARY) == expected


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("", "abc", 3),
        ("abc", "ab", 1),
        ("abc", "abd", 1),
        ("abc", "acb", 1),
        ("ab", "ba", 1),
        ("kitten", "sitting", 3),
        ("ca", "abc", 3),
        ("abcd", "badc", 2),
        ("docker", "dokcre", 2),
    ],
)
def test_edits_are_counted(first, second, distance):
    assert edit_distance(first, second, 9) == edit_distance(second, first, 9) == distance
    for most in range(4):
        assert edit_distance(first, second, most) == min(distance, most + 1)


def alignment(first, second):
    """The same distance, by its definition."""
    if not first or not second:
        return len(first) + len(second)
    found = [
        alignment(first[1:], second) + 1,
        alignment(first, second[1:]) + 1,
        alignment(first[1:], second[1:]) + (first[0] != second[0]),
    ]
    if len(first) > 1 and first[1::-1] == second[:2]:
        found.append(alignment(first[2:], second[2:]) + 1)
    return min(found)


@given(st.text("abc", max_size=5), st.text("abc", max_size=5), st.integers(0, 6))
@settings(database=None, deadline=None)
def test_the_distance_is_the_definition_s_and_the_same_both_ways(first, second, most):
    expected = min(alignment(first, second), most + 1)
    assert edit_distance(first, second, most) == edit_distance(second, first, most) == expected
