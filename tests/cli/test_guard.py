"""The guard as a process: over the bot's silence, a lost network and its own restart."""

import http.server
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import KEY, SECRET, Runner, clean_environment, command, freqtrade

SILENT_BOT = ("--heartbeat-file", "none", "--armed-from-start")


class Guard:
    """A guard at work, and its log."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.log:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)


@contextmanager
def guard(
    environment: dict[str, str], log: Path, *arguments: str, after: float = 1, **variables: str
) -> Iterator[Guard]:
    with log.open("w") as file:
        process = subprocess.Popen(
            command("guard", "--after", str(after), *arguments),
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            text=True,
            cwd=log.parent,
        )
        try:
            yield Guard(process, log)
        finally:
            process.terminate()
            process.wait(30)
    text = log.read_text()
    assert SECRET not in text
    assert KEY not in text
    assert "Traceback" not in text


@contextmanager
def beating(path: Path) -> Iterator[None]:
    """A bot that touches its file a few times a second."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.2):
            path.touch()

    path.touch()
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def cancels(sandbox: SandboxServer) -> int:
    lines = sandbox.control.requests()
    return sum(line["method"] == "DELETE" and line["status"] == 200 for line in lines)


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_fires_once_for_one_silence_and_is_armed_again(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    beat = tmp_path / "beat"
    arguments = ("--heartbeat-file", str(beat), "--base-url", sandbox.rest_url)
    with guard(environment, tmp_path / "log", *arguments) as watch:
        with beating(beat):
            watch.wait_for("watching")
            time.sleep(2)
            assert cancels(sandbox) == 0
        watch.wait_for("confirmed, 3 cancelled")
        seen = cancels(sandbox)
        sandbox.control.seed_order("btc_usdt", "BUY", "0.01", "20000")
        time.sleep(2)
        # What a person places while the bot is away is not the guard's to cancel.
        assert cancels(sandbox) == seen == 1
        with beating(beat):
            watch.wait_for("armed again")
        watch.wait_for("confirmed, 1 cancelled")
        assert cancels(sandbox) == 2
    assert "nobody watches" in watch.log
    assert watch.process.returncode == 0


def test_its_own_restart_neither_forgets_nor_repeats(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    arguments = (*SILENT_BOT, "--base-url", sandbox.rest_url)
    sandbox.control.add_fault("status", method="*", path="*/orders/*", status=502, times=None)
    with guard(environment, tmp_path / "one", *arguments, "--deadline", "1") as watch:
        watch.wait_for("trying again")
        watch.process.kill()
        watch.process.wait()
    sandbox.control.clear_faults()
    with guard(environment, tmp_path / "two", *arguments) as watch:
        watch.wait_for("going on with it")
        watch.wait_for("confirmed, 3 cancelled")
    done = cancels(sandbox)
    with guard(environment, tmp_path / "three", *arguments) as watch:
        watch.wait_for("watching")
        time.sleep(2)
    assert cancels(sandbox) == done
    assert "SILENT" not in watch.log


def test_a_lost_network_is_outlived(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{sandbox.port}/v3"
    sandbox.control.add_fault("close", times=None)
    arguments = (*SILENT_BOT, "--base-url", url, "--deadline", "1")
    with guard(environment, tmp_path / "log", *arguments) as watch:
        watch.wait_for("watching all the same")
        watch.wait_for("trying again")
        sandbox.control.clear_faults()
        watch.wait_for("confirmed, 3 cancelled")


def test_a_low_ad_ratio_fires_while_the_bot_is_well(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    borrow_something(sandbox)
    beat = tmp_path / "beat"
    arguments = ("--heartbeat-file", str(beat), "--base-url", sandbox.rest_url)
    with beating(beat), guard(environment, tmp_path / "log", *arguments, "--min-ad-ratio", "900"):
        wait_until(lambda: cancels(sandbox) == 1)
        time.sleep(2)
        assert cancels(sandbox) == 1


def borrow_something(sandbox: SandboxServer) -> None:
    import ccxt

    import bitopro_margin_ext

    bitopro_margin_ext.register()
    urls = {"api": {"rest": sandbox.rest_url}}
    api = ccxt.bitopromargin({"apiKey": KEY, "secret": SECRET, "urls": urls})
    api.privatePostMarginBorrow({"currency": "USDT", "borrowAmount": "100"})


def test_without_debts_no_ratio_is_too_low(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    beat = tmp_path / "beat"
    arguments = ("--heartbeat-file", str(beat), "--base-url", sandbox.rest_url)
    more = ("--min-ad-ratio", "100000")
    with beating(beat), guard(environment, tmp_path / "log", *arguments, *more) as watch:
        watch.wait_for("watching")
        time.sleep(2)
    assert cancels(sandbox) == 0


def test_a_webhook_is_told(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    received: list[dict[str, Any]] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            received.append(json.loads(self.rfile.read(length)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/services/T0000/very-secret"
    arguments = (*SILENT_BOT, "--base-url", sandbox.rest_url)
    try:
        with guard(environment, tmp_path / "log", *arguments, BITOPRO_GUARD_WEBHOOK=url) as watch:
            watch.wait_for("confirmed, 3 cancelled")
            wait_until(lambda: len(received) == 2)
    finally:
        server.shutdown()
        server.server_close()
    assert [message["event"] for message in received] == ["silent", "cancel-all"]
    assert received[1]["report"]["outcome"] == "confirmed"
    assert "very-secret" not in watch.log


def test_a_key_that_cannot_cancel_is_told_at_the_start(sandbox: SandboxServer, run: Runner) -> None:
    sandbox.control.change_key(KEY, margin=False)
    done = run("guard", "--heartbeat-file", "beat", "--base-url", sandbox.rest_url)
    assert done.code == 2
    assert "could not cancel anything" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--after", "0", "--heartbeat-file", "x"],
        ["--after", "nan", "--heartbeat-file", "x"],
        ["--min-ad-ratio", "-1", "--heartbeat-file", "x"],
        ["--heartbeat-file", "x", "--bot-url", "http://127.0.0.1:1"],
        ["--heartbeat-file", "x", "--webhook", "mailto:me"],
    ],
)
def test_usage_errors_are_one_line(
    arguments: list[str], sandbox: SandboxServer, run: Runner
) -> None:
    done = run("guard", *arguments, "--base-url", sandbox.rest_url)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert sandbox.control.requests() == []


def test_a_real_bot_that_hangs(
    sandbox: SandboxServer, run: Runner, environment: dict[str, str], tmp_path: Path
) -> None:
    run("init", "--userdir", "bot")
    (tmp_path / "more.json").write_text(
        json.dumps(
            {
                "exchange": {"ccxt_config": {"urls": {"api": {"rest": sandbox.rest_url}}}},
                "db_url": f"sqlite:///{tmp_path}/trades.sqlite",
                "api_server": {"enabled": True, "listen_port": free_port()},
                "internals": {"process_throttle_secs": 1},
            }
        )
    )
    (tmp_path / "more.json").chmod(0o600)
    configs = ["-c", "bot/config.json", "-c", "more.json"]
    log = tmp_path / "bot.log"
    with log.open("w") as file:
        bot = subprocess.Popen(
            freqtrade("trade", "--userdir", "bot", *configs),
            cwd=tmp_path,
            env=clean_environment(tmp_path),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: "state='RUNNING'" in log.read_text(), 90)
        sandbox.control.seed_order("btc_usdt", "BUY", "0.01", "20000")
        with guard(environment, tmp_path / "log", *configs, after=4) as watch:
            watch.wait_for("/api/v1/health")
            time.sleep(6)
            assert cancels(sandbox) == 0, watch.log
            os.kill(bot.pid, signal.SIGSTOP)
            watch.wait_for("confirmed, 1 cancelled")
            os.kill(bot.pid, signal.SIGCONT)
            watch.wait_for("the bot is back")
    finally:
        os.kill(bot.pid, signal.SIGCONT)
        bot.terminate()
        bot.wait(30)
    assert cancels(sandbox) == 1


def free_port() -> int:
    import socket

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port
