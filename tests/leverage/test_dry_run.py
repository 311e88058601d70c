"""A dry run with leverage: interest is in the profit, and nothing signed leaves the process."""

from datetime import timedelta
from typing import Any

import pytest
from freqtrade.persistence import Trade

from tests.leverage.harness import BTC, LeverageHarness, trade_of, unlock

SIDES = pytest.mark.parametrize(("side", "leverage"), [("long", 3.0), ("short", 2.0)])
RATES = {"USDT": 100, "BTC": 100, "ETH": 100}
MARKET = {"entry": "market", "exit": "market"}


def start(harness: LeverageHarness, **changes: Any) -> Any:
    return harness.bot(
        dry_run=True,
        dry_run_wallet=10_000,
        order_types=MARKET,
        bitopro_margin={"interest_rates": RATES},
        **changes,
    )


def enter(bot: Any, side: str, leverage: float) -> Any:
    unlock(BTC)
    bot.strategy.enter[BTC] = side
    bot.strategy.levers[BTC] = leverage
    bot.process()
    bot.process()
    return trade_of()


def age(days: int, *, of_exits: bool = True) -> None:
    """Let a trade and its orders have begun days ago."""
    trade = trade_of()
    by = timedelta(days=days)
    trade.open_date -= by
    for order in trade.orders:
        if order.ft_order_side == trade.exit_side and not of_exits:
            continue
        order.order_date -= by
        order.order_filled_date -= by
    Trade.commit()


@SIDES
def test_a_simulated_trade_ends_with_its_interest_in_the_profit(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    bot = start(harness)
    trade = enter(bot, side, leverage)
    assert (trade.is_short, trade.leverage) == (side == "short", leverage)
    assert trade.has_open_position
    age(10)
    bot.update_funding_fees()
    bot.process()
    # A position of 3,000 owes two thirds, one of 2,000 sold short owes all of it.
    interest = 2000 * 10 / 365
    assert trade_of().funding_fee_running == pytest.approx(-interest, rel=0.02)
    bot.strategy.leave[BTC] = "told_to"
    bot.process()
    bot.process()
    trade = trade_of()
    assert not trade.is_open
    assert trade.funding_fees == pytest.approx(-interest, rel=0.02)
    value = {one.ft_order_side: one.safe_filled * one.safe_price for one in trade.orders}
    fees = sum(value.values()) * trade.fee_open
    expected = value["sell"] - value["buy"] - fees + trade.funding_fees
    assert trade.close_profit_abs == pytest.approx(expected, abs=0.01)
    # It is charged once, whatever else is asked.
    bot.process()
    bot.exchange.fetch_order(trade.orders[-1].order_id, BTC)
    assert trade_of().funding_fees == trade.funding_fees
    assert [line for line in harness.control.requests() if line["account"]] == []
    assert harness.lines() == []


@SIDES
def test_an_exit_that_rests_is_charged_until_it_is_filled(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    bot = start(harness)
    bot.config["exit_pricing"]["price_side"] = "same"
    bot.strategy.order_types["exit"] = "limit"
    harness.control.set_price("btc_usdt", "60000", bid="59900", ask="60100")
    enter(bot, side, leverage)
    bot.strategy.leave[BTC] = "told_to"
    bot.process()
    bot.strategy.leave.clear()
    assert trade_of().has_open_orders
    age(10, of_exits=False)
    away = "60500" if side == "long" else "59500"
    harness.control.set_price("btc_usdt", away)
    bot.process()
    trade = trade_of()
    assert not trade.is_open
    assert trade.funding_fees == pytest.approx(-2000 * 10 / 365, rel=0.03)
    assert trade.orders[-1].funding_fee == trade.funding_fees
    assert harness.lines() == []
