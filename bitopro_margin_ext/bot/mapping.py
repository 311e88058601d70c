"""Map the end of swept orders into Freqtrade's own ``Order`` and ``Trade`` rows.

The rows are not written here: Freqtrade's handlers are called with what the exchange said, so that
a trade ends exactly as if Freqtrade had cancelled the order itself.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from freqtrade.constants import CANCELED_EXCHANGE_STATES
from freqtrade.persistence import Trade

from ..core.endpoints import OrderKey
from . import freqtrade_internals
from .database import EmergencySession, emergency_session
from .positions import REASON, set_cancel_reason


@dataclass
class MappingContext:
    """One mapping in progress, in the thread that began it: others get the exchange's own word."""

    rates: dict[str, float] = field(default_factory=dict)
    """The last price known of a pair, in quote: for messages."""
    refresh_balances: bool = False
    """Whether the next question for balances goes out: a fill's fee may come out of them."""
    thread: int = field(default_factory=threading.get_ident)


logger = logging.getLogger(__name__)


Ends = Mapping[OrderKey, dict[str, Any]]
"""The final ccxt structure of orders, by pair and id."""


@contextmanager
def mapping_context(
    bot: Any, ends: Iterable[Mapping[str, Any]]
) -> Iterator[freqtrade_internals.HeldMessages]:
    """Let the bot's handlers work without the network, and hold their messages meanwhile."""
    ends = list(ends)
    rates = {end["symbol"]: end.get("average") or end.get("price") for end in ends}
    bot.exchange.mapping_context = MappingContext(
        rates={pair: rate for pair, rate in rates.items() if rate},
        refresh_balances=any(end.get("filled") for end in ends),
    )
    try:
        with freqtrade_internals.held_notifications(bot) as held:
            yield held
    finally:
        bot.exchange.mapping_context = None


def map_orders(
    bot: Any,
    orders: Iterable[Any],
    ends: Ends,
    session: EmergencySession,
    until: float | None = None,
) -> None:
    """Map every order that the database believes open and the exchange says is over.

    All are one transaction. If one cannot be mapped, they are mapped one at a time: a failure
    leaves that order open, to be mapped by the next iteration, and does not stop the others. Nor is
    any begun after ``until`` (on the monotonic clock).
    """
    waiting = [order for order in orders if order.ft_is_open and _key(order) in ends]
    # What sells comes first: that is what the size of the exit depends on.
    waiting.sort(key=_is_entry)
    if not waiting:
        return
    found = [ends[_key(order)] for order in waiting]
    # What is pending from before is not part of it.
    session.commit()
    if not session.lock_busy:
        try:
            with mapping_context(bot, found) as messages:
                try:
                    with session.one_transaction():
                        for order in _in_time(waiting, until):
                            _map_order(bot, order, ends[_key(order)])
                except BaseException:
                    messages.forget()
                    raise
            return
        except Exception as error:
            logger.warning(f"The orders cannot be mapped at once, so one at a time: {error!r}")
    with mapping_context(bot, found):
        for order in _in_time(waiting, until):
            order_id = order.order_id
            try:
                _map_order(bot, order, ends[_key(order)])
            except Exception:
                logger.exception(f"Could not map order {order_id}; the next iteration tries again.")
                session.recover()


def _in_time(orders: Iterable[Any], until: float | None) -> Iterator[Any]:
    for order in orders:
        if until is not None and time.monotonic() > until:
            logger.error("The deadline has passed: the next iteration maps what is left.")
            return
        yield order


def _is_entry(order: Any) -> bool:
    return order.trade is not None and order.ft_order_side == order.trade.entry_side


def _key(order: Any) -> OrderKey:
    return (order.ft_pair, order.order_id)


def _map_order(bot: Any, order: Any, end: dict[str, Any]) -> None:
    """Hand one order to Freqtrade's handler for its kind."""
    trade = order.trade
    if trade is None:
        logger.warning(f"Order {order.order_id} has no trade any more: left as it is.")
        return
    cancelled = end["status"] in CANCELED_EXCHANGE_STATES
    if order.ft_order_side == "stoploss" and end["status"] == "closed":
        # Reads the same end from the exchange class, and tells the user that the trade is closed.
        bot.handle_stoploss_on_exchange(trade)
    elif order.ft_order_side == "stoploss":
        bot.update_trade_state(trade, order.order_id, end, stoploss_order=True)
    elif not cancelled:
        bot.update_trade_state(trade, order.order_id, end)
    elif order.ft_order_side == trade.entry_side:
        bot.handle_cancel_enter(trade, end, order, REASON)
    else:
        bot.handle_cancel_exit(trade, end, order, REASON)
    Trade.commit()


def remove_empty_trades(bot: Any) -> int:
    """Delete open trades whose every order was cancelled unfilled, as Freqtrade does on a cancel.

    Freqtrade's start-up marks such orders as done after a crash, looks only at open orders later,
    and so would keep the trade, and its slot, for ever.

    :returns: how many were deleted.
    """
    removed = 0
    for trade in Trade.get_open_trades():
        orders = list(trade.orders)
        if not orders or trade.amount or any(_may_hold(order) for order in orders):
            continue
        last = orders[-1]
        with emergency_session() as session:
            try:
                end = {**last.to_ccxt_object(), "filled": 0.0}
                with mapping_context(bot, [end]):
                    bot.handle_cancel_enter(trade, end, last, REASON)
                Trade.commit()
                removed += 1
            except Exception:
                logger.exception(f"Could not remove {trade}; the next iteration tries again.")
                session.recover()
    return removed


def _may_hold(order: Any) -> bool:
    return order.ft_is_open or order.safe_filled or order.status not in CANCELED_EXCHANGE_STATES


def set_cancel_reasons(orders: Iterable[Any], ends: Ends) -> None:
    """Put our reason on cancelled orders before Freqtrade's own handling reaches them."""
    for order in orders:
        if _key(order) in ends and ends[_key(order)]["status"] in CANCELED_EXCHANGE_STATES:
            set_cancel_reason(order)
