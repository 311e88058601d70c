"""Whatever happens, in any order, money and orders stay in step."""

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bitopro_margin_ext.sandbox.state import Exchange, NewOrder, Refusal, Status
from bitopro_margin_ext.sandbox.state.accounts import KINDS
from bitopro_margin_ext.sandbox.state.amounts import floor
from bitopro_margin_ext.sandbox.state.lending import liquidate
from bitopro_margin_ext.sandbox.state.markets import LENT_CURRENCIES
from bitopro_margin_ext.sandbox.state.order_history import Seed

PAIRS = ("btc_usdt", "eth_usdt", "eth_btc")
kinds = st.sampled_from(KINDS)
pairs = st.sampled_from(PAIRS)
actions = st.sampled_from(("BUY", "SELL"))
factors = st.decimals("0.8", "1.2", places=3)
amounts = st.decimals("0.001", "0.2", places=5)
picks = st.integers(0, 10_000)
lent = st.sampled_from(LENT_CURRENCIES)


class Anything(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.exchange = Exchange()
        wallets = self.exchange.account().wallets
        self.brought = {(k, c): wallets[k][c].total for k in KINDS for c in wallets[k].currencies()}

    def price(self, pair, factor):
        tick = self.exchange.pairs[pair].tick
        return max((self.exchange.pairs[pair].price * factor).quantize(tick), tick)

    def some_open(self, pick):
        orders = self.exchange.orders(only_open=True)
        return orders[pick % len(orders)]

    @rule(
        kind=kinds, pair=pairs, action=actions, factor=factors, amount=amounts, stop=st.booleans()
    )
    def place(self, kind, pair, action, factor, amount, stop):
        price = self.price(pair, factor)
        new = NewOrder(action, "LIMIT", amount, price)
        if stop:
            new = NewOrder(action, "STOP_LIMIT", amount, price, price, ">=")
        try:
            self.exchange.place(kind, pair, new)
        except Refusal as refusal:
            assert "not enough" in refusal.text  # noqa: PT017 - the only reason there can be

    @rule(kind=kinds, pair=pairs, action=actions, amount=st.integers(5, 500))
    def market(self, kind, pair, action, amount):
        size = Decimal(amount) / (1 if pair.endswith("usdt") and action == "BUY" else 1000)
        try:
            self.exchange.place(kind, pair, NewOrder(action, "MARKET", size))
        except Refusal as refusal:
            assert "not enough" in refusal.text  # noqa: PT017

    @rule(
        kind=kinds,
        pair=pairs,
        action=actions,
        factor=factors,
        amount=amounts,
        status=st.sampled_from(Status),
    )
    def seed(self, kind, pair, action, factor, amount, status):
        price = self.price(pair, factor)
        order = self.exchange.seed(Seed(pair, action, amount, price, kind, status=status))
        cost = (amount * price).quantize(Decimal("0.00000001"), "ROUND_DOWN")
        key = (kind, order.pays)
        self.brought[key] = self.brought.get(key, 0) + (cost if action == "BUY" else amount)

    @rule(pair=pairs, factor=factors)
    def move(self, pair, factor):
        self.exchange.set_price(pair, self.price(pair, factor))

    @precondition(lambda self: self.exchange.orders(only_open=True))
    @rule(pick=picks, fraction=st.decimals("0.01", "1.5", places=2))
    def fill(self, pick, fraction):
        self.exchange.fill(self.some_open(pick), fraction=fraction)

    @precondition(lambda self: self.exchange.orders(only_open=True))
    @rule(pick=picks)
    def cancel(self, pick):
        order = self.some_open(pick)
        self.exchange.cancel(order.kind, order.pair.name, order.id)

    @rule(kind=kinds, every=st.booleans())
    def cancel_all(self, kind, every):
        orders = self.exchange.orders(kind, only_open=True)
        done = self.exchange.cancel_many(kind, orders, None if every else lambda o: o.number % 2)
        named = {i for ids in done.values() for i in ids}
        assert named == {o.id for o in orders if every or not o.number % 2}

    @rule(currency=lent, amount=st.decimals("0.01", "2", places=8))
    def borrow(self, currency, amount):
        size = amount * (1000 if currency == "USDT" else 1)
        try:
            self.exchange.loans.borrow(currency, size)
        except Refusal as refusal:
            assert "AD ratio" in refusal.text  # noqa: PT017 - the only reason there can be

    @rule(currency=lent, part=st.decimals("0.01", "1.5", places=2))
    def repay(self, currency, part):
        amount = floor(self.exchange.loans.debt(currency).owed * part)
        if amount:
            try:
                self.exchange.loans.repay(currency, amount)
            except Refusal as refusal:
                assert "not enough" in refusal.text  # noqa: PT017

    @rule(days=st.integers(1, 1000))
    def interest(self, days):
        self.exchange.loans.charge_interest(Decimal(days * 86400))

    @rule(mode=st.sampled_from(("whole", "partial", "in_kind")), part=st.decimals(0, 1, places=2))
    def liquidate(self, mode, part):
        liquidate(self.exchange, self.exchange.account(), mode, part)

    @invariant()
    def loans_are_consistent(self):
        account = self.exchange.account()
        for currency in LENT_CURRENCIES:
            debt = self.exchange.loans.debt(currency)
            open_lines = [b.open_principal for b in account.borrows if b.currency == currency]
            assert debt.principal == sum(open_lines)
            assert min([debt.principal, debt.accrued, *open_lines]) >= 0

    @invariant()
    def orders_are_consistent(self):
        for order in self.exchange.orders():
            assert 0 <= order.executed <= order.original
            assert order.locked >= 0
            if not order.is_open:
                assert order.locked == 0
            if order.status in (Status.NOT_TRIGGERED, Status.OPEN):
                assert order.executed == 0
            if order.status == Status.FILLED:
                assert order.remaining == 0
            if order.status in (Status.PARTLY_FILLED, Status.PARTLY_FILLED_DONE):
                assert 0 < order.executed < order.original
            trades = [t for t in self.exchange.matching.trades if t.order_id == order.id]
            assert sum(t.amount for t in trades) == order.executed
            assert sum(t.quote_amount for t in trades) == order.total
            assert sum(t.fee for t in trades) == order.fee
            assert order.past[-1][1].status == order.status

    @invariant()
    def what_is_locked_is_what_orders_lock(self):
        for kind in KINDS:
            wallet = self.exchange.account().wallets[kind]
            for currency in wallet.currencies():
                mine = [
                    order.locked
                    for order in self.exchange.orders(kind, only_open=True)
                    if order.pays == currency
                ]
                assert wallet[currency].locked == sum(mine)
                assert wallet[currency].available >= 0

    @invariant()
    def nothing_is_made_or_lost(self):
        expected = dict(self.brought)
        for trade in self.exchange.matching.trades:
            base, quote = (trade.kind, trade.pair.base), (trade.kind, trade.pair.quote)
            sign = 1 if trade.action == "BUY" else -1
            expected[base] = expected.get(base, 0) + sign * trade.amount
            expected[quote] = expected.get(quote, 0) - sign * trade.quote_amount
            paid_in = (trade.kind, trade.fee_currency)
            expected[paid_in] -= trade.fee
        account = self.exchange.account()
        flows = [(b.currency, b.amount) for b in account.borrows]
        flows += [(r.currency, -r.principal - r.interest) for r in account.repayments]
        for line in account.liquidations:
            if line.asset_currency is not None:  # sold, and the debt's currency bought for it
                flows += [
                    (line.asset_currency, -line.asset_amount),
                    (line.debt_currency, line.debt_amount),
                ]
        for currency, amount in flows:
            key = ("margin", currency)
            expected[key] = expected.get(key, 0) + amount
        for (kind, currency), amount in expected.items():
            assert self.exchange.account().wallets[kind][currency].total == amount


Anything.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestAnything = Anything.TestCase
