"""The real client under random faults: it says nothing of an order that the exchange did not.

Every example is a sequence of orders, fills, faults, waits and sweeps; what the client reports is
held against the exchange's own books after each.
"""

import ccxt
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bitopro_margin_ext.core.report import SweepOutcome
from bitopro_margin_ext.sandbox.state.order_history import Status

from .faults import CALLS, CLAIMED, DONE_LATE, SEEN_LATE, faults, kinds_of
from .profiles import is_deep, profile
from .world import PAIRS, World, symbol_of

# A deep run takes as long as it takes.
pytestmark = pytest.mark.timeout(0 if is_deep() else 600)

GRACE = 0.1
"""Seconds by which a call may end after its deadline."""
PRICES = {"BTC/USDT": ("50000", "70000"), "ETH/USDT": ("2500", "3500")}
OVER = {
    Status.FILLED: "closed",
    Status.PARTLY_FILLED_DONE: "canceled",
    Status.CANCELLED: "canceled",
    Status.POST_ONLY_CANCELLED: "canceled",
}

REFUSED = {"kind": "status", "status": 400}

pairs = st.sampled_from(PAIRS)
picks = st.integers(0, 30)


class ClientMachine(RuleBasedStateMachine):
    """``ccxt.bitopromargin`` against the sandbox's rules."""

    def __init__(self):
        super().__init__()
        self.world = World()
        self.world.__enter__()
        self.kinds = set()
        self.created = 0

    def teardown(self):
        self.world.__exit__(None, None, None)

    @initialize()
    def connect(self):
        self.client = self.world.client()

    # -- what others do ------------------------------------------------------------------------

    @rule(pair=pairs, buys=st.booleans(), amount=st.sampled_from(["0.01", "0.2"]))
    def place_by_hand(self, pair, buys, amount):
        low, high = PRICES[pair]
        self.world.seed(pair, *(("BUY", amount, low) if buys else ("SELL", amount, high)))

    @precondition(lambda self: self.world.orders(only_open=True))
    @rule(pick=picks, fraction=st.sampled_from(["0.25", "0.5", "1"]))
    def fill(self, pick, fraction):
        found = self.world.orders(only_open=True)
        self.world.fill(found[pick % len(found)], fraction)

    @precondition(lambda self: self.world.orders(only_open=True))
    @rule(pick=picks)
    def cancel_by_hand(self, pick):
        found = self.world.orders(only_open=True)
        order = found[pick % len(found)]
        self.world.exchange.cancel("margin", order.pair.name, order.id)

    @rule(rules=st.lists(faults, min_size=1, max_size=4))
    def add_faults(self, rules):
        self.world.arm(rules)
        self.kinds |= kinds_of(rules)

    @rule(seconds=st.lists(st.sampled_from([0.0, 0.2, 1.5, 9.0]), min_size=1, max_size=4))
    def slow_connections(self, seconds):
        self.world.blocking.connecting = seconds

    @rule()
    def clear_faults(self):
        self.world.disarm()
        self.world.blocking.connecting = []

    @rule()
    def another_bot_cancels_all(self):
        self.world.let_another_bot_cancel_all()

    @rule(seconds=st.sampled_from([0.2, 1, 7]))
    def wait(self, seconds):
        self.world.wait(seconds)

    # -- what the client does ------------------------------------------------------------------

    @rule(
        pair=st.sampled_from([None, *PAIRS]),
        knows=st.sampled_from(["all", "some", "none"]),
        deadline=st.sampled_from([0.5, 2, 7.5]),
    )
    def sweep(self, pair, knows, deadline):
        orders = self.world.orders()
        told = {"all": orders, "some": orders[::2], "none": []}[knows]
        known = [(symbol_of(order), order.id) for order in told]
        lingers = "keep_showing" in self.kinds
        undisturbed = not (self.world.armed or self.world.blocking.connecting or lingers)
        began = self.world.timeline.monotonic()
        report = self.client.cancel_and_confirm(pair, known, deadline)
        elapsed = self.world.timeline.monotonic() - began
        assert elapsed <= deadline + GRACE, f"the sweep took {elapsed} s of {deadline} s"
        last = max(self.world.blocking.sent_at, default=began)
        assert last <= began + deadline + 0.001, "a request left after the deadline"
        self.check(report, pair, known)
        if undisturbed and deadline > 2:
            assert report.outcome is SweepOutcome.CONFIRMED, report
            assert not self.world.orders(pair, only_open=True)
            ends = {(order["symbol"], order["id"]) for order in report.final_orders()}
            assert {key for key in known if pair in (None, key[0])} <= ends, report

    def check(self, report, pair, known):
        truth = self.world.truth()
        for end in (*report.cancelled, *report.already_done):
            order = truth[end["symbol"], end["id"]]
            if order.is_open and CLAIMED in self.kinds:
                # The exchange's word, and all that anybody has.
                assert report.outcome is not SweepOutcome.CONFIRMED or self.kinds & SEEN_LATE
                continue
            assert not order.is_open, f"{end['id']} is reported as ended and rests: {report}"
            assert end["status"] == OVER[order.status], f"{end['id']} is {order.status!r}"
            if end["filled"] is not None:
                assert end["filled"] == float(order.executed)
        named = [
            (order["symbol"], order["id"])
            for orders in (report.cancelled, report.already_done, report.still_open, report.unknown)
            for order in orders
        ]
        assert len(named) == len(set(named)), "an order stands in one list"
        assert {key for key in known if pair in (None, key[0])} <= set(named), "none is forgotten"
        if not self.kinds & (SEEN_LATE | DONE_LATE):
            for order in report.still_open:
                assert truth[order["symbol"], order["id"]].is_open
        if report.outcome is SweepOutcome.CONFIRMED:
            resting = {(symbol_of(o), o.id) for o in self.world.orders(pair, only_open=True)}
            if self.kinds & SEEN_LATE:
                # Where the lists are behind and a cancel's answer lies, nobody can know.
                known = [] if CLAIMED in self.kinds else known
                # What a lagging list does not show cannot be known, but for what is asked about.
                resting &= set(known)
            assert not resting, f"{resting} rest after {report}"

    @rule(pair=pairs, buys=st.booleans(), market=st.booleans())
    def create(self, pair, buys, market):
        low, high = PRICES[pair]
        side, price = ("buy", low) if buys else ("sell", high)
        self.created += 1
        params = {"clientOrderId": str(self.created)}
        kind = "market" if market else "limit"
        known = None
        try:
            order = self.client.create_order(pair, kind, side, 0.01, float(price), params)
            known = [(order["symbol"], order["id"])]
        except ccxt.OperationFailed:
            pass
        except ccxt.BaseError as error:
            known, said = [], f"{type(error).__name__}: {error}"
        new = [
            (symbol_of(one), one.id) for one in self.world.orders() if one.client_id == self.created
        ]
        assert len(new) <= 1, "an order is never sent a second time"
        if known is not None:
            assert new == known, said if not known else ""

    @precondition(lambda self: self.world.orders(only_open=True))
    @rule(pick=picks)
    def cancel_one(self, pick):
        found = self.world.orders(only_open=True)
        order = found[pick % len(found)]
        try:
            answer = self.client.cancel_order(order.id, symbol_of(order))
        except ccxt.BaseError:
            return
        assert not order.is_open
        assert answer["status"] == OVER[order.status]

    # -- after every step ----------------------------------------------------------------------

    @invariant()
    def no_documented_limit_is_broken(self):
        assert self.world.broken_limits() == []


TestClient = ClientMachine.TestCase
TestClient.settings = profile(quick=250, steps=20)


def test_both_spellings_of_the_open_orders_share_one_limit():
    """Found by the deep proof: refused at both, they were asked ten times a second."""
    with World() as world:
        client = world.client()
        for call, kind in (("cancel many", {"kind": "close"}), ("open orders", REFUSED)):
            method, path = CALLS[call]
            world.arm([{**kind, "method": method, "path": path, "regex": True, "times": 20}])
        report = client.cancel_and_confirm(None, [], 2)
        assert report.outcome is SweepOutcome.UNKNOWN
        assert world.broken_limits() == []
