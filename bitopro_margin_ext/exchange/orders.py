"""Unified methods that read margin orders and balances."""

from typing import Any, Final

import ccxt

from ..core import symbols
from ..core.endpoints import FETCH_ORDER, ORDERS, TRADES
from .flow import NO_PARAMS, Flow, Inherited, Params, call, failure_of
from .structures import (
    Order,
    margin_params,
    named_order,
    order_from_row,
    require_pair,
    require_symbol,
    rows_of,
    sorted_since_limit,
    trade_from_row,
)


def fetch_order(
    api: Any, id: str, symbol: str | None = None, params: Params = NO_PARAMS
) -> Flow[Order]:
    """Fetch one margin order, in whatever state it is.

    :raises ccxt.OrderNotFound: when the exchange does not know it.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_get_an_order_data.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        order: Order = yield Inherited("fetch_order", (id, symbol, rest))
        return order
    symbol = require_symbol(api, symbol, "fetchOrder")
    request = {**rest, "pair": symbols.pair_id(symbol), "orderId": id}
    return named_order(api, (yield from call(api, FETCH_ORDER, request)), symbol, id)


def fetch_open_orders(
    api: Any,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[list[Order]]:
    """Fetch the open margin orders of a pair, or of all; untriggered stops are open too.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_get_open_orders_data.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        orders: list[Order] = yield Inherited("fetch_open_orders", (symbol, since, limit, rest))
        return orders
    if symbol is not None:
        symbol = require_pair(api, symbol)
        rest = {**rest, "pair": symbols.pair_id(symbol)}
    answer = yield from _open_orders(api, rest)
    found = [order_from_row(api, row, symbol) for row in rows_of(api, answer)]
    return sorted_since_limit(found, since, limit)


def _open_orders(api: Any, request: Params) -> Flow[Any]:
    """Ask at the documented path, and where that is not found at the other."""
    documented, *others = api.open_orders_path.candidates
    try:
        return (yield from call(api, documented, request))
    except (ccxt.ExchangeError, ccxt.OperationFailed) as error:
        # Whatever its words: the path, or the pair of it that the exchange took for a word of it.
        if not others or failure_of(error).status != 404:
            raise
        first = error
    for endpoint in others:
        try:
            answer = yield from call(api, endpoint, request)
        except (ccxt.ExchangeError, ccxt.OperationFailed) as error:
            if failure_of(error).status != 404:
                raise
        else:
            api.open_orders_path.remember(endpoint)
            return answer
    raise first


