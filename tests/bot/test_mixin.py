"""The hook is on the strategy object: however its callbacks came there, and nowhere else."""

import copy
import functools
from typing import Any

import cloudpickle
import pytest
from freqtrade.enums import ExitCheckTuple, ExitType

from bitopro_margin_ext.bot.emergency import Emergency
from tests.bot.harness import BTC, BotHarness, cancel_pair, trade_of

EMERGENCY = ExitCheckTuple(exit_type=ExitType.EMERGENCY_EXIT)


@pytest.mark.parametrize("strategy", ["Static", "OfTheClass"])
def test_a_callback_of_any_kind_keeps_its_veto(harness: BotHarness, strategy: str) -> None:
    bot = harness.bot(strategy)
    harness.hold(bot)
    assert not bot.execute_trade_exit(trade_of(), 60000.0, EMERGENCY)
    assert cancel_pair(BTC) not in harness.lines()
    assert not [order for order in harness.sells() if not order["stopPrice"]]


@pytest.mark.parametrize(
    "strategy",
    ["AssignedToTheClass", "AssignedAtTheStart", "Started", "BehindABase", "AsksItself"],
)
def test_the_sweep_is_made_once_whatever_the_strategy_looks_like(
    harness: BotHarness, strategy: str
) -> None:
    bot = harness.bot(strategy)
    harness.hold(bot)
    bot.strategy.answer = False
    if strategy not in ("Started", "BehindABase"):
        assert not bot.execute_trade_exit(trade_of(), 60000.0, EMERGENCY)
        assert bot.strategy.asked == [(BTC, "emergency_exit", pytest.approx(trade_of().amount))]
        assert cancel_pair(BTC) not in harness.lines(), "swept although the strategy said no"
        bot.strategy.answer = True
    assert bot.execute_trade_exit(trade_of(), 60000.0, EMERGENCY)
    assert harness.lines().count(cancel_pair(BTC)) == 1
    bot.process()
    assert not trade_of().is_open


def test_a_callback_assigned_while_the_bot_runs_is_hooked_and_has_its_say(
    harness: BotHarness,
) -> None:
    bot = harness.bot()
    harness.hold(bot)
    before = bot.strategy.confirm_trade_exit
    bot.strategy.confirm_trade_exit = lambda **kwargs: False
    assert not bot.execute_trade_exit(trade_of(), 60000.0, EMERGENCY)
    assert cancel_pair(BTC) not in harness.lines()
    # One that goes on to what it found: still one sweep.
    bot.strategy.confirm_trade_exit = lambda **kwargs: before(**kwargs)
    assert bot.execute_trade_exit(trade_of(), 60000.0, EMERGENCY)
    assert harness.lines().count(cancel_pair(BTC)) == 1


def test_a_new_bot_of_a_reload_has_its_own_hook(harness: BotHarness) -> None:
    old = harness.bot().strategy
    bot = harness.bot()
    assert bot.strategy is not old
    assert bot.strategy.emergency is not old.emergency
    harness.hold(bot)
    assert bot.execute_trade_exit(trade_of(), 60000.0, EMERGENCY)
    assert harness.lines().count(cancel_pair(BTC)) == 1


def test_a_second_start_of_one_object_changes_nothing(harness: BotHarness) -> None:
    bot = harness.bot()
    before = bot.strategy.emergency
    bot.strategy.ft_bot_start()
    assert bot.strategy.emergency is before


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, functools.partial(copy.deepcopy, memo=None), lambda s: _through_pickle(s)],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_of_the_strategy_has_no_part_in_emergencies(
    harness: BotHarness, duplicate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = harness.bot("AssignedAtTheStart").strategy
    assert isinstance(strategy.emergency, Emergency)
    # Neither the bot nor its data provider can be copied, mixin or not.
    monkeypatch.setattr(strategy, "dp", None)
    monkeypatch.setattr(strategy, "wallets", None)
    monkeypatch.setattr(strategy, "freqai", None)
    twin = duplicate(strategy)
    assert type(twin).__name__ == "AssignedAtTheStart"
    assert twin.emergency is None
    assert twin.confirm_trade_exit.__name__ == "<lambda>", "its own callback is still there"
    assert "ft_check_timed_out" not in vars(twin)
    assert "bot_loop_start" not in vars(twin)
    assert isinstance(strategy.emergency, Emergency)


def _through_pickle(strategy: Any) -> Any:
    import pickle

    return pickle.loads(cloudpickle.dumps(strategy))
