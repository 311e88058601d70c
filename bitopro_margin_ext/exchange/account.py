"""Unified methods about the margin account as a whole: its ratio, its liquidations."""

from typing import Any

import ccxt

from .. import ledger
from ..endpoints import BALANCES, CALCULATE_AD_RATIO, USER_LIQUIDATIONS
from .amounts import (
    Structure,
    by_code,
    exact_amount,
    finish,
    known_currency,
    margin_only,
    read_rows,
)
from .calls import call
from .steps import NO_PARAMS, Flow, LoadMarkets, Params
from .structures import require_pair, rows_of, sorted_since_limit


def fetch_margin_account(api: Any, params: Params = NO_PARAMS) -> Flow[Structure]:
    """Fetch how the margin account stands.

    :returns: ``adRatio`` (assets by debts), its ``adRatioLabel``, ``totalAsset`` and ``totalDebt``
        in ``currency`` (USDT), ``id``, ``accountStatus``, ``marginStatus``; the balances are in
        ``info`` and through ``fetch_balance``.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/get_margin_acccount_balance.md
    """
    rest = margin_only(api, params, "fetchMarginAccount")
    answer = yield from call(api, BALANCES, rest)
    return margin_account_structure(api, answer)


def margin_account_structure(api: Any, answer: Any, timestamp: int | None = None) -> Structure:
    """The account's structure, of the endpoint's answer or of the stream's data."""
    rows_of(api, answer, "balances", dict)
    parsed = {**ledger.parse_margin_account(answer), "timestamp": timestamp}
    return finish(api, parsed, ("adRatio", "totalAsset", "totalDebt"))


def calculate_ad_ratio(
    api: Any, action: str | int, code: str, amount: float | str, params: Params = NO_PARAMS
) -> Flow[Structure]:
    """Ask the exchange what the account's ratio would be after a step, without taking it.

    ``action`` is ``borrow``, ``repay``, ``transfer_in`` or ``transfer_out``, or its number.

    :returns: ``adRatio``, ``totalAsset`` and ``totalDebt`` in USDT, and by currency ``assets``,
        ``debts`` and ``markPrices``, all as they would be.
    :raises ccxt.BadRequest: for another action.
    :raises ccxt.BadSymbol: for an unknown currency.
    :raises ccxt.InvalidOrder: for an amount that is not positive or has more than 8 decimals.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/calculate_ad_ratio.md
    """
    rest = margin_only(api, params, "calculateAdRatio")
    names: dict[str | int, int] = {value: value for value in ledger.AD_RATIO_ACTIONS.values()}
    names.update(ledger.AD_RATIO_ACTIONS)
    if isinstance(action, bool) or not isinstance(action, str | int) or action not in names:
        known = ", ".join(repr(name) for name in ledger.AD_RATIO_ACTIONS)
        raise ccxt.BadRequest(f"{api.id} an action is one of {known}, not {action!r}")
    code = yield from known_currency(api, code)
    body = {
        "action": names[action],
        "currency": code.lower(),
        "amount": exact_amount(api, amount),
        **rest,
    }
    answer = yield from call(api, CALCULATE_AD_RATIO, body)
    (parsed,) = read_rows(api, "a ratio", ledger.parse_ad_ratio, [answer])
    done = finish(api, parsed, ("adRatio", "totalAsset", "totalDebt"))
    numbers = {value: name for name, value in ledger.AD_RATIO_ACTIONS.items()}
    done["action"] = numbers[names[action]]
    done["currency"] = "USDT"
    for name in ("assets", "debts", "markPrices"):
        done[name] = by_code(api, parsed[name])
    return done


def fetch_my_liquidations(
    api: Any,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[list[Structure]]:
    """Fetch the forced liquidations of the margin account, oldest first.

    Where an asset was sold for the debt, ``symbol`` is the pair of the two, ``baseValue`` and
    ``quoteValue`` what changed hands; their quotient includes a fee, so ``price`` is None. A debt
    that was taken in kind traded no pair: ``symbol`` is then the currency's code alone.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/list_user_liquidations.md
    """
    rest = margin_only(api, params, "fetchMyLiquidations")
    unified = None if symbol is None else require_pair(api, symbol)
    # Only the list of markets tells which way round a pair is written.
    yield LoadMarkets()
    rows = rows_of(api, (yield from call(api, USER_LIQUIDATIONS, rest)), "liquidations")
    found = [
        _liquidation(api, line)
        for line in read_rows(api, "liquidations", ledger.parse_liquidation, rows)
    ]
    kept = [line for line in found if unified in (None, line["symbol"])]
    return sorted_since_limit(kept, since, limit)


def _liquidation(api: Any, line: Structure) -> Structure:
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
