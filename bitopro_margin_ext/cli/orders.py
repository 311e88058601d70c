"""``bitopro-margin orders``: the open margin orders."""

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ..core.report import CancelReport
from .cancel_all import Verdict
from .common import ExitCode, add_pair_argument, read_access, read_config
from .view import Cell, Column, Rows, View, add_view_arguments, show

if TYPE_CHECKING:
    from rich.console import RenderableType

HELP: Final = "show the open margin orders"
FIELDS: Final = (
    "id",
    "symbol",
    "side",
    "type",
    "price",
    "triggerPrice",
    "amount",
    "filled",
    "remaining",
    "timestamp",
    "clientOrderId",
)
"""Of a ccxt order structure; amounts and prices are strings, as the exchange wrote them."""
EMPTY_DOCUMENT: Final[dict[str, Any]] = {"scope": "all", "listed": False, "orders": []}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which orders."""
    add_pair_argument(parser)
    add_view_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Read and show."""
    credentials, base_url = read_access(args, read_config(args.config))
    from ..core import sweep
    from ..core.client import MarginClient, list_pairs

    client = MarginClient(credentials, base_url)
    pairs = list(dict.fromkeys(args.pairs))
    scope = ", ".join(pairs) or "all"
    what = "Open margin orders" if not pairs else f"Open {scope} margin orders"

    def read() -> View:
        report = CancelReport(scope)
        parts: list[CancelReport] = []
        bounds: dict[str, Any] = {
            "deadline": args.deadline,
            "exchange_clock": client,
            "report": report,
        }
        if len(pairs) > 1:
            flow = list_pairs(pairs, parts=parts, **bounds)
        else:
            flow = sweep.list_without_cancelling(pairs[0] if pairs else None, **bounds)
        client.run(flow, report)
        return view_orders(report, Verdict(report, parts))

    return show(read, f"{what} of {credentials.account} at {base_url}", args)


def view_orders(report: CancelReport, verdict: Verdict) -> View:
    """What to show of a listing."""
    orders = [{name: order.get(name) for name in FIELDS} for order in report.still_open]
    document = {"scope": report.scope, "listed": report.listed, "orders": orders}
    code = ExitCode.CONFIRMED if verdict.code is ExitCode.REMAINING else verdict.code
    if code is ExitCode.CONFIRMED:
        return View(code, document, lambda: _table(orders))
    # Of several pairs one may be unknown to the exchange while the others are listed.
    table = (lambda: _table(orders)) if orders else None
    return View(code, document, table, problem=verdict.lines(dry_run=True)[-1])


def _table(orders: list[dict[str, Any]]) -> "RenderableType":
    if not orders:
        return "none is open"
    triggers = any(order["triggerPrice"] for order in orders)
    amounts = ["price", *(["triggerPrice"] if triggers else []), "amount", "filled"]
    columns = [
        Column("pair"),
        Column("order"),
        *(Column(name.removesuffix("Price"), right=True) for name in amounts),
        Column("placed (UTC)", optional=True),
        Column("id"),
    ]
    rows: list[tuple[Cell, ...]] = [
        (
            str(order["symbol"]),
            (f"{order['side']} {order['type']}", "green" if order["side"] == "buy" else "red"),
            *(str(order[name] or "-") for name in amounts),
            _moment(order["timestamp"]),
            str(order["id"]),
        )
        for order in orders
    ]
    return Rows(columns, rows, heads=2)


def _moment(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%m-%d %H:%M:%S")
