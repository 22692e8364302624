"""The sources panel: what was searched, and the passages behind an answer with their quotes marked."""

import html
from collections.abc import Callable

from assistant.nouns import Answer, Passage
from assistant.rendering import lines, one_line, path_of
from assistant.viewer import deep_link, excerpt, source_path


def panel_html(answer: Answer, anchor: Callable[[int], str]) -> str:
    """What was searched, then each citation's passage with the quote marked; `anchor(number)` is the id of its card.

    A refusal shows the passages that come nearest instead. The links lead from a page one folder deep.
    """
    searched = f"<p class='query'>Searched for: {html.escape(one_line(answer.search_query))}</p>"
    if answer.refused:
        nearest = "".join(
            _card("", passage, (passage.start, passage.end), (passage.line_start, passage.line_end), marked=False)
            for passage, _ in answer.hits[:3]
        )
        return f"{searched}<h3>Nearest passages</h3>{nearest}" if nearest else searched
    cards = "".join(
        _card(
            f"<span class='number'>[{one.number}]</span> ",
            one.passage,
            (one.start, one.end),
            (one.line_start, one.line_end),
            anchor(one.number),
        )
        for one in answer.citations
    )
    return f"{searched}<h3>Sources</h3>{cards}" if cards else searched


def _card(
    number: str, passage: Passage, span: tuple[int, int], at: tuple[int, int], anchor: str = "", marked: bool = True
) -> str:
    identity = f" id='{html.escape(anchor, quote=True)}'" if anchor else ""
    file = f"<span class='lines'>{html.escape(one_line(passage.document_id))}, {lines(*at)}</span>"
    where = f"<p class='where'>{number}{html.escape(one_line(path_of(passage)))} {file}</p>"
    # No line break may stay: in Markdown a blank line would end the block, and what follows be read as Markdown.
    text = excerpt(passage, span if marked else (0, 0)).replace("\n", "&#10;")
    return f"<article class='source'{identity} tabindex='-1'>{where}<div class='passage'>{text}</div>{_links(passage, span)}</article>"


def _links(passage: Passage, span: tuple[int, int]) -> str:
    links = {"In the document": f"../sources/{source_path(passage, *span)}", "On its page": deep_link(passage, *span)}
    shown = " ".join(f"<a href='{html.escape(to, quote=True)}'>{text}</a>" for text, to in links.items() if to)
    return f"<p class='links'>{shown}</p>"
