"""The Gradio chat: the conversation, what was searched for it, and the sources with the quotes marked.

The conversation lives in the browser; each event sends it and gets it back, and nothing of it stays here.
"""

import json
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from importlib.resources import files
from typing import Any

from assistant import __version__
from assistant.comparison import NOTHING, Comparison
from assistant.conversation import (
    DOWN,
    KEEP,
    STOPPED,
    UP,
    Exchange,
    as_data,
    export_json,
    export_markdown,
    interrupted,
    messages,
    panel,
    read_conversation,
    said,
    turns,
)
from assistant.errors import AssistantError
from assistant.feedback import COMMENT, REASONS, Feedback, trace_of
from assistant.query import MAX_QUESTION
from assistant.rendering import answer_json, escape_markdown
from assistant.serving import Question, Service, paced

PROMISE = "Every sentence is checked against the documents; its number leads to the place."
EMPTY = "<p class='query'>The passages behind an answer appear here, the quoted sentence marked.</p>"
STATIC = files("assistant") / "static"
# The browser keeps the conversation under this key. What Gradio calls a secret is readable by the page and protects nothing;
# it must stay the same, or a restart loses every conversation.
STORED, SECRET = "assistant-conversation", "assistant"
TICK = 1.0  # seconds
THANKS = "Thank you. It is stored with the question, the answer and its sources."


