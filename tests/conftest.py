"""Small real things for every test: the exported encoder, Chroma in a temporary folder, no network."""

import fcntl
import os
import re
import socket
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from assistant.build import Report, build
from assistant.chunking import Window
from assistant.comparison import Comparison
from assistant.corpus import comparison_of, load_corpus
from assistant.embedding import PACKAGED_MODEL, Encoded, OnnxEmbeddings, Vectors, open_encoder
from assistant.index import Index, open_index
from assistant.publishing import build_lock
from evals.corpora import founding_alone

# Their assertions say what they saw.
pytest.register_assert_rewrite("pages", "misbehaving")

REPOSITORY = Path(__file__).resolve().parent.parent
LOCAL = re.compile(r"(?:localhost|127\.\d+\.\d+\.\d+|::1|0\.0\.0\.0|::|)\Z")

WriteCorpus = Callable[[Path, Mapping[str, str | bytes]], Path]
BuildSnapshot = Callable[[Path, Path], Report]


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """No test reaches out: only loopback and Unix sockets connect, only local names resolve."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(family: int, address: object) -> None:
        if family == socket.AF_UNIX:
            return
        host = address[0] if isinstance(address, tuple) else address
        if not LOCAL.match(str(host)):
            raise RuntimeError(f"a test was about to connect to {address}")

    def guarded_connect(self: socket.socket, address: object) -> None:
        check(self.family, address)
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: object) -> int:
        check(self.family, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: object, *rest: object, **options: object) -> object:
        name = host.decode() if isinstance(host, bytes) else host
        if name is not None and not LOCAL.match(str(name)):
            raise RuntimeError(f"a test was about to look up {name}")
        return getaddrinfo(host, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("TOKENIZERS_PARALLELISM", "false")
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the exported encoder, one for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "encoders"
    with (base / "encoders.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        open_encoder(PACKAGED_MODEL, folder)
    return folder


@pytest.fixture(scope="session")
def encoder(encoders: Path) -> OnnxEmbeddings:
    opened = open_encoder(PACKAGED_MODEL, encoders)
    assert isinstance(opened, OnnxEmbeddings)
    return opened


@pytest.fixture(scope="session")
def write_corpus() -> WriteCorpus:
    """Writes documents below a folder and gives the folder back."""

    def write(folder: Path, documents: Mapping[str, str | bytes]) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in documents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder

    return write


@pytest.fixture(scope="session")
def build_snapshot(encoder: OnnxEmbeddings) -> BuildSnapshot:
    """Builds and publishes the snapshot of a corpus folder, holding the build lock."""

    def made(corpus: Path, home: Path) -> Report:
        with build_lock(home):
            return build(load_corpus(corpus), home, encoder, 700)

    return made


def with_encoders(home: Path, encoders: Path) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    (home / "encoders").symlink_to(encoders, target_is_directory=True)
    return home


@pytest.fixture
def index_home(tmp_path: Path, encoders: Path) -> Path:
    """An index folder that need not export the encoder again."""
    return with_encoders(tmp_path / "index", encoders)


@pytest.fixture(scope="session")
def founding_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The founding document and what it compares, alone."""
    return founding_alone(REPOSITORY / "corpus", tmp_path_factory.mktemp("founding") / "corpus")


@pytest.fixture(scope="session")
def founding_home(founding_corpus: Path, encoders: Path, build_snapshot: BuildSnapshot) -> Path:
    """The index folder of the founding document."""
    home = with_encoders(founding_corpus.parent / "index", encoders)
    build_snapshot(founding_corpus, home)
    return home


@pytest.fixture(scope="session")
def whole_home(tmp_path_factory: pytest.TempPathFactory, encoders: Path, build_snapshot: BuildSnapshot) -> Path:
    """The index folder of the checkout's whole corpus, one for all workers of a run."""
    home = encoders.parent / "whole"
    with (encoders.parent / "whole.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            with_encoders(home, encoders)
            build_snapshot(REPOSITORY / "corpus", home)
    return home


@pytest.fixture(scope="session")
def founding(founding_home: Path) -> Iterator[Index]:
    """The open snapshot of the founding document."""
    index = open_index(founding_home)
    yield index
    index.close()


@pytest.fixture(scope="session")
def comparison() -> Comparison:
    """What the checkout's own corpus compares."""
    return comparison_of(REPOSITORY / "corpus")


@pytest.fixture(scope="session")
def founding_text() -> str:
    return (REPOSITORY / "corpus" / "docker-vs-vms.md").read_bytes().decode()


@pytest.fixture
def environment(tmp_path: Path, index_home: Path) -> dict[str, str]:
    """What a child process gets: the test's own corpus folder and index folder, no hub."""
    return child_environment(tmp_path / "corpus", index_home)


def same_as_written(path: Path, text: str) -> None:
    """Compares with a file that is read by people; where there is none, writes it and fails once."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        pytest.fail(f"{path.name} was not there and is written now; look at it and run again")
    assert text == path.read_text("utf-8")


def child_environment(corpus: Path, index: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ASSISTANT_")}
    return {
        **kept,
        "ASSISTANT_CORPUS": str(corpus),
        "ASSISTANT_INDEX": str(index),
        "ASSISTANT_FEEDBACK": "off",
        "ASSISTANT_KEYS": str(index / "keys.sqlite3"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture(scope="session")
def assistant_command() -> list[str]:
    return [sys.executable, "-m", "assistant.cli"]


class WordEncoder:
    """Texts that share words land near each other. Deterministic, no model; another dimension than the real one."""

    name = "words"
    weights = "0" * 64
    window = Window()
    dimension = 64

    def encode_query(self, text: str) -> Vectors:
        vector = np.zeros(self.dimension, dtype=np.float32)
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % self.dimension] += 1.0
        return vector / (np.linalg.norm(vector) or 1.0)

    def encode_documents(self, texts: Sequence[str]) -> Iterator[Vectors]:
        return map(self.encode_query, texts)

    def encode_question(self, text: str) -> Encoded:
        """One token a word, as far as it goes."""
        words = list(re.finditer(r"\w+", text))
        tokens = [self.encode_query(word[0]) for word in words]
        spans = np.array([word.span() for word in words], dtype=np.int32).reshape(len(words), 2)
        return Encoded(self.encode_query(text), np.array(tokens, dtype=np.float32).reshape(len(words), 64), spans)

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoded]:
        return map(self.encode_question, texts)


@pytest.fixture(scope="session")
def word_encoder() -> WordEncoder:
    return WordEncoder()
