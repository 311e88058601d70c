"""The exchange itself: everything that can be done to it, safe from any thread, and its clock."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

from .. import API_KEY, API_SECRET, EMAIL
from .accounts import Account, ApiKey, Kind
from .amounts import ONE, plain
from .lending import Loans, liquidate_thin_accounts
from .markets import LENT_CURRENCIES, PAIRS, CallKind, Closed, Maintenance, Pair, Quote, pair_worth
from .matching import MatchingEngine
from .order_history import (
    Change,
    FundsChanged,
    Listener,
    NewOrder,
    Order,
    PriceMoved,
    Seed,
    Trade,
    WasReset,
)
from .refusals import Reason, Refusal
from .switches import Switches


class Clock:
    """Tell the exchange's time.

    It runs on the monotonic clock, so a change of the machine's time in the middle of a test does
    not move it. ``advance`` is for the passing of time (interest, limits, histories), ``skew`` for
    an exchange whose clock is simply wrong.
    """

    def __init__(self) -> None:
        self._started_ms = time.time_ns() // 1_000_000
        self._started = time.monotonic_ns()
        self._moved_ms = 0

    def now_ms(self) -> int:
        """Return the current time in milliseconds since the epoch."""
        elapsed = (time.monotonic_ns() - self._started) // 1_000_000
        return self._started_ms + elapsed + self._moved_ms

    @property
    def offset_ms(self) -> int:
        """How far this clock has been moved away from the machine's."""
        return self._moved_ms

    def advance(self, seconds: float) -> None:
        """Let time pass at once; never backwards, because histories would lose their order."""
        if seconds < 0:
            raise ValueError("time only passes forwards; use skew() for a wrong clock")
        self._moved_ms += round(seconds * 1000)

    def skew(self, seconds: float) -> None:
        """Set the clock this far off the machine's, in either direction."""
        self._moved_ms = round(seconds * 1000)


KeepOpen = Callable[[Order], bool]


