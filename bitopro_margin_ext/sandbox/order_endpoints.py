"""Order endpoints, the same for spot and margin, and orders in the documented JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from . import queries
from .call import Call, call_of
from .queries import select_orders, select_trades
from .state import Exchange, Kind, NewOrder, Order, Reason, Refusal, Trade
from .state.amounts import floor, plain
from .state.markets import BATCH_LIMIT
from .state.order_history import STOP_TYPES
from .state.switches import Switches

Json = dict[str, object]
MARGIN_ACCOUNT_TYPE = 5


class OrderWriter:
    """Writes orders under the switches of the moment."""

    def __init__(self, switches: Switches, *, numeric_ids: bool = False) -> None:
        self._quote_originals = switches.market_buy_original_in_quote
        self._seconds = switches.open_orders_in_seconds
        self._numeric = numeric_ids or switches.numeric_ids

    def identify(self, order_id: str) -> str | int:
        """Write an id: a string, unless numbers are switched on and it is one."""
        return int(order_id) if self._numeric and order_id.isdigit() else order_id

    def created(self, order: Order) -> Json:
        """Answer to a create."""
        data: Json = {
            "orderId": self.identify(order.id),
            "timestamp": order.created_ms,
            "action": order.action,
            "amount": plain(order.asked),
            "price": plain(order.price),
            "timeInForce": order.time_in_force,
        }
        if order.type == "MARKET":
            del data["price"]
        if order.client_id is not None:
            data["clientId"] = order.client_id
        return data

    def cancelled(self, order: Order) -> Json:
        """Answer to a single cancel."""
        return {
            "orderId": self.identify(order.id),
            "action": order.action,
            "timestamp": order.updated_ms,
            "price": plain(order.price),
            "amount": plain(order.asked),
        }

    def cancelled_ids(self, done: dict[str, list[str]]) -> Json:
        """Answer to a cancel of many: upper-case pairs, and only what really was cancelled."""
        return {"data": {p: [self.identify(i) for i in ids] for p, ids in done.items()}}

    def single(self, order: Order) -> Json:
        """One order, fetched by id."""
        return {**self._body(order), "timestamp": order.updated_ms, **self._optional(order)}

    def listed(self, order: Order) -> Json:
        """One line of ``orders/all``: there is no ``timestamp`` there."""
        return {**self._body(order), **self._optional(order)}

    def open_margin(self, order: Order) -> Json:
        """One line of the margin open orders: seconds, no fee, and "" where there is no stop."""
        body = self._body(order)
        for name in ("fee", "feeSymbol"):
            del body[name]
        scale = 1000 if self._seconds else 1
        body["createdTimestamp"] = order.created_ms // scale
        body["updatedTimestamp"] = order.updated_ms // scale
        return {**body, "condition": "", "stopPrice": "", **self._optional(order)}

    def streamed(self, order: Order) -> Json:
        """One order of the streams: ``clientID`` here, and the account type for margin."""
        data = {**self._body(order), "timestamp": order.updated_ms, **self._optional(order)}
        if "clientId" in data:
            data["clientID"] = data.pop("clientId")
        if order.kind == "margin":
            data["accountType"] = MARGIN_ACCOUNT_TYPE
        return data

    def by_pair(self, orders: Iterable[Order]) -> Json:
        """Group streamed orders under their lower-case pairs."""
        data: dict[str, list[Json]] = {}
        for order in orders:
            data.setdefault(order.pair.name, []).append(self.streamed(order))
        return dict(data)

    def trade(self, trade: Trade) -> Json:
        """One line of the own trades."""
        return {
            "tradeId": self.identify(str(trade.number)),
            "orderId": self.identify(trade.order_id),
            "price": plain(trade.price),
            "action": trade.action,
            "baseAmount": plain(trade.amount),
            "quoteAmount": plain(trade.quote_amount),
            "fee": plain(trade.fee),
            "feeSymbol": trade.fee_currency.lower(),
            "isTaker": trade.is_taker,
            "timestamp": trade.at_ms,
            "createdTimestamp": trade.at_ms,
        }

    def streamed_trade(self, trade: Trade) -> Json:
        """The data of a user-trade event; times are in seconds there."""
        return {
            "base": trade.pair.base.lower(),
            "quote": trade.pair.quote.lower(),
            "side": "bid" if trade.action == "BUY" else "ask",
            "price": plain(trade.price),
            "volume": plain(trade.amount),
            "fee": plain(trade.fee),
            "feeCurrency": trade.fee_currency.lower(),
            "transactionTimestamp": trade.at_ms // 1000,
            "eventTimestamp": trade.at_ms // 1000,
            "orderID": self.identify(trade.order_id),
            "orderType": trade.order_type,
            "matchID": "" if trade.kind == "margin" else str(trade.number),
            "isMarket": trade.order_type == "MARKET",
            "isMaker": not trade.is_taker,
        }

    def _body(self, order: Order) -> Json:
        original, remaining = order.original, order.remaining
        if self._quote_originals and order.type == "MARKET" and order.action == "BUY":
            original, remaining = order.asked, order.asked - order.total
        return {
            "id": self.identify(order.id),
            "pair": order.pair.name,
            "price": plain(order.price),
            "avgExecutionPrice": plain(floor(order.average)),
            "action": order.action,
            "type": order.type,
            "createdTimestamp": order.created_ms,
            "updatedTimestamp": order.updated_ms,
            "status": int(order.status),
            "originalAmount": plain(original),
            "remainingAmount": plain(remaining),
            "executedAmount": plain(order.executed),
            "fee": plain(order.fee),
            "feeSymbol": order.receives.lower(),
            "bitoFee": "0",
            "total": plain(order.total),
            "seq": order.seq,
            "timeInForce": order.time_in_force,
        }

    def _optional(self, order: Order) -> Json:
        data: Json = {}
        if order.type in STOP_TYPES and order.stop_price is not None:
            data["stopPrice"] = plain(order.stop_price)
            data["condition"] = order.condition or ""
        if order.client_id is not None:
            data["clientId"] = order.client_id
        return data


Admit = Callable[[Request, Kind], str]


def order_routes(exchange: Exchange, kind: Kind, admit: Admit) -> APIRouter:
    """Build the order endpoints of one side of the account.

    ``admit`` checks the signature and returns the account's email, or refuses.
    """
    router = APIRouter()

    def writer(call: Call) -> OrderWriter:
        return OrderWriter(exchange.switches, numeric_ids=call.numeric_ids)

    def visible(
        call: Call, email: str, pair: str | None = None, *, in_list: bool = True
    ) -> list[Order]:
        """Return the account's orders as a list or a look-up shows them, which may be late."""
        now, lag = exchange.clock.now_ms(), call.listing_lag_ms
        views = [
            order.as_shown(now, lag, in_list=in_list)
            for order in exchange.orders(kind, pair, email)
        ]
        return [view for view in views if view is not None]

    async def open_orders(request: Request) -> JSONResponse:
        email, call = admit(request, kind), call_of(request)
        wanted = request.query_params.get("pair") or None
        with exchange.lock:
            pair = exchange.pair(wanted, kind, "read").name if wanted else None
            found = [order for order in visible(call, email, pair) if order.is_open]
            found.sort(key=lambda order: (order.updated_ms, order.number), reverse=True)
            write = writer(call)
            line = write.open_margin if kind == "margin" else write.listed
            return JSONResponse({"data": [line(order) for order in found]})

    if kind == "margin":

        @router.get("/orders/orders/open")
        async def documented_open_orders(request: Request) -> JSONResponse:
            if exchange.switches.open_orders_path == "plain":
                raise Reason.UNKNOWN_PATH()
            return await open_orders(request)

        @router.get("/orders/open")
        async def plain_open_orders(request: Request) -> JSONResponse:
            if exchange.switches.open_orders_path == "documented":
                raise Reason.UNKNOWN_PATH()
            return await open_orders(request)

    else:
        router.get("/orders/open")(open_orders)

    @router.get("/orders/all/{pair}")
    async def all_orders(pair: str, request: Request) -> JSONResponse:
        email, call = admit(request, kind), call_of(request)
        query = queries.order_query(request.query_params)
        with exchange.lock:
            found = select_orders(
                visible(call, email, exchange.pair(pair, kind, "read").name),
                query,
                exchange.clock.now_ms(),
                cancelled_is_done=exchange.switches.done_includes_cancelled,
            )
            write = writer(call)
            return JSONResponse({"data": [write.listed(order) for order in found]})

    @router.get("/orders/trades/{pair}")
    async def trades(pair: str, request: Request) -> JSONResponse:
        email, call = admit(request, kind), call_of(request)
        query = queries.trade_query(request.query_params)
        with exchange.lock:
            now = exchange.clock.now_ms()
            mine = exchange.trades(kind, exchange.pair(pair, kind, "read").name, email)
            mine = [trade for trade in mine if trade.at_ms <= now - call.listing_lag_ms]
            write = writer(call)
            return JSONResponse(
                {"data": [write.trade(trade) for trade in select_trades(mine, query, now)]}
            )

    @router.get("/orders/{pair}/{order_id}")
    async def one_order(pair: str, order_id: str, request: Request) -> JSONResponse:
        email, call = admit(request, kind), call_of(request)
        with exchange.lock:
            name = exchange.pair(pair, kind, "read").name
            for order in visible(call, email, name, in_list=False):
                if order.id == order_id:
                    return JSONResponse(writer(call).single(order))
            raise Reason.UNKNOWN_ORDER(order_id=order_id)

    @router.post("/orders/batch")
    async def create_batch(request: Request) -> JSONResponse:
        email, call = admit(request, kind), call_of(request)
        bodies = queries.json_objects(call.body)
        if not 1 <= len(bodies) <= BATCH_LIMIT:
            raise Reason.BATCH_TOO_LONG(limit=BATCH_LIMIT)
        with exchange.lock:
            # Everything that can be read wrong is refused before anything is placed.
            news = [queries.read_new_order(body, allow_stop=False) for body in bodies]
            pairs = [exchange.pair(str(body.get("pair", "")), kind).name for body in bodies]
            data = []
            for pair, new in zip(pairs, news, strict=True):
                try:
                    data.append(created(call, pair, new, email))
                except Refusal as refusal:
                    data.append({"error": refusal.text})
            return JSONResponse({"data": data})

    @router.post("/orders/{pair}")
    async def create(pair: str, request: Request) -> JSONResponse:
        email, call = admit(request, kind), call_of(request)
        body = queries.json_object(call.body)
        with exchange.lock:
            exchange.pair(pair, kind)
            return JSONResponse(created(call, pair, queries.read_new_order(body), email))

    def created(call: Call, pair: str, new: NewOrder, email: str) -> Json:
        order = exchange.place(kind, pair, new, email, match=call.match)
        call.created.append(order)
        return writer(call).created(order)

    @router.put("/orders")
    async def cancel_batch(request: Request) -> JSONResponse:
        email, call = admit(request, kind), call_of(request)
        wanted = queries.ids_by_pair(call.body)
        with exchange.lock:
            orders = [
                order
                for name, ids in wanted.items()
                for order in exchange.orders(kind, exchange.pair(name, kind, "write").name, email)
                if order.id in ids
            ]
            return JSONResponse(cancel_many(call, orders))

    def cancel_scope(call: Call, email: str, pair: str | None) -> Json:
        with exchange.lock:
            orders = exchange.orders(kind, pair, email, only_open=True)
            # A cancel of everything leaves out what maintenance has closed.
            return cancel_many(call, [o for o in orders if not exchange.refuses(o.pair, "write")])

    def cancel_many(call: Call, orders: list[Order]) -> Json:
        named = [order for order in orders if order.is_open]
        done = exchange.cancel_many(kind, orders, call.keep_open)
        if call.claim_uncancelled:
            done = {}
            for order in named:
                done.setdefault(order.pair.upper, []).append(order.id)
        return writer(call).cancelled_ids(done)

    @router.delete("/orders/all")
    async def cancel_all(request: Request) -> JSONResponse:
        email = admit(request, kind)
        return JSONResponse(cancel_scope(call_of(request), email, None))

    @router.delete("/orders/{pair}")
    async def cancel_pair(pair: str, request: Request) -> JSONResponse:
        email = admit(request, kind)
        name = exchange.pair(pair, kind, "write").name
        return JSONResponse(cancel_scope(call_of(request), email, name))

    @router.delete("/orders/{pair}/{order_id}")
    async def cancel_one(pair: str, order_id: str, request: Request) -> JSONResponse:
        email, call = admit(request, kind), call_of(request)
        with exchange.lock:
            exchange.pair(pair, kind, "write")
            if call.fill_instead is not None:
                order = exchange.order(order_id, pair.lower())
                call.fill_instead(order)
                if not order.is_open:
                    answer = {**writer(call).cancelled(order), "status": int(order.status)}
                    return JSONResponse(answer)
            order = exchange.cancel(kind, pair, order_id, email)
            return JSONResponse(writer(call).cancelled(order))

    return router
