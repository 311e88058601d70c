"""A swept order ends in the rows that Freqtrade's own handlers leave for the same story.

Each story is lived through twice: by a bot whose emergency on one pair sweeps another's orders,
and by a bot without the mixin that cancels the same orders itself. Then the rows are compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from freqtrade.persistence import Order, Trade

from tests.bot.harness import (
    BTC,
    ETH,
    BotHarness,
    differences,
    rows_of,
    trade_of,
    wait_until,
    wire,
)


@dataclass
class Story:
    """What happens on ETH, and how much of the order fills just before it is cancelled."""

    begin: Callable[[BotHarness, Any], str]
    late_fill: str | None = None


def entry(filled: str | None) -> Callable[[BotHarness, Any], str]:
    def begin(harness: BotHarness, bot: Any) -> str:
        return harness.enter(bot, ETH, fill=filled)

    return begin


def second_entry(harness: BotHarness, bot: Any) -> str:
    harness.hold(bot, ETH)
    bot.strategy.adjust[ETH] = 500.0
    bot.process()
    return str(harness.truth(pair="eth_usdt", action="BUY", open=True, by_hand=False)[-1]["id"])


STORIES = {
    "entry unfilled": Story(entry(None)),
    "entry partly filled": Story(entry("0.4")),
    "entry partly filled at the wrong moment": Story(entry(None), "0.4"),
    "entry filled at the wrong moment": Story(entry("0.4"), "1"),
    "second entry unfilled": Story(second_entry),
    "second entry partly filled at the wrong moment": Story(second_entry, "0.3"),
    "second entry filled at the wrong moment": Story(second_entry, "1"),
    "exit unfilled": Story(lambda harness, bot: harness.leave(bot, ETH)),
    "exit partly filled at the wrong moment": Story(
        lambda harness, bot: harness.leave(bot, ETH), "0.3"
    ),
    "exit filled at the wrong moment": Story(lambda harness, bot: harness.leave(bot, ETH), "1"),
    "stoploss unfilled": Story(lambda harness, bot: harness.hold(bot, ETH)),
    "stoploss partly filled at the wrong moment": Story(
        lambda harness, bot: harness.hold(bot, ETH), "0.3"
    ),
    "stoploss filled at the wrong moment": Story(lambda harness, bot: harness.hold(bot, ETH), "1"),
}


def live_without(harness: BotHarness, story: Story, strategy: str) -> Any:
    bot = harness.bot(strategy)
    order_id = story.begin(harness, bot)
    bot.messages.clear()
    trade = trade_of(ETH)
    if story.late_fill == "1":
        # Freqtrade's own way with an order that has filled.
        harness.control.fill(order_id)
        if order_id.startswith("SL"):
            bot.handle_stoploss_on_exchange(trade)
        else:
            bot.manage_open_orders()
    elif story.late_fill:
        harness.control.add_fault(
            "fill_before", method="DELETE", path="*", ids=[order_id], fraction=story.late_fill
        )
    if trade.is_open:
        bot.cancel_stoploss_on_exchange(trade)
    bot.cancel_all_open_orders()
    Trade.commit()
    return bot


def live_with(harness: BotHarness, story: Story, strategy: str) -> tuple[Any, set[str]]:
    bot = harness.bot(strategy, scope="all")
    order_id = story.begin(harness, bot)
    harness.enter(bot, BTC)
    bot.messages.clear()
    harness.control.reject_stops(1)
    if story.late_fill:
        harness.control.add_fault(
            "fill_before", method="DELETE", path="*/orders/all", ids=[order_id],
            fraction=story.late_fill,
        )  # fmt: skip
    mark = harness.mark
    swept = {order.order_id for order in Order.get_open_orders() if order.ft_pair == ETH}
    bot.process()
    assert "DELETE /v3/margin/orders/all" in harness.lines(mark)
    bot.strategy.bot_loop_start(current_time=datetime.now(UTC))
    assert harness.lines(mark).count("DELETE /v3/margin/orders/all") == 1
    return bot, swept


@pytest.mark.parametrize("name", STORIES)
def test_a_swept_order_ends_as_freqtrade_would_have_left_it(harness: BotHarness, name: str) -> None:
    story = STORIES[name]
    adjusting = "Adjusting" if "second" in name else ""
    bot = live_without(harness, story, adjusting or "Plain")
    expected = rows_of(ETH)
    slots = Trade.get_open_trade_count()
    told = _told(bot)

    harness.afresh()
    bot, swept = live_with(harness, story, f"Guarded{adjusting}")
    assert differences(rows_of(ETH), expected) == []
    assert Trade.get_open_trade_count() - _still_open(BTC) == slots
    for order in trade_of(ETH).orders if trade_of(ETH) else []:
        assert not order.ft_is_open
        if order.order_id in swept and order.status == "canceled":
            assert order.ft_cancel_reason.startswith("emergency: cancelled by bitopro_margin_ext")
    wait_until(lambda: len(_told(bot)) >= len(told), 5)
    assert _told(bot) == told
    _wallets_are_fresh(harness, bot)


def _told(bot: Any) -> list[str]:
    return [str(message["type"]) for message in bot.messages if message.get("pair") == ETH]


def _still_open(pair: str) -> int:
    trade = trade_of(pair)
    return int(trade is not None and trade.is_open)


def _wallets_are_fresh(harness: BotHarness, bot: Any) -> None:
    margin = harness.control.state()["accounts"][0]["margin"]
    for currency in ("USDT", "BTC", "ETH"):
        wallet = bot.wallets.get_all_balances().get(currency)
        free = wallet.free if wallet else 0.0
        assert free == pytest.approx(float(margin[currency]["available"]), rel=1e-9), currency


def test_the_wire_name() -> None:
    assert wire(BTC) == "btc_usdt"
