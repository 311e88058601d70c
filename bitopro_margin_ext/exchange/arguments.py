"""The arguments of the unified methods: one reading for each kind, before anything is sent.

Whatever Python object a caller passes, a function of this module returns what it means or raises a
ccxt error that says what was expected.
"""

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import ccxt

from ..core import endpoints
from ..core.assumptions import AMOUNT_DECIMALS
from ..core.parse import is_order_id
from .flow import Flow, LoadMarkets, MarginExchange

MAX_DIGITS: Final = 40
"""More digits than that, before or after the point, are no amount of anything."""


def shown(given: Any) -> str:
    """What was given, for an error: cut short, and whatever its own ``repr`` does."""
    try:
        text = repr(given)
    except Exception:
        return f"a {type(given).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


# -- names --------------------------------------------------------------------------------------


def require_pair(api: MarginExchange, symbol: Any) -> str:
    """Return the unified symbol, or refuse what is not a pair before anything is sent.

    :raises ccxt.BadSymbol: naming what was given.
    """
    try:
        if not isinstance(symbol, str):
            raise ValueError(f"{shown(symbol)} is not a pair: write it like BTC/USDT")
        return "/".join(endpoints.parse_pair(symbol))
    except ValueError as error:
        raise ccxt.BadSymbol(f"{api.id} {error}") from None


def require_symbol(api: MarginExchange, symbol: Any, method: str) -> str:
    """Return the unified symbol that a method needs.

    :raises ccxt.ArgumentsRequired: when there is none.
    """
    if symbol is None:
        raise ccxt.ArgumentsRequired(f"{api.id} {method}() requires a symbol argument")
    return require_pair(api, symbol)


def optional_pair(api: MarginExchange, symbol: Any) -> str | None:
    """Return the unified symbol that narrows a list, or None for every pair."""
    return None if symbol is None else require_pair(api, symbol)


def require_list(api: MarginExchange, given: Any, what: str) -> list[Any]:
    """Return a list argument; a single text is refused: Python would take it letter by letter.

    :raises ccxt.BadRequest: naming what was given.
    """
    if isinstance(given, str | bytes | Mapping) or not hasattr(given, "__iter__"):
        raise ccxt.BadRequest(f"{api.id} {what} are given as a list, not as {shown(given)}")
    return list(given)


def require_order_id(api: MarginExchange, given: Any) -> str:
    """Return an order's id as the text that the exchange writes; an integer is accepted.

    :raises ccxt.BadRequest: for what cannot be an id.
    """
    if isinstance(given, bool) or not isinstance(given, str | int) or not _is_id(given):
        raise ccxt.BadRequest(f"{api.id} {shown(given)} is not an order id")
    return str(given)


def _is_id(given: str | int) -> bool:
    return (
        abs(given) < 10**MAX_DIGITS and given >= 0 if isinstance(given, int) else is_order_id(given)
    )


def require_client_id(api: MarginExchange, given: Any) -> int:
    """Return a ``clientOrderId`` as the number that the exchange takes.

    :raises ccxt.InvalidOrder: for what is no integer from 1 to 2147483647.
    """
    text = "" if isinstance(given, bool) else str(given) if isinstance(given, str | int) else ""
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(endpoints.MAX_CLIENT_ID))
    if not digits or not 1 <= int(text) <= endpoints.MAX_CLIENT_ID:
        raise ccxt.InvalidOrder(
            f"{api.id} a clientOrderId is an integer from 1 to {endpoints.MAX_CLIENT_ID},"
            f" not {shown(given)}"
        )
    return int(text)


def require_code(api: MarginExchange, code: Any) -> str:
    """Return the unified code of a currency, in whatever letter case it was given.

    :raises ccxt.BadSymbol: for what is no currency's name.
    """
    if not isinstance(code, str) or not code.strip().isalnum() or not code.strip().isascii():
        raise ccxt.BadSymbol(f"{api.id} {shown(code)} is not a currency: write it like USDT")
    unified: str = api.safe_currency_code(code.strip().upper())
    return unified


def optional_code(api: MarginExchange, code: Any) -> str | None:
    """Return the unified code that narrows a list, or None for every currency."""
    return None if code is None else require_code(api, code)


def known_currency(api: MarginExchange, code: Any) -> Flow[str]:
    """Return the unified code, or refuse one that the exchange does not list.

    :raises ccxt.BadSymbol: naming what was given. Where the list cannot be loaded the exchange
        is left to judge: a repayment must not wait for it.
    """
    unified = require_code(api, code)
    if not api.currencies:
        try:
            yield LoadMarkets()
        except (ccxt.OperationFailed, ccxt.ExchangeError):
            return unified
    if unified not in (api.currencies or {}):
        raise ccxt.BadSymbol(f"{api.id} does not have currency code {shown(code)}")
    return unified


# -- numbers ------------------------------------------------------------------------------------


def decimal_text(api: MarginExchange, what: str, given: Any) -> str:
    """Return an amount or a price as the plain decimal string that is sent.

    Integers, floats, ``Decimal`` and their texts are accepted, with an exponent or without: money
    is never rounded on the way.

    :raises ccxt.InvalidOrder: for what is not a number above 0.
    """
    number = _decimal(given)
    if number is None or not number.is_finite() or number <= 0:
        raise ccxt.InvalidOrder(f"{api.id} the {what} is a number above 0, not {shown(given)}")
    if number.adjusted() >= MAX_DIGITS or _places(number) > MAX_DIGITS:
        raise ccxt.InvalidOrder(f"{api.id} the {what} has too many digits: {shown(given)}")
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _decimal(given: Any) -> Decimal | None:
    if isinstance(given, bool) or not isinstance(given, str | int | float | Decimal):
        return None
    if isinstance(given, int) and abs(given) >= 10**MAX_DIGITS:
        # Python refuses to write out an integer of thousands of digits.
        return Decimal(f"1e{MAX_DIGITS}")
    try:
        return Decimal(str(given).strip() if "_" not in str(given) else "nan")
    except (InvalidOperation, ValueError):
        return None


def exact_amount(api: MarginExchange, amount: Any, decimals: int = AMOUNT_DECIMALS) -> str:
    """Return the amount of a loan or transfer as the decimal string that is sent.

    :raises ccxt.InvalidOrder: for what is not a number above 0, and for too many decimals.
    """
    text = decimal_text(api, "amount", amount)
    if len(text.partition(".")[2]) > decimals:
        raise ccxt.InvalidOrder(
            f"{api.id} amount {text} has more than {decimals} decimals: round it"
        )
    return text


def optional_moment(api: MarginExchange, what: str, given: Any) -> int | None:
    """Return a time in ms; a float or a text of a whole number is accepted.

    :raises ccxt.BadRequest: for what is no time.
    """
    return None if given is None else _whole(api, f"{what} is a time in ms since 1970", given, 0)


def optional_limit(api: MarginExchange, given: Any, what: str = "limit") -> int | None:
    """Return a number of rows.

    :raises ccxt.BadRequest: for what is no whole number from 1.
    """
    return None if given is None else _whole(api, f"{what} is a whole number from 1", given, 1)


def _whole(api: MarginExchange, expected: str, given: Any, least: int) -> int:
    number = _decimal(given)
    if (
        number is None
        or not number.is_finite()
        or not least <= number < 10**18
        or (number % 1 and not isinstance(given, float))
        or math.floor(number) < least
    ):
        raise ccxt.BadRequest(f"{api.id} {expected}, not {shown(given)}")
    return math.floor(number)
