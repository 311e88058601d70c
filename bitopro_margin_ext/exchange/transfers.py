"""Unified methods that move money between the spot and the margin account, and list it."""

from typing import Any

import ccxt

from ..core import parse_account
from ..core.assumptions import TRANSFER_CALL_KINDS
from ..core.endpoints import TRANSFER, USER_TRANSFERS
from ..core.parse import text
from .arguments import exact_amount, known_currency, optional_code, shown
from .describe import documented
from .flow import NO_PARAMS, Flow, Params, call, send_once
from .loans import lending_terms
from .margin_exchange import MarginExchange, Structure
from .paging import Listing, read_window, whole_list
from .params import no_params, take_params, with_raw
from .structures import finish

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
    answer = yield from call(api, USER_TRANSFERS, raw)

    def parse(row: Any) -> Structure | None:
        line = finish(api, parse_account.parse_transfer(row), ("amount",))
        return line if wanted in (None, line["currency"]) else None

    return whole_list(api, answer, "transferInvoices", parse, window)
