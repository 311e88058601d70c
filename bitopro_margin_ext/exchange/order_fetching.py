"""Unified methods that read margin orders and own trades."""

from collections.abc import Collection
from typing import Any

import ccxt

from ..core import endpoints
from ..core.endpoints import FETCH_ORDER, OPEN_ORDERS, ORDERS, TRADES
from ..core.errors import Failure, Meaning
from .arguments import optional_pair, require_client_id, require_order_id, require_symbol
from .describe import documented
from .flow import NO_PARAMS, Flow, MarginExchange, Params, Request, error_of, failure_of
from .paging import Listing, Pages, Window, read_window
from .params import take_params, with_raw
from .structures import Order, named_order, order_from_row, parsed_rows, rows_of, trade_from_row


@documented(FETCH_ORDER)
def fetch_order(
    api: MarginExchange, id: str, symbol: str | None = None, params: Params = NO_PARAMS
) -> Flow[Order]:
    """Fetch one margin order, in whatever state it is.

    With ``params['clientOrderId']`` in place of the id (an empty text) it is looked for in the list
    of the pair's orders, page by page: the newest of that number, since numbers may be used again.

    :raises ccxt.OrderNotFound: when the exchange does not know it: it never did, or it is older
        than the 90 days for which orders are kept. That is no word about its end: an order that is
        not found is not a cancelled one.
    """
    words, raw = take_params(api, "fetchOrder", params)
    symbol = require_symbol(api, symbol, "fetchOrder")
    if not id and "clientOrderId" in words:
        return (yield from order_of_client_id(api, words["clientOrderId"], symbol, raw))
    order_id = require_order_id(api, id)
    path = {"pair": endpoints.pair_id(symbol), "orderId": order_id}
    request = with_raw(api, "fetchOrder", path, raw)
    return named_order(api, (yield Request(FETCH_ORDER, request)), symbol, order_id)


def order_of_client_id(
    api: MarginExchange, client_id: Any, symbol: str, raw: Params = NO_PARAMS
) -> Flow[Order]:
    """The newest order of a pair with that ``clientOrderId``, in whatever state it is.

    :raises ccxt.OrderNotFound: when the exchange lists none.
    """
    wanted = str(require_client_id(api, client_id))
    query = with_raw(api, "fetchOrder", {"pair": endpoints.pair_id(symbol)}, raw)
    pages = Pages(ORDERS, query, lambda row: order_from_row(api, row, symbol), "orderId")
    found = yield from pages.fetch(
        api, Window(limit=1), lambda order: bool(order["clientOrderId"] == wanted)
    )
    if not found:
        text = f"no order with clientOrderId {wanted} of {symbol} is listed"
        failure = Failure(Meaning.ORDER_NOT_FOUND, text)
        raise error_of(failure, f"{api.id} {failure}")
    return found[0]


@documented(OPEN_ORDERS)
def fetch_open_orders(
    api: MarginExchange,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Listing]:
    """Fetch the open margin orders of a pair, or of all, oldest first; untriggered stops included.

    They come in one answer. With ``since`` (ms of their creation) the ``limit`` is the earliest of
    them, without it the newest; ``params['until']`` is in ms.
    """
    words, raw = take_params(api, "fetchOpenOrders", params)
    window = read_window(api, since, limit, words)
    symbol = optional_pair(api, symbol)
    query = {} if symbol is None else {"pair": endpoints.pair_id(symbol)}
    answer = yield from _open_orders(api, with_raw(api, "fetchOpenOrders", query, raw))
    rows = rows_of(api, answer)
    found = parsed_rows(api, "orders", lambda row: order_from_row(api, row, symbol), rows)
    # An order that changes while it is listed can be in the answer twice.
    found = list({(order["symbol"], order["id"]): order for order in found}.values())
    found.sort(key=lambda order: order["timestamp"] or 0)
    return window.select(reversed(found))


