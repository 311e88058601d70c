"""What the user does on the exchange with a trade of the bot's: the trade ends as what it was."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bitopro_margin_ext.bot.debt_lines import USER
from tests.leverage.crashing_bot import crash
from tests.leverage.harness import BTC, CAPITAL, ETH, LeverageHarness, trade_of

DAY = 86400


def trade_by_hand(
    harness: LeverageHarness, action: str, amount: Decimal, price: str = "60000"
) -> None:
    order = harness.control.seed_order("btc_usdt", action, str(amount), price, fund=False)
    if harness.control.order(order["id"])["open"]:
        harness.control.fill(order["id"])


def assert_closed(harness: LeverageHarness, bot: Any, cost_of_rest: Decimal = Decimal(0)) -> None:
    """The trade is over, nothing is owed, and the profit is what the account has earned.

    ``cost_of_rest``: what the coins have cost that the user has taken with the position.
    """
    trade = trade_of()
    assert not trade.is_open
    assert trade.exit_reason == "sold_on_exchange"
    for currency in ("USDT", "BTC"):
        assert harness.debt(currency) == 0
    assert bot.exchange.loans.ledger.lines() == []
    change = harness.wallet("USDT") - CAPITAL
    unbooked = Decimal(bot.exchange.loans.ledger.meta("unbooked") or 0)
    earned = harness.profit() - harness.dust_cost(bot) - unbooked
    assert abs(earned + cost_of_rest - change) <= Decimal("0.000001"), (earned, change)


@pytest.mark.parametrize("repaid", ["before", "after"])
def test_a_short_bought_back_and_repaid_by_hand(harness: LeverageHarness, repaid: str) -> None:
    bot = harness.bot()
    harness.open(bot, "short", 2.0)
    harness.control.advance(DAY)
    bot.process()
    owed = harness.debt("BTC")
    trade_by_hand(harness, "buy", Decimal("0.0335"))
    if repaid == "after":
        # The coins are the user's for as long as the debt is there: the position is as it was.
        bot.process()
        bot.process()
        assert trade_of().is_open
        assert harness.wallet("BTC") >= Decimal("0.0334")
    harness.control.repay("BTC", str(owed))
    if harness.debt("BTC"):
        harness.control.repay("BTC", str(harness.debt("BTC")))
    for _ in range(4):
        bot.process()
    # What they have bought beyond the debt is there, and is theirs, at what they have paid.
    kept = harness.wallet("BTC")
    assert kept > 0
    (bought,) = harness.truth(by_hand=True)
    received = Decimal(bought["executedAmount"]) - Decimal(bought["fee"])
    assert_closed(harness, bot, -kept * Decimal(bought["total"]) / received)


@pytest.mark.parametrize("all_of_it", [True, False])
def test_the_coin_of_a_long_sold_by_hand(harness: LeverageHarness, all_of_it: bool) -> None:
    """The position exactly, or with the rest of a step that no order of the bot's could sell."""
    bot = harness.bot()
    harness.open(bot, "long", 3.0)
    harness.control.advance(DAY)
    bot.process()
    held = harness.wallet("BTC")
    sold = held if all_of_it else Decimal(str(trade_of().amount))
    trade_by_hand(harness, "sell", sold, "61000")
    for _ in range(4):
        bot.process()
    assert not all_of_it or bot.exchange.loans.ledger.dust()["BTC"][0] == 0
    rest = held - Decimal(str(trade_of().amount))
    assert rest > 0
    proceeds = rest * 61000 * (1 - Decimal("0.001")) if all_of_it else Decimal(0)
    assert_closed(harness, bot, proceeds)


def test_a_part_of_a_long_sold_by_hand(harness: LeverageHarness) -> None:
    """Freqtrade has no such exit: the position is what is left, and ends with what is sold."""
    bot = harness.bot()
    harness.open(bot, "long", 3.0)
    bot.process()
    trade_by_hand(harness, "sell", Decimal("0.02"))
    for _ in range(3):
        bot.process()
    for _ in range(3):
        if trade_of().is_open:
            harness.exit(bot)
    assert not trade_of().is_open
    for _ in range(3):
        bot.process()
    assert harness.debt("USDT") == 0


def test_a_second_bot_on_the_account_with_a_ledger_of_its_own(
    harness: LeverageHarness, tmp_path: Path
) -> None:
    """To each the other's debts are the user's: neither repays nor uses them."""
    bot = harness.bot()
    harness.open(bot, "long", 3.0, BTC)
    first = harness.debt("USDT")
    folder = tmp_path / "second"
    folder.mkdir()
    crash(harness, "when open", "long", 2.0, pair=ETH, folder=folder)
    second = harness.debt("USDT") - first
    assert second > 900
    bot.process()
    lines = {line.holder: line.owed for line in bot.exchange.loans.ledger.lines("USDT")}
    assert set(lines) == {BTC, USER}
    assert abs(lines[USER] - second) < Decimal("0.01")
    harness.control.advance(DAY)
    held = harness.wallet("ETH")
    harness.exit(bot, BTC)
    assert not trade_of(BTC).is_open
    left = harness.debt("USDT")
    assert second < left < second * Decimal("1.01")
    assert harness.wallet("ETH") == held
