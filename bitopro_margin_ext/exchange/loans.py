"""Unified methods that borrow, repay, and tell the interest."""

from collections.abc import Mapping
from typing import Any

import ccxt
from ccxt.base.precise import Precise

from ..core import parse_account
from ..core.endpoints import BALANCES, BORROW, BORROW_PROVISIONING, REPAY, USER_BORROWS, USER_REPAYS
from ..core.parse import is_zero, number, text
from .amounts import (
    Structure,
    exact_amount,
    finish,
    in_window,
    known_currency,
    margin_only,
    read_rows,
)
from .flow import NO_PARAMS, Flow, Params, call, send_once
from .structures import rows_of


def borrow_cross_margin(
    api: Any, code: str, amount: float | str, params: Params = NO_PARAMS
) -> Flow[Structure]:
    """Borrow into the margin account.

    What the exchange lends now, and how much of it to one user, is looked up first; where that
    cannot be read the exchange is left to judge. A decimal string is sent exactly as it is.

    :returns: a margin loan structure; ``id`` is the invoice's, ``timestamp`` ours.
    :raises ccxt.BadSymbol: for an unknown currency.
    :raises ccxt.InvalidOrder: for an amount that is not positive or has more than 8 decimals.
    :raises ccxt.BadRequest: for a currency that is not lent now, and beyond ``maxUserAmount``.
    :raises ccxt.NetworkError: when the outcome is unknown; it is not sent again.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/borrow.md
    """
    rest = margin_only(api, params, "borrowCrossMargin")
    code = yield from known_currency(api, code)
    wanted = exact_amount(api, amount)
    yield from _check_lent(api, code, wanted)
    body = {"currency": code.lower(), "borrowAmount": wanted, **rest}
    answer = yield from send_once(api, BORROW, body, "fetch_borrows() and fetch_balance()")
    return _invoice(api, answer, code, wanted)


def repay_cross_margin(
    api: Any, code: str, amount: float | str, params: Params = NO_PARAMS
) -> Flow[Structure]:
    """Repay a loan of the margin account, interest first.

    Nothing is looked up first: a repayment may be the way out of a liquidation.

    :returns: a margin loan structure; ``id`` is the invoice's, ``timestamp`` ours.
    :raises ccxt.BadSymbol: for an unknown currency.
    :raises ccxt.InvalidOrder: for an amount that is not positive or has more than 8 decimals.
    :raises ccxt.NetworkError: when the outcome is unknown; it is not sent again.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/repay.md
    """
    rest = margin_only(api, params, "repayCrossMargin")
    code = yield from known_currency(api, code)
    paid = exact_amount(api, amount)
    body = {"currency": code.lower(), "repayAmount": paid, **rest}
    answer = yield from send_once(api, REPAY, body, "fetch_repays() and fetch_balance()")
    return _invoice(api, answer, code, paid)


def _invoice(api: Any, answer: Any, code: str, amount: str) -> Structure:
    moment = api.milliseconds()
    return {
        "id": text(answer, "invoiceID"),
        "currency": code,
        "amount": api.parse_number(amount),
        "symbol": None,
        "timestamp": moment,
        "datetime": api.iso8601(moment),
        "info": answer,
    }


def lending_terms(api: Any, timeout: float | None = None) -> Flow[dict[str, Any]]:
    """What the exchange lends, by unified code; ``timeout`` is in seconds."""
    answer = yield from call(api, BORROW_PROVISIONING, timeout=timeout)
    if not isinstance(answer, Mapping) or not all(isinstance(r, Mapping) for r in answer.values()):
        raise ccxt.BadResponse(f"{api.id} sent lending terms that cannot be read")
    return {api.safe_currency_code(name): row for name, row in answer.items()}


def _check_lent(api: Any, code: str, amount: str) -> Flow[None]:
    try:
        terms = yield from lending_terms(api)
        row = terms.get(code)
        balances = {}
        if row is not None:
            balances = rows_of(api, (yield from call(api, BALANCES)), "balances", dict)
    except (ccxt.OperationFailed, ccxt.ExchangeError):
        return
    if row is None:
        raise ccxt.BadRequest(f"{api.id} does not lend {code}: it lends {', '.join(sorted(terms))}")
    status = text(row, "borrowStatus")
    if status is not None and status != parse_account.SWITCHED_ON:
        state = "switched off" if status == parse_account.SWITCHED_OFF else "under maintenance"
        raise ccxt.BadRequest(f"{api.id} borrowing {code} is {state}")
    owed: Any = next((b for n, b in balances.items() if api.safe_currency_code(n) == code), {})
    borrowed = number(owed, "borrowAmount") or "0"
    limit = number(row, "maxUserAmount")
    if limit is not None and Precise.string_gt(Precise.string_add(borrowed, amount), limit):
        raise ccxt.BadRequest(
            f"{api.id} borrowing {amount} {code} on top of {borrowed} is beyond the maxUserAmount"
            f" of {limit}"
        )
    left = number(row, "systemAvailableBorrowAmount")
    if left is not None and Precise.string_gt(amount, left):
        raise ccxt.BadRequest(f"{api.id} has only {left} {code} left to lend, not {amount}")


