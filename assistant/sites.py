"""Where a document is published, by rule: a template of its address, or the site's sitemap."""

import os
import re
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPMessage
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree

from assistant.errors import UsageError
from assistant.settings import Settings
from assistant.urls import Address, address_of, is_url

MAX_SITEMAP = 50_000_000  # bytes; what sitemaps.org allows
FETCH_SECONDS = 20
FRESH_SECONDS = 24 * 3600.0
_FIELD = re.compile(r"\{(\w*)\}")


def published(settings: Settings, again: bool = False) -> Address:
    """A document's id -> its URL, as the settings' list, sitemap and template say, in this order.

    `again` fetches a sitemap anew. Raises UsageError where one of them cannot be used.
    """
    ways = [address_of(settings)]
    if settings.sitemap:
        ways.append(by_sitemap(settings.sitemap, settings.index / "sitemaps", again))
    if settings.url_template:
        ways.append(by_template(settings.url_template))
    return lambda document_id: next((url for way in ways if (url := way(document_id))), None)


def by_template(template: str) -> Address:
    """A document's id -> its URL, by a template with `{path}`, `{id}` or `{name}`.

    Raises UsageError where the template is no http or https URL or names anything else.
    """
    names = set(_FIELD.findall(template))
    rest = _FIELD.sub("", template)
    if not is_url(template) or not names or names - {"path", "id", "name"} or "{" in rest or "}" in rest:
        raise UsageError(
            f"ASSISTANT_URL_TEMPLATE={template!r} is no address such as https://docs.example/{{path}}/ with {{path}}, {{id}} or {{name}}."
        )

    # Where `{path}` names a folder and not a file.
    folders = re.search(r"\{path\}(?:/|$)", template) is not None

    def address(document_id: str) -> str:
        whole_path = PurePosixPath(document_id).with_suffix("").parts
        fields = {
            "path": "/".join(_page_path(document_id) if folders else whole_path),
            "id": document_id,
            "name": PurePosixPath(document_id).stem,
        }
        # The page of the topmost index is the site's own.
        whole = template if fields["path"] else template.replace("/{path}/", "/").replace("/{path}", "/")
        return _FIELD.sub(lambda field: quote(fields[field[1]]), whole)

    return address


def by_sitemap(where: str, cache: Path, again: bool = False) -> Address:
    """A document's id -> its URL: the page of the sitemap whose path ends like the document's, or the other way round.

    A sitemap at an https URL is fetched where `cache` holds none of this day, or `again`. Raises UsageError where none
    can be read.
    """
    data = _fetched(where, cache, again) if where.startswith(("http:", "https:")) else _read(Path(where), where)
    pages = {_location_path(url): url for url in reversed(_locations(data, where))}
    endings: dict[tuple[str, ...], tuple[str, ...]] = {}
    for path in pages:
        for start in range(len(path)):
            best = endings.get(path[start:])
            if best is None or len(path) < len(best):
                endings[path[start:]] = path

    def address(document_id: str) -> str | None:
        path = _page_path(document_id)
        if path in pages:
            return pages[path]
        if path in endings:
            return pages[endings[path]]
        return next((pages[path[start:]] for start in range(1, len(path)) if path[start:] in pages), None)

    return address


def _page_path(document_id: str) -> tuple[str, ...]:
    """The parts of a document's id without its suffix; an index stands for its folder."""
    parts = PurePosixPath(document_id).with_suffix("").parts
    return parts[:-1] if parts[-1].lower() == "index" else parts


def _location_path(url: str) -> tuple[str, ...]:
    parts = [part for part in unquote(urlsplit(url).path).split("/") if part]
    if parts:
        parts[-1] = re.sub(r"\.html?$", "", parts[-1])
    return tuple(parts[:-1] if parts and parts[-1] == "index" else parts)


def _locations(data: bytes, where: str) -> list[str]:
    named = f"ASSISTANT_SITEMAP={where!r}"
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise UsageError(f"{named} is no sitemap ({error}). Name a sitemap.xml.") from error
    if root.tag.rpartition("}")[2] != "urlset":
        raise UsageError(f"{named} lists no pages of its own. Name one of the sitemaps that it lists.")
    found = [(one.text or "").strip() for one in root.iter() if one.tag.rpartition("}")[2] == "loc"]
    return [url for url in found if is_url(url)]


def _read(path: Path, where: str) -> bytes:
    try:
        if path.stat().st_size > MAX_SITEMAP:
            raise UsageError(
                f"ASSISTANT_SITEMAP={where!r} is larger than {MAX_SITEMAP // 1_000_000} MB. Name a smaller one."
            )
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"ASSISTANT_SITEMAP={where!r} cannot be read ({error.strerror}). Name a sitemap.xml."
        ) from error


def _fetched(url: str, cache: Path, again: bool) -> bytes:
    """The sitemap at a URL: the kept one where it is of this day, else a new one, else an older one."""
    kept = cache / f"{quote(url, safe='')[-200:]}.xml"
    with suppress(OSError):
        if not again and time.time() - kept.stat().st_mtime < FRESH_SECONDS:
            return kept.read_bytes()
    try:
        data = _get(url)
    except (OSError, ValueError) as error:  # urllib's own errors are OSErrors
        with suppress(OSError):
            return kept.read_bytes()
        raise UsageError(f"ASSISTANT_SITEMAP={url!r} cannot be fetched ({error}). Name a file instead.") from error
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        scratch = kept.with_name(f"{kept.name}.{os.getpid()}.tmp")
        scratch.write_bytes(data)
        scratch.replace(kept)
    return data


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to https alone."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https:"):
            raise ValueError("it leads to an address that is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _get(url: str) -> bytes:
    if not url.startswith("https:"):
        raise ValueError("only https is fetched")
    opener = urllib.request.build_opener(_OnlyHttps())
    with opener.open(url, timeout=FETCH_SECONDS) as answer:
        data: bytes = answer.read(MAX_SITEMAP + 1)
    if len(data) > MAX_SITEMAP:
        raise ValueError(f"larger than {MAX_SITEMAP // 1_000_000} MB")
    return data
