"""Text -> terms: what BM25, the gate and the support check count as a word.

A term is folded (NFKC, lower case), stripped of stop words and stemmed (Snowball, English).
"""

import re
import threading
import unicodedata
from functools import lru_cache

import Stemmer

# Function words, and the words that only make a question of it.
STOP_WORDS = frozenset(
    """
    a about after again all also although am an and any are aren't as at be because been before being between both but by
    can can't cannot could couldn't did didn't do does doesn't doing don't down during each either else ever every few for
    from further get gets give given got had has hasn't have haven't having he her here hers him his how i i'm if in into is
    isn't it it's its itself just kind let let's like ll may me might mine more most much must my neither no nor not of off
    on once one only or other our ours out over own per please quite rather re really s same shall she should shouldn't
    so some such t than that that's the their theirs them then there there's these they they're this those though through
    thus to too under until up upon us ve versus very vs was wasn't we we're were what what's when where whether which while
    who whom whose why will with within without won't would wouldn't yes yet you you're your yours
    tell explain describe know mean say says said want wants know thing things way ways exactly actually mainly
    hi hello hey thanks thank ok okay
    """.split()
)

_NUMBERING = re.compile(r"^\d+(?:\.\d+)*[.)]?\s+")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
# PyStemmer's objects must not be shared between threads.
_stemmers = threading.local()


def fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower().replace("’", "'")


def unnumbered(heading: str) -> str:
    """A heading without its number: "1. Architecture" says nothing of the number one."""
    return _NUMBERING.sub("", heading)


def words(text: str) -> list[str]:
    """The folded words of a text in order, stop words included."""
    return _WORD.findall(fold(text))


def terms(text: str) -> list[str]:
    """The stems of a text in order, stop words left out."""
    return [stem(word) for word in words(text) if word not in STOP_WORDS]


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    if not hasattr(_stemmers, "english"):
        _stemmers.english = Stemmer.Stemmer("english")
    stemmed: str = _stemmers.english.stemWord(word.removesuffix("'s"))
    return stemmed
