"""Corpus -> snapshot: embed what is new, write, check, and hand it over to be published.

A build writes a folder beside the current snapshot, checks it, and then replaces CURRENT in one step, so
that a crash at any point leaves the former snapshot serving.
"""

import hashlib
import json
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
from numpy.typing import NDArray

from assistant import chunking
from assistant.addressed import machine_addressed
from assistant.chunking import embedded_text, layout
from assistant.corpus import Corpus, corpus_digest
from assistant.embedding import Encoder, Spans, Vectors
from assistant.errors import IndexUnusable
from assistant.index import FORMAT, KINDS, TOKEN_SCALE, Index, current, sha256_of, write_collection
from assistant.nouns import Passage
from assistant.publishing import publish, remove, replace, sync
from assistant.sentences import aspects, statements
from assistant.terms import terms, words

_FILES = (
    "documents.jsonl",
    "documents.npy",
    "passages.jsonl",
    "statements.npy",
    "passage_vectors.npy",
    "statement_vectors.npy",
    "aspect_vectors.npy",
    "text_keys.npy",
    "token_vectors.npy",
    "token_spans.npy",
    "first_token.npy",
    "vocabulary.txt",
)

# In the order of `text_keys.npy`.
_VECTORS = ("passage_vectors.npy", "statement_vectors.npy", "aspect_vectors.npy")

# Chosen with the passage length and the fusion weights; see evals/LOG.md.
BM25_K1, BM25_B = 1.2, 0.5

# Questions on anything but what documents are likely to be about.
FOREIGN = Path(__file__).with_name("foreign.json")

_Tokens = tuple[NDArray[np.int8], Spans]  # of one passage: their vectors, and where they stand from its start on

Progress = Callable[[int, int], None]  # texts embedded, texts to embed


@dataclass(frozen=True, slots=True)
class Changes:
    """What a build would change: document ids."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a build did. `embedded` and `reused` count texts: passages and statements."""

    index: str
    documents: int
    passages: int
    statements: int
    embedded_passages: int
    embedded_statements: int
    reused: int
    changes: Changes = field(default_factory=Changes)
    built: bool = True
    addressed: dict[str, int] = field(default_factory=dict)  # documents that are never quoted, and the line why


def snapshot_id(corpus: Corpus, weights: str, size: int) -> str:
    """The name of the snapshot these documents, this model and this splitter give."""
    compared = json.dumps(corpus.comparison.as_data(), sort_keys=True)
    foreign = sha256_of(FOREIGN)
    # What a document's own bytes say of its URL is in their digest; settings say it too.
    pages = "".join(f"{document.id}\0{document.url}\n" for document in corpus.documents if document.url)
    recipe = f"{FORMAT} {chunking.VERSION} {size} {BM25_K1} {BM25_B} {weights} {corpus_digest(corpus.documents)} {compared} {foreign}{pages}"
    return hashlib.sha256(recipe.encode()).hexdigest()[:24]


def changes(corpus: Corpus, home: Path) -> Changes:
    """The documents in which the corpus differs from the current snapshot."""
    before: dict[str, str] = {}
    if snapshot := current(home):
        with suppress(OSError, ValueError, KeyError):
            before = json.loads((home / snapshot / "manifest.json").read_text("utf-8"))["documents"]
    now = {document.id: document.digest for document in corpus.documents}
    return Changes(
        added=tuple(sorted(now.keys() - before.keys())),
        changed=tuple(sorted(name for name in now.keys() & before.keys() if now[name] != before[name])),
        removed=tuple(sorted(before.keys() - now.keys())),
    )


def is_current(corpus: Corpus, home: Path, weights: str, size: int) -> bool:
    """Whether the current snapshot was made from these documents, this model and this splitter."""
    name = snapshot_id(corpus, weights, size)
    return current(home) == name and (home / name / "manifest.json").is_file()


def build(
    corpus: Corpus, home: Path, encoder: Encoder, size: int, progress: Progress = lambda done, total: None
) -> Report:
    """Makes and publishes the snapshot of a corpus; hold the build lock. A complete one is reused.

    A crash at any point leaves the former snapshot in place.
    """
    name = snapshot_id(corpus, encoder.weights, size)
    differences = changes(corpus, home)
    folder = home / name
    if (folder / "manifest.json").is_file():
        try:
            manifest = _verified(home, name)
        except IndexUnusable as error:
            print(f"{error.args[0].split('. Run')[0]}; building it again.", file=sys.stderr)
        else:
            publish(home, name)
            return _report(name, manifest, differences, 0, 0, built=False)
    if not remove(folder):
        raise IndexUnusable(f"The damaged snapshot {name} is open in another process. Stop it and run: assistant index")
    cut = _cut(corpus, encoder, size)
    vectors, tokens, fresh = _embed(cut, home, encoder, progress)
    folder.mkdir(parents=True)
    manifest = {
        "format": FORMAT,
        "weights": encoder.weights,
        "model": encoder.name,
        "splitter": {"version": chunking.VERSION, "characters": size},
        "documents": {document.id: document.digest for document in corpus.documents},
        "comparison": corpus.comparison.as_data(),
        "addressed": addressed(corpus),
        "background": background(cut, vectors, encoder),
        "passages": len(cut.passages),
        "statements": len(cut.spans),
        **_write(folder, corpus, cut, vectors, tokens),
    }
    sync(folder)
    # Last and atomically: a folder with a manifest is a complete one.
    replace(folder / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True))
    try:
        _verified(home, name)
    except IndexUnusable:
        remove(folder)
        raise
    publish(home, name)
    new_passages = sum(key in fresh for key in cut.keys[: len(cut.passages)])
    new_statements = sum(key in fresh for key in cut.keys[len(cut.passages) :][: len(cut.spans)])
    return _report(name, manifest, differences, new_passages, new_statements, built=True)


