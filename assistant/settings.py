"""Every knob, its default and its environment variable (`ASSISTANT_` and the name in capitals)."""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from assistant.errors import UsageError

PREFIX = "ASSISTANT_"
CHECKOUT = Path(__file__).resolve().parent.parent
IN_CHECKOUT = (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "corpus").is_dir()
PACKAGE_DATA = Path(__file__).resolve().parent / "data"


def _default_corpus() -> Path:
    return CHECKOUT / "corpus" if IN_CHECKOUT else PACKAGE_DATA / "corpus"


def _default_prompts() -> Path:
    return CHECKOUT / "prompts" if IN_CHECKOUT else PACKAGE_DATA / "prompts"


def _default_index() -> Path:
    if IN_CHECKOUT:
        return CHECKOUT / ".index"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "container-vm-assistant" / "index"


def _default_keys(given: dict[str, Any]) -> Path:
    feedback = str(given.get("feedback", "off")).strip()
    return Path(_default_feedback() if feedback.lower() == "off" else feedback).with_name("keys.sqlite3")


def _default_feedback() -> str:
    if IN_CHECKOUT:
        return str(CHECKOUT / ".feedback" / "feedback.sqlite3")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return str(Path(data) / "container-vm-assistant" / "feedback.sqlite3")


class Settings(BaseSettings):
    """Plain values; nothing here opens a file or a model."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    corpus: Path = Field(default_factory=_default_corpus, description="The folder of documents.")
    urls: Path | None = Field(
        default=None, description="A JSON file of the documents' URLs by document id, as a docs site's build writes it."
    )
    include: str = Field(default="", description="Globs of document ids to index, separated by commas; empty for all.")
    exclude: str = Field(default="", description="Globs of document ids to leave out, separated by commas.")
    url_template: str = Field(default="", description="Where documents are published, by {path}, {id} and {name}.")
    sitemap: str = Field(default="", description="A sitemap that names the documents' pages: a file or an https URL.")
    index: Path = Field(default_factory=_default_index, description="Where snapshots and exported encoders are kept.")
    embeddings: str = Field(
        default="all-MiniLM-L6-v2",
        min_length=1,
        description="The embedding model: the packaged default, a folder, or a sentence-transformers name.",
    )
    model: str = Field(default="quotes", min_length=1, description="Who writes the answer; `quotes` needs no model.")
    model_url: str = Field(default="", description="Where an `openai:` model is served, if not at OpenAI.")
    profiles: Path | None = Field(default=None, description="A YAML file of named models with their limits.")
    fallback: str = Field(default="", description="Models to try when the first fails, separated by commas.")
    model_window: int = Field(
        default=4096, ge=1024, le=2_000_000, description="Tokens that the model reads and writes at most."
    )
    model_tokens: int = Field(default=320, ge=16, le=8192, description="The longest answer of a model, in tokens.")
    model_seconds: float = Field(default=60, gt=0, le=3600, description="How long a model may take for its answer.")
    model_first_seconds: float = Field(
        default=30, gt=0, le=3600, description="How long it may take for its first word."
    )
    # One less than there are: threads of llama.cpp wait for one another, and crawl where one shares its core.
    model_threads: int = Field(
        default=max(1, (os.cpu_count() or 2) - 1), ge=1, le=256, description="Threads of a `llamacpp:` model."
    )
    prompts: Path = Field(default_factory=_default_prompts, description="The folder of the prompts.")
    passages: int = Field(default=5, ge=1, le=50, description="How many passages an answer is written from.")
    passage_characters: int = Field(default=700, ge=100, le=8000, description="The longest passage, in characters.")
    threads: int = Field(default=1, ge=1, le=64, description="Threads of one embedding.")
    in_flight: int = Field(
        # More than there are cores: most of a model's answer is waiting for the model.
        default=max(8, os.cpu_count() or 2),
        ge=1,
        le=32,
        description="Questions answered at the same time by a server.",
    )
    waiting: int = Field(
        default=100, ge=0, le=10_000, description="Questions that may wait for that; more are refused."
    )
    feedback: str = Field(
        default_factory=_default_feedback, min_length=1, description="The file of ratings; `off` stores none."
    )
    history_turns: int = Field(default=6, ge=0, le=50, description="How many earlier turns a question may lean on.")
    host: str = Field(default="127.0.0.1", min_length=1, description="The address `serve` listens on.")
    port: int = Field(default=7860, ge=1, le=65535, description="The port `serve` listens on.")
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/?#]+[^\s?#]*)?$",
        description="Where `serve` is reached from outside, for links in answers; empty where it is not.",
    )
    allowed_hosts: str = Field(
        default="localhost,127.0.0.1,[::1]", description="Host headers that `serve` answers, separated by commas."
    )
    allowed_origins: str = Field(
        default="", description="Origins whose pages may ask, beside the server's own, separated by commas."
    )
    require_key: Literal["auto", "always", "never"] = Field(
        default="auto", description="When a key is needed; `auto`: by programs on other machines."
    )
    keys: Path = Field(default_factory=_default_keys, description="The file of the keys' hashes.")
    rate: int = Field(
        default=60, ge=1, le=1_000_000, description="Questions a minute from one address that shows no key."
    )
    rate_total: int = Field(default=600, ge=1, le=1_000_000, description="Questions a minute from all together.")
    trusted_proxy: str = Field(
        default="", description="Addresses and networks of proxies whose X-Forwarded headers count."
    )
    audit: str = Field(default="", description="A file that gets a line for each question; none by default.")
    audit_questions: bool = Field(default=False, description="Whether that line holds the question too.")


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process: `overrides` that are not None win over the environment.

    Raises UsageError, naming the variable, its value and what was expected.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        source = f"--{name.replace('_', '-')}" if name in given else f"{PREFIX}{name.upper()}"
        message = str(first["msg"])
        raise UsageError(f"{source}={first['input']!r}: {message[:1].lower()}{message[1:]}.") from error
