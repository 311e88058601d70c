"""Unified methods about the margin account: balances, ratio, liquidations, transfers."""

from typing import Any

import ccxt
from ccxt.base.precise import Precise

from ..core import parse_account
from ..core.assumptions import TRANSFER_CALL_KINDS
from ..core.endpoints import (
    BALANCES,
    CALCULATE_AD_RATIO,
    TRANSFER,
    USER_LIQUIDATIONS,
    USER_TRANSFERS,
)
from ..core.parse import is_zero, number, text
from .arguments import (
    exact_amount,
    known_currency,
    optional_code,
    optional_pair,
    shown,
)
from .borrowing import lending_terms
from .describe import documented
from .flow import (
    NO_PARAMS,
    Flow,
    LoadMarkets,
    MarginExchange,
    Params,
    Request,
    Structure,
    send_once,
)
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
    answer = yield Request(BALANCES, raw)
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
    answer = yield Request(CALCULATE_AD_RATIO, with_raw(api, "calculateAdRatio", body, raw))
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
    answer = yield Request(USER_LIQUIDATIONS, raw)

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


Balances = dict[str, Any]


@documented(BALANCES)
def fetch_balance(api: MarginExchange, params: Params = NO_PARAMS) -> Flow[Balances]:
    """Fetch the margin account's balances, in each currency's own units.

    :returns: a balance structure with ``free``, ``used``, ``total`` and ``debt`` (borrowed plus
        accrued interest) of each currency; ``info`` is the whole answer, adRatio and totals in it.
    """
    raw = no_params(api, "fetchBalance", params)
    return balance_structure(api, (yield Request(BALANCES, raw)))


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


# -- transfers -------------------------------------------------------------------------------------

ACCOUNTS = {"spot": "spot", "margin": "margin", "cross": "margin"}
"""``cross`` is what ccxt calls the margin account beside isolated ones."""


@documented(TRANSFER)
def transfer(
    api: MarginExchange,
    code: str,
    amount: float | str,
    fromAccount: str,  # noqa: N803 - ccxt's name
    toAccount: str,  # noqa: N803 - ccxt's name
    params: Params = NO_PARAMS,
) -> Flow[Structure]:
    """Move money between ``spot`` and ``margin``.

    :returns: a transfer structure of what was asked for; ``status`` ``ok`` says that the exchange
        took it, ``id`` is the invoice of the paying side, ``timestamp`` is ours.
    :raises ccxt.BadSymbol: for an unknown currency.
    :raises ccxt.InvalidOrder: for an amount that is not positive or has more than 8 decimals.
    :raises ccxt.BadRequest: for unknown accounts, twice the same one, and a currency that the
        margin account does not take.
    :raises ccxt.NetworkError: when the outcome is unknown; it is not sent again.
    """
    raw = no_params(api, "transfer", params)
    source, target = _account(api, fromAccount), _account(api, toAccount)
    if source == target:
        raise ccxt.BadRequest(
            f"{api.id} a transfer goes from one account to another, not to itself"
        )
    moved = exact_amount(api, amount)
    code = yield from known_currency(api, code)
    if target == "margin":
        yield from _check_taken(api, code)
    body = {
        "currency": code.lower(),
        "amount": moved,
        "fromBalanceKind": TRANSFER_CALL_KINDS[source],
        "toBalanceKind": TRANSFER_CALL_KINDS[target],
    }
    body = with_raw(api, "transfer", body, raw)
    answer = yield from send_once(api, TRANSFER, body, "fetch_transfers() and both balances")
    moment = api.milliseconds()
    return {
        "id": text(answer, "fromInvoiceID"),
        "timestamp": moment,
        "datetime": api.iso8601(moment),
        "currency": code,
        "amount": api.parse_number(moved),
        "fromAccount": source,
        "toAccount": target,
        "status": "ok",
        "info": answer,
    }


def _account(api: MarginExchange, name: Any) -> str:
    account = ACCOUNTS.get(name) if isinstance(name, str) else None
    if account is None:
        raise ccxt.BadRequest(f"{api.id} has the accounts 'spot' and 'margin', not {shown(name)}")
    return account


def _check_taken(api: MarginExchange, code: str) -> Flow[None]:
    try:
        terms = yield from lending_terms(api)
    except (ccxt.OperationFailed, ccxt.ExchangeError):
        # Collateral may be needed at once: the exchange is left to judge.
        return
    if code not in terms:
        known = ", ".join(sorted(terms))
        raise ccxt.BadRequest(f"{api.id} the margin account takes {known}, not {code}")
    status = text(terms[code], "transferStatus")
    if status is not None and status != parse_account.SWITCHED_ON:
        state = "switched off" if status == parse_account.SWITCHED_OFF else "under maintenance"
        raise ccxt.BadRequest(f"{api.id} moving {code} into the margin account is {state}")


@documented(USER_TRANSFERS)
def fetch_transfers(
    api: MarginExchange,
    code: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Listing]:
    """Fetch the transfers between ``spot`` and ``margin``, oldest first.

    :returns: transfer structures; ``status`` is ``ok`` or, where no page names the number, None.
    """
    words, raw = take_params(api, "fetchTransfers", params)
    window = read_window(api, since, limit, words)
    wanted = optional_code(api, code)
    answer = yield Request(USER_TRANSFERS, raw)

    def parse(row: Any) -> Structure | None:
        line = finish(api, parse_account.parse_transfer(row), ("amount",))
        return line if wanted in (None, line["currency"]) else None

    return whole_list(api, answer, "transferInvoices", parse, window)
