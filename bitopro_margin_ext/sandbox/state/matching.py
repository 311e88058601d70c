"""The matching engine: how orders come, fill and end, and the trades that result."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from .accounts import Account, Kind
from .amounts import ZERO, decimals_of, floor
from .markets import ORDER_OPEN_LIMIT, Pair
from .order_history import (
    OPEN_STATES,
    STOP_TYPES,
    FundsChanged,
    NewOrder,
    Order,
    OrderChanged,
    Seed,
    Status,
    Trade,
    Traded,
)
from .refusals import Reason

if TYPE_CHECKING:
    from .exchange import Exchange


class MatchingEngine:
    """Holds and fills the orders of all accounts. Its callers hold the exchange's lock."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._orders: dict[tuple[str, Kind, str, str], Order] = {}
        self.trades: list[Trade] = []
        self._last_number = 5_000_000_000

    def next_number(self) -> int:
        """Return a serial number: always larger than the last, by a step that looks random."""
        self._last_number += 1 + self._last_number * 7919 % 997
        return self._last_number

    def all_orders(self) -> Iterator[Order]:
        """Go through the orders in the order in which they came."""
        return iter(list(self._orders.values()))

    def find(self, email: str, kind: Kind, pair: Pair, order_id: str) -> Order:
        """Find an account's order, or refuse."""
        try:
            return self._orders[email, kind, pair.name, order_id]
        except KeyError:
            raise Reason.UNKNOWN_ORDER(order_id=order_id) from None

    def place(
        self, account: Account, kind: Kind, pair: Pair, new: NewOrder, *, match: bool
    ) -> Order:
        """Judge, lock and match a new order; without ``match`` only controls will fill it."""
        _check_against_pair(new, pair)
        mine = [o for o in self._orders.values() if o.email == account.email and o.kind == kind]
        if sum(o.is_open and o.pair.name == pair.name for o in mine) >= ORDER_OPEN_LIMIT:
            raise Reason.TOO_MANY_OPEN(limit=ORDER_OPEN_LIMIT)
        quote = self._exchange.quotes[pair.name]
        # A market buy names the quote it spends; what it gets of the base is known once it fills.
        original = floor(new.amount / quote.ask) if new.is_market_buy else new.amount
        order = self._make(account, kind, pair, new, original)
        to_lock = new.amount if new.is_market_buy else self._cost(order, original)
        account.wallets[kind].lock(order.pays, to_lock)
        order.locked = to_lock
        order.only_controls_fill = not match
        self._keep(order)
        if order.status == Status.NOT_TRIGGERED:
            self._trigger_if_met(order)
        elif new.time_in_force == "POST_ONLY" and quote.crossing_price(new.action, new.price):
            self.finish_cancelled(order, Status.POST_ONLY_CANCELLED)
        else:
            self._match(order, is_new=True)
        return order

    def seed(self, account: Account, pair: Pair, seed: Seed) -> Order:
        """Put an order on the account without judging or matching it."""
        new = NewOrder(
            seed.action,
            seed.type,
            seed.amount,
            seed.price,
            seed.stop_price,
            seed.condition,
            seed.time_in_force,
            seed.client_id,
        )
        order = self._make(account, seed.kind, pair, new, seed.amount)
        order.by_hand = True
        order.id = seed.order_id or order.id
        order.created_ms -= int(seed.age_seconds * 1000)
        waits = seed.status == Status.NOT_TRIGGERED
        order.status = Status.NOT_TRIGGERED if waits else Status.OPEN
        cost = self._cost(order, seed.amount)
        wallet = account.wallets[seed.kind]
        if seed.fund:
            wallet.add(order.pays, cost)
        wallet.lock(order.pays, cost)
        order.locked = cost
        self._keep(order)
        if seed.executed_in_that_state():
            self.fill(order, seed.executed_in_that_state(), seed.price, is_taker=False)
        if order.is_open and seed.status not in OPEN_STATES:
            self.finish_cancelled(order, seed.status)
        return order

    def price_moved(self, pair: Pair) -> None:
        """Trigger the stops and fill the resting orders that the new price has met."""
        for order in self.all_orders():
            if order.pair.name != pair.name or not order.is_open:
                continue
            if order.status == Status.NOT_TRIGGERED:
                self._trigger_if_met(order)
            else:
                self._match(order, is_new=False)

    def fill(
        self, order: Order, quantity: Decimal, price: Decimal | None, *, is_taker: bool
    ) -> Trade | None:
        """Execute up to a quantity of the base at a price: the order's own, or the touch."""
        quote = self._exchange.quotes[order.pair.name]
        amount = min(floor(quantity), order.remaining)
        if amount <= 0:
            return None
        if price is None:
            touch = quote.ask if order.action == "BUY" else quote.bid
            price = touch if order.type == "MARKET" else order.price
        cost = floor(amount * price)
        switches = self._exchange.switches
        rate = switches.taker_fee if is_taker else switches.maker_fee
        wallet = self._exchange.account(order.email).wallets[order.kind]
        paid, got = (cost, amount) if order.action == "BUY" else (amount, cost)
        fee = floor(got * rate)
        # A price worse than the limit can only come from a control; it must not overdraw.
        paid = min(paid, order.locked)
        wallet.spend_locked(order.pays, paid)
        wallet.add(order.receives, got - fee)
        order.locked -= paid
        order.executed += amount
        order.total += cost
        order.fee += fee
        now = self._exchange.clock.now_ms()
        trade = Trade(
            self.next_number(),
            order.id,
            order.email,
            order.kind,
            order.pair,
            order.action,
            order.type,
            price,
            amount,
            cost,
            fee,
            order.receives,
            is_taker,
            now,
        )
        self.trades.append(trade)
        order.status = Status.PARTLY_FILLED if order.remaining else Status.FILLED
        if order.status == Status.FILLED:
            self._release(order)
        elif order.action == "BUY" and order.type != "MARKET":
            self._release(order, keep=self._cost(order, order.remaining))
        self._changed(order)
        self._exchange.publish(Traded(trade))
        return trade

    def finish_cancelled(self, order: Order, status: Status | None = None) -> None:
        """End an open order: 3 if a part was executed, else 4, unless a state is given."""
        if status is None:
            status = Status.PARTLY_FILLED_DONE if order.executed else Status.CANCELLED
        order.status = status
        self._release(order)
        self._changed(order)

    def _make(
        self, account: Account, kind: Kind, pair: Pair, new: NewOrder, original: Decimal
    ) -> Order:
        number = self.next_number()
        is_stop = new.type in STOP_TYPES
        prefix = "SL-" if is_stop and self._exchange.switches.stop_ids_prefixed else ""
        now = self._exchange.clock.now_ms()
        return Order(
            id=f"{prefix}{number}",
            number=number,
            seq=f"{pair.base}{pair.quote}{number * 31 % 10_000_000_000:010d}",
            email=account.email,
            kind=kind,
            pair=pair,
            action=new.action,
            type=new.type,
            asked=new.amount,
            original=original,
            price=new.price or ZERO,
            status=Status.NOT_TRIGGERED if is_stop else Status.OPEN,
            created_ms=now,
            updated_ms=now,
            stop_price=new.stop_price,
            condition=new.condition,
            time_in_force=new.time_in_force,
            client_id=new.client_id,
        )

    def _keep(self, order: Order) -> None:
        key = (order.email, order.kind, order.pair.name, order.id)
        if key in self._orders:
            raise ValueError(f"order {order.id} exists already on {order.pair.name}")
        self._orders[key] = order
        order.remember(order.created_ms)
        self._exchange.publish(OrderChanged(order.copy()))
        self._exchange.publish(FundsChanged(order.email, order.kind))

    def _changed(self, order: Order) -> None:
        order.remember(self._exchange.clock.now_ms())
        self._exchange.publish(OrderChanged(order.copy()))
        self._exchange.publish(FundsChanged(order.email, order.kind))

    def _trigger_if_met(self, order: Order) -> None:
        last = self._exchange.quotes[order.pair.name].last
        if order.stop_price is None or order.only_controls_fill:
            return
        met = last >= order.stop_price if order.condition == ">=" else last <= order.stop_price
        if met:
            order.status = Status.OPEN
            self._changed(order)
            self._match(order, is_new=True)

    def _match(self, order: Order, *, is_new: bool) -> None:
        if not self._exchange.switches.matching or order.only_controls_fill:
            return
        limit = None if order.type == "MARKET" else order.price
        touch = self._exchange.quotes[order.pair.name].crossing_price(order.action, limit)
        if touch is not None:
            # New, it takes the touch. Resting, the market has come to its own price.
            self.fill(order, order.remaining, touch if is_new else None, is_taker=is_new)

    def _cost(self, order: Order, amount: Decimal) -> Decimal:
        return floor(amount * order.price) if order.action == "BUY" else amount

    def _release(self, order: Order, keep: Decimal = ZERO) -> None:
        surplus = order.locked - keep
        if surplus > 0:
            wallet = self._exchange.account(order.email).wallets[order.kind]
            wallet.unlock(order.pays, surplus)
            order.locked = keep


def _check_against_pair(order: NewOrder, pair: Pair) -> None:
    """Refuse an order that the pair's precisions and limits do not allow."""
    for field, price in (("price", order.price), ("stopPrice", order.stop_price)):
        if price is not None and decimals_of(price) > pair.price_decimals:
            raise Reason.TOO_PRECISE(field=field, value=price, decimals=pair.price_decimals)
    if order.is_market_buy:
        if decimals_of(order.amount) > pair.price_decimals:
            raise Reason.TOO_PRECISE(
                field="amount", value=order.amount, decimals=pair.price_decimals
            )
        if order.amount < pair.min_quote:
            raise Reason.TOO_SMALL(value=order.amount, minimum=pair.min_quote)
        return
    if decimals_of(order.amount) > pair.base_decimals:
        raise Reason.TOO_PRECISE(field="amount", value=order.amount, decimals=pair.base_decimals)
    if order.amount < pair.min_base:
        raise Reason.TOO_SMALL(value=order.amount, minimum=pair.min_base)
    if order.amount > pair.max_base:
        raise Reason.TOO_LARGE(value=order.amount, maximum=pair.max_base)
