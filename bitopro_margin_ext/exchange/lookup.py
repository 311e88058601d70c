"""Find orders again whose creation did not answer, by the ``clientId`` that they were sent with."""

from collections.abc import Mapping
from typing import Any, Final

import ccxt

from ..endpoints import ORDERS, Endpoint
from .calls import call
from .steps import Flow, Sleep
from .structures import Order, order_from_row, rows_of

OLDEST_MS: Final = 600_000
"""An older order with the same ``clientId`` is not the one: users may use one again."""
LOOKUP_PAUSES: Final = (0.0, 0.5, 1.5)
"""Seconds before each look: a list may lag behind."""


def find_by_client_ids(api: Any, wanted: Mapping[int, Any]) -> Flow[dict[int, Order]]:
    """Look for orders, given as their markets by ``clientId``: one list a pair and look.

    :returns: those that the exchange lists. That it lists one not is no proof that there is none.
    """
    found: dict[int, Order] = {}
    since = api.exchange_time() - OLDEST_MS
    for pause in LOOKUP_PAUSES:
        if pause:
            yield Sleep(pause)
        missing = {client_id: m for client_id, m in wanted.items() if client_id not in found}
        for market in {market["id"]: market for market in missing.values()}.values():
            # No page says whether a new order is sooner in the one list or in the other.
            for endpoint in (ORDERS, api.open_orders_path.endpoint):
                orders = yield from _listed(api, endpoint, market)
                for order in orders:
                    client_id = order["clientOrderId"] or ""
                    fresh = (order["timestamp"] or 0) >= since
                    if fresh and client_id.isdecimal() and int(client_id) in missing:
                        found[int(client_id)] = order
                if all(client_id in found for client_id in missing):
                    break
        if len(found) == len(wanted):
            break
    return found


def _listed(api: Any, endpoint: Endpoint, market: Any) -> Flow[list[Order]]:
    query = {"pair": market["id"]}
    if endpoint is ORDERS:
        query["limit"] = 100
    try:
        rows = rows_of(api, (yield from call(api, endpoint, query)))
    except (ccxt.OperationFailed, ccxt.ExchangeError):
        return []
    return _readable(api, rows, market["symbol"])


def _readable(api: Any, rows: list[Any], symbol: str) -> list[Order]:
    orders = []
    for row in rows:
        try:
            orders.append(order_from_row(api, row, symbol))
        except ccxt.BadResponse:
            # Another order's line that cannot be read hides nothing of the one looked for.
            continue
    return orders
