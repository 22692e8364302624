"""What the commands of `python -m evals` share: the program, its options, an open assistant."""

from pathlib import Path
from typing import Annotated

import typer

from assistant.answering import Assistant, open_assistant
from assistant.cli import complain, progress_bar
from assistant.settings import Settings

app = typer.Typer(name="python -m evals", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

CorpusOption = Annotated[Path | None, typer.Option("--corpus", metavar="DIR", help="The folder of documents.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the reports go.")]
IndexOption = Annotated[Path | None, typer.Option("--index", metavar="DIR", help="Where snapshots are kept.")]
FoundingOption = Annotated[
    bool, typer.Option("--founding", help="The founding document alone, with its own gold questions and baseline.")
]
GoldOption = Annotated[Path, typer.Option("--gold", metavar="DIR", help="The folder of gold questions.")]
ModelOption = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Who writes the answers.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]


def opened(settings: Settings) -> Assistant:
    return open_assistant(settings, True, progress_bar, complain)
