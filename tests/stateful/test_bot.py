"""A real bot in random weather: its database never claims what the exchange did not do.

Iterations, fills, prices, faults, power cuts, vetoes, partial sells and emergencies, of several
trades at once, come in any order. After every step the rows are held against the exchange's books.
Whenever the exchange can be reached again, one iteration may pass, and then nothing may be believed
open that is not; a minute more, and every emergency that nobody called off is out.
"""

from decimal import Decimal

import pytest
from freqtrade.constants import CANCELED_EXCHANGE_STATES
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bitopro_margin_ext.sandbox.state import Refusal
from bitopro_margin_ext.sandbox.state.order_history import Status

from .bots import DEADLINE, BotRunner
from .faults import CALLS, cancel_faults, faults, pair_faults, stream_faults
from .profiles import is_deep, profile
from .transport import PowerCut
from .world import PAIRS, World, wire_name

# A deep run takes as long as it takes.
pytestmark = pytest.mark.timeout(0 if is_deep() else 600)

REFUSED_STOP = Refusal(400, "Invalid stop price")
GRACE = 0.5
"""Seconds by which the hook may end after its deadline: mapping what the sweep has told."""
ITERATION = 5.0
LONGEST_BACKOFF = 14
"""Iterations in which every exit that failed before has been tried again, and has been seen."""
ARRIVAL_MS = 5000
"""How long before the weather calmed an order was sent that every list shows by now."""
CANCELLED = (Status.CANCELLED, Status.PARTLY_FILLED_DONE, Status.POST_ONLY_CANCELLED)

pairs = st.sampled_from(PAIRS)
picks = st.integers(0, 30)
weathers = st.lists(faults, max_size=3) | st.lists(cancel_faults, min_size=1, max_size=2)
pair_weathers = st.lists(pair_faults, max_size=3)
cuts = st.none() | st.tuples(st.integers(0, 4), st.booleans())
"""After how many requests of a sweep the power fails, and whether that one is still processed."""


