"""The sweeps of one bot: one at a time, and one serves every emergency that it covers."""

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Final

from freqtrade.enums import RPCMessageType

from ..core.endpoints import OrderKey
from ..core.report import CancelReport, SweepOutcome
from . import freqtrade_internals, positions
from .options import Options

logger = logging.getLogger(__name__)

MAPPING_SHARE: Final = 0.25
"""The part of the deadline that is kept for mapping, after the sweep."""
REST_SECONDS: Final = 1.0
"""What a sweep spends at most on what an earlier one left for later."""
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
    exiting: int
    """The id of the trade for which it was made."""


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


class Sweeps:
    """Makes sweeps, tells the user about them, and remembers the last ones."""

    def __init__(self, strategy: Any, options: Options) -> None:
        self._strategy = strategy
        self._options = options
        self._last: dict[str | None, Sweep] = {}
        """The last sweep of each pair, and of the whole account (None)."""
        self._completed: list[Sweep] = []
        self._lock = threading.Lock()

    def sweep(self, trade: Any, started: float, *, own_pair: bool = False) -> CancelReport:
        """Cancel and confirm before an exit of this trade; the report of an earlier sweep if that
        covers it. ``own_pair`` narrows it to the exiting pair.

        :raises TimeoutError: when another sweep does not end in time.
        """
        if not self._lock.acquire(timeout=max(0.0, self._left(started))):
            raise TimeoutError("another sweep is still running")
        try:
            # Within the lock: a sweep that has just ended counts. What it left for later would be
            # asked for by this one, too.
            self._complete(min(REST_SECONDS, self._left(started) / 4))
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
            # With scope ``all`` the exit waits for its own pair only.
            report: CancelReport = exchange.sweep_margin_orders(
                pair, known, max(0.5, budget), str(trade.pair) if pair is None else None
            )
            self._last[pair] = Sweep(pair, time.monotonic(), report, known, trade.id)
        finally:
            self._lock.release()
        # What is in doubt is said at once, whatever is left to be asked.
        if report.rest is None or report.outcome is not SweepOutcome.CONFIRMED:
            self._tell(report, known)
        return report

    def complete(self, seconds: float) -> list[Sweep]:
        """Learn what became of the orders that an exit did not wait for, and tell the user.

        :returns: the sweeps that were completed since this was last asked.
        """
        with self._lock:
            self._complete(seconds)
            done, self._completed = self._completed, []
        return done

    def known_to(self, report: CancelReport) -> set[OrderKey]:
        """The bot's orders that were open, and in scope, when this sweep was made."""
        sweeps = (*self._last.values(), *self._completed)
        return set(next((one.known for one in sweeps if one.report is report), ()))

    def _complete(self, seconds: float) -> None:
        for pair, last in list(self._last.items()):
            if last.report.rest is None:
                continue
            exchange = freqtrade_internals.exchange_of(self._strategy)
            report = exchange.complete_sweep(last.report, max(0.5, seconds))
            last = self._last[pair] = replace(last, report=report)
            self._completed.append(last)
            self._tell(report, last.known)

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
        for last in (self._last.get(pair), self._last.get(None)):
            if last is None or last.ended <= started - self._options.deadline:
                continue
            ended = last.report.ends().keys()
            if last.report.outcome is SweepOutcome.CONFIRMED and known <= ended:
                return last.report
        return None

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
