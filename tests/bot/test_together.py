"""Several things at once: threads of the RPC, a second emergency, the end of the process."""

import threading
import time
from typing import Any

import pytest
from freqtrade.enums import ExitCheckTuple, ExitType, State
from freqtrade.persistence import Order, Trade
from freqtrade.rpc.rpc import RPC

from tests.bot.harness import BTC, CANCEL_ALL, ETH, BotHarness, order_row, trade_of, wait_until
from tests.bot.test_faults import disagreements, never_sold_more_than_bought

EMERGENCY = ExitCheckTuple(exit_type=ExitType.EMERGENCY_EXIT)
HOLD = {"kind": "delay", "method": "DELETE", "path": "*/margin/orders/*", "seconds": 1.0}


def in_thread(work: Any) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            Trade.session.remove()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def exits(harness: BotHarness, pair: str) -> list[dict[str, Any]]:
    return [order for order in harness.sells(pair) if not order["stopPrice"]]


@pytest.mark.parametrize("reasons", [["emergency_exit"], ["emergency_exit", "force_exit"]])
def test_force_exit_of_everything_during_a_sweep(harness: BotHarness, reasons: list[str]) -> None:
    bot = harness.bot(scope="all", bitopro_margin={"cancel_on": reasons})
    harness.hold(bot, ETH)
    harness.enter(bot, BTC)
    harness.control.reject_stops(1)
    harness.control.add_fault(**HOLD)
    main = in_thread(bot.process)
    wait_until(lambda: any(rule["hits"] for rule in harness.control.faults()))
    rpc = in_thread(lambda: RPC(bot)._rpc_force_exit("all", ordertype="market"))
    main.join(30)
    rpc.join(30)
    assert not main.is_alive(), "deadlock"
    assert not rpc.is_alive(), "deadlock"
    for _ in range(2):
        bot.process()
    assert disagreements(harness) == []
    for pair in (BTC, ETH):
        assert not trade_of(pair).is_open
        assert len(exits(harness, pair)) == 1, "a double exit"
        never_sold_more_than_bought(harness, pair.lower().replace("/", "_"))
    assert harness.lines().count(CANCEL_ALL) == 1, "one sweep serves both"


def test_a_second_emergency_right_after_the_first_is_served_by_its_sweep(
    harness: BotHarness,
) -> None:
    bot = harness.bot(scope="all", order_types={"emergency_exit": "limit"})
    for pair in (ETH, BTC):
        harness.enter(bot, pair, fill=None)
    for entry in harness.truth(action="BUY", open=True):
        harness.control.fill(entry["id"])
    harness.control.reject_stops(2)
    bot.process()
    assert harness.lines().count(CANCEL_ALL) == 1
    assert [line for line in harness.lines() if line.startswith("DELETE")] == [CANCEL_ALL]
    # The first one's exit order was let alone.
    assert [order["status"] for order in exits(harness, ETH) + exits(harness, BTC)] == [2, 2]


def test_an_emergency_of_one_pair_brings_back_the_exit_of_another_that_it_swept(
    harness: BotHarness,
) -> None:
    bot = harness.bot(scope="all")
    harness.hold(bot, ETH)
    RPC(bot)._rpc_force_exit(str(trade_of(ETH).id), ordertype="limit")
    (forced,) = exits(harness, ETH)
    harness.enter(bot, BTC)
    harness.control.reject_stops(1)
    bot.process()
    assert not harness.control.order(forced["id"])["open"]
    bot.process()
    (again,) = [order for order in exits(harness, ETH) if order["open"]]
    assert again["originalAmount"] == forced["originalAmount"]
    assert again["type"] == "LIMIT"
    assert order_row(again["id"], ETH).ft_order_tag == "force_exit"
    bot.process()
    assert len(exits(harness, ETH)) == 2


