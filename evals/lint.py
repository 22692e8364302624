"""What is wrong with the notes of a corpus, before anyone is answered from them."""

import datetime
import posixpath
import re
from calendar import monthrange
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from urllib.parse import unquote, urlsplit

from assistant.chunking import Layout, Window, embedded_text, layout, split
from assistant.corpus import LINE_BREAK, front_matter, markdown_parser
from assistant.nouns import Document, Passage, is_markdown
from assistant.quantities import quantities_in
from assistant.sentences import statements
from assistant.terms import fold
from evals.gold import FOUNDING

# Two passages of different files are near duplicates from this share of the shorter one's runs of words up.
ALIKE, RUN = 0.5, 4

_PRONOUN = re.compile(
    r"[\s\"'“‘(*_`>-]*(?:(?:however|but|and|so|also|therefore|thus|hence|instead|then|still|yet|otherwise),?\s+)?"
    r"(?:it|its|it's|this|that|these|those|they|their|them|theirs|he|she|his|her|such|the (?:former|latter))\b",
    re.IGNORECASE,
)
# Units that a claim and its evidence are not compared by, but a reader measures with.
_RATE = re.compile(
    r"\d\s?(?:x|×|times|fold|[KMGT]?bit/s|[KMGT]?bps|[KMGT]i?B/s|IOPS|[kMG]?Hz|watts?|W|rpm|requests/s)(?![\w-])"
)
_MONTHS = "january february march april may june july august september october november december".split()
_DATE = (
    rf"(?:(\d{{4}})-(\d\d)(?:-(\d\d))?|(?:(\d{{1,2}}) )?({'|'.join(_MONTHS)}) (?:(\d{{1,2}}), )?(\d{{4}})|(\d{{4}}))\b"
)
# What a sentence says of its own present, and what it still expects.
_NOW = re.compile(
    rf"\b(?:as (?:of|at)|at the time of writing|currently|to date|today|so far|now)\b,? [^.;()]{{0,20}}?\b{_DATE}"
)
_EXPECTED = re.compile(
    rf"\b(?:will|planned|expected|scheduled|upcoming|due|plans|intends)\b[^.;()]{{0,60}}?"
    rf"\b(?:in|by|on|until|before|during|for) (?:early |mid |mid-|late |the end of )?{_DATE}"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong in a line of a document, counted from 1, by the name of the rule."""

    document: str
    line: int
    rule: str
    says: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.rule}: {self.says}"


@dataclass(frozen=True, slots=True)
class _Note:
    document: Document
    fields: dict[str, Any]
    structure: Layout
    passages: list[Passage]

    def found(self, rule: str, says: str, offset: int = 0) -> Finding:
        line = 1 + len(LINE_BREAK.findall(self.document.text, 0, offset))
        return Finding(self.document.id, line, rule, says)

    @property
    def sources(self) -> list[dict[str, Any]]:
        given = self.fields.get("sources")
        return [source for source in given if isinstance(source, dict)] if isinstance(given, list) else []

    @property
    def reviewed(self) -> datetime.date | None:
        given = self.fields.get("reviewed")
        return given if isinstance(given, datetime.date) and not isinstance(given, datetime.datetime) else None


def lint(documents: Sequence[Document], window: Window, size: int, today: datetime.date) -> list[Finding]:
    """Every finding, in order of document and line; passages are cut as the index cuts them."""
    notes = [_note(document, window, size) for document in documents]
    found: list[Finding] = []
    for note in notes:
        if note.document.id != FOUNDING:  # kept byte for byte as it was given
            found += [
                *incomplete(note, today),
                *broken_links(note, notes),
                *over_the_window(note, window),
                *dangling(note),
                *unsourced(note),
                *outdated(note),
            ]
    found += near_duplicates(notes)
    return sorted(found, key=lambda one: (one.document, one.line, one.rule, one.says))


def _note(document: Document, window: Window, size: int) -> _Note:
    structure = layout(document)
    fields, _ = front_matter(document.text)
    return _Note(document, fields, structure, split(document, size, window, structure))


def incomplete(note: _Note, today: datetime.date) -> Iterator[Finding]:
    """Front matter without a title, a date of review, or two sources each with title, publisher, year and url."""
    rule = "front matter"
    if not isinstance(note.fields.get("title"), str) or not note.fields["title"].strip():
        yield note.found(rule, "no title")
    reviewed = note.reviewed
    if reviewed is None:
        yield note.found(rule, "no date of review (reviewed: YYYY-MM-DD)")
    elif reviewed > today:
        yield note.found(rule, f"reviewed on {reviewed}, which is still to come")
    if len(note.sources) < 2:
        yield note.found(rule, f"{len(note.sources)} sources; give at least two")
    for number, source in enumerate(note.sources, 1):
        missing = [key for key in ("title", "publisher") if not str(source.get(key) or "").strip()]
        year, url = source.get("year"), source.get("url")
        if not isinstance(year, int) or not 1900 <= year <= (reviewed or today).year:
            missing.append("year up to the review")
        if not isinstance(url, str) or not re.match(r"https?://[^\s<>\"]+\Z", url):
            missing.append("url")
        if missing:
            yield note.found(rule, f"source {number} has no {', '.join(missing)}")


def broken_links(note: _Note, notes: Sequence[_Note]) -> Iterator[Finding]:
    """Links to files and headings that are not in the corpus, and links of no known kind."""
    targets = {other.document.id: other for other in notes}
    for offset, address in _links(note):
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") and parts.netloc:
            continue
        if parts.scheme or parts.netloc or parts.path.startswith("/"):
            yield note.found("link", f"{address} is neither http(s) nor relative", offset)
            continue
        folder = posixpath.dirname(note.document.id)
        path = posixpath.normpath(posixpath.join(folder, unquote(parts.path))) if parts.path else note.document.id
        if path not in targets:
            yield note.found("link", f"{address} leads to no document of the corpus", offset)
        elif parts.fragment and unquote(parts.fragment) not in _anchors(targets[path]):
            yield note.found("link", f"{address} leads to no heading of {path}", offset)


def over_the_window(note: _Note, window: Window) -> Iterator[Finding]:
    """Passages of which the embedding model would not read the end."""
    for passage in note.passages:
        length = window.count(embedded_text(note.document, passage, window, note.structure))
        if length > window.limit:
            yield note.found("window", f"a passage of {length} tokens; the model reads {window.limit}", passage.start)


def dangling(note: _Note) -> Iterator[Finding]:
    """Sentences and items that say nothing when quoted alone, as a pronoun is their subject."""
    for passage in note.passages:
        for statement in statements(passage, note.structure.code):
            if statement.kind != "row" and (opener := _PRONOUN.match(statement.text)):
                says = f"{opener[0].strip()!r} opens a sentence: {_short(statement.text)}"
                yield note.found("pronoun", says, statement.start)


def unsourced(note: _Note) -> Iterator[Finding]:
    """Figures with a unit in a section that names no source: a link, or a word of a source beside its year."""
    sections: dict[tuple[str, ...], list[Passage]] = {}
    for passage in note.passages:
        sections.setdefault(passage.section, []).append(passage)
    for passages in sections.values():
        if any(_names_source(passage.text, note.sources) for passage in passages):
            continue
        for passage in passages:
            for statement in statements(passage, note.structure.code):
                if figure := _figure(statement.text):
                    yield note.found("figure", f"{figure} in a section without a source", statement.start)


def outdated(note: _Note) -> Iterator[Finding]:
    """Dates that a sentence calls its present or its future, and that lie before the note's own review."""
    if note.reviewed is None:
        return
    for passage in note.passages:
        for statement in statements(passage, note.structure.code):
            for pattern in (_NOW, _EXPECTED):
                match = pattern.search(statement.text.lower())
                if match and (last := _last_day(match.groups())) and last < note.reviewed:
                    says = f"{_short(match[0])!r} lies before the review of {note.reviewed}"
                    yield note.found("date", says, statement.start)
                    break


def near_duplicates(notes: Sequence[_Note]) -> Iterator[Finding]:
    """Passages of two files that share half of their runs of words, by containment (Broder 1997)."""
    runs = [
        (note, passage, shingles)
        for note in notes
        for passage in note.passages
        if len(shingles := _shingles(passage.text)) >= RUN
    ]
    for (one, first, mine), (other, second, theirs) in combinations(runs, 2):
        if one is other:
            continue
        shared = len(mine & theirs) / min(len(mine), len(theirs))
        if shared >= ALIKE:
            # The founding document is never the one to change.
            if other.document.id == FOUNDING:
                one, first, other, second = other, second, one, first
            says = f"{shared:.0%} of a passage also stands in {first.id}: {_short(second.text)}"
            yield other.found("duplicate", says, second.start)


def _links(note: _Note) -> Iterator[tuple[int, str]]:
    """(offset of its block, address) of each link of a document."""
    if not is_markdown(note.document.id):
        return
    lines = note.structure.lines
    for token in markdown_parser().parse(note.document.text[note.document.body :]):
        for child in token.children or ():
            if child.type == "link_open" and token.map:
                yield lines[token.map[0]], str(child.attrGet("href") or "")


def _anchors(note: _Note) -> set[str]:
    """The fragments by which the headings of a document are linked, as GitHub makes them."""
    anchors: set[str] = set()
    for _, _, _, heading in note.structure.headings:
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = next((count for count in range(1, 1000) if f"{plain}-{count}" not in anchors), 1)
        anchors.add(plain if plain not in anchors else f"{plain}-{number}")
    return anchors


def _names_source(text: str, sources: Iterable[dict[str, Any]]) -> bool:
    if re.search(r"\]\(https?://|<https?://", text):
        return True
    for source in sources:
        known = _names(f"{source.get('title')} {source.get('publisher')}")
        for match in re.finditer(rf"\b{source.get('year')}\b", text):
            if known & _names(text[max(0, match.start() - 100) : match.end() + 60]):
                return True
    return False


def _names(text: str) -> set[str]:
    """The words that may name a source: three letters and more, function words left out."""
    common = {"the", "and", "for", "with", "from", "how", "are", "not", "its", "container", "containers", "virtual"}
    return set(re.findall(r"[^\W\d_][\w-]{2,}", fold(text))) - common


def _figure(text: str) -> str:
    """The first figure with a unit, as it is written; nothing where there is none."""
    if match := _RATE.search(text):
        return text[max(0, match.start() - 8) : match.end()].split(" ", 1)[-1]
    for quantity in quantities_in(text):
        if quantity.kind in ("time", "size", "share") and any(map(str.isdigit, quantity.written)):
            return quantity.written
    return ""


def _last_day(groups: Sequence[str | None]) -> datetime.date | None:
    """The last day that a date may mean: of the month or the year where no day is given."""
    iso_year, iso_month, iso_day, day, month, american_day, year, alone = groups
    number = int(iso_month) if iso_month else _MONTHS.index(month) + 1 if month else 12
    whole = int(iso_year or year or alone or 0)
    try:
        last = int(iso_day or day or american_day or monthrange(whole, number)[1])
        return datetime.date(whole, number, last)
    except ValueError:
        return None


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", fold(text))
    return {tuple(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 70 else line[:69] + "…"
