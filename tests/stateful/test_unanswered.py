"""An order whose creation did not answer, and that could not be looked for, is not placed twice."""

from decimal import Decimal

import pytest
from freqtrade.enums import ExitCheckTuple, ExitType

from .bots import BotRunner
from .faults import CALLS
from .world import World


def rule(call, kind, times):
    method, path = CALLS[call]
    return {"kind": kind, "method": method, "path": path, "regex": True, "times": times}


@pytest.fixture
def world():
    with World() as found:
        for currency, amount in (("USDT", "100000"), ("BTC", "1"), ("ETH", "10")):
            found.exchange.set_balance("margin", currency, Decimal(amount))
        yield found


@pytest.fixture
def runner(world):
    found = BotRunner(world, "pair")
    found.strategy.wanted = {"BTC/USDT"}
    yield found
    found.end()


def lose_the_next(world, times=6):
    world.arm(
        [
            rule("create", "process_close", 1),
            rule("history", "close", times),
            rule("open orders", "close", times),
        ]
    )


def iterate(world, runner, times=1):
    for _ in range(times):
        runner.step()
        world.wait(5)


def held(world):
    orders = world.orders("BTC/USDT")
    bought = sum(order.executed for order in orders if order.action == "BUY")
    return bought - sum(order.executed for order in orders if order.action == "SELL")


def enter(world, runner):
    iterate(world, runner)
    for order in world.orders(only_open=True):
        world.fill(order, "1")


def test_a_lost_stoploss_is_found_again(world, runner):
    enter(world, runner)
    lose_the_next(world)
    iterate(world, runner, 4)
    world.disarm()
    iterate(world, runner, 2)
    [stop] = [order for order in world.orders(only_open=True) if order.action == "SELL"]
    assert stop.id in {row.order_id for row in runner.orders() if row.ft_is_open}


def test_a_lost_stoploss_that_filled_meanwhile_closes_the_trade(world, runner):
    enter(world, runner)
    lose_the_next(world)
    iterate(world, runner, 2)
    for price in ("50000", "56000"):
        world.exchange.set_price("btc_usdt", Decimal(price))
    world.disarm()
    iterate(world, runner, 4)
    assert held(world) == 0
    assert runner.trades() == []
    assert world.orders(only_open=True) == []


def test_a_lost_entry_is_not_entered_twice(world, runner):
    lose_the_next(world)
    iterate(world, runner)
    world.disarm()
    runner.strategy.wanted = {"BTC/USDT"}
    iterate(world, runner, 4)
    assert len(world.orders("BTC/USDT")) == 1
    [row] = runner.orders()
    assert row.ft_is_open


def test_a_lost_exit_is_not_sold_twice(world, runner):
    enter(world, runner)
    iterate(world, runner)
    runner.strategy.unwanted = {"BTC/USDT"}
    lose_the_next(world)
    iterate(world, runner, 2)
    world.disarm()
    for order in world.orders(only_open=True):
        if order.stop_price is None:
            world.fill(order, "1")
    iterate(world, runner, 6)
    assert held(world) == 0
    assert runner.trades() == []


def test_an_order_that_never_arrived_is_sent_again(world, runner):
    enter(world, runner)
    world.arm([rule("create", "close", 1), rule("history", "close", 6)])
    world.arm([rule("open orders", "close", 6)])
    iterate(world, runner, 9)
    [stop] = [order for order in world.orders(only_open=True) if order.action == "SELL"]
    assert stop.id in {row.order_id for row in runner.orders() if row.ft_is_open}


def test_an_exit_is_not_held_back_for_ever(world, runner):
    enter(world, runner)
    world.arm([rule("create", "close", 1), rule("history", "close", None)])
    world.arm([rule("open orders", "close", None)])
    iterate(world, runner, 10)
    assert not [order for order in world.orders(only_open=True) if order.action == "SELL"]
    iterate(world, runner, 5)
    assert [order for order in world.orders(only_open=True) if order.action == "SELL"]


def test_an_order_that_is_listed_late_is_waited_for(world, runner):
    enter(world, runner)
    world.arm([rule("create", "process_close", 1)])
    for call in ("history", "open orders"):
        world.arm([{**rule(call, "lag", None), "seconds": 12}])
    iterate(world, runner, 4)
    [stop] = [order for order in world.orders(only_open=True) if order.action == "SELL"]
    assert stop.id in {row.order_id for row in runner.orders() if row.ft_is_open}


def test_a_lost_order_is_found_once(world, runner):
    lose_the_next(world)
    iterate(world, runner)
    world.disarm()
    runner.strategy.wanted = {"BTC/USDT"}
    iterate(world, runner, 3)
    for order in world.orders(only_open=True):
        world.fill(order, "1")
    iterate(world, runner)
    runner.strategy.unwanted = {"BTC/USDT"}
    iterate(world, runner)
    for order in world.orders(only_open=True):
        world.fill(order, "1")
    runner.strategy.unwanted = set()
    iterate(world, runner)
    assert held(world) == 0
    # Freqtrade locks a pair until the candle of its exit has ended.
    world.wait(900)
    runner.strategy.wanted = {"BTC/USDT"}
    iterate(world, runner, 2)
    [entry] = [order for order in world.orders(only_open=True) if order.action == "BUY"]
    assert entry.id in {row.order_id for row in runner.orders() if row.ft_is_open}


def test_a_lost_stoploss_gives_way_to_an_exit(world, runner):
    enter(world, runner)
    lose_the_next(world, times=3)
    iterate(world, runner)
    assert len(world.orders(only_open=True)) == 1, "the lost stoploss rests"
    world.disarm()
    # An exit is asked for before the bot comes to place its stoploss again.
    [trade] = runner.trades()
    check = ExitCheckTuple(exit_type=ExitType.EXIT_SIGNAL)
    with world.only_network():
        assert runner.bot.execute_trade_exit(trade, 60000.0, check)
    [exit_order] = world.orders(only_open=True)
    assert exit_order.stop_price is None, "the stoploss was cancelled, and the way is free"
    world.fill(exit_order, "1")
    iterate(world, runner, 2)
    assert held(world) == 0
    assert runner.trades() == []
