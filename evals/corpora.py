"""Corpora made out of the one at hand: the founding document alone, and the whole with poisoned notes in it."""

import shutil
from pathlib import Path

from assistant.comparison import FILE as COMPARED
from assistant.index import current
from assistant.settings import Settings
from evals.gold import FOUNDING, POISON

# Where the poisoned notes lie in the corpus they are put into; their document ids start so.
POISONED = "poison"


def founding_alone(corpus: Path, folder: Path) -> Path:
    """The founding document and what it compares, copied out of a corpus into a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (FOUNDING, COMPARED):
        shutil.copyfile(corpus / name, folder / name)
    return folder


def on_founding(settings: Settings) -> Settings:
    """The same settings for the founding document alone, in an index of its own; the exported encoder is shared."""
    home = settings.index / "founding"
    return _moved(settings, founding_alone(settings.corpus, home / "corpus"), home / "index")


def on_poisoned(settings: Settings) -> Settings:
    """The same settings for the corpus with the poisoned notes in it, in an index of its own."""
    home = settings.index / "poisoned"
    corpus = home / "corpus"
    shutil.rmtree(corpus, ignore_errors=True)
    shutil.copytree(settings.corpus, corpus)
    shutil.copytree(POISON, corpus / POISONED, ignore=shutil.ignore_patterns("*.yaml"))
    moved = _moved(settings, corpus, home / "index")
    # A build looks for known vectors in all snapshots beside it: those of the corpus itself are most of these.
    snapshot, link = current(settings.index), moved.index / "without-poison"
    link.unlink(missing_ok=True)
    if snapshot:
        link.symlink_to(settings.index.resolve() / snapshot)
    return moved


def _moved(settings: Settings, corpus: Path, home: Path) -> Settings:
    home.mkdir(parents=True, exist_ok=True)
    (settings.index / "encoders").mkdir(parents=True, exist_ok=True)
    link = home / "encoders"
    if not link.exists():
        link.symlink_to((settings.index / "encoders").resolve())
    return settings.model_copy(update={"corpus": corpus, "index": home})
