"""Public data as the margin class needs it: what can be margined, one USDT, mark prices."""

import re
from collections.abc import Mapping
from typing import Any, Final

import ccxt
from ccxt.base.precise import Precise

from ..core import parse_account
from ..core.assumptions import AMOUNT_DECIMALS, SHORT_CANDLE_DAYS, SHORT_CANDLES
from ..core.endpoints import (
    BORROW_PROVISIONING,
    DOCS,
    MARK_PRICE,
)
from ..core.parse import text
from .arguments import (
    optional_limit,
    optional_moment,
    require_list,
    require_pair,
)
from .borrowing import lending_terms
from .describe import documented
from .flow import (
    NO_PARAMS,
    Flow,
    Inherited,
    LoadMarkets,
    MarginExchange,
    Params,
    Request,
    Structure,
)
from .params import no_params
from .structures import reading, rows_of

TERMS_TIMEOUT: Final = 3.0
"""Seconds that the list of markets waits for what can be margined, before it goes without."""

_CHAIN = re.compile(r"(?P<code>[^\s(]+)\s*\((?P<chain>[^)]+)\)")


@documented(BORROW_PROVISIONING)
def fetch_markets(api: MarginExchange, params: Params = NO_PARAMS) -> Flow[list[Any]]:
    """Fetch the pairs, flagged as margin where both of their currencies can be margined.

    With keys, and unless the default account is spot or ``options.fetchMargins`` is False, the
    exchange is asked which currencies these are; without, or if it does not say so in time, they
    are those of ``options.marginCurrencies``. What is under maintenance stays flagged.
    """
    rest = dict(params)
    account = rest.pop("type", api.options.get("defaultType", "margin"))
    if account == "margin" and api.options["fetchMargins"] and api.apiKey and api.secret:
        try:
            terms = yield from lending_terms(api, timeout=TERMS_TIMEOUT)
        except (ccxt.OperationFailed, ccxt.ExchangeError):
            terms = {}
        usable = [
            code
            for code, row in terms.items()
            if text(row, "transferStatus") != parse_account.SWITCHED_OFF
        ]
        if usable:
            api.options["marginCurrencies"] = usable
    markets: list[Any] = yield Inherited("fetch_markets", (rest,))
    return markets