def fetch_orders(
    api: Any,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[list[Order]]:
    """Fetch margin orders of a pair in any state, of the last 90 days.

    ``since`` and ``params['until']`` are in ms.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_get_orders_data.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        orders: list[Order] = yield Inherited("fetch_orders", (symbol, since, limit, rest))
        return orders
    return (yield from _orders(api, "fetchOrders", symbol, since, limit, rest))


def fetch_closed_orders(
    api: Any,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[list[Order]]:
    """Fetch the filled margin orders of a pair; those that were cancelled are not among them.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_get_orders_data.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        # The inherited method would come back to ``fetch_orders`` of this class, and so to margin.
        spot = {"statusKind": "DONE", **rest}
        orders: list[Order] = yield Inherited("fetch_orders", (symbol, since, limit, spot))
        return orders
    return (yield from _done(api, "fetchClosedOrders", symbol, since, limit, rest, ("closed",)))


def fetch_canceled_orders(
    api: Any,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[list[Order]]:
    """Fetch the cancelled orders of a pair, also those that had filled in part.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_get_orders_data.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        raise ccxt.NotSupported(f"{api.id} fetchCanceledOrders() is for the margin account only")
    return (yield from _done(api, "fetchCanceledOrders", symbol, since, limit, rest, ("canceled",)))


def fetch_canceled_and_closed_orders(
    api: Any,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[list[Order]]:
    """Fetch the orders of a pair that are over, filled or cancelled.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_get_orders_data.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        raise ccxt.NotSupported(
            f"{api.id} fetchCanceledAndClosedOrders() is for the margin account only"
        )
    statuses = ("closed", "canceled")
    method = "fetchCanceledAndClosedOrders"
    return (yield from _done(api, method, symbol, since, limit, rest, statuses))


def _done(
    api: Any,
    method: str,
    symbol: str | None,
    since: int | None,
    limit: int | None,
    params: Params,
    statuses: tuple[str, ...],
) -> Flow[list[Order]]:
    # The choice by status is ours: the exchange's DONE is documented to leave out what was
    # cancelled before it filled. The caller's limit counts what is left after it.
    params = {"limit": 1000, **params}
    orders = yield from _orders(api, method, symbol, since, None, params)
    return sorted_since_limit(
        [order for order in orders if order["status"] in statuses], since, limit
    )


def _orders(
    api: Any,
    method: str,
    symbol: str | None,
    since: int | None,
    limit: int | None,
    params: Params,
) -> Flow[list[Order]]:
    symbol = require_symbol(api, symbol, method)
    request = {**window(since, limit, params), "pair": symbols.pair_id(symbol)}
    rows = rows_of(api, (yield from call(api, ORDERS, request)))
    return sorted_since_limit([order_from_row(api, row, symbol) for row in rows], since, limit)


def window(since: int | None, limit: int | None, params: Params) -> Params:
    """The query of a span of time in ms and a number of rows."""
    request: Params = {}
    if since is not None:
        request["startTimestamp"] = since
    rest = dict(params)
    until = rest.pop("until", None)
    if until is not None:
        request["endTimestamp"] = until
    if limit is not None:
        request["limit"] = limit
    return {**request, **rest}


PAGE: Final = 1000
"""The most trades that one request may bring."""


def fetch_my_trades(
    api: Any,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[list[Order]]:
    """Fetch own trades of a pair on the margin account, oldest first.

    ``since`` and ``params['until']`` are in ms; ``params['orderId']`` narrows to one order. One
    request brings the newest ``limit`` (at most 1000); with ``params['paginate']`` all of them are
    fetched, page by page back from ``until`` to ``since`` (90 days if not given), or the newest
    ``limit``. ``params['paginationCalls']`` bounds the number of requests.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_get_trades_data.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        trades: list[Order] = yield Inherited("fetch_my_trades", (symbol, since, limit, rest))
        return trades
    symbol = require_symbol(api, symbol, "fetchMyTrades")
    paginate = rest.pop("paginate", False)
    calls = rest.pop("paginationCalls", None)
    if not paginate:
        limit = None if limit is None else min(limit, PAGE)
        rows = yield from _page(api, symbol, window(since, limit, rest))
    else:
        rows = yield from _pages(api, symbol, window(since, PAGE, rest), limit, calls)
    found = [trade_from_row(api, row, symbol) for row in rows]
    return sorted_since_limit(found, since, limit)


def _page(api: Any, symbol: str, query: Params) -> Flow[list[Any]]:
    request = {"pair": symbols.pair_id(symbol), **query}
    rows: list[Any] = rows_of(api, (yield from call(api, TRADES, request)))
    return rows


def _pages(
    api: Any, symbol: str, query: Params, limit: int | None, calls: int | None
) -> Flow[list[Any]]:
    """Newest first; a page starts with the trade that the last one ended with."""
    seen: dict[str, Any] = {}
    while calls is None or calls > 0:
        rows = yield from _page(api, symbol, query)
        fresh = {str(row["tradeId"]): row for row in rows if str(row["tradeId"]) not in seen}
        seen.update(fresh)
        # Nothing new, whatever the exchange made of ``tradeId``: there is no next page.
        if not fresh or len(rows) < int(query["limit"]) or (limit and len(seen) >= limit):
            break
        query = {**query, "tradeId": str(rows[-1]["tradeId"])}
        calls = None if calls is None else calls - 1
    return list(seen.values())


def fetch_order_trades(
    api: Any,
    id: str,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[list[Order]]:
    """Fetch the trades of one margin order, however many they are.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_get_trades_data.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        raise ccxt.NotSupported(f"{api.id} fetchOrderTrades() is for the margin account only")
    # Whether the exchange honours the filter or not, only this order's trades are returned.
    params = {"type": "margin", "orderId": id, "paginate": True, **rest}
    trades = yield from fetch_my_trades(api, symbol, since, None, params)
    return sorted_since_limit([trade for trade in trades if trade["order"] == id], since, limit)
