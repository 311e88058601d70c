"""``bitopro-margin account``: balances, debts, interest, and how safe the account is."""

import argparse
from typing import TYPE_CHECKING, Any, Final

from ..core import parse_account
from ..core.endpoints import BALANCES, MARK_PRICE
from ..core.errors import Failure, unreadable
from ..core.parse import is_zero, number
from ..core.redaction import redact
from .cancel_all import REFUSED
from .common import ExitCode, UsageError, read_access, read_config
from .view import Column, Rows, View, add_view_arguments, show, sparkline

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
EMPTY_DOCUMENT: Final[dict[str, Any]] = {
    **parse_account.parse_margin_account({}),
    "balances": {},
    "liquidationPrices": {},
}
del EMPTY_DOCUMENT["info"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Only how to show it."""
    add_view_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Read and show."""
    config = read_config(args.config)
    credentials, base_url = read_access(args, config)
    from ..core.client import MarginClient

    client = MarginClient(credentials, base_url)
    threshold = _threshold(config)
    title = f"Margin account {credentials.account} at {base_url}"
    ratios: list[float] = []

    def read() -> View:
        answer = client.read(BALANCES, deadline=args.deadline)
        marks = client.read(MARK_PRICE, deadline=args.deadline) if _owes(answer) else None
        return view_account(answer, ratios, marks, threshold)

    return show(read, title, args)


def _threshold(config: dict[str, Any]) -> float:
    """The adRatio at which the exchange is expected to liquidate: the bot's option.

    :raises UsageError: when the option is no number.
    """
    from ..bot.leverage_options import parse_leverage_options

    try:
        return parse_leverage_options(config).liquidation_ad_ratio
    except ValueError as error:
        raise UsageError(str(error)) from None


def _owes(answer: Any) -> bool:
    """Whether there is a debt, without which nothing is liquidated."""
    try:
        return any(
            not is_zero(number(row, name))
            for row in answer["balances"].values()
            for name in ("borrowAmount", "borrowInterestAmount")
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _liquidation_prices(balances: dict[str, Any], marks: Any, threshold: float) -> dict[str, str]:
    """At which price in USDT of each currency, the others as they are, it comes to that."""
    from ..bot.liquidations import Holdings, liquidation_price

    if not isinstance(marks, dict):
        return {}
    prices = parse_account.parse_mark_prices(marks.get("tokenPrices") or {})
    holdings = Holdings(marks={code: float(price or 0) for code, price in prices.items()})
    for code, row in balances.items():
        owed = sum(float(row[name] or 0) for name in ("borrowed", "interest"))
        holdings.add(code, float(row["total"] or 0), owed)
    found = {}
    for code in balances:
        if code == "USDT":
            continue
        for is_short in (False, True):
            price = liquidation_price(holdings, code, threshold, is_short)
            if price:
                found[code] = f"{price:.8g}"
    return found


def view_account(
    answer: Any, ratios: list[float], marks: Any = None, threshold: float = 1.1
) -> View:
    """What to show of the exchange's answer, or of its failure; ``ratios`` gains its adRatio."""
    balances = answer.get("balances") if isinstance(answer, dict) else None
    if not isinstance(answer, Failure) and not isinstance(balances, dict):
        answer = unreadable("no balances")
    try:
        account = _parse(answer, balances or {})
    except (AttributeError, TypeError, ValueError):
        answer = unreadable("balances of another form")
    if isinstance(answer, Failure):
        code = ExitCode.USAGE if answer.meaning in REFUSED else ExitCode.UNKNOWN
        problem = f"the account cannot be read: {answer}"
        return View(code, dict(EMPTY_DOCUMENT), problem=problem)
    account["liquidationPrices"] = _liquidation_prices(account["balances"], marks, threshold)
    if account["adRatio"] is not None:
        ratios.append(float(account["adRatio"]))
    return View(ExitCode.CONFIRMED, account, lambda: _table(account, ratios))


def _parse(answer: Any, balances: dict[str, Any]) -> dict[str, Any]:
    if isinstance(answer, Failure):
        return {}
    account = parse_account.parse_margin_account(answer)
    del account["info"]
    account["balances"] = {
        currency: {name: number(row, key) for name, key in AMOUNTS.items()}
        for currency, row in balances.items()
    }
    return account


def label_style(label: str | None) -> str:
    """The colour of a label. Only the name of the safe one is documented: the rest alarms."""
    name = (label or "").upper()
    if "SAFE" in name:
        return "bold green"
    return "bold yellow" if "WARN" in name else "bold red"


def _table(account: dict[str, Any], ratios: list[float]) -> "Group":
    from rich.console import Group
    from rich.text import Text

    ratio = Text(redact(f"adRatio {account['adRatio']} {account['adRatioLabel']}"))
    ratio.stylize(label_style(account["adRatioLabel"]))
    if len(ratios) > 1:
        low, high = min(ratios), max(ratios)
        ratio.append(f"\ntrend   {sparkline(ratios)} {low:g} to {high:g}", style="default")
    unit = account["currency"] or ""
    for name, total in (("assets", account["totalAsset"]), ("debts", account["totalDebt"])):
        ratio.append(redact(f"\n{name} {total} {unit}"), style="default")
    columns = [Column("currency"), *(Column(name, right=True) for name in AMOUNTS)]
    prices = account["liquidationPrices"]
    if prices:
        columns.append(Column("liquidated at", right=True))
    rows = [
        (
            str(currency),
            *("-" if is_zero(amounts[name]) else str(amounts[name]) for name in AMOUNTS),
            *([prices.get(currency, "-")] if prices else []),
        )
        for currency, amounts in account["balances"].items()
    ]
    return Group(Rows(columns, rows), ratio)