@documented(f"{DOCS}api/v3/public/get_ohlc_data.md")
def fetch_ohlcv(
    api: MarginExchange,
    symbol: str,
    timeframe: str = "1m",
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[list[list[Any]]]:
    """Fetch candles, as ``ccxt.bitopro`` does, the earliest that there are from ``since`` (ms).

    Those of 1m and 5m reach back 365 days: an older ``since`` begins there.
    """
    since = optional_moment(api, "since", since)
    if since is not None and timeframe in SHORT_CANDLES:
        step = api.parse_timeframe(timeframe) * 1000
        oldest = api.milliseconds() - SHORT_CANDLE_DAYS * 86_400_000
        since = max(since, -(-oldest // step) * step)
    arguments = (symbol, timeframe, since, optional_limit(api, limit), params)
    candles: list[list[Any]] = yield Inherited("fetch_ohlcv", arguments)
    return candles


def mark_margin(api: MarginExchange, market: Any) -> Any:
    """Flag a market as margin where both of its currencies can be margined, and give it fees.

    An order's amount is held to the decimals that ``options.orderAmountPrecision`` names, and a
    market buy to the minimum in quote.
    """
    if market is None:
        return None
    row = market["info"]
    decimals = api.safe_string(row, api.options["orderAmountPrecision"])
    if decimals is not None:
        market["precision"]["amount"] = api.parse_number(api.parse_precision(decimals))
    market["limits"]["cost"]["min"] = api.safe_number(row, "minMarketBuyQuoteAmount")
    for fee in ("maker", "taker"):
        if market.get(fee) is None:
            market[fee] = api.fees["trading"][fee]
    allowed = api.options["marginCurrencies"]
    market["margin"] = market["base"] in allowed and market["quote"] in allowed
    if market["margin"]:
        market["marginModes"] = {"cross": True, "isolated": False}
        market["limits"]["leverage"] = {
            "min": api.parse_number("1"),
            "max": api.parse_number(str(api.options["maxLeverage"])),
        }
    return market


@documented(f"{DOCS}api/v3/public/get_currency_info.md")
def fetch_currencies(api: MarginExchange, params: Params = NO_PARAMS) -> Flow[dict[str, Any]]:
    """Fetch the currencies; the chains of a coin that the list names once a chain are networks."""
    found: dict[str, Any] = yield Inherited("fetch_currencies", (params,))
    # A newer ccxt has merged them, by way of ``parse_currencies``.
    named_by_chain = any(_CHAIN.fullmatch(code) for code in found or {})
    return merge_chains(api, list(found.values())) if named_by_chain else found


def merge_chains(api: MarginExchange, structures: list[Any]) -> dict[str, Any]:
    """Currency structures by code, of a list that names a coin once a chain, ``USDT (ETH-ERC20)``.

    The chains become the networks of one currency; the fee and limits are those of the cheapest.
    """
    currencies: dict[str, Any] = {}
    for structure in structures:
        row = structure["info"]
        match = _CHAIN.fullmatch(str(structure["id"]))
        code_id = match["code"] if match else structure["id"]
        code = api.safe_currency_code(code_id)
        precision = api.parse_number(api.parse_precision(str(AMOUNT_DECIMALS)))
        parsed = {**structure, "id": code_id, "code": code, "precision": precision, "networks": {}}
        if match:
            network = _network(api, match["chain"], parsed, row)
            parsed["networks"] = {network["network"]: network}
        if code in currencies:
            _merge(api, currencies[code], parsed, row)
        else:
            currencies[code] = {**parsed, "info": [row] if match else row}
    return currencies


def _network(api: MarginExchange, chain: str, currency: Any, row: Any) -> dict[str, Any]:
    network_id = chain.split("-")[-1]
    return {
        "info": row,
        "id": chain,
        "network": api.network_id_to_code(network_id),
        "active": currency["active"],
        "deposit": currency["deposit"],
        "withdraw": currency["withdraw"],
        "fee": currency["fee"],
        "precision": currency["precision"],
        "limits": currency["limits"],
    }


def _merge(api: MarginExchange, known: Any, other: Any, row: Any) -> None:
    networks = {**(known.get("networks") or {}), **(other.get("networks") or {})}
    known["networks"] = networks
    known["info"] = [*(known["info"] if isinstance(known["info"], list) else [known["info"]]), row]
    for flag in ("active", "deposit", "withdraw"):
        # One open chain is enough to move the coin.
        known[flag] = bool(known[flag] or other[flag])
    fee, known_fee = (
        None if one["fee"] is None else api.number_to_string(one["fee"]) for one in (other, known)
    )
    if fee is not None and (known_fee is None or Precise.string_lt(fee, known_fee)):
        known["fee"], known["limits"] = other["fee"], other["limits"]


# -- mark prices -----------------------------------------------------------------------------------


UNIT = "USDT"
"""What the exchange's mark prices are counted in."""


@documented(MARK_PRICE)
def fetch_mark_prices(
    api: MarginExchange, symbols: list[str] | None = None, params: Params = NO_PARAMS
) -> Flow[dict[str, Structure]]:
    """Fetch the mark prices of the margin currencies, as tickers by their pair with USDT.

    :returns: ticker structures with ``markPrice``; the exchange dates them only on its stream.
    :raises ccxt.BadSymbol: for a pair that is not counted in USDT: no price is made up for it.
    """
    return (yield from _mark_prices(api, "fetchMarkPrices", marked_symbols(api, symbols), params))


def _mark_prices(
    api: MarginExchange, method: str, wanted: list[str] | None, params: Params
) -> Flow[dict[str, Structure]]:
    raw = no_params(api, method, params)
    yield LoadMarkets()
    answer = yield Request(MARK_PRICE, raw)
    prices = rows_of(api, answer, "tokenPrices", dict)
    with reading(api, "mark prices"):
        found = mark_tickers(api, prices)
    return chosen_tickers(api, found, wanted)


@documented(MARK_PRICE)
def fetch_mark_price(
    api: MarginExchange, symbol: str, params: Params = NO_PARAMS
) -> Flow[Structure]:
    """Fetch one mark price, as ``fetch_mark_prices`` does."""
    symbol = marked_symbol(api, symbol)
    return (yield from _mark_prices(api, "fetchMarkPrice", [symbol], params))[symbol]


def marked_symbols(api: MarginExchange, symbols: Any) -> list[str] | None:
    """Return the unified symbols of pairs with USDT, or None for all of them."""
    if symbols is None:
        return None
    return [marked_symbol(api, symbol) for symbol in require_list(api, symbols, "symbols")]


def marked_symbol(api: MarginExchange, symbol: Any) -> str:
    """Return the unified symbol of a pair with USDT.

    :raises ccxt.BadSymbol: for another one.
    """
    unified = require_pair(api, symbol)
    if not unified.endswith(f"/{UNIT}"):
        raise ccxt.BadSymbol(f"{api.id} has mark prices in {UNIT} only, none of {unified}")
    return unified


def chosen_tickers(
    api: MarginExchange, found: dict[str, Structure], wanted: list[str] | None
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
    api: MarginExchange, prices: Mapping[str, Any], timestamp: int | None = None
) -> dict[str, Structure]:
    """Ticker structures of mark prices by currency; USDT itself has none."""
    tickers: dict[str, Structure] = {}
    for name, price in parse_account.parse_mark_prices(prices).items():
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
