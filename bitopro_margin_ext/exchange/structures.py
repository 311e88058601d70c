"""Answers into ccxt structures, through ccxt's own ``safe_*`` methods. Pure.

Whatever cannot be read raises ``ccxt.BadResponse``: nothing is concluded from an answer that is not
understood, and no row of a list is left out in silence.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import ccxt

from ..core.errors import Failure
from ..core.parse import ParsedOrder, parse_order
from ..core.parse_account import parse_stream_trade, parse_trade
from .flow import MarginExchange, Structure

Order = Structure

Parsed = TypeVar("Parsed")


def loaded_market(api: MarginExchange, symbol: str | None) -> Any:
    """The market of a symbol if markets are loaded and list it: cancelling needs none."""
    return None if not api.markets or symbol is None else api.markets.get(symbol)


def order_structure(api: MarginExchange, parsed: Mapping[str, Any]) -> Order:
    """A ccxt order structure of a parsed row; numbers as ccxt makes them."""
    parsed = {**parsed, "datetime": api.iso8601(parsed.get("timestamp"))}
    if parsed.get("fee"):
        # ccxt makes a number of the cost in ``fees`` only.
        parsed["fee"] = {**parsed["fee"], "cost": api.parse_number(parsed["fee"]["cost"])}
    order: Order = api.safe_order(parsed, loaded_market(api, parsed.get("symbol")))
    return order


def cancelled_orders(api: MarginExchange, found: list[ParsedOrder] | Failure) -> list[Order]:
    """The order structures of an answer to a cancel, as ``core.parse`` reads it.

    :raises ccxt.BadResponse: for one that cannot be read.
    """
    if isinstance(found, Failure):
        raise ccxt.BadResponse(f"{api.id} sent a cancel answer that cannot be read: {found.text}")
    return [order_structure(api, order) for order in found]


def swept_order(api: MarginExchange, parsed: Mapping[str, Any]) -> Any:
    """A ccxt order structure for the report of a sweep."""
    try:
        order = order_structure(api, parsed)
    except Exception:
        # Whatever ccxt cannot make numbers of, the order's fate is not lost for it.
        return parsed
    if parsed.get("filled") is None:
        # ccxt would take an absent fill for none; here it means that nobody has said.
        order["filled"] = order["remaining"] = None
    return order


@contextlib.contextmanager
def reading(api: MarginExchange, what: str) -> Iterator[None]:
    """Turn whatever goes wrong in reading an answer into the error for that.

    :raises ccxt.BadResponse: so that nothing is concluded from an answer that is not understood.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise ccxt.BadResponse(f"{api.id} sent {what} that cannot be read") from None


def order_from_row(api: MarginExchange, row: Any, symbol: str | None = None) -> Order:
    """A ccxt order structure of an order row as the exchange writes it.

    :raises ccxt.BadResponse: when it is no order row.
    """
    with reading(api, "an order"):
        parsed = parse_order(row, symbol)
        if parsed["id"] is None:
            raise ValueError("no id")
        return order_structure(api, parsed)


def named_order(api: MarginExchange, row: Any, symbol: str, order_id: Any) -> Order:
    """A ccxt order structure of the answer to a call about one order.

    :raises ccxt.BadResponse: also when it is about another one.
    """
    order = order_from_row(api, row, symbol)
    if (order["symbol"], order["id"]) != (symbol, str(order_id)):
        raise ccxt.BadResponse(
            f"{api.id} answered about {order['symbol']} {order['id']}, not {symbol} {order_id}"
        )
    return order


def trade_from_row(api: MarginExchange, row: Any, symbol: str) -> Order:
    """A ccxt trade structure of an own-trades row."""
    with reading(api, "a trade"):
        return _trade_structure(api, parse_trade(row, symbol))


def stream_trade_from_row(api: MarginExchange, data: Any) -> Order:
    """A ccxt trade structure of an execution of the stream."""
    with reading(api, "a trade"):
        return _trade_structure(api, parse_stream_trade(data))


def _trade_structure(api: MarginExchange, parsed: Order) -> Order:
    parsed["datetime"] = api.iso8601(parsed["timestamp"])
    trade: Order = api.safe_trade(parsed, loaded_market(api, parsed["symbol"]))
    return trade


def rows_of(api: MarginExchange, answer: Any, key: str = "data", kind: type = list) -> Any:
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


def parsed_rows(
    api: MarginExchange, what: str, parse: Callable[[Any], Parsed], rows: Iterable[Any]
) -> list[Parsed]:
    """Parse each row of an answer.

    :raises ccxt.BadResponse: when one cannot be read.
    """
    with reading(api, what):
        return [parse(row) for row in rows]


def finish(api: MarginExchange, parsed: Structure, numbers: Iterable[str]) -> Structure:
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


def by_code(api: MarginExchange, amounts: Mapping[str, Any]) -> Structure:
    """Amounts by the exchange's currency names, as numbers by unified codes."""
    return {
        api.safe_currency_code(name): api.parse_number(amount) for name, amount in amounts.items()
    }
