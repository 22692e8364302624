"""Open and search snapshots. The only module that knows Chroma.

`<home>/CURRENT` names the snapshot `<home>/<id>/` that is answered from. A snapshot never changes. Chroma
gives candidates; the vectors in `.npy` files are the truth they are scored with, so that two builds give
the same order.
"""

import fcntl
import hashlib
import json
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import bm25s
import chromadb
import numpy as np
from chromadb.config import Settings as ChromaSettings
from chromadb.errors import ChromaError
from numpy.typing import NDArray

from assistant.comparison import Comparison, read_comparison
from assistant.embedding import Spans, Vectors
from assistant.errors import IndexUnusable
from assistant.nouns import Document, Kind, Passage, Statement
from assistant.terms import terms

FORMAT = 6
COLLECTION = "passages"
TOKEN_SCALE = 127.0  # token vectors are kept as whole numbers of eight bits
SELF_QUERIES = 32
KINDS: tuple[Kind, ...] = ("sentence", "item", "row")

Scores = NDArray[np.float64]


class Index:
    """An open snapshot. Safe to search from several threads; close it when its last search has ended."""

    def __init__(self, home: Path, snapshot_id: str) -> None:
        self.id = snapshot_id
        self.folder = home / snapshot_id
        with ExitStack() as undo:
            self._lease: IO[bytes] = undo.enter_context((self.folder / "manifest.json").open("rb"))
            try:
                # Shared, and never waited for: it only tells a cleaner that somebody reads here.
                fcntl.flock(self._lease, fcntl.LOCK_SH | fcntl.LOCK_NB)
                self.manifest: dict[str, Any] = json.loads(self._lease.read())
                self._check_files()
                self.background: dict[str, float] = dict(self.manifest["background"])
                self.comparison: Comparison = read_comparison(self.manifest["comparison"])
                self.passages = _load_passages(self.folder / "passages.jsonl")
                self.addressed: dict[str, int] = dict(self.manifest["addressed"])
                self._documents = dict(
                    zip(self.manifest["documents"], np.load(self.folder / "documents.npy"), strict=True)
                )
                self._pages = {_page(one.url): one.document_id for one in self.passages if one.url}
                self._rows = {passage.id: row for row, passage in enumerate(self.passages)}
                self.passage_vectors: Vectors = np.load(self.folder / "passage_vectors.npy", mmap_mode="r")
                self.statement_vectors: Vectors = np.load(self.folder / "statement_vectors.npy", mmap_mode="r")
                self.aspect_vectors: Vectors = np.load(self.folder / "aspect_vectors.npy", mmap_mode="r")
                self._tokens: NDArray[np.int8] = np.load(self.folder / "token_vectors.npy", mmap_mode="r")
                self._token_spans: Spans = np.load(self.folder / "token_spans.npy", mmap_mode="r")
                self._first_token: NDArray[np.int64] = np.load(self.folder / "first_token.npy")
                self._statements: NDArray[np.int64] = np.load(self.folder / "statements.npy")
                self._first_statement = np.searchsorted(self._statements[:, 0], np.arange(len(self.passages) + 1))
                self._bm25 = bm25s.BM25.load(str(self.folder / "bm25"), mmap=True, show_progress=False)
                self.vocabulary = frozenset((self.folder / "vocabulary.txt").read_text("utf-8").split("\n"))
                self._collection = self._open_chroma(undo)
            except (OSError, ValueError, KeyError, IndexError, EOFError, ChromaError, AttributeError) as error:
                # AttributeError: what Chroma raises of itself where its database is no database.
                raise IndexUnusable(f"The snapshot {snapshot_id} is damaged ({error}). Run: assistant index") from error
            self._undo = undo.pop_all()

    @property
    def weights(self) -> str:
        return str(self.manifest["weights"])

    @property
    def removed(self) -> bool:
        """Whether the snapshot's files are gone from their folder, as when it was damaged and built again under its name."""
        return os.fstat(self._lease.fileno()).st_nlink == 0

    def distrusted(self, row: int) -> bool:
        """Whether a passage is of a document that speaks to the machine, in a corpus that has others."""
        return (
            len(self.addressed) < len(self.manifest["documents"]) and self.passages[row].document_id in self.addressed
        )

    def at(self, url: str) -> str:
        """The id of the document whose page this is; empty where it is none's. What follows `?` or `#` does not count."""
        return self._pages.get(_page(url), "")

    @property
    def documents(self) -> frozenset[str]:
        return frozenset(self._documents)

    def document(self, document_id: str) -> Document | None:
        """A document as it was when the snapshot was made; None where there is none of this name."""
        if document_id not in self._documents:
            return None
        with (self.folder / "documents.jsonl").open("rb") as file:
            file.seek(int(self._documents[document_id]))
            return Document(**json.loads(file.readline()))

    def dense(self, vector: Vectors, count: int) -> list[int]:
        """Rows of the `count` passages nearest to a query vector: Chroma's candidates in exact order."""
        if not self.passages:
            return []
        try:
            found = self._collection.query(
                query_embeddings=[vector.tolist()], n_results=min(count, len(self.passages)), include=[]
            )
        except ChromaError as error:
            raise IndexUnusable(f"The snapshot {self.id} cannot be searched ({error}). Run: assistant index") from error
        if len(found["ids"][0]) < min(count, len(self.passages)):
            raise IndexUnusable(f"The snapshot {self.id} has lost a part of its Chroma index. Run: assistant index")
        rows = np.array([self._rows[passage_id] for passage_id in found["ids"][0]], dtype=np.int64)
        return self.ranked(rows, self.cosines(vector, rows))

    def cosines(self, vector: Vectors, rows: Sequence[int] | NDArray[np.int64]) -> Scores:
        """The exact cosine of a query vector to each of these passages."""
        return np.asarray(self.passage_vectors[np.asarray(rows, dtype=np.int64)] @ vector, dtype=np.float64)

    def lexical(self, query: str) -> Scores:
        """The BM25 score of every passage, in order of row; zero where no term of the query occurs."""
        known = [term for term in terms(query) if term in self._bm25.vocab_dict]
        if not known:
            return np.zeros(len(self.passages))
        return np.asarray(self._bm25.get_scores(known), dtype=np.float64)

    def ranked(self, rows: NDArray[np.int64], scores: Scores) -> list[int]:
        """Rows by falling score; equal scores go by passage id."""
        order = sorted(range(len(rows)), key=lambda at: (-scores[at], self.passages[rows[at]].id))
        return [int(rows[at]) for at in order]

    def document_frequency(self, term: str) -> int:
        """In how many passages a term occurs."""
        at = self._bm25.vocab_dict.get(term)
        if at is None:
            return 0
        starts = self._bm25.scores["indptr"]
        return int(starts[at + 1] - starts[at])

    def idf(self, term: str) -> float:
        """Inverse document frequency as BM25 (Lucene) has it; that of a term that occurs in no passage is the highest."""
        frequency = self.document_frequency(term)
        return math.log(1 + (len(self.passages) - frequency + 0.5) / (frequency + 0.5))

    def tokens(self, row: int) -> tuple[Vectors, Spans]:
        """The token vectors of what is embedded of a passage, and where each stands from the passage's start on.

        Tokens of the title and headings in front stand before 0.
        """
        low, high = self._first_token[row], self._first_token[row + 1]
        return self._tokens[low:high].astype(np.float32) / TOKEN_SCALE, self._token_spans[low:high]

    def row(self, passage: Passage) -> int:
        return self._rows[passage.id]

    def statements(self, row: int) -> list[Statement]:
        """The statements of a passage in order."""
        passage = self.passages[row]
        found = []
        for _, start, end, kind, _ in self._statements[self._first_statement[row] : self._first_statement[row + 1]]:
            text = passage.text[start - passage.start : end - passage.start]
            found.append(Statement(KINDS[kind], text, int(start), int(end)))
        return found

    def vectors_of_statements(self, row: int) -> Vectors:
        """The vectors of the statements of a passage, shape (statements, dimension)."""
        return self.statement_vectors[self._first_statement[row] : self._first_statement[row + 1]]

    def statement_cosines(self, vector: Vectors, row: int) -> Scores:
        """The cosine of a query vector to each statement of a passage."""
        return np.asarray(self.vectors_of_statements(row) @ vector, dtype=np.float64)

    def aspect_cosines(self, vector: Vectors, row: int) -> Scores:
        """The cosine of a query vector to the nearest aspect of each statement of a passage."""
        low, high = self._first_statement[row], self._first_statement[row + 1]
        if low == high:
            return np.zeros(0)
        starts = self._statements[low:high, 4]
        end = self._statements[high, 4] if high < len(self._statements) else len(self.aspect_vectors)
        cosines = np.asarray(self.aspect_vectors[starts[0] : end] @ vector, dtype=np.float64)
        return np.maximum.reduceat(cosines, starts - starts[0])

    def check(self) -> None:
        """Raises IndexUnusable unless the halves agree and passages find themselves."""
        count = len(self.passages)
        counts = {
            "Chroma": self._collection.count(),
            "passage vectors": len(self.passage_vectors),
            "BM25": len(self.lexical("")),
            "manifest": self.manifest["passages"],
        }
        if wrong := {name: number for name, number in counts.items() if number != count}:
            raise IndexUnusable(f"The snapshot {self.id} holds {count} passages, but {wrong}. Run: assistant index")
        for name, facts in self.manifest["files"].items():
            if sha256_of(self.folder / name) != facts["sha256"]:
                raise IndexUnusable(f"The snapshot {self.id} is damaged ({name}). Run: assistant index")
        for row in range(0, count, max(1, count // SELF_QUERIES)):
            vector = np.array(self.passage_vectors[row])
            nearest = self.dense(vector, 5)
            if not nearest or self.cosines(vector, nearest[:1])[0] < self.cosines(vector, [row])[0] - 1e-6:
                raise IndexUnusable(
                    f"The snapshot {self.id} does not find its own passage {self.passages[row].id}. Run: assistant index"
                )

    def close(self) -> None:
        self._undo.close()

    def _check_files(self) -> None:
        if self.manifest.get("format") != FORMAT:
            raise ValueError("made by another version")
        for name, facts in self.manifest["files"].items():
            if (self.folder / name).stat().st_size != facts["size"]:
                raise ValueError(f"{name} has another size")

    def _open_chroma(self, undo: ExitStack) -> Any:
        folder = self.folder / str(self.manifest["chroma"])
        if not (folder / "chroma.sqlite3").is_file():
            raise ValueError("its Chroma database is missing")
        if not (os.access(folder, os.W_OK) and os.access(folder / "chroma.sqlite3", os.W_OK)):
            # Chroma writes to a directory it merely opens.
            scratch = undo.enter_context(tempfile.TemporaryDirectory(prefix="assistant-chroma-"))
            folder = Path(shutil.copytree(folder, Path(scratch) / "chroma"))
            for path in [folder, *folder.rglob("*")]:
                path.chmod(path.stat().st_mode | stat.S_IRWXU if path.is_dir() else stat.S_IRUSR | stat.S_IWUSR)
        client = chroma_client(folder)
        undo.callback(client.close)
        return client.get_collection(COLLECTION, embedding_function=None)


def _page(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc.lower()}{parts.path.removesuffix('index.html').rstrip('/')}"


def current(home: Path) -> str | None:
    """The id of the snapshot that is answered from, or None before the first build."""
    try:
        return (home / "CURRENT").read_text("utf-8").strip() or None
    except FileNotFoundError:
        return None


def open_index(home: Path) -> Index:
    """The current snapshot. Raises IndexUnusable if there is none or it is damaged."""
    for _ in range(5):
        snapshot_id = current(home)
        if snapshot_id is None:
            raise IndexUnusable(f"There is no index in {str(home)!r} yet. Run: assistant index")
        try:
            return Index(home, snapshot_id)
        except FileNotFoundError:
            if current(home) == snapshot_id:
                break  # not replaced meanwhile: really missing
    raise IndexUnusable(f"The snapshot {snapshot_id} is missing from {str(home)!r}. Run: assistant index")


def write_collection(folder: Path, passages: Sequence[Passage], vectors: Vectors) -> None:
    client = chroma_client(folder)
    count = max(3, len(passages))
    collection = client.create_collection(
        COLLECTION,
        embedding_function=None,
        configuration={
            "hnsw": {
                "space": "cosine",
                "ef_construction": 400,
                "ef_search": 400,
                "max_neighbors": 32,
                # One write of the graph, at the end.
                "batch_size": count,
                "sync_threshold": count,
            }
        },
    )
    step = client.get_max_batch_size()
    for at in range(0, len(passages), step):
        collection.add(
            ids=[passage.id for passage in passages[at : at + step]],
            embeddings=vectors[at : min(at + step, len(passages))],
        )
    client.close()


def chroma_client(folder: Path) -> Any:
    # No .env of the working directory may change where this goes; no telemetry.
    settings = ChromaSettings(_env_file=None, anonymized_telemetry=False)
    return chromadb.PersistentClient(str(folder), settings=settings)


def _load_passages(path: Path) -> list[Passage]:
    passages = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            fields = json.loads(line)
            passages.append(Passage(**{**fields, "section": tuple(fields["section"])}))
    return passages


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
