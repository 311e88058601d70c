"""Every fault of the drill's matrix with shorts open: the emergency exit, its debt, its profit.

Both ways into an emergency and both scopes. The deep run plays all of them, a quick one a few.
"""

from decimal import Decimal

import pytest
from freqtrade.persistence import Trade

from tests.drill.fault_rules import FAULTS
from tests.leverage.harness import BTC, ETH, trade_of, wire

from .leveraged import LeveragedWorld
from .profiles import is_deep, shard

WAYS = ("stop-rejected", "exit-timeout")
CELLS = [(name, way, scope) for name in FAULTS for way in WAYS for scope in ("pair", "all")]
CHOSEN = CELLS[shard()[0] :: shard()[1]] if is_deep() else CELLS[3::21]
DAY = 86400

pytestmark = pytest.mark.timeout(0 if is_deep() else 300)


@pytest.mark.parametrize(("name", "way", "scope"), CHOSEN)
def test_a_short_gets_out(name: str, way: str, scope: str) -> None:
    stops = {"stoploss_on_exchange": True, "stoploss": "limit"}
    with LeveragedWorld(order_types=stops, scope=scope, stoploss=-0.9) as world:
        world.start()
        bot, control = world.bot, world.control
        world.harness.open(bot, "short", 2.0, ETH)
        world.process()
        control.switches(matching=False)
        world.harness.open(bot, "short", 2.0, BTC, fill=None)
        entry = world.open_orders()[-1]
        if way == "exit-timeout":
            control.fill(entry["id"])
            world.process()
            world.process()
            world.world.wait(DAY)
            bot.strategy.leave[BTC] = "told_to"
            world.process()
            bot.strategy.leave.clear()
            resting = [o for o in world.open_orders() if o["pair"] == wire(BTC)]
            assert len(resting) == 1
            control.fill(resting[0]["id"], fraction="0.3")
            bot.strategy.timed_out.add(BTC)
        else:
            control.fill(entry["id"])
            control.reject_stops(1)
        for rule in FAULTS[name].armed("stop-rejected" if way == WAYS[0] else "timeout", scope):
            control.add_fault(rule.pop("kind"), **rule)
        world.process()
        bot.strategy.timed_out.clear()
        # Whatever goes wrong: the exit goes out, again and again if it must.
        for _ in range(40):
            for order in world.open_orders():
                if order["pair"] == wire(BTC) and order["action"] == "BUY":
                    control.fill(order["id"])
            world.process()
            world.world.wait(5)
            if not trade_of(BTC).is_open:
                break
        trade = trade_of(BTC)
        assert not trade.is_open
        # Unless the exit that rested was filled after all, before it could be cancelled.
        rested = [o.safe_filled for o in trade.orders if o.ft_order_tag == "told_to"]
        assert trade.exit_reason == "emergency_exit" or sum(rested) >= trade.amount
        world.quiet_minute()
        world.check_debts()
        assert world.harness.debt("BTC") == 0
        # (A fault that fills every order first fills its stop.)
        assert trade_of(ETH).is_open or name == "fill-whole"
        world.sell_all()
        world.quiet_minute()
        world.check_debts()
        assert world.harness.debt("ETH") == 0
        assert Trade.get_open_trades() == []
        assert abs(world.difference()) <= Decimal("0.000001"), world.difference()
