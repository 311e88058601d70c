"""Websocket streams: everything once on connecting, then what changes."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from fastapi import APIRouter, WebSocket
from fastapi.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect

from . import STREAM_PREFIX
from .account_endpoints import spot_balances_json, streamed_margin_account_json
from .auth import Authenticator
from .call import RequestLog, call_of
from .fault_effects import Delivery
from .order_endpoints import OrderWriter
from .public_endpoints import order_book_json, public_trades_json, ticker_json
from .state import Exchange, Kind, Reason, Refusal
from .state.amounts import plain
from .state.order_history import (
    Change,
    FundsChanged,
    Order,
    OrderChanged,
    PriceMoved,
    Traded,
    WasReset,
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
            return {**ticker_json(self.exchange, pair), "event": "TICKER", **head}
        if self._topic == "trades":
            return {"event": "TRADE", **head, **public_trades_json(self.exchange, pair)}
        limit = self._pairs[name]
        book = order_book_json(self.exchange, pair, limit)
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
        lines = spot_balances_json(self.exchange, self.email)
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
        data = streamed_margin_account_json(self.exchange, self.email, action)
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


@dataclass(slots=True)
class Connection:
    """One open stream."""

    path: str
    transport: Any
    loop: asyncio.AbstractEventLoop


class Streams:
    """The open streams, and what tests can do to them."""

    def __init__(self, exchange: Exchange, authenticator: Authenticator, log: RequestLog) -> None:
        self.exchange = exchange
        self.authenticator = authenticator
        self.log = log
        self.refusals: list[int] = []
        self._open: list[Connection] = []

    def open_paths(self) -> list[str]:
        """Name the streams that are connected."""
        return [connection.path for connection in list(self._open)]

    def drop(self, pattern: str) -> int:
        """Cut connections whose path matches, without a closing handshake; returns how many."""
        chosen = [
            c
            for c in list(self._open)
            if fnmatchcase(c.path, pattern)
            or fnmatchcase(c.path.removeprefix(STREAM_PREFIX), pattern)
        ]
        for connection in chosen:
            connection.loop.call_soon_threadsafe(connection.transport.abort)
        return len(chosen)

    async def serve(self, socket: WebSocket) -> None:
        """Admit one client and feed it until it leaves."""
        path = socket.url.path
        line = self.log.open(self.exchange.clock.now_ms(), "WS", path, socket.url.query or "", b"")
        try:
            channel, email = self._admit(socket)
            line.account = email or None
        except Refusal as refusal:
            line.status, line.done = refusal.status, True
            await socket.send_denial_response(
                JSONResponse({"error": refusal.text}, status_code=refusal.status)
            )
            return
        line.status, line.done = 101, True
        rules = call_of(socket).rules
        line.faults = [rule.kind for rule in rules]
        await socket.accept()
        if any(rule.kind == "close_after_accept" for rule in rules):
            await socket.close(1001)
            return
        connection = Connection(path, socket.state.transport, asyncio.get_running_loop())
        self._open.append(connection)
        try:
            await self._feed(socket, channel, Delivery(rules))
        finally:
            self._open.remove(connection)

    def _admit(self, socket: WebSocket) -> tuple[Channel, str]:
        if self.refusals:
            raise Refusal(self.refusals.pop(0), "Stream refused")
        path = socket.url.path.removeprefix(STREAM_PREFIX)
        email = ""
        if path.startswith("/auth/"):
            shift = call_of(socket).clock_shift_ms
            key = self.authenticator.admit_stream(path, socket.headers, shift)
            if path.startswith("/auth/margin/") and not key.margin:
                raise Reason.FORBIDDEN()
            email = key.email
        channel = find_channel(self.exchange, path, socket.query_params.get("pairs"), email)
        if channel is None:
            raise Reason.UNKNOWN_PATH()
        return channel, email

    async def _feed(self, socket: WebSocket, channel: Channel, delivery: Delivery) -> None:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Json | None] = asyncio.Queue()

        def listener(change: Change) -> None:
            if isinstance(change, WasReset):
                messages: list[Json | None] = [None]
            else:
                messages = list(channel.update(change))
            for message in messages:
                with suppress(RuntimeError):  # the loop is closing
                    loop.call_soon_threadsafe(queue.put_nowait, message)

        with self.exchange.lock:
            # Under the lock, so that nothing falls between the first message and the listening.
            for message in channel.first():
                queue.put_nowait(message)
            stop = self.exchange.listen(listener)
        gone = asyncio.create_task(_until_gone(socket))
        try:
            await self._pump(socket, queue, gone, delivery)
        finally:
            stop()
            gone.cancel()

    async def _pump(
        self,
        socket: WebSocket,
        queue: asyncio.Queue[Json | None],
        gone: asyncio.Task[None],
        delivery: Delivery,
    ) -> None:
        while not gone.done():
            getter = asyncio.create_task(queue.get())
            await asyncio.wait({getter, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not getter.done():
                getter.cancel()
                return
            message = getter.result()
            with suppress(WebSocketDisconnect, RuntimeError):
                if message is None:
                    await socket.close(1012)
                    return
                for text in delivery.pass_on(json.dumps(self._stamped(message))):
                    await socket.send_text(text)

    def _stamped(self, message: Json) -> Json:
        now = self.exchange.clock.now_ms()
        written = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000))
        return {
            "event": message["event"],
            "timestamp": now,
            "datetime": f"{written}.{now % 1000:03d}Z",
            **{name: value for name, value in message.items() if name != "event"},
        }


def stream_routes(streams: Streams) -> APIRouter:
    """Build the websocket endpoint; which channel it is, the path decides."""
    router = APIRouter()

    @router.websocket(STREAM_PREFIX + "/{channel:path}")
    async def stream(socket: WebSocket) -> None:
        await streams.serve(socket)

    return router


async def _until_gone(socket: WebSocket) -> None:
    """Read what the client sends, which means nothing here, until it has left."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
