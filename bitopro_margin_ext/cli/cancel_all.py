"""``bitopro-margin cancel-all``: the kill switch."""

import argparse
import contextlib
import json
import signal
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import Failure, Meaning
from ..core.report import CancelReport, SweepOutcome
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

if TYPE_CHECKING:
    from .repay import Repayment

HELP: Final = "cancel every open margin order, and confirm that none is left"
DEADLINE: Final = 10.0
ORDERS_ONLY: Final = (
    "  orders only: debts are not repaid and positions are not closed"
    " (--repay repays what free balances allow)"
)
EMPTY_DOCUMENT: Final = CancelReport("all").to_json() | {
    "dry_run": False,
    "interrupted": False,
    "repay": None,
}
"""What ``--json`` prints where nothing was asked; ``outcome`` and ``error`` say why."""
_SHOWN: Final = 10
"""How many ids of a pair are written out where all went well."""
REFUSED: Final = frozenset({Meaning.AUTHENTICATION, Meaning.PERMISSION})
"""Failures of a key, which the user has to correct."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what to cancel, and how sure to be."""
    parser.epilog = (
        "Keys come from BITOPRO_API_KEY and BITOPRO_API_SECRET (BITOPRO_EMAIL if wanted), a "
        "Freqtrade config, or the system keyring. Without a terminal nothing is asked, but an "
        "answer on standard input counts: y or yes agrees, anything else does not. Exit codes: 0 "
        "confirmed that nothing in scope is open, 1 orders remain, 2 usage or configuration, 3 "
        "outcome unknown, 130 interrupted or not agreed to. Orders only: debts are not repaid and "
        "positions are not closed."
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
    unasked = " (no terminal: not asking)" if asks and not common.on_terminal() else ""
    show = print_err if args.json else print_out
    show(f"BitoPro margin account {credentials.account} at {base_url}: {task}{unasked}")
    with contextlib.suppress(ValueError):  # not the main thread, so not our process either
        # Whoever ends this early (``timeout``, a service manager) sees what is known, too.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = CancelReport(scope)
    if asks and common.ask("Go on?") is False:
        text = f"{common.NOT_AGREED}: nothing was sent (--yes asks nothing)"
        print_err(text)
        _print_document(args, report, ExitCode.INTERRUPTED, text)
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
    is_over = not interrupted and not args.dry_run
    if not is_over or not args.repay:
        _print_document(args, report, verdict.code, error, interrupted=interrupted)
        if is_over:
            show(ORDERS_ONLY)
        for line in lines:
            show(line)
        return code
    for line in lines:
        show(line)
    from .repay import Repayment

    repayment = Repayment()
    try:
        repayment.carry_out(client, deadline=args.deadline, ask=not args.yes, show=show)
    except KeyboardInterrupt:
        repayment.end(ExitCode.INTERRUPTED, "interrupted: see the account")
        print_err(f"repaying was {repayment.error}")
    code = code or repayment.code
    _print_document(args, report, code, error or repayment.error, repayment=repayment)
    return code


def _print_document(
    args: argparse.Namespace,
    report: CancelReport,
    code: ExitCode,
    error: str | None,
    *,
    interrupted: bool = False,
    repayment: "Repayment | None" = None,
) -> None:
    if args.json:
        document = report.to_json() | {"outcome": OUTCOMES[code], "error": error}
        document |= {"dry_run": args.dry_run, "interrupted": interrupted}
        document["repay"] = None if repayment is None else repayment.to_json()
        print_out(json.dumps(document))


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


# -- what a report means: lines to read, and an exit code --------------------------------------


def key_refused(report: CancelReport) -> bool:
    """Whether the exchange turned the key away to the end, and did nothing for it."""
    return (
        report.outcome is SweepOutcome.UNKNOWN
        and not report.in_doubt
        and not report.cancelled
        and report.key_refusal is not None
        and report.key_refusal.meaning in REFUSED
    )


def pair_unknown(report: CancelReport) -> bool:
    """Whether the exchange does not know the pair, and its lists show nothing of it."""
    return (
        report.listed
        and not report.in_doubt
        and not report.cancelled
        and not report.already_done
        and any(failure.meaning is Meaning.BAD_SYMBOL for failure in report.failures)
    )


class Verdict:
    """A finished report as an exit code and lines.

    ``parts`` are the reports of several pairs, of which ``report`` is the sum. A key that was
    refused and a pair that the exchange does not know are the user's to correct, unless something
    more is known: then that counts.
    """

    def __init__(self, report: CancelReport, parts: Sequence[CancelReport] = ()) -> None:
        strange = [
            part
            for part in parts or [report]
            if pair_unknown(part) and part.outcome is not SweepOutcome.REMAINING
        ]
        self._refused = key_refused(report)
        self._strange = [part.scope for part in strange]
        self._known: CancelReport | None = report
        if strange:
            known = [part for part in parts if part not in strange]
            self._known = _sum(known, report) if known else None

    @property
    def code(self) -> ExitCode:
        """The exit code."""
        outcome = None if self._known is None else self._known.outcome
        if outcome is SweepOutcome.REMAINING:
            return ExitCode.REMAINING
        if self._refused:
            return ExitCode.USAGE
        if outcome is SweepOutcome.UNKNOWN:
            return ExitCode.UNKNOWN
        return ExitCode.USAGE if self._strange else ExitCode.CONFIRMED

    def lines(self, *, dry_run: bool = False, interrupted: bool = False) -> list[str]:
        """First what became of the orders, last the verdict."""
        report = self._known
        if report is not None and self._refused:
            refusal = report.key_refusal
            return [f"REFUSED: nothing was done, and orders may be open: {refusal}"]
        strange = [
            f"BitoPro does not know the pair {pair}: nothing was done, check its name"
            for pair in self._strange
        ]
        if report is None:
            return strange
        lines = strange + _by_pair("cancelled", report.cancelled, _SHOWN)
        lines += _by_pair("already done", report.already_done, _SHOWN)
        lines += _by_pair("open" if dry_run else "STILL OPEN", report.still_open, None)
        lines += _by_pair("UNKNOWN", report.unknown, None)
        if report.in_doubt:
            lines.append("  a cancel got no answer, so orders that it ended may not be named here")
        requests = "1 request" if report.requests == 1 else f"{report.requests} requests"
        cost = f"{requests}, {report.elapsed_ms} ms"
        if interrupted:
            lines.append(f"INTERRUPTED: this is what is known so far ({cost}); orders may be open")
            return lines
        return [*lines, f"{_sentence(report, dry_run)} ({cost})"]


def _sum(parts: Sequence[CancelReport], whole: CancelReport) -> CancelReport:
    report = CancelReport(", ".join(part.scope for part in parts))
    report.sum_up(parts)
    report.requests, report.elapsed_ms = whole.requests, whole.elapsed_ms
    return report


def _sentence(report: CancelReport, dry_run: bool) -> str:
    where = "any pair" if report.scope == "all" else report.scope
    if report.outcome is SweepOutcome.CONFIRMED:
        done = "" if dry_run else f"{len(report.cancelled)} cancelled; "
        return f"CONFIRMED: {done}no margin order is open on {where}"
    if report.outcome is SweepOutcome.REMAINING:
        count = len(report.still_open)
        noun = "order is" if count == 1 else "orders are"
        if dry_run:
            return f"{count} {noun} open on {where}; nothing was cancelled"
        return f"REMAINING: {count} {noun} still open on {where}; run this again{_last(report)}"
    silent = report.failures and all(failure.status is None for failure in report.failures)
    advice = "check the network and the address, and run this again" if silent else "run this again"
    return f"UNKNOWN: what is open on {where} could not be learnt; {advice}{_last(report)}"


def _last(report: CancelReport) -> str:
    """The last failure that says more than that time ran out."""
    telling = [failure for failure in report.failures if failure.meaning is not Meaning.TIMEOUT]
    failures = telling or report.failures
    return f"; last failure: {failures[-1]}" if failures else ""


def _by_pair(state: str, orders: list[dict[str, Any]], shown: int | None) -> list[str]:
    lines = []
    for symbol, group in groupby(sorted(orders, key=_name), key=lambda order: order["symbol"]):
        ids = [str(order["id"]) for order in group]
        more = "" if shown is None or len(ids) <= shown else f" and {len(ids) - shown} more"
        lines.append(f"  {state}  {symbol}  {len(ids)}: {', '.join(ids[:shown])}{more}")
    return lines


def _name(order: dict[str, Any]) -> tuple[str, str]:
    return str(order["symbol"]), str(order["id"])