def fetch_cross_borrow_rates(api: Any, params: Params = NO_PARAMS) -> Flow[dict[str, Structure]]:
    """Fetch the interest on loans, by currency.

    ``rate`` is a fraction and ``period`` the ms after which it is due: a year of 365 days, because
    the exchange quotes yearly and a rate divided by us would be a rounded one. A day's rate is
    ``rate / 365``. The limits of lending are in ``info``.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/get_borrow_provisioning.md
    """
    margin_only(api, params, "fetchCrossBorrowRates")
    terms = yield from lending_terms(api)
    moment = api.milliseconds()
    rates = read_rows(api, "interest rates", parse_account.parse_borrow_rate, terms.values())
    return {
        code: finish(api, {**rate, "currency": code, "timestamp": moment}, ("rate",))
        for code, rate in zip(terms, rates, strict=True)
    }


def fetch_cross_borrow_rate(api: Any, code: str, params: Params = NO_PARAMS) -> Flow[Structure]:
    """Fetch the interest on loans of one currency, as ``fetch_cross_borrow_rates`` tells it.

    :raises ccxt.BadSymbol: when the exchange does not lend it.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/get_borrow_provisioning.md
    """
    rates = yield from fetch_cross_borrow_rates(api, params)
    if code not in rates:
        raise ccxt.BadSymbol(
            f"{api.id} does not lend {code!r}: it lends {', '.join(sorted(rates))}"
        )
    return rates[code]


def fetch_borrow_interest(
    api: Any,
    code: str | None = None,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[list[Structure]]:
    """Fetch the interest that has accrued and is not yet paid, one line a currency.

    The exchange tells the sum as it stands, not when it accrued: ``timestamp`` is that of asking,
    so ``since`` leaves nothing out. ``interestRate`` is a year's, as a fraction. Cross margin has
    no ``symbol``: one narrows to its two currencies.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/get_margin_acccount_balance.md
    """
    rest = margin_only(api, params, "fetchBorrowInterest")
    wanted = set(symbol.split("/")) if symbol is not None else None
    answer = yield from call(api, BALANCES, rest)
    balances = rows_of(api, answer, "balances", dict)
    rates = yield from fetch_cross_borrow_rates(api)
    moment = api.milliseconds()
    found: list[Structure] = []
    for name, row in balances.items():
        own = api.safe_currency_code(name)
        interest = number(row, "borrowInterestAmount")
        if is_zero(interest) or code not in (None, own) or (wanted and own not in wanted):
            continue
        found.append(
            {
                "info": row,
                "account": None,
                "symbol": None,
                "currency": own,
                "interest": api.parse_number(interest),
                "interestRate": rates.get(own, {}).get("rate"),
                "amountBorrowed": api.parse_number(number(row, "borrowAmount")),
                "marginMode": "cross",
                "timestamp": moment,
                "datetime": api.iso8601(moment),
            }
        )
    return in_window(found, None, since, limit)


def fetch_borrows(
    api: Any,
    code: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[list[Structure]]:
    """Fetch the loans of the margin account, oldest first.

    :returns: margin loan structures, with ``status`` ``open`` until the loan is repaid.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/list_user_borrow.md
    """
    rest = margin_only(api, params, "fetchBorrows")
    rows = rows_of(api, (yield from call(api, USER_BORROWS, rest)), "borrows")
    found = [
        finish(api, {**loan, "symbol": None}, ("amount",))
        for loan in read_rows(api, "loans", parse_account.parse_loan, rows)
    ]
    return in_window(found, code, since, limit)


def fetch_repays(
    api: Any,
    code: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[list[Structure]]:
    """Fetch the repayments of the margin account, oldest first.

    :returns: margin loan structures, with ``principal`` and ``interest``, of which ``amount`` is
        the sum where the exchange leaves the total at 0 (its own example does).

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/list_user_repays.md
    """
    rest = margin_only(api, params, "fetchRepays")
    rows = rows_of(api, (yield from call(api, USER_REPAYS, rest)), "repays")
    found = []
    for repayment in read_rows(api, "repayments", parse_account.parse_repayment, rows):
        if repayment["amount"] is None:
            parts = (repayment["principal"] or "0", repayment["interest"] or "0")
            repayment = {**repayment, "amount": Precise.string_add(*parts)}
        found.append(
            finish(api, {**repayment, "symbol": None}, ("amount", "principal", "interest"))
        )
    return in_window(found, code, since, limit)
