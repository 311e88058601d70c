"""What each stream says: its first messages, and its message for a change."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from . import account_json, public_json
from .order_json import OrderWriter
from .state import Exchange, Kind
from .state.amounts import plain
from .state.orders import (
    Change,
    FundsChanged,
    Order,
    OrderChanged,
    PriceMoved,
    Traded,
)

Json = dict[str, object]
BOOK_LEVELS = 20
RECENT_HISTORY = 100
_event_numbers = itertools.count(1)


class Channel:
    """A stream's content. ``first`` and ``update`` are called under the exchange's lock."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def first(self) -> Iterable[Json]:
        """Return what is sent on connecting."""
        return []

    def update(self, change: Change) -> Iterable[Json]:
        """Return what a change makes this stream say."""
        return []


class Market(Channel):
    """Order books, tickers and trades of some pairs."""

    def __init__(self, exchange: Exchange, topic: str, pairs: list[tuple[str, int]]) -> None:
        super().__init__(exchange)
        self._topic = topic
        self._pairs = dict(pairs)

    def first(self) -> Iterable[Json]:
        """Send the present state of every pair."""
        return [self._message(pair) for pair in self._pairs]

    def update(self, change: Change) -> Iterator[Json]:
        """Send a pair again when its price or its book changes."""
        pair = None
        if isinstance(change, PriceMoved):
            pair = change.pair
        elif isinstance(change, OrderChanged) and self._topic == "order-books":
            pair = change.order.pair.name
        elif isinstance(change, Traded) and self._topic == "trades":
            pair = change.trade.pair.name
        if pair in self._pairs:
            yield self._message(pair)

    def _message(self, name: str) -> Json:
        pair = self.exchange.pair(name)
        head: Json = {"eventID": f"sandbox-{next(_event_numbers)}", "pair": pair.upper}
        if self._topic == "tickers":
            return {**public_json.ticker(self.exchange, pair), "event": "TICKER", **head}
        if self._topic == "trades":
            return {"event": "TRADE", **head, **public_json.public_trades(self.exchange, pair)}
        limit = self._pairs[name]
        book = public_json.order_book(self.exchange, pair, limit)
        return {"event": "ORDER_BOOK", **head, "limit": limit, "scale": 0, **book}


class MarkPrices(Channel):
    """The mark prices of the margin currencies."""

    def first(self) -> Iterable[Json]:
        """Send all of them."""
        prices = self.exchange.loans.mark_prices()
        data = {name: plain(price) for name, price in prices.items()}
        return [{"event": "MARGIN_MARK_PRICE", "data": data}]

    def update(self, change: Change) -> Iterable[Json]:
        """Send all of them again when one moved."""
        if isinstance(change, PriceMoved) and change.pair.endswith("_usdt"):
            return self.first()
        return []


class Private(Channel):
    """A stream about one side of one account."""

    def __init__(self, exchange: Exchange, email: str, kind: Kind) -> None:
        super().__init__(exchange)
        self.email = email
        self.kind = kind

    def writer(self) -> OrderWriter:
        """Write orders under the present switches."""
        return OrderWriter(self.exchange.switches)

    def is_mine(self, order: Order) -> bool:
        """Say whether an order belongs here."""
        return order.email == self.email and order.kind == self.kind

    def is_about_me(self, change: FundsChanged) -> bool:
        """Say whether funds of this account and side changed."""
        return change.email == self.email and change.kind == self.kind


class ActiveOrders(Private):
    """Orders while they are open. What ends goes to the history stream, not here."""

    def first(self) -> Iterable[Json]:
        """Send all open orders; with none, the data is empty."""
        return [self._message(self.exchange.orders(self.kind, email=self.email, only_open=True))]

    def update(self, change: Change) -> Iterator[Json]:
        """Send an open order that is new or has changed."""
        if isinstance(change, OrderChanged) and self.is_mine(change.order) and change.order.is_open:
            yield self._message([change.order])

    def _message(self, orders: list[Order]) -> Json:
        return {"event": "ACTIVE_ORDERS", "data": self.writer().by_pair(orders)}


