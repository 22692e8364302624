"""`make bench`: a cold `assistant ask` against the same question through a plain sentence-transformers script.

Both are whole processes, taken in turn in one run, so that the ratio holds on any machine. Wall time and
peak memory are the operating system's own figures for each finished child.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.answering import Assistant
from assistant.embedding import find_model
from assistant.errors import AssistantError
from assistant.models import QUOTES
from assistant.settings import Settings

QUESTION = "Why do containers start faster than virtual machines?"
# What a tutorial does: paragraphs, one model, cosine, the best three.
PLAIN = """
import sys
from sentence_transformers import SentenceTransformer
folder, document, question = sys.argv[1:]
model = SentenceTransformer(folder, device="cpu", local_files_only=True)
with open(document, encoding="utf-8") as file:
    passages = [part.strip() for part in file.read().split("\\n\\n") if part.strip()]
vectors = model.encode(passages, normalize_embeddings=True)
scores = vectors @ model.encode(question, normalize_embeddings=True)
for at in scores.argsort()[::-1][:3]:
    print(passages[at])
"""
STAGES = """
import time
start = time.perf_counter()
def mark(name):
    global start
    now = time.perf_counter()
    print(f"{name}\\t{(now - start) * 1000:.0f}")
    start = now
import assistant.cli, assistant.settings
mark("imports: command line, settings")
import chromadb
mark("imports: chromadb")
import bm25s
mark("imports: bm25s")
import assistant.answering
mark("imports: the rest")
from assistant.settings import load_settings
made = assistant.answering.open_assistant(load_settings())
mark("open: corpus digest, snapshot, Chroma")
made.encoder.encode_query("warm")
mark("open: encoder (onnxruntime, tokenizers, weights)")
made.ask("%s")
mark("answer")
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process: wall seconds and peak resident megabytes."""

    seconds: float
    megabytes: float


def run(command: Sequence[str]) -> Run:
    """Runs a command to its end. Raises AssistantError if it fails."""
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise AssistantError(f"{' '.join(command[:4])} … ended with {child.returncode}; run it by hand to see why.")
    # Linux counts kilobytes, macOS bytes.
    return Run(seconds, usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024))


def compare(settings: Settings, document: Path, rounds: int) -> dict[str, Any]:
    """Medians of both and the ratio pair by pair; the first pair warms the disk cache and is not counted."""
    model = find_model(settings.embeddings, settings.index / "encoders")
    ours = [sys.executable, "-m", "assistant.cli", "ask", QUESTION]
    plain = [sys.executable, "-c", PLAIN, str(model.folder), str(document), QUESTION]
    pairs = [(run(ours), run(plain)) for _ in range(rounds + 1)][1:]
    ratios = [mine.seconds / theirs.seconds for mine, theirs in pairs]
    return {
        "rounds": rounds,
        "assistant": _summary([mine for mine, _ in pairs]),
        "sentence_transformers": _summary([theirs for _, theirs in pairs]),
        "ratio": {
            "median": round(statistics.median(ratios), 3),
            "least": round(min(ratios), 3),
            "most": round(max(ratios), 3),
        },
        "stages_ms": stages(),
    }


def warm(assistant: Assistant, questions: Sequence[str]) -> dict[str, float]:
    """Milliseconds a question, medians in one process: one run of the encoder, retrieval with gate, the whole answer.

    `ratio` is the median over the questions of retrieval with gate to one run of the encoder, taken in turn.
    """
    assistant.ask(questions[0])
    encoder, found, whole = [], [], []
    for question in questions:
        started = time.perf_counter()
        assistant.encoder.encode_query(question)
        encoder.append((time.perf_counter() - started) * 1000)
        answer = assistant.ask(question)
        found.append(answer.timings_ms["retrieve"])
        whole.append(answer.timings_ms["total"])
    return {
        "encoder_ms": round(statistics.median(encoder), 2),
        "retrieve_ms": round(statistics.median(found), 2),
        "total_ms": round(statistics.median(whole), 2),
        "ratio": round(statistics.median(two / one for one, two in zip(encoder, found, strict=True)), 2),
    }


def written(assistant: Assistant, questions: Sequence[str]) -> dict[str, float]:
    """How a model answers when it is warm: medians to the first sentence and to the end, and what checking takes of it.

    `checking` is the whole time spent on checking by the whole time of the answers that the model wrote.
    """
    assistant.ask(questions[0])
    first, whole, checking = [], [], []
    for question in questions:
        started = time.perf_counter()
        seen = None
        answer = None
        for answer in assistant.stream(question):
            if seen is None and answer.sentences:
                seen = time.perf_counter() - started
        if answer is None or answer.refused or answer.answered_by == QUOTES or seen is None:
            continue
        first.append(seen)
        whole.append(answer.timings_ms["total"] / 1000)
        checking.append(answer.timings_ms["verify"] / 1000)
    if not whole:
        raise AssistantError("The model wrote none of the answers. Is it there? Try: assistant doctor")
    return {
        "answers": len(whole),
        "first_sentence_s": round(statistics.median(first), 2),
        "end_s": round(statistics.median(whole), 2),
        "checking": round(sum(checking) / sum(whole), 4),
    }


def stages() -> dict[str, int]:
    """Where a cold question spends its time, in milliseconds, in one process of its own."""
    done = subprocess.run([sys.executable, "-c", STAGES % QUESTION], capture_output=True, text=True, check=True)
    return {name: int(value) for name, value in (line.split("\t") for line in done.stdout.splitlines())}


def _summary(runs: Sequence[Run]) -> dict[str, float]:
    return {
        "seconds": round(statistics.median(one.seconds for one in runs), 2),
        "megabytes": round(max(one.megabytes for one in runs)),
    }
