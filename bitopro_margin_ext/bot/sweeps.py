"""The sweeps of one bot: one at a time, and one serves every emergency that it covers."""

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from freqtrade.enums import RPCMessageType
from freqtrade.persistence import Order
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from ..core.endpoints import OrderKey
from ..core.report import CancelReport, SweepOutcome
from . import freqtrade_internals
from .options import Options

logger = logging.getLogger(__name__)

Ends = dict[OrderKey, dict[str, Any]]
"""The final ccxt structure of orders, by pair and id."""

MAPPING_SHARE: Final = 0.25
"""The part of the deadline that is kept for mapping, after the sweep."""
REST_SECONDS: Final = 1.0
"""What a sweep spends at most on what an earlier one left for later."""
SAME_MOMENT_SECONDS: Final = 30.0
"""How long after a sweep of the account another emergency sweeps its own pair only."""
MESSAGE_LENGTH: Final = 4000


@dataclass(frozen=True)
class Sweep:
    """A sweep that has been made, and the orders in scope that the bot believed open then."""

    pair: str | None
    ended: float
    report: CancelReport
    ends: Ends
    """The orders whose end the exchange has stated."""
    known: set[OrderKey]
    swept: set[OrderKey]
    """Those of ``known`` that the sweep has not left open."""
    answered: bool
    """Whether the exchange said anything about the orders in scope; else nothing was swept yet."""
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


class Sweeps:
    """Makes sweeps, tells the user about them, and remembers the last ones."""

    def __init__(self, bot: Any, options: Options) -> None:
        self._bot = bot
        self._options = options
        self._last: dict[str | None, Sweep] = {}
        """The last sweep of each pair, and of the whole account (None)."""
        self._completed: list[Sweep] = []
        self._lock = threading.Lock()

    def sweep(self, trade: Any, started: float, *, own_pair: bool = False) -> Sweep:
        """Cancel and confirm before an exit of this trade; an earlier sweep if that covers it.

         ``own_pair`` narrows it to the exiting pair.

        :raises TimeoutError: when another sweep does not end in time.
        """
        if not self._lock.acquire(timeout=max(0.0, self._left(started))):
            raise TimeoutError("another sweep is still running")
        try:
            # Within the lock: a sweep that has just ended counts. What it left for later would be
            # asked for by this one, too.
            self._complete(min(REST_SECONDS, self._left(started) / 4))
            pair = str(trade.pair) if own_pair else self._scope(trade, started)
            known = open_order_keys(pair, [trade])
            reused = self._covering(pair, known, started)
            if reused is not None:
                return reused
            logger.warning(
                f"Emergency exit of {trade.pair}: cancelling all margin orders"
                f" ({pair or 'every pair'}), {len(known)} of them known here."
            )
            budget = self._left(started) - MAPPING_SHARE * self._options.deadline
            # With scope ``all`` the exit waits for its own pair only.
            report, ends = self._bot.exchange.sweep_margin_orders(
                pair, known, max(0.5, budget), str(trade.pair) if pair is None else None
            )
            sweep = self._last[pair] = _sweep_of(report, ends, pair, known, trade.id)
        finally:
            self._lock.release()
        # What is in doubt is said at once, whatever is left to be asked.
        if report.rest is None or report.outcome is not SweepOutcome.CONFIRMED:
            self._tell(report, known)
        return sweep

    def complete(self, seconds: float) -> list[Sweep]:
        """Learn what became of the orders that an exit did not wait for, and tell the user.

        :returns: the sweeps that were completed since this was last asked.
        """
        with self._lock:
            self._complete(seconds)
            done, self._completed = self._completed, []
        return done

    @property
    def has_rest(self) -> bool:
        """Whether something is left that an exit did not wait for, or that nobody has taken yet."""
        if self._completed:
            return True
        return any(last.report.rest is not None for last in self._last.values())

    def _complete(self, seconds: float) -> None:
        for pair, last in list(self._last.items()):
            if last.report.rest is None:
                continue
            report, ends = self._bot.exchange.complete_sweep(last.report, max(0.5, seconds))
            last = _sweep_of(report, ends, pair, last.known, last.exiting, last.ended)
            self._last[pair] = last
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
        if last is None or not last.answered:
            return None
        return str(trade.pair) if last.ended > started - SAME_MOMENT_SECONDS else None

    def _covering(self, pair: str | None, known: set[OrderKey], started: float) -> Sweep | None:
        """A sweep that ended moments ago and covers this one, when no order has come since."""
        for last in (self._last.get(pair), self._last.get(None)):
            if last is None or last.ended <= started - self._options.deadline:
                continue
            if known <= last.ends.keys() and last.report.outcome is SweepOutcome.CONFIRMED:
                return last
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
            warn(self._bot, text)
        self._bot.strategy.dp.send_msg(text[:MESSAGE_LENGTH], always_send=True)

    def _left(self, started: float) -> float:
        return self._options.deadline - (time.monotonic() - started)


def _sweep_of(
    report: CancelReport,
    ends: Ends,
    pair: str | None,
    known: set[OrderKey],
    exiting: int,
    ended: float | None = None,
) -> Sweep:
    return Sweep(
        pair=pair,
        ended=time.monotonic() if ended is None else ended,
        report=report,
        ends=ends,
        known=known,
        swept=known - {(order["symbol"], order["id"]) for order in report.still_open},
        answered=report.listed or bool(report.cancelled or report.already_done),
        exiting=exiting,
    )


def open_order_keys(pair: str | None, trades: Iterable[Any] = ()) -> set[OrderKey]:
    """Pair and id of every order that the bot believes open, of a pair or of all."""
    found = {
        (order.ft_pair, order.order_id)
        for trade in trades
        for order in trade.orders
        if order.ft_is_open
    }
    # Names are enough: with thousands of orders, loading them whole would hold an exit back.
    wanted = select(Order.ft_pair, Order.order_id).where(Order.ft_is_open.is_(True))
    try:
        found |= {(name, order_id) for name, order_id in Order.session.execute(wanted)}
    except SQLAlchemyError as error:
        logger.error(f"The database cannot be read; only one trade's orders are known: {error}")
    return {key for key in found if pair in (None, key[0])}
