"""The exchange itself: everything that can be done to it, safe from any thread."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

from .. import defaults
from . import refusals
from .accounts import Account, ApiKey, Kind
from .amounts import plain
from .clock import Clock
from .liquidation import liquidate_thin_accounts
from .loans import Loans
from .markets import PAIRS, Pair, Quote
from .matching import MatchingEngine
from .orders import (
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
from .refusals import Refusal
from .switches import Switches

Spare = Callable[[Order], bool]


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
            self.stop_rejections: list[str] = []
            self._account_numbers = itertools.count(5_411_716_254, 104_729)
            self.matching = MatchingEngine(self)
            self.loans = Loans(self)
            self.add_account(defaults.EMAIL)
            self.add_key(ApiKey(defaults.API_KEY, defaults.API_SECRET, defaults.EMAIL))
            self.tell(WasReset())

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have every change told, under the lock; returns how to stop it."""
        with self.lock:
            self._listeners.append(listener)

        def stop() -> None:
            with self.lock, suppress(ValueError):
                self._listeners.remove(listener)

        return stop

    def tell(self, change: Change) -> None:
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

    def account(self, email: str = defaults.EMAIL) -> Account:
        """Look an account up."""
        try:
            return self.accounts[email]
        except KeyError:
            raise ValueError(f"no account {email!r}") from None

    def set_balance(
        self, kind: Kind, currency: str, available: Decimal, email: str = defaults.EMAIL
    ) -> None:
        """Set what is available of a currency; what open orders have locked stays locked."""
        with self.lock:
            if available < 0:
                raise ValueError("a balance cannot be negative")
            self.account(email).wallets[kind][currency].available = available
            self.tell(FundsChanged(email, kind))

    # Pairs and prices

    def pair(self, name: str, kind: Kind = "spot") -> Pair:
        """Look a listed pair up, in any letter case, or refuse."""
        found = self.pairs.get(name.lower())
        if found is None:
            raise refusals.unknown_pair(name)
        if kind == "margin" and not found.marginable:
            raise refusals.not_marginable(name)
        return found

    def set_price(
        self, name: str, price: Decimal, bid: Decimal | None = None, ask: Decimal | None = None
    ) -> None:
        """Move a pair's price: stops trigger, resting orders fill, thin accounts are liquidated."""
        with self.lock:
            pair = self.pair(name)
            if price <= 0:
                raise ValueError("a price must be positive")
            self.quotes[pair.name].move(price, self.clock.now_ms(), bid, ask)
            self.tell(PriceMoved(pair.name))
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

    def set_maintenance(self, name: str, maintain: bool) -> None:
        """Close or open a pair for new orders."""
        with self.lock:
            pair = self.pair(name)
            self.pairs[pair.name] = replace(pair, maintain=maintain)

    # Orders

    def place(self, kind: Kind, pair: str, new: NewOrder, email: str = defaults.EMAIL) -> Order:
        """Take an order, or refuse it; what crosses the touch is filled before this returns."""
        with self.lock:
            listed = self.pair(pair, kind)
            if listed.maintain:
                raise refusals.under_maintenance(pair)
            if new.type == "STOP_LIMIT" and self.stop_rejections:
                raise Refusal(400, self.stop_rejections.pop(0))
            return self.matching.place(self.account(email), kind, listed, new)

    def seed(self, seed: Seed, email: str = defaults.EMAIL) -> Order:
        """Put an order on the account as if it had been placed by hand; see ``Seed``."""
        with self.lock:
            listed = self.pair(seed.pair, seed.kind)
            return self.matching.seed(self.account(email), listed, seed)

    def cancel(self, kind: Kind, pair: str, order_id: str, email: str = defaults.EMAIL) -> Order:
        """Cancel one order, or refuse: 404 if unknown, 400 if finished."""
        with self.lock:
            order = self.matching.find(email, kind, self.pair(pair, kind), order_id)
            if not order.is_open:
                raise refusals.not_cancellable(order_id)
            self.matching.finish_cancelled(order)
            return order

    def cancel_many(
        self,
        kind: Kind,
        wanted: Iterable[Order],
        spare: Spare | None = None,
    ) -> dict[str, list[str]]:
        """Cancel those that are open, and say which: only what really was cancelled is named."""
        with self.lock:
            done: dict[str, list[str]] = {}
            for order in wanted:
                if not order.is_open or order.kind != kind or (spare and spare(order)):
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
                raise refusals.not_cancellable(order.id)
            wish = order.remaining
            if amount is not None:
                wish = amount
            elif fraction is not None:
                wish = order.original * fraction
            return self.matching.fill(order, wish, price, is_taker=not as_maker)

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
            raise refusals.order_unknown(order_id)

    def trades(self, kind: Kind, pair: str, email: str = defaults.EMAIL) -> list[Trade]:
        """List the true trades of a pair, oldest first."""
        with self.lock:
            return [
                trade
                for trade in self.matching.trades
                if (trade.kind, trade.pair.name, trade.email) == (kind, pair.lower(), email)
            ]

    def set_switches(self, wishes: dict[str, object]) -> Switches:
        """Turn switches; turning matching on fills what has crossed meanwhile."""
        with self.lock:
            was_matching = self.switches.matching
            self.switches = self.switches.changed(wishes)
            if self.switches.matching and not was_matching:
                for pair in list(self.pairs.values()):
                    self.matching.price_moved(pair)
            return self.switches

    def describe_price(self, name: str) -> dict[str, str]:
        """Return a pair's price and touch as text."""
        quote = self.quotes[self.pair(name).name]
        return {"price": plain(quote.last), "bid": plain(quote.bid), "ask": plain(quote.ask)}
