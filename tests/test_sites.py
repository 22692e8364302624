"""A sitemap at a URL: fetched because it was named, kept for a day, never from anywhere but https."""

import io
import os
import urllib.request

import pytest

from assistant import sites
from assistant.errors import UsageError

URL = "https://docs.example/sitemap.xml"
ONE = b"<urlset><url><loc>https://docs.example/guide/</loc></url></urlset>"


@pytest.fixture
def fetched(monkeypatch):
    calls = []

    def get(url):
        calls.append(url)
        if get.fails:
            raise OSError("no route")
        return ONE

    get.fails = False
    get.calls = calls
    monkeypatch.setattr(sites, "_get", get)
    return get


def test_a_sitemap_is_fetched_once_a_day_or_when_asked(tmp_path, fetched):
    for again, calls in ((False, 1), (False, 1), (True, 2)):
        assert sites.by_sitemap(URL, tmp_path / "kept", again)("guide.md") == "https://docs.example/guide/"
        assert len(fetched.calls) == calls
    (kept,) = (tmp_path / "kept").iterdir()
    os.utime(kept, (0, 0))
    sites.by_sitemap(URL, tmp_path / "kept")
    assert len(fetched.calls) == 3


def test_where_it_cannot_be_fetched_an_older_one_serves(tmp_path, fetched):
    sites.by_sitemap(URL, tmp_path / "kept")
    fetched.fails = True
    assert sites.by_sitemap(URL, tmp_path / "kept", again=True)("guide.md")
    with pytest.raises(UsageError, match="no route"):
        sites.by_sitemap(URL, tmp_path / "other")


def test_only_https_is_fetched(tmp_path):
    with pytest.raises(UsageError, match="only https"):
        sites.by_sitemap("http://127.0.0.1:1/sitemap.xml", tmp_path)


def test_a_redirect_away_from_https_is_not_followed():
    with pytest.raises(ValueError, match="not https"):
        sites._OnlyHttps().redirect_request(
            urllib.request.Request(URL), io.BytesIO(), 302, "Found", {}, "http://169.254.169.254/"
        )


def test_a_sitemap_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sites, "MAX_SITEMAP", 10)
    (tmp_path / "sitemap.xml").write_bytes(ONE)
    with pytest.raises(UsageError, match="larger"):
        sites.by_sitemap(str(tmp_path / "sitemap.xml"), tmp_path)
