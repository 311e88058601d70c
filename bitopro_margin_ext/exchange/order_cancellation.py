"""Unified methods that cancel margin orders, and cancel-and-confirm on top of them."""

from collections.abc import Iterable, Mapping
from typing import Any

import ccxt

from ..core import steps, sweep, symbols
from ..core.endpoints import CANCEL_ALL, CANCEL_BATCH, CANCEL_ORDER, CANCEL_PAIR
from ..core.parse import parse_cancelled_ids
from ..core.report import CancelReport
from ..core.steps import RequestCounter
from . import call_scope
from .flow import NO_PARAMS, Flow, Inherited, Params, call
from .structures import (
    Order,
    margin_params,
    named_order,
    order_structure,
    reading,
    require_pair,
    require_symbol,
    rows_of,
)


def cancel_all_orders(
    api: Any, symbol: str | None = None, params: Params = NO_PARAMS
) -> Flow[list[Order]]:
    """Cancel every open margin order, or those of one pair: one request, no markets needed.

    :returns: order structures with ``id``, ``symbol`` and status ``canceled``, for the orders that
        the exchange says it cancelled. An empty list after a retry does not mean that none were.
    :raises ccxt.BadSymbol: for a symbol that is not a pair; only None means every pair.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_cancel_all_orders.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        orders: list[Order] = yield Inherited("cancel_all_orders", (symbol, rest))
        return orders
    return (yield from _cancel_all(api, symbol, rest))


def cancel_all_margin_orders(
    api: Any, symbol: str | None = None, params: Params = NO_PARAMS
) -> Flow[list[Order]]:
    """The same on the margin account, whatever the default account is.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_cancel_all_orders.md
    """
    _, rest = margin_params(api, {**params, "type": "margin"})
    return (yield from _cancel_all(api, symbol, rest))


def _cancel_all(api: Any, symbol: str | None, params: Params) -> Flow[list[Order]]:
    if symbol is None:
        answer = yield from call(api, CANCEL_ALL, params)
    else:
        pair = symbols.pair_id(require_pair(api, symbol))
        answer = yield from call(api, CANCEL_PAIR, {**params, "pair": pair})
    return _cancelled(api, answer)


def _cancelled(api: Any, answer: Any) -> list[Order]:
    rows = rows_of(api, answer, kind=dict)
    with reading(api, "a cancel answer"):
        return [order_structure(api, order) for order in parse_cancelled_ids(rows)]


def cancel_order(
    api: Any, id: str, symbol: str | None = None, params: Params = NO_PARAMS
) -> Flow[Order]:
    """Cancel one margin order.

    :returns: its order structure, ``canceled`` unless the answer states another status; what it
        had filled is in no documented answer.
    :raises ccxt.OrderNotFound: when the exchange does not know it.
    :raises ccxt.InvalidOrder: when it can no longer be cancelled.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_cancel_an_order.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        order: Order = yield Inherited("cancel_order", (id, symbol, rest))
        return order
    symbol = require_symbol(api, symbol, "cancelOrder")
    request = {**rest, "pair": symbols.pair_id(symbol), "orderId": id}
    answer = yield from call(api, CANCEL_ORDER, request)
    order = named_order(api, answer, symbol, id)
    # A status in the answer is the exchange's word: 2 says that it was filled before.
    return order if order["status"] else {**order, "status": "canceled"}


