"""An entry that is replaced at another price, and whose replacement is not answered."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from freqtrade import freqtradebot

from tests.bot.harness import BTC, ETH, BotHarness, trade_of
from tests.bot.test_faults import disagreements, never_sold_more_than_bought
from tests.bot.test_lost_orders import ENDS, POST, answered, found_at_once, found_later

HOW: dict[str, Callable[..., Any]] = {
    "answered": answered,
    "found at once": found_at_once,
    "found later": found_later,
}


@pytest.fixture(autouse=True)
def next_candle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Freqtrade asks about an order's price once the candle in which it was placed is over."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(freqtradebot, "timeframe_to_next_date", lambda *args: tomorrow)


def replacing(harness: BotHarness) -> Any:
    """A bot whose entry rests, and is to be given another price in the next iteration."""
    bot = harness.bot("Replacing", order_types={"stoploss_on_exchange": False})
    harness.enter(bot, BTC, fill=None)
    bot.strategy.reprice[BTC] = 59000.0
    return bot


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("how", HOW)
def test_a_replacement_is_tracked_whether_or_not_it_was_answered(
    harness: BotHarness, how: str, end: str
) -> None:
    bot = replacing(harness)
    bot = HOW[how](harness, bot, lambda order_id: ENDS[end](harness, order_id))
    for _ in range(3):
        bot.process()
    buys = harness.truth(pair="btc_usdt", action="BUY")
    assert len(buys) == 2, "sent once"
    assert disagreements(harness) == []
    trade = trade_of(BTC)
    filled = float(buys[-1]["executedAmount"])
    if not filled and not buys[-1]["open"]:
        assert trade is None or not trade.is_open
        return
    assert trade.is_open
    assert [row.order_id for row in trade.open_orders] == [
        str(order["id"]) for order in buys if order["open"]
    ]
    # A fill counts when its order has ended, less the fee, in the exchange's steps.
    expected = 0 if buys[-1]["open"] else filled
    assert trade.amount == pytest.approx(expected, rel=0.01)
    never_sold_more_than_bought(harness)


def test_a_lost_replacement_is_not_put_into_the_trade_that_got_its_number(
    harness: BotHarness,
) -> None:
    """Freqtrade deletes the trade, and SQLite gives its number to the next one."""
    bot = replacing(harness)
    number = trade_of(BTC).id
    harness.control.add_fault("process_close", **POST)
    for path in ("*/orders/orders/open", "*/orders/open", "*/orders/all/btc_usdt"):
        harness.control.add_fault("status", path=path, times=None, status=503)
    bot.process()
    assert trade_of(BTC) is None
    bot.strategy.enter.add(ETH)
    bot.process()
    assert trade_of(ETH).id == number
    harness.control.clear_faults()
    bot.process()
    found = trade_of(BTC)
    assert found is not None
    assert {row.ft_pair for row in found.orders} == {BTC}
    assert {row.ft_pair for row in trade_of(ETH).orders} == {ETH}
    assert disagreements(harness) == []
