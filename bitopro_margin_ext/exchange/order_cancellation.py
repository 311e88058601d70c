"""Unified methods that cancel margin orders, and cancel-and-confirm on top of them."""

import functools
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ..core import endpoints, sweep
from ..core.endpoints import CANCEL_ALL, CANCEL_BATCH, CANCEL_ORDER, CANCEL_PAIR
from ..core.parse import read_cancelled
from ..core.report import CancelReport
from .arguments import optional_pair, require_list, require_order_id, require_pair, require_symbol
from .call_scope import SCOPE
from .describe import documented
from .flow import NO_PARAMS, Flow, MarginExchange, Params, Request
from .order_fetching import order_of_client_id
from .params import margin_params, no_params, plain_request, take_params, with_raw
from .structures import (
    Order,
    cancelled_orders,
    named_order,
    order_structure,
    swept_order,
)


@documented(CANCEL_ALL)
def cancel_all_orders(
    api: MarginExchange, symbol: str | None = None, params: Params = NO_PARAMS
) -> Flow[list[Order]]:
    """Cancel every open margin order, or those of one pair: one request, no markets needed.

    :returns: order structures with ``id``, ``symbol`` and status ``canceled``, for the orders that
        the exchange says it cancelled. An empty list after a retry does not mean that none were.
    :raises ccxt.BadSymbol: for a symbol that is not a pair; only None means every pair.
    """
    return _cancel_all(api, "cancelAllOrders", symbol, params)


@documented(CANCEL_ALL)
def cancel_all_margin_orders(
    api: MarginExchange, symbol: str | None = None, params: Params = NO_PARAMS
) -> Flow[list[Order]]:
    """Cancel as ``cancel_all_orders`` does, on the margin account whatever the default one is."""
    _, rest = margin_params(api, params)
    return _cancel_all(api, "cancelAllMarginOrders", symbol, rest)


def _cancel_all(api: MarginExchange, method: str, symbol: Any, params: Params) -> Flow[list[Order]]:
    # Only None is every pair: whatever else is no pair is refused.
    pair = None if symbol is None else {"pair": endpoints.pair_id(require_pair(api, symbol))}
    request = plain_request(api, method, pair or {}, params)
    answer = yield Request(CANCEL_ALL if pair is None else CANCEL_PAIR, request)
    return cancelled_orders(api, read_cancelled(answer))


@documented(CANCEL_ORDER)
def cancel_order(
    api: MarginExchange, id: str, symbol: str | None = None, params: Params = NO_PARAMS
) -> Flow[Order]:
    """Cancel one margin order.

    With ``params['clientOrderId']`` in place of the id (an empty text) it is looked for first, as
    ``fetch_order`` does.

    :returns: its order structure with status ``canceled``, unless the answer names another one;
        what it had filled is not in the answer.
    :raises ccxt.OrderNotFound: when the exchange does not know it.
    :raises ccxt.InvalidOrder: when it can no longer be cancelled.
    """
    words, raw = take_params(api, "cancelOrder", params)
    symbol = require_symbol(api, symbol, "cancelOrder")
    if not id and "clientOrderId" in words:
        id = (yield from order_of_client_id(api, words["clientOrderId"], symbol))["id"]
    order_id = require_order_id(api, id)
    path = {"pair": endpoints.pair_id(symbol), "orderId": order_id}
    answer = yield Request(CANCEL_ORDER, with_raw(api, "cancelOrder", path, raw))
    order = named_order(api, answer, symbol, order_id)
    # The page's answer names no status; one that does outweighs the success of the call.
    return {**order, "status": order["status"] or "canceled"}


@documented(CANCEL_BATCH)
def cancel_orders(
    api: MarginExchange, ids: list[Any], symbol: str | None = None, params: Params = NO_PARAMS
) -> Flow[list[Order]]:
    """Cancel several margin orders in one request, of several pairs if ids come with symbols.

    ``ids`` holds order ids, or dicts with ``id`` and ``symbol``.

    :returns: an order structure for each id given: status ``canceled`` for those that the exchange
        says it cancelled, None for the others, whose fate is to be fetched.
    """
    return (yield from _cancel_many(api, "cancelOrders", ids, symbol, params))


