"""Orders and trades in the documented JSON; every place has its own selection of fields."""

from __future__ import annotations

from collections.abc import Iterable

from .state import Order, Trade
from .state.amounts import floor, plain
from .state.orders import STOP_TYPES
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
