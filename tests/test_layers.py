"""A module imports only modules that stand above it in LAYERS; third parties only where they belong."""

import ast
import re
import sys
from pathlib import Path

import pytest

import assistant
from assistant.settings import Settings

PACKAGE = Path(assistant.__file__).parent

# Also the reading order.
LAYERS = (
    "nouns errors settings comparison urls sites formats pdf conversion corpus sentences chunking embedding export terms spelling addressed opposites quantities reading likeness alignment edits support index live publishing build query intents interaction retrieval gate "
    "rendering writing citations llamacpp models generation prompts drafting verification llm_writing chain clock followups answering metrics serving database feedback viewer panel conversation keys limits access audit problems guard doctor reach answers streaming rest openai_api mcp_server web api cli mkdocs_plugin"
).split()

THIRD_PARTIES = {
    "anyio": {"generation"},
    "Stemmer": {"terms"},
    "bs4": {"formats"},
    "bm25s": {"index", "build"},
    "chromadb": {"index"},
    "docutils": {"formats"},
    "fastapi": {"api", "openai_api", "rest", "serving"},
    "gradio": {"web"},
    "httpx": {"generation"},
    "huggingface_hub": {"embedding"},
    "langchain": {"generation"},
    "langchain_core": {"embedding", "retrieval"},
    "langchain_openai": {"generation"},
    "markdown_it": {"corpus", "chunking", "rendering", "viewer"},
    "mammoth": {"formats"},
    "markdownify": {"formats"},
    "mcp": {"mcp_server"},
    "mkdocs": {"mkdocs_plugin"},
    "numpy": {
        "likeness",
        "export",
        "interaction",
        "embedding",
        "index",
        "build",
        "retrieval",
        "gate",
        "writing",
        "verification",
    },
    "onnxruntime": {"embedding"},
    "prometheus_client": {"metrics"},
    "pydantic": {"settings", "models", "generation", "openai_api", "rest", "mcp_server"},
    "pydantic_settings": {"settings"},
    "pypdfium2": {"pdf"},
    "rich": {"cli"},
    "sentence_transformers": {"embedding", "export"},
    "starlette": {"api", "guard", "problems", "streaming"},
    "tokenizers": {"embedding"},
    "torch": {"embedding", "export"},
    "typer": {"cli"},
    "typing_extensions": {"answers"},
    "uvicorn": {"api", "cli", "mcp_server"},
    "xllamacpp": {"llamacpp"},
    "yaml": {"corpus", "models"},
}


def imported(path: Path) -> set[str]:
    """Dotted names of everything a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = f"assistant.{node.module}" if node.level and node.module else node.module or "assistant"
            if module == "assistant":
                names.update(f"assistant.{alias.name}" for alias in node.names)
            else:
                names.add(module)
    return names


def own(module: str) -> set[str]:
    names = imported(PACKAGE / f"{module}.py") - {"assistant.__version__"}
    return {name.split(".")[1] for name in names if name.startswith("assistant.")}


def foreign(module: str) -> set[str]:
    roots = {name.split(".")[0] for name in imported(PACKAGE / f"{module}.py")}
    return roots - set(sys.stdlib_module_names) - {"assistant"}


def test_every_module_has_one_place():
    assert {path.stem for path in PACKAGE.rglob("*.py") if path.stem != "__init__"} == set(LAYERS)
    assert len(LAYERS) == len(set(LAYERS))


@pytest.mark.parametrize("module", LAYERS)
def test_imports_point_up(module):
    assert own(module) <= set(LAYERS[: LAYERS.index(module)])


@pytest.mark.parametrize("module", LAYERS)
def test_third_parties_stay_in_their_rooms(module):
    assert foreign(module) <= {name for name, rooms in THIRD_PARTIES.items() if module in rooms}


def test_the_package_knows_neither_evals_nor_tests():
    for path in PACKAGE.rglob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & {"evals", "tests"}, path


def test_the_package_itself_imports_nothing_heavy():
    assert imported(PACKAGE / "__init__.py") == set()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_readme(name, repository):
    assert f"ASSISTANT_{name.upper()}" in (repository / "README.md").read_text("utf-8")


@pytest.mark.parametrize("module", LAYERS)
def test_every_module_is_in_the_readme(module, repository):
    assert f"{module}.py" in (repository / "README.md").read_text("utf-8")


SUBJECT = re.compile(r"docker|container|virtual.?machine|\bvms?\b|hypervisor", re.IGNORECASE)
# What the product calls itself, and a class of Gradio's; export.py compares two models on sample sentences.
ALLOWED = {
    "cli": ("Answers about containers and virtual machines",),
    "conversion": ("container-vm-assistant",),
    "llamacpp": ("container-vm-assistant",),
    "settings": ("container-vm-assistant",),
    "web": (".gradio-container",),
}


# An argument of Gradio's components.
ARGUMENTS = {"web": "container"}


def spoken(path: Path) -> list[tuple[int, str]]:
    """(line, text) of every name and string of a file; comments and docstrings left out."""
    tree = ast.parse(path.read_text("utf-8"))
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    docstrings = {
        id(node.body[0].value)
        for node in documented
        if node.body and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
    }
    found = []
    for node in ast.walk(tree):
        for _, value in ast.iter_fields(node):
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and id(node) not in docstrings:
                    found.append((getattr(node, "lineno", 0), text))
    return found


@pytest.mark.parametrize("module", [name for name in LAYERS if name != "export"])
def test_the_code_knows_nothing_of_its_subject(module):
    told = []
    for line, text in spoken(PACKAGE / f"{module}.py"):
        if text == ARGUMENTS.get(module):
            continue
        for allowed in ALLOWED.get(module, ()):
            text = text.replace(allowed, "", 1)
        if match := SUBJECT.search(text):
            told.append((line, match.group()))
    assert told == []


@pytest.mark.parametrize("path", [path.name for path in sorted(PACKAGE.glob("*.json"))])
def test_the_data_of_the_code_knows_nothing_of_its_subject_either(path):
    assert not SUBJECT.search((PACKAGE / path).read_text("utf-8"))