class BotMachine(RuleBasedStateMachine):
    """``FreqtradeBot`` with the mixin and the exchange class, against the sandbox's rules."""

    def __init__(self):
        super().__init__()
        self.world = World()
        self.world.__enter__()
        self.follows = False
        for currency, amount in (("USDT", "100000"), ("BTC", "1"), ("ETH", "10")):
            # Coins beside the bot's own: an exit that is too large would be possible.
            self.world.exchange.set_balance("margin", currency, Decimal(amount))
        self.runner = None

    def teardown(self):
        try:
            if self.runner is not None:
                self.calm_down()
        finally:
            if self.runner is not None:
                self.runner.end()
            self.world.__exit__(None, None, None)

    @initialize(
        scope=st.sampled_from(["pair", "all"]),
        reasons=st.sampled_from([["emergency_exit"], ["emergency_exit", "force_exit", "told"]]),
        stream=st.booleans(),
    )
    def start(self, scope, reasons, stream):
        self.follows = stream
        self.runner = BotRunner(self.world, scope, reasons, stream=stream)
        self.runner.strategy.wanted = set(PAIRS)
        self.iterate()

    def iterate(self):
        self.world.wait(ITERATION)
        refused = self.runner.refused_pairs()
        mark = self.world.parts.log.last_number
        self.runner.step()
        for pair in refused:
            path = f"/v3/margin/orders/{wire_name(pair)}"
            sent = [
                line
                for line in self.world.parts.log.lines(mark)
                if (line["method"], line["path"]) == ("POST", path)
                and str(line["body"]["action"]).upper() == "SELL"
            ]
            assert len(sent) <= 1, f"{pair}: {len(sent)} attempts in one iteration: {sent}"

    # -- the market and other people -----------------------------------------------------------

    @precondition(lambda self: self.world.orders(only_open=True))
    @rule(pick=picks, fraction=st.sampled_from(["0.3", "1"]))
    def fill(self, pick, fraction):
        found = [o for o in self.world.orders(only_open=True) if o.status != Status.NOT_TRIGGERED]
        if found:
            self.world.fill(found[pick % len(found)], fraction)

    @rule(pair=pairs, factor=st.sampled_from(["0.85", "0.97", "1.02"]))
    def move_price(self, pair, factor):
        name = wire_name(pair)
        last = Decimal(self.world.exchange.describe_price(name)["price"])
        self.world.exchange.set_price(name, (last * Decimal(factor)).quantize(Decimal("0.01")))

    @rule(pair=pairs)
    def place_by_hand(self, pair):
        self.world.seed(pair, "BUY", "0.01", "1000")

    @precondition(lambda self: self.world.orders(only_open=True))
    @rule(pick=picks)
    def cancel_by_hand(self, pick):
        found = self.world.orders(only_open=True)
        order = found[pick % len(found)]
        self.world.exchange.cancel("margin", order.pair.name, order.id)

    # -- the emergencies -----------------------------------------------------------------------

    @rule(pair=pairs, weather=weathers, cut=cuts)
    def refuse_the_stop(self, pair, weather, cut):
        """A position without a stoploss, and the exchange refuses the next one."""
        self.enter(pair)
        for order in self.world.orders(pair, only_open=True):
            if order.status == Status.NOT_TRIGGERED:
                self.world.exchange.cancel("margin", order.pair.name, order.id)
        self.world.exchange.stop_rejections.append(REFUSED_STOP)
        self.world.arm(weather)
        self.iterate_until_cut(2, cut)

    @rule(pair=pairs, weather=weathers, cut=cuts, fraction=st.sampled_from([None, "0.3", "0.9"]))
    def let_an_exit_time_out(self, pair, weather, cut, fraction):
        """An exit order rests for too long, perhaps partly filled."""
        self.enter(pair)
        self.runner.strategy.unwanted.add(pair)
        self.iterate()
        self.runner.strategy.unwanted.discard(pair)
        if fraction is not None:
            for order in self.world.orders(pair, only_open=True):
                if order.action == "SELL" and order.stop_price is None:
                    self.world.fill(order, fraction)
        self.world.arm(weather)
        self.world.wait(10)
        self.iterate_until_cut(2, cut)

    @rule(weather=weathers, cut=cuts, trouble=pair_weathers)
    def refuse_both_stops(self, weather, cut, trouble):
        """Both positions in emergency, each with a trouble of its own."""
        for pair in PAIRS:
            self.enter(pair)
        for order in self.world.orders(only_open=True):
            if order.status == Status.NOT_TRIGGERED:
                self.world.exchange.cancel("margin", order.pair.name, order.id)
        self.world.exchange.stop_rejections.extend([REFUSED_STOP] * 2)
        self.world.arm([*weather, *trouble])
        self.iterate_until_cut(3, cut)

    @rule(pair=pairs, reason=st.sampled_from(["told", "emergency_exit", "force_exit"]),
          vetoed=st.booleans())  # fmt: skip
    def let_the_strategy_refuse(self, pair, reason, vetoed):
        """From now on the strategy says no to exits of this reason, or does not any more."""
        refused = self.runner.strategy.refused
        (refused.add if vetoed else refused.discard)((pair, reason))

    @rule(pair=pairs, forced=st.booleans(), share=st.sampled_from([0.3, 0.6, 1.0]))
    def sell_a_part(self, pair, forced, share):
        """A part of the position goes, by the strategy or by the user's wish."""
        for trade in self.runner.trades():
            if trade.pair != pair or not trade.amount:
                continue
            if forced:
                self.runner.force_exit(trade.id, trade.amount * share)
            else:
                self.runner.strategy.adjust[pair] = -trade.stake_amount * share

    # -- orders whose creation was not answered ------------------------------------------------

    @rule(
        pair=pairs,
        what=st.sampled_from(["entry", "exit", "stop", "emergency"]),
        end=st.sampled_from(
            ["open", "part", "filled", "cancelled", "part and cancelled", "rejected", "none"]
        ),
        blind=st.sampled_from([0, 1, 3]),
        killed=st.booleans(),
    )
    def lose_an_order(self, pair, what, end, blind, killed):
        """An order's creation is not answered; it ends in some way before the bot can look.

        ``blind`` is for how many iterations the lists are down, ``none`` an order that was lost on
        the way.
        """
        if what != "entry":
            self.enter(pair)
        if what in ("stop", "emergency"):
            for order in self.world.orders(pair, only_open=True):
                if order.status == Status.NOT_TRIGGERED:
                    self.world.exchange.cancel("margin", order.pair.name, order.id)
        if what == "emergency":
            self.world.exchange.stop_rejections.append(REFUSED_STOP)
        if what == "exit":
            self.runner.strategy.unwanted.add(pair)
        if what == "entry":
            self.runner.strategy.wanted.add(pair)
        create = f"^/margin/orders/{wire_name(pair)}$"
        refused = 1 if what == "emergency" else 0
        kind = "close" if end == "none" else "process_close"
        lost = {"method": "POST", "path": create, "regex": True, "after": refused}
        self.world.arm([{"kind": kind, **lost}])
        if end == "rejected":
            self.world.arm([{"kind": "created_order", "becomes": "rejected", **lost}])
        if blind or killed:
            self.world.arm(
                {"kind": "status", "status": 503, "method": method, "path": path, "regex": True,
                 "times": None}
                for method, path in (CALLS["history"], CALLS["open orders"])
            )  # fmt: skip
        before = {order.id for order in self.world.orders(pair)}
        self.iterate()
        for order in self.world.orders(pair):
            if order.id in before or order.by_hand or not order.is_open:
                continue
            if "part" in end or end == "filled":
                self.world.fill(order, "0.6" if "part" in end else "1")
            if "cancelled" in end:
                self.world.exchange.cancel("margin", order.pair.name, order.id)
        for _ in range(max(0, blind - 1)):
            self.iterate()
        self.runner.strategy.unwanted.discard(pair)
        self.world.disarm()
        if killed:
            self.runner.restart()

    @rule()
    def restart(self):
        """The process ends between two iterations."""
        self.world.disarm()
        self.runner.restart()

    def enter(self, pair):
        """Have a position in this pair, as far as the bot goes along."""
        self.runner.strategy.wanted.add(pair)
        self.iterate()
        for order in self.world.orders(pair, only_open=True):
            if order.action == "BUY" and not order.by_hand:
                self.world.fill(order, "1")
        self.iterate()

    def iterate_until_cut(self, times, cut):
        """Iterate; with ``cut``, kill the process in the middle of its sweep and start it again."""
        if cut is None:
            for _ in range(times):
                self.iterate()
            return
        requests, processed = cut
        self.world.power.cut_after(requests, processed=processed)
        try:
            for _ in range(times):
                self.iterate()
        except PowerCut:
            pass
        finally:
            self.world.power.restore()
        self.world.disarm()
        self.runner.restart()

    @rule(pair=pairs)
    def tell_to_enter(self, pair):
        self.runner.strategy.wanted.add(pair)

    @rule(pair=pairs, told=st.booleans())
    def tell_to_exit(self, pair, told):
        (self.runner.strategy.unwanted.add if told else self.runner.strategy.unwanted.discard)(pair)

    @rule(weather=weathers)
    def break_something(self, weather):
        self.world.arm(weather)

    @rule(seconds=st.lists(st.sampled_from([0.0, 0.2, 1.5, 9.0]), min_size=1, max_size=6))
    def slow_connections(self, seconds):
        """The next requests find their connection late: some when nobody waits any more."""
        self.world.blocking.connecting = seconds

    # -- the private order stream ----------------------------------------------------------------

    @precondition(lambda self: self.follows)
    @rule(
        refused=st.sampled_from([0, 0, 1, 4]),
        rules=st.lists(stream_faults, max_size=2),
        pattern=st.sampled_from(["*", "*/histories", "*/orders"]),
    )
    def drop_the_streams(self, refused, rules, pattern):
        """Connections are cut; what is dialled next may be refused, silent, or out of order."""
        self.world.parts.streams.refusals.extend([503] * refused)
        self.world.arm(rules)
        self.world.parts.streams.drop(pattern)

    @precondition(lambda self: self.follows)
    @rule(
        lateness=st.lists(st.sampled_from([0.0, 0.1, 0.7, 4.0, 30.0]), max_size=3),
        mute=st.sampled_from([False, False, True]),
        repeats=st.booleans(),
    )
    def trouble_the_messages(self, lateness, mute, repeats):
        """From now on they come late, in another order, twice, or not at all."""
        weather = self.world.stream_weather
        weather.lateness, weather.is_mute, weather.repeats = lateness, mute, repeats

    @precondition(lambda self: self.follows)
    @rule(
        pair=pairs,
        troubles=st.lists(cancel_faults, min_size=1, max_size=2),
        cut=cuts,
        fraction=st.sampled_from([None, "0.3", "0.9"]),
    )
    def leave_the_end_to_the_stream(self, pair, troubles, cut, fraction):
        """An exit order that times out, and a cancel-all that does not say how it ended."""
        self.let_an_exit_time_out(pair, troubles, cut, fraction)

    # -- time ----------------------------------------------------------------------------------

    @rule(times=st.sampled_from([1, 1, 2, 4]))
    def step(self, times):
        for _ in range(times):
            self.iterate()

    @rule()
    def calm_down(self):
        """The exchange can be reached again: one iteration, and both sides agree."""
        self.world.disarm()
        self.world.exchange.stop_rejections.clear()
        # What was on its way when the weather changed arrives meanwhile.
        self.world.wait(ITERATION)
        moment = self.world.exchange.clock.now_ms()
        self.iterate()
        self.iterate()
        truth = self.world.truth()
        for row in self.runner.orders():
            order = truth[row.ft_pair, row.order_id]
            if row.ft_is_open and order.updated_ms <= moment:
                assert order.is_open, f"{row} is believed open, and is {order}"
        known = {(row.ft_pair, row.order_id) for row in self.runner.orders()}
        for key, order in truth.items():
            arrived = order.created_ms <= moment - ARRIVAL_MS
            if order.is_open and not order.by_hand and arrived:
                assert key in known, f"{order} rests, and no row knows it"
        for trade in self.runner.trades():
            waits = any(order.ft_is_open for order in trade.orders)
            assert trade.amount > 0 or waits, f"{trade} holds nothing and waits for nothing"
        for _ in range(LONGEST_BACKOFF):
            if not self.runner.exits_to_come():
                break
            self.iterate()
        assert not self.runner.exits_to_come(), "an exit that must come is still in"
        for trade in self.runner.trades():
            if trade.id in self.runner.strategy.due:
                rests = any(order.ft_order_side == trade.exit_side for order in trade.open_orders)
                assert rests or not trade.amount, f"the emergency of {trade} was forgotten"

    # -- after every step ----------------------------------------------------------------------

    @invariant()
    def nothing_is_believed_cancelled_that_is_not(self):
        if self.runner is None:
            return
        truth = self.world.truth()
        for row in self.runner.orders():
            order = truth[row.ft_pair, row.order_id]
            if row.ft_is_open or row.status not in (*CANCELED_EXCHANGE_STATES, "closed"):
                continue
            assert not order.is_open, f"{row} is believed over, and is {order}"
            if row.status in CANCELED_EXCHANGE_STATES:
                assert order.status in CANCELLED, f"{row} is believed cancelled, and is {order}"
            else:
                assert order.status == Status.FILLED, f"{row} is believed filled, and is {order}"
            assert abs(row.safe_filled - float(order.executed)) < 1e-9, f"{row}, {order}"

    @invariant()
    def the_exit_never_exceeds_the_position(self):
        if self.runner is None:
            return
        for pair in PAIRS:
            own = [order for order in self.world.orders(pair) if not order.by_hand]
            bought = sum(order.executed for order in own if order.action == "BUY")
            sells = [order for order in own if order.action == "SELL"]
            sold = sum(order.executed for order in sells)
            assert sold <= bought, f"{pair}: {sold} of {bought}: {sells}"
            known = {row.order_id for row in self.runner.orders()}
            waiting = sum(o.remaining for o in sells if o.is_open and o.id in known)
            assert sold + waiting <= bought, f"{pair}: {sold} + {waiting} of {bought}: {sells}"

    @invariant()
    def the_hook_returns_by_its_deadline(self):
        if self.runner is not None:
            late = [s for s in self.runner.all_held_up() if s > DEADLINE + GRACE]
            assert not late, f"the hook took {late} s of {DEADLINE} s"

    @invariant()
    def no_documented_limit_is_broken(self):
        assert self.world.broken_limits() == []


TestBot = BotMachine.TestCase
TestBot.settings = profile(quick=20, steps=12, shrink=False)
