"""An order that the exchange does not know is no cancelled order: it stays open, and is said."""

import time
from typing import Any

import pytest
from freqtrade.exceptions import InvalidOrderException
from freqtrade.persistence import Order

from tests.bot.harness import (
    BTC,
    BotHarness,
    order_row,
    trade_of,
    wait_until,
    wire,
)
from tests.bot.test_faults import disagreements, never_sold_more_than_bought

PAGE = "<html><body>404 Not Found</body></html>"
ANSWERS: dict[str, Any] = {
    "order not found": {"error": "order not found"},
    "no words": {},
    "a page": PAGE,
    "the pair": {"error": "pair btc_usdt not found"},
    "the path": {"error": "page not found"},
}


def hide(harness: BotHarness, body: Any = None, status: int = 404) -> None:
    """Let every call about one order of the pair answer that there is nothing."""
    harness.control.add_fault(
        "status", method="GET", path=f"*/orders/{wire(BTC)}/*", times=None, status=status,
        body={"error": "order not found"} if body is None else body,
    )  # fmt: skip
    harness.control.add_fault(
        "status", method="DELETE", path=f"*/orders/{wire(BTC)}/*", times=None, status=status,
        body={"error": "order not found"} if body is None else body,
    )  # fmt: skip


def start_again(harness: BotHarness, strategy: str = "Guarded") -> Any:
    harness._bots.clear()
    began = time.monotonic()
    bot = harness.bot(strategy)
    assert time.monotonic() - began < 5, "the start waited for an order that is not found"
    return bot


def complaints(bot: Any) -> list[str]:
    return [str(m["status"]) for m in bot.messages if "does not know" in str(m.get("status"))]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_resting_exit_survives_a_start_and_is_not_sold_twice(
    harness: BotHarness, answer: str
) -> None:
    bot = harness.bot()
    harness.control.set_balances({"BTC": "5"})
    exit_id = harness.leave(bot)
    hide(harness, ANSWERS[answer])
    bot = start_again(harness)
    assert order_row(exit_id).ft_is_open
    bot.strategy.leave[BTC] = "another"
    for _ in range(3):
        bot.process()
    assert order_row(exit_id).ft_is_open
    assert [o["id"] for o in harness.sells(open=True)] == [exit_id], "sold a second time"
    said = wait_until(lambda: complaints(bot))
    assert len(said) == 1
    assert exit_id in said[0]
    harness.control.clear_faults()
    harness.control.fill(exit_id)
    bot.process()
    assert not trade_of().is_open
    assert disagreements(harness) == []
    never_sold_more_than_bought(harness)


@pytest.mark.parametrize("fill", [None, "0.4"])
def test_a_resting_entry_survives_a_start(harness: BotHarness, fill: str | None) -> None:
    bot = harness.bot()
    entry = harness.enter(bot, BTC, fill=fill)
    trade_id = trade_of().id
    hide(harness)
    bot = start_again(harness)
    bot.process()
    assert trade_of().id == trade_id
    assert order_row(entry).ft_is_open
    harness.control.clear_faults()
    harness.control.fill(entry)
    bot.process()
    assert trade_of().amount > 0
    assert disagreements(harness) == []


def test_a_resting_second_entry_survives_a_start(harness: BotHarness) -> None:
    bot = harness.bot("GuardedAdjusting")
    harness.hold(bot)
    bot.strategy.adjust[BTC] = 500.0
    bot.process()
    (entry,) = harness.truth(action="BUY", open=True)
    hide(harness)
    bot = start_again(harness, "GuardedAdjusting")
    bot.process()
    assert order_row(entry["id"]).ft_is_open
    assert len(harness.truth(action="BUY")) == 2


@pytest.mark.parametrize("starts", [True, False])
def test_there_is_no_second_stoploss_beside_one_that_is_not_found(
    harness: BotHarness, starts: bool
) -> None:
    bot = harness.bot()
    harness.control.set_balances({"BTC": "5"})
    stop = harness.hold(bot)
    side = order_row(stop).side
    hide(harness)
    if starts:
        bot = start_again(harness)
    for _ in range(3):
        bot.process()
    assert [order["id"] for order in harness.sells()] == [stop]
    assert (order_row(stop).ft_is_open, order_row(stop).side) == (True, side)
    # Out all the same: the strategy's exit is not kept in by a stop that nobody finds.
    bot.strategy.leave[BTC] = "told_to"
    bot.process()
    assert len(harness.sells()) == 2


