"""Freqtrade's own worker around a bot with leverage: its states, and a config that is read anew."""

import json
from pathlib import Path
from typing import Any

import pytest
from freqtrade.configuration import Configuration
from freqtrade.enums import RunMode, State
from freqtrade.worker import Worker

import bitopro_margin_ext
from tests.leverage.harness import BTC, ETH, LeverageHarness, trade_of, unlock

DAY = 86400


@pytest.fixture
def worker(harness: LeverageHarness, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A worker as ``freqtrade trade`` makes it; only its pause between iterations is left out."""
    bitopro_margin_ext.register()
    monkeypatch.setattr(Worker, "_sleep", staticmethod(lambda _seconds: None))
    path = write(harness)
    arguments = {"config": [str(path)], "user_data_dir": str(harness.folder)}
    made = Worker(arguments, Configuration(arguments, RunMode.LIVE).get_config())
    harness._bots.append(made.freqtrade)
    return made


def write(harness: LeverageHarness, **changes: Any) -> Path:
    path = harness.folder / "config.json"
    path.write_text(json.dumps(harness.config(**changes)))
    return path


def work(worker: Worker, iterations: int = 1, state: State | None = State.RUNNING) -> None:
    for _ in range(iterations):
        state = worker._worker(state)


@pytest.mark.parametrize(("side", "leverage"), [("short", 2.0), ("long", 3.0)])
def test_a_config_is_read_anew_with_a_trade_open(
    harness: LeverageHarness, worker: Worker, side: str, leverage: float
) -> None:
    work(worker, state=None)
    bot: Any = worker.freqtrade
    bot.strategy.enter[BTC], bot.strategy.levers[BTC] = side, leverage
    unlock(BTC)
    work(worker)
    for order in harness.truth(open=True, by_hand=False):
        harness.control.fill(order["id"])
    work(worker)
    assert trade_of().has_open_position
    harness.control.advance(DAY)
    owed = harness.debt("BTC" if side == "short" else "USDT")
    assert owed > 0
    # What the user changes, and then says /reload_config.
    write(harness, bitopro_margin={"max_leverage": 1.5})
    bot.rpc._rpc._rpc_reload_config()
    assert bot.state == State.RELOAD_CONFIG
    assert worker._worker(State.RUNNING) == State.RELOAD_CONFIG
    harness._bots.clear()
    worker._reconfigure()
    again: Any = worker.freqtrade
    harness._bots.append(again)
    assert again is not bot
    assert again.exchange.leverage_options.max_leverage_short == 1.5
    work(worker, state=State.RELOAD_CONFIG)
    work(worker)
    holders = {line.holder for line in again.exchange.loans.ledger.lines()}
    assert holders == {BTC}
    again.strategy.leave[BTC] = "told_to"
    work(worker)
    again.strategy.leave.clear()
    for order in harness.truth(open=True, by_hand=False):
        harness.control.fill(order["id"])
    work(worker, 3)
    assert not trade_of().is_open
    harness.assert_settled(again)
    again.strategy.enter[ETH], again.strategy.levers[ETH] = "short", 2.0
    work(worker)
    assert trade_of(ETH).leverage == 1.5
