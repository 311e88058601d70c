"""Emergency exits with shorts open, both ways and scopes; nothing is repaid before them."""

import pytest

from tests.leverage.harness import BTC, ETH, LeverageHarness, trade_of

DAY = 86400
STOPS = {"stoploss_on_exchange": True, "stoploss": "limit"}
CREATE, REPAY = "POST /v3/margin/orders/btc_usdt", "POST /v3/margin/repay"


def settle(harness: LeverageHarness, bot: object, iterations: int = 4) -> None:
    for _ in range(iterations):
        bot.process()  # type: ignore[attr-defined]
        for order in harness.truth(open=True, by_hand=False):
            if not order["stopPrice"]:
                harness.control.fill(order["id"])


@pytest.mark.parametrize("scope", ["pair", "all"])
@pytest.mark.parametrize(("side", "leverage"), [("long", 3.0), ("short", 2.0)])
def test_a_refused_stoploss(
    harness: LeverageHarness, side: str, leverage: float, scope: str
) -> None:
    bot = harness.bot(scope=scope, order_types=STOPS)
    harness.open(bot, "short", 2.0, ETH)
    bot.process()
    harness.open(bot, side, leverage, BTC, fill=None)
    harness.control.advance(DAY)
    entry = harness.truth(pair="btc_usdt", by_hand=False)[-1]
    if entry["open"]:
        harness.control.fill(entry["id"])
    harness.control.reject_stops(1)
    mark = harness.mark
    bot.process()
    sent = harness.lines(mark)
    exits = [at for at, line in enumerate(sent) if line == CREATE]
    assert len(exits) == 2
    assert REPAY not in sent[: exits[1]]
    settle(harness, bot)
    assert not trade_of(BTC).is_open
    assert trade_of(BTC).exit_reason == "emergency_exit"
    assert trade_of(ETH).is_open
    assert harness.debt("BTC" if side == "short" else "USDT") == 0
    harness.exit(bot, ETH)
    harness.assert_settled(bot)


@pytest.mark.parametrize("scope", ["pair", "all"])
@pytest.mark.parametrize("filled", [None, "0.3"])
@pytest.mark.parametrize(("side", "leverage"), [("long", 3.0), ("short", 2.0)])
def test_an_exit_that_timed_out(
    harness: LeverageHarness, side: str, leverage: float, filled: str | None, scope: str
) -> None:
    harness.control.switches(matching=False)
    bot = harness.bot(scope=scope)
    harness.open(bot, "short", 2.0, ETH)
    harness.open(bot, side, leverage, BTC)
    harness.control.advance(DAY)
    bot.strategy.leave[BTC] = "told_to"
    bot.process()
    action = "BUY" if side == "short" else "SELL"
    exit_order = harness.truth(pair="btc_usdt", action=action, open=True)[-1]
    if filled:
        harness.control.fill(exit_order["id"], fraction=filled)
    # And a little more at the wrong moment.
    harness.control.add_fault(
        "fill_before", method="DELETE", path="*", ids=[exit_order["id"]], fraction="0.2"
    )
    bot.strategy.timed_out.add(BTC)
    mark = harness.mark
    bot.process()
    bot.strategy.timed_out.clear()
    bot.strategy.leave.clear()
    sent = harness.lines(mark)
    assert REPAY not in sent[: sent.index(CREATE)]
    settle(harness, bot)
    assert not trade_of(BTC).is_open
    bot.process()
    assert harness.debt("BTC" if side == "short" else "USDT") == 0
    harness.exit(bot, ETH)
    harness.assert_settled(bot)


def test_two_shorts_in_emergency_at_once(harness: LeverageHarness) -> None:
    bot = harness.bot(scope="all", order_types=STOPS)
    harness.open(bot, "short", 2.0, BTC, fill=None)
    harness.open(bot, "short", 2.0, ETH, fill=None)
    for order in harness.truth(open=True):
        harness.control.fill(order["id"])
    harness.control.advance(DAY)
    harness.control.reject_stops(2)
    bot.process()
    settle(harness, bot, 5)
    assert not trade_of(BTC).is_open
    assert not trade_of(ETH).is_open
    harness.assert_settled(bot)
