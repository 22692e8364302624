"""Where documents are published, as a docs site's build wrote it down."""

import json

import pytest

from assistant.corpus import load_corpus
from assistant.errors import UsageError
from assistant.settings import Settings
from assistant.urls import address_of, is_url, read_urls


def written(folder, content):
    path = folder / "urls.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_a_document_gets_the_url_of_its_page_and_its_own_first(tmp_path, write_corpus):
    texts = {
        "a.md": "# A\n\nText.",
        "b.md": "---\nurl: https://own.example/\n---\n# B",
        "c.md": "---\nurl: no\n---\n# C",
    }
    pages = {name: f"https://docs.example/{name[0]}/" for name in texts}
    settings = Settings(urls=written(tmp_path, pages))
    corpus = load_corpus(write_corpus(tmp_path / "corpus", texts), address_of(settings))
    assert [document.url for document in corpus.documents] == [pages["a.md"], "https://own.example/", pages["c.md"]]


def test_a_document_without_a_page_has_no_url(tmp_path, write_corpus):
    corpus = write_corpus(tmp_path / "corpus", {"a.md": "# A\n\nText."})
    for settings in (Settings(), Settings(urls=written(tmp_path, {"b.md": "https://docs.example/b/"}))):
        assert [document.url for document in load_corpus(corpus, address_of(settings)).documents] == [None]


def test_names_are_compared_in_one_unicode_form(tmp_path):
    assert read_urls(written(tmp_path, {"u\u0308.md": "https://docs.example/"})) == {
        "\u00fc.md": "https://docs.example/"
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a.md": "guide/a/"}, "site_url"),
        ({"a.md": "javascript:alert(1)"}, "'a.md'"),
        ({"a.md": "ftp://docs.example/"}, "http"),
        ({"a.md": 'https://docs.example/"onclick="'}, "http"),
        ({"a.md": None}, "'a.md'"),
        (["a.md"], "JSON object"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_is_no_map_of_urls_is_refused_in_one_line(tmp_path, content, said):
    with pytest.raises(UsageError, match="ASSISTANT_URLS") as caught:
        read_urls(written(tmp_path, content))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_how_it_is_made(tmp_path):
    with pytest.raises(UsageError, match="mkdocs build"):
        read_urls(tmp_path / "missing.json")


def test_a_url_leads_into_the_web_and_ends_where_it_ends():
    assert is_url("https://docs.example/a?b=c#d")
    assert not any(map(is_url, ("//docs.example", "https://a b", "https://", "HTTP", 7, None, "https://a\n")))
