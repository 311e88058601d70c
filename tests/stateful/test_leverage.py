"""A real bot with borrowed money in random weather: debts and profits add up in the end.

Entries, additions, partial exits, fills, cancellations, interest, prices, faults, the user's own
loans and restarts come in any order. After a quiet minute nothing is unknown, the ledger says what
the exchange says, nothing is borrowed that no trade needs; and when all is sold, the database's
profits are the account's change, dust at cost.
"""

import contextlib
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from freqtrade.persistence import PairLocks, Trade
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from bitopro_margin_ext.bot import unconfirmed_orders
from bitopro_margin_ext.bot.debt_lines import USER, total
from bitopro_margin_ext.bot.leverage_amounts import need_of
from bitopro_margin_ext.sandbox.server import SandboxServer
from tests.leverage.harness import BTC, CAPITAL, ETH, LeverageHarness, wire

from .profiles import is_deep, profile

# A deep run takes as long as it takes.
pytestmark = pytest.mark.timeout(0 if is_deep() else 600)

pairs = st.sampled_from([BTC, ETH])
sides = st.sampled_from(["long", "short"])
picks = st.integers(0, 9)
paths = st.sampled_from(["*/margin/borrow", "*/margin/repay", "*/margin/orders/*_usdt",
                         "*/margin/balances", "*/margin/user-*"])  # fmt: skip
kinds = st.sampled_from(["process_close", "close", "status"])
SERVER: list[SandboxServer] = []


def server() -> SandboxServer:
    if not SERVER:
        SERVER.append(SandboxServer())
        SERVER[0].__enter__()
    return SERVER[0]


