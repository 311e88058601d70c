"""Unified methods that borrow, repay, and tell the interest."""

from collections.abc import Callable, Mapping
from typing import Any

import ccxt
from ccxt.base.precise import Precise

from ..core import parse_account
from ..core.endpoints import (
    BALANCES,
    BORROW,
    BORROW_PROVISIONING,
    REPAY,
    USER_BORROWS,
    USER_REPAYS,
    Endpoint,
)
from ..core.parse import is_zero, number, text
from .arguments import (
    exact_amount,
    known_currency,
    optional_code,
    optional_pair,
    require_code,
)
from .describe import documented
from .flow import NO_PARAMS, Flow, MarginExchange, Params, Request, Structure, send_once
from .paging import Listing, read_window, whole_list
from .params import no_params, take_params, with_raw
from .structures import finish, parsed_rows, reading, rows_of


@documented(BORROW)
def borrow_cross_margin(
    api: MarginExchange, code: str, amount: float | str, params: Params = NO_PARAMS
) -> Flow[Structure]:
    """Borrow into the margin account.

    What the exchange lends now, and how much of it to one user, is looked up first; where that
    cannot be read the exchange is left to judge. A decimal string is sent exactly as it is.

    :returns: a margin loan structure; ``id`` is the invoice's, ``timestamp`` ours.
    :raises ccxt.BadSymbol: for an unknown currency.
    :raises ccxt.InvalidOrder: for an amount that is not positive or has more than 8 decimals.
    :raises ccxt.BadRequest: for a currency that is not lent now, and beyond ``maxUserAmount``.
    :raises ccxt.NetworkError: when the outcome is unknown; it is not sent again.
    """
    raw = no_params(api, "borrowCrossMargin", params)
    wanted = exact_amount(api, amount)
    code = yield from known_currency(api, code)
    yield from _check_lent(api, code, wanted)
    body = {"currency": code.lower(), "borrowAmount": wanted}
    body = with_raw(api, "borrowCrossMargin", body, raw)
    answer = yield from send_once(api, BORROW, body, "fetch_borrows() and fetch_balance()")
    return _invoice(api, answer, code, wanted)


@documented(REPAY)
def repay_cross_margin(
    api: MarginExchange, code: str, amount: float | str, params: Params = NO_PARAMS
) -> Flow[Structure]:
    """Repay a loan of the margin account, interest first.

    Nothing is looked up first: a repayment may be the way out of a liquidation.

    :returns: a margin loan structure; ``id`` is the invoice's, ``timestamp`` ours.
    :raises ccxt.BadSymbol: for an unknown currency.
    :raises ccxt.InvalidOrder: for an amount that is not positive or has more than 8 decimals.
    :raises ccxt.NetworkError: when the outcome is unknown; it is not sent again.
    """
    raw = no_params(api, "repayCrossMargin", params)
    paid = exact_amount(api, amount)
    code = yield from known_currency(api, code)
    body = {"currency": code.lower(), "repayAmount": paid}
    body = with_raw(api, "repayCrossMargin", body, raw)
    answer = yield from send_once(api, REPAY, body, "fetch_repays() and fetch_balance()")
    return _invoice(api, answer, code, paid)


def _invoice(api: MarginExchange, answer: Any, code: str, amount: str) -> Structure:
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


def lending_terms(
    api: MarginExchange, query: Params = NO_PARAMS, timeout: float | None = None
) -> Flow[dict[str, Any]]:
    """What the exchange lends, by unified code; ``timeout`` is in seconds."""
    answer = yield Request(BORROW_PROVISIONING, query, timeout=timeout)
    if not isinstance(answer, Mapping) or not all(isinstance(r, Mapping) for r in answer.values()):
        raise ccxt.BadResponse(f"{api.id} sent lending terms that cannot be read")
    return {
        api.safe_currency_code(name): row
        for name, row in answer.items()
        # ccxt's ``returnResponseHeaders`` puts these into every answer.
        if name != "responseHeaders"
    }


def _check_lent(api: MarginExchange, code: str, amount: str) -> Flow[None]:
    try:
        terms = yield from lending_terms(api)
        row = terms.get(code)
        balances = {}
        if row is not None:
            balances = rows_of(api, (yield Request(BALANCES)), "balances", dict)
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


@documented(BORROW_PROVISIONING)
def fetch_cross_borrow_rates(
    api: MarginExchange, params: Params = NO_PARAMS
) -> Flow[dict[str, Structure]]:
    """Fetch the interest on loans, by currency.

    ``rate`` is a fraction and ``period`` the ms after which it is due: a year of 365 days, because
    the exchange quotes yearly and a rate divided by us would be a rounded one. A day's rate is
    ``rate / 365``. The limits of lending are in ``info``.
    """
    return (yield from _rates(api, no_params(api, "fetchCrossBorrowRates", params)))


