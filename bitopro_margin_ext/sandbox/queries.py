"""Reading what a request asks for: JSON bodies, and the filters of the listings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from .state import Reason
from .state.amounts import to_decimal
from .state.order_history import API_TYPES, NewOrder, Order, Status, Trade

DAY_MS: Final = 86_400_000
KEPT_MS: Final = 90 * DAY_MS
DEFAULT_LIMIT: Final = 100
LARGEST_LIMIT: Final = 1000
LARGEST_CLIENT_ID: Final = 2_147_483_647

StatusKind = Literal["ALL", "OPEN", "DONE"]
_DONE_AS_DOCUMENTED: Final = (Status.FILLED, Status.PARTLY_FILLED_DONE)


@dataclass(frozen=True, slots=True)
class OrderQuery:
    """The filters of ``orders/all``; a status takes precedence over a status kind."""

    start_ms: int | None = None
    end_ms: int | None = None
    status_kind: StatusKind = "ALL"
    status: int | None = None
    order_number: int | None = None
    client_id: int | None = None
    limit: int = DEFAULT_LIMIT
    without_time_limit: bool = False


@dataclass(frozen=True, slots=True)
class TradeQuery:
    """The filters of ``orders/trades``."""

    start_ms: int | None = None
    end_ms: int | None = None
    order_id: str | None = None
    trade_number: int | None = None
    limit: int = DEFAULT_LIMIT


def select_orders(
    orders: Iterable[Order], query: OrderQuery, now_ms: int, *, cancelled_is_done: bool
) -> list[Order]:
    """Apply the filters; newest first by time of creation."""
    start, end = _span(query.start_ms, query.end_ms, now_ms)
    if query.without_time_limit and query.status_kind == "OPEN":
        start = 0
    chosen = [
        order
        for order in orders
        if start <= order.created_ms <= end
        and _has_status(order, query, cancelled_is_done)
        and (query.order_number is None or order.number <= query.order_number)
        and (query.client_id is None or order.client_id == query.client_id)
    ]
    chosen.sort(key=lambda order: (order.created_ms, order.number), reverse=True)
    return chosen[: query.limit]


def select_trades(trades: Iterable[Trade], query: TradeQuery, now_ms: int) -> list[Trade]:
    """Apply the filters; newest first."""
    start, end = _span(query.start_ms, query.end_ms, now_ms)
    chosen = [
        trade
        for trade in trades
        if start <= trade.at_ms <= end
        and (query.order_id is None or trade.order_id == query.order_id)
        and (query.trade_number is None or trade.number <= query.trade_number)
    ]
    chosen.sort(key=lambda trade: trade.number, reverse=True)
    return chosen[: query.limit]


def _span(start_ms: int | None, end_ms: int | None, now_ms: int) -> tuple[int, int]:
    end = now_ms if end_ms is None else end_ms
    oldest = end - KEPT_MS
    return (oldest if start_ms is None else max(start_ms, oldest)), end


def _has_status(order: Order, query: OrderQuery, cancelled_is_done: bool) -> bool:
    if query.status is not None:
        return order.status == query.status
    if query.status_kind == "OPEN":
        return order.is_open
    if query.status_kind == "DONE":
        return not order.is_open if cancelled_is_done else order.status in _DONE_AS_DOCUMENTED
    return True


Query = Mapping[str, str]


def json_object(body: bytes) -> dict[str, object]:
    """Read a JSON object, or refuse the body."""
    parsed = _json(body)
    if not isinstance(parsed, dict):
        raise Reason.INVALID_BODY()
    return parsed


def json_objects(body: bytes) -> list[dict[str, object]]:
    """Read a JSON list of objects, or refuse the body."""
    parsed = _json(body)
    if not isinstance(parsed, list) or not all(isinstance(item, dict) for item in parsed):
        raise Reason.INVALID_BODY()
    return parsed


def ids_by_pair(body: bytes) -> dict[str, list[str]]:
    """Read the body of a batch cancel; ids may come as strings or as numbers."""
    wanted: dict[str, list[str]] = {}
    for pair, ids in json_object(body).items():
        if not isinstance(ids, list) or not all(isinstance(i, (str, int)) for i in ids):
            raise Reason.INVALID_BODY()
        wanted[pair] = [str(i) for i in ids]
    return wanted


def order_query(query: Query) -> OrderQuery:
    """Read the filters of ``orders/all``."""
    kind = query.get("statusKind", "ALL") or "ALL"
    if kind not in ("ALL", "OPEN", "DONE"):
        raise Reason.WRONG_PARAMETER(field="statusKind")
    return OrderQuery(
        start_ms=_integer(query, "startTimestamp"),
        end_ms=_integer(query, "endTimestamp"),
        status_kind="OPEN" if kind == "OPEN" else "DONE" if kind == "DONE" else "ALL",
        status=_integer(query, "status"),
        order_number=_number_of_id(query, "orderId"),
        client_id=_integer(query, "clientId"),
        limit=_limit(query),
        without_time_limit=query.get("ignoreTimeLimitEnable", "").lower() == "true",
    )


def trade_query(query: Query) -> TradeQuery:
    """Read the filters of ``orders/trades``."""
    return TradeQuery(
        start_ms=_integer(query, "startTimestamp"),
        end_ms=_integer(query, "endTimestamp"),
        order_id=query.get("orderId") or None,
        trade_number=_number_of_id(query, "tradeId"),
        limit=_limit(query),
    )


def read_new_order(body: Mapping[str, object], *, allow_stop: bool = True) -> NewOrder:
    """Read the documented fields of a create request, in any letter case; refuse what is not one.

    An empty string stands for an absent value, as it does in the exchange's own answers.
    """
    action = str(body.get("action", "")).upper()
    if action not in ("BUY", "SELL"):
        raise Reason.WRONG_PARAMETER(field="action")
    kind = str(body.get("type", "")).upper()
    if kind not in API_TYPES or (kind == "STOP_LIMIT" and not allow_stop):
        raise Reason.UNSUPPORTED_TYPE()
    moment = body.get("timestamp")
    if isinstance(moment, bool) or not isinstance(moment, int):
        raise Reason.WRONG_PARAMETER(field="timestamp")
    amount = to_decimal(body.get("amount"))
    if amount is None or amount <= 0:
        raise Reason.INVALID_AMOUNT(value=body.get("amount"))
    price = stop = condition = None
    if kind != "MARKET":
        price = _positive_price(body, "price")
    if kind == "STOP_LIMIT":
        stop = _positive_price(body, "stopPrice")
        condition = str(body.get("condition", ""))
        if condition not in (">=", "<="):
            raise Reason.WRONG_PARAMETER(field="condition")
    return NewOrder(
        action="BUY" if action == "BUY" else "SELL",
        type=kind,
        amount=amount,
        price=price,
        stop_price=stop,
        condition=condition,
        time_in_force=_time_in_force(body, kind),
        client_id=_client_id(body),
    )


def currency(body: Mapping[str, object]) -> str:
    """Read a required currency."""
    value = body.get("currency")
    if not isinstance(value, str) or not value:
        raise Reason.UNSUPPORTED_CURRENCY()
    return value


def amount(body: Mapping[str, object], field: str) -> Decimal:
    """Read a required positive amount."""
    value = to_decimal(body.get(field))
    if value is None or value <= 0:
        raise Reason.INVALID_AMOUNT(value=body.get(field))
    return value


def seconds(query: Query, name: str) -> int:
    """Read a required time in seconds."""
    value = _integer(query, name)
    if value is None:
        raise Reason.WRONG_PARAMETER(field=name)
    return value


def book_limit(query: Query, default: int) -> int:
    """Read how many levels of the book are asked for."""
    limit = _integer(query, "limit")
    if limit is None:
        return default
    if limit < 1:
        raise Reason.WRONG_PARAMETER(field="limit")
    return limit


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        raise Reason.INVALID_BODY() from None


def _integer(query: Query, name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise Reason.WRONG_PARAMETER(field=name) from None


def _number_of_id(query: Query, name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    digits = text.rpartition("-")[2]
    if not digits.isdigit():
        raise Reason.WRONG_PARAMETER(field=name)
    return int(digits)


def _limit(query: Query) -> int:
    limit = _integer(query, "limit")
    if limit is None:
        return DEFAULT_LIMIT
    if not 0 <= limit <= LARGEST_LIMIT:
        raise Reason.WRONG_PARAMETER(field="limit")
    return limit


def _positive_price(body: Mapping[str, object], field: str) -> Decimal:
    price = to_decimal(body.get(field))
    if price is None or price <= 0:
        raise Reason.INVALID_PRICE(value=body.get(field))
    return price


def _time_in_force(body: Mapping[str, object], kind: str) -> str:
    value = body.get("timeInForce") or "GTC"
    if value not in ("GTC", "POST_ONLY"):
        raise Reason.WRONG_PARAMETER(field="timeInForce")
    # The page: for MARKET and STOP_LIMIT this is always GTC, whatever was sent.
    return str(value) if kind == "LIMIT" else "GTC"


def _client_id(body: Mapping[str, object]) -> int | None:
    value = body.get("clientId")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Reason.WRONG_PARAMETER(field="clientId")
    if not 1 <= value <= LARGEST_CLIENT_ID:
        raise Reason.WRONG_PARAMETER(field="clientId")
    return value
