"""One bot's emergencies: the sweep before an exit, and what is left for the next iteration."""

import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from freqtrade.persistence import Trade
from freqtrade.strategy.strategy_wrapper import strategy_safe_wrapper
from sqlalchemy.exc import SQLAlchemyError

from ..core.endpoints import OrderKey
from ..core.report import CancelReport
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
from .sweeps import Sweeps, warn, was_answered

logger = logging.getLogger(__name__)

T = TypeVar("T")

COMPLETION_SECONDS: Final = 2.0
"""What is spent at most on what an exit left for later: another exit may be next."""
EMPTY_TRADES_EVERY: Final = 20
"""In how many iterations trades are looked through for such as never filled, without a reason."""


class Emergency:
    """Handles the emergencies of one strategy; every method returns, whatever happens."""

    def __init__(self, strategy: Any, options: Options) -> None:
        self.strategy = strategy
        self.options = options
        self.ends: dict[OrderKey, dict[str, Any]] = {}
        """The ends of swept orders that the next iteration has yet to see mapped."""
        self.exits = PendingExits()
        self.sweeps = Sweeps(strategy, options)
        self.gate = ExitGate(self.exits, options, self)
        self._restored = False

    @property
    def bot(self) -> Any:
        """The bot, looked up each time: ``/reload_config`` makes a new one."""
        return freqtrade_internals.bot_of(self.strategy)

    # -- before an exit ------------------------------------------------------------------------

    def record(
        self, trade: Any, reason: str, order_type: str, part: float | None, rate: float | None
    ) -> None:
        """Record an exit that must come, in the database, too."""
        self.exits.add(trade, reason, order_type, part=part, rate=rate)
        with database.emergency_session() as session:
            _commit(session)
            self._keep(session)

    def before_exit(
        self, asked: Any, exit_reason: str, order_type: str, rate: float | None, started: float
    ) -> bool:
        """Sweep and map before an exit; say whether it may go out with the amount that it has.

        ``asked`` is the trade as the strategy was handed it: a copy.
        """
        if not self._is_swept_for(asked.id, exit_reason):
            return True
        return self._guarded(
            started,
            lambda session: self._before_exit(
                session, asked, exit_reason, order_type, rate, started
            ),
            default=True,
        )

    def _guarded(
        self, started: float, work: Callable[[database.EmergencySession], T], *, default: T
    ) -> T:
        """Do what precedes an exit in the emergency's session and within its deadline.

        What fails is rolled back and logged, and ``default`` returned: nothing holds up the exit.
        """
        try:
            with call_scope.deadline(self._left(started)), database.emergency_session() as session:
                try:
                    return work(session)
                except Exception:
                    session.recover()
                    raise
        except Exception:
            logger.exception("The emergency hook failed; the exit goes on without it.")
            return default

    def _before_exit(
        self,
        session: database.EmergencySession,
        asked: Any,
        exit_reason: str,
        order_type: str,
        rate: float | None,
        started: float,
    ) -> bool:
        _commit(session)
        trade = positions.own_trade(asked.id)
        if trade is None:
            self._sweep(asked, None, started)
            return True
        amount = trade.amount
        # Recorded until there is an order for it, should placing it fail.
        pending = self.exits.add(trade, exit_reason, order_type, rate=rate)
        self._make_way(session, trade, pending, started)
        if not trade.is_open:
            logger.warning(f"{trade.pair} was closed by an order that filled: no exit is needed.")
            return False
        if not positions.same_amount(trade.amount, amount):
            pending.stale = True
            logger.warning(
                f"{trade.pair}: fills found by the sweep changed the amount from {amount} to"
                f" {trade.amount}; this exit is refused and comes again with the right amount."
            )
            return False
        return True

    def sweep_for(self, trade: Any, exit_reason: str, order_type: str, rate: float) -> None:
        """Ask the strategy, and sweep, for an exit that failed before Freqtrade came to that.

        A stop of the position that cannot be cancelled by its id, for one.
        """
        strategy_safe_wrapper(self.strategy.confirm_trade_exit, default_retval=True)(
            pair=trade.pair,
            trade=trade,
            order_type=order_type,
            amount=trade.amount,
            rate=rate,
            time_in_force=self.strategy.order_time_in_force["exit"],
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
            _commit(session)
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
            _commit(session)
            order_type = self.strategy.order_types.get("emergency_exit", "market")
            pending = self.exits.add(trade, EMERGENCY_EXIT, order_type, rest_of=order.order_id)
            self._make_way(session, trade, pending, started, leave=order)

        self._guarded(started, make_way, default=None)

    def _emergency_follows(self, trade: Any, order: Any) -> bool:
        """Foresee what ``handle_cancel_order`` will do with this order."""
        if order.ft_order_side != trade.exit_side:
            return False
        limit = self.strategy.config.get("unfilledtimeout", {}).get("exit_timeout_count", 0)
        if not 0 < limit <= trade.get_canceled_exit_order_count() + 1:
            return False
        if not order.safe_filled:
            return True
        # An order whose rest would be too small to exit is kept, and no emergency exit follows.
        rest = trade.stake_amount - order.safe_filled * trade.open_rate / trade.leverage
        minimum = self.bot.exchange.get_min_pair_stake_amount(
            trade.pair, trade.open_rate, self.strategy.stoploss
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
        self._keep(session)
        if pending.swept and not pending.obstructed:
            return
        report = self._sweep(trade, pending, started)
        self._map_trade(session, trade, report, started, leave)
        pending.obstructed = False
        self._keep(session)

    def _keep(self, session: database.EmergencySession) -> None:
        """Write the records, unless another connection holds the database."""
        if session.lock_busy:
            return
        changed = self.exits.changed
        try:
            self.exits.persist()
        except SQLAlchemyError as error:
            logger.error(f"An exit that must come could not be noted in the database: {error}")
            session.recover()
        if session.lock_busy:
            self.exits.mark_changed(changed)

    def _sweep(self, trade: Any, pending: PendingExit | None, started: float) -> CancelReport:
        own_pair = pending is not None and pending.swept
        report = self.sweeps.sweep(trade, started, own_pair=own_pair)
        self.ends |= report.ends()
        if pending is not None and was_answered(report):
            self.exits.note_swept(pending)
        try:
            # What the exit does not wait for is marked when it is known.
            self._note_swept(trade, report, None if report.rest is None else str(trade.pair))
        except SQLAlchemyError as error:
            logger.error(f"The swept orders cannot be looked up in the database: {error}")
        return report

    def _note_swept(self, exiting: Any, report: CancelReport, pair: str | None = None) -> None:
        """Mark what was swept, and record exits of other trades that nothing else brings back.

        They are recorded even where their ends are not known, which may be Freqtrade's to find.
        """
        recurring = {EMERGENCY_EXIT, FORCE_EXIT, *self.options.cancel_on}
        # Not those placed since.
        known = self.sweeps.known_to(report)
        known -= {(order["symbol"], order["id"]) for order in report.still_open}
        in_scope = [
            order
            for order in positions.open_orders([exiting], pair)
            if (order.ft_pair, order.order_id) in known
        ]
        mapping.set_cancel_reasons(in_scope, self.ends)
        for order in in_scope if was_answered(report) else ():
            other = order.trade
            if (
                other is not None
                and other.id != exiting.id
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

    def _map_trade(
        self,
        session: database.EmergencySession,
        trade: Any,
        report: CancelReport,
        started: float,
        leave: Any = None,
    ) -> None:
        orders = [order for order in trade.orders if order is not leave]
        until = started + self.options.deadline
        mapping.map_orders(self.bot, orders, report.ends(), session, until=until)
        _commit(session)

    def _left(self, started: float) -> float:
        return self.options.deadline - (time.monotonic() - started)

    def warn_user(self, text: str) -> None:
        """Tell the user, in the log and by message."""
        warn(self.bot, text)

    # -- the next iteration --------------------------------------------------------------------

    def begin_iteration(self) -> None:
        """Map what is left, delete trades that never filled, and send exits that must come."""
        self._touch_heartbeat()
        bot = self.bot
        if bot is None:
            return
        with freqtrade_internals.exit_lock(bot):
            self.gate.iteration += 1
            # What another thread did while we waited for the lock must be seen.
            self._attempt(Trade.commit)
            self._attempt(self._complete_sweeps)
            were_swept = bool(self.ends)
            self._attempt(lambda: self._map_rest(bot))
            if were_swept or self.gate.iteration % EMPTY_TRADES_EVERY == 1:
                self._attempt(lambda: mapping.remove_empty_trades(bot))
            self._attempt(lambda: mapping.adopt_unconfirmed(bot))
            self._attempt(self._restore)
            self._attempt(self._persist)
            self.gate.retry_all(time.monotonic())
            self._attempt(self._persist)

    def _attempt(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except Exception:
            logger.exception("The emergency hook could not finish; the next iteration tries again.")
            with database.emergency_session() as session:
                session.recover()

    def after_exit(self) -> None:
        """Learn what became of the orders that the exit did not wait for."""
        self._attempt(self._complete_sweeps)

    def _complete_sweeps(self) -> None:
        with call_scope.deadline(COMPLETION_SECONDS):
            completed = self.sweeps.complete(COMPLETION_SECONDS)
        for sweep in completed:
            self.ends |= sweep.report.ends()
            exiting = positions.own_trade(sweep.exiting)
            if exiting is not None:
                self._note_swept(exiting, sweep.report)

    def _map_rest(self, bot: Any) -> None:
        if not self.ends:
            return
        ends = dict(self.ends)
        with database.emergency_session() as session:
            mapping.map_orders(bot, positions.open_orders(), ends, session)
            session.commit()
        if session.lock_busy:
            return
        self._settle(ends)
        # The handlers worked with the balances of before the sweep.
        bot.wallets.update()

    def _settle(self, keys: Iterable[OrderKey]) -> None:
        open_now = positions.open_order_keys(None)
        for key in keys:
            if key not in open_now:
                self.ends.pop(key, None)

    def _persist(self) -> None:
        if self.exits.changed:
            with database.emergency_session() as session:
                self._keep(session)

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

    def _touch_heartbeat(self) -> None:
        path = self.options.heartbeat_file
        if path is None:
            return
        try:
            path.touch()
        except OSError as error:
            logger.warning(f"Could not touch the heartbeat file {path}: {error}")


def _commit(session: database.EmergencySession) -> None:
    """Commit if possible; a database that cannot be written must not keep an exit in."""
    try:
        session.commit()
    except SQLAlchemyError as error:
        logger.error(f"The database cannot be written: {error}")
        session.recover()
