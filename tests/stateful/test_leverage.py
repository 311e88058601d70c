"""A real bot with borrowed money when anything can happen: debts and profits add up in the end.

Entries, additions, partial exits, emergencies, fills, cancellations, interest, rates, prices,
liquidations, faults, maintenance, loans that are used up, the user's own loans, purchases and
sales, restarts and deaths come in any order. After a quiet minute nothing is unknown, the ledger
says what the exchange says, nothing is borrowed that no trade needs; and when all is sold, the
database's profits are the account's change, dust at cost.
"""

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from freqtrade.persistence import Trade
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bitopro_margin_ext.bot.debt_lines import USER
from tests.leverage.harness import wire

from .leveraged import LeveragedWorld
from .profiles import is_deep, profile
from .transport import PowerCut

# A deep run takes as long as it takes.
pytestmark = pytest.mark.timeout(0 if is_deep() else 600)

LOAN_PATHS = ["*/margin/borrow", "*/margin/repay"]
LIST_PATHS = ["*/margin/user-*", "*/margin/balances", "*/margin/calculate/*", "*/margin/prov*",
              "*/margin/mark-price"]  # fmt: skip
ORDER_PATHS = ["*/margin/orders/*_usdt", "*/margin/orders/*_twd", "*/margin/orders/*"]

REFUSED = {"kind": "status", "status": 400, "body": {"error": "no"}}
sides = st.sampled_from(["long", "short"])
picks = st.integers(0, 9)
firsts = st.integers(0, 1)
faults = st.one_of(
    st.tuples(
        st.sampled_from(LOAN_PATHS + LIST_PATHS + ORDER_PATHS),
        st.sampled_from(
            [
                {"kind": "process_close"},
                {"kind": "close"},
                {"kind": "cut_off"},
                {"kind": "invalid_json"},
                {"kind": "empty_body"},
                {"kind": "status", "status": 503},
                {"kind": "status", "status": 502, "process": True},
                {"kind": "status", "status": 429},
            ]
        ),
    ),
    st.tuples(st.sampled_from(LOAN_PATHS), st.just(REFUSED)),
    st.tuples(st.just("*/margin/user-*"), st.sampled_from([{"kind": "lag", "seconds": 20}])),
    st.tuples(
        st.just("*/margin/provisioning/borrow"),
        st.sampled_from([{"kind": "lend_out", "currency": c} for c in ("USDT", "BTC", "ETH")]),
    ),
)  # fmt: skip
READINGS = [
    {},
    {"capitalise_interest": True},
    {"repay_principal_first": True},
    {"refuse_repay_above_debt": True},
    {"interest_period_seconds": 3600},
]


