"""A conversation as the browser keeps it: exchanges with their answers; what is shown, said again and exported of them."""

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assistant.nouns import MARKER, Answer, Citation, Hit, Passage, Sentence, Turn
from assistant.panel import panel_html
from assistant.query import MAX_QUESTION
from assistant.rendering import (
    SCHEMA,
    answer_json,
    clean,
    escape_markdown,
    lines,
    markdown,
    one_line,
    path_of,
    plain,
)
from assistant.viewer import deep_link, source_path

# So many exchanges are kept; the browser's storage and each request must hold them.
KEEP = 30
INTERRUPTED = "This answer was interrupted: the page was closed or the server stopped before its end. Retry asks again."
STOPPED = "Stopped. Retry asks again."
UP, DOWN = "up", "down"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and what came of it: an answer that may still grow, and whatever went wrong."""

    question: str
    query: str = ""  # what the reader had searched instead of what was made of the question
    model: str = ""  # the chosen profile; empty for the default
    answer: Answer | None = None
    trouble: str = ""
    suggestions: tuple[str, ...] = ()
    rating: str = ""  # UP, DOWN or nothing
    feedback: str = ""  # the id under which the rating is stored

    @property
    def ended(self) -> bool:
        """Whether the answer is whole: only a whole one has an id."""
        return self.answer is not None and bool(self.answer.id)


def as_data(exchanges: Sequence[Exchange]) -> list[dict[str, Any]]:
    """The newest exchanges as JSON."""
    return [
        {
            "question": one.question,
            "query": one.query,
            "model": one.model,
            "answer": answer_json(one.answer) if one.answer else None,
            "trouble": one.trouble,
            "suggestions": list(one.suggestions),
            "rating": one.rating,
            "feedback": one.feedback,
        }
        for one in exchanges[-KEEP:]
    ]


def read_conversation(data: Any) -> list[Exchange]:
    """The exchanges of what a browser sent; it may send anything, and what is no exchange is left out."""
    found = []
    for entry in data[-KEEP:] if isinstance(data, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("question"), str):
            continue
        texts = {name: _text(entry.get(name)) for name in ("query", "model", "trouble", "rating", "feedback")}
        offered = entry.get("suggestions")
        suggestions = tuple(filter(None, map(_text, offered[:5]))) if isinstance(offered, list) else ()
        answer = None
        if entry.get("answer") is not None:
            try:
                answer = read_answer(entry["answer"])
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                texts["trouble"] = INTERRUPTED
        found.append(Exchange(_text(entry["question"]), answer=answer, suggestions=suggestions, **texts))
    return found


def _text(value: Any) -> str:
    # JSON may hold half a character, which no page and no file can.
    return value[:MAX_QUESTION].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def read_answer(data: Mapping[str, Any]) -> Answer:
    """An answer from its JSON (schema 1). Raises KeyError, TypeError or ValueError where it is none."""
    if data["schema"] != SCHEMA:
        raise ValueError("another schema")
    hits = tuple(Hit(_passage(one), _number(one["score"])) for one in data["hits"])
    citations = tuple(_citation(one, hits) for one in data["citations"])
    text = _string(data["text"])
    sentences = tuple(
        Sentence(
            _string(one["text"]), int(one["start"]), int(one["end"]), tuple(map(int, one["citations"])), one["support"]
        )
        for one in data["sentences"]
    )
    for sentence in sentences:
        if text[sentence.start : sentence.end] != sentence.text:
            raise ValueError("a sentence that is not in the text")
        if sentence.support not in ("supported", "weak", "unsupported"):
            raise ValueError("a support that is none")
    refused = data["refused"]
    if not isinstance(refused, bool) or (refused and citations):
        raise ValueError("a refusal that cites")
    numbers = [one.number for one in citations]
    if len(set(numbers)) < len(numbers):
        raise ValueError("two citations of one number")
    # A sentence that begins behind a backslash has marks that its text has not.
    for piece in (text, *(one.text for one in sentences)):
        if {int(mark[1]) for mark in MARKER.finditer(piece)} - set(numbers):
            raise ValueError("a mark without a citation")
    return Answer(
        id=_string(data["id"]),
        question=_string(data["question"]),
        search_query=_string(data["search_query"]),
        text=text,
        refused=refused,
        answered_by=_string(data["answered_by"]),
        index=_string(data["index"]),
        notices=tuple(map(_string, data["notices"])),
        sentences=sentences,
        citations=citations,
        hits=hits,
        timings_ms={_string(name): _number(value) for name, value in data["timings_ms"].items()},
    )


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no string")
    value.encode()  # half a character is a ValueError
    return value


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("no number")
    return number


def _address(value: Any) -> str | None:
    if value is None:
        return None
    address = _string(value)
    if not re.match(r"https?://[^\s<>\"]+\Z", address):
        raise ValueError("no address")
    return address


def _passage(data: Mapping[str, Any]) -> Passage:
    text = _string(data["text"])
    passage = Passage(
        document_id=_string(data["document"]),
        title=_string(data["title"]),
        section=tuple(map(_string, data["section"])),
        text=text,
        start=int(data["start"]),
        end=int(data["end"]),
        line_start=int(data["line_start"]),
        line_end=int(data["line_end"]),
        url=_address(data["url"]),
    )
    if passage.end - passage.start != len(text):
        raise ValueError("a passage of another length")
    return passage


def _citation(data: Mapping[str, Any], hits: Sequence[Hit]) -> Citation:
    """A citation with the hit it stands in; the quote alone where there is none."""
    start, end, quote = int(data["start"]), int(data["end"]), _string(data["quote"])
    alone = _passage({**data, "text": quote})
    passage = next(
        (
            one.passage
            for one in hits
            if one.passage.document_id == alone.document_id and one.passage.start <= start < end <= one.passage.end
        ),
        alone,
    )
    if passage.text[start - passage.start : end - passage.start] != quote:
        raise ValueError("a quote that is not in its passage")
    return Citation(int(data["number"]), passage, quote, start, end, alone.line_start, alone.line_end)


def turns(exchanges: Sequence[Exchange]) -> list[Turn]:
    """The conversation so far as a question may lean on it."""
    return [Turn(one.question, one.answer.text if one.answer else "") for one in exchanges]


def interrupted(exchanges: Sequence[Exchange], why: str = INTERRUPTED) -> list[Exchange]:
    """The exchanges when nothing is being answered any more: one without its end says why."""
    return [one if one.ended or one.trouble else replace(one, trouble=why) for one in exchanges]


def anchor(exchange: int, number: int) -> str:
    """Where the page shows a source: of which exchange, of which number; both count from 1."""
    return f"source-{exchange}-{number}"


def messages(exchanges: Sequence[Exchange]) -> list[dict[str, Any]]:
    """The conversation as a chat shows it; what to ask next stands below the last answer."""
    shown: list[dict[str, Any]] = []
    for at, one in enumerate(exchanges, 1):
        shown.append({"role": "user", "content": one.question})
        reply: dict[str, Any] = {"role": "assistant", "content": message(one, at)}
        if at == len(exchanges) and one.suggestions:
            reply["options"] = [{"value": text, "label": text} for text in one.suggestions]
        shown.append(reply)
    return shown


def message(exchange: Exchange, at: int) -> str:
    """What the chat shows for one answer; while nothing is written yet, that it is being looked for."""
    answer = exchange.answer
    parts = []
    if answer and answer.text:
        parts = [markdown(answer, lambda number: f"#{anchor(at, number)}")]
        parts += [_aside(notice) for notice in answer.notices]
    if exchange.trouble:
        parts.append(_aside(exchange.trouble))
    return "\n\n".join(parts) or "…"


def _aside(text: str) -> str:
    # A blank behind the first mark would make it that of a list.
    return f"*{escape_markdown(text.strip())}*"


def said(exchange: Exchange) -> str:
    """An answer as it is read out: without its numbers, with what went wrong."""
    answer = exchange.answer
    parts = [plain(answer), *answer.notices] if answer else []
    return " ".join([*parts, exchange.trouble]).strip()


def panel(exchanges: Sequence[Exchange]) -> str:
    """The sources of every answer, the last one's first and open."""
    found = []
    for at, one in reversed(list(enumerate(exchanges, 1))):
        if one.answer is None:
            continue
        question = html.escape(one_line(one.question))
        body = panel_html(one.answer, lambda number, at=at: anchor(at, number))  # type: ignore[misc]
        opened = " open" if at == len(exchanges) else ""
        found.append(
            f"<details class='exchange'{opened}><summary>{question}</summary>{body}{_how(one.answer)}</details>"
        )
    return "".join(found)


