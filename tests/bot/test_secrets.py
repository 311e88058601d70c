"""A real bot at -vvv, with ccxt talking, through an emergency, a fault, a kill and a restart."""

import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from bitopro_margin_ext.drill.scenario import Drill
from bitopro_margin_ext.drill.verdict import BotDatabase
from bitopro_margin_ext.sandbox import API_KEY, API_SECRET
from bitopro_margin_ext.sandbox.server import SandboxServer
from tests.bot.harness import wait_until

LEAKS = (
    re.escape(API_KEY),
    re.escape(API_SECRET),
    r"eyJ[A-Za-z0-9+/=]{16,}",
    r"\b[0-9a-f]{96}\b",
)


class TalkativeDrill(Drill):
    """With every switch on that makes the bot and ccxt talk."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        path = self.folder / "config.json"
        config = path.read_text().replace('"ccxt_config": {', '"ccxt_config": {"verbose": true, ')
        path.write_text(config)
        self.bot._command.append("-vvv")


def test_nothing_that_signs_is_written_anywhere(tmp_path: Path) -> None:
    with SandboxServer() as server:
        drill = TalkativeDrill("stop-rejected", server, tmp_path, scope="all")
        control = server.control
        drill._prepare()
        with drill.bot as bot:
            entries = drill._await_entries()
            control.reject_stops(1)
            # Killed while the exchange, which has cancelled everything, has not yet answered.
            control.add_fault("delay", method="DELETE", path="*/orders/all", seconds=60,
                              when="after")  # fmt: skip
            control.fill(entries[drill.exiting])
            wait_until(lambda: any(rule["hits"] for rule in control.faults()), 40)
            bot.kill()
            control.clear_faults()
            control.add_fault("status", path="*/margin/balances", status=401)
            bot.start()
            database = BotDatabase(tmp_path / "trades.sqlite")
            wait_until(
                lambda: (
                    not any(
                        trade.is_open for trade in database.trades() if trade.pair == drill.exiting
                    )
                ),
                60,
            )
            time.sleep(1.5)
            verdict = drill.judge()
            code = bot.stop()
    assert code in (0, 130, -signal.SIGINT)
    assert verdict.agrees, verdict.to_json()
    assert drill.other in {row.pair for row in verdict.rows}
    searched = 0
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "config.json":
            text = path.read_bytes().decode(errors="replace")
            searched += len(text)
            for leak in LEAKS:
                assert not re.search(leak, text), (path.name, leak)
    assert searched > 100_000, "the bot was not talkative"
    log = (tmp_path / "output.txt").read_text() + (tmp_path / "freqtrade.log").read_text()
    assert "X-BITOPRO" in log


@pytest.mark.parametrize("leak", LEAKS)
def test_the_search_can_find(leak: str) -> None:
    found = f"{API_KEY} {API_SECRET} eyJpZGVudGl0eSI6ImhjbWxpbmpA {'0a' * 48}"
    assert re.search(leak, found)
