"""Unified methods that read margin orders and balances."""

from typing import Any

import ccxt

from .. import wire
from ..endpoints import BALANCES, FETCH_ORDER, ORDERS
from ..parse import is_zero, number
from .calls import call
from .session import failure_of
from .steps import NO_PARAMS, Flow, Params, Parent
from .structures import (
    Order,
    margin_params,
    named_order,
    order_from_row,
    reading,
    require_pair,
    require_symbol,
    rows_of,
    sorted_since_limit,
)

Balances = dict[str, Any]


def fetch_order(
    api: Any, id: str, symbol: str | None = None, params: Params = NO_PARAMS
) -> Flow[Order]:
    """Fetch one margin order, in whatever state it is.

    :raises ccxt.OrderNotFound: when the exchange does not know it.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_get_an_order_data.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        order: Order = yield Parent("fetch_order", (id, symbol, rest))
        return order
    symbol = require_symbol(api, symbol, "fetchOrder")
    request = {**rest, "pair": wire.pair_id(symbol), "orderId": id}
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
        orders: list[Order] = yield Parent("fetch_open_orders", (symbol, since, limit, rest))
        return orders
    if symbol is not None:
        symbol = require_pair(api, symbol)
        rest = {**rest, "pair": wire.pair_id(symbol)}
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
        orders: list[Order] = yield Parent("fetch_orders", (symbol, since, limit, rest))
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
        orders: list[Order] = yield Parent("fetch_orders", (symbol, since, limit, spot))
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
    request = {**window(since, limit, params), "pair": wire.pair_id(symbol)}
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


def fetch_balance(api: Any, params: Params = NO_PARAMS) -> Flow[Balances]:
    """Fetch the margin account's balances, in each currency's own units.

    :returns: a balance structure with ``free``, ``used``, ``total`` and ``debt`` (borrowed plus
        accrued interest) of each currency; ``info`` is the whole answer, adRatio and totals in it.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/get_margin_acccount_balance.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        balances: Balances = yield Parent("fetch_balance", (rest,))
        return balances
    return balance_structure(api, (yield from call(api, BALANCES, rest)))


def balance_structure(api: Any, answer: Any) -> Balances:
    """A ccxt balance structure of the margin account's answer."""
    result: Balances = {"info": answer, "timestamp": None, "datetime": None}
    rows = rows_of(api, answer, "balances", dict)
    with reading(api, "balances"):
        for currency, row in rows.items():
            account = api.account()
            account["free"] = number(row, "availableAmount")
            account["used"] = number(row, "tradedAmount")
            account["total"] = number(row, "totalAmount")
            account["debt"] = debt(row)
            result[api.safe_currency_code(currency)] = account
        balances: Balances = api.safe_balance(result)
    return balances


def debt(row: Any) -> str:
    """What is owed of a currency: the principal and the interest accrued on it."""
    from ccxt.base.precise import Precise

    principal, interest = number(row, "borrowAmount"), number(row, "borrowInterestAmount")
    if is_zero(interest):
        return principal or "0"
    total: str = Precise.string_add(principal or "0", interest)
    return total
