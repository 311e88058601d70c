"""Liquidations: the price, Freqtrade's own exit before the exchange's, and the exchange's."""

from decimal import Decimal

import pytest

from tests.leverage.harness import BTC, ETH, LeverageHarness, trade_of

DAY = 86400
SIDES = pytest.mark.parametrize(("side", "leverage"), [("long", 3.0), ("short", 2.0)])
PRICES = {"long": "43000", "short": "95000"}


def threshold_of(harness: LeverageHarness, side: str, low: int, high: int) -> Decimal:
    """The price at which the exchange would liquidate, found by trying: it says so itself."""
    harness.control.switches(liquidation=False)
    ends = [Decimal(low), Decimal(high)]
    was = harness.price("BTC")
    for _ in range(40):
        middle = (ends[0] + ends[1]) / 2
        harness.control.set_price("btc_usdt", str(round(middle, 2)))
        assets = sum((harness.wallet(c) * harness.price(c) for c in ("USDT", "BTC", "ETH")),
                     Decimal(0))  # fmt: skip
        debts = sum((harness.debt(c) * harness.price(c) for c in ("USDT", "BTC", "ETH")),
                    Decimal(0))  # fmt: skip
        is_safe = assets / debts >= Decimal("1.1")
        ends[int(is_safe == (side == "long"))] = middle
    harness.control.set_price("btc_usdt", str(was))
    harness.control.switches(liquidation=True)
    return ends[0]


@SIDES
def test_the_price_is_the_exchanges_with_freqtrades_buffer(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    harness.control.set_balances({"USDT": "1100"})
    bot = harness.bot()
    harness.open(bot, side, leverage)
    harness.control.switches(matching=False)
    bot.process()
    exchanges = threshold_of(harness, side, 20000, 200000)
    trade = trade_of()
    price = Decimal(str(trade.liquidation_price))
    distance = abs(Decimal(str(trade.open_rate)) - exchanges)
    expected = exchanges + distance * Decimal("0.05") * (1 if side == "long" else -1)
    assert abs(price - expected) < 1


def test_several_trades_in_cross_mode(harness: LeverageHarness) -> None:
    harness.control.set_balances({"USDT": "2200"})
    bot = harness.bot()
    harness.open(bot, "long", 3.0, BTC)
    harness.open(bot, "short", 2.0, ETH)
    harness.control.switches(matching=False)
    bot.process()
    exchanges = threshold_of(harness, "long", 10000, 60000)
    price = Decimal(str(trade_of(BTC).liquidation_price))
    expected = exchanges + (Decimal(str(trade_of(BTC).open_rate)) - exchanges) * Decimal("0.05")
    assert abs(price - expected) < 2
    # The other's price moves this one's.
    harness.control.set_price("eth_usdt", "3500")
    bot.exchange._marks = (0.0, {})
    bot.process()
    assert trade_of(BTC).liquidation_price > float(price) + 100


@SIDES
def test_freqtrades_exit_goes_out_before_the_exchanges(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    harness.control.set_balances({"USDT": "1100"})
    bot = harness.bot(stoploss=-0.99)
    harness.open(bot, side, leverage)
    bot.process()
    price = Decimal(str(trade_of().liquidation_price))
    harness.control.set_price("btc_usdt", str(price * (Decimal("0.999") if side == "long" else
                                                       Decimal("1.001"))))  # fmt: skip
    bot.process()
    bot.process()
    trade = trade_of()
    assert trade.exit_reason == "liquidation"
    assert not trade.is_open
    bot.process()
    assert harness.account()["liquidations"] == 0
    change = harness.wallet("USDT") - 1100
    assert abs(harness.profit() - harness.dust_cost(bot) - change) < Decimal("0.00001")
    assert harness.debt("USDT") == harness.debt("BTC") == 0


@SIDES
@pytest.mark.parametrize("mode", ["whole", "partial", "in_kind"])
def test_a_liquidation_by_the_exchange(
    harness: LeverageHarness, side: str, leverage: float, mode: str
) -> None:
    harness.control.set_balances({"USDT": "1100"})
    bot = harness.bot(stoploss=-0.99)
    harness.open(bot, side, leverage)
    harness.control.advance(DAY)
    bot.process()
    before = harness.equity()
    if mode == "in_kind" and side == "short":
        # Only what the account has of the coin can be taken in kind.
        harness.control.add_balances({"BTC": "0.01"})
    harness.control.liquidate(mode, fraction="0.5" if mode == "partial" else None)
    assert harness.account()["liquidations"] > 0
    for _ in range(6):
        bot.process()
    assert any("liquidated" in str(m.get("status")) for m in bot.messages)
    trade = trade_of()
    held = harness.wallet("BTC") if side == "long" else harness.debt("BTC")
    if mode == "in_kind" and side == "short":
        # Other coins paid for it: the position is as large as it was.
        held = Decimal(str(trade.amount))
    if trade.is_open:
        # What the database holds is what the account shows.
        assert abs(Decimal(str(trade.amount)) - held) <= held * Decimal("0.01")
        harness.exit(bot)
        bot.process()
    trade = trade_of()
    assert not trade.is_open
    assert harness.debt("USDT") == harness.debt("BTC") == 0
    change = harness.wallet("USDT") + harness.wallet("BTC") * harness.price("BTC") - 1100
    earned = harness.profit() - harness.dust_cost(bot)
    coins = harness.wallet("BTC") * harness.price("BTC")
    assert abs(earned - (change - coins)) < Decimal("0.01") + coins, (earned, change, coins)
    assert before > 0


def test_a_liquidation_of_two_trades(harness: LeverageHarness) -> None:
    harness.control.set_balances({"USDT": "2200"})
    bot = harness.bot(stoploss=-0.99)
    harness.open(bot, "long", 3.0, BTC)
    harness.open(bot, "short", 2.0, ETH)
    bot.process()
    harness.control.liquidate("whole")
    for _ in range(8):
        bot.process()
        for order in harness.truth(open=True, by_hand=False):
            harness.control.fill(order["id"])
    for pair in (BTC, ETH):
        if trade_of(pair).is_open:
            harness.exit(bot, pair)
    bot.process()
    assert not trade_of(BTC).is_open
    assert not trade_of(ETH).is_open
    for currency in ("USDT", "BTC", "ETH"):
        assert harness.debt(currency) == 0
