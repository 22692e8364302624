"""A model's name leads to one place, with limits; whatever is wrong with it is one line before any question is asked."""

import re
import sys
from pathlib import Path

import pytest

from assistant.answering import open_assistant, open_models
from assistant.doctor import examine
from assistant.errors import UsageError
from assistant.models import PROVIDERS, Profile, chain, leaves, read_profiles
from assistant.settings import Settings

KEY = f"sk-test-{'4242' * 8}"
VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OUR_KEY")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def keys(monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, KEY)


@pytest.fixture
def gguf(tmp_path):
    path = tmp_path / "folder" / "small.gguf"
    path.parent.mkdir()
    path.write_bytes(b"GGUF and more")
    return path


@pytest.fixture
def profiles(tmp_path):
    """Settings with a profiles file of this text."""

    def made(text, model="fast", **settings):
        path = tmp_path / "profiles.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Settings(profiles=path, model=model, **settings)

    return made


def named(settings):
    return [one.label for one in chain(settings)]


def refused(settings, opens=chain) -> str:
    """The line that says what is wrong, which must hold no secret."""
    with pytest.raises(UsageError) as error:
        opens(settings)
    said = str(error.value)
    assert said.isprintable() and said.endswith((".", "?", "]'"))
    assert KEY not in said and "4242" not in said and "hunter2" not in said
    return said


def profile(**values):
    limits = {"window": 4096, "tokens": 320, "seconds": 60, "first_seconds": 30}
    return Profile.model_validate({**limits, **values})


# Names


def test_the_quotes_need_no_model():
    assert chain(Settings()) == chain(Settings(model="quotes", fallback="no-such-model")) == ()


def test_a_name_leads_to_a_provider_and_a_model(keys, gguf):
    for name in ("openai:gpt-x", "openai:org/model:tag", "anthropic:claude-x", "ollama:llama:1b", f"llamacpp:{gguf}"):
        (one,) = chain(Settings(model=name))
        assert one.model == name
        assert (one.provider, one.model_name) == tuple(name.split(":", 1))
        assert one.provider in PROVIDERS


def test_the_limits_are_those_of_the_settings(keys):
    limits = {"model_window": 8192, "model_tokens": 100, "model_seconds": 5.0, "model_first_seconds": 2.0}
    (one,) = chain(Settings(model="openai:x", **limits))
    assert (one.window, one.tokens, one.seconds, one.first_seconds) == tuple(limits.values())
    assert one.room == 8192 - 100


@pytest.mark.parametrize("name", ["gpt", "Quotes", "openai", " quotes"])
def test_an_unknown_name_is_refused_with_those_that_are_known(name):
    said = refused(Settings(model=name))
    assert repr(name) in said and "quotes, openai:…" in said


@pytest.mark.parametrize("name", ["openai:", ":gpt", ":"])
def test_half_a_name_is_refused(name):
    said = refused(Settings(model=name))
    assert repr(name) in said and "PROVIDER:NAME" in said


@pytest.mark.parametrize("name", ["nonsense:x", "bogus-provider:model", "mistral:x", "a b:c"])
def test_a_provider_that_langchain_does_not_know_is_refused(name):
    assert repr(name) in refused(Settings(model=name), open_models)


def test_what_is_wrong_is_found_before_anything_else_is(tmp_path):
    """No corpus and no index: the model's name is looked at first."""
    nowhere = tmp_path / "nowhere"
    said = refused(Settings(model="nonsense:x", corpus=nowhere, index=nowhere), open_assistant)
    assert "nonsense" in said and not nowhere.exists()


# What a model needs


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("openai:x", "langchain_openai", "openai"),
        ("anthropic:x", "langchain_anthropic", "anthropic"),
        ("ollama:x", "langchain_ollama", "ollama"),
        ("llamacpp:{gguf}", "xllamacpp", "local"),
        ("llamacpp:{gguf}", "langchain_openai", "local"),
    ],
)
def test_a_missing_package_is_named_by_its_extra(name, module, extra, gguf, keys, monkeypatch):
    settings = Settings(model=name.format(gguf=gguf))
    assert chain(settings)
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    said = refused(settings)
    assert re.search(rf"pip install .*\[{extra}\]", said)


