"""SIGKILL between the first byte of the cancel-all and the commit, at every point that differs.

The bot is killed as a forked process: a real end without any clean-up, at the price of a fork.
"""

import os
import signal
import time
from typing import Any

import pytest
from freqtrade.persistence import Order, Trade
from sqlalchemy import text

from bitopro_margin_ext.bot import unconfirmed_orders
from tests.bot.harness import BTC, ETH, BotHarness, trade_of, wait_until
from tests.bot.test_faults import disagreements, never_sold_more_than_bought

LONG = 60
POINTS: dict[str, dict[str, Any]] = {
    "before the cancel-all is processed": {"method": "DELETE", "path": "*/margin/orders/all"},
    "after the cancel-all was processed": {
        "method": "DELETE", "path": "*/margin/orders/all", "when": "after",
    },
    "while open orders are listed": {"method": "GET", "path": "*/orders/orders/open"},
    "while the ends are listed": {"method": "GET", "path": "*/orders/all/*"},
    "before the exit is placed": {"method": "POST", "path": "*/margin/orders/btc_usdt"},
    "after the exit was placed": {
        "method": "POST", "path": "*/margin/orders/btc_usdt", "when": "after",
    },
}  # fmt: skip


def run_and_kill(harness: BotHarness, bot: Any, method: str, path: str, after: int = 0) -> None:
    """Let a child process make one iteration, and end it while the faulty call is under way."""
    Trade.session.remove()
    Trade.session.get_bind().dispose()
    child = os.fork()
    if child == 0:
        try:
            bot.process()
        finally:
            os._exit(0)
    try:
        wait_until(lambda: any(rule["hits"] for rule in harness.control.faults()), 20)
        if path.endswith("btc_usdt"):
            # Give the exchange the time to have carried it out.
            wait_until(lambda: harness.control.requests()[-1]["method"] == method, 5)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.fixture(autouse=True)
def _quick_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent before the kill and is not listed is soon known not to have arrived."""
    monkeypatch.setattr(unconfirmed_orders, "ARRIVAL_SECONDS", 0.5)
    monkeypatch.setattr(unconfirmed_orders, "LAG_SECONDS", 0.2)


def restart_after(harness: BotHarness, **changes: Any) -> Any:
    harness.control.clear_faults()
    harness._bots.clear()
    return harness.bot(scope="all", **changes)


def all_is_well(harness: BotHarness) -> None:
    assert disagreements(harness) == []
    for trade in Trade.get_open_trades():
        assert trade.has_open_orders or trade.amount > 0, "an empty trade holds a slot"
    assert not trade_of(BTC).is_open
    never_sold_more_than_bought(harness)


@pytest.mark.parametrize(
    ("way", "point"),
    [
        *(("refused stoploss", point) for point in POINTS),
        ("timed-out exit", "before the cancel-all is processed"),
        ("timed-out exit", "after the cancel-all was processed"),
        ("timed-out exit", "after the exit was placed"),
    ],
)
def test_after_a_kill_the_database_agrees_and_the_position_is_closed(
    harness: BotHarness, point: str, way: str
) -> None:
    bot = harness.bot(scope="all")
    # The user's own coins: a second exit would find something to sell.
    harness.control.set_balances({"BTC": "5"})
    fill = "0.4" if "placed" in point else None
    entry = harness.enter(bot, ETH, fill=fill)
    if way == "refused stoploss":
        harness.enter(bot, BTC)
        harness.control.reject_stops(1)
        after = 1
    else:
        exit_id = harness.leave(bot)
        harness.control.fill(exit_id, fraction="0.3")
        bot.strategy.timed_out.add(BTC)
        after = 0
    where = dict(POINTS[point])
    when = where.pop("when", "before")
    if where["method"] != "POST":
        after = 0
    harness.control.add_fault("delay", seconds=LONG, when=when, after=after, **where)
    run_and_kill(harness, bot, where["method"], where["path"])

    bot = restart_after(harness)
    if way == "timed-out exit":
        bot.strategy.timed_out.add(BTC)
    for _ in range(4):
        bot.process()
        time.sleep(0.3)
    all_is_well(harness)
    assert not harness.control.order(entry)["open"]
    assert (trade_of(ETH) is None) == (fill is None)
    still_held = text("select count(*) from trade_custom_data where cd_value != '{}'")
    kept = Trade.session.execute(still_held).scalar()
    assert kept == 0, "a settled exit is still held"
    assert Order.session.query(Order).filter(Order.ft_is_open.is_(True)).count() <= 1
