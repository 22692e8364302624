"""The MkDocs plugin `assistant`: the widget on every page, the pages' URLs for citations, and the index if wanted."""

import html
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

from mkdocs.config import config_options
from mkdocs.config.base import Config, ConfigErrors, ConfigWarnings, ValidationError
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin, get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from assistant.corpus import SUFFIXES, chooser, corpus_of
from assistant.errors import AssistantError, UsageError
from assistant.settings import PREFIX, load_settings
from assistant.urls import is_url

log = get_plugin_logger(__name__)

_HEAD_END = re.compile(r"</head\s*>", re.IGNORECASE)
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9-]*\Z")


class Options(Config):
    """The plugin's options in mkdocs.yml."""

    server = config_options.Type(str, default="")
    widget = config_options.Type(bool, default=True)
    options = config_options.Type(dict, default={})
    urls = config_options.Type(str, default="assistant-urls.json")
    exclude = config_options.ListOfItems(config_options.Type(str), default=[])
    index = config_options.Type(bool, default=False)
    index_dir = config_options.Optional(config_options.Dir(exists=False))
    sources = config_options.Type(bool, default=False)


class AssistantPlugin(BasePlugin[Options]):
    """Puts the assistant into a docs site while MkDocs builds it."""

    def __init__(self) -> None:
        self.previewing = False
        self.head = ""
        self.script = ""
        self.pages: dict[str, str] = {}

    def load_config(
        self, options: dict[str, Any], config_file_path: str | None = None
    ) -> tuple[ConfigErrors, ConfigWarnings]:
        """Reads the options; an option that does not exist is an error, since a typing error would pass unseen."""
        errors, warnings = super().load_config(options, config_file_path)
        unknown = [(name, ValidationError(f"{message}. Known: {', '.join(self.config)}")) for name, message in warnings]
        return [*errors, *unknown], []

    def on_startup(self, *, command: Literal["build", "gh-deploy", "serve"], dirty: bool) -> None:
        self.previewing = command == "serve"

    def on_config(self, config: MkDocsConfig) -> None:
        """Checks what MkDocs' own types cannot. Raises PluginError."""
        path = PurePosixPath(self.config.urls)
        if path.is_absolute() or ".." in path.parts or path.suffix != ".json":
            raise PluginError(f"assistant: urls: {self.config.urls!r} must name a .json file inside the site.")
        if self.config.index and not config.site_url:
            raise PluginError("assistant: index: true needs site_url in mkdocs.yml, so that citations lead to pages.")
        if self.config.widget:
            self.script = f"{self.server()}/widget.js"
            self.head = "".join(f"{tag}\n" for tag in metas(self.config.options))

    def server(self) -> str:
        """Where the assistant is served, without a slash at the end. Raises PluginError."""
        try:
            server = self.config.server or load_settings().public_url
        except UsageError as error:
            raise PluginError(f"assistant: {error}") from error
        if not server:
            raise PluginError(
                "assistant: server: is missing. Set it to the assistant's URL, such as https://assistant.example, "
                f"or set {PREFIX}PUBLIC_URL."
            )
        parts = urlsplit(server)
        if not is_url(server) or not parts.netloc or parts.query or parts.fragment:
            raise PluginError(f"assistant: server: {server!r} must be a URL such as https://assistant.example")
        return server.rstrip("/")

    def on_page_markdown(self, markdown: str, /, *, page: Page, config: MkDocsConfig, files: Files) -> str:
        return markdown + sources(page.meta) if self.config.sources else markdown

    def on_env(self, env: Any, /, *, config: MkDocsConfig, files: Files) -> None:
        """Notes the pages while MkDocs knows all of them, those that other plugins made included."""
        self.pages = {
            unicodedata.normalize("NFC", file.src_uri): urljoin(config.site_url or "", file.url)
            for file in files
            if file.inclusion.is_included() and is_document(file) and not self.excluded(file)
        }

    def excluded(self, file: File) -> bool:
        return not chooser("", ",".join(self.config.exclude))(unicodedata.normalize("NFC", file.src_uri))

    def on_post_page(self, output: str, /, *, page: Page, config: MkDocsConfig) -> str:
        return output if self.excluded(page.file) else self.with_widget(output)

    def on_post_template(self, output_content: str, /, *, template_name: str, config: MkDocsConfig) -> str:
        """Pages without a source, such as 404.html."""
        return self.with_widget(output_content) if template_name.endswith(".html") else output_content

    def with_widget(self, output: str) -> str:
        """A page that loads the widget, once even where the theme's own settings load it too."""
        if not self.config.widget:
            return output
        source = html.escape(self.script)
        there = re.search(rf"<script\b[^>]*\ssrc=[\"']?{re.escape(source)}[\"'?\s>]", output)
        added = self.head + ("" if there else f'<script src="{source}" defer></script>\n')
        end = _HEAD_END.search(output)
        at = end.start() if end else 0
        return output[:at] + added + output[at:]

    def on_post_build(self, *, config: MkDocsConfig) -> None:
        path = Path(config.site_dir) / self.config.urls
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.pages, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8")
        if not config.site_url:
            log.info(f"{self.config.urls} holds relative URLs, which no citation can lead to; set site_url")
        # A preview's URLs are of no use to anyone else.
        if self.config.index and not self.previewing:
            try:
                build_index(Path(config.docs_dir), self.config.index_dir, path, self.pages)
            except (AssistantError, OSError) as error:
                raise PluginError(f"assistant: the index was not built. {error}") from error


