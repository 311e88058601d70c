"""Longs above 1x and shorts on a real bot: what is borrowed, what is repaid, what is booked."""

import pytest

from tests.leverage.harness import LeverageHarness, trade_of

DAY = 86400


@pytest.mark.parametrize(("side", "leverage"), [("long", 3.0), ("short", 2.0)])
def test_a_round_trip_leaves_no_debt_and_the_accounts_profit(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    bot = harness.bot()
    harness.open(bot, side, leverage)
    trade = trade_of()
    assert trade.is_short == (side == "short")
    assert trade.leverage == leverage
    currency = "BTC" if side == "short" else "USDT"
    assert harness.debt(currency) > 0
    harness.control.advance(3 * DAY)
    harness.control.set_price("btc_usdt", "61000")
    bot.process()
    harness.exit(bot)
    trade = trade_of()
    assert not trade.is_open
    assert trade.funding_fees < 0
    harness.assert_settled(bot)
