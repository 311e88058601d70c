"""The amounts of leveraged trades: gross and net, what is borrowed, what the fees were. Pure.

A short is closed by buying more than the position: interest and the fee, which is taken in base,
come on top, while Freqtrade must see the position alone. What a trade needs borrowed follows from
its orders, by the walk of Freqtrade's ``recalc_trade_from_orders``: an entry adds, an exit takes
its fraction of everything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from ccxt import TICK_SIZE

from .debt_lines import UNIT, ZERO, up

Order = dict[str, Any]
_WHOLE: Final = Decimal("0.9999999")
AHEAD_SECONDS: Final = 600.0
"""How much interest ahead a short's exit buys: until it is filled and repaid."""


def dec(value: Any) -> Decimal:
    """A decimal of what ccxt and Freqtrade hand out; None is zero."""
    return ZERO if value is None else Decimal(str(value))


def gross_amount(
    net: Decimal, interest: Decimal, ahead: Decimal, dust: Decimal, fee: Decimal, cap: Decimal
) -> Decimal:
    """How much to buy so that the position, its interest and the fee are covered.

    ``dust`` is what earlier buy-backs left over. Never more than ``cap`` (a fraction) above the
    position, whatever the ledger says, and never less than the position without the dust.
    """
    wanted = (net + interest + ahead - dust) / (1 - fee)
    return up(max(ZERO, min(wanted, net * (1 + cap))))


def fee_in(order: Mapping[str, Any], currency: str) -> Decimal:
    """What an order has paid as a fee in a currency."""
    fee = order.get("fee") or {}
    return dec(fee.get("cost")) if fee.get("currency") == currency else ZERO


def average_price(order: Mapping[str, Any]) -> Decimal:
    """The price at which an order was executed, or its limit while it was not."""
    return dec(order.get("average") or order.get("price"))


def fee_in_quote(order: Mapping[str, Any], base: str, quote: str) -> Decimal | None:
    """The value of an order's fee in quote; None while the exchange has not said it."""
    fee = order.get("fee") or {}
    if fee.get("cost") is None or fee.get("currency") is None:
        return None
    if fee["currency"] == base:
        return dec(fee["cost"]) * average_price(order)
    return dec(fee["cost"]) if fee["currency"] == quote else None


def step_size(precision: float | None, mode: int | None) -> Decimal:
    """The smallest step of an amount, from what ccxt says of a market."""
    if precision is None:
        return UNIT
    return dec(precision) if mode == TICK_SIZE else Decimal(1).scaleb(-int(precision))


def cut(amount: Decimal, step: Decimal) -> Decimal:
    """An amount in whole steps of the exchange: Freqtrade cuts every position to them."""
    return (amount / step).to_integral_value(ROUND_FLOOR) * step


def shown_entry(order: Order, base: str, quote: str, step: Decimal = UNIT) -> Order:
    """A long's entry as Freqtrade must see it: what is left after the fee, the fee in quote.

    Its own way of taking a fee in base from the amount would spare the fee where the user holds
    coins of that currency too, and sell theirs in the end.
    """
    fee = fee_in(order, base)
    filled = dec(order.get("filled"))
    if not fee or not filled or fee >= filled:
        return order
    left = cut(filled - fee, step)
    return _with_quote_fee({**order, "filled": float(left)}, fee, left, quote) if left else order


def left_by_entry(order: Order, base: str, step: Decimal = UNIT) -> Decimal:
    """What a long's entry has brought beyond whole steps: too little to be sold with it."""
    brought = dec(order.get("filled")) - fee_in(order, base)
    return brought - cut(brought, step)


def shown_buy_back(
    order: Order, net: float | Decimal, base: str, quote: str, step: Decimal = UNIT
) -> Order:
    """A gross buy-back as Freqtrade must see it: the position's amount, the fee in quote."""
    gross, net = dec(order.get("amount")), dec(net)
    if not gross or not net:
        return order
    filled = dec(order.get("filled"))
    # The gross amount is cut to the exchange's steps: a whole one is the whole position.
    whole = filled >= gross * _WHOLE
    shown = net if whole else cut(filled * net / gross, step)
    result = {
        **order,
        "amount": float(net),
        "filled": float(shown) if order.get("filled") is not None else None,
        "remaining": float(net - shown),
        "trades": None,
    }
    fee = fee_in(order, base)
    if shown and fee:
        return _with_quote_fee(result, fee, shown, quote)
    if shown:
        result["cost"] = float(shown * average_price(order))
    return result


def part_of_order(order: Order, fraction: Decimal) -> Order:
    """An order as if only this fraction of it had been placed, filled and charged."""
    part = dict(order)
    for name in ("amount", "filled", "remaining", "cost"):
        if order.get(name) is not None:
            part[name] = float(dec(order[name]) * fraction)
    fees = [
        {**fee, "cost": float(dec(fee.get("cost")) * fraction)}
        for fee in order.get("fees") or [order.get("fee")]
        if fee
    ]
    return {**part, "fees": fees, "fee": fees[0] if len(fees) == 1 else None, "trades": None}


def _with_quote_fee(order: Order, fee: Decimal, shown: Decimal, quote: str) -> Order:
    """The same value of fee in quote, with the rate that Freqtrade applies to what is shown."""
    price = average_price(order)
    in_quote = {"currency": quote, "cost": float(fee * price), "rate": float(fee / shown)}
    return {**order, "fee": in_quote, "fees": [in_quote], "cost": float(shown * price)}


def fraction_of(part: Decimal, whole: Decimal) -> Decimal:
    """Which part of a position an exit is; all of it within the rounding of floats."""
    if whole <= 0 or part >= whole * _WHOLE:
        return Decimal(1)
    return part / whole


def closes(part: Decimal, whole: Decimal, step: Decimal) -> bool:
    """Whether an exit ends a position: what is left is less than a step, and cannot be ordered."""
    most = cut(whole, step)
    return part >= (most or whole) * _WHOLE


def buy_back_cost(
    net: Decimal,
    received: Decimal,
    paid: Decimal,
    price: Decimal,
    dust: tuple[Decimal, Decimal],
) -> tuple[Decimal, tuple[Decimal, Decimal]]:
    """What a short's exit has cost beyond the position and its fee, and the dust afterwards.

    ``received`` is the base that was bought less its fee, ``paid`` the base that was repaid, and
    ``dust`` amount and cost of what earlier buy-backs left. What is left over now is kept at the
    price it was bought for and is no loss of this trade.
    """
    amount, worth = dust
    left = received - paid
    if left >= 0:
        kept = (amount + left, worth + left * price)
        return (received - net - left) * price, kept
    used = min(-left, amount)
    worth_used = worth * used / amount if amount else ZERO
    return (received - net) * price + worth_used, (amount - used, worth - worth_used)


def loan_currency(trade: Any) -> str:
    """What a trade owes: a short its base, a long its quote."""
    return str(trade.safe_base_currency if trade.is_short else trade.safe_quote_currency)


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
    part = min(Decimal(1), net / position.amount)
    return position.fees * part - position.value * part * dec(trade.fee_open)


def entry_price(trade: Any, position: Position) -> Decimal:
    """What a unit of a position has cost with its fees, or has brought less its fees (short)."""
    fees = position.fees if position.fees_known else position.value * dec(trade.fee_open)
    value = position.value - fees if trade.is_short else position.value + fees
    return value / position.amount if position.amount else ZERO
