"""What a cancel report means to the person who asked for it: lines to read, and an exit code."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from ..core.errors import Meaning
from ..core.report import CancelReport, SweepOutcome
from .common import ExitCode

_SHOWN: Final = 10
"""How many ids of a pair are written out where all went well."""
REFUSED: Final = frozenset({Meaning.AUTHENTICATION, Meaning.PERMISSION})
"""Failures of a key, which the user has to correct."""


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