def test_a_key_that_is_missing_is_named(monkeypatch):
    for name, variable in (("openai:x", "OPENAI_API_KEY"), ("anthropic:x", "ANTHROPIC_API_KEY")):
        assert variable in refused(Settings(model=name))
        monkeypatch.setenv(variable, "  \n")
        assert variable in refused(Settings(model=name))
        monkeypatch.setenv(variable, f"{KEY}\n")
        (one,) = chain(Settings(model=name))
        assert one.secret() == KEY


def test_a_server_of_ones_own_needs_no_key():
    (one,) = chain(Settings(model="openai:x", model_url="http://127.0.0.1:8080/v1"))
    assert one.secret() == ""


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("no/such.gguf", "no model file"),
        ("folder", "not a file"),
        ("model.txt", "not in the GGUF format"),
        ("empty.gguf", "not in the GGUF format"),
        ("x" * 300, "cannot be read"),
        ("~nobody-of-this-name/a.gguf", "a path that is none"),
        ("a\0b", "no model file"),
    ],
)
def test_a_model_file_that_is_none_is_refused(path, said, gguf, monkeypatch):
    pytest.importorskip("xllamacpp", reason="the local extra (xllamacpp) is not installed")
    monkeypatch.chdir(gguf.parent.parent)
    Path("model.txt").write_bytes(b"text")
    Path("empty.gguf").touch()
    assert said in refused(Settings(model=f"llamacpp:{path}"))


def test_a_home_folder_is_found(gguf, monkeypatch):
    pytest.importorskip("xllamacpp", reason="the local extra (xllamacpp) is not installed")
    monkeypatch.setenv("HOME", str(gguf.parent))
    assert chain(Settings(model="llamacpp:~/small.gguf"))


@pytest.mark.parametrize(
    "url",
    [
        *("localhost:8080", "ftp://a.example", "http://", "http:///v1", "http://:80/v1", "file:///etc/passwd", "http:a"),
        *("http://a.example:99999/v1", "http://a.example:x/v1", "http://[::1/v1", "http://a b.example", "http://a.example\n/v1"),
        *("http://user:hunter2@", f"https://{KEY}@:80", KEY),
    ],
)  # fmt: skip
@pytest.mark.parametrize("model", ["openai:x", "mistralai:x"])
def test_a_url_that_is_none_is_refused_and_not_repeated(url, model):
    said = refused(Settings(model=model, model_url=url))
    assert "URL" in said and "http://" in said
    assert url.strip() not in said or url == "http://"


def test_an_answer_must_leave_room_for_the_question(keys):
    assert "window of 1024" in refused(Settings(model="openai:x", model_window=1024, model_tokens=513))
    (one,) = chain(Settings(model="openai:x", model_window=1024, model_tokens=512))
    assert one.room == 512


# What a reader is shown


def test_a_label_shows_no_path(gguf, keys):
    assert named(Settings(model=f"llamacpp:{gguf}")) == ["llamacpp:small.gguf"]
    assert profile(model="llamacpp:/home/me/secret/m.gguf", name="local").label == "local"
    assert profile(model="llamacpp:~/secret/m.gguf").label == "llamacpp:m.gguf"
    assert named(Settings(model="openai:gpt-x")) == ["openai:gpt-x"]


@pytest.mark.parametrize(
    ("values", "host"),
    [
        ({"model": "openai:x"}, "api.openai.com"),
        ({"model": "anthropic:x"}, "api.anthropic.com"),
        ({"model": "mistralai:x"}, "mistralai"),
        ({"model": "ollama:x"}, ""),
        ({"model": "llamacpp:/m.gguf"}, ""),
        ({"model": "openai:x", "url": "http://127.0.0.1:8080/v1"}, ""),
        ({"model": "openai:x", "url": "http://127.9.9.9/v1"}, ""),
        ({"model": "openai:x", "url": "http://LocalHost:8080/v1"}, ""),
        ({"model": "openai:x", "url": "http://[::1]:8080/v1"}, ""),
        ({"model": "openai:x", "url": "https://models.example:8443/v1"}, "models.example"),
        ({"model": "openai:x", "url": "https://user:hunter2@models.example/v1"}, "models.example"),
        ({"model": "openai:x", "url": "http://127.0.0.1.example/v1"}, "127.0.0.1.example"),
        ({"model": "openai:x", "url": "http://localhost.example/v1"}, "localhost.example"),
        ({"model": "openai:x", "url": "http://127.0.0.1@models.example/v1"}, "models.example"),
        ({"model": "openai:x", "url": "http://192.168.1.2/v1"}, "192.168.1.2"),
        ({"model": "ollama:x", "url": "http://models.example:11434"}, "models.example"),
        ({"model": "mistralai:x", "url": "http://127.0.0.1/v1"}, ""),
    ],
)
def test_where_the_text_goes(values, host):
    one = profile(**values)
    assert one.host == host
    assert leaves([one]) == ([host] if host else [])


