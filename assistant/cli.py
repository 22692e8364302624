"""Parse, call, print. Heavy imports wait inside the commands, so that `--help` is instant."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from assistant.errors import AssistantError, UsageError
from assistant.settings import Settings, load_settings

if TYPE_CHECKING:
    from assistant.answering import Assistant
    from assistant.feedback import Feedback
    from assistant.keys import Keys
    from assistant.nouns import Turn

# Typer's own base of "no such option" and the like, which it does not export by name.
WrongFlags: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="assistant",
    help="Answers about containers and virtual machines in which every sentence can be checked.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
ratings = typer.Typer(help="What readers said of answers, with the question and the whole answer.")
app.add_typer(ratings, name="feedback")
keys = typer.Typer(help="Keys with which programs on other machines may ask a server of yours.")
app.add_typer(keys, name="keys")

CorpusOption = Annotated[Path | None, typer.Option("--corpus", metavar="DIR", help="The folder of documents.")]
IndexOption = Annotated[Path | None, typer.Option("--index", metavar="DIR", help="Where snapshots are kept.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]
FileOption = Annotated[
    str | None, typer.Option("--file", metavar="F.jsonl", help="One JSON object a line; - reads stdin.")
]
ModelOption = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Who writes the answer.")]
NoUpdateOption = Annotated[bool, typer.Option("--no-update", help="Answer from the snapshot as it is.")]


@app.command()
def index(
    corpus: CorpusOption = None,
    index: IndexOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the index up to date with the documents."""
    from dataclasses import asdict

    from assistant import build
    from assistant.answering import build_index
    from assistant.corpus import corpus_of
    from assistant.embedding import open_encoder
    from assistant.publishing import build_lock

    settings = load_settings(corpus=corpus, index=index)
    documents = corpus_of(settings, again=not dry_run)
    for problem in documents.problems:
        complain(f"left out {problem}")
    facts: dict[str, Any]
    if dry_run:
        changes = build.changes(documents, settings.index)
        facts = {"documents": len(documents.documents), "changes": asdict(changes)}
        said = [f"{kind} {name}" for kind, names in facts["changes"].items() for name in names] or ["nothing changed"]
    else:
        encoder = open_encoder(settings.embeddings, settings.index / "encoders", settings.threads)
        with build_lock(settings.index):
            report = build_index(settings, documents, encoder, progress_bar)
        facts = asdict(report)
        for name, line in report.addressed.items():
            complain(f"{name}:{line} speaks to the assistant and not to its readers; nothing of it is quoted")
        said = [
            f"{report.documents} documents, {report.passages} passages, {report.statements} statements; "
            f"{report.embedded_passages + report.embedded_statements} texts embedded, {report.reused} reused",
            f"index {report.index}",
        ]
    facts |= {"skipped": documents.skipped, "problems": [asdict(problem) for problem in documents.problems]}
    if documents.skipped:
        said.append(f"{documents.skipped} files of other kinds skipped")
    print(json.dumps(facts) if as_json else "\n".join(said))
    if documents.problems:
        raise typer.Exit(1)


@app.command()
def search(
    query: Annotated[str | None, typer.Argument(help="What to look for.")] = None,
    file: FileOption = None,
    count: Annotated[int | None, typer.Option("-k", min=1, max=1000, help="How many passages.")] = None,
    as_json: JsonOption = False,
    corpus: CorpusOption = None,
    index: IndexOption = None,
    no_update: NoUpdateOption = False,
) -> None:
    """Show the passages that match a query best."""
    from assistant.rendering import hit_json, terminal_hits

    settings = load_settings(corpus=corpus, index=index)
    one_of(query, file, "QUERY")
    if query is not None:
        check(query)
    with opened(settings, not no_update) as assistant:
        wanted = count or settings.passages

        def found(entry: dict[str, Any]) -> dict[str, Any]:
            text = field(entry, "query")
            return {"query": text, "hits": [hit_json(hit) for hit in assistant.search(text, wanted)]}

        if file is not None:
            raise typer.Exit(each_line(file, found))
        assert query is not None
        if as_json:
            print(json.dumps(found({"query": query})))
        else:
            print(terminal_hits(assistant.search(query, wanted), sys.stdout.isatty()))


@app.command()
def ask(
    question: Annotated[str | None, typer.Argument(help="What you want to know.")] = None,
    file: FileOption = None,
    as_json: JsonOption = False,
    model: ModelOption = None,
    no_update: NoUpdateOption = False,
    corpus: CorpusOption = None,
    index: IndexOption = None,
) -> None:
    """Answer a question, every sentence with its source."""
    from assistant.rendering import answer_json, terminal

    settings = load_settings(corpus=corpus, index=index, model=model)
    one_of(question, file, "QUESTION")
    if question is not None:
        check(question)
    with opened(settings, not no_update) as assistant:

        def answered(entry: dict[str, Any]) -> dict[str, Any]:
            return answer_json(assistant.ask(field(entry, "question"), history(entry)))

        if file is not None:
            raise typer.Exit(each_line(file, answered))
        assert question is not None
        answer = assistant.ask(question)
        print(json.dumps(answer_json(answer)) if as_json else terminal(answer, sys.stdout.isatty()))


