"""What the hook costs, counted: statements, commits, requests and modules, not time."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from freqtrade.persistence import Order, Trade
from sqlalchemy import event

from tests.bot.harness import BTC, CANCEL_ALL, ETH, BotHarness, cancel_pair, trade_of, wire
from tests.bot.test_faults import disagreements


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """The statements and the commits with something to write, on the bot's database."""
    found = {"statements": 0, "commits": 0}

    def statement(*arguments: Any) -> None:
        found["statements"] += 1

    def commit(connection: Any) -> None:
        found["commits"] += connection.connection.dbapi_connection.in_transaction

    engine = Trade.session.get_bind()
    event.listen(engine, "before_cursor_execute", statement)
    event.listen(engine, "commit", commit)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", statement)
        event.remove(engine, "commit", commit)


def stop_at_the_exit(bot: Any, found: dict[str, int]) -> dict[str, int]:
    """Take down what was counted when the exit is about to be sent."""
    before: dict[str, int] = {}
    send: Callable[..., Any] = bot.exchange._api.create_order

    def create_order(*args: Any, **kwargs: Any) -> Any:
        before.update(found)
        return send(*args, **kwargs)

    bot.exchange._api.create_order = create_order
    return before


def rest_exits(harness: BotHarness, count: int) -> None:
    """Let so many exit orders of the trade rest, on the exchange and in the database."""
    order = {"pair": wire(BTC), "action": "SELL", "amount": "0.0001", "price": "90000"}
    trade = trade_of()
    for seeded in harness.control.seed_orders([{**order, "kind": "margin"}] * count):
        structure = {
            "id": str(seeded["id"]),
            "symbol": BTC,
            "side": "sell",
            "type": "limit",
            "amount": 0.0001,
            "price": 90000.0,
            "filled": 0.0,
            "remaining": 0.0001,
            "status": "open",
            "timestamp": int(datetime.now(UTC).timestamp() * 1000),
        }
        trade.orders.append(Order.parse_from_ccxt_object(structure, BTC, "sell"))
    Trade.commit()


def test_an_idle_iteration_asks_neither_the_database_nor_the_exchange(harness: BotHarness) -> None:
    bot = harness.bot()
    harness.hold(bot)
    bot.process()
    mark = harness.mark
    with counted() as found:
        for _ in range(30):
            bot.strategy.bot_loop_start(current_time=datetime.now(UTC))
    assert found == {"statements": 0, "commits": 0}
    assert harness.lines(mark) == []


def test_an_iteration_is_idle_again_after_an_emergency(harness: BotHarness) -> None:
    bot = harness.bot(scope="all")
    harness.hold(bot)
    bot.emergency_exit(trade_of(), 60000.0)
    for _ in range(3):
        bot.process()
    assert not trade_of().is_open
    with counted() as found:
        bot.strategy.bot_loop_start(current_time=datetime.now(UTC))
    assert found == {"statements": 0, "commits": 0}


def cost_of_an_exit(harness: BotHarness, orders: int) -> dict[str, int]:
    bot = harness.bot(order_types={"stoploss_on_exchange": False})
    harness.enter(bot, BTC)
    bot.process()
    rest_exits(harness, orders)
    with counted() as found:
        before = stop_at_the_exit(bot, found)
        bot.emergency_exit(trade_of(), 60000.0)
    assert before, "no exit was sent"
    bot.process()
    assert disagreements(harness) == []
    return before


def test_two_commits_precede_an_exit_however_many_orders_rest(harness: BotHarness) -> None:
    """The record of the exit, and the ends of all orders."""
    few = cost_of_an_exit(harness, 2)
    harness.afresh()
    many = cost_of_an_exit(harness, 40)
    assert few["commits"] == many["commits"] == 2
    assert many["statements"] <= few["statements"] + 2


def test_a_sweep_asks_once_for_each_pair_and_twice_more(harness: BotHarness) -> None:
    """The cancel-all, the open orders, and the history of each pair."""
    bot = harness.bot(scope="all", order_types={"stoploss_on_exchange": False})
    harness.enter(bot, ETH, fill=None)
    harness.enter(bot, BTC)
    bot.process()
    rest_exits(harness, 2)
    mark = harness.mark
    bot.emergency_exit(trade_of(), 60000.0)
    lines = harness.lines(mark)
    assert lines.count(CANCEL_ALL) == 1
    assert sum(line.startswith("DELETE") for line in lines) == 1
    assert sum(line.endswith("/orders/open") for line in lines) == 1
    for pair in (BTC, ETH):
        assert sum(line == f"GET /v3/margin/orders/all/{wire(pair)}" for line in lines) == 1
    assert cancel_pair(ETH) not in lines
    bot.process()
    assert disagreements(harness) == []


@pytest.mark.parametrize("module", ["bitopro_margin_ext.bot.mixin", "freqtrade.exchange"])
def test_a_bot_at_1x_loads_nothing_of_leverage_and_of_the_stream(module: str) -> None:
    """Only the options are read, so that a wrong one is refused at the start."""
    script = (
        f"import bitopro_margin_ext, {module}, sys; bitopro_margin_ext.register();"
        "print(*[name for name in sys.modules if name.startswith('bitopro_margin_ext')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    room = "bitopro_margin_ext.bot."
    loaded = {name.removeprefix(room) for name in done.stdout.split() if name.startswith(room)}
    late = ("lever", "ledger", "loan", "debt", "liquidations", "settlement", "reconcile",
            "simulated", "order_stream")  # fmt: skip
    assert {name for name in loaded if name.startswith(late)} == {"leverage_options"}
