"""``bitopro-margin plot``: adRatio, debt and interest over time, from the ledger."""

import argparse
import time
from pathlib import Path
from typing import Any, Final

from .common import ExitCode, UsageError, add_access_arguments, print_err, print_out, read_config

HELP: Final = "plot adRatio, debt and interest over time (HTML or PNG)"
DAYS: Final = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose ledger, how much of it, and where to."""
    parser.add_argument(
        "--db-url", metavar="URL", help="the bot's database (default: the config's db_url)"
    )
    parser.add_argument(
        "--days", type=_days, default=DAYS, help="how far back (default: %(default)g)"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="bitopro-margin-loans.html",
        help="an .html or a .png file (default: %(default)s)",
    )
    add_access_arguments(parser)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days < 10_000:
        raise argparse.ArgumentTypeError("give a number of days above 0")
    return days


def run(args: argparse.Namespace) -> int:
    """Draw, and write the file."""
    from ..bot.ledger_database import LedgerError
    from ..bot.loans_ledger import LoansLedger
    from .loans import ledger_of

    file = Path(args.output)
    if file.suffix.lower() not in (".html", ".png"):
        raise UsageError(f"{file.name}: the output is an .html or a .png file")
    try:
        ledger = LoansLedger(ledger_of(args, read_config(args.config)), hold=False)
    except LedgerError as error:
        raise UsageError(str(error)) from None
    rows = ledger.readings(time.time() - args.days * 86400)
    ledger.close()
    if not rows:
        print_err(f"the ledger has no readings of the last {args.days:g} days: nothing to plot")
        return ExitCode.REMAINING
    figure = draw(rows)
    try:
        if file.suffix.lower() == ".html":
            # Everything in the file: it opens without a network.
            figure.write_html(file, include_plotlyjs=True)
        else:
            figure.write_image(file, width=1200, height=900)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from None
    except (ValueError, RuntimeError, ImportError):
        text = "a PNG needs kaleido: pip install kaleido, or name an .html file"
        raise UsageError(text) from None
    print_out(f"{len(rows)} readings in {file}")
    return ExitCode.CONFIRMED


def draw(rows: list[Any]) -> Any:
    """Three curves above each other, on one axis of time."""
    from datetime import UTC, datetime

    from plotly.subplots import make_subplots

    moments = [datetime.fromtimestamp(row["moment"], UTC) for row in rows]
    titles = ("adRatio (assets by debts)", "Debt, in USDT", "Interest of open loans, in stake")
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.06, subplot_titles=titles
    )
    for number, name in enumerate(("ad_ratio", "debt", "interest"), start=1):
        figure.add_scatter(
            x=moments,
            y=[row[name] for row in rows],
            mode="lines",
            name=titles[number - 1],
            row=number,
            col=1,
        )
    figure.update_layout(title="BitoPro margin account", showlegend=False, hovermode="x unified")
    return figure
