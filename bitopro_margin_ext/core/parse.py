"""BitoPro's answers into ccxt structures, as plain dicts of strings and integers. Pure.

ccxt's ``safe_order`` and its like turn the strings into numbers; nothing here does arithmetic on
money. Every function takes one row of a documented answer.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypedDict

from .assumptions import (
    CLIENT_ID_KEYS,
    MARKET_BUY_AMOUNT_IN_QUOTE,
    MAX_ORDERS_IN_ANSWER,
    PARTLY_FILLED_DONE,
    SECONDS_BELOW,
)
from .endpoints import pair_symbol
from .errors import Failure, unreadable

Row = Mapping[str, Any]

_NUMBER: Final = re.compile(
    r"[-+]?(\d{1,40}|\d{1,3}(,\d{3}){1,12})(\.\d{0,40})?([eE][-+]?\d{1,2})?", re.ASCII
)

ORDER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

ORDER_STATUSES = {
    "-1": "open",
    "0": "open",
    "1": "open",
    "2": "closed",
    "3": PARTLY_FILLED_DONE,
    "4": "canceled",
    "6": "canceled",
}
"""An order that the exchange ended before it was filled is ``canceled``, whatever it had filled."""

ORDER_TYPES = {
    "LIMIT": "limit",
    "MARKET": "market",
    "STOP_LIMIT": "limit",
    "SP_OCO_STOPLIMIT": "limit",
    "SL_OCO_STOPLIMIT": "limit",
}
"""ccxt calls a stop-limit a limit order with a ``triggerPrice``."""


def text(row: Row, *keys: str) -> str | None:
    """The first of the keys that holds something, as a string; ``""`` counts as absent."""
    for key in keys:
        value = row.get(key)
        if value is not None and value != "":
            return str(value)
    return None


def number(row: Row, *keys: str) -> str | None:
    """The same for an amount: a decimal string, without the thousands separators of histories.

    :raises ValueError: for what is not an amount.
    """
    value = text(row, *keys)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value):
        # Better no order than one with a wrong amount: "1,5" could be 1.5 or 15.
        raise ValueError(f"{value!r} is not an amount")
    return value.replace(",", "")


def amount_of(row: Row, *keys: str) -> str | None:
    """A number that cannot be below zero, as ``number`` gives it.

    :raises ValueError: for what is not such an amount.
    """
    value = number(row, *keys)
    if value is not None and value.startswith("-") and not is_zero(value):
        raise ValueError(f"{value!r} is below zero")
    return value


def milliseconds(row: Row, *keys: str) -> int | None:
    """The same for a time, in ms whether the exchange wrote seconds or milliseconds.

    :raises ValueError: for what is not a time.
    """
    value = text(row, *keys)
    if value is None:
        return None
    digits = re.fullmatch(r"(\d{1,18})(\.\d*)?", value, re.ASCII)
    if digits is None:
        raise ValueError(f"{value!r} is not a time")
    moment = int(digits[1])
    return moment * 1000 if moment < SECONDS_BELOW else moment


def is_zero(amount: str | None) -> bool:
    """Whether a decimal string is absent or zero, without making a float of it."""
    return amount is None or not amount.lower().partition("e")[0].strip("-+0.")


def is_order_id(text: str) -> bool:
    """Whether a text can be an order's id; one that cannot might change the path of a call."""
    return ORDER_ID.fullmatch(text) is not None


def order_status(row: Row) -> str | None:
    """``open``, ``closed`` or ``canceled``; None for a status that no page names."""
    return ORDER_STATUSES.get(text(row, "status") or "")


class ParsedOrder(TypedDict, total=False):
    """An order as the exchange states it, under ccxt's names; amounts are decimal strings.

    Of an order that only the answer to a cancel names, little more than that is there.
    """

    id: str | None
    clientOrderId: str | None
    timestamp: int | None
    lastTradeTimestamp: int | None
    lastUpdateTimestamp: int | None
    symbol: str | None
    type: str | None
    timeInForce: str | None
    postOnly: bool | None
    side: str | None
    price: str | None
    triggerPrice: str | None
    amount: str | None
    cost: str | None
    average: str | None
    filled: str | None
    remaining: str | None
    status: str | None
    fee: dict[str, str | None] | None
    trades: None
    info: Any


