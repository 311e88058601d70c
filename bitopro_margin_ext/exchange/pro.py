"""The unified methods of the streams."""

import urllib.parse
from collections.abc import Mapping
from typing import Any

import ccxt
import ccxt.pro

from ..core.endpoints import (
    ACCOUNT_INFO_STREAM,
    ACTIVE_ORDERS_STREAM,
    HISTORY_ORDERS_STREAM,
    MARK_PRICE_STREAM,
    USER_TRADES_STREAM,
    USER_TRADES_STREAM_FALLBACK,
    Stream,
)
from ..core.parse import ParsedOrder, milliseconds, parse_order
from .arguments import optional_pair
from .async_support import bitopromargin as asynchronous_bitopromargin
from .describe import STREAMING, documented
from .flow import NO_PARAMS, Params, Structure
from .market_data import chosen_tickers, mark_tickers, marked_symbol, marked_symbols
from .paging import read_window
from .params import margin_params, refuse_raw
from .pro_cache import LatestValue, OrderCache, TradeCache
from .pro_connection import StreamFollowing
from .structures import Order, order_from_row, stream_trade_from_row

LIST_LIMIT = 1000
"""How many orders one list call may bring."""


class MarginWatching(StreamFollowing):
    """``watch_*`` on the margin account; with ``type`` spot, the inherited ones."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.order_feed = OrderCache()
        self.trade_feed = TradeCache()
        self.account_feed = LatestValue()
        self.mark_feed = LatestValue()
        self.user_trades_stream = USER_TRADES_STREAM
        super().__init__(config)

    def set_sandbox_mode(self, enabled: bool) -> None:
        """Point REST and streams at the sandbox, or back; what the other side has sent is dropped.

        :raises ccxt.BadRequest: when the sandbox's address is the live exchange's.
        """
        before = dict(self.urls["ws"])
        super().set_sandbox_mode(enabled)
        if self.urls["ws"] != before:
            self.order_feed, self.trade_feed = OrderCache(), TradeCache()
            self.account_feed, self.mark_feed = LatestValue(), LatestValue()

    # -- orders --------------------------------------------------------------------------------

    @documented(ACTIVE_ORDERS_STREAM, HISTORY_ORDERS_STREAM)
    async def watch_orders(
        self,
        symbol: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: Params = NO_PARAMS,
    ) -> list[Order]:
        """Watch margin orders: open ones and, in their final state, filled and cancelled ones.

        The first call returns what both order streams send on connecting, open orders and recent
        history; each further one the orders that have changed since, at once if some have. After
        a lost connection, and after ``options.streamResync`` seconds (60) in which both streams
        were silent, REST is asked what became of every order, so that no end is missed; a consumer
        (a symbol, or None for all) sees each change once. With ``newUpdates: False`` the whole
        cache is returned.

        :raises ccxt.AuthenticationError: without ``login``, the email of the account.
        """
        margin, rest = margin_params(self, params)
        if not margin:
            raise ccxt.NotSupported(f"{self.id} watchOrders() is for the margin account only")
        refuse_raw(self, "watchOrders", rest)
        window = read_window(self, since, limit, {})
        scope = optional_pair(self, symbol)
        feed = self.order_feed
        streams = (ACTIVE_ORDERS_STREAM, HISTORY_ORDERS_STREAM)
        for stream in streams:
            self.authenticate(self.stream_url(stream))
        changed = await self.follow(
            feed, lambda: streams, lambda: feed.take(scope), self._resync_orders, whole=True
        )
        if not self.newUpdates:
            changed = [dict(o) for k, o in feed.orders.items() if scope in (None, k[0])]
        return window.tail(changed)

    async def _resync_orders(self) -> None:
        """Ask REST what became of each order that may have changed unseen."""
        feed, margin = self.order_feed, {"type": "margin"}
        before = set(feed.open_keys())
        lost_ms = (feed.last_message_ms or 0) - 60_000
        listed = await self.fetch_open_orders(None, None, None, margin)
        still_open = set()
        for order in listed:
            still_open.add((order["symbol"], order["id"]))
            feed.apply(order)
        missing = before - still_open
        # An order may have come and gone unseen, on any pair that somebody follows.
        for symbol in sorted({key[0] for key in missing} | set(feed.scopes)):
            for order in await self.fetch_orders(symbol, None, LIST_LIMIT, margin):
                key = (symbol, order["id"])
                if key in feed.orders or (order["lastUpdateTimestamp"] or 0) >= lost_ms:
                    feed.apply(order)
        for symbol, order_id in sorted(missing & set(feed.open_keys())):
            try:
                feed.apply(await self.fetch_order(order_id, symbol, margin))
            except (ccxt.InvalidOrder, ccxt.BadSymbol):
                # Not known any more: what was last said of it stands, unproven.
                continue

    def heard_orders(self) -> list[ParsedOrder]:
        """What the order streams have sent, as parsed rows, while both are connected."""
        streams = (ACTIVE_ORDERS_STREAM, HISTORY_ORDERS_STREAM)
        if self.order_feed.gap or not all(
            self._is_connected(self.stream_url(stream)) for stream in streams
        ):
            return []
        return [parse_order(order["info"]) for order in self.order_feed.orders.values()]

    # -- trades --------------------------------------------------------------------------------

    @documented(USER_TRADES_STREAM)
    async def watch_my_trades(
        self,
        symbol: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: Params = NO_PARAMS,
    ) -> list[Order]:
        """Watch own trades on the margin account, from the first call on.

        The stream gives margin trades no ``id`` and counts their time in seconds; those that a
        lost connection missed come from REST, with both.

        :raises ccxt.AuthenticationError: without ``login``, the email of the account.
        """
        margin, rest = margin_params(self, params)
        if not margin:
            found: list[Order] = await super().watch_my_trades(symbol, since, limit, rest)
            return found
        refuse_raw(self, "watchMyTrades", rest)
        window = read_window(self, since, limit, {})
        scope = optional_pair(self, symbol)
        feed = self.trade_feed
        feed.follow(scope)
        self.authenticate(self.stream_url(self.user_trades_stream))
        fallback = USER_TRADES_STREAM_FALLBACK
        try:
            trades = await self._follow_trades(scope)
        except ccxt.NotSupported:
            if self.user_trades_stream is fallback:
                raise
            # The documented path doubles a word: where there is none, the plain one is tried.
            self.user_trades_stream = fallback
            trades = await self._follow_trades(scope)
        return window.tail(trades)

    async def _follow_trades(self, scope: str | None) -> list[Order]:
        feed = self.trade_feed
        return await self.follow(
            feed,
            lambda: (self.user_trades_stream,),
            lambda: feed.take(scope),
            self._resync_trades,
        )

    async def _resync_trades(self) -> None:
        feed = self.trade_feed
        if feed.last_message_ms is None:
            return
        symbols = set(feed.scopes)
        if feed.follows_all:
            await self.load_markets()
            symbols |= {market["symbol"] for market in self.markets.values() if market["margin"]}
        since = feed.last_message_ms // 1000 * 1000
        params = {"type": "margin", "paginate": True}
        for symbol in sorted(symbols):
            feed.add_missed(await self.fetch_my_trades(symbol, since, None, params))

    # -- the account ---------------------------------------------------------------------------

    @documented(ACCOUNT_INFO_STREAM)
    async def watch_balance(self, params: Params = NO_PARAMS) -> Structure:
        """Watch the margin account: returns whenever the exchange says that it has moved.

        The stream names debts and the ratio only, so each time the balances themselves are
        fetched; ``timestamp`` is the stream's.

        :raises ccxt.AuthenticationError: without ``login``, the email of the account.
        """
        margin, rest = margin_params(self, params)
        if not margin:
            found: Structure = await super().watch_balance(rest)
            return found
        refuse_raw(self, "watchBalance", rest)
        self.authenticate(self.stream_url(ACCOUNT_INFO_STREAM))
        message = await self.follow(
            self.account_feed, lambda: (ACCOUNT_INFO_STREAM,), self.account_feed.waiter()
        )
        try:
            balance: Structure = await self.fetch_balance({"type": "margin"})
        except BaseException:
            self.account_feed.restore()
            raise
        balance["timestamp"] = milliseconds(message, "timestamp")
        balance["datetime"] = self.iso8601(balance["timestamp"])
        return balance

    # -- mark prices ---------------------------------------------------------------------------

    @documented(MARK_PRICE_STREAM)
    async def watch_mark_prices(
        self, symbols: list[str] | None = None, params: Params = NO_PARAMS
    ) -> dict[str, Structure]:
        """Watch the prices at which the exchange values the margin account; no keys are needed.

        :returns: tickers with ``markPrice`` by symbol, all in USDT.
        """
        refuse_raw(self, "watchMarkPrices", params)
        return await self._follow_marks(marked_symbols(self, symbols))

    @documented(MARK_PRICE_STREAM)
    async def watch_mark_price(self, symbol: str, params: Params = NO_PARAMS) -> Structure:
        """Watch the mark price of one pair with USDT, as ``watch_mark_prices`` does."""
        refuse_raw(self, "watchMarkPrice", params)
        symbol = marked_symbol(self, symbol)
        return (await self._follow_marks([symbol]))[symbol]

    async def _follow_marks(self, wanted: list[str] | None) -> dict[str, Structure]:
        scope = None if wanted is None else ",".join(wanted)
        tickers = await self.follow(
            self.mark_feed, lambda: (MARK_PRICE_STREAM,), self.mark_feed.waiter(scope)
        )
        return chosen_tickers(self, tickers, wanted)

    # -- messages ------------------------------------------------------------------------------

    def handle_message(self, client: Any, message: Any) -> None:
        """Take in a message of a margin stream; ``ccxt.pro.bitopro`` those of its own."""
        stream = self._stream_of(client.url)
        if stream is None:
            super().handle_message(client, message)
            return
        feed, take_in = {
            ACTIVE_ORDERS_STREAM: (self.order_feed, self._take_orders),
            HISTORY_ORDERS_STREAM: (self.order_feed, self._take_orders),
            USER_TRADES_STREAM: (self.trade_feed, self._take_trade),
            USER_TRADES_STREAM_FALLBACK: (self.trade_feed, self._take_trade),
            ACCOUNT_INFO_STREAM: (self.account_feed, self._take_account),
            MARK_PRICE_STREAM: (self.mark_feed, self._take_marks),
        }[stream]
        take_in(message)
        client.subscriptions["received"] = True
        feed.note_message(milliseconds(message, "timestamp"))

    def _stream_of(self, url: str) -> Stream | None:
        streams = (
            ACTIVE_ORDERS_STREAM,
            HISTORY_ORDERS_STREAM,
            USER_TRADES_STREAM,
            USER_TRADES_STREAM_FALLBACK,
            ACCOUNT_INFO_STREAM,
            MARK_PRICE_STREAM,
        )
        bare = urllib.parse.urlsplit(url)._replace(query="").geturl()
        return next((stream for stream in streams if self.stream_url(stream) == bare), None)

    def _take_orders(self, message: Mapping[str, Any]) -> None:
        for rows in (message["data"] or {}).values():
            for row in sorted(rows or [], key=_moment):
                self.order_feed.apply(order_from_row(self, row))

    def _take_trade(self, message: Mapping[str, Any]) -> None:
        self.trade_feed.add(stream_trade_from_row(self, message["data"]))

    def _take_account(self, message: Mapping[str, Any]) -> None:
        self.account_feed.put(message, milliseconds(message, "timestamp"))

    def _take_marks(self, message: Mapping[str, Any]) -> None:
        moment = milliseconds(message, "timestamp")
        self.mark_feed.put(mark_tickers(self, message["data"], moment), moment)


def _moment(row: Mapping[str, Any]) -> int:
    return milliseconds(row, "updatedTimestamp", "timestamp") or 0


class bitopromargin(MarginWatching, asynchronous_bitopromargin, ccxt.pro.bitopro):  # type: ignore[misc]  # noqa: N801 - ccxt's naming
    """The asynchronous margin class and its streams; ``ccxt.pro.bitopro``'s for the rest."""

    def describe(self) -> Any:
        """ccxt's description of the exchange, streams included."""
        return self.deep_extend(super().describe(), STREAMING)