def chat(service: Service, comparison: Comparison = NOTHING, feedback: Feedback | None = None) -> Any:
    """The chat as Gradio Blocks. Its title and the questions it suggests come from the corpus."""
    title = service.title
    # Before Gradio is imported: it would look up its maker's host.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio

    choices = list(service.choices)
    with gradio.Blocks(title=title, analytics_enabled=False) as blocks:
        kept = gradio.BrowserState([], storage_key=STORED, secret=SECRET)
        with gradio.Row(equal_height=False):
            with gradio.Column(scale=3, min_width=320, elem_classes=["asking"]):
                gradio.Markdown(f"# {escape_markdown(title)}\n{PROMISE}")
                chatbot = gradio.Chatbot(
                    label="Conversation",
                    elem_classes=["conversation"],
                    height="60vh",
                    buttons=["copy", "copy_all"],
                    latex_delimiters=[],
                    allow_tags=False,
                    sanitize_html=True,
                    allow_file_downloads=False,
                    editable="user",
                    group_consecutive_messages=False,
                    feedback_options=("Like", "Dislike") if feedback else None,
                    examples=[{"text": example} for example in comparison.examples] or None,
                )
                box = gradio.Textbox(
                    label="Question",
                    show_label=True,
                    placeholder="Ask the documents",
                    max_length=MAX_QUESTION,
                    submit_btn="Ask",
                    autofocus=True,
                )
                with gradio.Row(elem_classes=["actions"]):
                    model = gradio.Dropdown(
                        choices, value=choices[0], label="Written by", visible=len(choices) > 1, min_width=240
                    )
                    as_markdown = gradio.Button("Export as Markdown", size="sm", min_width=120)
                    as_json = gradio.Button("Export as JSON", size="sm", min_width=120)
                    clear = gradio.Button("New conversation", size="sm", min_width=120)
                with gradio.Group(visible=False, elem_classes=["rating"]) as rating:
                    reason = gradio.Radio(list(REASONS), label="What is the matter with it?")
                    comment = gradio.Textbox(label="In your words", lines=1, max_lines=1, max_length=COMMENT)
                    send = gradio.Button("Send", size="sm")
            with gradio.Column(scale=2, min_width=320):
                searched = gradio.Textbox(
                    label="Searched for",
                    info="Change it and press Enter to search again.",
                    lines=1,
                    max_lines=1,
                    max_length=MAX_QUESTION,
                    interactive=True,
                    elem_classes=["searched"],
                )
                # Markdown and not gradio.HTML, which evaluates its value as a template.
                sources = gradio.Markdown(EMPTY, elem_classes=["sources"], sanitize_html=True, latex_delimiters=[])
        # Gradio would evaluate scripts of ours, which the page's policy forbids; chat.js watches these two instead.
        spoken = gradio.Markdown(elem_classes=["spoken"], sanitize_html=True, latex_delimiters=[], container=False)
        exported = gradio.Markdown(elem_classes=["exported"], sanitize_html=True, latex_delimiters=[], container=False)
        rated = gradio.State(-1)

        def shown(exchanges: Sequence[Exchange], busy: bool = False, typed: str | None = None) -> tuple[Any, ...]:
            """What the page shows of a conversation: the values of `page`; the box stays as it is while an answer grows."""
            exchanges = exchanges[-KEEP:]  # what is not kept is not shown either: messages are counted on both sides
            last = exchanges[-1].answer if exchanges else None
            button: dict[str, Any] = {"submit_btn": "Ask", "stop_btn": False}
            if busy:
                button = {"submit_btn": False, "stop_btn": "Stop"}
            if typed is not None:
                button["value"] = typed
            # Plain values where they do: Gradio works out anew what a component can be each time that it gets one.
            return (
                as_data(exchanges),
                messages(exchanges),
                panel(exchanges) or EMPTY,
                last.search_query if last else "",
                gradio.skip() if busy and typed is None else gradio.Textbox(**button),
                "" if busy or not exchanges else escape_markdown(said(exchanges[-1])),
            )

        page = [kept, chatbot, sources, searched, box, spoken]

        def opened(data: Any, request: gradio.Request) -> tuple[Any, ...]:
            asked = str(request.query_params.get("q", ""))[:MAX_QUESTION] if request else ""
            exchanges = interrupted(read_conversation(data))
            # Whoever is quick may have typed already.
            stored, told, *rest = shown(exchanges) if exchanges else (gradio.skip() for _ in page)
            if exchanges:
                told = gradio.Chatbot(value=told, feedback_value=_rated(exchanges))
            rest[2] = gradio.Textbox(value=asked) if asked else gradio.skip()
            return stored, told, *rest

        def begun(before: Sequence[Exchange], now: Exchange) -> tuple[Any, ...]:
            return shown([*before, now], busy=True, typed="")

        def ask(text: str, data: Any, model: str) -> tuple[Any, ...]:
            before = interrupted(read_conversation(data), STOPPED)
            return begun(before, Exchange(text.strip(), model=model)) if text.strip() else shown(before)

        def ask_example(data: Any, model: str, chosen: gradio.SelectData) -> tuple[Any, ...]:
            text = chosen.value["text"] if isinstance(chosen.value, dict) else str(chosen.value)
            return ask(text, data, model)

        def ask_suggested(data: Any, model: str, chosen: gradio.SelectData) -> tuple[Any, ...]:
            # As it was checked to be answerable, and not as the conversation would have it.
            text = str(chosen.value)[:MAX_QUESTION]
            return begun(interrupted(read_conversation(data), STOPPED), Exchange(text, text, model))

        def ask_again(data: Any, model: str, chosen: gradio.RetryData) -> tuple[Any, ...]:
            before, one = _parted(data, chosen.index)
            return begun(before, Exchange(one.question, one.query, model)) if one else shown(before)

        def ask_edited(data: Any, model: str, chosen: gradio.EditData) -> tuple[Any, ...]:
            before, one = _parted(data, chosen.index)
            text = str(chosen.value).strip()[:MAX_QUESTION]
            return begun(before, Exchange(text, model=model)) if one and text else shown(read_conversation(data))

        def search_again(query: str, data: Any, model: str) -> tuple[Any, ...]:
            before, one = _parted(data, -1)
            return begun(before, Exchange(one.question, query.strip(), model)) if one else shown(before)

        def take_back(data: Any, chosen: gradio.UndoData) -> tuple[Any, ...]:
            before, one = _parted(data, chosen.index)
            return shown(before, typed=one.question if one else "")

        def stop(data: Any) -> tuple[Any, ...]:
            return shown(interrupted(read_conversation(data), STOPPED))

        async def answer(data: Any) -> AsyncIterator[tuple[Any, ...]]:
            *before, last = read_conversation(data) or [Exchange("", trouble="nothing was asked")]
            if last.ended or last.trouble:
                yield tuple(gradio.skip() for _ in page)
                return
            question = Question(last.question, turns(before), last.query, last.model)
            try:
                # Gradio closes this generator where it stops it, and with it what works for the answer.
                async with aclosing(paced(service.answers(question), TICK)) as answers:
                    async for grown in answers:
                        last = replace(last, answer=grown or last.answer)
                        if grown is None:
                            yield tuple(gradio.skip() for _ in page)
                        elif not last.ended:
                            yield shown([*before, last], busy=True)
                if last.answer:
                    yield shown([*before, last], busy=True)
                    offered = await service.suggestions(last.answer, [one.question for one in before])
                    last = replace(last, suggestions=offered)
            except AssistantError as error:
                last = replace(last, trouble=last.trouble or ("" if last.ended else str(error)))
            yield shown([*before, last])

        quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        asking = [kept, model]
        begins = [
            box.submit(ask, [box, *asking], page, **quick),
            chatbot.example_select(ask_example, asking, page, **quick),
            chatbot.option_select(ask_suggested, asking, page, **quick),
            chatbot.retry(ask_again, asking, page, **quick),
            chatbot.edit(ask_edited, asking, page, **quick),
            searched.submit(search_again, [searched, *asking], page, **quick),
        ]
        goes_on = [
            one.then(
                answer,
                [kept],
                page,
                # Who may be answered at the same time is the service's to say, for every way in alike.
                concurrency_limit=None,
                show_progress="hidden",
                api_visibility="private",
            )
            for one in begins
        ]
        # Whoever asks again while an answer comes wants that one no more.
        gradio.on([box.submit, searched.submit], None, cancels=goes_on, **quick)
        box.stop(stop, [kept], page, cancels=goes_on, **quick)
        chatbot.undo(take_back, [kept], page, **quick)
        gradio.on([clear.click, chatbot.clear], lambda: shown([], typed=""), None, page, cancels=goes_on, **quick)
        blocks.load(opened, [kept], page, **quick)

        for button, suffix in ((as_markdown, "md"), (as_json, "json")):
            button.click(_exporter(suffix, title), [kept], [exported], **quick)

        if feedback:
            _rate(gradio, feedback, kept, chatbot, rating, reason, comment, send, rated, quick)
    blocks.queue(max_size=None, default_concurrency_limit=None, api_open=False)
    return blocks