def parse_order(row: Row, symbol: str | None = None) -> ParsedOrder:
    """An order row of any endpoint or stream, or the answer to creating or cancelling one.

    ``symbol`` is used where the row names no pair. The amount of a market buy is left to its fill:
    the exchange counts it in quote.
    """
    pair = text(row, "pair")
    side = (text(row, "action") or "").lower() or None
    wire_type = text(row, "type")
    kind = ORDER_TYPES.get(wire_type.upper(), wire_type.lower()) if wire_type else None
    time_in_force = text(row, "timeInForce")
    filled = amount_of(row, "executedAmount")
    status = order_status(row)
    amount = amount_of(row, "originalAmount", "amount")
    remaining = amount_of(row, "remainingAmount")
    if kind == "market" and side == "buy" and MARKET_BUY_AMOUNT_IN_QUOTE:
        amount = filled if status in ("closed", "canceled") else None
        remaining = "0" if amount is not None else None
    else:
        _check_amounts(text(row, "status"), kind, amount, filled, remaining)
    updated = milliseconds(row, "updatedTimestamp")
    average = amount_of(row, "avgExecutionPrice")
    price = amount_of(row, "price")
    trigger_price = amount_of(row, "stopPrice")
    return {
        "id": _order_id(row),
        "clientOrderId": text(row, *CLIENT_ID_KEYS),
        "timestamp": milliseconds(row, "createdTimestamp", "timestamp"),
        "lastTradeTimestamp": None if is_zero(filled) else updated,
        "lastUpdateTimestamp": updated,
        "symbol": symbol if pair is None else pair_symbol(pair),
        "type": kind,
        "timeInForce": {"GTC": "GTC", "POST_ONLY": "PO"}.get(time_in_force or "", time_in_force),
        "postOnly": None if time_in_force is None else time_in_force == "POST_ONLY",
        "side": side,
        "price": None if is_zero(price) else price,
        "triggerPrice": None if is_zero(trigger_price) else trigger_price,
        "amount": amount,
        "cost": amount_of(row, "total"),
        "average": None if is_zero(average) else average,
        "filled": filled,
        "remaining": remaining,
        "status": status,
        "fee": _order_fee(row, filled),
        "trades": None,
        "info": row,
    }


def _check_amounts(
    status: str | None,
    kind: str | None,
    amount: str | None,
    filled: str | None,
    remaining: str | None,
) -> None:
    """Refuse a row whose amounts cannot all be true: it is no word about the order.

    :raises ValueError: then.
    """
    if amount is None or is_zero(amount):
        return
    whole = Decimal(amount)
    for name, part in (("executed", filled), ("remaining", remaining)):
        if part is not None and Decimal(part) > whole:
            raise ValueError(f"{part!r} {name} of {amount!r}")
    if filled is None:
        return
    done = Decimal(filled)
    # What a market order does not find in the book is left, and nobody says what that is called.
    if status == "2" and done < whole and kind != "market":
        raise ValueError(f"filled, with {filled!r} of {amount!r}")
    if status in ("3", "4", "6") and done == whole:
        raise ValueError(f"cancelled, with all of {amount!r} executed")
    if status == "0" and done == whole:
        raise ValueError(f"open, with all of {amount!r} executed")


def _order_fee(row: Row, filled: str | None) -> dict[str, str | None] | None:
    if is_zero(filled):
        return None
    bito_fee = number(row, "bitoFee")
    if bito_fee is not None and not is_zero(bito_fee):
        # A holder of BITO pays the fee in it, and then no fee is taken from the proceeds.
        return {"currency": "BITO", "cost": bito_fee}
    fee, currency = number(row, "fee"), text(row, "feeSymbol")
    if fee is None or currency is None:
        return None
    return {"currency": currency.upper(), "cost": fee}


