"""Several pairs in one sweep: their flows take turns, so that none waits for another's trouble."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from .report import CancelReport
from .steps import Flow, Sleep
from .sweep import SweptAccount, cancel_and_confirm, list_without_cancelling


def cancel_pairs(
    symbols: Sequence[str],
    *,
    deadline: float,
    exchange_clock: SweptAccount,
    report: CancelReport,
    parts: list[CancelReport],
) -> Flow[CancelReport]:
    """Cancel the margin orders of these pairs, each as ``cancel_and_confirm`` does.

    ``deadline`` (seconds) bounds all of it. ``parts`` receives a report for every pair, and
    ``report`` what they say together, also when the flow is closed early.
    """
    parts += [CancelReport(symbol) for symbol in symbols]
    flows = [
        cancel_and_confirm(
            part.scope, deadline=deadline, exchange_clock=exchange_clock, report=part
        )
        for part in parts
    ]
    return _together(flows, report, parts, time.monotonic)


def list_pairs(
    symbols: Sequence[str],
    *,
    deadline: float,
    exchange_clock: SweptAccount,
    report: CancelReport,
    parts: list[CancelReport],
) -> Flow[CancelReport]:
    """Report what is open on these pairs; send no write at all. Otherwise as ``cancel_pairs``."""
    parts += [CancelReport(symbol) for symbol in symbols]
    flows = [
        list_without_cancelling(
            part.scope, deadline=deadline, exchange_clock=exchange_clock, report=part
        )
        for part in parts
    ]
    return _together(flows, report, parts, time.monotonic)


def _together(
    flows: Sequence[Flow[CancelReport]],
    report: CancelReport,
    parts: Sequence[CancelReport],
    clock: Callable[[], float],
) -> Flow[CancelReport]:
    try:
        yield from take_turns(flows, clock)
    finally:
        report.sum_up(parts)
    return report


def take_turns(flows: Sequence[Flow[Any]], clock: Callable[[], float]) -> Flow[None]:
    """Run flows side by side in one performer: a call of one fills the pauses of the others."""
    due = {number: clock() for number in range(len(flows))}
    answers: dict[int, Any] = dict.fromkeys(due)
    try:
        while due:
            number = min(due, key=due.__getitem__)
            wait = due[number] - clock()
            if wait > 0:
                yield Sleep(wait)
            try:
                step = flows[number].send(answers[number])
            except StopIteration:
                del due[number]
                continue
            if isinstance(step, Sleep):
                answers[number] = None
                due[number] = clock() + step.seconds
            else:
                answers[number] = yield step
                # Behind those that wait already.
                due[number] = clock()
    finally:
        for flow in flows:
            flow.close()
