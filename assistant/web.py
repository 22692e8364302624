"""The Gradio chat: the answer with its numbers, and beside it the sources with the quote marked."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from assistant.comparison import NOTHING, Comparison
from assistant.errors import AssistantError
from assistant.nouns import Answer, Turn
from assistant.rendering import escape_markdown, markdown, panel_html

TITLE = "Ask the documents"
CSS = """
.gradio-container { max-width: 1280px !important; margin: 0 auto !important; }
.sources h3 { margin: 0 0 .5rem; font-size: 1rem; }
.sources .query { opacity: .8; margin: 0 0 .75rem; }
.sources .source { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: .75rem; margin: 0 0 .75rem; }
.sources .source:target { outline: 2px solid var(--color-accent); }
.sources .where { margin: 0 0 .5rem; font-weight: 600; }
.sources .lines { display: block; font-weight: 400; opacity: .75; font-size: .85rem; }
.sources .passage { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .9rem; line-height: 1.45; }
.bot table { table-layout: fixed; width: 100%; }
.bot th, .bot td { padding: .4rem .5rem !important; word-break: normal !important; overflow-wrap: break-word; hyphens: auto; vertical-align: top; }
@media (max-width: 480px) { .bot th, .bot td { font-size: .85rem; padding: .3rem !important; } }
.sources mark { background: #ffe28a; color: #1a1a1a; border-radius: 3px; padding: 0 .1em; }
"""

EMPTY = "<p class='query'>The passages behind an answer appear here, the quoted sentence marked.</p>"

Stream = Callable[[str, list[Turn], Callable[[], bool]], Iterator[Answer]]


def chat(stream: Stream, comparison: Comparison = NOTHING) -> Any:
    """The chat as Gradio Blocks; `stream` answers a question with its history.

    Its title and the questions it suggests come from the corpus.
    """
    title = comparison.title or TITLE
    # Before Gradio is imported: it would look up its maker's host.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio

    async def respond(question: str, messages: list[dict[str, Any]]) -> AsyncIterator[tuple[str, str]]:
        # Gradio closes an asynchronous function at once where it stops it; one in a thread only when it yields again.
        stopped = threading.Event()
        answers = stream(question, turns(messages), stopped.is_set)
        try:
            while (answer := await asyncio.to_thread(next, answers, None)) is not None:
                yield message(answer), panel_html(answer, anchor)
        except AssistantError as error:
            yield escape_markdown(str(error)), EMPTY
        finally:
            stopped.set()

    # Markdown and not gradio.HTML, which evaluates its value as a template.
    sources = gradio.Markdown(EMPTY, render=False, elem_classes=["sources"], sanitize_html=True, latex_delimiters=[])
    with (
        gradio.Blocks(title=title, analytics_enabled=False, fill_height=True) as blocks,
        gradio.Row(equal_height=False),
    ):
        with gradio.Column(scale=3, min_width=320):
            gradio.Markdown(
                f"# {escape_markdown(title)}\nEvery sentence is checked against the documents; its number leads to the place."
            )
            gradio.ChatInterface(
                respond,
                chatbot=gradio.Chatbot(
                    label="Conversation",
                    height="60vh",
                    buttons=["copy", "copy_all"],
                    latex_delimiters=[],
                    allow_tags=False,
                    sanitize_html=True,
                    allow_file_downloads=False,
                ),
                textbox=gradio.Textbox(
                    label="Question",
                    show_label=True,
                    placeholder="Ask the documents",
                    max_length=2000,
                    submit_btn="Ask",
                    stop_btn="Stop",
                ),
                additional_outputs=[sources],
                examples=[[example] for example in comparison.examples] or None,
                cache_examples=False,
                run_examples_on_click=True,
                editable=True,
                flagging_mode="never",
                save_history=False,
                concurrency_limit=None,
                api_name="chat",
                api_visibility="private",
            )
        with gradio.Column(scale=2, min_width=320):
            sources.render()
    blocks.queue(max_size=32, api_open=False)
    return blocks


def mount(app: Any, stream: Stream, path: str, comparison: Comparison = NOTHING) -> Any:
    """The FastAPI application with the chat at `path`; nothing of Gradio that a chat does not need."""
    blocks = chat(stream, comparison)
    import gradio

    return gradio.mount_gradio_app(
        app,
        blocks,
        path=path,
        css=CSS,
        theme=gradio.themes.Base(
            font=["system-ui", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
        ),
        show_error=False,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        ssr_mode=False,
        max_file_size=1,
        allowed_paths=[],
    )


def anchor(number: int) -> str:
    return f"source-{number}"


def message(answer: Answer) -> str:
    """The answer's text as the chat shows it; while it is not written yet, what is happening."""
    if not answer.text:
        return "…"
    notes = [f"*{escape_markdown(notice)}*" for notice in answer.notices]
    return "\n\n".join([markdown(answer, lambda number: f"#{anchor(number)}"), *notes])


def turns(messages: list[dict[str, Any]]) -> list[Turn]:
    """Gradio's messages as turns; a question that was stopped has an empty answer."""
    found: list[Turn] = []
    for entry in messages:
        text = _text(entry.get("content"))
        if entry.get("role") == "user":
            found.append(Turn(text[:2000]))
        elif found:
            found[-1] = Turn(found[-1].question, text)
    return found


def _text(content: Any) -> str:
    """A message's text; Gradio sends a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    return " ".join(str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in parts)
