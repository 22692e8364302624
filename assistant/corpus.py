"""Files below a folder become Documents; what cannot be read is named, never dropped in silence."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from assistant.comparison import FILE, NOTHING, Comparison, read_comparison
from assistant.conversion import PACKAGES, Conversions, digest_of
from assistant.errors import CorpusError
from assistant.nouns import Document, is_markdown
from assistant.settings import Settings
from assistant.sites import published
from assistant.urls import Address, is_url, nowhere

SUFFIXES = (".md", ".txt", *PACKAGES)
MAX_BYTES = 20_000_000
# Most of a PDF or a Word document is pictures and letter shapes.
MAX_CONVERTED_BYTES = 100_000_000
# So many files are converted at the same time at most; each may take a gigabyte.
CONVERTERS = min(4, os.cpu_count() or 1)

# The safe loader in C where there is one: front matter is read before each answer, and this reads it ten times as fast.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

LINE_BREAK = re.compile(r"\r\n|\n|\r")
# A heading that comes later than this (in characters) is no title.
_TITLE_WITHIN = 4000
_KEY_LINE = re.compile(r"^(?:[\w.-]+:(?:\s.*)?|\s+\S.*|-\s.*|#.*|)$")


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that should be a document and cannot be one."""

    document_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.document_id}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Corpus:
    """The documents below a folder in order of id, the files that failed, how many others were skipped, and
    the two sides that the documents compare.
    """

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    skipped: int
    comparison: Comparison = NOTHING


def corpus_of(settings: Settings, again: bool = False) -> Corpus:
    """The corpus that the settings name. `again` tries anew to convert what could not be converted the last time.

    Raises CorpusError as `load_corpus`, and UsageError where the settings on URLs cannot be used.
    """
    conversions = Conversions(settings.index / "converted", again)
    return load_corpus(
        settings.corpus, published(settings, again), conversions, chooser(settings.include, settings.exclude)
    )


def check_corpus(settings: Settings) -> None:
    """Raises what `corpus_of` would, as far as can be said without converting a file, which may take minutes."""
    chosen = chooser(settings.include, settings.exclude)
    address = published(settings)
    files = _files(settings.corpus, [])
    if not any(path.suffix.lower() in PACKAGES and chosen(_document_id(path, settings.corpus)) for path in files):
        load_corpus(settings.corpus, address, chosen=chosen)


def chooser(include: str, exclude: str) -> Callable[[str], bool]:
    """Whether a document is wanted, by its id: by two lists of globs separated by commas; no list of the first wants all."""
    wanted, unwanted = ([glob.strip() for glob in globs.split(",") if glob.strip()] for globs in (include, exclude))

    def chosen(document_id: str) -> bool:
        return (not wanted or any(fnmatchcase(document_id, glob) for glob in wanted)) and not any(
            fnmatchcase(document_id, glob) for glob in unwanted
        )

    return chosen