@dataclass(frozen=True, slots=True)
class _Cut:
    """What is indexed, in order: passages, their statements' spans, and what is embedded of all."""

    passages: list[Passage]
    spans: list[tuple[int, int, int, int, int]]  # row of the passage, start, end, kind, its first aspect
    texts: list[str]  # of the passages, then of the statements, then of the statements' aspects
    leads: list[int]  # how many characters of each passage's text are what stands in front of it
    keys: list[bytes]  # the digests of the texts


def _cut(corpus: Corpus, encoder: Encoder, size: int) -> _Cut:
    passages: list[Passage] = []
    texts: list[str] = []
    spans: list[tuple[int, int, int, int, int]] = []
    statement_texts: list[str] = []
    aspect_texts: list[str] = []
    leads: list[int] = []
    for document in corpus.documents:
        structure = layout(document)
        for passage in chunking.split(document, size, encoder.window, structure):
            text = embedded_text(document, passage, encoder.window, structure)
            if not encoder.window.holds(text):
                raise IndexUnusable(
                    f"The passage {passage.id} does not fit the window of {encoder.name}; this is a defect."
                )
            for statement in statements(passage, structure.code):
                kind = KINDS.index(statement.kind)
                spans.append((len(passages), statement.start, statement.end, kind, len(aspect_texts)))
                statement_texts.append(statement.text)
                aspect_texts += aspects(statement.text, corpus.comparison)
            passages.append(passage)
            texts.append(text)
            leads.append(len(text) - len(passage.text))
    if not passages:
        raise IndexUnusable("The documents hold nothing but headings; there is nothing to index.")
    # Of a passage's tokens it is kept where they stand, so what is in front is part of the key.
    keys = [_key(f"{lead} {text}") for lead, text in zip(leads, texts, strict=True)]
    texts += statement_texts + aspect_texts
    return _Cut(passages, spans, texts, leads, keys + [_key(text) for text in texts[len(keys) :]])


def _embed(cut: _Cut, home: Path, encoder: Encoder, progress: Progress) -> tuple[Vectors, list[_Tokens], set[bytes]]:
    """The vector of each text, shape (texts, dimension), each passage's tokens, and the keys of what was embedded anew."""
    known, tokens = _known_vectors(home, encoder.weights)
    count = len(cut.passages)
    passages = {
        key: (text, lead)
        for key, text, lead in zip(cut.keys[:count], cut.texts, cut.leads, strict=False)
        if key not in tokens
    }
    others = {key: text for key, text in zip(cut.keys[count:], cut.texts[count:], strict=True) if key not in known}
    total = len(passages) + len(others)
    progress(0, total)
    encoded = encoder.encode_passages([text for text, _ in passages.values()])
    for done, ((key, (_, lead)), one) in enumerate(zip(passages.items(), encoded, strict=True), 1):
        known[key] = one.vector
        tokens[key] = (np.round(one.tokens * TOKEN_SCALE).astype(np.int8), (one.spans - lead).astype(np.int32))
        progress(done, total)
    vectors = encoder.encode_documents(list(others.values()))
    for done, (key, vector) in enumerate(zip(others, vectors, strict=True), len(passages) + 1):
        known[key] = vector
        progress(done, total)
    return (
        np.array([known[key] for key in cut.keys], dtype=np.float32),
        [tokens[key] for key in cut.keys[:count]],
        {*passages, *others},
    )


def addressed(corpus: Corpus) -> dict[str, int]:
    """The documents that speak to the machine and not to their readers, each with the first line that does."""
    lines = {document.id: machine_addressed(document.text) for document in corpus.documents}
    return {name: line for name, line in lines.items() if line is not None}