def is_document(file: File) -> bool:
    """A page, or a file that the assistant reads and the site holds as it is."""
    return file.is_documentation_page() or file.src_uri.lower().endswith(SUFFIXES)


def metas(options: Mapping[str, Any]) -> list[str]:
    """The widget's options as it reads them from a page. Raises PluginError for one that has no such form."""
    tags = []
    for name, value in options.items():
        if not isinstance(name, str) or not _OPTION.match(name):
            raise PluginError(f"assistant: options: {name!r} is no name; use letters, digits and hyphens.")
        if isinstance(value, list) and all(isinstance(text, str) and "|" not in text for text in value):
            value = "|".join(value)  # how the widget reads a list, such as its examples
        if not isinstance(value, str | int | float):
            raise PluginError(f"assistant: options: {name}: {value!r} must be a text, texts, a number, true or false.")
        content = str(value).lower() if isinstance(value, bool) else str(value)
        tags.append(f'<meta name="assistant:{name}" content="{html.escape(content)}">')
    return tags


def sources(meta: Mapping[str, Any]) -> str:
    """What a page's front matter names as its sources, as the end of the page; nothing where it names none."""
    named = meta.get("sources")
    rows = [row for row in map(source, named) if row] if isinstance(named, list) else []
    if not rows:
        return ""
    reviewed = f"<p>Reviewed on {html.escape(str(meta['reviewed']))}.</p>\n" if meta.get("reviewed") else ""
    return f"\n\n## Sources\n\n<ol>\n{''.join(rows)}</ol>\n{reviewed}"


def source(entry: object) -> str:
    if not isinstance(entry, dict) or not entry.get("title"):
        return ""
    title = html.escape(str(entry["title"]))
    if is_url(url := entry.get("url")):
        title = f'<a href="{html.escape(url)}">{title}</a>'
    rest = [html.escape(str(entry[name])) for name in ("publisher", "year") if entry.get(name)]
    return f"<li>{', '.join([title, *rest])}</li>\n"


def build_index(folder: Path, home: str | None, urls: Path, pages: Mapping[str, str]) -> None:
    """Makes and publishes the snapshot of the site's pages below a folder. Raises AssistantError."""
    # Chroma and the encoder take a second; a build without the index does not wait for them.
    from assistant.answering import build_index as publish_snapshot
    from assistant.embedding import open_encoder
    from assistant.publishing import build_lock

    settings = load_settings(corpus=folder, index=home, urls=urls)
    corpus = corpus_of(settings)
    for problem in corpus.problems:
        if problem.document_id in pages:
            log.warning(f"left out of the index: {problem}")
    # What the site does not show must not be quoted either.
    if hidden := [one.id for one in corpus.documents if one.id not in pages]:
        log.info(f"not in the index; to keep it so, serve with {PREFIX}EXCLUDE='{','.join(hidden)}'")
    corpus = replace(corpus, documents=tuple(one for one in corpus.documents if one.id in pages))
    encoder = open_encoder(settings.embeddings, settings.index / "encoders", settings.threads)
    with build_lock(settings.index):
        report = publish_snapshot(settings, corpus, encoder)
    log.info(f"indexed {report.documents} documents in {settings.index}")