@app.command()
def prompt(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    as_json: JsonOption = False,
    model: ModelOption = None,
    no_update: NoUpdateOption = False,
    corpus: CorpusOption = None,
    index: IndexOption = None,
) -> None:
    """Show what a model would be sent for a question, without sending it."""
    from dataclasses import asdict

    settings = load_settings(corpus=corpus, index=index, model=model)
    check(question)
    with opened(settings, not no_update) as assistant:
        made = assistant.prompt(question)
    if as_json:
        facts = asdict(made) if made else {"messages": [], "passages": 0, "tokens": 0}
        print(json.dumps({"question": question, "refused": made is None, **facts}))
    elif made is None:
        print("Nothing would be sent: the documents do not answer this question.")
    else:
        for message in made.messages:
            print(f"--- {message.role}, from {message.file}\n\n{message.text}\n")
        print(f"--- {made.passages} passages, at most {made.tokens} tokens")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", help="The port to listen on.")] = None,
    corpus: CorpusOption = None,
    index: IndexOption = None,
    model: ModelOption = None,
) -> None:
    """Serve the web chat and the API in one process."""
    from assistant.api import run

    settings = load_settings(host=host, port=port, corpus=corpus, index=index, model=model)
    raise typer.Exit(run(settings, progress_bar, complain))


@app.command()
def mcp(
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP, not over stdin and stdout.")] = False,
    host: Annotated[
        str | None, typer.Option("--host", help="The address to listen on; 127.0.0.1 if not given.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="The port to listen on; 7861 if not given.")
    ] = None,
    corpus: CorpusOption = None,
    index: IndexOption = None,
) -> None:
    """Give other assistants the tools search and fetch, by the Model Context Protocol."""
    settings = load_settings(corpus=corpus, index=index)
    if not http and (host or port):
        raise UsageError("--host and --port say where to serve over HTTP: give --http, too.")
    try:
        from assistant import mcp_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise UsageError("The extra 'mcp' is missing. Run: pip install -c constraints.txt -e '.[mcp]'") from error
    address = (host or "127.0.0.1", port or 7861) if http else None
    mcp_server.run(settings, progress_bar, complain, address)


@app.command()
def doctor(
    corpus: CorpusOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
    origin: Annotated[
        str | None, typer.Option("--origin", help="Check a running server for the pages of this origin instead.")
    ] = None,
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="That server; default: where serve listens.")
    ] = None,
) -> None:
    """Say what is set up, what is missing, and what to run."""
    from assistant.doctor import examine

    settings = load_settings(corpus=corpus, index=index)
    if origin is not None:
        from assistant.reach import examine_origin

        findings = examine_origin(origin, server or f"http://127.0.0.1:{settings.port}")
    elif server is not None:
        raise UsageError("--server goes with --origin: assistant doctor --origin https://docs.example --server URL")
    else:
        findings = examine(settings)
    if as_json:
        print(json.dumps([{"what": one.what, "good": one.good, "says": one.says} for one in findings]))
    else:
        for one in findings:
            print(f"{'ok     ' if one.good else 'MISSING'}  {one.what}: {one.says}")
    raise typer.Exit(0 if all(one.good for one in findings) else 1)


@ratings.command("list")
def list_ratings(as_json: JsonOption = False) -> None:
    """Show every rating, one a line, the oldest first."""
    from assistant.rendering import one_line

    rated = ratings_file().all()
    if as_json:
        names = ("id", "created", "rating", "reason", "comment")
        facts = [{name: getattr(one, name) for name in names} | {"question": one.trace["question"]} for one in rated]
        print(json.dumps(facts))
        return
    widest = max((len(one.reason) for one in rated), default=0)
    for one in rated:
        reason = (one.reason or "-").ljust(widest)
        print(f"{one.id}  {one.created[:10]}  {one.rating:4}  {reason}  {one_line(one.trace['question'])}")
    if not rated:
        complain("nothing was rated yet")


@ratings.command("export")
def export_ratings() -> None:
    """Print every rating with its whole trace, one JSON object a line."""
    from dataclasses import asdict

    for one in ratings_file().all():
        print(json.dumps(asdict(one)))


@ratings.command("delete")
def delete_rating(rating: Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.")]) -> None:
    """Delete a rating and its trace for good."""
    if not ratings_file().delete(rating):
        raise AssistantError(f"There is no feedback {rating!r}. See: assistant feedback list")


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who it is for.")],
    rate: Annotated[int, typer.Option("--rate", metavar="N", help="Questions a minute.")] = 60,
) -> None:
    """Make a key and print it, once."""
    print(keys_file().add(name, rate))
    complain("this key is shown only now; it is sent as “Authorization: Bearer …”")


