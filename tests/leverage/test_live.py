"""Longs above 1x and shorts on a real bot: what is borrowed, what is repaid, what is booked."""

from decimal import Decimal
from typing import Any

import pytest

from tests.leverage.harness import BTC, ETH, LeverageHarness, trade_of, wire

DAY = 86400
SIDES = pytest.mark.parametrize(("side", "leverage"), [("long", 3.0), ("short", 2.0)])
MARKET = {"entry": "market", "exit": "market"}


def owed(harness: LeverageHarness, side: str, pair: str = BTC) -> Decimal:
    return harness.debt(pair.split("/")[0] if side == "short" else "USDT")


@SIDES
@pytest.mark.parametrize("kind", ["limit", "market"])
def test_a_round_trip_leaves_no_debt_and_the_accounts_profit(
    harness: LeverageHarness, side: str, leverage: float, kind: str
) -> None:
    bot = harness.bot(order_types=MARKET if kind == "market" else {})
    harness.open(bot, side, leverage)
    trade = trade_of()
    assert (trade.is_short, trade.leverage) == (side == "short", leverage)
    bot.process()
    expected = Decimal(1000) if side == "short" else Decimal(2000)
    worth = owed(harness, side) * (harness.price("BTC") if side == "short" else 1)
    assert abs(worth - expected * (2 if side == "short" else 1)) < 5
    harness.control.advance(3 * DAY)
    harness.control.set_price("btc_usdt", "61000")
    bot.process()
    harness.exit(bot)
    trade = trade_of()
    assert not trade.is_open
    assert -30 < trade.funding_fees < -10
    harness.assert_settled(bot)


@SIDES
def test_adding_to_a_position_and_taking_from_it(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    bot = harness.bot(max_open_trades=1)
    harness.open(bot, side, leverage)
    harness.control.advance(DAY)
    # Once as taker: the fees of the entries differ.
    bot.strategy.order_types["entry"] = "market"
    bot.strategy.adjust[BTC] = 500.0
    bot.process()
    bot.process()
    bot.process()
    trade = trade_of()
    assert trade.nr_of_successful_entries == 2
    harness.control.advance(DAY)
    harness.control.set_price("btc_usdt", "59000")
    bot.strategy.adjust[BTC] = -600.0
    bot.process()
    for order in harness.truth(open=True, by_hand=False):
        harness.control.fill(order["id"])
    bot.process()
    bot.process()
    trade = trade_of()
    assert trade.is_open
    assert trade.nr_of_successful_exits == 1
    assert trade.realized_profit != 0
    assert owed(harness, side) > 0
    harness.control.advance(DAY)
    harness.exit(bot)
    assert not trade_of().is_open
    harness.assert_settled(bot)


@SIDES
def test_a_stop_on_the_exchange_covers_the_interest(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    types = {"stoploss_on_exchange": True, "stoploss": "limit"}
    bot = harness.bot(order_types=types, stoploss=-0.1)
    harness.open(bot, side, leverage)
    bot.process()
    action = "BUY" if side == "short" else "SELL"
    (stop,) = harness.truth(open=True, action=action)
    assert stop["stopPrice"]
    harness.control.advance(2 * DAY)
    bot.process()
    harness.control.set_price("btc_usdt", "63200" if side == "short" else "57500")
    for _ in range(3):
        bot.process()
    trade = trade_of()
    assert not trade.is_open
    assert trade.exit_reason == "stoploss_on_exchange"
    assert trade.funding_fees < 0
    harness.assert_settled(bot)


@SIDES
def test_two_trades_that_owe_the_same_currency_and_one_at_1x(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    bot = harness.bot(max_open_trades=2)
    harness.open(bot, "long", 3.0, BTC)
    harness.control.advance(DAY)
    harness.open(bot, side, leverage, ETH)
    harness.control.advance(DAY)
    harness.exit(bot, BTC)
    assert not trade_of(BTC).is_open
    assert owed(harness, side, ETH) > 0
    harness.control.advance(DAY)
    harness.exit(bot, ETH)
    harness.assert_settled(bot)
    harness.open(bot, "long", 1.0, BTC)
    assert harness.debt("USDT") == 0
    harness.exit(bot, BTC)
    harness.assert_settled(bot)


@SIDES
@pytest.mark.parametrize("amount", [None, 0.4])
def test_a_forced_exit_whole_and_in_part(
    harness: LeverageHarness, side: str, leverage: float, amount: float | None
) -> None:
    bot = harness.bot()
    harness.open(bot, side, leverage)
    harness.control.advance(DAY)
    part = None if amount is None else trade_of().amount * amount
    bot.rpc._rpc._rpc_force_exit(str(trade_of().id), "market", amount=part)
    bot.process()
    bot.process()
    trade = trade_of()
    assert trade.is_open == (amount is not None)
    if amount is not None:
        harness.control.advance(DAY)
        bot.rpc._rpc._rpc_force_exit(str(trade.id), "market")
        bot.process()
        bot.process()
    harness.assert_settled(bot)


@SIDES
@pytest.mark.parametrize("iterations", [0, 1])
def test_a_forced_entry(
    harness: LeverageHarness, side: str, leverage: float, iterations: int
) -> None:
    from freqtrade.enums import SignalDirection

    bot = harness.bot(force_entry_enable=True)
    bot.state = bot.state.RUNNING
    for _ in range(iterations):
        bot.process()
    direction = SignalDirection.SHORT if side == "short" else SignalDirection.LONG
    bot.strategy.enter[BTC] = side
    bot.rpc._rpc._rpc_force_entry(BTC, None, order_side=direction, leverage=leverage)
    for order in harness.truth(open=True, by_hand=False):
        harness.control.fill(order["id"])
    bot.process()
    assert trade_of().leverage == leverage
    assert owed(harness, side) > 0
    # The loans are the bot's own: the ledger begins with the first of them, too.
    assert bot.exchange.loans.ledger.meta("begun")
    assert not bot.exchange.loans.ledger.meta("adopted")
    harness.exit(bot)
    harness.assert_settled(bot)


def test_a_restart_goes_on_where_it_was(harness: LeverageHarness) -> None:
    bot = harness.bot()
    harness.open(bot, "short", 2.0)
    harness.control.advance(DAY)
    harness.restart(bot)
    bot = harness.bot()
    bot.process()
    harness.control.advance(DAY)
    harness.exit(bot)
    harness.assert_settled(bot)


def rising(harness: LeverageHarness, pair: str, percent: int) -> None:
    price = harness.price(pair.split("/")[0]) * (100 + percent) / 100
    harness.control.set_price(wire(pair), str(price))


def test_profits_of_many_trades_add_up(harness: LeverageHarness) -> None:
    """Dust that one buy-back leaves is used by the next."""
    bot = harness.bot()
    for number in range(4):
        harness.open(bot, "short", 2.0)
        harness.control.advance(DAY * (number + 1))
        rising(harness, BTC, -1)
        harness.exit(bot)
        harness.assert_settled(bot, tolerance="0.00001")
    dust: Any = bot.exchange.loans.ledger.dust()["BTC"][0]
    assert abs(harness.wallet("BTC") - dust) < Decimal("0.0000001")
