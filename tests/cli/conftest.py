"""The commands as a trader runs them: real processes against a sandbox of our own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bitopro_margin_ext.cli import main
from bitopro_margin_ext.core import redaction
from bitopro_margin_ext.sandbox.server import SandboxServer

KEY, SECRET, EMAIL = "sandbox-key", "sandbox-secret", "sandbox@example.com"


@dataclass
class Run:
    """What a finished process left."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def _server() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture
def sandbox(_server: SandboxServer) -> SandboxServer:
    """A sandbox without orders, faults or a past."""
    _server.reset()
    return _server


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """This process's environment without anything that the commands would take for theirs.

    Freqtrade sets up no logging under pytest, and so would not enable the plugin.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BITOPRO_", "FREQTRADE__", "PYTEST_"))
        and not name.lower().endswith("_proxy")
    }
    return {**kept, "HOME": str(home), "COLUMNS": "120", **more}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """With the sandbox's key in it."""
    return clean_environment(
        tmp_path, BITOPRO_API_KEY=KEY, BITOPRO_API_SECRET=SECRET, BITOPRO_EMAIL=EMAIL
    )


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bitopro_margin_ext", *arguments]


def freqtrade(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "freqtrade", *arguments]


Runner = Callable[..., Run]


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Runner:
    """Run a command to its end; no terminal; whatever it prints must not hold a secret."""

    def run_command(
        *arguments: str, env: dict[str, str] | None = None, timeout: float = 60, **variables: str
    ) -> Run:
        done = subprocess.run(
            command(*arguments),
            env={**(environment if env is None else env), **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
        )
        for text in (done.stdout, done.stderr):
            assert SECRET not in text
            assert KEY not in text
            assert "Traceback" not in text
        return Run(done.returncode, done.stdout, done.stderr)

    return run_command


@pytest.fixture
def run_here(
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Runner]:
    """As ``run``, in this process: for what a command says, where no process is in question.

    What it imports is imported once for all tests, and Freqtrade takes seconds.
    """

    def run_command(
        *arguments: str, env: dict[str, str] | None = None, timeout: float = 60, **variables: str
    ) -> Run:
        with monkeypatch.context() as patch:
            for name in os.environ:
                patch.delenv(name)
            for name, value in {**(environment if env is None else env), **variables}.items():
                patch.setenv(name, value)
            # By this Freqtrade knows that the log of this process is not its own.
            patch.setenv("PYTEST_VERSION", pytest.__version__)
            patch.chdir(tmp_path)
            capsys.readouterr()
            code = main(arguments)
            out, err = capsys.readouterr()
        for text in (out, err):
            assert SECRET not in text
            assert KEY not in text
            assert "Traceback" not in text
        return Run(int(code), out, err)

    # A process of its own knows no secrets of other tests.
    for name, empty in (("_secrets", set()), ("_forms", {}), ("_pattern", None)):
        monkeypatch.setattr(redaction, name, empty)
    before = signal.getsignal(signal.SIGTERM)
    yield run_command
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def seeded(sandbox: SandboxServer) -> list[str]:
    """Two orders on BTC/USDT and one on ETH/USDT, by id."""
    return [
        order["id"]
        for order in sandbox.control.seed_orders(
            [
                {"pair": "btc_usdt", "action": "BUY", "amount": "0.01", "price": "20000"},
                {"pair": "btc_usdt", "action": "BUY", "amount": "0.02", "price": "21000"},
                {"pair": "eth_usdt", "action": "SELL", "amount": "1", "price": "9000"},
            ]
        )
    ]


def open_ids(sandbox: SandboxServer) -> list[str]:
    return sorted(order["id"] for order in sandbox.control.orders(kind="margin", only_open=True))


def methods(sandbox: SandboxServer) -> list[str]:
    return [line["method"] for line in sandbox.control.requests()]
