"""A model's name -> who would be called, where, and with which limits. Nothing is called here.

Names: `quotes`, a profile of the profiles file, `llamacpp:/path/model.gguf`, `openai:NAME` (with a URL: vLLM, LM Studio,
llama.cpp's server, Ollama), or any other `provider:NAME` that LangChain's `init_chat_model` knows.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assistant import llamacpp
from assistant.errors import UsageError
from assistant.settings import Settings

QUOTES = "quotes"
LLAMACPP = "llamacpp"
LOOPBACK = re.compile(r"(?:localhost|127\.\d+\.\d+\.\d+|::1)\Z")


@dataclass(frozen=True, slots=True)
class Provider:
    """What a provider needs to be called."""

    module: str  # that must be installed
    extra: str  # of ours that installs it
    key: str = ""  # the environment variable that holds its key
    home: str = ""  # its URL, unless the profile has one


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider("langchain_openai", "openai", "OPENAI_API_KEY", "https://api.openai.com/v1"),
    "anthropic": Provider("langchain_anthropic", "anthropic", "ANTHROPIC_API_KEY", "https://api.anthropic.com"),
    "ollama": Provider("langchain_ollama", "ollama", "", "http://127.0.0.1:11434"),
    LLAMACPP: Provider("langchain_openai", "local"),
}


class Profile(BaseModel):
    """A model and its limits, as the profiles file has it under a name; also made of the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    model: str = Field(min_length=1)
    url: str = ""
    key: str = Field(default="", pattern=r"^(?:[A-Z_][A-Z0-9_]*)?$")  # a variable's name; keys have small letters
    window: int = Field(ge=1024, le=2_000_000)  # tokens, question and answer together
    tokens: int = Field(ge=16, le=8192)  # of the answer
    seconds: float = Field(gt=0, le=3600)  # from the first request to the last word
    first_seconds: float = Field(gt=0, le=3600)  # to the first word
    temperature: float | None = Field(default=None, ge=0, le=2)
    fallback: tuple[str, ...] = ()

    @property
    def provider(self) -> str:
        return self.model.partition(":")[0]

    @property
    def model_name(self) -> str:
        """The name that the provider knows."""
        return self.model.partition(":")[2]

    @property
    def label(self) -> str:
        """What an answer says of who wrote it: the profile's name, a model's name, never a path."""
        if self.name:
            return self.name
        return f"{LLAMACPP}:{Path(self.model_name).name}" if self.provider == LLAMACPP else self.model

    @property
    def address(self) -> str:
        """The URL that is called; nothing where LangChain alone knows it, or a process of ours is asked."""
        known = PROVIDERS.get(self.provider)
        return self.url or (known.home if known else "")

    @property
    def host(self) -> str:
        """Where text goes: a host's name, or nothing where it stays in this machine's processes."""
        if self.provider == LLAMACPP:
            return ""
        host = (urlsplit(self.address).hostname or "") if self.address else self.provider
        return "" if LOOPBACK.match(host) else host

    @property
    def room(self) -> int:
        """The tokens that a question may take, so that the longest answer still fits into the window."""
        return self.window - self.tokens

    @property
    def heat(self) -> float | None:
        """The temperature to ask for: none on a machine of one's own; elsewhere the provider's, as some allow no other."""
        if self.temperature is None and (self.url or self.provider in (LLAMACPP, "ollama")):
            return 0.0
        return self.temperature

    def secret(self) -> str:
        """The key, from the environment; empty where there is none."""
        known = PROVIDERS.get(self.provider)
        return os.environ.get(self.key or (known.key if known else ""), "").strip()


def chain(settings: Settings) -> tuple[Profile, ...]:
    """The models to try in order; after the last of them the quotes answer. Empty where quotes come first.

    Raises UsageError where one of them cannot be called as it is configured, before any question is asked.
    """
    profiles = read_profiles(settings)
    names = [settings.model]
    found: list[Profile] = []
    while names and names[0] != QUOTES:
        name, *names = names
        if any(name == (one.name or one.model) for one in found):
            continue
        profile = profiles.get(name) or _named(name, settings, profiles)
        check(profile)
        if not found:
            names = list(profile.fallback or _listed(settings.fallback))
        found.append(profile)
    return tuple(found)


