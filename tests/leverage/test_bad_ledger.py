"""A ledger of loans that cannot be used for a while: no entry goes out, every exit does."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bitopro_margin_ext.bot.ledger_database import LedgerError
from bitopro_margin_ext.bot.loans_ledger import LoansLedger
from tests.leverage.harness import BTC, ETH, LeverageHarness, trade_of

DAY = 86400
BORROW = "POST /v3/margin/borrow"


@contextlib.contextmanager
def locked(harness: LeverageHarness) -> Iterator[None]:
    """The ledger's file, written to by something else that does not end."""
    connection = sqlite3.connect(harness.folder / "trades.loans.sqlite")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


def hurry(bot: Any) -> None:
    """Wait for the ledger a tenth of a second instead of five, so that the test is quick."""
    from sqlalchemy import event

    engine = bot.exchange.loans.ledger._engine
    engine.dispose()
    event.listen(engine, "connect", lambda c, _r: c.execute("PRAGMA busy_timeout = 100"))


def test_a_locked_ledger_keeps_entries_in_and_lets_exits_out(harness: LeverageHarness) -> None:
    bot = harness.bot()
    harness.open(bot, "short", 2.0)
    harness.control.advance(DAY)
    hurry(bot)
    mark = harness.mark
    with locked(harness):
        bot.strategy.enter[ETH] = "short"
        bot.strategy.levers[ETH] = 2.0
        bot.process()
        assert trade_of(ETH) is None
        bot.strategy.leave[BTC] = "told_to"
        bot.process()
        bot.strategy.leave.clear()
        bought = harness.truth(pair="btc_usdt", action="BUY", by_hand=False)
        assert len(bought) == 1
    assert BORROW not in harness.lines(mark)
    for _ in range(4):
        bot.process()
    assert not trade_of().is_open
    harness.assert_settled(bot)


def test_a_locked_ledger_keeps_no_emergency_in_behind_a_cancelled_stop(
    harness: LeverageHarness,
) -> None:
    bot = harness.bot(order_types={"stoploss_on_exchange": True})
    harness.open(bot, "short", 2.0)
    bot.process()
    (stop,) = trade_of().open_sl_orders
    stop_id = stop.order_id
    hurry(bot)
    with locked(harness):
        bot.emergency_exit(trade_of(), 60000.0)
        bought = harness.truth(pair="btc_usdt", action="BUY", by_hand=False, type="LIMIT")
        assert len(bought) == 1
        (stop,) = [order for order in trade_of().orders if order.order_id == stop_id]
        assert (stop.ft_is_open, stop.status) == (False, "canceled")
    for _ in range(4):
        bot.process()
    assert not trade_of().is_open
    harness.assert_settled(bot)


def test_the_wait_for_a_locked_ledger_is_bounded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bot.loans.sqlite"
    ledger = LoansLedger(url)
    connection = sqlite3.connect(tmp_path / "bot.loans.sqlite")
    connection.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    with pytest.raises(LedgerError, match="cannot be used now") as caught:
        ledger.write_meta("begun", "yes")
    assert time.monotonic() - began < 15
    assert "\n" not in str(caught.value)
    connection.close()
    ledger.write_meta("begun", "yes")
    ledger.close()


def test_a_ledger_that_cannot_be_opened_is_one_line(
    harness: LeverageHarness, tmp_path: Path
) -> None:
    from freqtrade.exceptions import OperationalException

    (harness.folder / "trades.loans.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(OperationalException, match="cannot be opened") as caught:
        harness.bot()
    assert "\n" not in str(caught.value)


def test_a_full_disk_keeps_entries_in_and_lets_exits_out(harness: LeverageHarness) -> None:
    bot = harness.bot()
    harness.open(bot, "short", 2.0)
    harness.control.advance(DAY)
    path = harness.folder / "trades.loans.sqlite"
    tables = ("commands", "lines", "sent_orders", "bookings", "meta")
    with sqlite3.connect(path) as connection:
        for table in tables:
            for verb in ("INSERT", "UPDATE", "DELETE"):
                connection.execute(
                    f"create trigger {table}_{verb} before {verb} on bitopro_margin_{table}"
                    " begin select raise(abort, 'database or disk is full'); end"
                )
    bot.strategy.enter[ETH] = "long"
    bot.strategy.levers[ETH] = 3.0
    mark = harness.mark
    bot.process()
    assert trade_of(ETH) is None
    bot.strategy.leave[BTC] = "told_to"
    bot.process()
    bot.strategy.leave.clear()
    assert BORROW not in harness.lines(mark)
    assert len(harness.truth(pair="btc_usdt", action="BUY", by_hand=False)) == 1
    with sqlite3.connect(path) as connection:
        for table in tables:
            for verb in ("INSERT", "UPDATE", "DELETE"):
                connection.execute(f"drop trigger {table}_{verb}")
    for order in harness.truth(open=True, by_hand=False):
        harness.control.fill(order["id"])
    for _ in range(4):
        bot.process()
    assert not trade_of().is_open
    assert harness.debt("BTC") == 0
    assert abs(harness.profit()) > Decimal(1)
