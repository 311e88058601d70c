"""Find orders again whose creation did not answer, by the ``clientId`` that they were sent with."""

from collections.abc import Mapping
from typing import Any, Final

import ccxt

from ..endpoints import ORDERS
from .calls import call
from .steps import Flow, Sleep
from .structures import Order, order_from_row, rows_of

LOOKUP_PAUSES: Final = (0.0, 0.5, 1.5)
"""Seconds before each look: a list may lag behind."""


def find_by_client_ids(api: Any, wanted: Mapping[int, Any]) -> Flow[dict[int, Order]]:
    """Look for orders, given as their markets by ``clientId``: one list a pair and look.

    :returns: those that the exchange lists. That it lists one not is no proof that there is none.
    """
    found: dict[int, Order] = {}
    for pause in LOOKUP_PAUSES:
        if pause:
            yield Sleep(pause)
        missing = {client_id: m for client_id, m in wanted.items() if client_id not in found}
        for market in {market["id"]: market for market in missing.values()}.values():
            try:
                answer = yield from call(api, ORDERS, {"pair": market["id"], "limit": 100})
                rows = rows_of(api, answer)
            except (ccxt.OperationFailed, ccxt.ExchangeError):
                continue
            for order in _readable(api, rows, market["symbol"]):
                client_id = order["clientOrderId"]
                if client_id is not None and client_id.isdecimal() and int(client_id) in missing:
                    found[int(client_id)] = order
        if len(found) == len(wanted):
            break
    return found


def _readable(api: Any, rows: list[Any], symbol: str) -> list[Order]:
    orders = []
    for row in rows:
        try:
            orders.append(order_from_row(api, row, symbol))
        except ccxt.BadResponse:
            # Another order's line that cannot be read hides nothing of the one looked for.
            continue
    return orders
