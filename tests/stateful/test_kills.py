"""A process that dies between any two steps of two leveraged trades' lives, and is started again.

A long at 3x and a short at 2x are entered, left in part, left whole and repaid. The deep run dies
before every step of that, a quick one before some of them.
"""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from freqtrade.persistence import Trade

from tests.leverage.harness import BTC, ETH, unlock

from .leveraged import LeveragedWorld
from .profiles import is_deep, shard
from .transport import PowerCut

HOUR = 3600
SAMPLE = 8
PLAN = ((BTC, "long", 3.0), (ETH, "short", 2.0))

pytestmark = pytest.mark.timeout(0 if is_deep() else 300)


class Story:
    """What happens to the two trades, such that it can be taken up after each crash."""

    def __init__(self, world: LeveragedWorld) -> None:
        self.world = world
        self.crashes = 0

    def tell(self) -> None:
        """All of it, through every crash."""
        world = self.world
        for act in (self._enter, self._enter, self._part, self._part, self._leave, self._leave):
            self._act(act)
            self._act(lambda: world.world.wait(7 * HOUR))
            self._act(world.process)
        self._act(world.quiet_minute)

    def _act(self, act: "object") -> None:
        """Do something until it has been done without dying."""
        for _ in range(3):
            try:
                act()  # type: ignore[operator]
                return
            except PowerCut:
                self.crashes += 1
                self._come_back()
        raise AssertionError("the power was cut again")

    def _come_back(self) -> None:
        """After a minute the bot is where it was, and knows it."""
        self.world.kill()
        self.world.quiet_minute()
        self.world.check_debts()

    def _trade(self, pair: str) -> Trade | None:
        Trade.session.expire_all()
        found = Trade.get_trades([Trade.pair == pair]).all()
        return found[-1] if found else None

    def _enter(self) -> None:
        for pair, side, leverage in PLAN:
            trade = self._trade(pair)
            if trade is not None and trade.amount:
                continue
            if trade is None:
                unlock(pair)
                self.world.bot.strategy.enter[pair] = side
                self.world.bot.strategy.levers[pair] = leverage
            self.world.process()
            self.world.fill_all()
            self.world.process()
            return

    def _part(self) -> None:
        for pair, _side, _leverage in PLAN:
            trade = self._trade(pair)
            if trade is not None and trade.is_open and not trade.nr_of_successful_exits:
                self.world.bot.strategy.adjust[pair] = -300.0
                self.world.process()
                self.world.fill_all()
                self.world.process()
                self.world.process()
                return

    def _leave(self) -> None:
        for pair, _side, _leverage in PLAN:
            trade = self._trade(pair)
            if trade is not None and trade.is_open:
                self.world.bot.strategy.leave[pair] = "told_to"
                self.world.process()
                self.world.bot.strategy.leave.clear()
                self.world.fill_all()
                for _ in range(3):
                    self.world.process()
                return


def live_through(step: int | None) -> list[str]:
    """The story with a power cut before a step; the steps that were taken before it."""
    with LeveragedWorld() as world:
        world.start()
        world.steps.cut_at(step)
        taken = world.steps.names
        story = Story(world)
        story.tell()
        # Where a cache has spared the last steps, none of what follows is one of them.
        world.steps.cut_at(None)
        # Requests that a cache of Freqtrade answers by the real clock: the last steps may not come.
        assert story.crashes == 1 or step is None or step > len(taken) - 5
        world.sell_all()
        world.quiet_minute()
        world.check_debts()
        trades = {trade.pair: trade for trade in Trade.get_trades().all()}
        assert set(trades) == {BTC, ETH}
        for currency in ("USDT", "BTC", "ETH"):
            assert world.harness.debt(currency) == 0
        assert abs(world.difference()) <= Decimal("0.000001"), world.difference()
        return taken


def points() -> Iterator[int]:
    """The steps before which to die; all of them in the deep run."""
    steps = len(live_through(None))
    assert steps > 100
    begin, of = shard()
    every = of if is_deep() else max(1, steps // SAMPLE)
    yield from range(begin, steps, every)


def test_a_process_that_dies_before_any_step_of_two_trades() -> None:
    failed = {}
    for step in points():
        try:
            taken = live_through(step)
        except AssertionError as error:
            failed[step] = str(error)[:300]
        else:
            assert len(taken) == step
    assert not failed, "\n".join(f"step {step}: {why}" for step, why in failed.items())
