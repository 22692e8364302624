"""What is set up, what is missing, and what to run."""

import json
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from assistant.build import is_current
from assistant.corpus import Corpus, corpus_of
from assistant.embedding import find_model
from assistant.errors import AssistantError
from assistant.index import current, open_index
from assistant.models import QUOTES, chain, leaves
from assistant.settings import Settings

PACKAGES = ("chromadb", "gradio", "langchain-core", "onnxruntime", "sentence-transformers", "torch")


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    good: bool
    says: str


def examine(settings: Settings) -> list[Finding]:
    """Each part in turn; nothing is built or fetched."""
    corpus, documents = _corpus(settings)
    weights, model = _model(settings)
    return [_python(), _packages(), documents, model, _index(settings, corpus, weights), _writer(settings)]


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return Finding(
        "Python", good, ".".join(map(str, sys.version_info[:3])) + ("" if good else "; 3.11 or newer is needed")
    )


def _packages() -> Finding:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return Finding("packages", False, f"{name} is not installed. Run: make setup")
    return Finding("packages", True, ", ".join(found))


def _corpus(settings: Settings) -> tuple[Corpus | None, Finding]:
    try:
        corpus = corpus_of(settings)
    except AssistantError as error:
        return None, Finding("documents", False, str(error))
    says = f"{len(corpus.documents)} in {settings.corpus}, {corpus.skipped} other files skipped"
    if corpus.problems:
        return corpus, Finding("documents", False, f"{says}; left out: {'; '.join(map(str, corpus.problems))}")
    return corpus, Finding("documents", True, says)


def _model(settings: Settings) -> tuple[str | None, Finding]:
    encoders = settings.index / "encoders"
    try:
        model = find_model(settings.embeddings, encoders)
    except AssistantError as error:
        return None, Finding("embedding model", False, str(error))
    facts = encoders / model.weights / "encoder.json"
    if not facts.is_file():
        return model.weights, Finding(
            "embedding model", True, f"{model.name}, not exported yet (the first question does it)"
        )
    exported = json.loads(facts.read_text("utf-8"))
    how = (
        "exported, runs on onnxruntime"
        if exported["exported"]
        else f"runs on sentence-transformers, seconds slower to start: {exported['reason']}"
    )
    return model.weights, Finding("embedding model", True, f"{model.name}, {how}")


def _index(settings: Settings, corpus: Corpus | None, weights: str | None) -> Finding:
    if current(settings.index) is None:
        return Finding("index", False, f"none in {settings.index}. Run: assistant index")
    try:
        index = open_index(settings.index)
    except AssistantError as error:
        return Finding("index", False, str(error))
    count = len(index.passages)
    unquoted = [f"{name}:{line}" for name, line in index.addressed.items()]
    index.close()
    if corpus is None or weights is None:
        return Finding("index", True, f"{count} passages")
    fresh = is_current(corpus, settings.index, weights, settings.passage_characters)
    says = f"{count} passages in {settings.index}"
    if unquoted:
        says += f"; not quoted, as they speak to the assistant: {', '.join(unquoted)}"
    return Finding("index", True, says if fresh else f"{says}, older than the documents (the next question updates it)")


def _writer(settings: Settings) -> Finding:
    """Who would be asked, where that is, and whether any text leaves this machine; nobody is called."""
    try:
        profiles = chain(settings)
    except AssistantError as error:
        return Finding("answers", False, str(error))
    names = [f"{one.label} at {one.host}" if one.host else one.label for one in profiles]
    says = f"written by {', else '.join([*names, QUOTES])}"
    if not (hosts := leaves(profiles)):
        return Finding("answers", True, f"{says}; no text leaves this machine")
    return Finding("answers", True, f"{says}; questions and passages leave this machine, to {', '.join(hosts)}")
