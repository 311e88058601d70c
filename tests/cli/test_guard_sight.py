"""The guard and a bot that it cannot see, or sees again: said, and not acted upon."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bitopro_margin_ext.bot.options import parse_options
from bitopro_margin_ext.core.credentials import heartbeat_path
from bitopro_margin_ext.guard.heartbeat import find_health
from bitopro_margin_ext.guard.state import Debt, Phase, StateFile, WatchState
from bitopro_margin_ext.guard.watch import ad_ratio
from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import KEY, SECRET, Runner
from .test_guard import beating, borrow_something, cancels, guard, wait_until


class RestServer(http.server.ThreadingHTTPServer):
    """Answers ``/api/v1/health`` as it is set to, and notes what was sent to it."""

    status = 200
    body = b"{}"
    headers: dict[str, str]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.headers = {}
        self.seen: list[dict[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def beat(self) -> None:
        self.status = 200
        self.body = json.dumps({"last_process_ts": time.time(), "bot_startup_ts": 1}).encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: RestServer

    def do_GET(self) -> None:
        self.server.seen.append({"path": self.path, **dict(self.headers)})
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def rest_server() -> Iterator[RestServer]:
    server = RestServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


PASSWORD = {"FREQTRADE__API_SERVER__USERNAME": "me", "FREQTRADE__API_SERVER__PASSWORD": "pass-word"}


NO_SIGHT = [
    (302, b"", {"Location": "/login"}, "answers 302"),
    (200, b"<html>hello</html>", {}, "something else than Freqtrade's health"),
    (200, b"[1, 2]", {}, "something else than Freqtrade's health"),
    (200, b'{"status": "pong"}', {}, "something else than Freqtrade's health"),
    (200, b'{"last_process_ts": NaN}', {}, "something else than Freqtrade's health"),
    (200, b"[" * 100_000, {}, "something else than Freqtrade's health"),
    (200, b'{"last_process_ts": null}', {}, "not finished a round"),
    (404, b"{}", {}, "answers 404"),
    (401, b"{}", {}, "refuses user or password"),
]


def test_a_bot_that_cannot_be_seen_is_left_alone_until_it_has_been_alive(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    with rest_server() as bot:
        bot.status, bot.body, bot.headers, _ = NO_SIGHT[0]
        arguments = ("--bot-url", bot.url, "--base-url", sandbox.rest_url)
        log = tmp_path / "log"
        with guard(environment, log, *arguments, after=0.6, **PASSWORD) as watch:
            watch.wait_for("NOT ARMED")
            for bot.status, bot.body, bot.headers, said in NO_SIGHT:
                asked = len(bot.seen)
                wait_until(lambda asked=asked: len(bot.seen) > asked + 2)
                watch.wait_for(said)
            assert cancels(sandbox) == 0
            bot.headers = {}
            bot.beat()
            watch.wait_for("the bot is alive: armed")
            # It was alive once: from now on not to be seen is to be silent.
            bot.status, bot.body, bot.headers, _ = NO_SIGHT[-1]
            watch.wait_for("confirmed, 3 cancelled")


@pytest.mark.parametrize(("status", "body", "headers", "said"), NO_SIGHT)
def test_why_the_bot_cannot_be_seen_is_said(
    status: int, body: bytes, headers: dict[str, str], said: str
) -> None:
    with rest_server() as bot:
        bot.status, bot.body, bot.headers = status, body, headers
        health = find_health({"api_server": {"password": "pass-word"}}, bot.url)
        assert health is not None
        assert health.look(5) is None
        assert said in str(health.problem)
        assert bool(health.refused) is (status == 401)


@pytest.mark.parametrize("days", [-1, 1])
def test_a_beat_of_another_day_arms_nothing(
    sandbox: SandboxServer,
    seeded: list[str],
    environment: dict[str, str],
    tmp_path: Path,
    days: int,
) -> None:
    """Nor does one from a time to come, which a clock that was wrong has left."""
    import os

    beat = tmp_path / "beat"
    beat.touch()
    os.utime(beat, (time.time() + days * 86400,) * 2)
    arguments = ("--heartbeat-file", str(beat), "--base-url", sandbox.rest_url)
    with guard(environment, tmp_path / "log", *arguments, after=0.6) as watch:
        watch.wait_for("NOT ARMED")
        time.sleep(1)
        assert cancels(sandbox) == 0
        beat.touch()
        watch.wait_for("confirmed, 3 cancelled")


@pytest.mark.parametrize(
    ("arguments", "config", "said"),
    [
        (["--bot-url", "localhost:18081"], {}, "write it as http://"),
        (["--bot-url", "ftp://localhost"], {}, "write it as http://"),
        (["--bot-url", "http://"], {}, "write it as http://"),
        (["--bot-url", "http://localhost:port"], {}, "write it as http://"),
        (["--bot-url", "http://127.0.0.1:1"], {}, "there is no password for it"),
        (["--heartbeat-file", "nowhere/beat"], {}, "there is no folder"),
        (["--heartbeat-file", "."], {}, "is a folder"),
        (["--heartbeat-file", "~nobody-of-this-name/beat"], {}, "no such home folder"),
        ([], {"bitopro_margin": {"heartbeat_file": "nowhere/beat"}}, "there is no folder"),
        (
            ["--heartbeat-file", "beat", "--after", "20"],
            {"internals": {"process_throttle_secs": 60}},
            "--after 20 is too short: the bot makes a round every 60 s",
        ),
        (["--heartbeat-file", "beat", "--after", "4"], {"stake_currency": "USDT"}, "too short"),
    ],
)
def test_settings_with_which_it_could_never_see_the_bot_are_refused(
    arguments: list[str],
    config: dict[str, Any],
    said: str,
    sandbox: SandboxServer,
    run: Runner,
    tmp_path: Path,
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "config.json").chmod(0o600)
    done = run("guard", *arguments, "-c", "config.json", "--base-url", sandbox.rest_url)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert sandbox.control.requests() == []


def test_a_password_that_is_refused_ends_it_at_the_start(
    sandbox: SandboxServer, run: Runner
) -> None:
    with rest_server() as bot:
        bot.status = 401
        address = ("--bot-url", bot.url, "--base-url", sandbox.rest_url)
        for variables in ({}, PASSWORD):
            done = run("guard", *address, **variables)
            assert done.code == 2
            assert "give the bot's config with -c" in done.err
            assert "pass-word" not in done.err
    assert sandbox.control.requests() == []


def test_user_and_password_in_the_address_are_used_and_shown_nowhere(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    with rest_server() as bot:
        bot.beat()
        address = bot.url.replace("http://", "http://trader:hunter%2022@")
        arguments = ("--bot-url", address, "--base-url", sandbox.rest_url)
        with guard(environment, tmp_path / "log", *arguments) as watch:
            watch.wait_for("watching")
            assert bot.seen[0]["Authorization"] == "Basic dHJhZGVyOmh1bnRlciAyMg=="
            assert "hunter" not in watch.log
            assert "@" not in bot.seen[0]["Host"]


def test_it_sends_nothing_more_the_moment_the_bot_is_back(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    # Cancels do nothing, so that the sweep goes on for as long as it may.
    for method in ("DELETE", "PUT"):
        sandbox.control.add_fault("status", method=method, status=502, times=None)
    beat = tmp_path / "beat"
    beat.touch()
    arguments = ("--heartbeat-file", str(beat), "--base-url", sandbox.rest_url)
    with guard(environment, tmp_path / "log", *arguments, "--deadline", "60", after=1) as watch:
        wait_until(lambda: writes(sandbox) >= 2)
        beat.touch()
        before = writes(sandbox)
        watch.wait_for("the bot is back before all orders were confirmed cancelled")
        # One may have been on its way.
        assert writes(sandbox) <= before + 1
        with beating(beat):
            seen = writes(sandbox)
            time.sleep(2)
            assert writes(sandbox) == seen


def writes(sandbox: SandboxServer) -> int:
    return sum(line["method"] != "GET" for line in sandbox.control.requests())


def test_each_fall_of_ad_ratio_fires_also_after_the_debt_was_repaid(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    beat = tmp_path / "beat"
    arguments = ("--heartbeat-file", str(beat), "--base-url", sandbox.rest_url)
    more = ("--min-ad-ratio", "900", "--interval", "0.3")
    with beating(beat), guard(environment, tmp_path / "log", *arguments, *more, after=9) as watch:
        borrow_something(sandbox)
        watch.wait_for("confirmed, 3 cancelled")
        repay(sandbox)
        # An interest too small to pay may stay: then the ratio has recovered.
        watch.wait_for("armed again")
        sandbox.control.seed_order("btc_usdt", "BUY", "0.01", "20000")
        borrow_something(sandbox)
        watch.wait_for("confirmed, 1 cancelled")


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ({"totalDebtAmount": "0.00000000", "adRatio": "999"}, Debt.NONE),
        ({"totalDebtAmount": "0", "adRatio": None}, Debt.NONE),
        ({"totalDebtAmount": "5", "adRatio": "1.2"}, Decimal("1.2")),
        ({"totalDebtAmount": "5", "adRatio": 0}, Decimal(0)),
    ],
)
def test_no_debt_is_not_a_ratio(answer: dict[str, Any], read: object) -> None:
    assert ad_ratio(answer) == read


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        None,
        {"adRatio": "1.2"},
        {"totalDebtAmount": None, "adRatio": "1.2"},
        {"totalDebtAmount": "5"},
        {"totalDebtAmount": "5", "adRatio": "NaN"},
        {"totalDebtAmount": "5", "adRatio": "much"},
        {"totalDebtAmount": "NaN", "adRatio": "1.2"},
    ],
)
def test_what_could_not_be_read_is_neither(answer: Any) -> None:
    with pytest.raises((AttributeError, TypeError, ValueError)):
        ad_ratio(answer)


def test_an_ad_ratio_that_cannot_be_read_is_not_the_end_of_a_debt(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    borrow_something(sandbox)
    beat = tmp_path / "beat"
    arguments = ("--heartbeat-file", str(beat), "--base-url", sandbox.rest_url)
    more = ("--min-ad-ratio", "900", "--interval", "0.3")
    with beating(beat), guard(environment, tmp_path / "log", *arguments, *more, after=9) as watch:
        watch.wait_for("confirmed, 3 cancelled")
        body = {"balances": {}, "adRatio": "many", "totalDebtAmount": "many"}
        sandbox.control.add_fault("status", path="*/balances", status=200, body=body, times=None)
        watch.wait_for("adRatio cannot be read")
        time.sleep(1)
        assert "armed again" not in watch.log
        assert "round failed" not in watch.log


def repay(sandbox: SandboxServer) -> None:
    import ccxt

    import bitopro_margin_ext

    bitopro_margin_ext.register()
    urls = {"api": {"rest": sandbox.rest_url}}
    api = ccxt.bitopromargin({"apiKey": KEY, "secret": SECRET, "urls": urls})
    api.privatePostMarginRepay({"currency": "USDT", "repayAmount": "100"})


# -- files -------------------------------------------------------------------------------------

WATCHED = WatchState(silence=3.0, beat="b", heartbeat=Phase.ARMED)


def state_text(path: Path, **changes: Any) -> str:
    StateFile(path, "subject").write(WATCHED)
    return json.dumps({**json.loads(path.read_text()), **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"silence": float("nan")},
        {"silence": float("inf")},
        {"silence": -1},
        {"silence": True},
        {"silence": "3"},
        {"silence": 10**400},
        {"beat": 5},
        {"beat": ["b"]},
        {"heartbeat": "alarmed"},
        {"heartbeat": ["fired"]},
        {"ratio": "waiting"},
        {"ratio": None},
        {"subject": None},
    ],
)
def test_a_state_that_the_guard_cannot_have_written_is_replaced(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "state.json"
    path.write_text(state_text(path, **changes))
    file = StateFile(path, "subject")
    assert file.read() == WatchState()
    file.write(WATCHED)
    assert StateFile(path, "subject").read() == WATCHED


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"x"', "{}", "[" * 50_000, "9" * 5000, '{"subject": "\\ud800"', "\0"],
)
def test_a_file_that_holds_no_state_is_replaced(text: str, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    assert StateFile(path, "subject").read() == WatchState()
    path.write_bytes(b"\xff\xfe\x00")
    assert StateFile(path, "subject").read() == WatchState()
    path.write_text(state_text(path) + " " * 100_000)
    assert StateFile(path, "subject").read() == WatchState()
    path.write_text(state_text(path)[:-9])
    assert StateFile(path, "subject").read() == WatchState()


def test_a_relative_heartbeat_file_is_the_same_to_bot_and_guard(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "bot"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    block = {"bitopro_margin": {"heartbeat_file": "beat"}}
    bots = parse_options({**block, "config_files": ["bot/config.json", "keys.json"]})
    monkeypatch.chdir("/")
    guards = heartbeat_path("beat", str(folder / "config.json"))
    assert bots.heartbeat_file == guards == folder / "beat"
    assert heartbeat_path("~/beat") == tmp_path / "beat"


@pytest.mark.parametrize("path", ["nowhere/beat", ".", "~nobody-of-this-name/beat"])
def test_the_bot_refuses_a_heartbeat_file_that_it_cannot_touch(path: str) -> None:
    with pytest.raises(ValueError, match="heartbeat_file"):
        parse_options({"bitopro_margin": {"heartbeat_file": path}})
