"""Adds the files of this folder to the site: `index.md` as its home, the others below `about/`."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HERE = Path(__file__).resolve().parent
FOLDER = "about/"
NOT_SHOWN = {".py", ".pyc", ".yml"}  # how the site is made
TO_A_NEIGHBOUR = re.compile(r"\]\((?=[\w-]+\.md[)#])")
TO_A_NOTE = re.compile(r"\]\(\.\./corpus/")
OUT_OF_THE_SITE = re.compile(r"\[((?:[^\]\\]|\\.)+)\]\(\.\./(?!corpus/)[^)\s]*\)")


def on_files(files: Files, config: MkDocsConfig) -> None:
    for path in sorted(HERE.rglob("*")):
        if not path.is_file() or path.suffix in NOT_SHOWN:
            continue
        name = path.relative_to(HERE).as_posix()
        name = name if name == "index.md" else f"{FOLDER}{name}"
        files.append(File.generated(config, name, abs_src_path=str(path)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """In the repository the notes are in `../corpus/`; in the site they start at its root."""
    uri = page.file.src_uri
    if uri != "index.md" and not uri.startswith(FOLDER):
        return markdown
    # What the site does not hold stays as text.
    markdown = OUT_OF_THE_SITE.sub(r"\1", markdown)
    if uri.startswith(FOLDER):
        return TO_A_NOTE.sub("](../", markdown)
    return TO_A_NOTE.sub("](", TO_A_NEIGHBOUR.sub(f"]({FOLDER}", markdown))