def load_corpus(
    folder: Path,
    address: Address = nowhere,
    conversions: Conversions | None = None,
    chosen: Callable[[str], bool] = lambda document_id: True,
) -> Corpus:
    """Every `*.md` and `*.txt` below `folder`, and what can be converted to Markdown; dot-files and dot-folders left out.

    `address` gives the URL of a document whose front matter names none, `conversions` what was converted before,
    `chosen` whether a document of this id is wanted.

    Raises CorpusError if the folder is missing or holds no readable document.
    """
    conversions = conversions or Conversions(None)
    if not folder.is_dir():
        raise CorpusError(f"There is no corpus folder {str(folder)!r}. Name one with --corpus or ASSISTANT_CORPUS.")
    documents: dict[str, Document] = {}
    problems: list[Problem] = []
    skipped = 0
    comparison = NOTHING
    wanted: list[Path] = []
    for path in _files(folder, problems):
        document_id = _document_id(path, folder)
        if document_id == FILE:
            try:
                comparison = _comparison(path, folder)
            except CorpusError as error:
                problems.append(Problem(document_id, str(error)))
            continue
        if not chosen(document_id):
            continue
        if path.suffix.lower() not in SUFFIXES and not (path.is_symlink() and path.is_dir()):
            skipped += 1
            continue
        wanted.append(path)
    for path, read in zip(wanted, _read_all(wanted, folder, address, conversions), strict=True):
        document_id = _document_id(path, folder)
        try:
            document = read()
        except CorpusError as error:
            problems.append(Problem(document_id, str(error)))
            continue
        if document.id in documents:
            problems.append(Problem(document_id, "another file has the same name in Unicode normal form; rename one"))
            continue
        documents[document.id] = document
    if not documents:
        named = f" ({problems[0]})" if problems else ""
        raise CorpusError(
            f"The corpus folder {str(folder)!r} holds no readable document of the kinds {' '.join(SUFFIXES)}{named}."
        )
    conversions.prune()
    ordered = tuple(documents[document_id] for document_id in sorted(documents))
    return Corpus(ordered, tuple(sorted(problems, key=lambda problem: problem.document_id)), skipped, comparison)


def _read_all(
    paths: list[Path], folder: Path, address: Address, conversions: Conversions
) -> Iterator[Callable[[], Document]]:
    """For each file in order what gives its document; those that must be converted are read by several threads."""
    if not any(path.suffix.lower() in PACKAGES for path in paths):
        yield from (partial(read_document, path, folder, address) for path in paths)
        return
    with ThreadPoolExecutor(CONVERTERS) as pool:
        tasks = [
            pool.submit(read_document, path, folder, address, conversions) if path.suffix.lower() in PACKAGES else None
            for path in paths
        ]
        for path, task in zip(paths, tasks, strict=True):
            yield task.result if task else partial(read_document, path, folder, address)


def comparison_of(folder: Path) -> Comparison:
    """What the documents below a folder compare; nothing where no file says so, or it cannot be read."""
    try:
        return _comparison(folder / FILE, folder)
    except CorpusError:
        return NOTHING


def _comparison(path: Path, folder: Path) -> Comparison:
    try:
        return read_comparison(yaml.load(_bytes(path, folder).decode("utf-8"), Loader))
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise CorpusError(f"it does not say what is compared ({' '.join(str(error).split())})") from error


def read_document(
    path: Path, folder: Path, address: Address = nowhere, conversions: Conversions | None = None
) -> Document:
    """The document in one file. Raises CorpusError with the reason why it cannot be one."""
    suffix = path.suffix.lower()
    if suffix in PACKAGES:
        data = _bytes(path, folder, MAX_CONVERTED_BYTES)
        if not data.strip():
            raise CorpusError("empty")
        digest = digest_of(data, suffix)
        text = (conversions or Conversions(None)).markdown(data, suffix, digest)
    else:
        data = _bytes(path, folder)
        digest = hashlib.sha256(data).hexdigest()
        try:
            text = data.decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise CorpusError(f"not UTF-8 (byte {error.start}); save it as UTF-8") from error
        if not text.strip():
            raise CorpusError("empty")
    document_id = _document_id(path, folder)
    try:
        document_id.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CorpusError("its file name is not UTF-8; rename it") from error
    fields, body = front_matter(text)
    url = fields.get("url")
    return Document(
        id=document_id,
        title=_title(fields, text[body:], path),
        text=text,
        url=url if is_url(url) else address(document_id),
        digest=digest,
        body=body,
    )


def _bytes(path: Path, folder: Path, most: int = MAX_BYTES) -> bytes:
    """The content of a regular file of the corpus. Raises CorpusError with the reason why there is none."""
    try:
        if not path.resolve(strict=True).is_relative_to(folder.resolve()):
            raise CorpusError("a link that leads out of the corpus folder; copy the file instead")
        if path.is_dir():
            raise CorpusError("a link to another folder; documents are read from the folder itself")
        if not path.is_file():
            raise CorpusError("no regular file")
        if path.stat().st_size > most:
            raise CorpusError(f"larger than {most // 1_000_000} MB; split it")
        return path.read_bytes()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise CorpusError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error