def _rates(api: MarginExchange, query: Params = NO_PARAMS) -> Flow[dict[str, Structure]]:
    terms = yield from lending_terms(api, query)
    moment = api.milliseconds()
    rates = parsed_rows(api, "interest rates", parse_account.parse_borrow_rate, terms.values())
    return {
        code: finish(api, {**rate, "currency": code, "timestamp": moment}, ("rate",))
        for code, rate in zip(terms, rates, strict=True)
    }


@documented(BORROW_PROVISIONING)
def fetch_cross_borrow_rate(
    api: MarginExchange, code: str, params: Params = NO_PARAMS
) -> Flow[Structure]:
    """Fetch the interest on loans of one currency, as ``fetch_cross_borrow_rates`` tells it.

    :raises ccxt.BadSymbol: when the exchange does not lend it.
    """
    raw = no_params(api, "fetchCrossBorrowRate", params)
    code = require_code(api, code)
    rates = yield from _rates(api, raw)
    if code not in rates:
        raise ccxt.BadSymbol(
            f"{api.id} does not lend {code!r}: it lends {', '.join(sorted(rates))}"
        )
    return rates[code]


@documented(BALANCES)
def fetch_borrow_interest(
    api: MarginExchange,
    code: str | None = None,
    symbol: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Listing]:
    """Fetch the interest that has accrued and is not yet paid, one line a currency.

    The exchange tells the sum as it stands, not when it accrued: ``timestamp`` is that of asking,
    so ``since`` leaves nothing out. ``interestRate`` is a year's, as a fraction. Cross margin has
    no ``symbol``: one narrows to its two currencies.
    """
    words, raw = take_params(api, "fetchBorrowInterest", params)
    window = read_window(api, since, limit, words)
    wanted, pair = optional_code(api, code), optional_pair(api, symbol)
    codes = pair.split("/") if pair is not None else None
    answer = yield Request(BALANCES, raw)
    balances = rows_of(api, answer, "balances", dict)
    rates = yield from _rates(api)
    moment = api.milliseconds()
    found: list[Structure] = []
    with reading(api, "balances"):
        for name, row in balances.items():
            own = api.safe_currency_code(name)
            interest = number(row, "borrowInterestAmount")
            if is_zero(interest) or wanted not in (None, own) or own not in (codes or (own,)):
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
    return window.select(reversed(found))


@documented(USER_BORROWS)
def fetch_borrows(
    api: MarginExchange,
    code: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Listing]:
    """Fetch the loans of the margin account, oldest first.

    :returns: margin loan structures, with ``status`` ``open`` until the loan is repaid.
    """
    asked = (code, since, limit, params)
    return (yield from _history(api, "fetchBorrows", asked, USER_BORROWS, parse_account.parse_loan))


@documented(USER_REPAYS)
def fetch_repays(
    api: MarginExchange,
    code: str | None = None,
    since: int | None = None,
    limit: int | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Listing]:
    """Fetch the repayments of the margin account, oldest first.

    :returns: margin loan structures, with ``principal`` and ``interest``, of which ``amount`` is
        the sum where the exchange leaves the total at 0 (its own example does).
    """
    asked = (code, since, limit, params)
    return (yield from _history(api, "fetchRepays", asked, USER_REPAYS, _repayment))


def _repayment(row: Any) -> Structure:
    repayment = parse_account.parse_repayment(row)
    if repayment["amount"] is None:
        parts = (repayment["principal"] or "0", repayment["interest"] or "0")
        repayment["amount"] = Precise.string_add(*parts)
    return repayment


def _history(
    api: MarginExchange,
    method: str,
    arguments: tuple[Any, Any, Any, Params],
    endpoint: Endpoint,
    read: Callable[[Any], Structure],
) -> Flow[Listing]:
    """A list that comes in one answer, narrowed by us to a currency and a window."""
    code, since, limit, params = arguments
    words, raw = take_params(api, method, params)
    window = read_window(api, since, limit, words)
    wanted = optional_code(api, code)
    answer = yield Request(endpoint, raw)

    def parse(row: Any) -> Structure | None:
        row = {**read(row), "symbol": None}
        line = finish(api, row, {"amount", "principal", "interest"} & row.keys())
        return line if wanted in (None, line["currency"]) else None

    name = "borrows" if endpoint is USER_BORROWS else "repays"
    return whole_list(api, answer, name, parse, window)
