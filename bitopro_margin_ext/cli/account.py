"""``bitopro-margin account``: balances, debts, interest, and how safe the account is."""

import argparse
from typing import TYPE_CHECKING, Any, Final

from ..core import parse_account
from ..core.endpoints import BALANCES
from ..core.errors import Failure, unreadable
from ..core.parse import is_zero, number
from . import common
from .common import read_access, read_config
from .report_text import REFUSED
from .view import View, add_columns, add_view_arguments, plain_table, show

if TYPE_CHECKING:
    from rich.console import Group

HELP: Final = "show balances, debts, interest and adRatio"
AMOUNTS: Final = {
    "available": "availableAmount",
    "inOrders": "tradedAmount",
    "total": "totalAmount",
    "borrowed": "borrowAmount",
    "interest": "borrowInterestAmount",
}
"""Our names of a balance's amounts, each in its own currency, and the exchange's."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Only how to show it."""
    add_view_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Read and show."""
    credentials, base_url = read_access(args, read_config(args.config))
    from ..core.client import MarginClient

    client = MarginClient(credentials, base_url)
    title = f"Margin account {credentials.account} at {base_url}"
    return show(lambda: view_account(client.read(BALANCES, deadline=args.deadline), title), args)


def view_account(answer: Any, title: str) -> View:
    """What to show of the exchange's answer, or of its failure."""
    balances = answer.get("balances") if isinstance(answer, dict) else None
    if not isinstance(answer, Failure) and not isinstance(balances, dict):
        answer = unreadable("no balances")
    if isinstance(answer, Failure):
        code = common.USAGE if answer.meaning in REFUSED else common.UNKNOWN
        return View(code, {"error": str(answer)}, problem=f"the account cannot be read: {answer}")
    account = parse_account.parse_margin_account(answer)
    del account["info"]
    account["balances"] = {
        currency: {name: number(row, key) for name, key in AMOUNTS.items()}
        for currency, row in (balances or {}).items()
    }
    return View(common.CONFIRMED, account, lambda: _table(account, title))


def label_style(label: str | None) -> str:
    """The colour of a label. Only the name of the safe one is documented: the rest alarms."""
    name = (label or "").upper()
    if "SAFE" in name:
        return "bold green"
    return "bold yellow" if "WARN" in name else "bold red"


def _table(account: dict[str, Any], title: str) -> "Group":
    from rich.console import Group
    from rich.text import Text

    ratio = Text(f"adRatio {account['adRatio']} {account['adRatioLabel']}")
    ratio.stylize(label_style(account["adRatioLabel"]))
    unit = account["currency"] or ""
    for name, total in (("assets", account["totalAsset"]), ("debts", account["totalDebt"])):
        ratio.append(f"\n{name} {total} {unit}", style="default")
    table = plain_table(ratio)
    add_columns(table, "")
    add_columns(table, *AMOUNTS, right=True)
    for currency, amounts in account["balances"].items():
        table.add_row(
            currency,
            *("-" if is_zero(amounts[name]) else str(amounts[name]) for name in AMOUNTS),
        )
    return Group(Text(title), table)
