"""Where a document is published: its id -> the address of its page, as a docs site's build wrote them down."""

import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TypeGuard

from assistant.errors import UsageError
from assistant.settings import PREFIX, Settings

Address = Callable[[str], str | None]  # a document's id -> the URL of its page, where there is one


def is_url(text: object) -> TypeGuard[str]:
    """Whether a browser may be sent there: http or https, with nothing that ends a link early."""
    return isinstance(text, str) and re.match(r"https?://[^\s<>\"]+\Z", text) is not None


def nowhere(document_id: str) -> None:
    """No document is published anywhere."""


def address_of(settings: Settings) -> Address:
    """Where the settings say that documents are published. Raises UsageError where they cannot be used."""
    return read_urls(settings.urls).get if settings.urls else nowhere


def read_urls(path: Path) -> dict[str, str]:
    """The URLs by document id from a file such as the MkDocs plugin writes.

    Raises UsageError for a file that cannot be read, is no such map, or holds a URL that is not http or https.
    """
    named = f"{PREFIX}URLS={str(path)!r}"
    try:
        pages = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(
            f"{named} cannot be read ({error.strerror}). Build the docs site first: mkdocs build"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{named} is no JSON ({error}). Build the docs site again: mkdocs build") from error
    if not isinstance(pages, dict):
        raise UsageError(
            f'{named} is no JSON object such as {{"guide/setup.md": "https://docs.example/guide/setup/"}}.'
        )
    for document_id, url in pages.items():
        if not is_url(url):
            raise UsageError(
                f"{named}: the URL of {document_id!r} is {url!r}, and must start with http:// or https://. "
                "Set site_url in mkdocs.yml and run: mkdocs build"
            )
    # A document's id is in Unicode normal form, whatever the file system's names are in.
    return {unicodedata.normalize("NFC", document_id): url for document_id, url in pages.items()}