@keys.command("list")
def list_keys(as_json: JsonOption = False) -> None:
    """Show whose keys there are, one a line, the oldest first."""
    from dataclasses import asdict

    found = keys_file().all()
    if as_json:
        print(json.dumps([asdict(one) for one in found]))
        return
    for one in found:
        print(f"{one.created[:10]}  {one.rate:7,} a minute  {one.name}")
    if not found:
        complain("there is no key yet. Make one: assistant keys add NAME")


@keys.command("revoke")
def revoke_key(name: Annotated[str, typer.Argument(metavar="NAME", help="As the list shows it.")]) -> None:
    """Delete a key; servers that run refuse it from now on."""
    if not keys_file().revoke(name):
        raise AssistantError(f"There is no key {name!r}. See: assistant keys list")


def main() -> None:
    """The console script."""
    sys.exit(run(app, "assistant"))


def run(program: typer.Typer, name: str, undone: int = 1) -> int:
    """Runs a command line to its exit code: every error is one line on stderr, and 2 or `undone`."""
    # Before anything of these is imported: nothing leaves the machine unless the user says so.
    for variable, value in (
        ("ANONYMIZED_TELEMETRY", "False"),
        ("GRADIO_ANALYTICS_ENABLED", "False"),
        ("LANGSMITH_TRACING", "false"),
        ("TOKENIZERS_PARALLELISM", "false"),
    ):
        os.environ.setdefault(variable, value)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets a question mark, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = program(standalone_mode=False)
        sys.stdout.flush()
    except WrongFlags as error:
        said = error.format_message() if isinstance(error, typer.BadParameter) else str(error)
        complain(f"{said.rstrip('.')}. Try: {name} --help")
        return 2
    except UsageError as error:
        complain(str(error))
        return 2
    except AssistantError as error:
        complain(str(error))
        return undone
    except typer.Abort:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _silence()
        return undone
    except OSError as error:
        complain(f"{error.filename or 'The output'} cannot be read or written ({error.strerror}).")
        _silence()
        return undone
    return code if isinstance(code, int) else 0


def _silence() -> None:
    """Python flushes stdout once more while closing, and must not complain about it then."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(line: str) -> None:
    print(f"assistant: {line}", file=sys.stderr, flush=True)


def check(question: str) -> None:
    """Refuses an impossible question before anything is loaded."""
    from assistant.query import check_question

    check_question(question)


def ratings_file() -> "Feedback":
    """The file that the settings name. Raises UsageError where they say that nothing is stored."""
    from assistant.feedback import open_feedback

    stored = open_feedback(load_settings().feedback)
    if stored is None:
        raise UsageError("No feedback is stored: ASSISTANT_FEEDBACK is off. Set it to a file, or leave it unset.")
    return stored


def keys_file() -> "Keys":
    from assistant.keys import Keys

    return Keys(load_settings().keys.expanduser())


def one_of(text: str | None, file: str | None, name: str) -> None:
    if (text is None) == (file is None):
        raise UsageError(f"Give either {name} or --file.")


@contextmanager
def opened(settings: Settings, update: bool) -> "Iterator[Assistant]":
    from assistant.answering import open_assistant

    assistant = open_assistant(settings, update, progress_bar, complain)
    try:
        yield assistant
    finally:
        assistant.close()


def field(entry: dict[str, Any], name: str) -> str:
    if not isinstance(value := entry.get(name), str):
        raise UsageError(f'"{name}" is missing or no string.')
    return value


def history(entry: dict[str, Any]) -> "list[Turn]":
    from assistant.query import read_history

    return read_history(entry.get("history"))


def each_line(file: str, answer: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    """One JSON line out for each line in, in order; 1 if any failed, else 0."""
    failed = 0
    with source(file) as lines:
        for number, raw in enumerate(lines, 1):
            if not raw.strip():
                continue
            identity = None
            try:
                entry = parsed(raw)
                identity = entry.get("id")
                line = {**answer(entry), "id": identity}
            except AssistantError as error:
                failed = 1
                line = {"id": identity, "line": number, "error": {"type": type(error).__name__, "message": str(error)}}
            print(json.dumps(line), flush=True)
    return failed


def parsed(raw: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON ({error})") from error
    if not isinstance(entry, dict):
        raise UsageError("not a JSON object")
    return entry


@contextmanager
def source(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as lines:
            yield lines
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise UsageError(f"The file {file!r} cannot be read ({error.strerror}).") from error


def progress_bar() -> Callable[[int, int], None]:
    """Shows how many texts are embedded, on stderr; silent while there is nothing to embed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("Indexing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True)
    )
    task = bar.add_task("", total=None)

    def show(done: int, total: int) -> None:
        if total and not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)
        if total and done == total:
            bar.stop()

    return show


if __name__ == "__main__":
    main()