class LeverageMachine(RuleBasedStateMachine):
    """``FreqtradeBot`` with leverage and shorts against the sandbox, over HTTP."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(unconfirmed_orders, "ARRIVAL_SECONDS", 0.05)
        self.patch.setattr(unconfirmed_orders, "LAG_SECONDS", 0.01)
        self.folder = tempfile.TemporaryDirectory()
        self.harness = LeverageHarness(server(), Path(self.folder.name))
        self.control = self.harness.control
        self.control.switches(matching=False, liquidation=False)
        self.bot = None
        self.users = dict.fromkeys(("USDT", "BTC", "ETH"), Decimal(0))
        """What the user's own loans have brought into the wallets."""

    @initialize(stops=st.booleans(), random=st.booleans())
    def start(self, stops: bool, random: bool) -> None:
        self.control.switches(random_serials=random)
        types = {"stoploss_on_exchange": stops, "stoploss": "limit" if stops else "market"}
        self.settings = {"order_types": types, "stake_amount": 500, "stoploss": -0.9}
        self.bot = self.harness.bot(**self.settings)

    def process(self) -> None:
        self.bot.process()

    def open_orders(self) -> list:
        return [o for o in self.harness.truth(open=True, by_hand=False) if not o["stopPrice"]]

    # -- what the bot does ---------------------------------------------------------------------

    @rule(pair=pairs, side=sides, market=st.booleans())
    def enter(self, pair: str, side: str, market: bool) -> None:
        for lock in PairLocks.get_pair_locks(None):
            lock.active = False
        Trade.commit()
        self.bot.strategy.order_types["entry"] = "market" if market else "limit"
        self.bot.strategy.enter[pair] = side
        self.bot.strategy.levers[pair] = 3.0 if side == "long" else 2.0
        self.process()
        self.bot.strategy.enter.clear()

    @rule(pair=pairs, amount=st.sampled_from([-200.0, 200.0]))
    def adjust(self, pair: str, amount: float) -> None:
        self.bot.strategy.adjust[pair] = amount
        self.process()
        self.bot.strategy.adjust.clear()

    @rule(pair=pairs)
    def leave(self, pair: str) -> None:
        self.bot.strategy.leave[pair] = "told_to"
        self.process()
        self.bot.strategy.leave.clear()

    @rule(pair=pairs)
    def time_out(self, pair: str) -> None:
        self.bot.strategy.timed_out.add(pair)
        self.process()
        self.bot.strategy.timed_out.clear()

    @rule()
    def iterate(self) -> None:
        self.process()

    @rule()
    def restart(self) -> None:
        # A clock that is hours off is found out by the first call; it must be answered.
        self.control.clear_faults()
        self.harness.restart(self.bot)
        self.bot = self.harness.bot(**self.settings)

    # -- what the exchange and the market do ---------------------------------------------------

    @rule(pick=picks, fraction=st.sampled_from(["0.3", "0.5", "1"]))
    def fill(self, pick: int, fraction: str) -> None:
        orders = self.open_orders()
        if orders:
            self.control.fill(orders[pick % len(orders)]["id"], fraction=fraction)

    @rule(pick=picks)
    def cancelled_by_hand(self, pick: int) -> None:
        orders = self.open_orders()
        if orders:
            self.control.cancel(orders[pick % len(orders)]["id"])

    @rule(hours=st.sampled_from([1, 30]))
    def interest(self, hours: int) -> None:
        self.control.advance(hours * 3600)

    @rule(pair=pairs, percent=st.sampled_from([-3, 2]))
    def price(self, pair: str, percent: int) -> None:
        price = self.harness.price(pair.split("/")[0]) * (100 + percent) / 100
        self.control.set_price(wire(pair), str(round(price, 2)))

    @rule(path=paths, kind=kinds)
    def fault(self, path: str, kind: str) -> None:
        options = {"status": 503} if kind == "status" else {}
        self.control.add_fault(kind, path=path, **options)

    # -- what the user does --------------------------------------------------------------------

    @rule(code=st.sampled_from([("USDT", "50"), ("BTC", "0.001"), ("ETH", "0.01")]))
    def user_borrows(self, code: tuple[str, str]) -> None:
        currency, amount = code
        self.control.borrow(currency, amount)
        self.users[currency] += Decimal(amount)

    @rule(currency=st.sampled_from(["USDT", "BTC", "ETH"]))
    @precondition(lambda self: self.bot is not None)
    def user_repays(self, currency: str) -> None:
        line = self.bot.exchange.loans.line(currency, USER)
        amount = (line.owed / 2).quantize(Decimal("1e-8"))
        if 0 < amount < self.users[currency]:
            with contextlib.suppress(Exception):
                self.control.repay(currency, amount)
                self.users[currency] -= amount

    # -- in the end ----------------------------------------------------------------------------

    def quiet(self, iterations: int = 6) -> None:
        """A minute in which nothing happens, passed quickly."""
        self.control.clear_faults()
        loans = self.bot.exchange.loans
        clock = loans.now
        for number in range(iterations):
            loans.now = lambda number=number: clock() + number * 31
            loans._unclear_since = {c: t - 31 for c, t in loans._unclear_since.items()}
            loans._waits.clear()
            self.bot.exchange._reconciler.entering.clear()
            self.process()
            bought = {self.bot.exchange.loans.ledger.meta(f"bought:{c}") for c in self.users}
            for order in self.open_orders():
                if order["id"] in bought:
                    self.control.fill(order["id"])
        loans.now = clock

    def check_debts(self) -> None:
        loans, ledger = self.bot.exchange.loans, self.bot.exchange.loans.ledger
        loans.read()
        assert ledger.commands("intent") == []
        assert len(self.bot.exchange.unconfirmed.journal) == 0
        Trade.session.expire_all()
        trades = {trade.pair: trade for trade in Trade.get_open_trades()}
        for currency in ("USDT", "BTC", "ETH"):
            lines = ledger.lines(currency)
            difference = self.harness.debt(currency) - total(lines)
            assert abs(difference) < Decimal("0.00001"), (currency, difference, lines)
            for line in lines:
                if not line.is_bots:
                    assert line.holder == USER, lines
                    continue
                trade = trades.get(line.holder)
                assert trade is not None, lines
                need = need_of(trade, ledger.entry_fees(trade.pair))
                assert abs(line.outstanding - need) <= need / 1000, (line, need)

    def check_profits(self) -> None:
        ledger = self.bot.exchange.loans.ledger
        change = self.harness.wallet("USDT") - CAPITAL - self.users["USDT"]
        earned = self.harness.profit() - self.harness.dust_cost(self.bot)
        unbooked = sum(
            Decimal(ledger.meta(f"unbooked:{c}") or 0) * self.harness.price(c) for c in self.users
        )
        assert abs(earned - unbooked - change) < Decimal("0.02"), (earned, unbooked, change)

    def teardown(self) -> None:
        try:
            if self.bot is not None:
                self.quiet()
                self.check_debts()
                self.sell_all()
                self.check_debts()
                self.check_profits()
        finally:
            self.harness.close()
            self.folder.cleanup()
            self.patch.undo()

    def sell_all(self) -> None:
        for _ in range(6):
            for trade in Trade.get_open_trades():
                self.bot.strategy.leave[trade.pair] = "told_to"
            self.process()
            for order in self.open_orders():
                self.control.fill(order["id"])
            self.process()
            if not Trade.get_open_trades():
                break
        self.bot.strategy.leave.clear()
        assert Trade.get_open_trades() == []
        self.quiet(4)


LeverageMachine.TestCase.settings = profile(quick=10, steps=14, shrink=False)
TestLeverage = LeverageMachine.TestCase
