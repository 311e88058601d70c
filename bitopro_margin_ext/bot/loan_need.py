"""What a trade needs borrowed, and what its fees have been, from its orders. Pure.

The same walk over the orders as Freqtrade's ``recalc_trade_from_orders``: an entry adds, an exit
takes its fraction of everything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .buy_back import dec, fraction_of
from .debt_lines import ZERO, up


@dataclass(slots=True)
class Position:
    """What the ended orders of a trade have made of it."""

    amount: Decimal = ZERO
    borrowed: Decimal = ZERO
    """In the loan's currency, what is still needed of it."""
    value: Decimal = ZERO
    """In quote, at entry prices: amount times average."""
    fees: Decimal = ZERO
    """In quote, what the entries have really paid."""
    fees_known: bool = True


def position_of(
    trade: Any, fees: Mapping[str, Decimal] | None = None, without: str | None = None
) -> Position:
    """The position that the ended orders have left, up to the order ``without``.

    :param fees: what entries have paid, by order id, in quote.
    :param without: an exit that is about to be settled, and does not count yet.
    """
    position = Position()
    part_borrowed = 1 - 1 / dec(trade.leverage or 1)
    for order in trade.orders:
        amount = dec(order.safe_amount_after_fee)
        if order.ft_is_open or not amount or order.order_id == without:
            continue
        if order.ft_order_side == trade.entry_side:
            position.amount += amount
            position.value += amount * dec(order.safe_price)
            fee = (fees or {}).get(order.order_id)
            position.fees_known &= fee is not None
            position.fees += fee or ZERO
            if trade.is_short:
                position.borrowed += amount
            else:
                value = amount * dec(order.safe_price)
                paid = value + (value * dec(trade.fee_open) if fee is None else fee)
                position.borrowed += up(paid * part_borrowed)
        else:
            left = 1 - fraction_of(amount, position.amount)
            position.amount = position.amount - amount if left else ZERO
            position.borrowed *= left
            position.value *= left
            position.fees *= left
    return position


def open_entries(trade: Any) -> Decimal:
    """What the open entry orders of a trade need borrowed, in the loan's currency."""
    part_borrowed = 1 - 1 / dec(trade.leverage or 1)
    return sum(
        (
            dec(order.safe_amount)
            if trade.is_short
            else up(dec(order.safe_amount) * dec(order.safe_placement_price) * part_borrowed)
            for order in trade.open_orders
            if order.ft_order_side == trade.entry_side
        ),
        ZERO,
    )


def need_of(trade: Any, fees: Mapping[str, Decimal] | None = None) -> Decimal:
    """What a trade needs borrowed, position and open entry orders together."""
    return position_of(trade, fees).borrowed + open_entries(trade)


def ended_exits(trade: Any) -> Iterable[Any]:
    """The exit orders of a trade (stops too) that have ended with a fill, oldest first."""
    return [
        order
        for order in trade.orders
        if order.ft_order_side != trade.entry_side and not order.ft_is_open and order.filled
    ]


def entry_fee_difference(trade: Any, position: Position, net: Decimal) -> Decimal:
    """What the entries of an exited part have paid in fees beyond what Freqtrade counts.

    Freqtrade applies the rate of the last entry to all of them.
    """
    if not position.fees_known or position.amount <= 0:
        return ZERO
    part = fraction_of(net, position.amount)
    return position.fees * part - position.value * part * dec(trade.fee_open)
