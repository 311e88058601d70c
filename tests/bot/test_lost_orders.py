"""An order whose creation was not answered ends in the rows that the answer would have led to.

Each story is lived through twice, by a bot that got the answer and by one that did not; then the
rows are compared, field by field.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from freqtrade.exceptions import TemporaryError
from freqtrade.persistence import Order, Trade

from bitopro_margin_ext.bot import order_journal, unconfirmed_orders
from bitopro_margin_ext.bot.order_journal import OrderJournal, UnconfirmedOrder
from tests.bot.harness import (
    BTC,
    ETH,
    BotHarness,
    differences,
    order_row,
    rows_of,
    trade_of,
    wait_until,
    wire,
)
from tests.bot.test_crash import run_and_kill
from tests.bot.test_faults import never_sold_more_than_bought

POST = {"method": "POST", "path": f"*/margin/orders/{wire(BTC)}"}
LISTS = ("*/orders/orders/open", "*/orders/open", f"*/orders/all/{wire(BTC)}")


# -- which order is lost: what precedes it, and what its iteration does -----------------------


def entry(harness: BotHarness, bot: Any) -> None:
    bot.strategy.enter.add(BTC)


def second_entry(harness: BotHarness, bot: Any) -> None:
    harness.hold(bot)
    bot.strategy.adjust[BTC] = 500.0


def leaving(harness: BotHarness, bot: Any) -> None:
    harness.hold(bot)
    bot.strategy.leave[BTC] = "told_to"


def stoploss(harness: BotHarness, bot: Any) -> None:
    harness.enter(bot, BTC)


ORDERS: dict[str, Callable[[BotHarness, Any], None]] = {
    "entry": entry,
    "second entry": second_entry,
    "exit": leaving,
    "stoploss": stoploss,
}


# -- what becomes of it on the exchange --------------------------------------------------------


def fill(harness: BotHarness, order_id: str, fraction: str) -> None:
    harness.control.fill(order_id, fraction=fraction)


def fill_and_cancel(harness: BotHarness, order_id: str) -> None:
    fill(harness, order_id, "0.6")
    harness.control.cancel(order_id)


ENDS: dict[str, Callable[[BotHarness, str], Any]] = {
    "open": lambda harness, order_id: None,
    "partly filled": lambda harness, order_id: fill(harness, order_id, "0.6"),
    "filled": lambda harness, order_id: fill(harness, order_id, "1"),
    "cancelled": lambda harness, order_id: harness.control.cancel(order_id),
    "cancelled after a fill": fill_and_cancel,
}


# -- how it is lost and found ------------------------------------------------------------------


def new_order(harness: BotHarness, before: set[str]) -> str | None:
    found = [order["id"] for order in harness.truth() if order["id"] not in before]
    return str(found[0]) if found else None


def answered(harness: BotHarness, bot: Any, end: Callable[[str], Any]) -> Any:
    before = {order["id"] for order in harness.truth()}
    bot.process()
    end(str(new_order(harness, before)))
    return bot


def found_at_once(harness: BotHarness, bot: Any, end: Callable[[str], Any]) -> Any:
    before = {order["id"] for order in harness.truth()}
    harness.control.add_fault("process_close", **POST)
    for path in LISTS:
        harness.control.add_fault("delay", path=path, seconds=0.4)

    def work() -> None:
        end(str(wait_until(lambda: new_order(harness, before))))

    thread = threading.Thread(target=work)
    thread.start()
    bot.process()
    thread.join()
    return bot


@contextmanager
def lists_down(harness: BotHarness) -> Iterator[None]:
    for path in LISTS:
        harness.control.add_fault("status", path=path, times=None, status=503)
    yield
    harness.control.clear_faults()


def found_later(harness: BotHarness, bot: Any, end: Callable[[str], Any]) -> Any:
    before = {order["id"] for order in harness.truth()}
    harness.control.add_fault("process_close", **POST)
    with lists_down(harness):
        bot.process()
        bot.process()
    end(str(new_order(harness, before)))
    return bot


def found_after_a_kill(harness: BotHarness, bot: Any, end: Callable[[str], Any]) -> Any:
    before = {order["id"] for order in harness.truth()}
    harness.control.add_fault("delay", seconds=60, when="after", **POST)
    run_and_kill(harness, bot, POST["method"], POST["path"])
    harness.control.clear_faults()
    harness._bots.clear()
    end(str(new_order(harness, before)))
    restarted = harness.bot(type(bot.strategy).__name__)
    restarted.strategy.leave |= bot.strategy.leave
    return restarted


WAYS = {
    "at once": found_at_once,
    "later": found_later,
    "after a kill": found_after_a_kill,
}

SEEN = {"at once": (), "later": (), "after a kill": ("min_rate", "max_rate")}
"""What the rows hold of rates that were seen: the iteration that was killed has seen none."""

Way = Callable[[BotHarness, Any, Callable[[str], Any]], Any]


def live(harness: BotHarness, what: str, end: str, way: Way) -> list[list[dict[str, Any]]]:
    """The rows after the iteration that sees the end, and after the next one."""
    bot = harness.bot("GuardedAdjusting" if what == "second entry" else "Guarded")
    ORDERS[what](harness, bot)
    bot = way(harness, bot, lambda order_id: ENDS[end](harness, order_id))
    found = []
    for _ in range(2):
        bot.process()
        found.append(rows_of(BTC))
    assert not len(bot.exchange.unconfirmed.journal), "an order is still looked for"
    known = {row.order_id for row in Order.session.query(Order)}
    strays = [order for order in harness.truth(open=True) if order["id"] not in known]
    assert not strays, "an order rests that no row knows"
    return found


@pytest.mark.parametrize("what", ORDERS)
@pytest.mark.parametrize("end", ENDS)
def test_a_lost_order_ends_as_if_its_answer_had_come(
    harness: BotHarness, what: str, end: str
) -> None:
    expected = live(harness, what, end, answered)
    for name, way in WAYS.items():
        harness.afresh()
        for found, wanted in zip(live(harness, what, end, way), expected, strict=True):
            odd = [line for line in differences(found, wanted) if line[0] not in SEEN[name]]
            assert odd == [], name


def test_an_answered_order_whose_row_a_kill_prevented_is_adopted(harness: BotHarness) -> None:
    """The answer has come, and the process ends before Freqtrade has written the row."""
    bot = harness.bot()
    bot.strategy.enter.add(BTC)
    kill_when_parsed(bot)
    harness._bots.clear()
    restarted = harness.bot()
    restarted.process()
    (entry,) = harness.truth(action="BUY")
    assert order_row(entry["id"]).ft_is_open
    harness.control.fill(entry["id"])
    restarted.process()
    assert trade_of().amount > 0
    restarted.strategy.leave[BTC] = "told_to"
    kill_when_parsed(restarted)
    harness._bots.clear()
    last = harness.bot()
    last.process()
    exits = [order for order in harness.sells() if not order["stopPrice"]]
    assert [order_row(order["id"]).ft_order_tag for order in exits] == ["told_to"]
    harness.control.fill(exits[0]["id"])
    last.process()
    assert not trade_of().is_open
    assert len(harness.truth(action="BUY")) == 1


def kill_when_parsed(bot: Any) -> None:
    """Let a child process iterate until it has the answer to an order."""
    Trade.session.remove()
    Trade.session.get_bind().dispose()
    child = os.fork()
    if child == 0:
        Order.parse_from_ccxt_object = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
        try:
            bot.process()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


def test_a_lost_market_exit_that_filled_closes_the_trade(harness: BotHarness) -> None:
    bot = harness.bot(order_types={"exit": "market"}, exit_pricing={"price_side": "other"})
    # Coins beside the bot's own: a second exit would find something to sell.
    harness.control.set_balances({"BTC": "5"})
    harness.hold(bot)
    bot.strategy.leave[BTC] = "told_to"
    harness.control.add_fault("process_close", **POST)
    with lists_down(harness):
        bot.process()
    bot.process()
    assert not trade_of().is_open
    (exit_order,) = [order for order in harness.sells() if not order["stopPrice"]]
    row = order_row(exit_order["id"])
    assert (row.ft_order_tag, row.order_type, row.status) == ("told_to", "market", "closed")
    never_sold_more_than_bought(harness)


def test_an_emergency_exit_that_was_lost_filled_in_part_and_cancelled(harness: BotHarness) -> None:
    """The rest goes out, and nothing beyond the position, though there are other coins."""
    bot = harness.bot(deadline=2.0, order_types={"emergency_exit": "limit"})
    harness.control.set_balances({"BTC": "5"})
    harness.hold(bot)
    bought = trade_of().amount
    harness.control.add_fault("process_close", **POST)
    with lists_down(harness):
        bot.emergency_exit(trade_of(), 60000.0)
    (lost,) = [order for order in harness.sells() if not order["stopPrice"]]
    fill_and_cancel(harness, lost["id"])
    for _ in range(4):
        bot.process()
        for order in harness.sells(open=True):
            if not order["stopPrice"]:
                harness.control.fill(order["id"])
    never_sold_more_than_bought(harness)
    assert order_row(lost["id"]).filled == pytest.approx(0.6 * bought, rel=1e-4)


@pytest.mark.parametrize("fault", ["close", "refused"])
def test_an_order_that_does_not_exist_frees_its_place(
    harness: BotHarness, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unconfirmed_orders, "ARRIVAL_SECONDS", 0.5)
    monkeypatch.setattr(unconfirmed_orders, "LAG_SECONDS", 0.2)
    bot = harness.bot()
    harness.hold(bot)
    bot.strategy.leave[BTC] = "told_to"
    if fault == "close":
        harness.control.add_fault("close", **POST)
    else:
        harness.control.add_fault("status", status=400, body={"error": "no"}, **POST)
    bot.process()
    for _ in range(3):
        time.sleep(0.4)
        bot.process()
    exits = [order for order in harness.sells() if not order["stopPrice"]]
    assert len(exits) == 1
    assert order_row(exits[0]["id"]).ft_is_open
    assert not len(bot.exchange.unconfirmed.journal)


def test_several_lost_orders_are_all_adopted(harness: BotHarness) -> None:
    bot = harness.bot(max_open_trades=3)
    harness.hold(bot)
    bot.strategy.leave[BTC] = "told_to"
    bot.strategy.enter.add(ETH)
    harness.control.add_fault("process_close", method="POST", path="*/margin/orders/*", times=None)
    for path in ("*/orders/orders/open", "*/orders/all/*"):
        harness.control.add_fault("status", path=path, times=None, status=503)
    bot.process()
    harness.control.clear_faults()
    assert len(bot.exchange.unconfirmed.journal) == 2
    bot.process()
    for order in harness.truth(open=True):
        assert order_row(order["id"], unified(order)).ft_is_open
    assert len(harness.truth(open=True)) == 2


def unified(order: dict[str, Any]) -> str:
    return str(order["pair"].upper().replace("_", "/"))


def test_an_equal_order_placed_by_hand_is_not_adopted(harness: BotHarness) -> None:
    bot = harness.bot()
    harness.control.set_balances({"BTC": "5"})
    harness.hold(bot)
    bot.strategy.leave[BTC] = "told_to"
    harness.control.add_fault("close", **POST)
    with lists_down(harness):
        bot.process()
    noted = bot.exchange.unconfirmed.journal.all()[0]
    by_hand = harness.control.seed_order(
        "btc_usdt", "SELL", f"{noted.amount:.8f}", f"{noted.rate:.2f}", clientId=4711
    )
    bot.process()
    assert order_row(by_hand["id"]) is None
    assert not trade_of().exit_reason


def test_an_attempt_on_a_hanging_exchange_has_one_bound(
    harness: BotHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unconfirmed_orders, "ATTEMPT_SECONDS", 1.5)
    bot = harness.bot()
    harness.hold(bot)
    trade = trade_of()
    harness.control.add_fault("delay", path="*/margin/orders/*", times=None, seconds=30)
    started = time.monotonic()
    with pytest.raises(TemporaryError):
        bot.exchange.create_order(
            pair=BTC, ordertype="limit", side="sell", amount=trade.amount, rate=61000.0,
            leverage=1.0, initial_order=False,
        )  # fmt: skip
    with pytest.raises(TemporaryError):
        bot.exchange.create_order(
            pair=BTC, ordertype="limit", side="sell", amount=trade.amount, rate=61000.0,
            leverage=1.0, initial_order=False,
        )  # fmt: skip
    assert time.monotonic() - started < 2 * 1.5 + 0.5


def test_an_exit_goes_out_beside_one_that_cannot_be_asked_for(
    harness: BotHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ``PATIENCE_SECONDS``; the first one is adopted, and gives way, when it is found."""
    bot = harness.bot()
    harness.control.set_balances({"BTC": "5"})
    harness.hold(bot)
    bot.strategy.leave[BTC] = "told_to"
    harness.control.add_fault("process_close", **POST)
    with lists_down(harness):
        bot.process()
        (first,) = [order for order in harness.sells() if not order["stopPrice"]]
        bot.process()
        assert len([order for order in harness.sells() if not order["stopPrice"]]) == 1
        monkeypatch.setattr(unconfirmed_orders, "PATIENCE_SECONDS", 0.0)
        bot.process()
        second = harness.sells()[-1]
        assert second["id"] != first["id"]
    bot.process()
    assert not harness.control.order(first["id"])["open"]
    assert harness.control.order(second["id"])["open"]
    bot.process()
    assert order_row(first["id"]).status == "canceled"
    harness.control.fill(second["id"])
    bot.process()
    assert not trade_of().is_open
    never_sold_more_than_bought(harness)


