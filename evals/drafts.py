"""What became of the sentences that a model wrote: shown, cited anew, or left out."""

from collections.abc import Sequence
from typing import Any

from assistant.drafting import drafted
from assistant.models import QUOTES
from evals.attack import plain
from evals.metrics import rate


def summary(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the answers with a draft: how many the model wrote, and its different sentences by what became of them.

    `repaired` are shown with a passage that the model had not named for them.
    """
    with_draft = [answer for answer in answers if answer.get("draft")]
    said = shown = weak = repaired = 0
    for answer in with_draft:
        hits = [(hit["document"], hit["start"], hit["end"]) for hit in answer["hits"]]
        cited = {one["number"]: one for one in answer["citations"]}
        kept = {plain(sentence["text"]): sentence for sentence in answer["sentences"]}
        by_model = answer["answered_by"] != QUOTES
        for text, numbers in {plain(one.text): one.numbers for one in drafted(answer["draft"], True)}.items():
            said += 1
            sentence = kept.get(text) if by_model else None
            if sentence is None:
                continue
            shown += 1
            weak += sentence["support"] != "supported"
            places = [cited[number] for number in sentence["citations"]]
            named = [hits[number - 1] for number in numbers if 0 < number <= len(hits)]
            repaired += not any(
                document == one["document"] and start <= one["start"] < end
                for document, start, end in named
                for one in places
            )
    written = [answer["answered_by"] != QUOTES for answer in with_draft]
    return {
        "written": rate(written),
        "sentences": said,
        "shown": shown,
        "weak": weak,
        "repaired": repaired,
        "left_out": said - shown,
    }


def line(told: dict[str, Any]) -> str:
    """The summary for a person."""
    written = told["written"]
    return (
        f"drafts: {written['of']}, of which {written['count']} are answers by the model ({written['rate'] or 0:.1%}); "
        f"{told['sentences']} sentences: {told['shown']} shown ({told['weak']} weak, {told['repaired']} cited anew), {told['left_out']} left out"
    )
