"""``bitopro-margin loans``: who owes what, and whether ledger and exchange agree."""

import argparse
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..core.endpoints import BALANCES, BORROW_PROVISIONING
from ..core.errors import Failure
from .cancel_all import REFUSED
from .common import ExitCode, UsageError, print_out, read_access, read_config
from .view import Column, Rows, View, add_view_arguments, show

if TYPE_CHECKING:
    from rich.console import Group

HELP: Final = "show who owes what, ledger against exchange (leverage and shorts)"
EMPTY_DOCUMENT: Final[dict[str, Any]] = {
    "ledger": None,
    "agree": None,
    "adopted": None,
    "currencies": {},
    "openCommands": [],
    "dust": {},
}
_UNIT: Final = Decimal("1e-6")
_YEAR: Final = Decimal(365 * 86400)
_WORDS: Final = {
    "user": "the user's own",
    "unclear": "unclear: no list explains it yet",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose ledger, and how to show it."""
    parser.epilog = (
        "The ledger is beside the bot's database, which the config names (db_url). Exit codes: 0"
        " ledger and exchange agree, 1 they do not or something is unclear, 2 usage or"
        " configuration, 3 the exchange did not say."
    )
    parser.add_argument(
        "--db-url", metavar="URL", help="the bot's database (default: the config's db_url)"
    )
    parser.add_argument(
        "--accept",
        action="store_true",
        help="after a lost ledger: take its shares as they are, and allow entries again",
    )
    add_view_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Read both sides, and show them."""
    config = read_config(args.config)
    url = ledger_of(args, config)
    from ..bot.ledger_database import LedgerError
    from ..bot.loans_ledger import LoansLedger

    try:
        ledger = LoansLedger(url, hold=False)
    except LedgerError as error:
        raise UsageError(str(error)) from None
    if args.accept:
        was = ledger.meta("adopted")
        ledger.write_meta("adopted", None)
        print_out("entries are allowed again" if was else "nothing was waiting to be accepted")
        return ExitCode.CONFIRMED
    credentials, base_url = read_access(args, config)
    from ..core.client import MarginClient

    client = MarginClient(credentials, base_url)

    def read() -> View:
        balances = client.read(BALANCES, deadline=args.deadline)
        terms = client.read(BORROW_PROVISIONING, deadline=args.deadline)
        return view_loans(ledger, balances, terms)

    title = f"Loans of margin account {credentials.account} at {base_url}, ledger {_shown(url)}"
    return show(read, title, args)


def ledger_of(args: argparse.Namespace, config: dict[str, Any]) -> str:
    """The address of a bot's ledger.

    :raises UsageError: when there is none.
    """
    from sqlalchemy.exc import ArgumentError

    from ..bot.ledger_database import ledger_file, ledger_url

    db_url = args.db_url or config.get("db_url") or "sqlite:///tradesv3.sqlite"
    try:
        url = ledger_url(db_url, config.get("user_data_dir") or "user_data")
    except ArgumentError:
        raise UsageError("the db_url cannot be read: give one like sqlite:///t.sqlite") from None
    file = ledger_file(url)
    if file is not None and not Path(file).exists():
        raise UsageError(
            f"there is no ledger of loans at {file}: no bot has traded with leverage on this"
            " database. Name the bot's with -c or --db-url"
        )
    return url


def _shown(url: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)


def view_loans(ledger: Any, balances: Any, terms: Any) -> View:
    """What ledger and exchange say, side by side."""
    for answer in (balances, terms):
        if isinstance(answer, Failure):
            code = ExitCode.USAGE if answer.meaning in REFUSED else ExitCode.UNKNOWN
            problem = f"the account cannot be read: {answer}"
            return View(code, dict(EMPTY_DOCUMENT), problem=problem)
    document = compare(ledger, balances.get("balances") or {}, terms or {})
    code = ExitCode.CONFIRMED if document["agree"] else ExitCode.REMAINING
    return View(code, document, lambda: _table(document))


def compare(ledger: Any, balances: dict[str, Any], terms: dict[str, Any]) -> dict[str, Any]:
    """The document: by currency, who owes what and what the exchange says."""
    lines = ledger.lines()
    owed = {
        str(code).upper(): _decimal(row, "borrowAmount") + _decimal(row, "borrowInterestAmount")
        for code, row in balances.items()
    }
    currencies = {}
    for code in sorted({line.currency for line in lines} | {c for c, sum_ in owed.items() if sum_}):
        shares = [line for line in lines if line.currency == code]
        noted = sum((line.owed for line in shares), Decimal(0))
        said = owed.get(code, Decimal(0))
        difference = said - noted
        grown = _most_interest(ledger, code, noted, terms)
        unclear = any(line.holder == "unclear" for line in shares)
        currencies[code] = {
            "exchange": f"{said:f}",
            "ledger": f"{noted:f}",
            "difference": f"{difference:f}",
            "agree": -_UNIT <= difference <= grown and not unclear,
            "lines": [
                {
                    "holder": line.holder,
                    "owed": f"{line.owed:f}",
                    "borrowed": f"{line.borrowed:f}",
                    "interest": f"{line.interest:f}",
                }
                for line in shares
            ],
        }
    waiting = [
        {
            "kind": command["kind"],
            "currency": command["currency"],
            "amount": f"{command['amount']:f}",
            "holder": command["holder"],
            "sent": command["sent"],
        }
        for command in ledger.commands("intent")
    ]
    return {
        "ledger": _shown(ledger.url),
        "agree": not waiting and all(row["agree"] for row in currencies.values()),
        "adopted": ledger.meta("adopted"),
        "currencies": currencies,
        "openCommands": waiting,
        "dust": {
            code: {"amount": f"{amount:f}", "cost": f"{cost:f}"}
            for code, (amount, cost) in ledger.dust().items()
        },
    }


def _most_interest(ledger: Any, code: str, noted: Decimal, terms: dict[str, Any]) -> Decimal:
    """What the debt may have grown by since the bot looked at it last."""
    kept = ledger.meta(f"owed:{code}")
    since = float(kept.split()[0]) if kept else time.time() - 86400
    rate = _decimal(terms.get(code) or {}, "annualInterestPercentage") or Decimal(1)
    seconds = Decimal(str(max(60.0, time.time() - since)))
    return noted * rate / 100 * seconds / _YEAR * 3 + _UNIT


def _decimal(row: dict[str, Any], name: str) -> Decimal:
    return Decimal(str(row.get(name) or "0").replace(",", ""))


def _table(document: dict[str, Any]) -> "Group":
    from rich.console import Group
    from rich.text import Text

    columns = [
        Column("currency"),
        Column("who"),
        Column("owed", right=True),
        Column("borrowed", right=True, optional=True),
        Column("interest", right=True),
    ]
    rows: list[tuple[Any, ...]] = []
    for code, row in document["currencies"].items():
        for line in row["lines"]:
            who = _who(line["holder"])
            rows.append((code, who, line["owed"], line["borrowed"], line["interest"]))
        verdict = "agree" if row["agree"] else f"differ by {row['difference']}"
        style = "green" if row["agree"] else "bold red"
        said = (f"exchange {row['exchange']}: {verdict}", style)
        rows.append((code, said, row["ledger"], "", ""))
    notes = Text("" if rows else "nothing is owed")
    for command in document["openCommands"]:
        notes.append(
            f"\nno answer yet: {command['kind']} {command['amount']} {command['currency']} for"
            f" {command['holder']}",
            style="bold yellow",
        )
    for code, dust in document["dust"].items():
        notes.append(f"\ndust {dust['amount']} {code}, which has cost {dust['cost']}")
    if document["adopted"]:
        notes.append("\nthe ledger was lost: look at the shares, then --accept", style="bold red")
    return Group(Rows(columns, rows, heads=2), notes)


def _who(holder: str) -> str:
    if holder.startswith("exit:"):
        _exit, pair, order = holder.split(":", 2)
        return f"exit {order} of {pair}, being repaid"
    return _WORDS.get(holder, holder)