def test_an_entry_is_never_sent_beside_one_that_may_exist(
    harness: BotHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unconfirmed_orders, "PATIENCE_SECONDS", 0.0)
    bot = harness.bot()
    bot.strategy.enter.add(BTC)
    harness.control.add_fault("process_close", **POST)
    with lists_down(harness):
        bot.process()
        bot.strategy.enter.add(BTC)
        bot.process()
    assert len(harness.truth(action="BUY")) == 1
    bot.process()
    assert len(harness.truth(action="BUY")) == 1
    assert trade_of().has_open_orders


def test_an_exit_whose_note_cannot_be_written_goes_out_and_an_entry_does_not(
    harness: BotHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = harness.bot()
    harness.hold(bot)

    def full(*args: Any, **kwargs: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(order_journal.os, "open", full)
    bot.strategy.leave[BTC] = "told_to"
    bot.strategy.enter.add(ETH)
    bot.process()
    assert [order for order in harness.sells(open=True) if not order["stopPrice"]]
    assert harness.truth(pair="eth_usdt") == []


def test_without_the_mixin_the_next_order_takes_the_lost_one_s_place(harness: BotHarness) -> None:
    bot = harness.bot("Plain")
    bot.strategy.enter.add(BTC)
    harness.control.add_fault("process_close", **POST)
    with lists_down(harness):
        bot.process()
    bot.strategy.enter.add(BTC)
    bot.process()
    (only,) = harness.truth(action="BUY")
    assert order_row(only["id"]).ft_is_open
    bot.process()
    assert not len(bot.exchange.unconfirmed.journal)


def test_the_journal_survives_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    order = UnconfirmedOrder(1, BTC, "buy", "entry", "limit", 0.1, 6e4, 1.0, time.time())
    first = OrderJournal(path)
    first.add(order)
    first.add(replace(order, client_id=2))
    first.update(2, order_id="77")
    with path.open("a") as torn:
        torn.write('{"client_id": 3, "pa')
    again = OrderJournal(path)
    assert [(one.client_id, one.order_id) for one in again.all()] == [(1, None), (2, "77")]
    again.add(replace(order, client_id=4))
    again.remove(1)
    again.remove(2)
    assert [one.client_id for one in OrderJournal(path).all()] == [4]
    again.remove(4)
    assert path.read_bytes() == b""
