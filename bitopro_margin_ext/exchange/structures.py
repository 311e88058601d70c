"""Parsed rows into ccxt structures, through ccxt's own ``safe_*`` methods; and what every unified
method asks of its arguments first.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import ccxt

from ..core import symbols
from ..core.parse import parse_order, parse_stream_trade, parse_trade
from .flow import Params

Order = dict[str, Any]


def margin_params(api: Any, params: Params) -> tuple[bool, Params]:
    """Say whether a call is for the margin account, and return its other parameters.

    ``type`` (or ``options.defaultType``) names the account; ``marginMode: 'cross'`` is margin.

    :raises ccxt.NotSupported: for isolated margin and for accounts that BitoPro has not.
    """
    rest = dict(params)
    margin_mode = rest.pop("marginMode", None)
    account = rest.pop("type", None)
    if margin_mode not in (None, "cross"):
        raise ccxt.NotSupported(
            f"{api.id} has cross margin only: marginMode {margin_mode!r} is not supported"
        )
    if account is None:
        account = api.options.get("defaultType", "margin")
    if margin_mode is not None and account == "spot":
        # As everywhere in ccxt, it is the spot market's margin account that is meant.
        account = "margin"
    if account not in ("margin", "spot"):
        raise ccxt.NotSupported(f"{api.id} has the accounts 'margin' and 'spot', not {account!r}")
    return account == "margin", rest


def require_pair(api: Any, symbol: Any) -> str:
    """Return the unified symbol, or refuse what is not a pair before anything is sent.

    :raises ccxt.BadSymbol: naming what was given.
    """
    try:
        if not isinstance(symbol, str):
            raise ValueError(f"{symbol!r} is not a pair: write it like BTC/USDT")
        return "/".join(symbols.parse_pair(symbol))
    except ValueError as error:
        raise ccxt.BadSymbol(f"{api.id} {error}") from None


def require_symbol(api: Any, symbol: str | None, method: str) -> str:
    """The same for a method that needs a symbol.

    :raises ccxt.ArgumentsRequired: when there is none.
    """
    if symbol is None:
        raise ccxt.ArgumentsRequired(f"{api.id} {method}() requires a symbol argument")
    return require_pair(api, symbol)


def loaded_market(api: Any, symbol: str | None) -> Any:
    """The market of a symbol if markets are loaded and list it: cancelling needs none."""
    return None if not api.markets or symbol is None else api.markets.get(symbol)


def order_structure(api: Any, parsed: Order) -> Order:
    """A ccxt order structure of a parsed row; numbers as ccxt makes them."""
    parsed = {**parsed, "datetime": api.iso8601(parsed.get("timestamp"))}
    if parsed.get("fee"):
        # ccxt makes a number of the cost in ``fees`` only.
        parsed["fee"] = {**parsed["fee"], "cost": api.parse_number(parsed["fee"]["cost"])}
    order: Order = api.safe_order(parsed, loaded_market(api, parsed.get("symbol")))
    return order


@contextlib.contextmanager
def reading(api: Any, what: str) -> Iterator[None]:
    """Turn whatever goes wrong in reading an answer into the error for that.

    :raises ccxt.BadResponse: so that nothing is concluded from an answer that is not understood.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise ccxt.BadResponse(f"{api.id} sent {what} that cannot be read") from None


def order_from_row(api: Any, row: Any, symbol: str | None = None) -> Order:
    """The same from an order row as the exchange writes it.

    :raises ccxt.BadResponse: when it is no order row.
    """
    with reading(api, "an order"):
        parsed = parse_order(row, symbol)
        if parsed["id"] is None:
            raise ValueError("no id")
        return order_structure(api, parsed)


def named_order(api: Any, row: Any, symbol: str, order_id: Any) -> Order:
    """The same from the answer to a call about one order.

    :raises ccxt.BadResponse: also when it is about another one.
    """
    order = order_from_row(api, row, symbol)
    if (order["symbol"], order["id"]) != (symbol, str(order_id)):
        raise ccxt.BadResponse(
            f"{api.id} answered about {order['symbol']} {order['id']}, not {symbol} {order_id}"
        )
    return order


def trade_from_row(api: Any, row: Any, symbol: str) -> Order:
    """A ccxt trade structure of an own-trades row."""
    with reading(api, "a trade"):
        return _trade_structure(api, parse_trade(row, symbol))


def stream_trade_from_row(api: Any, data: Any) -> Order:
    """A ccxt trade structure of an execution that the stream told."""
    with reading(api, "a trade"):
        return _trade_structure(api, parse_stream_trade(data))


def _trade_structure(api: Any, parsed: Order) -> Order:
    parsed["datetime"] = api.iso8601(parsed["timestamp"])
    trade: Order = api.safe_trade(parsed, loaded_market(api, parsed["symbol"]))
    return trade


def rows_of(api: Any, answer: Any, key: str = "data", kind: type = list) -> Any:
    """The collection under ``key`` of an answer; null counts as empty, as Go servers write it.

    :raises ccxt.BadResponse: when it is something else, so that nothing is concluded from it.
    """
    if isinstance(answer, dict) and key in answer:
        found = answer[key]
        if found is None:
            return kind()
        if isinstance(found, kind):
            return found
    raise ccxt.BadResponse(f"{api.id} sent an answer without a {kind.__name__} under {key!r}")


def sorted_since_limit(orders: list[Order], since: int | None, limit: int | None) -> list[Order]:
    """Oldest first, from ``since`` (ms), and of those the newest ``limit``."""
    kept = [order for order in orders if since is None or (order["timestamp"] or 0) >= since]
    kept.sort(key=lambda order: order["timestamp"] or 0)
    return kept if limit is None else kept[-limit:]
