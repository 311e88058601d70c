"""No secret in a library's debug log, none out of ``~/.netrc``; no control code on a terminal."""

import subprocess
import sys
from pathlib import Path

import pytest

from bitopro_margin_ext.core.guarded_session import DeadlineSession
from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import Runner
from .test_guard_sight import rest_server


@pytest.mark.parametrize("trusted", [True, False])
def test_an_entry_in_netrc_is_never_sent(
    trusted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with rest_server() as server:
        session = DeadlineSession(trusted=trusted)
        status = session.request(5, lambda answer: answer.status_code, method="GET", url=server.url)
        assert status == 200
        assert "Authorization" not in server.seen[0]


def test_a_librarys_debug_log_shows_no_address_secrets(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    script = """
import logging, os, signal, sys, threading
logging.basicConfig(level=logging.DEBUG)
from bitopro_margin_ext.cli import main
threading.Timer(3, os.kill, (os.getpid(), signal.SIGTERM)).start()
main(sys.argv[1:])
"""
    with rest_server() as hook, rest_server() as bot:
        bot.beat()
        address = bot.url.replace("http://", "http://trader:hunter%2022@")
        addresses = ("--bot-url", address, "--base-url", sandbox.rest_url)
        webhook = f"{hook.url}/services/T0/very-secret?auth=tokentoken&x=%7E9"
        done = subprocess.run(
            [sys.executable, "-c", script, "guard", "--after", "1", *addresses],
            env={
                **environment,
                "BITOPRO_GUARD_WEBHOOK": webhook,
                "HTTPS_PROXY": "http://me:proxy-word@127.0.0.1:1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
    shown = done.stdout + done.stderr
    assert '"POST ***' in shown  # urllib3 has logged the webhook's path
    assert "/api/v1/health" in shown
    for secret in ("hunter", "very-secret", "tokentoken", "proxy-word"):
        assert secret not in shown
    assert environment["BITOPRO_API_KEY"] not in shown


def test_control_codes_of_the_exchange_reach_no_terminal(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    body = {"error": "down\x1b[2J\x1b]0;title\x07\r\nCONFIRMED: 3 cancelled"}
    sandbox.control.add_fault("status", status=422, body=body, times=None)
    for command in ("cancel-all", "orders", "account"):
        done = run(command, "--deadline", "1", "--base-url", sandbox.rest_url)
        shown = done.out + done.err
        assert "down" in shown
        assert not any(code in shown for code in "\x1b\x07\r\x9b")
        # What another line says is not taken for one of ours.
        assert not any(line.startswith("CONFIRMED") for line in shown.splitlines())
