"""Keys, origins, proxies and limits: what may pass, what may not, and what is told; the clock is a test's own."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest
from conftest import child_environment
from test_cli import complains_once

from assistant.access import Access, Caller, read_origin, shown_key
from assistant.audit import Audit, asked, open_audit
from assistant.errors import AssistantError, UsageError
from assistant.keys import MARK, Key, Keys
from assistant.limits import Limits
from assistant.settings import Settings

OWN = "http://127.0.0.1:7860"
DOCS = "https://docs.example"
FOREIGN = "203.0.113.9"
KEY = Key("ci", "2026-11-24T12:00:00+00:00", 3)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path / "deep" / "keys.sqlite3")


@pytest.fixture
def made(tmp_path, clock):
    """Makes the rules of a server with these settings."""

    def make(**settings):
        return Access(Settings(keys=tmp_path / "keys.sqlite3", **settings), clock)

    return make


def caller(address=FOREIGN, local=False):
    return Caller(address, "http", local, False)


# Keys


def test_a_key_is_found_again_and_stands_nowhere(keys):
    key, other = keys.add("ci"), keys.add("docs", 5)
    assert key.startswith(MARK) and len(key) >= 35 and key != other
    assert keys.find(key) == keys.all()[0]
    assert keys.find(other).name == "docs" and keys.find(other).rate == 5
    written = b"".join(path.read_bytes() for path in keys.path.parent.iterdir())
    assert b"docs" in written
    assert key.encode() not in written and key[len(MARK) :].encode() not in written


def test_equal_keys_would_have_different_hashes(keys, monkeypatch):
    monkeypatch.setattr("secrets.token_urlsafe", lambda size: "x" * 43)
    keys.add("a")
    keys.add("b")
    with sqlite3.connect(keys.path) as database:
        digests = {row[0] for row in database.execute("select digest from keys")}
    database.close()
    assert len(digests) == 2


def test_only_the_owner_may_read_the_file_whatever_the_umask_says(keys):
    before = os.umask(0)
    try:
        keys.add("ci")
    finally:
        os.umask(before)
    assert keys.path.stat().st_mode & 0o777 == 0o600
    keys.path.chmod(0o644)
    keys.add("docs")
    assert keys.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("wrong", ["", MARK, "ak_" + "x" * 43, "ak_é" + "x" * 42, "x" * 10_000])
def test_what_is_no_key_of_ours_finds_nobody(keys, wrong):
    assert keys.find(wrong) is None
    assert not keys.path.exists()
    keys.add("ci")
    assert keys.find(wrong) is None


def test_a_revoked_key_is_found_no_more_by_one_who_looked_before(keys):
    key, other = keys.add("ci"), keys.add("docs")
    reader = Keys(keys.path)
    assert reader.find(key) and reader.find(other)
    assert keys.revoke("ci") is True
    assert reader.find(key) is None and reader.find(other)
    assert keys.revoke("ci") is False
    assert reader.find(keys.add("ci")).name == "ci"
    assert reader.find(key) is None


def test_a_name_is_given_once(keys):
    keys.add("ci")
    with pytest.raises(UsageError, match="assistant keys revoke ci"):
        keys.add("ci")
    assert len(keys.all()) == 1


@pytest.mark.parametrize("name", ["", " ", "a b", "a\n", "-a", "x" * 65, "ä"])
def test_a_name_is_one_plain_word(keys, name):
    with pytest.raises(UsageError):
        keys.add(name)


@pytest.mark.parametrize("rate", [0, -1, 10_000_000])
def test_a_rate_is_a_number_of_questions(keys, rate):
    with pytest.raises(UsageError):
        keys.add("ci", rate)


def test_a_file_that_is_none_of_keys_is_said_with_its_setting(tmp_path):
    (tmp_path / "keys").write_bytes(b"no database at all" * 100)
    for action in (lambda keys: keys.all(), lambda keys: keys.find("ak_" + "x" * 43), lambda keys: keys.add("ci")):
        with pytest.raises(AssistantError, match="ASSISTANT_KEYS"):
            action(Keys(tmp_path / "keys"))


def test_keys_stand_beside_the_ratings_unless_a_setting_says_otherwise(tmp_path):
    assert Settings(feedback=str(tmp_path / "ratings.sqlite3")).keys == tmp_path / "keys.sqlite3"
    assert Settings(feedback="off").keys.name == "keys.sqlite3"
    assert Settings(keys=tmp_path / "mine").keys == tmp_path / "mine"


def test_keys_on_the_command_line(tmp_path):
    env = child_environment(tmp_path / "corpus", tmp_path)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "assistant.cli", "keys", *arguments],
            env=env,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    none = run("list")
    assert (none.returncode, none.stdout) == (0, "") and "assistant keys add" in none.stderr
    added = run("add", "ci", "--rate", "7")
    key = added.stdout.removesuffix("\n")
    assert added.returncode == 0 and key.startswith(MARK) and "\n" not in key
    assert key not in added.stderr
    complains_once(run("add", "ci"), 2)
    listed = run("list")
    assert listed.stdout.endswith("7 a minute  ci\n") and key not in listed.stdout
    (told,) = json.loads(run("list", "--json").stdout)
    assert list(told) == ["name", "created", "rate"] and told["rate"] == 7
    assert run("revoke", "ci").returncode == 0
    complains_once(run("revoke", "ci"), 1)
    assert run("list", "--json").stdout == "[]\n"


# Origins


@pytest.mark.parametrize("origin", [OWN, "HTTP://127.0.0.1:7860"])
def test_the_servers_own_pages_may_ask(made, origin):
    assert made().allows(origin, OWN)


@pytest.mark.parametrize(
    ("origin", "own"),
    [("https://a.example", "https://a.example:443"), ("http://a.example:80", "http://A.example"), (OWN, OWN)],
)
def test_a_port_that_goes_without_saying_makes_no_other_origin(made, origin, own):
    assert made().allows(origin, own)


STRANGERS = [
    "https://evil.example",
    "http://docs.example",
    "https://docs.example:8443",
    "https://docs.example.evil.example",
    "https://evil-docs.example",
    "https://docs.example@evil.example",
    "https://docs.example/",
    "https://docs.example evil",
    "https://docs.example\n",
    "null",
    "",
    "*",
    "http://localhost",
    "http://localhost:*",
    "https://127.0.0.1:7860",
    "http://127.0.0.1:7861",
    "http://127.0.0.1.evil.example:7860",
]


@pytest.mark.parametrize("origin", STRANGERS)
def test_others_may_not(made, origin):
    assert not made(allowed_origins=DOCS).allows(origin, OWN)


def test_allowed_origins_may_ask_and_no_others(made):
    access = made(allowed_origins=f" {DOCS} , https://b.example:8443,,")
    for origin in (DOCS, "https://DOCS.example", f"{DOCS}:443", "https://b.example:8443"):
        assert access.allows(origin, OWN)
    assert not access.allows("https://b.example", OWN)


def test_every_port_of_this_machine_may_be_allowed_and_nothing_else_is(made):
    access = made(allowed_origins="http://localhost:*")
    for origin in ("http://localhost:8000", "http://localhost", "http://localhost:65535"):
        assert access.allows(origin, OWN)
    for origin in ("https://localhost:8000", "http://127.0.0.1:8000", "http://localhost.evil.example:80", "null"):
        assert not access.allows(origin, OWN)


@pytest.mark.parametrize(
    "setting",
    [
        "*",
        "docs.example",
        "https://docs.example/",
        "https://docs.example/a",
        "https://*.example",
        "https://a:*",
        "null",
    ],
)
def test_an_origin_that_is_none_is_refused_with_its_setting(made, setting):
    with pytest.raises(UsageError, match="ASSISTANT_ALLOWED_ORIGINS") as error:
        made(allowed_origins=setting)
    assert repr(setting) in str(error.value)


def test_the_servers_public_address_is_its_own(made):
    access = made(public_url="https://assistant.example/here")
    assert access.allows("https://assistant.example", OWN)
    assert not access.allows("http://assistant.example", OWN)


def test_a_stranger_is_told_why_and_which_setting(made):
    access = made()
    refusal = access.stranger("https://evil.example", OWN)
    assert refusal.status == 403
    assert "https://evil.example" in refusal.detail and "ASSISTANT_ALLOWED_ORIGINS" in refusal.detail
    assert "ASSISTANT_TRUSTED_PROXY" not in refusal.detail
    assert "ASSISTANT_TRUSTED_PROXY" in access.stranger("https://a.example", "http://a.example").detail
    assert len(access.stranger("https://" + "a\x1b\r\n" * 9000, OWN).detail) < 400


def test_an_origin_is_read_as_browsers_send_it():
    assert read_origin("https://Docs.Example:443/") == DOCS
    assert read_origin("http://localhost:8000") == "http://localhost:8000"
    for wrong in ("docs.example", "https://docs.example/page", "http://localhost:*", ""):
        with pytest.raises(UsageError, match=r"https://docs\.example"):
            read_origin(wrong)


# Proxies


def test_what_a_request_says_of_itself_counts_only_from_a_trusted_proxy(made):
    told = {"x-forwarded-for": "198.51.100.1", "x-forwarded-proto": "https"}
    for access in (made(), made(trusted_proxy="10.0.0.0/8")):
        found = access.caller(FOREIGN, "http", told)
        assert (found.address, found.scheme, found.vouched) == (FOREIGN, "http", False)
    found = made(trusted_proxy="192.0.2.1, 203.0.113.0/24").caller(FOREIGN, "http", told)
    assert (found.address, found.scheme, found.vouched) == ("198.51.100.1", "https", True)


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("127.0.0.1, 198.51.100.1", "198.51.100.1"),  # the first was the client's own invention
        ("198.51.100.1, 10.0.0.7", "198.51.100.1"),  # the second is a proxy of ours
        ("198.51.100.1, 198.51.100.2, 10.0.0.7, 10.0.0.8", "198.51.100.2"),
        ("198.51.100.1:5123", "198.51.100.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.9", "10.0.0.9"),
        ("", "10.0.0.1"),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_is_the_client(made, forwarded, address):
    found = made(trusted_proxy="10.0.0.0/8").caller("10.0.0.1", "http", {"x-forwarded-for": forwarded})
    assert found.address == address


def test_only_a_program_that_comes_straight_from_this_machine_is_local(made):
    access = made()
    for peer in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert access.caller(peer, "http", {}).local
        for header in ("x-forwarded-for", "forwarded", "x-real-ip"):
            assert not access.caller(peer, "http", {header: "127.0.0.1"}).local
    for peer in (FOREIGN, "", "testclient", "::2"):
        assert not access.caller(peer, "http", {}).local
    for forwarded in ({}, {"x-forwarded-for": "127.0.0.1"}, {"x-forwarded-for": FOREIGN}):
        assert not made(trusted_proxy="127.0.0.1").caller("127.0.0.1", "http", forwarded).local


def test_a_proxy_that_is_none_is_refused_with_its_setting(made):
    with pytest.raises(UsageError, match="ASSISTANT_TRUSTED_PROXY"):
        made(trusted_proxy="proxy.example")


# When a key is needed


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        # a foreign program, a foreign program on a page's behalf, a local program
        ({}, (False, False, False)),
        ({"host": "localhost"}, (False, False, False)),
        ({"host": "::1"}, (False, False, False)),
        ({"host": "0.0.0.0"}, (True, False, False)),
        ({"host": "::"}, (True, False, False)),
        ({"host": "assistant.example"}, (True, False, False)),
        ({"trusted_proxy": "127.0.0.1"}, (True, False, False)),
        ({"public_url": "https://a.example"}, (True, False, False)),
        ({"host": "0.0.0.0", "require_key": "never"}, (False, False, False)),
        ({"require_key": "always"}, (True, True, True)),
    ],
)
def test_when_a_key_is_needed(made, settings, needed):
    access = made(**settings)
    found = (
        access.needs_key(caller(), False),
        access.needs_key(caller(), True),
        access.needs_key(caller("127.0.0.1", True), False),
    )
    assert found == needed


def test_without_a_key_that_is_needed_it_is_401_and_says_how(made):
    access = made(host="0.0.0.0")
    refusal = access.admit(caller(), False, "", None)
    assert (refusal.status, refusal.headers) == (401, {"WWW-Authenticate": "Bearer"})
    assert "assistant keys add" in refusal.detail
    assert access.admit(caller(), True, "", None) is None
    assert access.admit(caller(), False, "ak_…", KEY) is None


def test_a_key_that_is_shown_must_be_one_even_where_none_is_needed(made):
    for settings in ({}, {"require_key": "never"}, {"require_key": "always"}):
        refusal = made(**settings).admit(caller("127.0.0.1", True), True, "ak_old", None)
        assert refusal.status == 401
        assert "revoked" in refusal.detail and "ak_old" not in refusal.detail


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer ak_x", "ak_x"),
        ("bearer  ak_x ", "ak_x"),
        ("Bearer not-needed", ""),
        ("Basic ak_x", ""),
        ("Bearer ak_x, Bearer ak_y", ""),
        ("ak_x", ""),
        ("Bearer", ""),
        ("", ""),
    ],
)
def test_a_key_comes_as_a_bearer(header, key):
    assert shown_key(header) == key


# Limits


def test_an_address_may_ask_so_many_a_minute_and_is_told_when_to_come_back(made, clock):
    access = made(rate=2)
    assert access.admit(caller(), False, "", None) is None
    assert access.admit(caller(), False, "", None) is None
    refusal = access.admit(caller(), False, "", None)
    assert (refusal.status, refusal.headers) == (429, {"Retry-After": "30"})
    assert "ASSISTANT_RATE" in refusal.detail and "30 s" in refusal.detail
    assert access.admit(caller("198.51.100.1"), False, "", None) is None
    clock.now += 29.5
    assert access.admit(caller(), False, "", None).headers == {"Retry-After": "1"}
    clock.now += 0.5
    assert access.admit(caller(), False, "", None) is None
    assert access.admit(caller(), False, "", None).status == 429


def test_who_follows_retry_after_is_never_refused_again(clock):
    limits = Limits(10_000, clock)
    for rate in (1, 7, 59, 600):
        name = str(rate)
        for _ in range(rate + 20):
            seconds, _own = limits.take(name, rate)
            assert isinstance(seconds, int)
            if seconds:
                clock.now += seconds
                assert limits.take(name, rate) == (0, False)


def test_what_is_not_used_does_not_pile_up(clock):
    limits = Limits(1000, clock)
    limits.take("a", 3)
    clock.now += 1_000_000
    assert [limits.take("a", 3)[0] > 0 for _ in range(4)] == [False, False, False, True]


def test_this_machine_is_limited_where_a_limit_is_set_and_not_before(made):
    here = caller("127.0.0.1", local=True)
    free, set_for_all = made(), made(rate=3)
    assert not any(free.admit(here, False, "", None) for _ in range(2000))
    assert [bool(set_for_all.admit(here, False, "", None)) for _ in range(5)] == [False, False, False, True, True]


def test_a_key_has_a_limit_of_its_own_wherever_it_is_used(made):
    access = made(rate=1)
    for address in ("198.51.100.1", "198.51.100.2", "198.51.100.3"):
        assert access.admit(caller(address), False, "ak_…", KEY) is None
    refusal = access.admit(caller("198.51.100.4"), False, "ak_…", KEY)
    assert refusal.status == 429 and "key" in refusal.detail
    assert access.admit(caller("198.51.100.4"), False, "", None) is None


def test_all_together_may_ask_so_many(made, clock):
    access = made(rate_total=3)
    for number in range(3):
        assert access.admit(caller(f"198.51.100.{number}"), False, "", None) is None
    for _ in range(5):  # who is refused takes nothing
        refusal = access.admit(caller("198.51.100.9"), False, "", None)
        assert (refusal.status, refusal.headers["Retry-After"]) == (429, "20")
        assert "ASSISTANT_RATE_TOTAL" in refusal.detail
    clock.now += 20
    assert access.admit(caller("198.51.100.9"), False, "", None) is None


def test_who_lacks_a_key_is_limited_and_takes_nothing_from_the_others(made):
    access = made(host="0.0.0.0", rate=3, rate_total=3)
    found = [access.admit(caller(), False, "ak_guess", None).status for _ in range(5)]
    assert found == [401, 401, 401, 429, 429]
    for _ in range(3):
        assert access.admit(caller("198.51.100.1"), True, "", None) is None


def test_half_a_question_costs_half(made):
    access = made(rate=1)
    assert [access.admit(caller(), False, "", None, 0.5) is None for _ in range(3)] == [True, True, False]


def test_addresses_of_one_subscriber_share_a_limit(made):
    access = made(rate=1)
    assert access.admit(caller("2001:db8:1:2::1"), False, "", None) is None
    assert access.admit(caller("2001:db8:1:2:ffff::9"), False, "", None).status == 429
    assert access.admit(caller("2001:db8:1:3::1"), False, "", None) is None


def test_memory_is_bounded_and_who_asks_often_is_remembered(clock):
    limits = Limits(1_000_000, clock, callers=100)
    limits.take("often", 1000)
    for number in range(10_000):
        limits.take(f"stranger {number}", 10)
        limits.take("often", 100_000)
    assert len(limits) == 100
    assert limits._buckets["often"].tokens < 1000  # the first of all, and never forgotten


# The audit file


def test_nothing_is_audited_unless_a_file_is_named():
    assert open_audit(Settings(), print) is None


def test_an_audit_file_gets_a_line_each_and_only_its_owner_reads_it(tmp_path):
    audit = open_audit(Settings(audit=str(tmp_path / "deep" / "audit.jsonl")), print)
    audit.write({"path": "/a"})
    audit.path.rename(tmp_path / "old")  # rotated
    audit.write({"path": "/b"})
    assert audit.path.read_text("utf-8") == '{"path": "/b"}\n'
    assert audit.path.stat().st_mode & 0o077 == 0
    assert not audit.questions


def test_an_audit_file_that_cannot_be_written_is_said_before_anybody_asks(tmp_path):
    with pytest.raises(AssistantError, match="ASSISTANT_AUDIT"):
        Audit(tmp_path, False, print)


def test_one_that_fails_later_is_said_once_and_stops_nobody(tmp_path):
    said = []
    audit = Audit(tmp_path / "audit", False, said.append)
    audit.path.unlink()
    audit.path.mkdir()
    for _ in range(3):
        audit.write({})
    assert len(said) == 1 and "audit" in said[0]


@pytest.mark.parametrize(
    ("body", "question"),
    [
        ({"question": "Why?"}, "Why?"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "Why?"}]}, "Why?"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}]}, "Why?"),
        ({"messages": [{"role": "system", "content": "a"}]}, None),
        ({"data": [[{"question": "a"}, {"question": "Why?", "answer": {}}]], "fn_index": 3}, "Why?"),
        ({"method": "tools/call", "params": {"name": "search", "arguments": {"query": "Why?"}}}, "Why?"),
        ({"params": {"arguments": {"query": 7}}}, None),
        ([1], None),
        ({}, None),
    ],
)
def test_the_question_of_a_body_is_found_in_every_form(body, question):
    assert asked(json.dumps(body).encode()) == question


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_without_a_question_has_none(body):
    assert asked(body) is None


def test_settings_that_are_wrong_are_named(tmp_path):
    env = {**child_environment(tmp_path, tmp_path), "ASSISTANT_REQUIRE_KEY": "sometimes"}
    done = subprocess.run(
        [sys.executable, "-m", "assistant.cli", "keys", "list"],
        env=env,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    complains_once(done, 2)
    assert "ASSISTANT_REQUIRE_KEY" in done.stderr
