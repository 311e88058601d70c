"""``bitopro-margin cancel-all``: the kill switch."""

import argparse
import contextlib
import json
import signal
from typing import Final

from ..core.errors import Failure
from ..core.report import CancelReport
from . import common
from .common import (
    add_access_arguments,
    agreed,
    on_terminal,
    pair,
    read_access,
    read_config,
    say,
    seconds,
    tell,
)
from .report_text import exit_code, verdict_lines

HELP: Final = "cancel every open margin order, and confirm that none is left"
DEADLINE: Final = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what to cancel, and how sure to be."""
    parser.epilog = (
        "Keys come from BITOPRO_API_KEY and BITOPRO_API_SECRET (BITOPRO_EMAIL if wanted), a "
        "Freqtrade config, or the system keyring. Without a terminal nothing is asked. Exit codes: "
        "0 confirmed that nothing in scope is open, 1 orders remain, 2 usage or configuration, "
        "3 outcome unknown, 130 interrupted or not agreed to."
    )
    parser.add_argument("--pair", type=pair, help="only this pair, like BTC/USDT (default: all)")
    parser.add_argument(
        "--deadline",
        type=seconds,
        default=DEADLINE,
        metavar="SECONDS",
        help="keep trying for so long (default: %(default)g)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list what would be cancelled, and cancel nothing"
    )
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    parser.add_argument(
        "--json", action="store_true", help="one document on standard output, the rest on error"
    )
    add_access_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Cancel, confirm, report."""
    credentials, base_url = read_access(args, read_config(args.config))
    what = "every open margin order" if args.pair is None else f"open {args.pair} margin orders"
    task = f"list {what}, cancel nothing" if args.dry_run else f"cancel {what}"
    say(f"BitoPro margin account {credentials.account} at {base_url}: {task}", to_stderr=args.json)
    with contextlib.suppress(ValueError):  # not the main thread, so not our process either
        # Whoever ends this early (``timeout``, a service manager) is told what is known, too.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not args.dry_run and not args.yes and on_terminal() and not _agreed():
        tell("nothing was sent")
        return common.INTERRUPTED
    # Only now: the terminal has its first line while the slowest import runs.
    from ..core import sweep
    from ..core.client import MarginClient

    client = MarginClient(credentials, base_url, Progress())
    report = CancelReport(args.pair or "all")
    if args.dry_run:
        flow = sweep.list_without_cancelling(
            args.pair, deadline=args.deadline, exchange_clock=client, report=report
        )
    else:
        flow = sweep.cancel_and_confirm(
            args.pair,
            deadline=args.deadline,
            exchange_clock=client,
            report=report,
        )
    try:
        client.run(flow, report)
    except KeyboardInterrupt:
        _print(report, args, interrupted=True)
        return common.INTERRUPTED
    _print(report, args)
    return exit_code(report)


def _agreed() -> bool:
    try:
        return agreed("Go on?")
    except KeyboardInterrupt:
        return False


class Progress:
    """Says why it takes longer, each reason once. What is not tried again is in the verdict."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, failure: Failure) -> None:
        """Tell of one failed call."""
        text = str(failure)
        if failure.sent and failure.is_retryable and text not in self._told:
            self._told.add(text)
            tell(f"  {text}; trying again")


def _print(report: CancelReport, args: argparse.Namespace, *, interrupted: bool = False) -> None:
    if args.json:
        document = report.to_json()
        document |= {"dry_run": args.dry_run, "interrupted": interrupted}
        say(json.dumps(document))
    lines = verdict_lines(report, dry_run=args.dry_run, interrupted=interrupted)
    for line in lines:
        say(line, to_stderr=args.json)
