"""The gate that every exit of the bot passes: what must come goes first, one attempt an iteration.

Freqtrade asks the strategy before most exits, but not before a partial exit or a liquidation, and
it sends a stop whenever it finds none. Both of its methods are wrapped on the bot object: there the
trade, the reason and the result of every attempt are known.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from freqtrade.enums import ExitCheckTuple, ExitType
from freqtrade.exceptions import DependencyException
from freqtrade.persistence import Trade
from sqlalchemy.exc import SQLAlchemyError

from ..exchange import call_scope
from . import database, freqtrade_internals
from .options import Options
from .pending_exits import (
    FORCE_EXIT,
    PendingExit,
    PendingExits,
    amount_to_go,
    rests,
    sub_amount,
    urgency,
)

logger = logging.getLogger(__name__)

ATTEMPT_SECONDS: Final = 10.0
"""What one attempt may take beside the sweep: a call that hangs must not keep others in."""

RATE_SECONDS: Final = 3.0
"""What looking up the price of an exit may take of that."""


class Hooks(Protocol):
    """What the gate leaves to others."""

    def sweep_for(self, trade: Any, exit_reason: str, order_type: str, rate: float) -> None:
        """Ask the strategy, and sweep, for an exit that failed before Freqtrade came to that."""

    def before_unasked_exit(
        self, trade: Any, exit_reason: str, order_type: str, part: float | None
    ) -> float | None:
        """Sweep before an exit about which the strategy is not asked.

        :returns: the part of the position that may go (None: all of it), or 0 when none is left.
        """

    def after_exit(self) -> None:
        """Learn what the exit did not wait for."""

    def warn_user(self, text: str) -> None:
        """Tell the user, in the log and by message."""


class ExitGate:
    """The gate of one bot, by the user's options: for these reasons the account is swept."""

    def __init__(self, bot: Any, exits: PendingExits, options: Options, hooks: Hooks) -> None:
        self._bot = bot
        self._exits = exits
        self._options = options
        self._hooks = hooks
        self.iteration = 0

    def install(self) -> None:
        """Have every exit and every stop of this bot pass here."""
        freqtrade_internals.wrap_method(self._bot, "execute_trade_exit", self._execute_trade_exit)
        freqtrade_internals.wrap_method(
            self._bot, "create_stoploss_order", self._create_stoploss_order
        )

    # -- what Freqtrade wants ------------------------------------------------------------------

    def _create_stoploss_order(
        self, original: Callable[..., Any], trade: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """A stop in the way of an exit that must come is not placed."""
        pending = self._exits.most_urgent(trade.id)
        if pending is not None and (pending.is_whole or pending.attempted_in == self.iteration):
            logger.debug(f"{trade.pair}: no stop, because its {pending.exit_reason} must go out.")
            return False
        return original(trade, *args, **kwargs)

    def _execute_trade_exit(
        self,
        original: Callable[..., Any],
        trade: Any,
        limit: float,
        exit_check: Any,
        **kwargs: Any,
    ) -> Any:
        reason = kwargs.get("exit_tag") or exit_check.exit_reason
        pending = self._exits.most_urgent(trade.id)
        if pending is not None and not self._may_leave(pending, reason, kwargs.get("ordertype")):
            if reason == FORCE_EXIT and self._is_free(pending):
                # The user's wish is an occasion for what is more urgent, not a way round it.
                return self._attempt(trade, pending)
            logger.info(
                f"{trade.pair}: no {reason} now, because its {pending.exit_reason} is to go out."
            )
            return False
        part = kwargs.get("sub_trade_amt")
        order_type = self._order_type(exit_check, kwargs.get("ordertype"))
        if reason in self._options.cancel_on:
            # Before anything is tried: what fails even before the strategy is asked must come, too.
            self._exits.add(trade, reason, order_type, part=part, rate=limit)
        recorded = self._exits.get(trade.id, reason)
        if recorded is not None:
            recorded.reached = False
        with self._bounded(trade.id, reason), self._noted(trade, reason) as note:
            if part or exit_check.exit_type == ExitType.LIQUIDATION:
                allowed = self._hooks.before_unasked_exit(trade, reason, order_type, part)
                if allowed == 0:
                    return False
                if part:
                    kwargs["sub_trade_amt"] = allowed
            try:
                note.sent = original(trade, limit, exit_check, **kwargs)
            except Exception:
                if recorded is not None and not recorded.reached and not recorded.swept:
                    self._hooks.sweep_for(trade, reason, order_type, limit)
                raise
            self._hooks.after_exit()
        return note.sent

    def _order_type(self, exit_check: Any, wanted: str | None) -> str:
        """The order type that ``execute_trade_exit`` will choose."""
        types = self._bot.strategy.order_types
        if exit_check.exit_type == ExitType.EMERGENCY_EXIT:
            return str(types.get("emergency_exit", "market"))
        stops = (ExitType.STOP_LOSS, ExitType.TRAILING_STOP_LOSS, ExitType.LIQUIDATION)
        return str(wanted or types["stoploss" if exit_check.exit_type in stops else "exit"])

    def _is_free(self, pending: PendingExit) -> bool:
        return pending.attempted_in != self.iteration

    def _may_leave(self, pending: PendingExit, reason: str, order_type: str | None) -> bool:
        """Whether an exit may be sent beside a record.

        It may as the record's own attempt, or if it is more urgent. So may what the user forces,
        unless it is a limit order in the place of an exit that is being refused.
        """
        if not self._is_free(pending):
            return False
        if reason == FORCE_EXIT and (order_type == "market" or not pending.failures):
            return True
        return reason == pending.exit_reason or urgency(reason) < urgency(pending.exit_reason)

    # -- what must come ------------------------------------------------------------------------

    def retry_all(self, now: float) -> None:
        """Send what is due and not there yet; what fails keeps nothing else in.

        ``now`` is on the monotonic clock.
        """
        for pending in self._exits.all():
            try:
                self._exits.settle(pending.trade_id)
                trade = Trade.session.get(Trade, pending.trade_id)
                decides = self._exits.most_urgent(pending.trade_id) is pending
                if trade is None or not decides or not self._is_free(pending):
                    continue
                if pending.due <= now and not rests(trade, pending):
                    self._attempt(trade, pending)
            except DependencyException:
                # Noted, and said, where it was attempted.
                continue
            except SQLAlchemyError as error:
                logger.error(f"Trade {pending.trade_id} cannot be read: {error}")
                _recover()
            except Exception:
                logger.exception(
                    f"The {pending.exit_reason} of trade {pending.trade_id} failed; it is tried"
                    " again."
                )
                _recover()

    def _attempt(self, trade: Any, pending: PendingExit) -> bool:
        kinds = {kind.value: kind for kind in ExitType}
        kind = kinds.get(pending.exit_reason, ExitType.CUSTOM_EXIT)
        logger.info(
            f"Sending the {pending.exit_reason} of {trade.pair}:"
            f" {amount_to_go(trade, pending):g}, attempt {pending.failures + 1}."
        )
        seconds = ATTEMPT_SECONDS
        if pending.obstructed or not pending.swept:
            seconds += self._options.deadline
        with call_scope.deadline(seconds):
            sent = self._bot.execute_trade_exit(
                trade,
                self._rate(trade, pending),
                ExitCheckTuple(exit_type=kind, exit_reason=pending.exit_reason),
                ordertype=pending.order_type,
                sub_trade_amt=sub_amount(trade, pending),
            )
        return bool(sent)

    def _rate(self, trade: Any, pending: PendingExit) -> float:
        """The limit of an exit; a market order goes out without the current one, too."""
        if pending.rate:
            return pending.rate
        is_market = pending.order_type == "market"
        try:
            with call_scope.deadline(RATE_SECONDS):
                return float(
                    self._bot.exchange.get_rate(
                        pair=trade.pair,
                        side="exit",
                        is_short=trade.is_short,
                        refresh=not is_market,
                    )
                )
        except DependencyException as error:
            if is_market:
                return float(trade.close_rate_requested or trade.open_rate)
            self._note_failure(trade, pending, str(error))
            raise

    # -- what became of an attempt -------------------------------------------------------------

    @contextlib.contextmanager
    def _bounded(self, trade_id: int, reason: str) -> Iterator[None]:
        """Bound an attempt at an exit that must come; any other is Freqtrade's affair.

        It waits for no throttle: ccxt's would hold the order back for what was asked before, and a
        handful of calls is far from any documented limit.
        """
        with contextlib.ExitStack() as scope:
            if reason in self._options.cancel_on or self._exits.get(trade_id, reason) is not None:
                scope.enter_context(call_scope.deadline(self._options.deadline + ATTEMPT_SECONDS))
                # Neither a lock nor a full disk keeps it in: Freqtrade writes before it asks.
                session = scope.enter_context(database.emergency_session(self._exits))
                session.commit()
                scope.enter_context(call_scope.narrowed(unthrottled=True))
            yield

    @contextlib.contextmanager
    def _noted(self, trade: Any, reason: str) -> Iterator["_Note"]:
        """Note the result of an attempt in the record of its reason, if there is one by then."""
        note = _Note()
        trade_id, pair = trade.id, trade.pair
        try:
            yield note
        except Exception as error:
            self._mark_attempt(trade_id)
            pending = self._exits.get(trade_id, reason)
            if pending is None:
                raise
            # An order may have been placed before it: its row must not be lost.
            with database.emergency_session(self._exits) as session:
                session.commit()
            self._settle(trade_id)
            if not isinstance(error, DependencyException):
                logger.exception(f"The {reason} of {pair} failed.")
            if self._exits.get(trade_id, reason) is pending:
                self._note_failure(trade, pending, str(error) or type(error).__name__)
            if isinstance(error, DependencyException):
                raise
            # Whatever it was, it must not end the iteration: other exits are to follow.
            raise DependencyException(f"{type(error).__name__}: {error}") from error
        pending = self._exits.get(trade_id, reason)
        if pending is None:
            return
        self._settle(trade_id)
        if note.sent:
            pending.failures, pending.due, pending.obstructed = 0, 0.0, False
        elif pending.stale:
            pending.stale = False
        elif self._exits.get(trade_id, reason) is pending:
            pending.obstructed = True
            self._note_failure(trade, pending, "no order was placed")

    def _mark_attempt(self, trade_id: int) -> None:
        """What was refused for one reason is not tried for another in this iteration."""
        pending = self._exits.most_urgent(trade_id)
        if pending is not None:
            pending.attempted_in = self.iteration

    def _note_failure(self, trade: Any, pending: PendingExit, why: str) -> None:
        tell = self._exits.note_failure(pending, self.iteration)
        text = (
            f"The {pending.exit_reason} of {trade.pair} could not be sent"
            f" ({pending.failures} times): {' '.join(why.split())[:300]}. It is tried again"
        )
        if tell:
            self._hooks.warn_user(f"{text}; if it stays so, close the position on BitoPro.")
        else:
            logger.warning(f"{text}.")

    def _settle(self, trade_id: int) -> None:
        with database.emergency_session(self._exits) as session:
            try:
                self._exits.settle(trade_id)
            except SQLAlchemyError as error:
                logger.error(f"The exits of trade {trade_id} could not be noted: {error}")
                session.recover()
            session.commit()


class _Note:
    sent: Any = False


def _recover() -> None:
    with database.emergency_session() as session:
        session.recover()