def test_a_trailing_stoploss_whose_cancel_is_not_found_gets_no_second(harness: BotHarness) -> None:
    bot = harness.bot(
        trailing_stop=True,
        order_types={"stoploss_on_exchange_interval": 0},
    )
    harness.control.set_balances({"BTC": "5"})
    stop = harness.hold(bot)
    harness.control.add_fault(
        "status", method="DELETE", path=f"*/orders/{wire(BTC)}/*", times=None, status=404,
        body={"error": "order not found"},
    )  # fmt: skip
    harness.control.set_price("btc_usdt", "66000")
    for _ in range(3):
        bot.process()
    assert trade_of().stop_loss > 55000, "the stop was to be moved"
    assert [order["id"] for order in harness.sells(open=True)] == [stop]
    harness.control.clear_faults()
    bot.process()
    (moved,) = harness.sells(open=True)
    assert moved["id"] != stop


def test_a_timed_out_exit_that_is_not_found_is_not_reported_cancelled(harness: BotHarness) -> None:
    bot = harness.bot("Plain", unfilledtimeout={"exit_timeout_count": 0})
    exit_id = harness.leave(bot)
    bot.strategy.leave.clear()
    bot.strategy.timed_out.add(BTC)
    hide(harness)
    bot.messages.clear()
    for _ in range(2):
        bot.process()
    assert order_row(exit_id).ft_is_open
    assert not [m for m in bot.messages if "cancel" in str(m["type"])]
    harness.control.clear_faults()
    bot.process()
    assert order_row(exit_id).status == "canceled"
    assert not harness.control.order(exit_id)["open"]


def test_a_timed_out_entry_that_is_not_found_is_kept(harness: BotHarness) -> None:
    bot = harness.bot()
    entry = harness.enter(bot, BTC, fill=None)
    hide(harness)
    bot.cancel_all_open_orders()
    bot.process()
    assert order_row(entry).ft_is_open
    assert trade_of() is not None


def test_missing_funds_do_not_make_an_order_cancelled(harness: BotHarness) -> None:
    bot = harness.bot()
    stop = harness.hold(bot)
    hide(harness)
    bot.handle_insufficient_funds(trade_of())
    assert order_row(stop).ft_is_open


def test_a_delisted_pair_keeps_its_orders_open_at_a_start(harness: BotHarness) -> None:
    bot = harness.bot()
    exit_id = harness.leave(bot)
    harness.control.delist("btc_usdt")
    harness._bots.clear()
    bot = harness.bot(exchange={"pair_whitelist": ["ETH/USDT"]})
    bot.process()
    assert order_row(exit_id).ft_is_open
    assert trade_of().is_open


def test_an_order_that_is_over_is_asked_for_once(harness: BotHarness) -> None:
    """Without half a minute of pauses, and without an open order made up."""
    bot = harness.bot()
    entry = harness.enter(bot, BTC)
    bot.process()
    hide(harness)
    mark = harness.mark
    began = time.monotonic()
    with pytest.raises(InvalidOrderException):
        bot.exchange.fetch_order(entry, BTC)
    assert time.monotonic() - began < 2
    assert len(harness.lines(mark)) == 1
    assert not order_row(entry).ft_is_open


def test_what_is_kept_open_changes_no_field(harness: BotHarness) -> None:
    bot = harness.bot()
    harness.hold(bot)
    exit_or_stop = Order.get_open_orders()[0]
    fields = {
        column.key: getattr(exit_or_stop, column.key)
        for column in Order.__table__.columns
        if column.key != "order_update_date"
    }
    hide(harness)
    bot = start_again(harness)
    bot.process()
    found = Order.get_open_orders()[0]
    assert {name: getattr(found, name) for name in fields} == fields