def _how(answer: Answer) -> str:
    """Who answered and how long each step took."""
    if not answer.id:
        return ""
    steps = {"retrieve": "searching", "write": "writing", "verify": "checking", "total": "together"}
    times = ", ".join(f"{steps[name]} {value:,.0f} ms" for name, value in answer.timings_ms.items() if name in steps)
    who = html.escape(one_line(answer.answered_by))
    index = html.escape(one_line(answer.index[:12]))
    return (
        "<details class='how'><summary>How this was answered</summary>"
        f"<p>Written by: {who}. {times}. Index {index}.</p></details>"
    )


def export_json(exchanges: Sequence[Exchange], title: str) -> dict[str, Any]:
    """The conversation for programs: every answer as the API gives it."""
    kept = ("question", "query", "answer", "rating")
    return {
        "schema": SCHEMA,
        "title": title,
        "exchanges": [{name: one[name] for name in kept} for one in as_data(exchanges)],
    }


def export_markdown(exchanges: Sequence[Exchange], title: str, base: str = "") -> str:
    """The conversation as a document: each answer with its citations in full. `base` is where this server is reached."""
    blocks = [f"# {escape_markdown(title)}"]
    for one in exchanges:
        blocks.append(f"## {escape_markdown(one.question)}")
        if one.answer:
            if one.answer.search_query != one.question:
                blocks.append(f"Searched for: {escape_markdown(one.answer.search_query)}")
            blocks.append(markdown(one.answer, lambda number: ""))
            blocks += [_aside(notice) for notice in one.answer.notices]
            blocks += [_note(citation, base) for citation in one.answer.citations]
            if one.answer.refused and one.answer.hits:
                blocks.append("Nearest passages:")
                blocks += [
                    f"- {_place(hit.passage, hit.passage.line_start, hit.passage.line_end)}"
                    for hit in one.answer.hits[:3]
                ]
        if one.trouble:
            blocks.append(_aside(one.trouble))
    return "\n\n".join(blocks) + "\n"


def _note(citation: Citation, base: str) -> str:
    where = _place(citation.passage, citation.line_start, citation.line_end)
    place = citation.passage, citation.start, citation.end
    address = deep_link(*place) or (f"{base}/sources/{source_path(*place)}" if base else "")
    quoted = escape_markdown(clean(citation.quote))
    link = f" <{address}>" if address else ""
    return f"\\[{citation.number}\\] {where}: “{quoted}”{link}"


def _place(passage: Passage, first: int, last: int) -> str:
    return escape_markdown(f"{path_of(passage)} ({passage.document_id}, {lines(first, last)})")