@documented(CANCEL_BATCH)
def cancel_orders_for_symbols(
    api: MarginExchange, orders: list[Any], params: Params = NO_PARAMS
) -> Flow[list[Order]]:
    """Cancel margin orders given as ``{"id", "symbol"}``; like ``cancel_orders`` otherwise."""
    return (yield from _cancel_many(api, "cancelOrdersForSymbols", orders, None, params))


def _cancel_many(
    api: MarginExchange, method: str, ids: Any, symbol: Any, params: Params
) -> Flow[list[Order]]:
    raw = no_params(api, method, params)
    asked: list[tuple[str, str]] = []
    for entry in require_list(api, ids, "order ids"):
        named = entry if isinstance(entry, Mapping) else {"id": entry}
        own = require_symbol(api, named.get("symbol") or symbol, method)
        asked.append((own, require_order_id(api, named.get("id"))))
    if not asked:
        return []
    request: dict[str, Any] = {}
    for own, order_id in asked:
        request.setdefault(endpoints.batch_pair_id(own), []).append(order_id)
    answer = yield Request(CANCEL_BATCH, with_raw(api, method, request, raw))
    orders = cancelled_orders(api, read_cancelled(answer))
    cancelled = {(order["symbol"], order["id"]): order for order in orders}
    return [
        cancelled.get(key)
        or order_structure(api, {"id": key[1], "symbol": key[0], "status": None, "info": {}})
        for key in asked
    ]


@documented(CANCEL_ALL)
def cancel_and_confirm(
    api: MarginExchange,
    symbol: str | None = None,
    known: Iterable[tuple[str, str]] = (),
    deadline: float = 10.0,
    first: str | None = None,
) -> Flow[CancelReport]:
    """Cancel all margin orders in scope and report what the exchange shows to have become of them.

    ``known`` are (symbol, id) of the orders whose end, with fills, is wanted. Three requests a pair
    where nothing fails: cancel, then at the same time list what is open and what became of the
    known ones. What survives is cancelled by id until ``deadline`` (seconds) ends; only orders that
    the exchange itself calls cancelled are reported so, whatever its answers to the cancel calls
    were. Where ``watch_orders`` is connected, what it has told first is not listed again: two
    requests.

    ``first`` is a pair that the caller is in a hurry for: the report comes as soon as that pair is
    settled, and ``confirm_rest`` completes it.

    :returns: a ``CancelReport`` with ccxt order structures. No failure of the exchange is raised:
        the report says what remains open or unknown.
    """
    seconds = clamp_to_deadline(deadline)
    return sweep.cancel_and_confirm(
        optional_pair(api, symbol),
        known,
        first=optional_pair(api, first),
        deadline=seconds,
        open_orders=api.open_orders_path,
        exchange_clock=api,
        heard=api.heard_orders,
        structure=functools.partial(swept_order, api),
    )


def confirm_rest(
    api: MarginExchange, report: CancelReport, deadline: float = 10.0
) -> Flow[CancelReport]:
    """Complete a report that ``cancel_and_confirm`` gave when its ``first`` pair was settled.

    What is still open of the other pairs is cancelled by id; no cancel-all is sent, and an order
    that was placed since is out of reach. Ends within ``deadline`` seconds.

    :returns: a new report of every order in scope, with the requests of this call; the one given,
        when nothing was left to do.
    """
    if report.rest is None:
        return report
    rest, report.rest = report.rest, None
    completed: CancelReport = yield from rest(clamp_to_deadline(deadline))
    return completed


def clamp_to_deadline(seconds: float) -> float:
    """The part of so many seconds that fits into the current scope."""
    return max(0.0, min(seconds, SCOPE.get().ends - time.monotonic()))
