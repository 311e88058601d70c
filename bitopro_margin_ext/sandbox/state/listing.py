"""Which orders and trades a listing shows: the filters of the documented queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from bitopro_margin_ext.sandbox.state.orders import Order, Status, Trade

DAY_MS: Final = 86_400_000
KEPT_MS: Final = 90 * DAY_MS
DEFAULT_LIMIT: Final = 100
LARGEST_LIMIT: Final = 1000

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
