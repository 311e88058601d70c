"""The database's profit is the account's change to a millionth, in whatever order things happen."""

from decimal import Decimal
from typing import Any

import pytest
from freqtrade.persistence import Trade

from tests.leverage.harness import BTC, ETH
from tests.stateful.leveraged import LeveragedWorld


def settle(world: LeveragedWorld, seconds: float, iterations: int = 3) -> None:
    for _ in range(iterations):
        world.world.wait(seconds)
        world.process()
        world.fill_all()
    world.process()


@pytest.mark.parametrize("precision", ["amountPrecision", "basePrecision"])
@pytest.mark.parametrize("seconds", [0.4, 3600.0])
@pytest.mark.parametrize("amounts", [(-300.0, 200.0), (200.0, -300.0, 150.0, -200.0)])
def test_parts_taken_and_added_in_any_order(
    precision: str, seconds: float, amounts: tuple[float, ...]
) -> None:
    """An entry after an exit sets the fees anew that Freqtrade applies to both."""
    with LeveragedWorld() as world:
        own = world.harness.config

        def config(*args: Any, **changes: Any) -> dict[str, Any]:
            found = own(*args, **changes)
            found["exchange"]["ccxt_config"]["options"] = {"orderAmountPrecision": precision}
            return found

        world.harness.config = config  # type: ignore[method-assign]
        world.harness.rate("500")
        world.start()
        world.harness.open(world.bot, "long", 3.0, BTC)
        world.harness.open(world.bot, "short", 2.0, ETH)
        for amount in amounts:
            for pair in (BTC, ETH):
                world.bot.strategy.adjust[pair] = amount
            settle(world, seconds)
        trades = Trade.get_open_trades()
        assert {trade.nr_of_successful_exits for trade in trades} == {sum(a < 0 for a in amounts)}
        for pair in (BTC, ETH):
            world.bot.strategy.leave[pair] = "told_to"
        settle(world, seconds, 6)
        world.quiet_minute()
        world.check_debts()
        assert Trade.get_open_trades() == []
        # All of it is in the trades: no cost is anybody's.
        assert world.bot.exchange.loans.ledger.meta("unbooked") is None
        assert abs(world.difference()) <= Decimal("0.000001"), world.difference()
