"""What the README shows runs as it stands there."""

import re

import pytest


def examples(repository):
    text = (repository / "README.md").read_text("utf-8")
    return [match[1] for match in re.finditer(r"```python\n(.*?)```", text, re.DOTALL)]


def test_the_readme_has_an_example_for_langchain(repository):
    assert any("as_retriever" in example for example in examples(repository))


def test_every_python_example_runs(repository, whole_home, monkeypatch, capsys):
    monkeypatch.setenv("ASSISTANT_INDEX", str(whole_home))
    for example in examples(repository):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(repository)
            exec(compile(example, "README.md", "exec"), {})
    assert "docker-vs-vms.md" in capsys.readouterr().out