def front_matter(text: str) -> tuple[dict[str, Any], int]:
    """The YAML mapping between `---` lines at the start of a text, and where the body starts.

    A block that is no mapping is text, not front matter. A block that looks like one but breaks YAML's
    rules ("title: Docker: the basics") still is one; its plain `key: value` lines are read.
    """
    lines = list(lines_with_ends(text))
    if not lines or text[lines[0][0] : lines[0][1]].rstrip() != "---":
        return {}, 0
    for start, end, after in lines[1:]:
        if text[start:end].rstrip() in ("---", "..."):
            block = text[lines[0][2] : start]
            fields = _fields(block)
            return (fields, after) if fields is not None else ({}, 0)
    return {}, 0


def lines_with_ends(text: str) -> Iterator[tuple[int, int, int]]:
    """(start, end, start of the next line) of each line; lines end at `\\n`, `\\r\\n` and `\\r` only."""
    start = 0
    for match in LINE_BREAK.finditer(text):
        yield start, match.start(), match.end()
        start = match.end()
    if start < len(text):
        yield start, len(text), len(text)


def markdown_parser() -> MarkdownIt:
    """CommonMark with tables: how this assistant reads Markdown."""
    return MarkdownIt("commonmark").enable("table")


def heading_text(inline: Token) -> str:
    """The text of a heading without its Markdown marks."""
    parts = [child.content if child.content else " " for child in inline.children or () if child.nesting == 0]
    return " ".join("".join(parts).split())


def corpus_digest(documents: tuple[Document, ...]) -> str:
    """sha256 over the names and bytes of the documents, in order of id."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(f"{document.id}\0{document.digest}\n".encode())
    return digest.hexdigest()


def _fields(block: str) -> dict[str, Any] | None:
    try:
        loaded = yaml.load(block, Loader)
    except (yaml.YAMLError, RecursionError):
        lines = [line for line in LINE_BREAK.split(block) if line.strip()]
        if not lines or not re.match(r"[\w.-]+:(?:\s|$)", lines[0]):
            return None
        if not all(_KEY_LINE.match(line) for line in lines):
            return None
        pairs = [line.split(":", 1) for line in lines if re.match(r"[\w.-]+:\s", line)]
        return {key: value.strip().strip("\"'") for key, value in pairs}
    except ValueError:  # a date such as 2026-13-45
        return {}
    return loaded if isinstance(loaded, dict) else None


def _title(fields: dict[str, Any], body: str, path: Path) -> str:
    if (title := fields.get("title")) is not None and str(title).strip():
        return str(title).strip()
    # The first heading of a PDF is "Page 1".
    if is_markdown(path.name) and path.suffix.lower() != ".pdf":
        tokens = markdown_parser().parse(body[:_TITLE_WITHIN])
        for at, token in enumerate(tokens):
            if token.type == "heading_open" and token.level == 0 and (heading := heading_text(tokens[at + 1])):
                return heading
    return unicodedata.normalize("NFC", path.stem)


def _document_id(path: Path, folder: Path) -> str:
    return unicodedata.normalize("NFC", path.relative_to(folder).as_posix())


def _files(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """Files below a folder, and links to folders (which are never followed), in a stable order."""

    def unreadable(error: OSError) -> None:
        problems.append(Problem(_document_id(Path(error.filename), folder), f"cannot be read ({error.strerror})"))

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        visible = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in visible if (Path(parent) / name).is_symlink()]
        folders[:] = [name for name in visible if name not in links]
        for name in sorted([*files, *links]):
            if not name.startswith("."):
                yield Path(parent) / name