def test_every_host_is_told_once(profiles, keys):
    settings = profiles(
        "fast: {model: 'openai:a'}\nfar: {model: 'openai:b', url: 'https://models.example/v1'}\n",
        fallback="openai:b, far, ollama:x",
    )
    assert leaves(chain(settings)) == ["api.openai.com", "models.example"]


def test_doctor_says_where_the_text_goes_and_not_who_is_let_in(founding_corpus, founding_home, keys):
    def said(**model):
        settings = Settings(corpus=founding_corpus, index=founding_home, **model)
        return next(one for one in examine(settings) if one.what == "answers")

    far = said(model="openai:x", model_url="https://user:hunter2@models.example/v1")
    assert far.good and "leave this machine, to models.example" in far.says
    assert "hunter2" not in far.says and "user" not in far.says
    near = said(model="openai:x", model_url="http://127.0.0.1:8080/v1")
    assert near.good and "no text leaves this machine" in near.says
    wrong = said(model="nonsense")
    assert not wrong.good and "no model 'nonsense'" in wrong.says


# Profiles and fallbacks

TWO = """
fast:
  model: openai:small
  url: http://127.0.0.1:8080/v1
  key: OUR_KEY
  window: 2048
  tokens: 100
  seconds: 10
  first_seconds: 2.5
  temperature: 0.5
  fallback: [slow, "ollama:llama"]
slow:
  model: openai:large
"""


def test_a_profile_has_its_own_limits_and_the_settings_for_the_rest(profiles, keys):
    fast, slow, ollama = chain(profiles(TWO, model_seconds=33, fallback="openai:unused"))
    assert (fast.window, fast.tokens, fast.seconds, fast.first_seconds) == (2048, 100, 10, 2.5)
    assert (fast.heat, fast.secret(), fast.host, fast.label) == (0.5, KEY, "", "fast")
    assert (slow.window, slow.seconds, slow.heat, slow.label) == (4096, 33, None, "slow")
    assert ollama.label == "ollama:llama"


def test_the_url_of_the_settings_is_for_their_model_alone(profiles, keys):
    url = "http://127.0.0.1:9/v1"
    first, second = chain(profiles(TWO, model="openai:a", model_url=url, fallback="openai:b"))
    assert (first.url, second.url) == (url, "")


@pytest.mark.parametrize(
    ("model", "fallback", "names"),
    [
        ("a", "", ["a", "b", "c"]),
        ("b", "", ["b", "a"]),
        ("c", "", ["c"]),
        ("c", "b, a", ["c", "b", "a"]),
        ("c", " b ,, b, c, a, b", ["c", "b", "a"]),
        ("c", "a, quotes, b", ["c", "a"]),
        ("c", "quotes", ["c"]),
        ("d", "", ["d"]),
        ("openai:x", "openai:x, a", ["openai:x", "a"]),
        ("a-openai", "", ["a-openai", "openai:x"]),
    ],
)
def test_fallbacks_come_in_order_and_end(model, fallback, names, profiles, keys):
    text = """
    a: {model: 'openai:a', fallback: [b, a, c, quotes, d]}
    b: {model: 'openai:b', fallback: [a, b]}
    c: {model: 'openai:c'}
    d: {model: 'openai:d', fallback: [d]}
    a-openai: {model: 'openai:x', url: 'http://127.0.0.1:1/v1', fallback: ['openai:x']}
    """
    assert named(profiles(text, model=model, fallback=fallback)) == names


