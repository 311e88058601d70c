"""When an exit is refused, who refuses it, and how it comes again; with callbacks of every kind."""

from typing import Any

import pytest
from freqtrade.enums import ExitCheckTuple, ExitType
from freqtrade.exceptions import OperationalException

from tests.bot.harness import BTC, BotHarness, cancel_pair, order_row, trade_of

REASONS = {
    "stop_loss": ExitCheckTuple(exit_type=ExitType.STOP_LOSS),
    "exit_signal": ExitCheckTuple(exit_type=ExitType.EXIT_SIGNAL),
    "my_tag": ExitCheckTuple(exit_type=ExitType.EXIT_SIGNAL, exit_reason="my_tag"),
    "my_reason": ExitCheckTuple(exit_type=ExitType.CUSTOM_EXIT, exit_reason="my_reason"),
    "force_exit": ExitCheckTuple(exit_type=ExitType.FORCE_EXIT),
    "emergency_exit": ExitCheckTuple(exit_type=ExitType.EMERGENCY_EXIT),
}


def stale(harness: BotHarness, bot: Any) -> str:
    """A position with a second entry that fills in part in the moment of the sweep."""
    harness.hold(bot)
    bot.strategy.adjust[BTC] = 500.0
    bot.process()
    entry = harness.truth(pair="btc_usdt", action="BUY", open=True)[-1]["id"]
    harness.control.add_fault("fill_before", method="DELETE", path="*/btc_usdt", ids=[entry],
                            fraction="0.3")  # fmt: skip
    return str(entry)


@pytest.mark.parametrize(
    ("reason", "order_type"),
    [*((reason, "market") for reason in REASONS), ("force_exit", "limit"), ("my_tag", "limit")],
)
def test_a_stale_amount_refuses_and_the_exit_comes_again_once(
    harness: BotHarness, reason: str, order_type: str
) -> None:
    bot = harness.bot(
        "GuardedAdjusting",
        bitopro_margin={"cancel_on": list(REASONS), "exit_tags": ["my_tag", "my_reason"]},
        order_types={"emergency_exit": order_type},
    )
    entry = stale(harness, bot)
    before = trade_of().amount
    limit = 60500.0
    assert not bot.execute_trade_exit(trade_of(), limit, REASONS[reason], ordertype=order_type)
    assert order_row(entry).filled > 0
    assert trade_of().amount > before
    assert not [order for order in harness.sells() if not order["stopPrice"]]

    for _ in range(3):
        bot.process()
    (exit_order,) = [order for order in harness.sells() if not order["stopPrice"]]
    assert exit_order["type"] == order_type.upper()
    row = order_row(exit_order["id"])
    assert row.ft_order_tag == reason
    assert float(exit_order["originalAmount"]) == pytest.approx(trade_of().amount, abs=1e-8)
    if reason == "force_exit" and order_type == "limit":
        # The user's own price.
        assert float(exit_order["price"]) == limit
    assert harness.lines().count(cancel_pair(BTC)) == 1


def test_a_reason_that_is_not_listed_sweeps_nothing(harness: BotHarness) -> None:
    bot = harness.bot()
    harness.leave(bot)
    assert cancel_pair(BTC) not in harness.lines()


STRATEGIES = ["OwnWithoutSuper", "OwnWithSuper", "Overshadowed", "Grandchild"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_with_callbacks_of_its_own(harness: BotHarness, strategy: str) -> None:
    bot = harness.bot(strategy)
    harness.hold(bot)
    trade = trade_of()
    bot.strategy.answer = False
    check = ExitCheckTuple(exit_type=ExitType.EMERGENCY_EXIT)
    assert not bot.execute_trade_exit(trade, 60000.0, check)
    assert cancel_pair(BTC) not in harness.lines(), "swept although the strategy refused the exit"
    assert len(bot.strategy.asked) == 1

    bot.strategy.answer = True
    assert bot.execute_trade_exit(trade_of(), 60000.0, check)
    assert harness.lines().count(cancel_pair(BTC)) == 1
    assert len(bot.strategy.asked) == 2
    bot.process()
    assert not trade_of().is_open


@pytest.mark.parametrize("strategy", ["OwnWithoutSuper", "OwnWithSuper"])
def test_a_strategy_with_a_time_out_of_its_own(harness: BotHarness, strategy: str) -> None:
    bot = harness.bot(strategy)
    harness.leave(bot)
    bot.strategy.timed_out.add(BTC)
    bot.process()
    assert harness.lines().count(cancel_pair(BTC)) == 1
    bot.process()
    assert not trade_of().is_open


def test_a_held_exit_that_the_strategy_then_refuses_is_dropped(harness: BotHarness) -> None:
    bot = harness.bot("OwnWithSuper")
    harness.hold(bot)
    harness.control.add_fault("status", method="POST", path="*/orders/btc_usdt", status=400,
                            body={"error": "no"}, times=None)  # fmt: skip
    bot.emergency_exit(trade_of(), 60000.0)
    assert trade_of().id in bot.strategy.emergency.exits
    bot.strategy.answer = False
    bot.process()
    assert trade_of().id not in bot.strategy.emergency.exits


def test_callbacks_that_raise_neither_stop_the_sweep_nor_the_exit(harness: BotHarness) -> None:
    bot = harness.bot("Raising", scope="all")
    other = harness.enter(bot, "ETH/USDT", fill="0.4")
    harness.enter(bot, BTC)
    harness.control.reject_stops(1)
    bot.process()
    assert "DELETE /v3/margin/orders/all" in harness.lines()
    assert harness.sells()[-1]["type"] == "MARKET"
    bot.process()
    assert not trade_of().is_open
    assert order_row(other, "ETH/USDT").status == "canceled"
    assert order_row(other, "ETH/USDT").filled > 0


def test_a_callback_that_raises_does_not_turn_a_stale_amount_into_an_exit(
    harness: BotHarness,
) -> None:
    bot = harness.bot("Raising", position_adjustment_enable=True)
    stale(harness, bot)
    check = ExitCheckTuple(exit_type=ExitType.EMERGENCY_EXIT)
    assert not bot.execute_trade_exit(trade_of(), 60000.0, check)
    bot.process()
    (exit_order,) = [order for order in harness.sells() if not order["stopPrice"]]
    bot.process()
    bought = sum(
        float(order["executedAmount"]) - float(order["fee"])
        for order in harness.truth(action="BUY")
    )
    assert float(exit_order["executedAmount"]) == pytest.approx(bought, abs=1.01e-4)


def test_the_mixin_behind_istrategy_is_refused_at_start(harness: BotHarness) -> None:
    line = "must stand before IStrategy: class WrongOrder\\(EmergencyCancelMixin, IStrategy\\)"
    with pytest.raises(OperationalException, match=line):
        harness.bot("WrongOrder")
    assert all(line.startswith("GET") for line in harness.lines())
