"""``bitopro-margin cancel-all``: the kill switch."""

import argparse
import contextlib
import json
import signal
from typing import Any, Final

from ..core.errors import Failure
from ..core.report import CancelReport
from . import common
from .common import (
    OUTCOMES,
    ExitCode,
    UsageError,
    add_access_arguments,
    add_pair_argument,
    print_err,
    print_out,
    read_access,
    read_config,
    seconds,
)
from .report_text import Verdict

HELP: Final = "cancel every open margin order, and confirm that none is left"
DEADLINE: Final = 10.0
ORDERS_ONLY: Final = (
    "  orders only: debts are not repaid and positions are not closed"
    " (--repay repays what free balances allow)"
)
EMPTY_DOCUMENT: Final = CancelReport("all").to_json() | {"dry_run": False, "interrupted": False}
"""What ``--json`` prints where nothing was asked; ``outcome`` and ``error`` say why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what to cancel, and how sure to be."""
    parser.epilog = (
        "Keys come from BITOPRO_API_KEY and BITOPRO_API_SECRET (BITOPRO_EMAIL if wanted), a "
        "Freqtrade config, or the system keyring. Without a terminal nothing is asked, but an n "
        "on standard input is a no. Exit codes: 0 confirmed that nothing in scope is open, 1 "
        "orders remain, 2 usage or configuration, 3 outcome unknown, 130 interrupted or not "
        "agreed to. Orders only: debts are not repaid and positions are not closed."
    )
    add_pair_argument(parser)
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
    parser.add_argument(
        "--repay",
        action="store_true",
        help="afterwards repay debts as far as free balances go; asks first",
    )
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    parser.add_argument(
        "--json", action="store_true", help="one document on standard output, the rest on error"
    )
    add_access_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Cancel, confirm, report."""
    if args.dry_run and args.repay:
        raise UsageError("--dry-run sends no write, and --repay is one: give one of them")
    pairs = list(dict.fromkeys(args.pairs))
    scope = ", ".join(pairs) or "all"
    credentials, base_url = read_access(args, read_config(args.config))
    what = f"open {scope} margin orders" if pairs else "every open margin order"
    task = f"list {what}, cancel nothing" if args.dry_run else f"cancel {what}"
    asks = not args.dry_run and not args.yes
    terminal = asks and common.on_terminal()
    unasked = " (no terminal: not asking)" if asks and not terminal else ""
    show = print_err if args.json else print_out
    show(f"BitoPro margin account {credentials.account} at {base_url}: {task}{unasked}")
    with contextlib.suppress(ValueError):  # not the main thread, so not our process either
        # Whoever ends this early (``timeout``, a service manager) sees what is known, too.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = CancelReport(scope)
    if asks and not (_agreed() if terminal else not common.refused_by_pipe()):
        print_err("nothing was sent")
        _print_document(args, report, ExitCode.INTERRUPTED, "not agreed to: nothing was sent")
        return ExitCode.INTERRUPTED
    # Only now: the terminal has its first line while the slowest import runs.
    from ..core import sweep
    from ..core.client import MarginClient, cancel_pairs, list_pairs

    client = MarginClient(credentials, base_url, Progress())
    parts: list[CancelReport] = []
    bounds: dict[str, Any] = {"deadline": args.deadline, "exchange_clock": client, "report": report}
    if len(pairs) > 1:
        start = list_pairs if args.dry_run else cancel_pairs
        flow = start(pairs, parts=parts, **bounds)
    else:
        begin = sweep.list_without_cancelling if args.dry_run else sweep.cancel_and_confirm
        flow = begin(pairs[0] if pairs else None, **bounds)
    interrupted = False
    try:
        client.run(flow, report)
    except KeyboardInterrupt:
        interrupted = True
    verdict = Verdict(report, parts)
    code = ExitCode.INTERRUPTED if interrupted else verdict.code
    lines = verdict.lines(dry_run=args.dry_run, interrupted=interrupted)
    error = None if verdict.code is ExitCode.CONFIRMED and not interrupted else lines[-1]
    _print_document(args, report, verdict.code, error, interrupted=interrupted)
    is_over = not interrupted and not args.dry_run
    if is_over and not args.repay:
        show(ORDERS_ONLY)
    for line in lines:
        show(line)
    if not is_over or not args.repay:
        return code
    from .repay import repay_free_balances

    repaid = repay_free_balances(client, deadline=args.deadline, ask=not args.yes, show=show)
    return code or repaid


def _print_document(
    args: argparse.Namespace,
    report: CancelReport,
    code: ExitCode,
    error: str | None,
    *,
    interrupted: bool = False,
) -> None:
    if args.json:
        document = report.to_json() | {"outcome": OUTCOMES[code], "error": error}
        document |= {"dry_run": args.dry_run, "interrupted": interrupted}
        print_out(json.dumps(document))


def _agreed() -> bool:
    try:
        return common.confirm("Go on?")
    except KeyboardInterrupt:
        return False


class Progress:
    """Says why it takes longer, each reason once. What is not retried is in the verdict."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, failure: Failure) -> None:
        """Say why one call failed."""
        text = str(failure)
        if failure.is_retryable and text not in self._said:
            self._said.add(text)
            print_err(f"  {text}; trying again")