def background(cut: _Cut, vectors: Vectors, encoder: Encoder) -> dict[str, float]:
    """How near questions on anything else come to these documents: the mean best cosine of each set of vectors.

    It differs from corpus to corpus, by size and by the tone of the texts; the gate reads cosines from here up.
    """
    foreign = np.array([encoder.encode_query(question) for question in json.loads(FOREIGN.read_text("utf-8"))])
    ends = np.cumsum([len(cut.passages), len(cut.spans)])
    named = zip(("passage", "statement", "aspect"), np.split(vectors, ends), strict=True)
    return {name: round(float((foreign @ part.T).max(axis=1).mean()), 4) if len(part) else 0.0 for name, part in named}


def _write(folder: Path, corpus: Corpus, cut: _Cut, vectors: Vectors, tokens: list[_Tokens]) -> dict[str, Any]:
    """Writes everything but the manifest; gives what the manifest says of the files."""
    count = len(cut.passages)
    starts = []
    with (folder / "documents.jsonl").open("wb") as lines:
        for document in sorted(corpus.documents, key=lambda one: one.id):
            starts.append(lines.tell())
            lines.write(json.dumps(asdict(document)).encode() + b"\n")
    np.save(folder / "documents.npy", np.array(starts, dtype=np.int64))
    with (folder / "passages.jsonl").open("w", encoding="utf-8") as file:
        for passage in cut.passages:
            file.write(json.dumps(asdict(passage)) + "\n")
    np.save(folder / "statements.npy", np.array(cut.spans, dtype=np.int64).reshape(len(cut.spans), 5))
    np.save(folder / "passage_vectors.npy", vectors[:count])
    ends = count + len(cut.spans)
    np.save(folder / "statement_vectors.npy", vectors[count:ends])
    np.save(folder / "aspect_vectors.npy", vectors[ends:])
    np.save(folder / "token_vectors.npy", np.concatenate([of for of, _ in tokens]))
    np.save(folder / "token_spans.npy", np.concatenate([spans for _, spans in tokens]))
    np.save(folder / "first_token.npy", np.cumsum([0, *(len(of) for of, _ in tokens)], dtype=np.int64))
    np.save(folder / "text_keys.npy", np.array(cut.keys, dtype="S32"))
    vocabulary = sorted({word for text in cut.texts[:count] for word in words(text) if word.isalpha()})
    (folder / "vocabulary.txt").write_text("\n".join(vocabulary), "utf-8")
    bm25 = bm25s.BM25(method="lucene", k1=BM25_K1, b=BM25_B)
    # An empty passage would leave BM25 a row short.
    bm25.index([terms(text) or ["\0"] for text in cut.texts[:count]], show_progress=False)
    bm25.save(str(folder / "bm25"), show_progress=False)
    # A name that was never used: Chroma remembers, by path, what a process has opened.
    chroma = f"chroma-{secrets.token_hex(4)}"
    write_collection(folder / chroma, cut.passages, vectors)
    sizes = {name: {"size": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)} for name in _FILES}
    return {"chroma": chroma, "files": sizes}


def _report(
    name: str, manifest: dict[str, Any], differences: Changes, new_passages: int, new_statements: int, built: bool
) -> Report:
    return Report(
        index=name,
        documents=len(manifest["documents"]),
        passages=manifest["passages"],
        statements=manifest["statements"],
        embedded_passages=new_passages,
        embedded_statements=new_statements,
        reused=manifest["passages"] + manifest["statements"] - new_passages - new_statements,
        changes=differences,
        built=built,
        addressed=manifest["addressed"],
    )


def _known_vectors(home: Path, weights: str) -> tuple[dict[bytes, Vectors], dict[bytes, _Tokens]]:
    """Vectors of the texts of every snapshot still kept, and tokens of its passages, by the digest of the text."""
    known: dict[bytes, Vectors] = {}
    tokens: dict[bytes, _Tokens] = {}
    for manifest in sorted(home.glob("*/manifest.json")):
        with suppress(OSError, ValueError, KeyError, EOFError):
            facts = json.loads(manifest.read_text("utf-8"))
            if facts["format"] != FORMAT or facts["weights"] != weights:
                continue
            for name, entry in facts["files"].items():
                if sha256_of(manifest.parent / name) != entry["sha256"]:
                    raise ValueError(f"{name} is damaged")

            def load(name: str, folder: Path = manifest.parent) -> Any:
                return np.load(folder / name)

            keys = load("text_keys.npy").tolist()
            known.update(zip(keys, np.concatenate([load(part) for part in _VECTORS]), strict=True))
            ends = load("first_token.npy")[1:-1]
            cut = zip(np.split(load("token_vectors.npy"), ends), np.split(load("token_spans.npy"), ends), strict=True)
            tokens.update(zip(keys, cut, strict=False))
    return known, tokens


def _key(text: str) -> bytes:
    # Without a trailing zero byte, which numpy's fixed-width strings would drop.
    return hashlib.sha256(text.encode()).hexdigest()[:32].encode()


def _verified(home: Path, name: str) -> dict[str, Any]:
    """The manifest of a snapshot that opens and passes its checks. Raises IndexUnusable."""
    index = Index(home, name)
    try:
        index.check()
        return index.manifest
    finally:
        index.close()
