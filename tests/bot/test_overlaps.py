"""What happens while something else is under way: a lock, another exit, another trade's stop."""

import sqlite3
import threading
from typing import Any

import pytest
from freqtrade.persistence import Trade
from freqtrade.rpc.rpc import RPC

from bitopro_margin_ext.bot import sweeps
from tests.bot.harness import BTC, ETH, BotHarness, trade_of
from tests.bot.test_exit_queue import create, exits, records, refuse_orders, start
from tests.bot.test_faults import disagreements, never_sold_more_than_bought


@pytest.mark.parametrize("moment", ["before the sweep", "before the mapping"])
@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_lock_that_is_taken_during_the_hook_keeps_nothing_in(
    harness: BotHarness, lock: str, moment: str
) -> None:
    bot = start(harness, "GuardedAdjusting", deadline=4.0)
    harness.enter(bot, BTC)
    bot.process()
    bot.strategy.adjust[BTC] = 500.0
    bot.process()
    second = harness.truth(pair="btc_usdt", action="BUY", open=True)[-1]["id"]
    harness.control.fill(second, fraction="0.4")
    other = sqlite3.connect(harness.folder / "trades.sqlite", isolation_level=None, timeout=10,
                            check_same_thread=False)  # fmt: skip
    sent_while_locked: list[int] = []
    mark = harness.mark

    def let_go() -> None:
        lines = harness.lines(mark)
        sent_while_locked.append(sum(line == create(BTC) for line in lines))
        other.execute("ROLLBACK")

    release = threading.Timer(2.5, let_go)
    sweep = bot.exchange.sweep_margin_orders

    def take() -> None:
        other.execute(f"BEGIN {lock}")
        release.start()

    def sweep_and_lock(*args: Any, **kwargs: Any) -> Any:
        bot.exchange.sweep_margin_orders = sweep
        if moment == "before the sweep":
            take()
        found = sweep(*args, **kwargs)
        if moment == "before the mapping":
            take()
        return found

    bot.exchange.sweep_margin_orders = sweep_and_lock
    # The fill that the sweep finds makes the amount stale: the exit comes again, at once.
    bot.emergency_exit(trade_of(BTC), 60000.0)
    assert "DELETE /v3/margin/orders/btc_usdt" in harness.lines(mark)
    assert len(records()) == 1, "recorded before the lock was taken"
    bot.process()
    release.join()
    other.close()
    assert len(exits(harness)) == 1
    for _ in range(2):
        bot.process()
    assert not trade_of(BTC).is_open
    assert disagreements(harness) == []
    never_sold_more_than_bought(harness)
    assert records() == {}


@pytest.mark.parametrize("order_type", ["market", "limit"])
def test_a_partial_force_exit_while_an_exit_is_pending_sells_the_position_once(
    harness: BotHarness, order_type: str
) -> None:
    bot = start(harness)
    harness.enter(bot, BTC)
    bot.process()
    refuse_orders(harness, BTC)
    trade = trade_of(BTC)
    bot.emergency_exit(trade, 60000.0)
    assert exits(harness) == []
    harness.control.clear_faults()
    half = trade.amount / 2
    bot.strategy.emergency.gate.iteration += 1
    RPC(bot)._rpc_force_exit(str(trade.id), ordertype=order_type, amount=half, price=66000.0)
    for _ in range(4):
        bot.process()
    assert not trade_of(BTC).is_open, "the emergency is for the whole position"
    assert sum(order["type"] == "MARKET" for order in exits(harness)) >= 1
    assert disagreements(harness) == []
    never_sold_more_than_bought(harness)
    assert harness.truth(pair="btc_usdt", open=True) == []
    assert records() == {}


@pytest.mark.parametrize("same_moment", [True, False])
def test_a_resting_emergency_exit_survives_the_emergency_of_another_trade(
    harness: BotHarness, monkeypatch: pytest.MonkeyPatch, same_moment: bool
) -> None:
    """An emergency limit exit rests, and another trade's stop is refused: the account is swept."""
    if not same_moment:
        monkeypatch.setattr(sweeps, "SAME_MOMENT_SECONDS", 0.0)
    bot = harness.bot(scope="all", order_types={"emergency_exit": "limit"})
    harness.hold(bot, BTC)
    # Above the market, so that it rests.
    bot.emergency_exit(trade_of(BTC), 66000.0)
    (resting,) = [order for order in exits(harness) if order["open"]]
    harness.enter(bot, ETH)
    refusal = {"error": "the stop would trigger immediately"}
    refuse_orders(harness, ETH, times=1, body=refusal)
    bot.process()
    assert len(exits(harness, ETH)) == 1, "the stop was refused, so the position is to go"
    if same_moment:
        assert harness.control.order(resting["id"])["open"]
    bot.process()
    open_now = [order for order in exits(harness) if order["open"]]
    assert len(open_now) == 1, "one exit of BTC rests, the old one or another in its place"
    assert (open_now[0]["id"] == resting["id"]) is same_moment
    assert disagreements(harness) == []
    harness.control.fill(open_now[0]["id"], fraction="1")
    for _ in range(3):
        bot.process()
    assert not trade_of(BTC).is_open
    assert not trade_of(ETH).is_open or Trade.get_open_trades() == [trade_of(ETH)]
    never_sold_more_than_bought(harness)
    never_sold_more_than_bought(harness, "eth_usdt")


def test_an_exit_is_not_sent_for_the_trade_that_got_the_number_of_a_deleted_one(
    harness: BotHarness,
) -> None:
    bot = start(harness)
    harness.enter(bot, BTC)
    bot.process()
    refuse_orders(harness, BTC)
    number = trade_of(BTC).id
    bot.emergency_exit(trade_of(BTC), 60000.0)
    harness.control.clear_faults()
    # Between two iterations the user deletes the trade, and within one another is made.
    RPC(bot)._rpc_delete(number)
    bot.strategy.enter.add(ETH)
    bot.execute_entry(ETH, 1000.0)
    assert trade_of(ETH).id == number
    entry = harness.truth(pair="eth_usdt", action="BUY")[-1]["id"]
    harness.control.fill(entry, fraction="1")
    bot.manage_open_orders()
    assert trade_of(ETH).amount
    for _ in range(3):
        bot.process()
    assert trade_of(ETH).is_open
    assert exits(harness, ETH) == []
    assert records() == {}


def test_a_force_exit_before_the_first_iteration_keeps_what_a_restart_must_go_on_with(
    harness: BotHarness,
) -> None:
    reasons = ["emergency_exit", "force_exit"]
    options = {"bitopro_margin": {"cancel_on": reasons}}
    bot = start(harness, **options)
    harness.enter(bot, BTC)
    bot.process()
    refuse_orders(harness, BTC)
    bot.emergency_exit(trade_of(BTC), 60000.0)
    assert exits(harness) == []
    bot = start(harness, **options)
    trade = trade_of(BTC)
    with pytest.raises(Exception, match=r"refused|Could not|exit"):
        RPC(bot)._rpc_force_exit(str(trade.id), ordertype="market", amount=trade.amount / 3)
    (record,) = records().values()
    assert all(reason in record for reason in reasons), record
    harness.control.clear_faults()
    for _ in range(4):
        bot.process()
    assert not trade_of(BTC).is_open, "the emergency is for the whole position"
    never_sold_more_than_bought(harness)
