"""Unified methods about the margin account as a whole: balances, ratio, liquidations, prices."""

from collections.abc import Mapping
from typing import Any

import ccxt
from ccxt.base.precise import Precise

from ..core import parse_account
from ..core.endpoints import BALANCES, CALCULATE_AD_RATIO, MARK_PRICE, USER_LIQUIDATIONS
from ..core.parse import is_zero, number
from .arguments import (
    exact_amount,
    known_currency,
    optional_pair,
    require_list,
    require_pair,
    shown,
)
from .describe import documented
from .flow import NO_PARAMS, Flow, LoadMarkets, Params, call
from .margin_exchange import MarginExchange, Structure
from .paging import Listing, read_window, whole_list
from .params import no_params, take_params, with_raw
from .structures import by_code, finish, parsed_rows, reading, rows_of


@documented(BALANCES)
def fetch_margin_account(api: MarginExchange, params: Params = NO_PARAMS) -> Flow[Structure]:
    """Fetch how the margin account stands.

    :returns: ``adRatio`` (assets by debts), its ``adRatioLabel``, ``totalAsset`` and ``totalDebt``
        in ``currency`` (USDT), ``id``, ``accountStatus``, ``marginStatus``; the balances are in
        ``info`` and through ``fetch_balance``.
    """
    raw = no_params(api, "fetchMarginAccount", params)
    answer = yield from call(api, BALANCES, raw)
    return margin_account_structure(api, answer)


def margin_account_structure(
    api: MarginExchange, answer: Any, timestamp: int | None = None
) -> Structure:
    """The account's structure, of the endpoint's answer or of the stream's data."""
    rows_of(api, answer, "balances", dict)
    with reading(api, "the margin account"):
        parsed = {**parse_account.parse_margin_account(answer), "timestamp": timestamp}
        return finish(api, parsed, ("adRatio", "totalAsset", "totalDebt"))


@documented(CALCULATE_AD_RATIO)
def calculate_ad_ratio(
    api: MarginExchange,
    action: str | int,
    code: str,
    amount: float | str,
    params: Params = NO_PARAMS,
) -> Flow[Structure]:
    """Ask the exchange what the account's ratio would be after a step, without taking it.

    ``action`` is ``borrow``, ``repay``, ``transfer_in`` or ``transfer_out``, or its number.

    :returns: ``adRatio``, ``totalAsset`` and ``totalDebt`` in USDT, and by currency ``assets``,
        ``debts`` and ``markPrices``, all as they would be.
    :raises ccxt.BadRequest: for another action.
    :raises ccxt.BadSymbol: for an unknown currency.
    :raises ccxt.InvalidOrder: for an amount that is not positive or has more than 8 decimals.
    """
    raw = no_params(api, "calculateAdRatio", params)
    names: dict[str | int, int] = {
        value: value for value in parse_account.AD_RATIO_ACTIONS.values()
    }
    names.update(parse_account.AD_RATIO_ACTIONS)
    if isinstance(action, bool) or not isinstance(action, str | int) or action not in names:
        known = ", ".join(repr(name) for name in parse_account.AD_RATIO_ACTIONS)
        raise ccxt.BadRequest(f"{api.id} an action is one of {known}, not {shown(action)}")
    wanted = exact_amount(api, amount)
    code = yield from known_currency(api, code)
    body = {"action": names[action], "currency": code.lower(), "amount": wanted}
    answer = yield from call(api, CALCULATE_AD_RATIO, with_raw(api, "calculateAdRatio", body, raw))
    (parsed,) = parsed_rows(api, "a ratio", parse_account.parse_ad_ratio, [answer])
    done = finish(api, parsed, ("adRatio", "totalAsset", "totalDebt"))
    numbers = {value: name for name, value in parse_account.AD_RATIO_ACTIONS.items()}
    done["action"] = numbers[names[action]]
    done["currency"] = "USDT"
    for name in ("assets", "debts", "markPrices"):
        done[name] = by_code(api, parsed[name])
    return done


@documented(USER_LIQUIDATIONS)
def fetch_my_liquidations(
    api: MarginExchange,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Listing]:
    """Fetch the forced liquidations of the margin account, oldest first.

    Where an asset was sold for the debt, ``symbol`` is the pair of the two, ``baseValue`` and
    ``quoteValue`` what changed hands; their quotient includes a fee, so ``price`` is None. A debt
    that was taken in kind traded no pair: ``symbol`` is then the currency's code alone.
    """
    words, raw = take_params(api, "fetchMyLiquidations", params)
    window = read_window(api, since, limit, words)
    wanted = optional_pair(api, symbol)
    # Only the list of markets tells which way round a pair is written.
    yield LoadMarkets()
    answer = yield from call(api, USER_LIQUIDATIONS, raw)

    def parse(row: Any) -> Structure | None:
        line = _liquidation(api, parse_account.parse_liquidation(row))
        return line if wanted in (None, line["symbol"]) else None

    return whole_list(api, answer, "liquidations", parse, window)


def _liquidation(api: MarginExchange, line: Structure) -> Structure:
    debt = api.safe_currency_code(line["debtCurrency"])
    asset = api.safe_currency_code(line["assetCurrency"])
    base, quote, side = (debt, line["debtAmount"]), (asset, line["assetAmount"]), "buy"
    if asset is None:
        symbol = debt
    elif f"{asset}/{debt}" in (api.markets or {}):
        base, quote, side = quote, base, "sell"
        symbol = f"{asset}/{debt}"
    else:
        symbol = f"{debt}/{asset}"
    structure: Structure = api.safe_liquidation(
        {
            "info": line["info"],
            "symbol": symbol,
            "contracts": None,
            "contractSize": None,
            "price": None,
            "side": None if asset is None else side,
            "baseValue": base[1],
            "quoteValue": quote[1],
            "timestamp": line["timestamp"],
            "datetime": api.iso8601(line["timestamp"]),
        }
    )
    return structure


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
    answer = yield from call(api, MARK_PRICE, raw)
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


Balances = dict[str, Any]


@documented(BALANCES)
def fetch_balance(api: MarginExchange, params: Params = NO_PARAMS) -> Flow[Balances]:
    """Fetch the margin account's balances, in each currency's own units.

    :returns: a balance structure with ``free``, ``used``, ``total`` and ``debt`` (borrowed plus
        accrued interest) of each currency; ``info`` is the whole answer, adRatio and totals in it.
    """
    raw = no_params(api, "fetchBalance", params)
    return balance_structure(api, (yield from call(api, BALANCES, raw)))


def balance_structure(api: MarginExchange, answer: Any) -> Balances:
    """A ccxt balance structure of the margin account's answer."""
    result: Balances = {"info": answer, "timestamp": None, "datetime": None}
    rows = rows_of(api, answer, "balances", dict)
    with reading(api, "balances"):
        for currency, row in rows.items():
            account = api.account()
            account["free"] = number(row, "availableAmount")
            account["used"] = number(row, "tradedAmount")
            account["total"] = number(row, "totalAmount")
            account["debt"] = debt(row)
            result[api.safe_currency_code(currency)] = account
        balances: Balances = api.safe_balance(result)
    return balances


def debt(row: Any) -> str:
    """What is owed of a currency: the principal and the interest accrued on it."""
    principal, interest = number(row, "borrowAmount"), number(row, "borrowInterestAmount")
    if is_zero(interest):
        return principal or "0"
    total: str = Precise.string_add(principal or "0", interest)
    return total
