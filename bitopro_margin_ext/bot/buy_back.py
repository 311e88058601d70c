"""How a short is bought back, and how fees in base are shown to Freqtrade. Pure.

Freqtrade thinks of a leveraged position as one whose fees and interest are paid in quote. On the
margin account a bought coin pays its fee in itself, and a short owes interest in the coin that it
sold: more must be bought than the position (*gross*), so that the position (*net*), the interest
and the fee are covered. Freqtrade is shown the net amount and a fee in quote of the same value.
"""

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from .debt_lines import UNIT, ZERO, up

Order = dict[str, Any]
_WHOLE: Final = Decimal("0.9999999")


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