def cancel_orders(
    api: Any, ids: list[Any], symbol: str | None = None, params: Params = NO_PARAMS
) -> Flow[list[Order]]:
    """Cancel several margin orders in one request, of several pairs if ids come with symbols.

    ``ids`` holds order ids, or dicts with ``id`` and ``symbol``.

    :returns: an order structure for each id given: status ``canceled`` for those that the exchange
        says it cancelled, None for the others, whose fate is to be fetched.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_cancel_batch_orders.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        orders: list[Order] = yield Inherited("cancel_orders", (ids, symbol, rest))
        return orders
    asked: list[tuple[str, str]] = []
    for entry in ids:
        named = entry if isinstance(entry, Mapping) else {"id": entry}
        own = require_symbol(api, named.get("symbol") or symbol, "cancelOrders")
        order_id = str(named.get("id"))
        if not symbols.is_order_id(order_id):
            raise ccxt.BadRequest(f"{api.id} {order_id!r} is not an order id")
        asked.append((own, order_id))
    if not asked:
        return []
    request: dict[str, Any] = {}
    for own, order_id in asked:
        request.setdefault(symbols.batch_pair_id(own), []).append(order_id)
    answer = yield from call(api, CANCEL_BATCH, {**rest, **request})
    cancelled = {(order["symbol"], order["id"]): order for order in _cancelled(api, answer)}
    return [
        cancelled.get(key)
        or order_structure(api, {"id": key[1], "symbol": key[0], "status": None, "info": {}})
        for key in asked
    ]


def cancel_orders_for_symbols(
    api: Any, orders: list[Any], params: Params = NO_PARAMS
) -> Flow[list[Order]]:
    """Cancel margin orders given as ``{"id", "symbol"}``; like ``cancel_orders`` otherwise.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_cancel_batch_orders.md
    """
    return (yield from cancel_orders(api, orders, None, params))


def cancel_and_confirm(
    api: Any,
    symbol: str | None = None,
    known: Iterable[tuple[str, str]] = (),
    deadline: float = 10.0,
    first: str | None = None,
) -> Flow[CancelReport]:
    """Cancel all margin orders in scope and report what the exchange shows to have become of them.

    ``known`` are (symbol, id) of the orders whose end, with fills, is wanted. Three requests a pair
    where nothing fails: cancel, list what is open, list what became of the known ones. What
    survives is cancelled by id until ``deadline`` (seconds) ends; only orders that the exchange itself calls
    cancelled are reported so, whatever its answers to the cancel calls were. Where ``watch_orders``
    is connected, what it has told first is not listed again: two requests.

    ``first`` is a pair that the caller is in a hurry for: the report comes as soon as that pair is
    settled, and ``confirm_rest`` completes it.

    :returns: a ``CancelReport`` with ccxt order structures. No failure of the exchange is raised:
        the report says what remains open or unknown.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_cancel_all_orders.md
    """
    unified = None if symbol is None else require_pair(api, symbol)
    flow = sweep.cancel_and_confirm(
        unified,
        known,
        deadline=call_scope.clamp_to_deadline(deadline),
        open_orders=api.open_orders_path,
        exchange_clock=api,
        heard=api.heard_orders,
        first=None if first is None else require_pair(api, first),
    )
    return (yield from _swept(api, flow))


def confirm_rest(api: Any, report: CancelReport, deadline: float = 10.0) -> Flow[CancelReport]:
    """Complete a report that ``cancel_and_confirm`` gave when its ``first`` pair was settled.

    What is still open of the other pairs is cancelled by id; no cancel-all is sent, and an order
    that was placed since is out of reach. Ends within ``deadline`` seconds.

    :returns: a new report of every order in scope, with the requests of this call; the one given,
        when nothing was left to do.
    """
    if report.rest is None:
        return report
    rest, report.rest = report.rest, None
    return (yield from _swept(api, rest(call_scope.clamp_to_deadline(deadline))))


def _swept(api: Any, flow: steps.Flow[CancelReport]) -> Flow[CancelReport]:
    counter = RequestCounter()
    # The flow keeps the documented limits itself.
    with call_scope.narrowed(unthrottled=True, counter=counter):
        report = yield from flow
    report.requests = counter.requests
    for orders in (report.cancelled, report.already_done, report.still_open, report.unknown):
        orders[:] = [_finished(api, order) for order in orders]
    return report


def _finished(api: Any, parsed: Order) -> Order:
    try:
        order = order_structure(api, parsed)
    except Exception:
        # Whatever ccxt cannot make numbers of, the order's fate is not lost for it.
        return parsed
    if parsed.get("filled") is None:
        # ccxt would take an absent fill for none; here it means that nobody has said.
        order["filled"] = order["remaining"] = None
    return order
