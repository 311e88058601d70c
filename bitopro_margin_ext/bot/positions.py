"""What Freqtrade's database holds of positions and orders, and the mark of a sweep in it."""

from collections.abc import Iterable
from typing import Any, Final

from freqtrade.constants import MATH_CLOSE_PREC
from freqtrade.persistence import Order, Trade
from sqlalchemy import select

REASON: Final = "emergency: cancelled by bitopro_margin_ext"
"""The ``ft_cancel_reason`` of an order that the sweep cancelled."""
_REASON_LENGTH: Final = 255
_IDS_A_QUERY: Final = 500
"""Below what every database takes as the parameters of one statement."""


def open_order_keys(pair: str | None, trades: Iterable[Any] = ()) -> set[tuple[str, str]]:
    """Pair and id of every order that the bot believes open, of a pair or of all.

    ``trades`` are looked through as well: what the bot has not committed yet is only there.
    """
    orders = [*Order.get_open_orders(), *(o for trade in trades for o in trade.orders)]
    return {
        (order.ft_pair, order.order_id)
        for order in orders
        if order.ft_is_open and pair in (None, order.ft_pair)
    }


def open_trade(trade_id: int) -> Any:
    """The bot's own object of a trade: a strategy is handed a copy, and a copy is not saved."""
    return Trade.get_trades([Trade.id == trade_id]).first()


def position_size(pair: str) -> float:
    """What the bot's open trades of a pair hold, in base."""
    return sum(trade.amount for trade in Trade.get_trades_proxy(pair=pair, is_open=True))


def exceeds(amount: float, held: float) -> bool:
    """Whether an exit is larger than the position, beyond the rounding of floats."""
    return amount > held + MATH_CLOSE_PREC


def find_order(pair: str, order_id: str) -> Any:
    """The order row of a pair and id, or None: an id alone may repeat on another pair."""
    wanted = select(Order).filter(Order.ft_pair == pair, Order.order_id == order_id)
    return Order.session.scalars(wanted).first()


def find_orders(keys: Iterable[tuple[str, str]]) -> list[Any]:
    """The same for many pairs and ids, in few queries; those that are not there are left out."""
    wanted = set(keys)
    ids = sorted({order_id for _, order_id in wanted})
    found: list[Any] = []
    for start in range(0, len(ids), _IDS_A_QUERY):
        chunk = select(Order).filter(Order.order_id.in_(ids[start : start + _IDS_A_QUERY]))
        rows = Order.session.scalars(chunk)
        found += [order for order in rows if (order.ft_pair, order.order_id) in wanted]
    return found


def open_entry(pair: str, order_id: str) -> Any:
    """A ccxt structure of an entry order that the bot believes open, or None."""
    order = find_order(pair, order_id)
    if order is None or order.ft_order_side == "stoploss":
        return None
    if order.ft_order_side != order.trade.entry_side:
        return None
    return {**order.to_ccxt_object(), "status": "open"}


def stamp_reason(pair: str, order_id: str) -> None:
    """Write into an order's ``ft_cancel_reason`` that it was our sweep that cancelled it."""
    order = find_order(pair, order_id)
    if order is not None:
        stamp(order)


def stamp(order: Any) -> None:
    """The same on an order object; what Freqtrade wrote stays behind it."""
    reason = order.ft_cancel_reason or ""
    if REASON not in reason:
        order.ft_cancel_reason = f"{REASON}, {reason}".rstrip(", ")[:_REASON_LENGTH]
