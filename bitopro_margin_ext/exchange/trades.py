"""Unified methods that read own trades of the margin account."""

from typing import Any, Final

import ccxt

from .. import wire
from ..endpoints import TRADES
from .calls import call
from .fetching import window
from .steps import NO_PARAMS, Flow, Params, Parent
from .structures import (
    Order,
    margin_params,
    require_symbol,
    rows_of,
    sorted_since_limit,
    trade_from_row,
)

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
        trades: list[Order] = yield Parent("fetch_my_trades", (symbol, since, limit, rest))
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
    request = {"pair": wire.pair_id(symbol), **query}
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
