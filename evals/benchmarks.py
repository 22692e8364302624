"""The commands that judge a part on data of its own: chunking, mtrag_un, support, bench."""

import json
from pathlib import Path
from typing import Annotated

import typer

from assistant.cli import complain, progress_bar
from assistant.corpus import corpus_of
from assistant.embedding import open_encoder
from assistant.models import QUOTES
from assistant.settings import load_settings
from assistant.support import WEIGHTS, load_weights
from evals import attack as attacks
from evals import bench as benches
from evals import chunking_evaluation, load, mtrag_un, support
from evals.app import JsonOption, app, opened
from evals.gold import GOLD, load_gold
from evals.reports import canonical


@app.command()
def chunking(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="The folder of chunking_evaluation.")],
    index: Annotated[Path, typer.Option("--index", metavar="DIR", help="Where its index is kept.")],
) -> None:
    """Chroma's chunking evaluation, top 5, by its own protocol."""
    items = chunking_evaluation.load(data)
    result = chunking_evaluation.evaluate(opened(load_settings(corpus=data / "corpora", index=index)), items)
    print(f"{'':20}{'recall':>8}{'prec.':>8}{'IoU':>8}{'chars':>8}")
    for group, values in result.items():
        print(
            f"{group:20}" + "".join(f"{values[metric]:8.1f}" for metric in ("recall", "precision", "iou", "characters"))
        )


@app.command(name="mtrag_un")
def judge_refusal(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="The folder of mtrag_un.")],
    index: Annotated[Path, typer.Option("--index", metavar="DIR", help="Where its documents and index are kept.")],
    as_json: JsonOption = False,
) -> None:
    """Answering and refusing on MTRAG-UN, a corpus the gate was not fitted on, beside simpler rules."""
    result = mtrag_un.measure(data, index, None, progress_bar, complain)
    print(canonical(result) if as_json else mtrag_un.table(result))


@app.command(name="support")
def judge_support(
    write: Annotated[
        bool, typer.Option("--write", help="Fit on the dev half and write assistant/support.json.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """The support check on hand-written contradictions and paraphrases, and on pairs made by rule."""
    settings = load_settings()
    corpus = corpus_of(settings)
    encoder = open_encoder(settings.embeddings, settings.index / "encoders", settings.threads)
    dev = support.load_entries(support.DEV)
    fitted = support.fit(dev, encoder, corpus.comparison)
    if write:
        WEIGHTS.write_text(support.support_data(fitted), "utf-8")
        load_weights.cache_clear()
    crossed = support.cross_validated(fitted, dev)
    held_out = support.measure(support.load_entries(support.TEST), encoder, corpus.comparison)
    made = support.measure(support.rule_made(corpus.documents, corpus.comparison), encoder, corpus.comparison)
    result = {"dev, cross-validated": crossed, "test": held_out, "made by rule": made}
    print(canonical(result) if as_json else support.report(held_out, made, crossed))


@app.command(name="attack")
def judge_checking(
    split: Annotated[str | None, typer.Option("--split", help="Only dev or test.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 where more passes than may.")] = False,
    as_json: JsonOption = False,
) -> None:
    """An attacker in the place of a model: what of its lies, truths and junk reaches a reader."""
    assistant = opened(load_settings())
    questions = [one for one in load_gold(GOLD) if split in (None, one.split)]
    result = attacks.attack(assistant, questions)
    print(canonical(result) if as_json else attacks.table(result))
    if check and (faults := attacks.faults(result)):
        for fault in faults:
            complain(fault)
        raise typer.Exit(1)


@app.command()
def bench(
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=50)] = 5,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="Time this model's answers.")] = None,
    as_json: JsonOption = False,
) -> None:
    """A cold question, paired with a plain sentence-transformers script; a warm one, with one run of the encoder.

    With a model, its own answers instead: to the first sentence, to the end, and what checking takes of that.
    """
    settings = load_settings(model=model)
    if settings.model != QUOTES:
        asked = [one.question for one in load_gold(GOLD) if one.split == "dev" and one.answerable][: 4 * rounds]
        assistant = opened(settings)
        told = benches.written(assistant, asked)
        assistant.close()
        print(json.dumps(told) if as_json else "\n".join(f"{name:20}{value:10}" for name, value in told.items()))
        return
    assistant = opened(settings)
    questions = [question.question for question in load_gold(GOLD) if question.split == "dev"]
    warm = benches.warm(assistant, questions)
    assistant.close()
    result = benches.compare(settings, settings.corpus / "docker-vs-vms.md", rounds) | {"warm": warm}
    if as_json:
        print(json.dumps(result))
        return
    for name in ("assistant", "sentence_transformers"):
        print(f"{name:24}{result[name]['seconds']:8.2f} s {result[name]['megabytes']:6.0f} MB")
    print(
        f"{'ratio':24}{result['ratio']['median']:8.3f}   ({result['ratio']['least']:.3f} to {result['ratio']['most']:.3f})"
    )
    print(
        f"warm: retrieval with gate {warm['retrieve_ms']} ms, {warm['ratio']} x one run of the encoder"
        f" ({warm['encoder_ms']} ms); the whole answer {warm['total_ms']} ms"
    )
    for name, value in result["stages_ms"].items():
        print(f"  {name:52}{value:6d} ms")


@app.command(name="load")
def judge_load(
    users: Annotated[int, typer.Option("--users", min=1, max=200, help="So many ask one after another.")] = 50,
    each: Annotated[int, typer.Option("--each", min=1, max=100, help="So many questions each.")] = 10,
    crowd: Annotated[int, typer.Option("--crowd", min=1, max=1000, help="So many ask at the same moment.")] = 200,
    early: Annotated[int, typer.Option("--early", min=8, help="Memory is read after so many questions more,")] = 200,
    late: Annotated[int, typer.Option("--late", min=16, help="and after so many.")] = 2000,
    as_json: JsonOption = False,
) -> None:
    """The web chat under load, through its page's own protocol, on a server of its own."""
    settings = load_settings()
    questions = [one.question for one in load_gold(GOLD) if one.split == "dev" and not one.history]
    opened(settings).close()  # the index is brought up to date before the clock runs
    result = load.measure(settings, questions, users, each, crowd, early, late)
    if as_json:
        print(json.dumps(result))
        return
    for name, values in result.items():
        print(f"{name:10}{values}")
