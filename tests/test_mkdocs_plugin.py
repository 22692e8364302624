"""A real `mkdocs build`: the widget on every page, URLs that lead to pages, nothing from another host."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from conftest import child_environment

SERVER = "https://assistant.example"
SITE = "https://docs.example/manual/"
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}

# MkDocs' own theme without the highlighter that it fetches from another host.
THEME = "theme: {name: mkdocs, highlightjs: false}\n"
LAMPS = "# Lamps\n\nA lamp gives light when its switch is on. See [the guide](guide/fuses.md#replacing).\n"
FUSES = "# Fuses\n\n## Replacing\n\nA fuse is replaced after it has blown, and [a lamp](../index.md) shows it.\n"


class Seen(HTMLParser):
    """What a page loads, links to and names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.scripts: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.metas: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids.update(given[name] for name in ("id", "name") if given.get(name))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "meta" and given.get("name"):
            self.metas[given["name"]] = given.get("content") or ""
        # A canonical address or the next page is named, not loaded.
        if tag == "link" and not {"stylesheet", "preload", "preconnect", "icon"} & set(
            (given.get("rel") or "").split()
        ):
            return
        if address := given.get(LOADING.get(tag, "")):
            self.loads.append(address)
        if tag == "script" and given.get("src"):
            self.scripts.append(given)


def mkdocs(config: Path, site: Path, flag: str = "--strict", **environment: str) -> subprocess.CompletedProcess[str]:
    env = child_environment(site / "no-corpus", site / "no-index") | {"NO_MKDOCS_2_WARNING": "1"} | environment
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        flag,
        "--config-file",
        str(config),
        "--site-dir",
        str(site),
    ]
    return subprocess.run(command, env=env, capture_output=True, encoding="utf-8", check=False)


def small(folder: Path, options: str, top: str = f"site_url: {SITE}\n", **pages: str) -> Path:
    """A site of two pages; `options` are the plugin's, as lines of YAML."""
    texts = {"index.md": LAMPS, "guide/fuses.md": FUSES} | pages
    for name, text in texts.items():
        path = folder / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    indented = "".join(f"      {line}\n" for line in options.splitlines())
    config = folder / "mkdocs.yml"
    config.write_text(f"site_name: Lamps\n{top}{THEME}plugins:\n  - assistant:\n{indented}", "utf-8")
    return config


def built(config: Path, site: Path, **environment: str) -> dict[str, Seen]:
    """The pages of a site that was built without a warning, by path below the site."""
    done = mkdocs(config, site, **environment)
    assert done.returncode == 0, done.stderr
    return {path.relative_to(site).as_posix(): Seen(path.read_text("utf-8")) for path in site.rglob("*.html")}


def urls(site: Path) -> dict[str, str]:
    return json.loads((site / "assistant-urls.json").read_text("utf-8"))


def file_of(address: str, root: str) -> str:
    """The file below the site that an address leads to."""
    path = unquote(address.removeprefix(root).split("?")[0])
    return f"{path}index.html" if path.endswith("/") or not path else path


def faults(pages: dict[str, Seen], site: Path, root: str, server: str = SERVER) -> list[str]:
    """What the two sites must not have: another host's files, links that lead nowhere, a widget missing or twice."""
    found = []
    for name, page in pages.items():
        here = root + re.sub(r"index\.html\Z", "", name)
        widgets = [script for script in page.scripts if script["src"].startswith(f"{server}/widget.js")]
        if len(widgets) != 1 or "defer" not in widgets[0]:
            found.append(f"{name}: {len(widgets)} widgets")
        for address in (urljoin(here, address) for address in page.loads):
            if not address.startswith((root, f"{server}/")) or (
                address.startswith(root) and not (site / file_of(address, root)).is_file()
            ):
                found.append(f"{name} loads {address}")
        for address in (urljoin(here, address) for address in page.links):
            if not address.startswith(root):
                continue
            target, anchor = urldefrag(address)
            leads = file_of(target, root)
            if not (site / leads).exists() or (anchor and leads in pages and unquote(anchor) not in pages[leads].ids):
                found.append(f"{name} links to {address}")
    for path in site.rglob("*.css"):
        found += [
            f"{path.name}: {match}"
            for match in re.findall(r"(?:url\(|@import)\W*(?:https?:)?//[^)]+", path.read_text())
        ]
    return found


