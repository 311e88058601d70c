"""The sweeps of one bot: one at a time, and one serves every emergency that it covers."""

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Final

from freqtrade.enums import RPCMessageType

from ..core.report import CancelReport, SweepOutcome
from ..core.symbols import OrderKey
from . import freqtrade_internals, positions
from .options import Options

logger = logging.getLogger(__name__)

MAPPING_SHARE: Final = 0.25
"""The part of the deadline that is kept for mapping, after the sweep."""
SAME_MOMENT_SECONDS: Final = 30.0
"""How long after a sweep of the account another emergency sweeps its own pair only."""
MESSAGE_LENGTH: Final = 4000


@dataclass(frozen=True)
class Sweep:
    """A sweep that has been made."""

    pair: str | None
    ended: float
    report: CancelReport
    known: set[OrderKey]


def warn(bot: Any, text: str) -> None:
    """Say it loudly: in the log, and to the user by every way there is.

    A strategy's own messages wait for the end of an iteration, which may not be reached, and go
    only where ``allow_custom_messages`` is set.
    """
    logger.error(text)
    message = {"type": RPCMessageType.WARNING, "status": text[:MESSAGE_LENGTH]}
    freqtrade_internals.send_aside(bot.rpc, [message])


def was_answered(report: CancelReport) -> bool:
    """Whether the exchange said anything about the orders in scope; else nothing was swept yet."""
    return report.listed or bool(report.cancelled or report.already_done)


def _is_settled(report: CancelReport, pair: str) -> bool:
    """Whether all is known of the orders of one pair."""
    open_questions = (*report.still_open, *report.unknown)
    return report.listed and not any(order["symbol"] == pair for order in open_questions)


class Sweeps:
    """Makes sweeps, tells the user about them, and remembers the last ones."""

    def __init__(self, strategy: Any, options: Options) -> None:
        self._strategy = strategy
        self._options = options
        self._last: dict[str | None, Sweep] = {}
        """The last sweep of each pair, and of the whole account (None)."""
        self._lock = threading.Lock()

    def sweep(self, trade: Any, started: float, *, own_pair: bool = False) -> CancelReport:
        """Cancel and confirm before an exit of this trade; the report of an earlier sweep if that
        covers it. ``own_pair`` narrows it to the exiting pair.

        :raises TimeoutError: when another sweep does not end in time.
        """
        if not self._lock.acquire(timeout=max(0.0, self._left(started))):
            raise TimeoutError("another sweep is still running")
        try:
            # Within the lock: a sweep that has just ended counts.
            pair = str(trade.pair) if own_pair else self._scope(trade, started)
            known = positions.open_order_keys(pair, [trade])
            reused = self._covering(pair, known, started)
            if reused is not None:
                return reused
            logger.warning(
                f"Emergency exit of {trade.pair}: cancelling all margin orders"
                f" ({pair or 'every pair'}), {len(known)} of them known here."
            )
            budget = self._left(started) - MAPPING_SHARE * self._options.deadline
            exchange = freqtrade_internals.exchange_of(self._strategy)
            # What the exit does not need is read after it has left.
            report: CancelReport = exchange.sweep_margin_orders(
                pair, known, max(0.5, budget), first=str(trade.pair)
            )
            self._last[pair] = Sweep(pair, time.monotonic(), report, known)
        finally:
            self._lock.release()
        if report.rest is None or not _is_settled(report, str(trade.pair)):
            self._tell(report, known)
        else:
            logger.warning(f"{trade.pair} is swept; what became of other pairs' orders follows.")
        return report

    def complete(self, report: CancelReport) -> None:
        """Take in the whole report of a sweep that was made for one pair first."""
        last = self._last.get(None)
        known: set[OrderKey] = set()
        if last is not None:
            known = last.known
            self._last[None] = replace(last, report=report)
        self._tell(report, known)

    def _scope(self, trade: Any, started: float) -> str | None:
        """The pair to sweep, or None for all.

        With scope ``all`` a second emergency moments after the first sweeps its own pair only: the
        first one's exit order is on the account by then, and must not be cancelled.
        """
        last = self._last.get(None)
        if self._options.scope == "pair":
            return str(trade.pair)
        if last is None or not was_answered(last.report):
            return None
        return str(trade.pair) if last.ended > started - SAME_MOMENT_SECONDS else None

    def _covering(
        self, pair: str | None, known: set[OrderKey], started: float
    ) -> CancelReport | None:
        """A sweep that ended moments ago and covers this one, when no order has come since."""
        for scope in dict.fromkeys((pair, None)):
            last = self._last.get(scope)
            if last is None or last.ended <= started - self._options.deadline:
                continue
            if not self._have_ended(last, known):
                continue
            # By now it may have been completed.
            report = self._last[scope].report
            settled = report.outcome is SweepOutcome.CONFIRMED
            if settled or (pair is not None and _is_settled(report, pair)):
                return report
        return None

    def _have_ended(self, last: Sweep, known: set[OrderKey]) -> bool:
        ended = {(order["symbol"], order["id"]) for order in last.report.final_orders()}
        exchange = freqtrade_internals.exchange_of(self._strategy)
        return all(key in ended or exchange.end_of(*key) is not None for key in known)

    def _tell(self, report: CancelReport, known: set[OrderKey]) -> None:
        strangers = [
            order for order in report.cancelled if (order["symbol"], order["id"]) not in known
        ]
        text = f"Emergency cancel: {report.summary()}"
        if strangers:
            text += f"; {len(strangers)} of the cancelled are not this bot's"
        if report.outcome is SweepOutcome.CONFIRMED:
            logger.warning(text)
        else:
            text += ". What is not confirmed stays open in the database: check it on BitoPro"
            warn(freqtrade_internals.bot_of(self._strategy), text)
        self._strategy.dp.send_msg(text[:MESSAGE_LENGTH], always_send=True)

    def _left(self, started: float) -> float:
        return self._options.deadline - (time.monotonic() - started)
