"""Wallets, stakes and the RPC's sums: they add up to the account's equity."""

from decimal import Decimal
from typing import Any

import pytest
from freqtrade.persistence import Trade

from tests.leverage.harness import BTC, ETH, LeverageHarness, trade_of

DAY = 86400


def total(bot: Any) -> float:
    bot.wallets.update()
    return float(bot.rpc._rpc._rpc_balance("USDT", "")["total"])


def level(harness: LeverageHarness) -> None:
    """A market without a spread: Freqtrade values positions at another price than the account."""
    harness.control.switches(matching=False)
    for currency in ("BTC", "ETH"):
        price = harness.price(currency)
        tick = Decimal("0.01")
        pair = f"{currency.lower()}_usdt"
        harness.control.set_price(pair, price, bid=price - tick, ask=price + tick)


@pytest.mark.parametrize("users", ["nothing", "loans", "coins"])
@pytest.mark.parametrize("sides", ["long", "short", "both", "none"])
def test_the_balances_add_up_to_the_equity(
    harness: LeverageHarness, sides: str, users: str
) -> None:
    if users == "loans":
        harness.control.borrow("USDT", "500")
        harness.control.borrow("ETH", "0.2")
    elif users == "coins":
        harness.control.add_balances({"BTC": "0.02", "ETH": "0.5"})
    bot = harness.bot()
    if sides in ("long", "both"):
        harness.open(bot, "long", 3.0, BTC)
    if sides in ("short", "both"):
        harness.open(bot, "short", 2.0, ETH)
    harness.control.advance(DAY)
    harness.control.set_price("btc_usdt", "61000")
    harness.control.set_price("eth_usdt", "2900")
    level(harness)
    bot.process()
    # Freqtrade keeps prices for ten minutes.
    bot.exchange._fetch_tickers_cache.clear()
    assert total(bot) == pytest.approx(float(harness.equity()), abs=0.01)


def test_the_free_stake_is_the_capital_less_the_stakes(harness: LeverageHarness) -> None:
    bot = harness.bot(tradable_balance_ratio=0.9, max_open_trades=4)
    bot.wallets.update()
    assert bot.wallets.get_available_stake_amount() == pytest.approx(9000)
    harness.open(bot, "long", 3.0, BTC)
    harness.open(bot, "short", 2.0, ETH)
    fees = Decimal(3000) * Decimal("0.002") + Decimal(2000) * Decimal("0.002")
    free = bot.wallets.get_free("USDT")
    assert free == pytest.approx(float(10_000 - 2000 - fees), abs=8)
    assert bot.wallets.get_available_stake_amount() == pytest.approx(7000 - 10, abs=20)
    stakes = sum(trade_of(pair).stake_amount for pair in (BTC, ETH))
    assert bot.wallets.get_total("USDT") == pytest.approx(free + stakes)


def test_an_unlimited_stake_shares_the_capital(harness: LeverageHarness) -> None:
    harness.control.set_balances({"USDT": "3000"})
    bot = harness.bot(stake_amount="unlimited", max_open_trades=2)
    harness.open(bot, "short", 2.0, BTC)
    harness.open(bot, "long", 2.0, ETH)
    assert trade_of(BTC).stake_amount == pytest.approx(1485, rel=0.01)
    assert trade_of(ETH).stake_amount == pytest.approx(1485, rel=0.01)


def test_resting_entries_tie_up_their_stake(harness: LeverageHarness) -> None:
    harness.control.switches(matching=False)
    bot = harness.bot(max_open_trades=3)
    harness.open(bot, "long", 3.0, BTC, fill=None)
    harness.open(bot, "short", 2.0, ETH, fill=None)
    bot.wallets.update()
    # An order is cut to the pair's step, and so is what it ties up.
    entries = [trade_of(pair).orders[0] for pair in (BTC, ETH)]
    tied_up = sum(
        one.safe_amount * one.safe_placement_price / trade_of(one.ft_pair).leverage
        for one in entries
    )
    assert bot.wallets.get_free("USDT") == pytest.approx(10_000 - tied_up, abs=0.1)
    for order in harness.truth(open=True):
        harness.control.fill(order["id"], fraction="0.5")
    bot.process()
    bot.wallets.update()
    assert bot.wallets.get_free("USDT") == pytest.approx(8000, abs=5)


def test_status_and_profit(harness: LeverageHarness) -> None:
    bot = harness.bot()
    harness.open(bot, "short", 2.0, BTC)
    harness.control.advance(DAY)
    harness.control.set_price("btc_usdt", "59000")
    bot.process()
    bot.update_funding_fees()
    Trade.commit()
    (status,) = bot.rpc._rpc._rpc_trade_status([trade_of().id])
    assert status["is_short"]
    assert status["leverage"] == 2.0
    assert status["liquidation_price"] > 60000
    # A day of 100 % a year on 2,000.
    assert status["funding_fees"] == pytest.approx(-2000 / 365, rel=0.02)
    harness.exit(bot)
    profit = bot.rpc._rpc._rpc_trade_statistics("USDT", "")
    assert profit["profit_closed_coin"] == pytest.approx(float(harness.profit()), abs=1e-6)
    harness.assert_settled(bot)