def read_profiles(settings: Settings) -> dict[str, Profile]:
    """The profiles of the profiles file by name; none where no file is set. Raises UsageError naming the fault."""
    if settings.profiles is None:
        return {}
    where = f"The profiles file {str(settings.profiles)!r}"
    try:
        data = yaml.safe_load(settings.profiles.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{where} cannot be read ({error.strerror}). See ASSISTANT_PROFILES.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise UsageError(f"{where} is no YAML{place}. See ASSISTANT_PROFILES.") from error
    if not isinstance(data, dict):
        raise UsageError(f"{where} must hold a name and a model for each profile.")
    found = {}
    for name, values in data.items():
        if not isinstance(values, dict) or not isinstance(name, str) or name in ("", QUOTES) or ":" in name:
            raise UsageError(f"{where}: {name!r} must be a name of your own with a `model:` below it.")
        found[name] = _profile(settings, f"{where}, {name!r}", {**values, "name": name})
    return found


def check(profile: Profile) -> None:
    """Raises UsageError where what a profile needs is not there: the provider, its package, the file, the URL, the key."""
    what = f"The model {profile.label!r}"
    if not profile.provider or not profile.model_name:
        raise UsageError(f"{what} must be PROVIDER:NAME, with one of {', '.join(PROVIDERS)} or another of LangChain's.")
    provider = PROVIDERS.get(profile.provider)  # LangChain knows more; it is asked for them when the model is opened
    if profile.provider == LLAMACPP:
        llamacpp.check_extra()
        try:
            llamacpp.check_file(Path(profile.model_name).expanduser())
        except RuntimeError as error:  # the home of somebody who is not known
            raise UsageError(f"{what} has a path that is none: {profile.model_name!r}.") from error
    if provider and find_spec(provider.module) is None:
        raise UsageError(
            f"{what} needs the extra {provider.extra!r}. Run: pip install -c constraints.txt -e '.[{provider.extra}]'"
        )
    if profile.url and not _is_url(profile.url):
        raise UsageError(f"{what} has a URL that is none: it must begin with http:// or https:// and name a host.")
    if profile.tokens * 2 > profile.window:
        raise UsageError(
            f"{what} may answer in {profile.tokens} tokens; that is over half of its window of {profile.window}."
        )
    if profile.key and not profile.secret():
        raise UsageError(f"{what} needs a key, and the environment variable that its `key:` names is not set.")
    if provider and provider.key and not profile.url and not profile.secret():
        raise UsageError(f"{what} needs a key in the environment variable {provider.key}.")


def leaves(profiles: Sequence[Profile]) -> list[str]:
    """The hosts that question, history and passages would be sent to, none twice."""
    return list(dict.fromkeys(one.host for one in profiles if one.host))


def _named(name: str, settings: Settings, profiles: Mapping[str, Profile]) -> Profile:
    if ":" not in name:
        known = ", ".join([QUOTES, *profiles, *(f"{one}:…" for one in PROVIDERS)])
        raise UsageError(f"There is no model {name!r}. Known: {known}, any other provider:NAME of LangChain.")
    url = settings.model_url if name == settings.model else ""
    return _profile(settings, f"The model {name!r}", {"model": name, "url": url})


def _profile(settings: Settings, where: str, values: Mapping[Any, Any]) -> Profile:
    limits = {
        "window": settings.model_window,
        "tokens": settings.model_tokens,
        "seconds": settings.model_seconds,
        "first_seconds": settings.model_first_seconds,
    }
    try:
        return Profile.model_validate({**limits, **values})
    except ValidationError as error:
        # Without the value: a key in the place of its variable's name must not be repeated.
        first = error.errors()[0]
        named = first["type"] == "string_pattern_mismatch"
        said = "must be the name of an environment variable that holds the key" if named else first["msg"]
        raise UsageError(f"{where}: {'.'.join(map(str, first['loc']))}: {said}.") from None


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        return False
    return bool(named) and text.isprintable() and " " not in text


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]
