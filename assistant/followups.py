"""What to ask next: sections beside the ones that were quoted, as far as the documents answer them."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from assistant.index import Index
from assistant.nouns import Answer, Passage

MOST = 3
# So many are tried at most, each by a search of its own.
TRIED = 8
_NUMBERED = re.compile(r"\A\s*(?:\d+[.)]\s*)+")


def followups(index: Index, answer: Answer, asked: Iterable[str], answerable: Callable[[str], bool]) -> tuple[str, ...]:
    """Questions about sections near the answer that it did not quote, at most MOST.

    Those of other passages found come first, then the neighbours of the quoted ones. `asked` was asked before;
    `answerable` says whether the documents answer a question.
    """
    if answer.refused:
        return ()
    quoted = {(one.passage.document_id, one.passage.section) for one in answer.citations}
    seen = {_same(text) for text in (*asked, answer.question, answer.search_query)}
    found: list[str] = []
    for tried, text in enumerate(_sections(index, answer, quoted, seen)):
        if len(found) == MOST or tried == TRIED:
            break
        if answerable(text):
            found.append(text)
    return tuple(found)


def _sections(index: Index, answer: Answer, quoted: set[tuple[str, tuple[str, ...]]], seen: set[str]) -> Iterator[str]:
    documents = {one.passage.document_id for one in answer.citations}
    neighbours = [passage for passage in index.passages if passage.document_id in documents]
    for passage in [*(hit.passage for hit in answer.hits), *neighbours]:
        key = (passage.document_id, passage.section)
        if key in quoted or set(passage.section) <= {passage.title} or passage.document_id in index.addressed:
            continue
        quoted.add(key)
        text = named(passage)
        if _same(text) not in seen:
            seen.add(_same(text))
            yield text


def named(passage: Passage) -> str:
    """A section by its title and headings, without numbers: what it would be asked by."""
    headings: Sequence[str] = [_NUMBERED.sub("", one) for one in passage.section if one != passage.title]
    return ": ".join([*([] if len(headings) > 1 else [passage.title]), *headings[-2:]])


def _same(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
