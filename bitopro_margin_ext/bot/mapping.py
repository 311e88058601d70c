"""Map the end of swept orders into Freqtrade's own ``Order`` and ``Trade`` rows.

The rows are not written here: Freqtrade's handlers are called with what the exchange said, so that
a trade ends exactly as if Freqtrade had cancelled the order itself.
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from freqtrade.constants import CANCELED_EXCHANGE_STATES
from freqtrade.persistence import Order, Trade

from . import host
from .positions import REASON, find_orders, stamp
from .settling import Settling

logger = logging.getLogger(__name__)

Key = tuple[str, str]
Ends = Mapping[Key, dict[str, Any]]
"""The final ccxt structure of orders, by pair and id."""


@contextmanager
def settling(bot: Any, ends: Iterable[Mapping[str, Any]]) -> Iterator[None]:
    """Let the bot's handlers work without the network, and hold their messages meanwhile."""
    ends = list(ends)
    rates = {end["symbol"]: end.get("average") or end.get("price") for end in ends}
    bot.exchange.settling = Settling(
        rates={pair: rate for pair, rate in rates.items() if rate},
        wants_balances=any(end.get("filled") for end in ends),
    )
    try:
        with host.held_notifications(bot, _send_aside):
            yield
    finally:
        bot.exchange.settling = None


def _send_aside(manager: Any, messages: list[Any]) -> None:
    """Send the held messages from a thread: a webhook that hangs must not hold up the exit."""

    def send() -> None:
        for message in messages:
            manager.send_msg(message)

    threading.Thread(target=send, name="bitopro-margin-messages", daemon=True).start()


@contextmanager
def kept_rows() -> Iterator[None]:
    """Keep what the session has loaded through the commits of this block.

    Freqtrade's handlers commit for each order, and by default each commit makes the session read
    every row again: the time for n orders would grow with n². A rollback still forgets all.
    """
    session = Trade.session()
    before = session.expire_on_commit
    session.expire_on_commit = False
    try:
        yield
    finally:
        session.expire_on_commit = before
        # What another thread has written meanwhile is read from here on.
        Trade.commit()


def map_orders(bot: Any, orders: Iterable[Any], ends: Ends) -> list[Any]:
    """Map every order that the database believes open and the exchange says is over.

    A failure on one order leaves it open, to be mapped by the next iteration, and does not stop the
    others.

    :returns: the exit orders that were cancelled, for an exit that must come again.
    """
    waiting = [order for order in orders if order.ft_is_open and _key(order) in ends]
    interrupted: list[Any] = []
    if not waiting:
        return interrupted
    with settling(bot, [ends[_key(order)] for order in waiting]), kept_rows():
        for order in waiting:
            order_id = order.order_id
            try:
                if _map_order(bot, order, ends[_key(order)]):
                    interrupted.append(order)
            except Exception:
                logger.exception(f"Could not map order {order_id}; the next iteration tries again.")
                Trade.rollback()
    return interrupted


def _key(order: Any) -> Key:
    return (order.ft_pair, order.order_id)


def _map_order(bot: Any, order: Any, end: dict[str, Any]) -> bool:
    """Hand one order to Freqtrade's handler for its kind; say whether a cancelled exit it was."""
    trade = order.trade
    if trade is None:
        logger.warning(f"Order {order.order_id} has no trade any more: left as it is.")
        return False
    cancelled = end["status"] in CANCELED_EXCHANGE_STATES
    if order.ft_order_side == "stoploss":
        if cancelled:
            stamp(order)
        bot.update_trade_state(trade, order.order_id, end, stoploss_order=True)
        Trade.commit()
        return False
    if not cancelled:
        bot.update_trade_state(trade, order.order_id, end)
        Trade.commit()
        return False
    stamp(order)
    if order.ft_order_side == trade.entry_side:
        bot.handle_cancel_enter(trade, end, order, REASON)
        Trade.commit()
        return False
    bot.handle_cancel_exit(trade, end, order, REASON)
    Trade.commit()
    return True


def map_everything(bot: Any, ends: Ends) -> list[Any]:
    """Map what is left of a sweep over all trades; see ``map_orders``."""
    if not ends:
        return []
    return map_orders(bot, list(Order.get_open_orders()), ends)


def remove_empty_trades(bot: Any) -> int:
    """Delete open trades whose every order was cancelled unfilled, as Freqtrade does on a cancel.

    Freqtrade's start-up marks such orders as done after a crash, looks only at open orders later,
    and so would keep the trade, and its slot, for ever.

    :returns: how many were deleted.
    """
    removed = 0
    for trade in Trade.get_open_trades():
        orders = list(trade.orders)
        if not orders or trade.amount or any(order.ft_is_open for order in orders):
            continue
        if any(
            order.safe_filled or order.status not in CANCELED_EXCHANGE_STATES for order in orders
        ):
            continue
        last = orders[-1]
        try:
            end = {**last.to_ccxt_object(), "filled": 0.0}
            with settling(bot, [end]):
                bot.handle_cancel_enter(trade, end, last, REASON)
            Trade.commit()
            removed += 1
        except Exception:
            logger.exception(f"Could not remove {trade}; the next iteration tries again.")
            Trade.rollback()
    return removed


def stamp_cancelled(ends: Ends) -> None:
    """Put our reason on the cancelled orders that Freqtrade's own handling reached first."""
    cancelled = [key for key, end in ends.items() if end["status"] in CANCELED_EXCHANGE_STATES]
    for order in find_orders(cancelled):
        stamp(order)
    Trade.commit()