@pytest.fixture(scope="module")
def own(repository, tmp_path_factory):
    """This project's own site."""
    site = tmp_path_factory.mktemp("own") / "site"
    return site, built(repository / "docs" / "mkdocs.yml", site, ASSISTANT_PUBLIC_URL=SERVER, SITE_URL=SITE)


def test_this_projects_site_is_whole(own):
    site, pages = own
    assert faults(pages, site, SITE) == []


def test_this_projects_site_holds_every_note_and_every_page_of_docs(own, repository):
    site, pages = own
    sources = {path.relative_to(repository / "corpus").as_posix() for path in (repository / "corpus").rglob("*.md")}
    pages_of_docs = {path.relative_to(repository / "docs").as_posix() for path in (repository / "docs").rglob("*.md")}
    sources |= {"index.md"} | {f"about/{name}" for name in pages_of_docs - {"index.md"}}
    written = {name: url for name, url in urls(site).items() if name.endswith(".md")}
    assert written.keys() == sources
    assert {file_of(url, SITE) for url in written.values()} == pages.keys() - {"404.html"}


def test_the_sources_of_a_note_stand_at_its_end(own):
    _, pages = own
    assert "sources" in pages["foundations/namespaces/index.html"].ids
    assert "https://man7.org/linux/man-pages/man7/namespaces.7.html" in pages["foundations/namespaces/index.html"].links
    assert "sources" not in pages["docker-vs-vms/index.html"].ids


def test_a_site_of_two_pages(tmp_path):
    config = small(
        tmp_path,
        f"server: {SERVER}/\noptions: {{title: 'Ask \"us\" & them', shortcut: false, limit: 3, examples: ['Why?', 'How?']}}",
    )
    pages = built(config, tmp_path / "site")
    assert faults(pages, tmp_path / "site", SITE) == []
    assert urls(tmp_path / "site") == {"index.md": SITE, "guide/fuses.md": f"{SITE}guide/fuses/"}
    for page in pages.values():
        options = {name: value for name, value in page.metas.items() if name.startswith("assistant:")}
        assert options == {
            "assistant:title": 'Ask "us" & them',
            "assistant:shortcut": "false",
            "assistant:limit": "3",
            "assistant:examples": "Why?|How?",
        }
    assert all("sources" not in page.ids for page in pages.values())


def test_no_widget_where_the_page_has_it_already_or_none_is_wanted(tmp_path):
    top = f"site_url: {SITE}\nextra_javascript: [{{path: '{SERVER}/widget.js', defer: true}}]\n"
    assert faults(built(small(tmp_path, f"server: {SERVER}", top), tmp_path / "site"), tmp_path / "site", SITE) == []
    without = built(small(tmp_path, "widget: false"), tmp_path / "site")
    assert not any(SERVER in str(page.scripts) for page in without.values())


def test_a_page_that_shows_the_tag_as_code_still_loads_the_widget(tmp_path):
    code = f'# A tag\n\n`<script src="{SERVER}/widget.js" defer></script>`\n'
    pages = built(small(tmp_path, f"server: {SERVER}", **{"tag.md": code}), tmp_path / "site")
    assert faults(pages, tmp_path / "site", SITE) == []


def test_pages_left_out_and_drafts_have_no_url(tmp_path):
    top = f"site_url: {SITE}\ndraft_docs: draft.md\nnot_in_nav: '*.md'\n"
    notes = {"notes/a.md": "# A\n\nText.", "draft.md": "# Draft\n\nText.", "Größe.txt": "A text."}
    pages = built(small(tmp_path, f"server: {SERVER}\nexclude: ['notes/*']", top, **notes), tmp_path / "site")
    assert urls(tmp_path / "site").keys() == {"index.md", "guide/fuses.md", "Größe.txt"}
    assert urls(tmp_path / "site")["Größe.txt"] == f"{SITE}Gr%C3%B6%C3%9Fe.txt"
    assert pages["notes/a/index.html"].scripts != pages["index.html"].scripts
    assert SERVER not in str(pages["notes/a/index.html"].scripts)


def test_without_a_site_url_the_urls_are_relative(tmp_path):
    config = small(tmp_path, f"server: {SERVER}\nurls: data/urls.json", "")
    assert mkdocs(config, tmp_path / "site").returncode == 0
    written = json.loads((tmp_path / "site/data/urls.json").read_text("utf-8"))
    assert written == {"index.md": "./", "guide/fuses.md": "guide/fuses/"}


