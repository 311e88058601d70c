"""One bot's emergencies: the sweep before an exit, and what is left for the next iteration."""

import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from freqtrade.constants import CANCELED_EXCHANGE_STATES
from freqtrade.persistence import Trade
from freqtrade.strategy.strategy_wrapper import strategy_safe_wrapper
from sqlalchemy.exc import SQLAlchemyError

from ..core.endpoints import OrderKey
from ..exchange import call_scope
from . import database, freqtrade_internals, mapping, positions
from .exit_gate import ExitGate
from .options import Options
from .pending_exits import (
    EMERGENCY_EXIT,
    FORCE_EXIT,
    PendingExit,
    PendingExits,
    whole_if_near,
)
from .sweeps import Sweep, Sweeps, open_order_keys, warn

logger = logging.getLogger(__name__)

T = TypeVar("T")

COMPLETION_SECONDS: Final = 2.0
"""What is spent at most on what an exit left for later: another exit may be next."""


class Emergency:
    """Handles the emergencies of one bot; every method returns, whatever happens."""

    def __init__(self, bot: Any, options: Options) -> None:
        self.bot = bot
        self.options = options
        self.ends: dict[OrderKey, dict[str, Any]] = {}
        """The ends of swept orders that the next iteration has yet to see mapped."""
        self.exits = PendingExits()
        self.sweeps = Sweeps(bot, options)
        self.gate = ExitGate(bot, self.exits, options, self)
        self._restored = False
        self._empty_trades_possible = True
        """Whether a trade may be there whose every order was cancelled unfilled: after a start,
        after a sweep, and when one could not be removed."""

    # -- before an exit ------------------------------------------------------------------------

    def before_exit(
        self, asked: Any, exit_reason: str, order_type: str, rate: float | None, started: float
    ) -> bool:
        """Sweep and map before an exit; say whether it may go out with the amount that it has.

        ``asked`` is the trade as the strategy was handed it: a copy.
        """
        if not self._is_swept_for(asked.id, exit_reason):
            return True

        def make_way(session: database.EmergencySession) -> bool:
            trade = positions.own_trade(asked.id)
            if trade is None:
                self._sweep(asked, None, started)
                return True
            amount = trade.amount
            # Recorded until there is an order for it, should placing it fail.
            pending = self.exits.add(trade, exit_reason, order_type, rate=rate)
            self._make_way(session, trade, pending, started)
            if not trade.is_open:
                logger.warning(
                    f"{trade.pair} was closed by an order that filled: no exit is needed."
                )
                return False
            if trade.amount != amount and not positions.same_amount(trade.amount, amount):
                pending.stale = True
                logger.warning(
                    f"{trade.pair}: fills found by the sweep changed the amount from {amount} to"
                    f" {trade.amount}; this exit is refused and comes again with the right amount."
                )
                return False
            return True

        return self._guarded(started, make_way, default=True)

    def _guarded(
        self, started: float, work: Callable[[database.EmergencySession], T], *, default: T
    ) -> T:
        """Do what precedes an exit in the emergency's session and within its deadline.

        What fails is rolled back and logged, and ``default`` returned: nothing holds up the exit.
        """
        left = self.options.deadline - (time.monotonic() - started)
        try:
            with call_scope.deadline(left), database.emergency_session(self.exits) as session:
                try:
                    return work(session)
                except Exception:
                    session.recover()
                    raise
        except Exception:
            logger.exception("The emergency hook failed; the exit goes on without it.")
            return default

    def sweep_for(self, trade: Any, exit_reason: str, order_type: str, rate: float) -> None:
        """Ask the strategy, and sweep, for an exit that failed before Freqtrade came to that.

        A stop of the position that cannot be cancelled by its id, for one.
        """
        strategy_safe_wrapper(self.bot.strategy.confirm_trade_exit, default_retval=True)(
            pair=trade.pair,
            trade=trade,
            order_type=order_type,
            amount=trade.amount,
            rate=rate,
            time_in_force=self.bot.strategy.order_time_in_force["exit"],
            exit_reason=exit_reason,
            sell_reason=exit_reason,
            current_time=datetime.now(UTC),
        )

    def before_unasked_exit(
        self, trade: Any, exit_reason: str, order_type: str, part: float | None
    ) -> float | None:
        """Sweep and map before an exit about which Freqtrade does not ask the strategy.

        :returns: the part of the position that may go (None: all of it), or 0 when none is left.
        """
        started = time.monotonic()
        if not self._is_swept_for(trade.id, exit_reason):
            return part

        def make_way(session: database.EmergencySession) -> float | None:
            pending = self.exits.add(trade, exit_reason, order_type, part=part)
            self._make_way(session, trade, pending, started)
            if not trade.is_open:
                return 0.0
            return None if part is None else whole_if_near(trade, part)

        return self._guarded(started, make_way, default=part)

    def denied(self, asked: Any, exit_reason: str) -> None:
        """The strategy does not want this exit: it is not sent again on our own."""
        self.exits.remove(asked.id, exit_reason)
        self._attempt(self._persist)

    def before_timeout_cancel(self, trade: Any, order: Any, started: float) -> None:
        """Sweep before the cancel of an exit order that times out for the last time.

        Freqtrade cancels that order itself, and then exits without asking; what it asks of the
        exchange meanwhile is answered from the sweep.
        """
        if EMERGENCY_EXIT not in self.options.cancel_on:
            return

        def make_way(session: database.EmergencySession) -> None:
            if not self._emergency_follows(trade, order):
                return
            order_type = self.bot.strategy.order_types.get("emergency_exit", "market")
            pending = self.exits.add(trade, EMERGENCY_EXIT, order_type, rest_of=order.order_id)
            self._make_way(session, trade, pending, started, leave=order)

        self._guarded(started, make_way, default=None)

    def _emergency_follows(self, trade: Any, order: Any) -> bool:
        """Foresee what ``handle_cancel_order`` will do with this order."""
        if order.ft_order_side != trade.exit_side:
            return False
        limit = self.bot.strategy.config.get("unfilledtimeout", {}).get("exit_timeout_count", 0)
        if not 0 < limit <= trade.get_canceled_exit_order_count() + 1:
            return False
        if not order.safe_filled:
            return True
        # An order whose rest would be too small to exit is kept, and no emergency exit follows.
        rest = trade.stake_amount - order.safe_filled * trade.open_rate / trade.leverage
        minimum = self.bot.exchange.get_min_pair_stake_amount(
            trade.pair, trade.open_rate, self.bot.strategy.stoploss
        )
        return not (minimum and rest < minimum)

    def _is_swept_for(self, trade_id: int, exit_reason: str) -> bool:
        """Whether this exit must come: by the user's options, or because it is recorded."""
        return (
            exit_reason in self.options.cancel_on
            or self.exits.get(trade_id, exit_reason) is not None
        )

    def _make_way(
        self,
        session: database.EmergencySession,
        trade: Any,
        pending: PendingExit,
        started: float,
        leave: Any = None,
    ) -> None:
        """Record the exit, then sweep as far as it still needs it, and map what that found.

        An emergency sweeps once. A later attempt of it touches only what is in its own way.
        """
        pending.reached = True
        session.commit()
        if pending.swept and not pending.obstructed:
            return
        sweep = self._sweep(trade, pending, started)
        orders = [order for order in trade.orders if order is not leave] if leave else trade.orders
        until = started + self.options.deadline
        mapping.map_orders(self.bot, orders, sweep.ends, session, until=until)
        pending.obstructed = False

    def _sweep(self, trade: Any, pending: PendingExit | None, started: float) -> Sweep:
        sweep = self.sweeps.sweep(trade, started, own_pair=pending is not None and pending.swept)
        self.ends |= sweep.ends
        if pending is not None and sweep.answered:
            self.exits.note_swept(pending)
        try:
            # What the exit does not wait for is marked when it is known.
            self._mark_swept(trade, sweep, None if sweep.report.rest is None else str(trade.pair))
        except SQLAlchemyError as error:
            logger.error(f"The swept orders cannot be looked up in the database: {error}")
        return sweep

    def _mark_swept(self, exiting: Any, sweep: Sweep, pair: str | None = None) -> None:
        """Put our reason on what was swept, and record exits that nothing else brings back.

        They are recorded even where their ends are not known, which may be Freqtrade's to find. The
        exiting trade's own orders are mapped next, and get the reason there.
        """
        recurring = {EMERGENCY_EXIT, FORCE_EXIT, *self.options.cancel_on}
        for order in positions.open_orders([exiting], pair):
            key, other = (order.ft_pair, order.order_id), order.trade
            if key not in sweep.swept or (other is not None and other.id == exiting.id):
                continue
            if self.ends.get(key, {}).get("status") in CANCELED_EXCHANGE_STATES:
                # Before Freqtrade's own handling reaches it.
                mapping.set_cancel_reason(order)
            if (
                sweep.answered
                and other is not None
                and order.ft_order_side == other.exit_side
                and order.ft_order_tag in recurring
            ):
                again = self.exits.add(
                    other,
                    order.ft_order_tag,
                    order.order_type or "market",
                    rest_of=order.order_id,
                    rate=order.price,
                )
                # What is swept now need not be swept for it.
                self.exits.note_swept(again)

    def warn_user(self, text: str) -> None:
        """Tell the user, in the log and by message."""
        warn(self.bot, text)

    # -- the next iteration --------------------------------------------------------------------

    def begin_iteration(self) -> None:
        """Map what is left, delete trades that never filled, and send exits that must come."""
        if self.options.heartbeat_file is not None:
            self._touch_heartbeat(self.options.heartbeat_file)
        self.gate.iteration += 1
        if not self._has_work():
            return
        with freqtrade_internals.exit_lock(self.bot):
            # What another thread did while we waited for the lock must be seen.
            self._attempt(Trade.commit)
            self._attempt(self._complete_sweeps)
            self._attempt(self._map_rest)
            self._attempt(self._remove_empty_trades)
            self._attempt(lambda: mapping.adopt_unconfirmed(self.bot))
            self._attempt(self._restore)
            self._attempt(self._persist)
            self.gate.retry_all(time.monotonic())
            self._attempt(self._persist)

    def _has_work(self) -> bool:
        """Whether anything is left to do, as far as memory knows: nothing is asked for it."""
        return bool(
            self.ends
            or len(self.exits)
            or self.exits.changed
            or self.sweeps.has_rest
            or len(self.bot.exchange.unconfirmed.journal)
            or self._empty_trades_possible
            or not self._restored
        )

    def _attempt(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except Exception:
            logger.exception("The emergency hook could not finish; the next iteration tries again.")
            with database.emergency_session(self.exits) as session:
                session.recover()

    def after_exit(self) -> None:
        """Learn what became of the orders that the exit did not wait for."""
        self._attempt(self._complete_sweeps)

    def _complete_sweeps(self) -> None:
        if not self.sweeps.has_rest:
            return
        with call_scope.deadline(COMPLETION_SECONDS):
            completed = self.sweeps.complete(COMPLETION_SECONDS)
        for sweep in completed:
            self.ends |= sweep.ends
            exiting = positions.own_trade(sweep.exiting)
            if exiting is not None:
                self._mark_swept(exiting, sweep)

    def _map_rest(self) -> None:
        if not self.ends:
            return
        self._empty_trades_possible = True
        ends = dict(self.ends)
        with database.emergency_session(self.exits) as session:
            mapping.map_orders(self.bot, positions.open_orders(), ends, session)
        if session.lock_busy:
            return
        self._settle(ends)
        # The handlers worked with the balances of before the sweep; an exit may wait for these.
        with call_scope.narrowed(unthrottled=True):
            self.bot.wallets.update()

    def _settle(self, keys: Iterable[OrderKey]) -> None:
        open_now = open_order_keys(None)
        for key in keys:
            if key not in open_now:
                self.ends.pop(key, None)

    def _remove_empty_trades(self) -> None:
        if self._empty_trades_possible:
            self._empty_trades_possible = not mapping.remove_empty_trades(self.bot)

    def _persist(self) -> None:
        """Write the records, and whatever is pending, unless another connection is writing."""
        if self.exits.changed:
            with database.emergency_session(self.exits) as session:
                session.commit()

    def _restore(self) -> None:
        """Once after the start: take up what an earlier process recorded."""
        if self._restored:
            return
        restored, unreadable = self.exits.restore()
        self._restored = True
        for pending in restored:
            self.warn_user(
                f"The {pending.exit_reason} of trade {pending.trade_id} was cut short by a"
                " restart: it goes on."
            )
        for words in unreadable:
            self.warn_user(f"An exit that must come cannot be read from the database: {words}")

    @staticmethod
    def _touch_heartbeat(path: Path) -> None:
        try:
            path.touch()
        except OSError as error:
            logger.warning(f"Could not touch the heartbeat file {path}: {error}")