class Exchange:
    """Pairs, prices, accounts, orders and loans behind one lock.

    HTTP handlers, control calls and tests in the same process all come through here, so each sees
    whole operations only. ``reset`` starts afresh and keeps who is listening.
    """

    def __init__(self, switches: Switches | None = None) -> None:
        self.lock = threading.RLock()
        self._listeners: list[Listener] = []
        self._first_switches = switches or Switches()
        self.reset()

    def reset(self) -> None:
        """Forget everything and open again with the default account and prices."""
        with self.lock:
            self.clock = Clock()
            self.switches = self._first_switches
            now = self.clock.now_ms()
            self.pairs: dict[str, Pair] = {pair.name: pair for pair in PAIRS}
            self.quotes = {pair.name: Quote(pair, now) for pair in PAIRS}
            self.accounts: dict[str, Account] = {}
            self.keys: dict[str, ApiKey] = {}
            self.maintenance: dict[str, Maintenance] = {}
            self.stop_rejections: list[Refusal] = []
            self._account_numbers = itertools.count(5_411_716_254, 104_729)
            self.matching = MatchingEngine(self)
            self.loans = Loans(self)
            self.add_account(EMAIL)
            self.add_key(ApiKey(API_KEY, API_SECRET, EMAIL))
            self.publish(WasReset())

    def next_serial(self) -> int:
        """Return the serial number of a loan, repayment, transfer or liquidation."""
        number = self.matching.next_number()
        # The page's example lists serials that neither rise nor fall with time.
        return number * 7_368_787 % 9_999_999_967 if self.switches.random_serials else number

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every change, under the lock; returns how to stop it."""
        with self.lock:
            self._listeners.append(listener)

        def stop() -> None:
            with self.lock, suppress(ValueError):
                self._listeners.remove(listener)

        return stop

    def publish(self, change: Change) -> None:
        """Pass a change on to the listeners."""
        for listener in list(self._listeners):
            listener(change)

    # Accounts

    def add_account(
        self, email: str, funds: dict[Kind, dict[str, Decimal]] | None = None
    ) -> Account:
        """Open an account; without funds given it has the usual ones."""
        with self.lock:
            account = Account(email, str(next(self._account_numbers)), funds)
            self.accounts[email] = account
            return account

    def add_key(self, key: ApiKey) -> None:
        """Add a key, or replace one of the same name."""
        with self.lock:
            if key.email not in self.accounts:
                raise ValueError(f"no account {key.email!r}")
            self.keys[key.key] = key

    def account(self, email: str = EMAIL) -> Account:
        """Look an account up."""
        try:
            return self.accounts[email]
        except KeyError:
            raise ValueError(f"no account {email!r}") from None

    def set_balance(
        self, kind: Kind, currency: str, available: Decimal, email: str = EMAIL
    ) -> None:
        """Set what is available of a currency; what open orders have locked stays locked."""
        with self.lock:
            if available < 0:
                raise ValueError("a balance cannot be negative")
            self.account(email).wallets[kind][currency].available = available
            self.publish(FundsChanged(email, kind))

    # Pairs and prices

    def pair(self, name: str, kind: Kind = "spot", call: CallKind | None = None) -> Pair:
        """Look a listed pair up, in any letter case, or refuse.

        ``call`` says what the caller is about to do, which maintenance may refuse.
        """
        found = self.pairs.get(name.lower())
        if found is None:
            raise Reason.UNKNOWN_PAIR(pair=name)
        if kind == "margin" and not found.margin:
            raise Reason.NOT_MARGINABLE(pair=name)
        if call is not None and self.refuses(found, call):
            raise Refusal(400, self.maintenance[found.name].text)
        return found

    def refuses(self, pair: Pair, call: CallKind) -> bool:
        """Say whether maintenance keeps a pair from such a call."""
        maintenance = self.maintenance.get(pair.name)
        return maintenance is not None and maintenance.refuses(call)

    def margin_currencies(self) -> list[str]:
        """Name what a margin account can hold: what is lent, and what its pairs are made of."""
        names = list(LENT_CURRENCIES)
        for pair in self.pairs.values():
            if pair.margin:
                names += [name for name in (pair.base, pair.quote) if name not in names]
        return names

    def list_pair(self, name: str, price: Decimal | None = None) -> Pair:
        """List a pair that is not there yet, and open it for margin; its currencies are lent.

        Without a price it has the one that its currencies have elsewhere; what has none anywhere
        is taken to be worth 1 USDT.
        """
        with self.lock:
            name = name.lower()
            base, _, quote = name.partition("_")
            if not (base.isalnum() and quote.isalnum() and base != quote):
                raise ValueError(f"no pair of two currencies: {name!r}; write it like sol_twd")
            if name not in self.pairs:
                quote_usdt = self.loans.mark_price(quote) or ONE
                base_usdt = self.loans.mark_price(base) or ONE
                if price is not None:
                    base_usdt = price * quote_usdt
                self.pairs[name] = pair_worth(name, base_usdt, quote_usdt)
                self.quotes[name] = Quote(self.pairs[name], self.clock.now_ms())
            self.set_margin(name, True)
            for currency in (base, quote):
                self.loans.lend(currency)
            if price is not None:
                self.set_price(name, price)
            return self.pairs[name]

    def set_margin(self, name: str, margin: bool) -> None:
        """Open or close a pair for margin trading, whether or not its currencies are lent."""
        with self.lock:
            pair = self.pair(name)
            self.pairs[pair.name] = replace(pair, margin=margin)

    def set_price(
        self, name: str, price: Decimal, bid: Decimal | None = None, ask: Decimal | None = None
    ) -> None:
        """Move a pair's price: stops trigger, resting orders fill, thin accounts are liquidated."""
        with self.lock:
            pair = self.pair(name)
            if price <= 0:
                raise ValueError("a price must be positive")
            self.quotes[pair.name].move(price, self.clock.now_ms(), bid, ask)
            self.publish(PriceMoved(pair.name))
            self.matching.price_moved(pair)
            liquidate_thin_accounts(self)

    def advance(self, seconds: float) -> None:
        """Let time pass: interest grows, and may thin an account out."""
        with self.lock:
            self.clock.advance(seconds)
            liquidate_thin_accounts(self)

    def delist(self, name: str) -> None:
        """Take a pair off the list: its open orders are cancelled and its paths answer 404."""
        with self.lock:
            pair = self.pair(name)
            for order in self.matching.all_orders():
                if order.pair.name == pair.name and order.is_open:
                    self.matching.finish_cancelled(order)
            del self.pairs[pair.name]

    def set_maintenance(
        self, name: str, closed: Closed | None = "new orders", text: str | None = None
    ) -> None:
        """Close a pair for some private calls, or open it again with None."""
        with self.lock:
            pair = self.pair(name)
            self.pairs[pair.name] = replace(pair, maintain=closed is not None)
            self.maintenance.pop(pair.name, None)
            if closed is not None:
                text = text or Reason.UNDER_MAINTENANCE(pair=pair.upper).text
                self.maintenance[pair.name] = Maintenance(closed, text)

    # Orders

    def place(
        self,
        kind: Kind,
        pair: str,
        new: NewOrder,
        email: str = EMAIL,
        *,
        match: bool = True,
    ) -> Order:
        """Take an order, or refuse it; what crosses the touch is filled before this returns.

        Without ``match`` the order rests, wherever the price is, until a control fills it.
        """
        with self.lock:
            listed = self.pair(pair, kind, "new order")
            if new.type == "STOP_LIMIT" and self.stop_rejections:
                raise self.stop_rejections.pop(0)
            return self.matching.place(self.account(email), kind, listed, new, match=match)

    def seed(self, seed: Seed, email: str = EMAIL) -> Order:
        """Put an order on the account as if it had been placed by hand; see ``Seed``."""
        with self.lock:
            listed = self.pair(seed.pair, seed.kind)
            return self.matching.seed(self.account(email), listed, seed)

    def cancel(self, kind: Kind, pair: str, order_id: str, email: str = EMAIL) -> Order:
        """Cancel one order, or refuse: 404 if unknown, 400 if finished."""
        with self.lock:
            order = self.matching.find(email, kind, self.pair(pair, kind), order_id)
            if not order.is_open:
                raise Reason.NOT_CANCELLABLE(order_id=order_id)
            self.matching.finish_cancelled(order)
            return order

    def cancel_many(
        self,
        kind: Kind,
        wanted: Iterable[Order],
        keep_open: KeepOpen | None = None,
    ) -> dict[str, list[str]]:
        """Cancel those that are open, and say which: only what really was cancelled is named."""
        with self.lock:
            done: dict[str, list[str]] = {}
            for order in wanted:
                if not order.is_open or order.kind != kind or (keep_open and keep_open(order)):
                    continue
                self.matching.finish_cancelled(order)
                done.setdefault(order.pair.upper, []).append(order.id)
            return done

    def fill(
        self,
        order: Order,
        *,
        fraction: Decimal | None = None,
        amount: Decimal | None = None,
        price: Decimal | None = None,
        as_maker: bool = True,
    ) -> Trade | None:
        """Execute a part of an open order: a fraction of the original, or an amount in base.

        Never more than what is left; without either, all of it. None if nothing could be filled.
        """
        with self.lock:
            if not order.is_open:
                raise Reason.NOT_CANCELLABLE(order_id=order.id)
            quantity = order.remaining
            if amount is not None:
                quantity = amount
            elif fraction is not None:
                quantity = order.original * fraction
            return self.matching.fill(order, quantity, price, is_taker=not as_maker)

    def fill_at_market(self, order: Order, fraction: Decimal) -> None:
        """Execute a fraction of an open order where a new order would: at the touch, or its limit.

        The order pays the taker's fee if it takes the touch.
        """
        with self.lock:
            limit = None if order.type == "MARKET" else order.price
            touch = self.quotes[order.pair.name].crossing_price(order.action, limit)
            quantity = order.original * fraction
            self.matching.fill(order, quantity, touch, is_taker=touch is not None)

    def orders(
        self,
        kind: Kind | None = None,
        pair: str | None = None,
        email: str | None = None,
        *,
        only_open: bool = False,
    ) -> list[Order]:
        """List the true orders, oldest first."""
        with self.lock:
            return [
                order
                for order in self.matching.all_orders()
                if (kind is None or order.kind == kind)
                and (pair is None or order.pair.name == pair.lower())
                and (email is None or order.email == email)
                and (order.is_open or not only_open)
            ]

    def order(self, order_id: str, pair: str | None = None) -> Order:
        """Find an order by id on any account; name the pair where an id repeats."""
        with self.lock:
            for order in self.matching.all_orders():
                if order.id == order_id and pair in (None, order.pair.name, order.pair.upper):
                    return order
            raise Reason.UNKNOWN_ORDER(order_id=order_id)

    def trades(self, kind: Kind, pair: str, email: str = EMAIL) -> list[Trade]:
        """List the true trades of a pair, oldest first."""
        with self.lock:
            return [
                trade
                for trade in self.matching.trades
                if (trade.kind, trade.pair.name, trade.email) == (kind, pair.lower(), email)
            ]

    def set_switches(self, changes: Mapping[str, object]) -> Switches:
        """Turn switches; turning matching on fills what has crossed meanwhile."""
        with self.lock:
            was_matching = self.switches.matching
            self.switches = self.switches.changed(changes)
            if self.switches.matching and not was_matching:
                for pair in list(self.pairs.values()):
                    self.matching.price_moved(pair)
            return self.switches

    def describe_price(self, name: str) -> dict[str, str]:
        """Return a pair's price and touch as text."""
        quote = self.quotes[self.pair(name).name]
        return {"price": plain(quote.last), "bid": plain(quote.bid), "ask": plain(quote.ask)}
