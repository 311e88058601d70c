"""The ends of many orders are one transaction: all of it, or nothing, wherever the process ends."""

import os
import signal
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from freqtrade.persistence import Order, Trade
from sqlalchemy import event, text

from bitopro_margin_ext.bot import database, mapping, positions, sweeps
from tests.bot.harness import BTC, CANCEL_ALL, ETH, BotHarness, trade_of
from tests.bot.test_faults import disagreements, never_sold_more_than_bought

TABLES = ("orders", "trades", "trade_custom_data", "pairlocks")


def many_open_orders(harness: BotHarness, **changes: Any) -> Any:
    """A bot with an entry that never filled, one that filled in part, and a position's stoploss."""
    bot = harness.bot("GuardedAdjusting", scope="all", max_open_trades=3, **changes)
    harness.enter(bot, ETH, fill=None)
    trade_of(ETH).set_custom_data("mine", {"a": 1})
    harness.hold(bot, BTC)
    bot.strategy.adjust[BTC] = 500.0
    bot.process()
    second = harness.truth(pair="btc_usdt", action="BUY", open=True)[-1]["id"]
    harness.control.fill(second, fraction="0.4")
    return bot


def swept(harness: BotHarness, bot: Any) -> dict[Any, Any]:
    report, _ = bot.exchange.sweep_margin_orders(None, sweeps.open_order_keys(None), 10)
    ends = {(end["symbol"], end["id"]): end for end in report.final_orders()}
    assert len(ends) >= 3
    return ends


def map_all(bot: Any, ends: dict[Any, Any]) -> None:
    with database.emergency_session() as session:
        mapping.map_orders(bot, positions.open_orders(), ends, session)
        session.commit()


def rows(path: str) -> dict[str, list[Any]]:
    with sqlite3.connect(path) as connection:
        return {name: connection.execute(f"select * from {name}").fetchall() for name in TABLES}


def count(name: str, work: Callable[[], Any]) -> int:
    seen: list[int] = []
    engine = Trade.session.get_bind()

    def note(*arguments: Any) -> None:
        seen.append(1)

    event.listen(engine, name, note)
    try:
        work()
    finally:
        event.remove(engine, name, note)
    return len(seen)


def killed_at(number: int, name: str, work: Callable[[], Any]) -> bool:
    """Do it in a child process that is killed at that statement; whether it came so far."""
    Trade.session.remove()
    Trade.session.get_bind().dispose()
    child = os.fork()
    if child == 0:
        left = [number]

        def note(*arguments: Any) -> None:
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

        try:
            event.listen(Trade.session.get_bind(), name, note)
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_a_kill_at_any_statement_leaves_nothing_half_believed(harness: BotHarness) -> None:
    bot = many_open_orders(harness)
    ends = swept(harness, bot)
    path = str(harness.folder / "trades.sqlite")
    before = rows(path)
    number = 0
    while killed_at(number, "before_cursor_execute", lambda: map_all(bot, ends)):
        assert rows(path) == before, f"something is written at statement {number}"
        number += 1
        assert number < 500
    assert number > 10, "hardly anything was written"
    assert rows(path) != before, "the child that lived has mapped all"


@pytest.mark.parametrize("number", [3, 12])
def test_after_a_kill_the_next_start_maps_from_the_exchange(
    harness: BotHarness, number: int
) -> None:
    bot = many_open_orders(harness)
    ends = swept(harness, bot)
    assert killed_at(number, "before_cursor_execute", lambda: map_all(bot, ends))
    harness._bots.clear()
    bot = harness.bot("GuardedAdjusting", scope="all", max_open_trades=3)
    bot.process()
    assert trade_of(ETH) is None
    assert disagreements(harness) == []


def test_all_ends_are_one_commit(harness: BotHarness) -> None:
    bot = many_open_orders(harness)
    ends = swept(harness, bot)
    assert count("commit", lambda: map_all(bot, ends)) == 1
    bot.process()
    assert disagreements(harness) == []
    assert trade_of(ETH) is None
    left = Trade.session.execute(
        text("select count(*) from trade_custom_data where cd_key = 'mine'")
    )
    assert left.scalar() == 0


def test_an_order_that_cannot_be_mapped_takes_no_other_with_it(
    harness: BotHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = many_open_orders(harness)
    ends = swept(harness, bot)
    bot.messages.clear()
    bad = next(row for row in Order.get_open_orders() if row.ft_order_side == "stoploss").order_id
    handle = bot.update_trade_state

    def fail(trade: Any, order_id: str, *args: Any, **kwargs: Any) -> Any:
        if order_id == bad:
            raise RuntimeError("a handler that fails")
        return handle(trade, order_id, *args, **kwargs)

    monkeypatch.setattr(bot, "update_trade_state", fail)
    map_all(bot, ends)
    assert [row.order_id for row in Order.get_open_orders()] == [bad]
    assert trade_of(ETH) is None
    monkeypatch.undo()
    map_all(bot, ends)
    assert disagreements(harness) == []
    # Nothing is said twice for having been tried twice.
    cancels = [m for m in bot.messages if "cancel" in str(m["type"])]
    assert len(cancels) == len({(m["pair"], str(m["type"])) for m in cancels})


def test_what_cannot_be_written_is_mapped_in_memory(harness: BotHarness) -> None:
    """A full disk: what the exit needs to know is known, and is written when there is space."""
    bot = many_open_orders(harness)
    ends = swept(harness, bot)
    trade = trade_of(BTC)
    before = trade.amount
    with harness.full_disk(), database.emergency_session() as guarded:
        mapping.map_orders(bot, positions.open_orders(), ends, guarded)
        guarded.commit()
        assert guarded.lock_busy, "the disk was not full"
        assert trade.amount > before, "the fill of the second entry is not known"
    map_all(bot, ends)
    bot.process()
    assert disagreements(harness) == []


def test_a_full_disk_keeps_neither_the_sweep_nor_the_exit_in(harness: BotHarness) -> None:
    bot = many_open_orders(harness)
    with harness.full_disk():
        bot.emergency_exit(trade_of(BTC), 60000.0)
    assert CANCEL_ALL in harness.lines()
    bought = trade_of(BTC).amount
    for _ in range(3):
        bot.process()
    assert not trade_of(BTC).is_open
    assert disagreements(harness) == []
    never_sold_more_than_bought(harness)
    assert bought
