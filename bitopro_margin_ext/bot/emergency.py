"""One bot's emergencies: the sweep before an exit, and what is left for the next iteration."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from freqtrade.enums import ExitCheckTuple, ExitType
from freqtrade.persistence import Trade

from ..report import CancelReport, SweepOutcome
from . import host, mapping, positions
from .options import Options

logger = logging.getLogger(__name__)

EMERGENCY_EXIT: Final = ExitType.EMERGENCY_EXIT.value
MAPPING_SHARE: Final = 0.25
"""The part of the deadline that is kept for mapping, after the sweep."""
REPEATS: Final = 20
"""Iterations for which a refused exit is sent again before the user is told to look."""


@dataclass
class PendingExit:
    """An exit that we held back and that must come again by itself."""

    exit_reason: str
    order_type: str
    attempts: int = 0


@dataclass(frozen=True)
class Sweep:
    """A sweep that has been made, to serve a second emergency that it covers."""

    pair: str | None
    ended: float
    report: CancelReport


class Emergency:
    """Handles the emergencies of one strategy; every method returns, whatever happens."""

    def __init__(self, strategy: Any, options: Options) -> None:
        self.strategy = strategy
        self.options = options
        self.ends: dict[mapping.Key, dict[str, Any]] = {}
        """The ends of swept orders that the next iteration has yet to see mapped."""
        self.pending: dict[int, PendingExit] = {}
        self.last_sweep: Sweep | None = None
        self._lock = threading.Lock()

    @property
    def bot(self) -> Any:
        """The bot, looked up each time: ``/reload_config`` makes a new one."""
        return host.bot_of(self.strategy)

    # -- before an exit ------------------------------------------------------------------------

    def before_exit(self, trade_id: int, exit_reason: str, order_type: str, started: float) -> bool:
        """Sweep and map before an exit; say whether it may go out with the amount that it has."""
        if exit_reason not in self.options.cancel_on:
            return True
        try:
            return self._before_exit(trade_id, exit_reason, order_type, started)
        except Exception:
            logger.exception("The emergency hook failed; the exit goes on without it.")
            self._recover_session()
            return True

    def _before_exit(
        self, trade_id: int, exit_reason: str, order_type: str, started: float
    ) -> bool:
        trade = positions.open_trade(trade_id)
        amount = trade.amount
        report = self._sweep(trade, started)
        self._map_trade(trade, report, started)
        mapping.stamp_cancelled(self.ends)
        if not trade.is_open:
            logger.warning(f"{trade.pair} was closed by an order that filled: no exit is needed.")
            return False
        if trade.amount != amount:
            self.pending[trade_id] = PendingExit(exit_reason, order_type)
            logger.warning(
                f"{trade.pair}: fills found by the sweep changed the amount from {amount} to"
                f" {trade.amount}; this exit is refused and comes again with the right amount."
            )
            return False
        self._expect_exit(trade, exit_reason, order_type)
        return True

    def before_timeout_cancel(self, trade: Any, order: Any, started: float) -> None:
        """Sweep before the cancel of an exit order that times out for the last time.

        Freqtrade cancels that order itself, and then exits without asking; what it asks of the
        exchange meanwhile is answered from the sweep.
        """
        if EMERGENCY_EXIT not in self.options.cancel_on:
            return
        try:
            if self._emergency_follows(trade, order):
                report = self._sweep(trade, started)
                self._map_trade(trade, report, started, leave=order)
                mapping.stamp_cancelled(self.ends)
                order_type = self.strategy.order_types.get("emergency_exit", "market")
                self._expect_exit(trade, EMERGENCY_EXIT, order_type)
        except Exception:
            logger.exception("The emergency hook failed; the exit goes on without it.")
            self._recover_session()

    def _expect_exit(self, trade: Any, exit_reason: str, order_type: str) -> None:
        """Remember an emergency exit until there is an order for it, should placing it fail."""
        if exit_reason == EMERGENCY_EXIT and trade.id not in self.pending:
            self.pending[trade.id] = PendingExit(exit_reason, order_type)

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

    # -- the sweep -----------------------------------------------------------------------------

    def _sweep(self, trade: Any, started: float) -> CancelReport:
        pair = self._scope(trade, started)
        known = positions.open_order_keys(pair, [trade])
        left = self._left(started)
        if not self._lock.acquire(timeout=max(0.0, left)):
            raise TimeoutError("another sweep is still running")
        try:
            reused = self._covering_sweep(pair, known, started)
            if reused is not None:
                return reused
            logger.warning(
                f"Emergency exit of {trade.pair}: cancelling all margin orders"
                f" ({pair or 'every pair'}), {len(known)} of them known here."
            )
            budget = self._left(started) - MAPPING_SHARE * self.options.deadline
            report: CancelReport = self.bot.exchange.sweep_margin_orders(
                pair, known, max(0.5, budget)
            )
            self.last_sweep = Sweep(pair, time.monotonic(), report)
        finally:
            self._lock.release()
        self._tell(report, known)
        for end in report.final_orders():
            self.ends[end["symbol"], end["id"]] = end
        return report

    def _scope(self, trade: Any, started: float) -> str | None:
        """The pair to sweep, or None for all.

        With scope ``all`` a second emergency moments after the first sweeps its own pair only: the
        first one's exit order is on the account by then, and must not be cancelled.
        """
        if self.options.scope == "pair" or self._recent(None, started):
            return str(trade.pair)
        return None

    def _recent(self, pair: str | None, started: float) -> Sweep | None:
        last = self.last_sweep
        if last is None or last.pair not in (None, pair):
            return None
        recent = last.ended > started - self.options.deadline
        return last if recent and last.report.outcome is SweepOutcome.CONFIRMED else None

    def _covering_sweep(
        self, pair: str | None, known: set[mapping.Key], started: float
    ) -> CancelReport | None:
        """A sweep that ended moments ago and covers this one, when no order has come since."""
        last = self._recent(pair, started)
        if last is None:
            return None
        told = {(order["symbol"], order["id"]) for order in last.report.final_orders()}
        return last.report if known <= told else None

    def _tell(self, report: CancelReport, known: set[mapping.Key]) -> None:
        strangers = [
            order for order in report.cancelled if (order["symbol"], order["id"]) not in known
        ]
        text = f"Emergency cancel: {report.summary()}"
        if strangers:
            text += f"; {len(strangers)} of the cancelled are not this bot's"
        clear = report.outcome is SweepOutcome.CONFIRMED
        if not clear:
            text += ". What is not confirmed stays open in the database: check it on BitoPro"
        logger.log(logging.WARNING if clear else logging.ERROR, text)
        self.strategy.dp.send_msg(text[:4000], always_send=True)

    def _map_trade(
        self, trade: Any, report: CancelReport, started: float, leave: Any = None
    ) -> None:
        from ..exchange import deadlines

        ends = {(end["symbol"], end["id"]): end for end in report.final_orders()}
        orders = [order for order in list(trade.orders) if order is not leave]
        with deadlines.deadline(max(0.2, self._left(started))):
            mapping.map_orders(self.bot, orders, ends)

    def _left(self, started: float) -> float:
        return self.options.deadline - (time.monotonic() - started)

    # -- the next iteration --------------------------------------------------------------------

    def begin_iteration(self) -> None:
        """Map what is left, delete trades that never filled, and send held-back exits again."""
        self._touch_heartbeat()
        bot = self.bot
        if bot is None:
            return
        with host.exit_lock(bot):
            self._attempt(self._map_rest, bot)
            self._attempt(self._remove_empty_trades, bot)
            self._attempt(self._repeat_exits, bot)

    def _attempt(self, step: Callable[[Any], None], bot: Any) -> None:
        try:
            step(bot)
        except Exception:
            logger.exception("The emergency hook could not finish; the next iteration tries again.")
            self._recover_session()

    def _map_rest(self, bot: Any) -> None:
        if not self.ends:
            return
        ends = dict(self.ends)
        for order in mapping.map_everything(bot, ends):
            self._restore_exit(order)
        mapping.stamp_cancelled(ends)
        open_now = positions.open_order_keys(None)
        for key in ends:
            if key not in open_now:
                self.ends.pop(key, None)
        # The handlers worked with the balances of before the sweep.
        bot.wallets.update()

    def _restore_exit(self, order: Any) -> None:
        """An emergency exit of another trade, swept together with everything else, comes again."""
        if order.ft_order_tag in self.options.cancel_on and order.ft_trade_id not in self.pending:
            self.pending[order.ft_trade_id] = PendingExit(
                order.ft_order_tag, order.order_type or "market"
            )

    def _remove_empty_trades(self, bot: Any) -> None:
        mapping.remove_empty_trades(bot)

    def _repeat_exits(self, bot: Any) -> None:
        for trade_id, pending in list(self.pending.items()):
            trade = positions.open_trade(trade_id)
            if trade is None or not trade.is_open or not trade.has_open_position:
                self.pending.pop(trade_id, None)
                continue
            if any(order.ft_order_side == trade.exit_side for order in trade.open_orders):
                self.pending.pop(trade_id, None)
                continue
            pending.attempts += 1
            if pending.attempts > REPEATS:
                self.pending.pop(trade_id, None)
                text = (
                    f"The exit of {trade.pair} could not be sent in {REPEATS} tries: exit by hand"
                )
                logger.error(text)
                self.strategy.dp.send_msg(text, always_send=True)
                continue
            self._repeat_exit(bot, trade, pending)

    def _repeat_exit(self, bot: Any, trade: Any, pending: PendingExit) -> None:
        kinds = {kind.value: kind for kind in ExitType}
        kind = kinds.get(pending.exit_reason, ExitType.CUSTOM_EXIT)
        rate = bot.exchange.get_rate(
            pair=trade.pair, side="exit", is_short=trade.is_short, refresh=True
        )
        logger.info(f"Sending the exit of {trade.pair} again: {pending.exit_reason}.")
        sent = bot.execute_trade_exit(
            trade,
            rate,
            ExitCheckTuple(exit_type=kind, exit_reason=pending.exit_reason),
            ordertype=pending.order_type,
        )
        if not sent:
            logger.info(f"The exit of {trade.pair} was not sent; the next iteration tries again.")

    def _touch_heartbeat(self) -> None:
        path = self.options.heartbeat_file
        if path is None:
            return
        try:
            path.touch()
        except OSError as error:
            logger.warning(f"Could not touch the heartbeat file {path}: {error}")

    @staticmethod
    def _recover_session() -> None:
        try:
            Trade.rollback()
        except Exception:
            logger.exception("The database does not roll back.")