def ask(question: str, corpus: Path, home: Path, *flags: str, **environment: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "assistant.cli", "ask", "--json", *flags, question],
        env=child_environment(corpus, home) | environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_index_from_the_build_cites_the_pages(tmp_path, index_home):
    options = f"server: {SERVER}\nindex: true\nindex_dir: index\nexclude: [secret.md]"
    secret = {"secret.md": "# Secret\n\nThe password of the fuse box is 1234."}
    done = mkdocs(small(tmp_path, options, **secret), tmp_path / "site")
    assert done.returncode == 0, done.stderr
    answer = ask("When is a fuse replaced?", tmp_path / "docs", index_home, "--no-update")
    assert answer["citations"], answer
    assert {one["url"] for one in answer["citations"]} == {f"{SITE}guide/fuses/"}
    hidden = ask("What is the password of the fuse box?", tmp_path / "docs", index_home, "--no-update")
    assert "secret.md" not in {one["document"] for one in hidden["hits"]}


def test_an_index_of_ones_own_cites_the_pages_too(tmp_path, index_home):
    config = small(
        tmp_path, f"server: {SERVER}", **{"own.md": "---\nurl: https://a.example/\n---\n# Own\n\nA cat purrs."}
    )
    built(config, tmp_path / "site")
    written = str(tmp_path / "site/assistant-urls.json")
    answer = ask("When is a fuse replaced?", tmp_path / "docs", index_home, ASSISTANT_URLS=written)
    assert {one["url"] for one in answer["citations"]} == {f"{SITE}guide/fuses/"}
    answer = ask("Does a cat purr?", tmp_path / "docs", index_home, ASSISTANT_URLS=written)
    assert {one["url"] for one in answer["hits"] if one["document"] == "own.md"} == {"https://a.example/"}


WRONG = {
    "no server": ("widget: true", "server"),
    "a server that is no URL": ("server: assistant.example", "server"),
    "a server with a query": (f"server: {SERVER}/?a=b", "server"),
    "a switch that is none": (f"server: {SERVER}\nwidget: maybe", "widget"),
    "an unknown option": (f"sever: {SERVER}", "sever"),
    "options that are a list": (f"server: {SERVER}\noptions: [a]", "options"),
    "an option without a form": (f"server: {SERVER}\noptions: {{a: {{b: c}}}}", "a: {'b': 'c'}"),
    "a list of no texts": (f"server: {SERVER}\noptions: {{a: [['b']]}}", "a: [['b']]"),
    "an option that is no name": (f"server: {SERVER}\noptions: {{'a b': c}}", "'a b'"),
    "URLs outside of the site": (f"server: {SERVER}\nurls: ../urls.json", "urls"),
    "an index in a file": (f"server: {SERVER}\nindex: true\nindex_dir: mkdocs.yml/index", "index"),
    "an index of nothing": (f"server: {SERVER}\nindex: true\nindex_dir: index\nexclude: ['*']", "index"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_option_is_one_line_and_no_site(name, tmp_path, index_home):
    options, said = WRONG[name]
    # Not strict: it is no mere warning.
    fails(mkdocs(small(tmp_path, options), tmp_path / "site", "--no-strict"), said)


def test_an_index_needs_the_sites_url(tmp_path):
    fails(mkdocs(small(tmp_path, f"server: {SERVER}\nindex: true", ""), tmp_path / "site"), "needs site_url")


def test_a_wrong_setting_is_one_line_too(tmp_path):
    fails(mkdocs(small(tmp_path, "widget: true"), tmp_path / "site", ASSISTANT_PUBLIC_URL="nowhere"), "PUBLIC_URL")


def fails(done: subprocess.CompletedProcess[str], said: str) -> None:
    complaints = [line for line in done.stderr.splitlines() if line.startswith(("ERROR", "WARNING"))]
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert len(complaints) == 1 and said in complaints[0], done.stderr


def test_the_server_stands_in_an_environment_variable(tmp_path):
    pages = built(small(tmp_path, "widget: true"), tmp_path / "site", ASSISTANT_PUBLIC_URL=f"{SERVER}/")
    assert faults(pages, tmp_path / "site", SITE) == []
    assert urlsplit(pages["index.html"].scripts[0]["src"]).query == ""