class LeverageMachine(RuleBasedStateMachine):
    """``FreqtradeBot`` with leverage and shorts against the sandbox's rules."""

    world: LeveragedWorld | None = None

    @initialize(
        stops=st.booleans(),
        random=st.booleans(),
        twd=st.sampled_from([False, False, False, True]),
        reading=st.sampled_from(READINGS),
        scope=st.sampled_from(["pair", "all"]),
        fragile=st.sampled_from([False, False, True]),
    )
    def start(
        self,
        stops: bool,
        random: bool,
        twd: bool,
        reading: dict[str, Any],
        scope: str,
        fragile: bool,
    ) -> None:
        types = {"stoploss_on_exchange": stops, "stoploss": "limit" if stops else "market"}
        self.fragile = fragile
        """Whether so much is borrowed that the exchange can liquidate."""
        stake = Decimal(4500 if fragile else 500) * (Decimal("31.5") if twd else 1)
        self.world = LeveragedWorld(
            twd=twd, order_types=types, stake_amount=float(stake), stoploss=-0.9, scope=scope,
            unfilledtimeout={"entry": 10_000_000, "exit": 10_000_000},
        )  # fmt: skip
        self.world.__enter__()
        self.control = self.world.control
        self.control.switches(matching=False, liquidation=fragile, random_serials=random, **reading)
        self.users = self.world.users
        self.world.start()

    @property
    def bot(self) -> Any:
        assert self.world is not None
        return self.world.bot

    def process(self) -> None:
        """An iteration; a process that dies in it is started again."""
        assert self.world is not None
        try:
            self.world.process()
        except PowerCut:
            self.control.clear_faults()
            self.world.kill()

    def pair(self, number: int) -> str:
        assert self.world is not None
        return self.world.pairs[number]

    # -- what the bot does ---------------------------------------------------------------------

    @rule(first=firsts, side=sides, market=st.booleans())
    def enter(self, first: int, side: str, market: bool) -> None:
        assert self.world is not None
        self.world.unlock()
        pair = self.pair(first)
        self.bot.strategy.order_types["entry"] = "market" if market else "limit"
        self.bot.strategy.enter[pair] = side
        self.bot.strategy.levers[pair] = 3.0 if side == "long" else 2.0
        self.process()
        self.bot.strategy.enter.clear()

    @rule(first=firsts, amount=st.sampled_from([-200, 200]))
    def adjust(self, first: int, amount: int) -> None:
        assert self.world is not None
        self.bot.strategy.adjust[self.pair(first)] = float(amount * self.world.unit)
        self.process()
        self.bot.strategy.adjust.clear()

    @rule(first=firsts, market=st.booleans())
    def leave(self, first: int, market: bool) -> None:
        self.bot.strategy.order_types["exit"] = "market" if market else "limit"
        self.bot.strategy.leave[self.pair(first)] = "told_to"
        self.process()
        self.bot.strategy.leave.clear()

    @rule(first=firsts)
    def time_out(self, first: int) -> None:
        self.bot.strategy.timed_out.add(self.pair(first))
        self.process()
        self.bot.strategy.timed_out.clear()

    @rule()
    def refuse_a_stop(self) -> None:
        self.control.reject_stops(1)

    @rule()
    def iterate(self) -> None:
        self.process()

    @rule()
    def restart(self) -> None:
        assert self.world is not None
        # A clock that is hours off is found out by the first call; it must be answered.
        self.control.clear_faults()
        self.world.steps.cut_at(None)
        self.world.restart()

    @rule(steps=st.integers(0, 25))
    def die_soon(self, steps: int) -> None:
        assert self.world is not None
        self.world.steps.cut_at(steps)

    # -- what the exchange and the market do ---------------------------------------------------

    @rule(pick=picks, fraction=st.sampled_from(["0.3", "0.5", "0.123", "1", "1"]))
    def fill(self, pick: int, fraction: str) -> None:
        assert self.world is not None
        orders = self.world.open_orders()
        if orders:
            self.control.fill(orders[pick % len(orders)]["id"], fraction=fraction)

    @rule(pick=picks)
    def cancelled_by_hand(self, pick: int) -> None:
        assert self.world is not None
        orders = self.world.open_orders()
        if orders:
            self.control.cancel(orders[pick % len(orders)]["id"])

    @rule(hours=st.sampled_from([1, 30]))
    def interest(self, hours: int) -> None:
        assert self.world is not None
        self.world.world.wait(hours * 3600)

    @rule(percent=st.sampled_from(["1", "100", "2000"]))
    def rate(self, percent: str) -> None:
        assert self.world is not None
        self.world.harness.rate(percent)

    @rule(first=firsts, percent=st.sampled_from([-3, 2]))
    def price(self, first: int, percent: int) -> None:
        self.move(self.pair(first).split("/")[0], percent)

    @rule(first=firsts, percent=st.sampled_from([-30, 45]))
    def crash(self, first: int, percent: int) -> None:
        if self.fragile:
            self.move(self.pair(first).split("/")[0], percent)

    def move(self, base: str, percent: int) -> None:
        """Move a coin's prices against everything that it is traded for."""
        for name in (f"{base.lower()}_usdt", f"{base.lower()}_twd"):
            prices = self.control.state()["prices"]
            if name in prices:
                price = Decimal(prices[name]["price"]) * (100 + percent) / 100
                self.control.set_price(name, str(round(price, 3 if base == "USDT" else 0)))

    @rule(fault=faults, times=st.sampled_from([1, 1, 2]), after=st.sampled_from([0, 0, 1]))
    def fault(self, fault: tuple[str, dict[str, Any]], times: int, after: int) -> None:
        path, options = fault
        kind = options["kind"]
        more = {name: value for name, value in options.items() if name != "kind"}
        self.control.add_fault(kind, path=path, times=times, after=after, **more)

    @rule(first=firsts, closed=st.booleans())
    def maintenance(self, first: int, closed: bool) -> None:
        self.control.set_maintenance(wire(self.pair(first)), closed)

    @rule(
        currency=st.sampled_from(["USDT", "BTC", "ETH"]),
        terms=st.sampled_from([{"available": "0.001"}, {"borrow_status": 2}, {"borrow_status": 1}]),
    )
    def terms(self, currency: str, terms: dict[str, Any]) -> None:
        self.control.set_loan_terms(currency, **terms)

    # -- what the user does --------------------------------------------------------------------

    @rule(code=st.sampled_from([("USDT", "50"), ("BTC", "0.001"), ("ETH", "0.01")]))
    def user_borrows(self, code: tuple[str, str]) -> None:
        currency, amount = code
        self.control.borrow(currency, amount)
        self.users[currency] += Decimal(amount)

    @rule(currency=st.sampled_from(["USDT", "BTC", "ETH"]))
    def user_repays(self, currency: str) -> None:
        line = self.bot.exchange.loans.line(currency, USER)
        amount = (line.owed / 2).quantize(Decimal("1e-8"))
        if 0 < amount < self.users[currency]:
            with contextlib.suppress(Exception):
                self.control.repay(currency, amount)
                self.users[currency] -= amount

    @rule(first=firsts, action=st.sampled_from(["buy", "sell"]))
    def user_trades(self, first: int, action: str) -> None:
        """With money or coins that the user brings."""
        pair = self.pair(first)
        base, quote = pair.split("/")
        price = Decimal(self.control.state()["prices"][wire(pair)]["price"])
        amount = {"BTC": "0.002", "ETH": "0.05", "USDT": "90"}[base]
        before = {code: self.funds(code) for code in (base, quote)}
        order = self.control.seed_order(wire(pair), action, amount, str(price))
        self.control.fill(order["id"])
        for code, had in before.items():
            self.users[code] += self.funds(code) - had

    def funds(self, currency: str) -> Decimal:
        assert self.world is not None
        return self.world.harness.wallet(currency)

    # -- always --------------------------------------------------------------------------------

    @invariant()
    def no_exit_is_larger_than_its_position(self) -> None:
        if self.world is None or self.world.steps.dead:
            return
        for trade in Trade.get_open_trades():
            side = trade.exit_side.upper()
            resting = [
                o for o in self.world.harness.truth(pair=wire(trade.pair), open=True, by_hand=False)
                if o["action"] == side
            ]  # fmt: skip
            # A stop and an exit may rest for the moment between them, and no more than that.
            assert len(resting) <= 1, resting

    # -- in the end ----------------------------------------------------------------------------

    def teardown(self) -> None:
        if self.world is None:
            return
        try:
            self.end()
        finally:
            self.world.__exit__()

    def end(self) -> None:
        assert self.world is not None
        world = self.world
        world.steps.cut_at(None)
        for pair in world.pairs:
            self.control.set_maintenance(wire(pair), False)
        for currency in ("USDT", "BTC", "ETH"):
            self.control.set_loan_terms(currency, borrow_status=1, available="1000")
        world.harness.rate("100")
        self.quiet()
        world.check_debts()
        world.sell_all()
        self.quiet()
        world.check_debts()
        if self.control.state()["accounts"][0]["liquidations"]:
            # What was sold by force was partly the user's.
            return
        for currency in set(self.users) - {world.stake}:
            dust = self.bot.exchange.loans.ledger.dust().get(currency, (Decimal(0), None))[0]
            kept = world.harness.wallet(currency) - self.users[currency]
            assert abs(kept - dust) < Decimal("1e-7"), (currency, kept, dust)
        assert abs(world.difference()) <= Decimal("0.000005"), world.difference()

    def quiet(self) -> None:
        """A minute without faults; an order that repays what no trade owes is executed."""
        assert self.world is not None
        ledger = self.bot.exchange.loans.ledger
        for _ in range(2):
            self.world.quiet_minute()
            bought = {ledger.meta(f"bought:{c}") for c in ("USDT", "BTC", "ETH")}
            for order in self.world.open_orders():
                if order["id"] in bought:
                    self.control.fill(order["id"])


LeverageMachine.TestCase.settings = profile(quick=12, steps=20, shrink=False)
TestLeverage = LeverageMachine.TestCase
