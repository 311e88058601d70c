"""The sweep of a dry run: Freqtrade simulates the orders, and cancels them one by one only."""

import time
from collections.abc import Iterable, MutableMapping
from typing import Any

from ..core.report import CancelReport
from .positions import find_order


def cancel_simulated_orders(
    orders: MutableMapping[str, Any], pair: str | None, known: Iterable[tuple[str, str]]
) -> CancelReport:
    """Cancel every open simulated order of a pair (None: all) and report it like a real sweep.

    A known order that this process has not seen, because the bot was restarted, is taken from the
    database, as Freqtrade itself does.
    """
    started = time.monotonic()
    for symbol, order_id in known:
        if order_id not in orders:
            row = find_order(symbol, order_id)
            if row is not None:
                orders[order_id] = row.to_ccxt_object()
    report = CancelReport(pair or "all", listed=True)
    for order in orders.values():
        if pair not in (None, order["symbol"]):
            continue
        if order["status"] == "open":
            order["filled"] = order.get("filled") or 0.0
            order["remaining"] = order["amount"] - order["filled"]
            order["status"] = "canceled"
            report.cancelled.append(dict(order))
    report.elapsed_ms = round((time.monotonic() - started) * 1000)
    return report
