"""``bitopro-margin orders``: the open margin orders."""

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ..core.report import CancelReport
from . import common
from .common import pair, read_access, read_config
from .report_text import key_refused, pair_unknown, verdict_lines
from .view import View, add_columns, add_view_arguments, plain_table, show

if TYPE_CHECKING:
    from rich.console import Group

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say which orders."""
    parser.add_argument("--pair", type=pair, help="only this pair, like BTC/USDT (default: all)")
    add_view_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Read and show."""
    credentials, base_url = read_access(args, read_config(args.config))
    from ..core import sweep
    from ..core.client import MarginClient

    client = MarginClient(credentials, base_url)
    title = f"Open margin orders of {credentials.account} at {base_url}"

    def read() -> View:
        report = CancelReport(args.pair or "all")
        flow = sweep.list_without_cancelling(
            args.pair, deadline=args.deadline, exchange_clock=client, report=report
        )
        client.run(flow, report)
        return view_orders(report, title)

    return show(read, args)


def view_orders(report: CancelReport, title: str) -> View:
    """What to show of a listing."""
    orders = [{name: order.get(name) for name in FIELDS} for order in report.still_open]
    document = {"scope": report.scope, "listed": report.listed, "orders": orders}
    if key_refused(report) or (report.listed and not orders and pair_unknown(report)):
        return View(common.USAGE, document, problem=verdict_lines(report)[-1])
    if not report.listed:
        return View(common.UNKNOWN, document, problem=verdict_lines(report, dry_run=True)[-1])
    return View(common.CONFIRMED, document, lambda: _table(orders, title))


def _table(orders: list[dict[str, Any]], title: str) -> "Group":
    from rich.console import Group
    from rich.text import Text

    triggers = any(order["triggerPrice"] for order in orders)
    amounts = ["price", *(["triggerPrice"] if triggers else []), "amount", "filled"]
    table = plain_table(None if orders else "none is open")
    add_columns(table, "pair", "order")
    add_columns(table, *(name.removesuffix("Price") for name in amounts), right=True)
    add_columns(table, "placed (UTC)", "id")
    for order in orders:
        side = str(order["side"])
        table.add_row(
            str(order["symbol"]),
            Text(f"{side} {order['type']}", style="green" if side == "buy" else "red"),
            *(str(order[name] or "-") for name in amounts),
            _moment(order["timestamp"]),
            str(order["id"]),
        )
    return Group(Text(title), table)


def _moment(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%m-%d %H:%M:%S")
