"""`python -m assistant.export MODEL_FOLDER TARGET`: a sentence-transformers model as one ONNX graph.

Runs in a child process of its own, so that nothing else ever holds torch. Pooling and normalising lie
inside the graph. A second output holds a vector for each token, for late interaction: projected to
TOKEN_DIMENSION numbers by a fixed random rotation, which keeps cosines nearly (Johnson and Lindenstrauss 1984), and
normalised. A model whose graph does not give the same vectors is recorded as not exportable, with the reason, and runs on
sentence-transformers.
"""

import json
import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistant.embedding import VERSION

OPSET = 17
TOKEN_DIMENSION = 128
PARITY = 1e-4  # the most that 1 - cosine may be
PROBES = (
    "Containers share the kernel of their host.",
    "A hypervisor runs several operating systems on one machine, each in a virtual machine of its own. " * 6,
    "x",
)


def main(folder: Path, target: Path) -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    warnings.simplefilter("ignore")
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    scratch = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    scratch.mkdir(parents=True)
    try:
        reason = export(model, folder, scratch)
        facts: dict[str, Any] = {
            "exported": not reason,
            "reason": reason,
            "dimension": int(model.get_embedding_dimension() or 0),
            "max_tokens": int(model.max_seq_length or 512),
            "prompts": {kind: model.prompts.get(kind) or "" for kind in ("query", "document")},
            "opset": OPSET,
            "version": VERSION,
        }
        facts["files"] = {path.name: path.stat().st_size for path in scratch.iterdir()}
        (scratch / "encoder.json").write_text(json.dumps(facts, indent=1, sort_keys=True), "utf-8")
        for path in scratch.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        if not (target / "encoder.json").is_file():
            shutil.rmtree(target, ignore_errors=True)  # what an interrupted copy left
            try:
                scratch.rename(target)
            except OSError:
                if not (target / "encoder.json").is_file():  # else another process was first
                    raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def export(model: Any, folder: Path, target: Path) -> str:
    """Writes `model.onnx` and `tokenizer.json`; the reason why the model cannot be exported, or nothing."""
    import torch

    tokenizer_file = next(
        (path for path in (folder / "tokenizer.json", folder / "0_Transformer" / "tokenizer.json") if path.is_file()),
        None,
    )
    if tokenizer_file is None:
        return "it has no tokenizer.json"
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in model.tokenizer("x")]

    class Whole(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

            self.register_buffer("rotation", torch.from_numpy(rotation(int(model.get_embedding_dimension()))))

        def forward(self, *inputs: Any) -> Any:
            features = self.inner(dict(zip(names, inputs, strict=True)))
            tokens = features["token_embeddings"] @ self.rotation
            return (
                torch.nn.functional.normalize(features["sentence_embedding"], p=2, dim=1),
                torch.nn.functional.normalize(tokens, p=2, dim=2),
            )

    sample = model.tokenizer(list(PROBES[:2]), padding=True, truncation=True, return_tensors="pt")
    axes = {name: {0: "batch", 1: "length"} for name in (*names, "tokens")} | {"vector": {0: "batch"}}
    try:
        with torch.no_grad():
            torch.onnx.export(
                Whole().eval(),
                tuple(sample[name] for name in names),
                str(target / "model.onnx"),
                input_names=names,
                output_names=["vector", "tokens"],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    except (
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        NotImplementedError,
        torch.onnx.errors.OnnxExporterError,
    ) as error:
        (target / "model.onnx").unlink(missing_ok=True)
        return f"torch cannot export it ({type(error).__name__})"
    shutil.copyfile(tokenizer_file, target / "tokenizer.json")
    apart = distance(model, target)
    if apart > PARITY:
        (target / "model.onnx").unlink()
        return f"its exported vectors differ (1 - cosine {apart:.1e})"
    return ""


def rotation(dimension: int) -> NDArray[np.float32]:
    """Orthonormal columns by a fixed seed, shape (dimension, TOKEN_DIMENSION); the identity where there are no more."""
    if dimension <= TOKEN_DIMENSION:
        return np.eye(dimension, dtype=np.float32)
    columns, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(dimension, TOKEN_DIMENSION)))
    return columns.astype(np.float32)


def distance(model: Any, target: Path) -> float:
    """The largest 1 - cosine between sentence-transformers and the exported graph over the probes."""
    from assistant.embedding import Model, OnnxEmbeddings

    facts = {"dimension": 0, "max_tokens": int(model.max_seq_length or 512), "prompts": {"query": "", "document": ""}}
    exported = OnnxEmbeddings(Model("", target, ""), target, facts)
    worst = 0.0
    for text in PROBES:
        reference = model.encode(text, normalize_embeddings=True, show_progress_bar=False)
        worst = max(worst, 1.0 - float(reference @ exported.encode_query(text)))
    return worst


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
