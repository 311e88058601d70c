"""Reading and writing decimal amounts, without ever passing through a float."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Final

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
SMALLEST: Final = Decimal("0.00000001")


def plain(value: Decimal) -> str:
    """Write an amount as the exchange does: no exponent, no trailing zeros."""
    if not value:
        return "0"
    return format(value.normalize(), "f")


def eight(value: Decimal) -> str:
    """Write an amount with the eight decimals that balances and tickers have."""
    return format(value.quantize(SMALLEST, rounding=ROUND_DOWN), "f")


def floor(value: Decimal) -> Decimal:
    """Cut an amount to what the exchange can hold."""
    return value.quantize(SMALLEST, rounding=ROUND_DOWN)


def decimals_of(value: Decimal) -> int:
    """Count the decimals that an amount really uses."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def to_decimal(value: object) -> Decimal | None:
    """Read a number from JSON or from a query; None for what is no finite number."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def grouped(value: Decimal) -> str:
    """Write an amount with the thousands separators that the loan histories have."""
    whole, dot, rest = plain(value).partition(".")
    return f"{int(whole):,}{dot}{rest}"
