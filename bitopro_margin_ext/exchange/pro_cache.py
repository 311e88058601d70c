"""What the streams have sent, and which of it each consumer has not seen yet. No I/O.

A consumer is a scope: one symbol, or None for all of them. Changes that arrive while it is busy
wait for it; each is handed out once.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from ..core.endpoints import OrderKey
from .structures import Order

Scope = str | None

FINAL: Final = ("closed", "canceled")
KEPT: Final = 1000
"""How many finished orders, or trades, are remembered."""


class Feed:
    """Wakes whoever waits, when there may be something new."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.gap = False
        """Whether something may have been missed that REST has not been asked for yet."""
        self.last_message_ms: int | None = None
        """The exchange's time of the newest message."""
        self.last_message_at = time.monotonic()
        """When the last message came, on our monotonic clock."""

    def notify(self) -> None:
        """Wake everyone who waits; who looks later waits for the next time."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def note_message(self, timestamp: int | None) -> None:
        """Note that a stream has sent something, dated by the exchange; messages may be late."""
        self.last_message_ms = max(self.last_message_ms or 0, timestamp or 0) or None
        self.last_message_at = time.monotonic()
        self.notify()

    def on_disconnect(self) -> None:
        """Note that a connection ended."""
        self.gap = True
        self.notify()


class OrderCache(Feed):
    """The orders of both order streams in one cache."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[OrderKey, Order] = {}
        self._unseen: dict[Scope, dict[OrderKey, None]] = {}
        self._forget_from = 2 * KEPT
        """With how many orders the finished ones are looked through for some to forget."""

    @property
    def scopes(self) -> list[str]:
        """The symbols that somebody follows."""
        return [scope for scope in self._unseen if scope is not None]

    def open_keys(self) -> list[OrderKey]:
        """The orders that are open as far as is known."""
        return [key for key, order in self.orders.items() if order["status"] not in FINAL]

    def apply(self, order: Order) -> bool:
        """Take an order's state in, unless it says nothing new; return whether it did."""
        key = (order["symbol"], order["id"])
        before = self.orders.get(key)
        if before is not None and not _is_news(order, before):
            return False
        # Moved to the end, so that the cache runs from the oldest change to the newest.
        self.orders.pop(key, None)
        self.orders[key] = order
        for scope, unseen in self._unseen.items():
            if scope in (None, order["symbol"]):
                unseen.pop(key, None)
                unseen[key] = None
        self._forget()
        self.notify()
        return True

    def take(self, scope: Scope) -> list[Order]:
        """The changes that this scope has not seen; to begin with, everything there is."""
        unseen = self._unseen.get(scope)
        if unseen is None:
            unseen = {key: None for key in self.orders if scope in (None, key[0])}
        self._unseen[scope] = {}
        return [dict(self.orders[key]) for key in unseen if key in self.orders]

    def _forget(self) -> None:
        if len(self.orders) > self._forget_from:
            waiting = {key for unseen in self._unseen.values() for key in unseen}
            finished = [
                key
                for key, order in self.orders.items()
                if order["status"] in FINAL and key not in waiting
            ]
            for key in finished[: len(self.orders) - KEPT]:
                del self.orders[key]
            # Where few could go, looking again for each order would take ever longer.
            self._forget_from = 2 * max(KEPT, len(self.orders))


def _is_news(order: Order, before: Order) -> bool:
    filled, filled_before = _decimal(order["filled"]), _decimal(before["filled"])
    if before["status"] in FINAL:
        # An end is not taken back by a message or a list that is late.
        return order["status"] in FINAL and filled > filled_before
    if order["status"] in FINAL:
        return True
    # The list of open orders counts time in seconds.
    late = (order["lastUpdateTimestamp"] or 0) // 1000 < (
        before["lastUpdateTimestamp"] or 0
    ) // 1000
    return filled >= filled_before and not late and _facts(order) != _facts(before)


def _facts(order: Order) -> tuple[Any, ...]:
    names = ("filled", "remaining", "amount", "price", "triggerPrice")
    amounts = (_decimal(order[name]) for name in names)
    return (order["status"], *amounts, order["info"].get("status"))


def _decimal(number: Any) -> Decimal:
    """A number of whatever type the user has chosen for ccxt, to compare; None counts as zero."""
    return Decimal(0) if number is None else Decimal(str(number))


class TradeCache(Feed):
    """Own trades, to which the stream gives no id."""

    def __init__(self) -> None:
        super().__init__()
        self.trades: list[Order] = []
        self._seen: dict[Scope, int] = {}
        self._dropped = 0

    @property
    def scopes(self) -> list[str]:
        """The symbols that somebody follows."""
        return [scope for scope in self._seen if scope is not None]

    @property
    def follows_all(self) -> bool:
        """Whether somebody follows every pair."""
        return None in self._seen

    def add(self, trade: Order) -> None:
        """Take an execution in; the stream sends each once."""
        self.trades.append(trade)
        if len(self.trades) > 2 * KEPT:
            del self.trades[:KEPT]
            self._dropped += KEPT
        self.notify()

    def add_missed(self, listed: Iterable[Order]) -> None:
        """Add those of a list that the stream did not send.

        Without ids, executions are counted: as many as the list has more of one kind are new.
        """
        known = Counter(_execution(trade) for trade in self.trades)
        for trade in listed:
            kind = _execution(trade)
            if known[kind]:
                known[kind] -= 1
            else:
                self.add(trade)

    def follow(self, scope: Scope) -> None:
        """Begin to keep trades for a scope; what was before is not news to it."""
        self._seen.setdefault(scope, self._dropped + len(self.trades))

    def take(self, scope: Scope) -> list[Order]:
        """The trades that this scope has not seen, in the order of their arrival."""
        self.follow(scope)
        start = max(0, self._seen[scope] - self._dropped)
        self._seen[scope] = self._dropped + len(self.trades)
        return [dict(trade) for trade in self.trades[start:] if scope in (None, trade["symbol"])]


def _execution(trade: Order) -> tuple[Any, ...]:
    names = (trade["order"], trade["symbol"], trade["side"])
    amounts = (_decimal(trade["price"]), _decimal(trade["amount"]))
    # The stream counts time in seconds, the list in milliseconds.
    return (*names, *amounts, (trade["timestamp"] or 0) // 1000)


class LatestValue(Feed):
    """One value of which only the latest counts."""

    def __init__(self) -> None:
        super().__init__()
        self.value: Any = None
        self.version = 0
        self._timestamp: int | None = None
        self._taken: dict[Scope, int] = {}

    def put(self, value: Any, timestamp: int | None = None) -> None:
        """Replace the value, unless a newer one has come before it; ``timestamp`` is in ms."""
        if timestamp is not None and timestamp < (self._timestamp or 0):
            return
        self.value, self._timestamp = value, timestamp
        self.version += 1
        self.notify()

    def restore(self, scope: Scope = None) -> None:
        """Hand the value out again: the one who took it could make nothing of it."""
        self._taken.pop(scope, None)

    def waiter(self, scope: Scope = None) -> Callable[[], Any]:
        """What a consumer asks: the value, once there is one that its scope has not seen."""
        start = self._taken.get(scope, 0)

        def take() -> Any:
            if self.version <= start:
                return None
            self._taken[scope] = self.version
            return self.value

        return take