class HistoryOrders(Private):
    """Orders once they have ended."""

    def first(self) -> Iterable[Json]:
        """Send the recent ones, newest first."""
        done = [o for o in self.exchange.orders(self.kind, email=self.email) if not o.is_open]
        done.sort(key=lambda order: (order.updated_ms, order.number), reverse=True)
        return [self._message(done[:RECENT_HISTORY])]

    def update(self, change: Change) -> Iterator[Json]:
        """Send an order that has just ended, in its final state."""
        if (
            isinstance(change, OrderChanged)
            and self.is_mine(change.order)
            and not change.order.is_open
        ):
            yield self._message([change.order])

    def _message(self, orders: list[Order]) -> Json:
        return {"event": "RECENT_HISTORY_ORDERS", "data": self.writer().by_pair(orders)}


class UserTrades(Private):
    """Executions as they happen; nothing on connecting."""

    def update(self, change: Change) -> Iterator[Json]:
        """Send an execution."""
        if (
            isinstance(change, Traded)
            and change.trade.email == self.email
            and change.trade.kind == self.kind
        ):
            yield {"event": "USER_TRADE", "data": self.writer().streamed_trade(change.trade)}


class SpotBalances(Private):
    """The spot wallet."""

    def first(self) -> Iterable[Json]:
        """Send every currency."""
        lines = account_json.spot_balances(self.exchange, self.email)
        data: Json = {}
        for line in lines:
            name = str(line["currency"]).upper()
            data[name] = {**line, "currency": name}
        return [{"event": "ACCOUNT_BALANCE", "data": data}]

    def update(self, change: Change) -> Iterable[Json]:
        """Send every currency again: today's exchange does not pick out what changed."""
        if isinstance(change, FundsChanged) and self.is_about_me(change):
            return self.first()
        return []


class MarginAccount(Private):
    """The margin account's debts and ratio."""

    def first(self) -> Iterable[Json]:
        """Send the account as it is."""
        return [self._message("MARGIN_INIT")]

    def update(self, change: Change) -> Iterable[Json]:
        """Send it again when funds or prices moved."""
        mine = isinstance(change, FundsChanged) and self.is_about_me(change)
        if mine or isinstance(change, PriceMoved):
            return [self._message("MARGIN_UPDATE")]
        return []

    def _message(self, action: str) -> Json:
        data = account_json.streamed_margin_account(self.exchange, self.email, action)
        return {"event": "MARGIN_BALANCE_INFO", "data": data}


def find_channel(
    exchange: Exchange, path: str, pairs_query: str | None, email: str
) -> Channel | None:
    """Return the channel of a path below the stream prefix; None where there is none."""
    if path == "/margin/mark-price":
        return MarkPrices(exchange)
    if path.startswith("/auth/"):
        return _private(exchange, path.removeprefix("/auth/"), email)
    topic, _, named = path.strip("/").partition("/")
    if topic not in ("order-books", "tickers", "trades"):
        return None
    wanted = [text for text in (named or pairs_query or "").split(",") if text]
    pairs: list[tuple[str, int]] = []
    for text in wanted:
        name, _, limit = text.partition(":")
        pairs.append((exchange.pair(name).name, int(limit) if limit.isdigit() else BOOK_LEVELS))
    return Market(exchange, topic, pairs) if pairs else None


def _private(exchange: Exchange, path: str, email: str) -> Channel | None:
    choice = exchange.switches.user_trades_path
    if path == "account-balance":
        return SpotBalances(exchange, email, "spot")
    if path == "margin/account-info":
        return MarginAccount(exchange, email, "margin")
    if path == "user-trades":
        return UserTrades(exchange, email, "spot")
    if path == "margin/margin/user-trades" and choice != "plain":
        return UserTrades(exchange, email, "margin")
    if path == "margin/user-trades" and choice != "documented":
        return UserTrades(exchange, email, "margin")
    kind: Kind = "margin" if path.startswith("margin/") else "spot"
    rest = path.removeprefix("margin/")
    if rest == "orders":
        return ActiveOrders(exchange, email, kind)
    if rest == "orders/histories":
        return HistoryOrders(exchange, email, kind)
    return None