def _open_orders(api: MarginExchange, request: Params) -> Flow[Any]:
    """Ask at the documented path, and where that is not found at the other."""
    documented_path, *others = api.open_orders_path.candidates
    try:
        return (yield Request(documented_path, request))
    except (ccxt.ExchangeError, ccxt.OperationFailed) as error:
        # Whatever its words: the path, or the pair of it that the exchange took for a word of it.
        if not others or failure_of(error).status != 404:
            raise
        first = error
    for endpoint in others:
        try:
            answer = yield Request(endpoint, request)
        except (ccxt.ExchangeError, ccxt.OperationFailed) as error:
            if failure_of(error).status != 404:
                raise
        else:
            api.open_orders_path.remember(endpoint)
            return answer
    raise first


@documented(ORDERS)
def fetch_orders(
    api: MarginExchange,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Listing]:
    """Fetch margin orders of a pair in any state, of the last 90 days, oldest first.

    With ``since`` (ms of their creation) all orders from then on are read, page by page, of which
    ``limit`` keeps the earliest, and those of the same millisecond as the last of these. Without
    it these are the newest ``limit``, or those of one request (100), or with
    ``params['paginate']`` all of them. ``params['until']`` is in ms, ``params['paginationCalls']``
    bounds the number of requests.

    :returns: order structures; ``.cut`` of the list is None, or says why some are missing.
    """
    return (yield from _orders(api, "fetchOrders", symbol, since, limit, params))


@documented(ORDERS)
def fetch_closed_orders(
    api: MarginExchange,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Listing]:
    """Fetch the filled margin orders of a pair; those that were cancelled are not among them.

    As ``fetch_orders`` otherwise, and ``limit`` counts filled orders: pages are read until there
    are as many, however many cancelled ones lie between.
    """
    return (yield from _orders(api, "fetchClosedOrders", symbol, since, limit, params, ("closed",)))


@documented(ORDERS)
def fetch_canceled_orders(
    api: MarginExchange,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Listing]:
    """Fetch the cancelled orders of a pair, also those that had filled in part.

    As ``fetch_closed_orders`` otherwise.
    """
    method = "fetchCanceledOrders"
    return (yield from _orders(api, method, symbol, since, limit, params, ("canceled",)))


@documented(ORDERS)
def fetch_canceled_and_closed_orders(
    api: MarginExchange,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Listing]:
    """Fetch the orders of a pair that are over, filled or cancelled.

    As ``fetch_closed_orders`` otherwise.
    """
    method = "fetchCanceledAndClosedOrders"
    return (yield from _orders(api, method, symbol, since, limit, params, ("closed", "canceled")))


def _orders(
    api: MarginExchange,
    method: str,
    symbol: Any,
    since: Any,
    limit: Any,
    params: Params,
    statuses: Collection[str] | None = None,
) -> Flow[Listing]:
    words, raw = take_params(api, method, params)
    window = read_window(api, since, limit, words)
    symbol = require_symbol(api, symbol, method)
    query = with_raw(api, method, {"pair": endpoints.pair_id(symbol)}, raw)
    pages = Pages(ORDERS, query, lambda row: order_from_row(api, row, symbol), "orderId")
    # The choice by status is ours: the exchange's DONE is documented to leave out what was
    # cancelled before it filled.
    wanted = None if statuses is None else (lambda order: order["status"] in statuses)
    return (yield from pages.fetch(api, window, wanted))


# -- trades ----------------------------------------------------------------------------------------


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
    query: Params = {"pair": endpoints.pair_id(symbol)}
    if order_id is not None:
        query["orderId"] = order_id
    if "tradeId" in words:
        query["tradeId"] = require_order_id(api, words["tradeId"])
    query = with_raw(api, method, query, raw)
    pages = Pages(TRADES, query, lambda row: trade_from_row(api, row, symbol), "tradeId")
    # Whether the exchange honours the filter or not, only this order's trades are returned.
    wanted = None if order_id is None else (lambda trade: trade["order"] == order_id)
    return (yield from pages.fetch(api, window, wanted))