def test_a_fallback_that_cannot_be_called_is_refused_too(profiles, keys):
    assert "no model 'nothing'" in refused(Settings(model="openai:x", fallback="ollama:y, nothing"))
    assert "no model 'nothing'" in refused(profiles("fast: {model: 'openai:a', fallback: [nothing]}"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fast: {model: 'openai:x', api_key: KEY}", "'fast': api_key: "),
        ("fast: {model: 'openai:x', where: a, settings: b, values: c}", "'fast': where: "),
        ("fast: {model: 'openai:x', 5: a}", "'fast': 5: "),
        ("fast: {model: 'openai:x', key: KEY}", "'fast': key: must be the name of an environment variable"),
        ("fast: {model: 'openai:x', key: AIzaSyKEY}", "'fast': key: must be the name"),
        ("fast: {model: 'openai:x', key: [KEY]}", "'fast': key: "),
        ("fast: {model: 'openai:x', key: A4242BC}", "its `key:` names is not set"),
        ("fast: {model: 'openai:x', key: OTHER_KEY, url: 'http://127.0.0.1/v1'}", "its `key:` names is not set"),
        ("fast: {model: 'mistralai:x', key: OTHER_KEY}", "its `key:` names is not set"),
        ("fast: {model: 'openai:x', window: 100}", "'fast': window: "),
        ("fast: {model: 'openai:x', window: KEY}", "'fast': window: "),
        ("fast: {model: 'openai:x', tokens: 4000}", "window of 4096"),
        ("fast: {model: 'openai:x', seconds: .nan}", "'fast': seconds: "),
        ("fast: {model: 'openai:x', temperature: 9}", "'fast': temperature: "),
        ("fast: {model: 'openai:x', fallback: slow}", "'fast': fallback: "),
        ("fast: {model: 'openai:x', url: KEY}", "'fast' has a URL that is none"),
        ("fast: {model: ''}", "'fast': model: "),
        ("fast: {model: 5}", "'fast': model: "),
        ("fast: {url: 'http://127.0.0.1/v1'}", "'fast': model: "),
        ("fast: {model: gpt}", "'fast' must be PROVIDER:NAME"),
        ("fast: {model: quotes}", "'fast' must be PROVIDER:NAME"),
        ("fast:", "'fast' must be a name of your own"),
        ("fast: 'openai:x'", "'fast' must be a name of your own"),
        ("quotes: {model: 'openai:x'}", "'quotes' must be a name of your own"),
        ("'openai:y': {model: 'openai:x'}", "'openai:y' must be a name of your own"),
        ("'': {model: 'openai:x'}", "'' must be a name of your own"),
        ("5: {model: 'openai:x'}", "5 must be a name of your own"),
        ("slow: {model: 'openai:x'}", "no model 'fast'. Known: quotes, slow, "),
        ("", "must hold a name and a model"),
        ("- fast", "must hold a name and a model"),
        ("fast: {model: 'openai:x'", "no YAML in line 1"),
        ("fast:\n  model: *KEY", "no YAML in line 2"),
        ("fast: {model: !KEY x}", "no YAML in line 1"),
        ("fast: {model: 2024-99-99}", "no YAML"),
        ("fast: " + "[" * 10_000, "no YAML"),
        (b"fast: \xff\xfe", "no YAML"),
        (b"fast: \x00", "no YAML"),
    ],
)
def test_a_profile_that_is_wrong_is_named(text, said, profiles, keys):
    text = text.replace("KEY", KEY) if "OTHER_KEY" not in str(text) and isinstance(text, str) else text
    assert said in refused(profiles(text))


def test_a_profiles_file_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path / "missing.yaml", tmp_path):
        said = refused(Settings(profiles=path, model="fast"))
        assert repr(str(path)) in said and "ASSISTANT_PROFILES" in said


def test_a_profile_that_is_wrong_is_named_though_another_is_used(profiles, keys):
    assert "'slow': " in refused(profiles("fast: {model: 'openai:x'}\nslow: {model: 'openai:x', tokens: 1}"))


def test_without_a_file_there_are_no_profiles():
    assert read_profiles(Settings()) == {}


# What is opened


@pytest.mark.parametrize("name", ["openai:x", "anthropic:x", "ollama:x"])
def test_a_model_that_can_be_called_is_opened_without_a_call(name, keys):
    opened = open_models(Settings(model=name))
    assert [one.profile.model for one in opened.models] == [name]
    assert opened.prompts is not None


def test_a_package_of_a_provider_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "langchain_mistralai", None)
    assert "'mistralai:x'" in refused(Settings(model="mistralai:x"), open_models)


def test_a_model_needs_the_prompts(keys, tmp_path):
    assert "ASSISTANT_PROMPTS" in refused(Settings(model="openai:x", prompts=tmp_path), open_models)
    assert open_models(Settings(prompts=tmp_path)).models == ()  # the quotes do not
