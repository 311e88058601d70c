"""Unified methods for the prices at which the exchange values the margin account."""

from collections.abc import Mapping
from typing import Any

import ccxt

from .. import ledger
from ..endpoints import MARK_PRICE
from .amounts import Structure, margin_only
from .calls import call
from .steps import NO_PARAMS, Flow, LoadMarkets, Params
from .structures import require_pair, rows_of

UNIT = "USDT"
"""What the exchange's mark prices are counted in."""


def fetch_mark_prices(
    api: Any, symbols: list[str] | None = None, params: Params = NO_PARAMS
) -> Flow[dict[str, Structure]]:
    """Fetch the mark prices of the margin currencies, as tickers by their pair with USDT.

    :returns: ticker structures with ``markPrice``; the exchange dates them only on its stream.
    :raises ccxt.BadSymbol: for a pair that is not counted in USDT: no price is made up for it.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/get_mark_price.md
    """
    rest = margin_only(api, params, "fetchMarkPrices")
    wanted = None if symbols is None else [marked_symbol(api, symbol) for symbol in symbols]
    yield LoadMarkets()
    answer = yield from call(api, MARK_PRICE, rest)
    found = mark_tickers(api, rows_of(api, answer, "tokenPrices", dict))
    return chosen_tickers(api, found, wanted)


def fetch_mark_price(api: Any, symbol: str, params: Params = NO_PARAMS) -> Flow[Structure]:
    """Fetch one mark price, as ``fetch_mark_prices`` does.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/get_mark_price.md
    """
    symbol = marked_symbol(api, symbol)
    tickers = yield from fetch_mark_prices(api, [symbol], params)
    return tickers[symbol]


def marked_symbol(api: Any, symbol: Any) -> str:
    """Return the unified symbol of a pair with USDT.

    :raises ccxt.BadSymbol: for another one.
    """
    unified = require_pair(api, symbol)
    if not unified.endswith(f"/{UNIT}"):
        raise ccxt.BadSymbol(f"{api.id} has mark prices in {UNIT} only, none of {unified}")
    return unified


def chosen_tickers(
    api: Any, found: dict[str, Structure], wanted: list[str] | None
) -> dict[str, Structure]:
    """Of the tickers those asked for.

    :raises ccxt.BadSymbol: when the exchange has none of one.
    """
    if wanted is None:
        return found
    for symbol in wanted:
        if symbol not in found:
            raise ccxt.BadSymbol(f"{api.id} has no mark price of {symbol}: it is not a margin pair")
    return {symbol: found[symbol] for symbol in wanted}


def mark_tickers(
    api: Any, prices: Mapping[str, Any], timestamp: int | None = None
) -> dict[str, Structure]:
    """Ticker structures of mark prices by currency; USDT itself has none."""
    tickers: dict[str, Structure] = {}
    for name, price in ledger.parse_mark_prices(prices).items():
        code = api.safe_currency_code(name)
        if code == UNIT:
            continue
        ticker = {
            "symbol": f"{code}/{UNIT}",
            "timestamp": timestamp,
            "datetime": api.iso8601(timestamp),
            "markPrice": price,
            "info": prices[name] if isinstance(prices[name], Mapping) else {name: prices[name]},
        }
        tickers[f"{code}/{UNIT}"] = api.safe_ticker(ticker)
    return tickers