def parse_cancelled_ids(data: Mapping[str, Any]) -> list[ParsedOrder]:
    """The ids of a cancel answer, ``{"BTC_USDT": ["id", …]}``: only what was cancelled is in it.

    :raises ValueError: for anything else, so that nothing is taken for an id that is none.
    """
    if sum(len(ids) for ids in data.values() if isinstance(ids, list)) > MAX_ORDERS_IN_ANSWER:
        raise ValueError("more ids than an account can have orders")
    return [
        {
            "id": order_id,
            "symbol": pair_symbol(pair),
            "status": "canceled",
            "info": {"id": order_id, "pair": pair},
        }
        for pair, ids in data.items()
        for order_id in dict.fromkeys(_ids(ids))
    ]


def _ids(ids: Any) -> list[str]:
    if ids is None:
        # Go servers write an empty collection as null.
        return []
    if not isinstance(ids, list) or not all(_is_id(found) for found in ids):
        raise ValueError("not a list of ids")
    return [str(found) for found in ids]


def _is_id(found: Any) -> bool:
    return type(found) in (str, int) and is_order_id(str(found))


def _order_id(row: Row) -> str | None:
    """The id of an order; JSON's ``NaN`` and ``true`` would else be the names of orders."""
    found = text(row, "id", "orderId")
    return found if any(_is_id(row.get(key)) for key in ("id", "orderId")) else None


# -- answers ---------------------------------------------------------------------------------------


def read_collection(reply: Any, kind: type) -> Any:
    """The ``data`` of a reply, or the Failure that it is or amounts to."""
    if isinstance(reply, Failure):
        return reply
    if not isinstance(reply, Mapping) or "data" not in reply:
        return unreadable(f"no {kind.__name__} under 'data'")
    # Go servers write an empty collection as null.
    data = kind() if reply["data"] is None else reply["data"]
    if not isinstance(data, kind):
        return unreadable(f"no {kind.__name__} under 'data'")
    if isinstance(data, list) and len(data) > MAX_ORDERS_IN_ANSWER:
        return unreadable("more rows than an account can have orders")
    return data


def read_cancelled(reply: Any) -> list[ParsedOrder] | Failure:
    """The orders that a reply to a cancel names, as parsed orders, or a Failure."""
    data = read_collection(reply, dict)
    if isinstance(data, Failure):
        return data
    try:
        return parse_cancelled_ids(data)
    except (TypeError, ValueError):
        return unreadable("no lists of ids by pair under 'data'")


def read_order(row: Any, symbol: str | None = None) -> ParsedOrder | None:
    """A parsed order row, or None where it does not name an order."""
    try:
        order = parse_order(row, symbol)
    except (AttributeError, TypeError, ValueError):
        return None
    return order if order["symbol"] and is_order_id(order["id"] or "") else None


def read_open_order(row: Any) -> ParsedOrder | None:
    """A row of the open orders: it rests, even where its amounts cannot be true."""
    order = read_order(row)
    if order is not None or not isinstance(row, Mapping):
        return order
    return read_order({"id": row.get("id"), "pair": row.get("pair"), "status": 0})


def read_orders(reply: Any, symbol: str) -> list[ParsedOrder] | Failure:
    """The readable rows of a reply that lists the orders of a pair, or a Failure."""
    rows = read_collection(reply, list)
    if isinstance(rows, Failure):
        return rows
    orders = [read_order(row, symbol) for row in rows]
    return [order for order in orders if order is not None]


def read_open_orders(reply: Any) -> list[ParsedOrder] | Failure:
    """The rows of a reply that lists open orders, or a Failure.

    A row that names no order is one: that order might be in scope, and nobody knows of it.
    """
    rows = read_collection(reply, list)
    if isinstance(rows, Failure):
        return rows
    orders = [read_open_order(row) for row in rows]
    readable = [order for order in orders if order is not None]
    if len(readable) < len(orders):
        return unreadable("an open order without id or pair")
    return readable
