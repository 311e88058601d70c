"""What a loan, a repayment or a transfer is asked for in: account, currency and amount.

Refused here is only what the exchange is known to refuse, so that nothing sound is held up.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import ccxt

from ..core.assumptions import AMOUNT_DECIMALS
from ..core.parse import is_zero
from .flow import Flow, LoadMarkets, Params
from .structures import margin_params

Structure = dict[str, Any]

_DECIMAL = re.compile(r"\d+(?:\.(\d+))?")


def margin_only(api: Any, params: Params, method: str) -> Params:
    """Return the parameters of a method that only the margin account has, whatever the default is.

    :raises ccxt.NotSupported: when another account was asked for.
    """
    margin, rest = margin_params(api, {"type": "margin", **params})
    if not margin:
        raise ccxt.NotSupported(f"{api.id} {method}() is for the margin account only")
    return rest


def known_currency(api: Any, code: Any) -> Flow[str]:
    """Return the unified code, or refuse one that the exchange does not list.

    :raises ccxt.BadSymbol: naming what was given. Where the list cannot be loaded the exchange
        is left to judge: a repayment must not wait for it.
    """
    if not isinstance(code, str) or not code.strip():
        raise ccxt.BadSymbol(f"{api.id} {code!r} is not a currency: write it like USDT")
    unified: str = api.safe_currency_code(code)
    if not api.currencies:
        try:
            yield LoadMarkets()
        except (ccxt.OperationFailed, ccxt.ExchangeError):
            return unified
    if unified not in api.currencies:
        raise ccxt.BadSymbol(f"{api.id} does not have currency code {code!r}")
    return unified


def exact_amount(api: Any, amount: Any, decimals: int = AMOUNT_DECIMALS) -> str:
    """Return an amount as the decimal string that is sent: money is never rounded on the way.

    :raises ccxt.InvalidOrder: for what is not a positive number, and for too many decimals.
    """
    text = amount if isinstance(amount, str) else _number_text(api, amount)
    match = _DECIMAL.fullmatch(text.strip())
    if match is None or is_zero(text.strip()):
        raise ccxt.InvalidOrder(f"{api.id} an amount is a positive number, not {amount!r}")
    if match[1] is not None and len(match[1].rstrip("0")) > decimals:
        raise ccxt.InvalidOrder(
            f"{api.id} amount {text} has more than {decimals} decimals: round it"
        )
    return text.strip()


def _number_text(api: Any, amount: Any) -> str:
    try:
        return str(api.number_to_string(amount))
    except (TypeError, ValueError, AttributeError):
        return repr(amount)


def read_rows(api: Any, what: str, parse: Any, rows: Iterable[Any]) -> list[Structure]:
    """Parse each row of an answer.

    :raises ccxt.BadResponse: when one cannot be read, so that nothing is left out in silence.
    """
    try:
        return [parse(row) for row in rows]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ccxt.BadResponse(f"{api.id} sent {what} that cannot be read") from None


def finish(api: Any, parsed: Structure, numbers: Iterable[str]) -> Structure:
    """A ccxt structure of a parsed row: numbers, unified codes and a datetime."""
    done = dict(parsed)
    for name in numbers:
        done[name] = api.parse_number(parsed.get(name))
    for name in ("currency", "debtCurrency", "assetCurrency"):
        if name in parsed:
            done[name] = api.safe_currency_code(parsed[name])
    if "timestamp" in parsed:
        done["datetime"] = api.iso8601(parsed["timestamp"])
    return done


def by_code(api: Any, amounts: Mapping[str, Any]) -> Structure:
    """Amounts by the exchange's currency names, as numbers by unified codes."""
    return {
        api.safe_currency_code(name): api.parse_number(amount) for name, amount in amounts.items()
    }


def in_window(
    found: list[Structure], code: str | None, since: int | None, limit: int | None
) -> list[Structure]:
    """Of one currency, oldest first, from ``since`` (ms), and of those the newest ``limit``."""
    kept = [
        line
        for line in found
        if code in (None, line["currency"]) and (since is None or (line["timestamp"] or 0) >= since)
    ]
    kept.sort(key=lambda line: line["timestamp"] or 0)
    return kept if limit is None else kept[-limit:]
