"""The terminal sessions that the README shows, played for real against a sandbox."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bitopro_margin_ext.sandbox import API_KEY, API_SECRET, PORT
from bitopro_margin_ext.sandbox.server import SandboxServer

PROGRAM = "bitopro-margin"
SHOWN_BASE_URL = f"http://127.0.0.1:{PORT}/v3"


class Terminal:
    """Runs the commands of one session in one folder, and writes down what a person would see."""

    def __init__(self, folder: Path, server: SandboxServer) -> None:
        self.folder = folder
        self.server = server
        self.lines: list[str] = []

    def run(self, command: str) -> None:
        """Run a ``bitopro-margin`` command to its end."""
        done = subprocess.run(
            self._words(command),
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        self._show(command, done.stdout)
        self.lines += ["$ echo $?", str(done.returncode)]

    def run_until(self, command: str, words: str) -> None:
        """Run one that goes on, until it has said ``words``; then press Ctrl-C."""
        output = self.folder / "output.txt"
        with output.open("wb") as sink:
            process = subprocess.Popen(
                self._words(command),
                cwd=self.folder,
                env={**self._environment(), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + 60
        while words not in output.read_text():
            assert time.monotonic() < end, f"{command} never said {words!r}"
            assert process.poll() is None, f"{command} ended:\n{output.read_text()}"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
        self._show(command, output.read_text())

    def _words(self, command: str) -> list[str]:
        program, *words = command.split()
        assert program == PROGRAM
        real = [self.server.rest_url if word == SHOWN_BASE_URL else word for word in words]
        return [sys.executable, "-m", "bitopro_margin_ext", *real]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "BITOPRO_API_KEY": API_KEY,
            "BITOPRO_API_SECRET": API_SECRET,
            "XDG_STATE_HOME": str(self.folder / "state"),
            "NO_COLOR": "1",
            "COLUMNS": "80",
        }

    def _show(self, command: str, output: str) -> None:
        shown = output.replace(self.server.rest_url, SHOWN_BASE_URL)
        shown = shown.replace(str(self.folder), "~")
        self.lines += [f"$ {command}", *(line.rstrip() for line in shown.rstrip().splitlines())]


def play_cancel_all(terminal: Terminal) -> None:
    """Look first, then cancel."""
    terminal.server.control.seed_orders(
        [
            {"pair": "btc_usdt", "action": "SELL", "amount": "0.1", "price": "91000"},
            {"pair": "btc_usdt", "action": "SELL", "amount": "0.2", "price": "92000"},
            {"pair": "eth_usdt", "action": "BUY", "amount": "1", "price": "1500"},
        ]
    )
    terminal.run(f"bitopro-margin cancel-all --dry-run --base-url {SHOWN_BASE_URL}")
    terminal.run(f"bitopro-margin cancel-all --yes --base-url {SHOWN_BASE_URL}")


def play_doctor(terminal: Terminal) -> None:
    """A fresh user folder, as ``init`` writes it, and what is still missing in it."""
    terminal.run("bitopro-margin init --userdir user_data")
    terminal.lines.clear()
    terminal.run("bitopro-margin doctor --offline -c user_data/config.json --userdir user_data")


def play_guard(terminal: Terminal) -> None:
    """A bot that was alive once, and then is not."""
    terminal.server.control.seed_order("btc_usdt", "SELL", "0.1", "91000")
    (terminal.folder / "heartbeat").touch()
    terminal.run_until(
        f"bitopro-margin guard --after 3 --heartbeat-file heartbeat --base-url {SHOWN_BASE_URL}",
        "confirmed",
    )


def play_drill(terminal: Terminal) -> None:
    """The shorter of the two scenarios."""
    terminal.run("bitopro-margin drill --scenario stop-rejected")


SESSIONS: dict[str, Callable[[Terminal], None]] = {
    "cancel-all": play_cancel_all,
    "doctor": play_doctor,
    "guard": play_guard,
    "drill": play_drill,
}


def play(name: str, folder: Path) -> list[str]:
    """Play one session on a sandbox of its own and return its lines."""
    with SandboxServer() as server:
        terminal = Terminal(folder, server)
        SESSIONS[name](terminal)
        return terminal.lines


VARYING = (
    # What is installed; what setup.cfg asks for stands behind it, and is compared.
    (r"(?<=: )\d[\w.+]*(?= \(needs )", "<version>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", "<time>"),
    (r"\b\d+ ms\b", "<ms>"),
    (r"^ *\d+\.\d s(?=  )", "<s>"),
    (r", \d+\.\d s$", ", <s>"),
    (r"(?<=no sign of life of the bot for )\d+", "<s>"),
    # The sandbox numbers an order by the moment of its placing.
    (r"\b5\d{9}\b", "<id>"),
    # Columns and rules are as wide as what stands in them.
    (r"[ \u2500-\u257f]+", " "),
)


def comparable(lines: list[str]) -> list[str]:
    """The lines without what differs from run to run; every other number counts."""
    text = "\n".join(lines)
    for pattern, blank in VARYING:
        text = re.sub(pattern, blank, text, flags=re.MULTILINE)
    # How many requests the drill has seen by then is a matter of moments.
    return [
        line.strip() for line in text.splitlines() if line.strip() and "/margin/orders/" not in line
    ]
