"""A position that somebody else has closed while its stop rests on the exchange."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.leverage.harness import LeverageHarness, trade_of

STOP = {"stoploss": "market", "stoploss_on_exchange": True}
DAY = 86400


def iterate(bot: Any, times: int = 5) -> None:
    """Let a bot look again and again."""
    for _ in range(times):
        bot.process()


def short_with_stop(harness: LeverageHarness, **changes: Any) -> Any:
    """A bot whose short has its stop on the exchange."""
    bot = harness.bot(order_types=STOP, **changes)
    harness.open(bot, "short", 2.0)
    bot.process()
    assert trade_of().has_open_sl_orders
    return bot


def nothing_rests(harness: LeverageHarness) -> bool:
    """Whether no order is open on the exchange."""
    return not harness.truth(open=True)


def buy_by_hand(harness: LeverageHarness, amount: str) -> Decimal:
    """The user buys so much; what has arrived, after the fee."""
    before = harness.wallet("BTC")
    order = harness.control.seed_order("btc_usdt", "buy", amount, "60000", fund=False)
    harness.control.fill(order["id"])
    return harness.wallet("BTC") - before


@pytest.mark.parametrize("more", ["0", "0.01"])
def test_a_short_that_the_user_has_closed_buys_nothing_more(
    harness: LeverageHarness, more: str
) -> None:
    bot = short_with_stop(harness)
    amount = Decimal(str(trade_of().amount))
    received = buy_by_hand(harness, f"{amount * Decimal('1.003') + Decimal(more):.6f}")
    harness.control.repay("BTC", f"{harness.debt('BTC'):f}")
    left = harness.wallet("BTC")
    iterate(bot)
    trade = trade_of()
    assert not trade.is_open
    assert trade.exit_reason == "sold_on_exchange"
    # What the user bought beyond the debt is no part of the trade, and no more was bought.
    exit_order = trade.orders[-1]
    assert Decimal(str(exit_order.safe_filled)) == amount
    assert harness.wallet("BTC") == left == received - amount
    assert nothing_rests(harness)
    assert bot.exchange.loans.ledger.dust().get("BTC", (Decimal(0), 0))[0] < Decimal("1e-12")


def test_an_emergency_of_a_closed_short_buys_nothing(harness: LeverageHarness) -> None:
    bot = short_with_stop(harness)
    amount = Decimal(str(trade_of().amount))
    buy_by_hand(harness, f"{amount * Decimal('1.003'):.6f}")
    harness.control.repay("BTC", f"{harness.debt('BTC'):f}")
    left = harness.wallet("BTC")
    bot.strategy.exit_now = True
    bot.exchange.loans.read()
    with bot._exit_lock:
        trade = trade_of()
        bot.strategy._emergency.before_exit(trade, "emergency_exit", "market", 60000.0, 0.0)
    iterate(bot)
    assert not trade_of().is_open
    assert harness.wallet("BTC") == left
    assert nothing_rests(harness)


@pytest.mark.parametrize("mode", ["whole", "partial"])
def test_a_liquidated_short_is_closed_though_its_stop_would_be_renewed(
    harness: LeverageHarness, mode: str
) -> None:
    harness.control.set_balances({"USDT": "1100"})
    bot = short_with_stop(harness, stoploss=-0.99)
    harness.control.liquidate(mode, fraction="0.5" if mode == "partial" else None)
    iterate(bot)
    trade = trade_of()
    held = harness.debt("BTC")
    assert trade.is_open == (held > 0)
    assert trade.exit_reason == "sold_on_exchange" or trade.is_open
    resting = sum((Decimal(o["originalAmount"]) for o in harness.truth(open=True)), Decimal(0))
    assert resting <= held * Decimal("1.03")


def test_a_short_repaid_with_other_coins_keeps_its_size_and_its_stop(
    harness: LeverageHarness,
) -> None:
    bot = short_with_stop(harness)
    harness.control.add_balances({"BTC": "1"})
    harness.control.repay("BTC", f"{harness.debt('BTC'):f}")
    amount = trade_of().amount
    iterate(bot, 8)
    assert trade_of().is_open
    assert trade_of().amount == amount
    assert trade_of().has_open_sl_orders
