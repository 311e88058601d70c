"""One bot's emergencies: the sweep before an exit, and what is left for the next iteration."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from ..core.report import CancelReport
from ..exchange import call_scope
from . import (
    database,
    freqtrade_internals,
    mapping,
    order_adoption,
    pending_exits,
    positions,
)
from .options import Options
from .pending_exits import EMERGENCY_EXIT, FORCE_EXIT, HeldExits
from .sweeps import Sweeps, warn

logger = logging.getLogger(__name__)


class Emergency:
    """Handles the emergencies of one strategy; every method returns, whatever happens."""

    def __init__(self, strategy: Any, options: Options) -> None:
        self.strategy = strategy
        self.options = options
        self.ends: dict[mapping.Key, dict[str, Any]] = {}
        """The ends of swept orders that the next iteration has yet to see mapped."""
        self.exits = HeldExits(self._tell)
        self.sweeps = Sweeps(strategy, options)

    @property
    def bot(self) -> Any:
        """The bot, looked up each time: ``/reload_config`` makes a new one."""
        return freqtrade_internals.bot_of(self.strategy)

    # -- before an exit ------------------------------------------------------------------------

    def before_exit(
        self, asked: Any, exit_reason: str, order_type: str, rate: float | None, started: float
    ) -> bool:
        """Sweep and map before an exit; say whether it may go out with the amount that it has.

        ``asked`` is the trade as the strategy was handed it: a copy.
        """
        if exit_reason not in self.options.cancel_on:
            return True
        try:
            with call_scope.deadline(self._left(started)), database.emergency_session() as session:
                try:
                    return self._before_exit(session, asked, exit_reason, order_type, rate, started)
                except Exception:
                    session.recover()
                    raise
        except Exception:
            logger.exception("The emergency hook failed; the exit goes on without it.")
            return True

    def _before_exit(
        self,
        session: database.EmergencySession,
        asked: Any,
        exit_reason: str,
        order_type: str,
        rate: float | None,
        started: float,
    ) -> bool:
        session.commit()
        trade = positions.own_trade(asked.id)
        if trade is None:
            self._sweep(asked, started)
            return True
        amount = trade.amount
        if exit_reason == EMERGENCY_EXIT:
            # Held until there is an order for it, should placing it fail.
            self.exits.hold(trade, exit_reason, order_type)
            self._keep(session, trade)
        report = self._sweep(trade, started)
        self._map_trade(session, trade, report, started)
        if not trade.is_open:
            logger.warning(f"{trade.pair} was closed by an order that filled: no exit is needed.")
            return False
        if not positions.same_amount(trade.amount, amount):
            self.exits.hold(trade, exit_reason, order_type, rate=rate)
            logger.warning(
                f"{trade.pair}: fills found by the sweep changed the amount from {amount} to"
                f" {trade.amount}; this exit is refused and comes again with the right amount."
            )
            return False
        return True

    def denied(self, asked: Any) -> None:
        """The strategy does not want this exit: it is not sent again on our own."""
        if asked.id in self.exits:
            self._attempt(lambda: self.exits.forget(asked.id))

    def before_timeout_cancel(self, trade: Any, order: Any, started: float) -> None:
        """Sweep before the cancel of an exit order that times out for the last time.

        Freqtrade cancels that order itself, and then exits without asking; what it asks of the
        exchange meanwhile is answered from the sweep.
        """
        if EMERGENCY_EXIT not in self.options.cancel_on:
            return
        try:
            with call_scope.deadline(self._left(started)), database.emergency_session() as session:
                try:
                    if not self._emergency_follows(trade, order):
                        return
                    session.commit()
                    order_type = self.strategy.order_types.get("emergency_exit", "market")
                    self.exits.hold(trade, EMERGENCY_EXIT, order_type, rest_of=order.order_id)
                    self._keep(session, trade)
                    report = self._sweep(trade, started)
                    self._map_trade(session, trade, report, started, leave=order)
                except Exception:
                    session.recover()
                    raise
        except Exception:
            logger.exception("The emergency hook failed; the exit goes on without it.")

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

    def _keep(self, session: database.EmergencySession, trade: Any) -> None:
        if session.lock_busy:
            return
        try:
            self.exits.keep(trade)
        except Exception as error:
            logger.error(f"The exit of {trade.pair} could not be noted in the database: {error}")

    def _sweep(self, trade: Any, started: float) -> CancelReport:
        report = self.sweeps.sweep(trade, started)
        for end in report.final_orders():
            self.ends[end["symbol"], end["id"]] = end
        self._note_swept(trade)
        return report

    def _note_swept(self, exiting: Any) -> None:
        """Mark what was swept, and hold exits of other trades that nothing else brings back."""
        recurring = {EMERGENCY_EXIT, FORCE_EXIT, *self.options.cancel_on}
        swept = [
            order
            for order in positions.open_orders([exiting])
            if (order.ft_pair, order.order_id) in self.ends
        ]
        mapping.set_cancel_reasons(swept, self.ends)
        for order in swept:
            other = order.trade
            if (
                other is not None
                and other.id != exiting.id
                and order.ft_order_side == other.exit_side
                and order.ft_order_tag in recurring
            ):
                self.exits.hold(
                    other,
                    order.ft_order_tag,
                    order.order_type or "market",
                    rest_of=order.order_id,
                    rate=order.price,
                )

    def _map_trade(
        self,
        session: database.EmergencySession,
        trade: Any,
        report: CancelReport,
        started: float,
        leave: Any = None,
    ) -> None:
        ends = {(end["symbol"], end["id"]): end for end in report.final_orders()}
        orders = [order for order in trade.orders if order is not leave]
        mapping.map_orders(self.bot, orders, ends, session, until=started + self.options.deadline)
        session.commit()

    def _left(self, started: float) -> float:
        return self.options.deadline - (time.monotonic() - started)

    def _tell(self, text: str) -> None:
        warn(self.bot, text)

    # -- the next iteration --------------------------------------------------------------------

    def begin_iteration(self) -> None:
        """Map what is left, delete trades that never filled, and send held-back exits again."""
        self._touch_heartbeat()
        bot = self.bot
        if bot is None:
            return
        with freqtrade_internals.exit_lock(bot):
            # What another thread did while we waited for the lock must be seen.
            self._attempt(_refresh)
            self._attempt(lambda: self._map_rest(bot))
            self._attempt(lambda: mapping.remove_empty_trades(bot))
            self._attempt(lambda: order_adoption.adopt_unconfirmed(bot))
            self._attempt(lambda: self._look_back(bot))
            self._attempt(lambda: self.exits.repeat(bot))

    def _attempt(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except Exception:
            logger.exception("The emergency hook could not finish; the next iteration tries again.")
            with database.emergency_session() as session:
                session.recover()

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

    def _settle(self, keys: Iterable[mapping.Key]) -> None:
        open_now = positions.open_order_keys(None)
        for key in keys:
            if key not in open_now:
                self.ends.pop(key, None)

    def _look_back(self, bot: Any) -> None:
        self.exits.look_back(positions.open_trades())
        for trade_id in list(self.exits.unverified):
            trade = positions.own_trade(trade_id)
            if trade is not None and trade.is_open:
                pending_exits.adopt_lost_exit(bot, trade, self.exits.amount(trade))
            self.exits.unverified.discard(trade_id)

    def _touch_heartbeat(self) -> None:
        path = self.options.heartbeat_file
        if path is None:
            return
        try:
            path.touch()
        except OSError as error:
            logger.warning(f"Could not touch the heartbeat file {path}: {error}")


def _refresh() -> None:
    from freqtrade.persistence import Trade

    Trade.commit()
