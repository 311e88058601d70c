"""Unified methods that read own trades on the margin account."""

from typing import Any

from ..core import symbols
from ..core.endpoints import TRADES
from .arguments import require_order_id, require_symbol
from .describe import documented
from .flow import NO_PARAMS, Flow, Params
from .margin_exchange import MarginExchange
from .paging import Listing, Pages, read_window
from .params import take_params, with_raw
from .structures import trade_from_row


@documented(TRADES)
def fetch_my_trades(
    api: MarginExchange,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Listing]:
    """Fetch own trades of a pair on the margin account, of the last 90 days, oldest first.

    With ``since`` (ms) all trades from then on are read, page by page, of which ``limit`` keeps the
    earliest, and those of the same millisecond as the last of these. Without it these are the
    newest ``limit``, or those of one request (100), or with ``params['paginate']`` all of them.
    ``params['until']`` is in ms, ``params['orderId']`` narrows to one order,
    ``params['paginationCalls']`` bounds the number of requests and ``params['limit']`` the rows of
    each.

    :returns: trade structures; ``.cut`` of the list is None, or says why some are missing.
    """
    return (yield from _trades(api, "fetchMyTrades", symbol, since, limit, params))


@documented(TRADES)
def fetch_order_trades(
    api: MarginExchange,
    id: str,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Listing]:
    """Fetch the trades of one margin order, however many they are.

    As ``fetch_my_trades`` otherwise.
    """
    order_id = require_order_id(api, id)
    return (yield from _trades(api, "fetchOrderTrades", symbol, since, limit, params, order_id))


def _trades(
    api: MarginExchange,
    method: str,
    symbol: Any,
    since: Any,
    limit: Any,
    params: Params,
    order_id: str | None = None,
) -> Flow[Listing]:
    words, raw = take_params(api, method, params)
    window = read_window(api, since, limit, words)
    symbol = require_symbol(api, symbol, method)
    if order_id is None and "orderId" in words:
        order_id = require_order_id(api, words["orderId"])
    query: Params = {"pair": symbols.pair_id(symbol)}
    if order_id is not None:
        query["orderId"] = order_id
    if "tradeId" in words:
        query["tradeId"] = require_order_id(api, words["tradeId"])
    query = with_raw(api, method, query, raw)
    pages = Pages(TRADES, query, lambda row: trade_from_row(api, row, symbol), "tradeId")
    # Whether the exchange honours the filter or not, only this order's trades are returned.
    wanted = None if order_id is None else (lambda trade: trade["order"] == order_id)
    return (yield from pages.fetch(api, window, wanted))