def _exchange(index: Any) -> int:
    """Which exchange a message of the chat belongs to; each has a question and an answer."""
    return int(index[0] if isinstance(index, list | tuple) else index) // 2


def _parted(data: Any, index: Any) -> tuple[list[Exchange], Exchange | None]:
    """The exchanges before the one that a message belongs to, and that one; -1 is the last. Nothing may be there."""
    exchanges = read_conversation(data)
    at = len(exchanges) - 1 if index == -1 else _exchange(index)
    return (exchanges[:at], exchanges[at]) if 0 <= at < len(exchanges) else (exchanges, None)


def _rated(exchanges: Sequence[Exchange]) -> list[str | None]:
    names = {UP: "Like", DOWN: "Dislike"}
    return [names.get(one.rating) for one in exchanges]


def _exporter(suffix: str, title: str) -> Callable[..., str]:
    """Makes a file's name and its bytes in base 64, as chat.js wants them."""
    import gradio

    def export(data: Any, request: gradio.Request) -> str:
        exchanges = read_conversation(data)
        if suffix == "md":
            base = str(request.request.base_url).removesuffix("/").removesuffix("/chat") if request else ""
            text = export_markdown(exchanges, title, base)
        else:
            text = json.dumps(export_json(exchanges, title), indent=1, ensure_ascii=False)
        return f"conversation.{suffix} {b64encode(text.encode()).decode()}"

    return export


def _rate(
    gradio: Any,
    feedback: Feedback,
    kept: Any,
    chatbot: Any,
    group: Any,
    reason: Any,
    comment: Any,
    send: Any,
    rated: Any,
    quick: dict[str, Any],
) -> None:
    """Thumbs below an answer; a reason and words of one's own for the one rated last."""

    def store(exchanges: list[Exchange], at: int, why: str = "", words: str = "") -> list[Exchange]:
        one = exchanges[at]
        if one.answer is None:
            return exchanges
        trace = trace_of(one.question, turns(exchanges[:at]), answer_json(one.answer), __version__, one.query)
        exchanges[at] = replace(one, feedback=feedback.save(one.rating, trace, why, words, one.feedback))
        return exchanges

    def like(data: Any, chosen: gradio.LikeData) -> tuple[Any, ...]:
        exchanges, at = read_conversation(data), _exchange(chosen.index)
        if not 0 <= at < len(exchanges):
            return as_data(exchanges), -1, gradio.Group(visible=False), None, ""
        if chosen.liked not in (True, False):  # taken back
            feedback.delete(exchanges[at].feedback)
            exchanges[at] = replace(exchanges[at], rating="", feedback="")
        else:
            exchanges[at] = replace(exchanges[at], rating=UP if chosen.liked else DOWN)
            exchanges = store(exchanges, at)
        return as_data(exchanges), at, gradio.Group(visible=exchanges[at].rating == DOWN), None, ""

    def explain(data: Any, at: int, why: str | None, words: str) -> tuple[Any, ...]:
        exchanges = read_conversation(data)
        if 0 <= at < len(exchanges) and exchanges[at].rating:
            exchanges = store(exchanges, at, why or "", words.strip())
            gradio.Info(THANKS)
        return as_data(exchanges), gradio.Group(visible=False)

    chatbot.like(like, [kept], [kept, rated, group, reason, comment], **quick)
    # Only what goes through the queue can say something beside the page.
    queued = {**quick, "queue": True, "concurrency_limit": None}
    gradio.on([send.click, comment.submit], explain, [kept, rated, reason, comment], [kept, group], **queued)


def mount(
    app: Any, service: Service, path: str, comparison: Comparison = NOTHING, feedback: Feedback | None = None
) -> Any:
    """The FastAPI application with the chat at `path`; nothing of Gradio that a chat does not need."""
    blocks = chat(service, comparison, feedback)
    import gradio

    return gradio.mount_gradio_app(
        app,
        blocks,
        path=path,
        css=(STATIC / "chat.css").read_text("utf-8"),
        head='<script src="../static/chat.js" defer></script>',
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