def test_stop_and_shutdown_during_a_sweep(harness: BotHarness) -> None:
    bot = harness.bot(scope="all", cancel_open_orders_on_exit=True)
    entry = harness.enter(bot, ETH, fill="0.4")
    harness.enter(bot, BTC)
    harness.control.reject_stops(1)
    harness.control.add_fault(**HOLD)
    main = in_thread(bot.process)
    wait_until(lambda: any(rule["hits"] for rule in harness.control.faults()))
    in_thread(lambda: RPC(bot)._rpc_stop()).join(10)
    assert bot.state == State.STOPPED
    main.join(30)
    assert not main.is_alive()
    bot.process_stopped()
    bot.config["cancel_open_orders_on_exit"] = True
    bot.cleanup()
    assert not order_row(entry, ETH).ft_is_open
    assert order_row(entry, ETH).filled > 0
    assert [row for row in Order.get_open_orders() if row.ft_pair == ETH] == []
    assert len(exits(harness, BTC)) == 1


def test_an_interrupt_in_the_middle_of_the_hook_leaves_nothing_locked(harness: BotHarness) -> None:
    bot = harness.bot(scope="all")
    harness.hold(bot)

    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    sweep, bot.exchange.sweep_margin_orders = bot.exchange.sweep_margin_orders, interrupt
    with pytest.raises(KeyboardInterrupt):
        bot.execute_trade_exit(trade_of(), 60000.0, EMERGENCY)
    bot.exchange.sweep_margin_orders = sweep
    assert "commit" not in Trade.session().__dict__
    assert bot.exchange.mapping_context is None
    started = time.monotonic()
    assert bot.execute_trade_exit(trade_of(), 60000.0, EMERGENCY)
    assert time.monotonic() - started < 3
    bot.process()
    assert not trade_of().is_open


def test_a_trade_that_the_user_deleted_meanwhile(harness: BotHarness) -> None:
    bot = harness.bot(scope="all")
    entry = harness.enter(bot, ETH, fill="0.4")
    harness.hold(bot)
    bot.emergency_exit(trade_of(), 60000.0)
    assert order_row(entry, ETH).ft_is_open
    trade_id = trade_of(ETH).id
    in_thread(lambda: RPC(bot)._rpc_delete(trade_id)).join(10)
    bot.process()
    bot.process()
    assert trade_of(ETH) is None
    assert bot.strategy.emergency.ends == {}
    assert not trade_of(BTC).is_open


def test_an_order_id_that_repeats_on_another_pair(harness: BotHarness) -> None:
    bot = harness.bot(scope="all")
    entry = harness.enter(bot, ETH, fill=None)
    harness.hold(bot)
    # The same id on the other pair, still open there afterwards.
    harness.control.seed_order("btc_usdt", "sell", "0.01", "90000", id=entry)
    harness.control.add_fault("fill_before", method="DELETE", path="*/orders/all", ids=[entry],
                            fraction="0.5", count=1)  # fmt: skip
    bot.emergency_exit(trade_of(), 60000.0)
    bot.process()
    bot.process()
    truth = {o["pair"]: o for o in harness.truth(id=entry)}
    row = order_row(entry, ETH)
    filled = float(truth["eth_usdt"]["executedAmount"])
    assert (row is None) if filled == 0 else (row.filled == pytest.approx(filled))
    assert order_row(entry, BTC) is None
    assert not trade_of(BTC).is_open


def test_a_pair_that_is_delisted_holds_up_no_other(harness: BotHarness) -> None:
    bot = harness.bot(scope="all")
    entry = harness.enter(bot, ETH, fill="0.4")
    harness.hold(bot)
    # Its paths answer 404 from now on: nobody says what became of the order.
    harness.control.delist("eth_usdt")
    bot.emergency_exit(trade_of(), 60000.0)
    assert exits(harness, BTC)
    assert order_row(entry, ETH).ft_is_open
    said = wait_until(lambda: [m["status"] for m in bot.messages if "UNKNOWN" in str(m)])
    assert entry in said[0]
    bot.process()
    assert not trade_of(BTC).is_open
