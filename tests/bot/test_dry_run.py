"""A dry run sweeps its simulated orders, and nothing that is signed leaves the process."""

from typing import Any

import pytest
from freqtrade.enums import ExitCheckTuple, ExitType
from freqtrade.persistence import Order, Trade

from tests.bot.harness import BTC, ETH, BotHarness, order_row, trade_of

EMERGENCY = ExitCheckTuple(exit_type=ExitType.EMERGENCY_EXIT)


def start(harness: BotHarness, scope: str) -> Any:
    # Entries below the market rest; a position comes from a market entry.
    return harness.bot(
        scope=scope,
        dry_run=True,
        dry_run_wallet=100_000,
        order_types={"stoploss_on_exchange": False},
    )


def enter(bot: Any, pair: str, order_type: str) -> str:
    bot.strategy.order_types["entry"] = order_type
    bot.strategy.enter.add(pair)
    bot.process()
    return str(trade_of(pair).orders[-1].order_id)


@pytest.mark.parametrize("scope", ["pair", "all"])
@pytest.mark.parametrize("restarted", [False, True])
def test_simulated_orders_are_swept(harness: BotHarness, scope: str, restarted: bool) -> None:
    bot = start(harness, scope)
    harness.control.set_price("eth_usdt", "3000", bid="2990", ask="3010")
    other = enter(bot, ETH, "limit")
    assert order_row(other, ETH).ft_is_open
    enter(bot, BTC, "market")
    bot.process()
    assert trade_of(BTC).has_open_position
    if restarted:
        harness._bots.clear()
        bot = start(harness, scope)
    bot.execute_trade_exit(trade_of(BTC), 60000.0, EMERGENCY)
    bot.process()
    bot.process()
    assert not trade_of(BTC).is_open
    if scope == "all":
        assert trade_of(ETH) is None
        assert Order.session.query(Order).filter(Order.ft_pair == ETH).count() == 0
        assert Trade.get_open_trade_count() == 0
    else:
        assert order_row(other, ETH).ft_is_open
    signed = [line for line in harness.control.requests() if line["account"]]
    assert signed == []
    assert harness.lines() == []
