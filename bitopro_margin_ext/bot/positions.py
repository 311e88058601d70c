"""What Freqtrade's database holds of positions and orders."""

import logging
import math
from collections.abc import Iterable
from typing import Any, Final

from freqtrade.persistence import Order, Trade
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

logger = logging.getLogger(__name__)

KEPT_OPEN: Final = "kept_open"
"""Marks, in ``info``, an open order's structure that the database made up for the exchange."""
_ROUNDING: Final = 1e-12
"""Relative: what doubles lose in the few operations between an order and a position."""


def open_orders(trades: Iterable[Any] = (), pair: str | None = None) -> list[Any]:
    """Every order that the bot believes open, of a pair or of all, once.

    ``trades`` are looked through as well: when the database cannot be read, only they are left.
    """
    found = [order for trade in trades for order in trade.orders]
    wanted = select(Order).where(Order.ft_is_open.is_(True))
    if pair is not None:
        wanted = wanted.where(Order.ft_pair == pair)
    try:
        found = [*Order.session.scalars(wanted), *found]
    except SQLAlchemyError as error:
        logger.error(f"The database cannot be read; only one trade's orders are known: {error}")
    unique = {(order.ft_pair, order.order_id): order for order in reversed(found)}
    return [order for order in unique.values() if order.ft_is_open]


def open_trades() -> list[Any]:
    """The bot's open trades."""
    trades: list[Any] = Trade.get_open_trades()
    return trades


def own_trade(trade_id: int) -> Any:
    """The bot's own object of a trade: a strategy is handed a copy, and a copy is not saved.

    None when there is no such trade any more, or when the database cannot be read.
    """
    try:
        return Trade.session.get(Trade, trade_id)
    except SQLAlchemyError as error:
        logger.error(f"The database cannot be read: {error}")
        return None


def position_size(pair: str) -> float:
    """What the bot's open trades of a pair hold, in base; infinite when it cannot be read."""
    try:
        return math.fsum(trade.amount for trade in Trade.get_trades_proxy(pair=pair, is_open=True))
    except SQLAlchemyError as error:
        # A check that cannot be made must not keep anybody from getting out.
        logger.error(f"The position in {pair} cannot be read, so the exit is not checked: {error}")
        return math.inf


def exceeds(amount: float, held: float) -> bool:
    """Whether an exit is larger than the position, beyond the rounding of floats."""
    return amount > held and not math.isclose(amount, held, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def same_amount(one: float, other: float) -> bool:
    """Whether two amounts differ by no more than the rounding of floats."""
    return math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=_ROUNDING)


def find_order(pair: str, order_id: str) -> Any:
    """The order row of a pair and id, or None: an id alone may repeat on another pair."""
    wanted = select(Order).filter(Order.ft_pair == pair, Order.order_id == order_id)
    return Order.session.scalars(wanted).first()


def is_recorded(pair: str, order_id: str) -> bool:
    """Whether there is a row of an order, also one that waits for its commit in this thread."""
    waiting = (row for row in Order.session.new if isinstance(row, Order))
    if any((row.ft_pair, row.order_id) == (pair, order_id) for row in waiting):
        return True
    return find_order(pair, order_id) is not None


def open_trade(pair: str) -> Any:
    """The bot's open trade of a pair, the newest one if there are several, or None."""
    try:
        trades = Trade.get_trades_proxy(pair=pair, is_open=True)
    except SQLAlchemyError as error:
        logger.error(f"The open trade of {pair} cannot be read: {error}")
        return None
    return trades[-1] if trades else None


def resting_exits(trade: Any) -> float:
    """What the open exit and stoploss orders of a trade would still sell or buy back, in base."""
    return math.fsum(
        order.safe_remaining
        for order in trade.orders
        if order.ft_is_open and order.ft_order_side != trade.entry_side
    )


def is_entry_side(pair: str, side: str) -> bool:
    """Whether an order of this side adds to the open position of a pair."""
    trade = open_trade(pair)
    return trade is not None and side == trade.entry_side


def is_entry(pair: str, order_id: str) -> bool:
    """Whether a row is an entry of its trade."""
    order = find_order(pair, order_id)
    return order is not None and order.trade and order.ft_order_side == order.trade.entry_side


def as_open_order(pair: str, order_id: str) -> dict[str, Any] | None:
    """The ccxt structure of an order that is open in the database, or None."""
    order = find_order(pair, order_id)
    if order is None or not order.ft_is_open:
        return None
    return {
        **order.to_ccxt_object(),
        "status": "open",
        # Not "stoploss", which is a kind of Freqtrade's and no side.
        "side": order.side or order.ft_order_side,
        "stopPrice": order.stop_price,
        "triggerPrice": order.stop_price,
        "trades": [],
        "info": {KEPT_OPEN: True},
    }
