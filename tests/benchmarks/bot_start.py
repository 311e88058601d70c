"""Measurement 4: what the plugin adds to the start of ``freqtrade trade``, until it is running."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bitopro_margin_ext.drill.bot_process import build_config

from .children import environment
from .readings import Contender, Row, Sample, take_turns
from .venue import Venue

NUMBER = 4
AIM = 1.01
RUNNING = b"to: RUNNING"
PATIENCE = 120.0

STRATEGY = """\
from freqtrade.strategy import IStrategy
{imports}

class BotHarness({mixin}IStrategy):
    timeframe = "5m"
    minimal_roi = {{"0": 100}}
    stoploss = -0.10

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe
"""


def measure(venue: Venue, quick: bool) -> Iterator[Row]:
    venue.restart(0)
    with TemporaryDirectory() as folder:
        commands = [
            _prepare(Path(folder) / name, venue, plugin=plugin)
            for name, plugin in (("with", True), ("without", False))
        ]
        if not quick:
            for command in commands:
                _start(command)  # bytecode to its place
        taken: list[list[float]] = [[], []]

        def side(index: int) -> Sample:
            running, processor = _start(commands[index])
            taken[index].append(processor)
            return Sample(running)

        names = ("bitopromargin with the plugin", "bitopro without it")
        sides = [Contender(name, lambda i=i: side(i)) for i, name in enumerate(names)]
        take_turns(sides, 1 if quick else 11, budget=120)
        yield _row("start of freqtrade trade until it is running", sides)
        worked = [
            Contender(name, lambda: Sample(0.0), [Sample(seconds) for seconds in taken[index]])
            for index, name in enumerate(names)
        ]
        yield _row("the same starts, processor time", worked)


def _row(what: str, sides: list[Contender]) -> Row:
    row = Row(NUMBER, what, None, sides[0], sides[1:])
    ratio = row.ratio(sides[1])
    assert ratio is not None
    row.aim, row.met = f"≤ {AIM}x", ratio <= AIM
    return row


def _prepare(folder: Path, venue: Venue, *, plugin: bool) -> list[str]:
    """A user folder for a dry run; both are alike but for what enabling the plugin changes."""
    config = build_config(
        folder, rest_url=venue.rest_url, scope="pair", deadline=10, key="", secret=""
    )
    config["dry_run"] = True
    config["exchange"]["name"] = "bitopromargin" if plugin else "bitopro"
    config["log_config"] = _log_to_output(config["log_config"], plugin=plugin)
    if not plugin:
        config["trading_mode"], config["margin_mode"] = "spot", ""
        config["order_types"]["stoploss_on_exchange"] = False
        del config["bitopro_margin"]
    strategies = folder / "strategies"
    strategies.mkdir(parents=True)
    source = STRATEGY.format(
        imports="from bitopro_margin_ext import EmergencyCancelMixin\n" if plugin else "",
        mixin="EmergencyCancelMixin, " if plugin else "",
    )
    (strategies / "bench.py").write_text(source)
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return [
        *(sys.executable, "-m", "freqtrade", "trade", "--strategy", "BotHarness"),
        *("--config", str(path), "--userdir", str(folder)),
    ]


def _log_to_output(log_config: dict[str, Any], *, plugin: bool) -> dict[str, Any]:
    filters = {"filters": ["bitopro_margin"]} if plugin else {}
    handler = {"class": "logging.StreamHandler", "formatter": "standard", **filters}
    changed = {**log_config, "handlers": {"file": handler}}
    if not plugin:
        del changed["filters"]
    return changed


def _start(command: list[str]) -> tuple[float, float]:
    """Start it, end it once it runs, and return seconds until then and of processor time."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    lines: list[bytes] = []
    running = None
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if RUNNING in line:
            running = time.perf_counter() - began
            process.kill()
            break
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    watchdog.cancel()
    if running is None:
        raise RuntimeError(f"freqtrade did not start: {b''.join(lines[-10:]).decode()}")
    return running, usage.ru_utime + usage.ru_stime
