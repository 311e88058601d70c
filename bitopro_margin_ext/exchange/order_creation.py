"""The unified method that creates a margin order, what finds it again when nobody answers, and what
``reduceOnly`` means on an account without positions.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import ccxt
from ccxt.base.precise import Precise

from ..core.calls import Sleep
from ..core.endpoints import BALANCES, CREATE_ORDER, ORDERS, Endpoint
from ..core.errors import Meaning, Outcome
from .arguments import require_symbol
from .describe import documented
from .flow import (
    NO_PARAMS,
    Flow,
    LoadMarkets,
    MarginExchange,
    Params,
    Request,
    error_of,
    failure_of,
    unknown_outcome,
)
from .margin_account import balance_structure
from .order_body import asked_for, build_order
from .params import take_params, with_raw
from .structures import Order, order_from_row, order_structure, rows_of

OLDEST_MS: Final = 600_000
"""An older order with the same ``clientId`` is not the one: users may use one again."""

LOOKUP_PAUSES: Final = (0.0, 0.5, 1.5)
"""Seconds before each look: a list may lag behind."""


def find_by_client_ids(api: MarginExchange, wanted: Mapping[int, Any]) -> Flow[dict[int, Order]]:
    """Look for orders, given as their markets by ``clientId``: one list a pair and look.

    :returns: those that the exchange lists. That it lists one not is no proof that there is none.
    """
    found: dict[int, Order] = {}
    since = api.exchange_time() - OLDEST_MS
    for pause in LOOKUP_PAUSES:
        if pause:
            yield Sleep(pause)
        missing = {client_id: m for client_id, m in wanted.items() if client_id not in found}
        for market in {market["id"]: market for market in missing.values()}.values():
            # No page says whether a new order is sooner in the one list or in the other.
            for endpoint in (ORDERS, api.open_orders_path.candidates[0]):
                orders = yield from _listed(api, endpoint, market)
                for order in orders:
                    client_id = order["clientOrderId"] or ""
                    fresh = (order["timestamp"] or 0) >= since
                    if fresh and client_id.isdecimal() and int(client_id) in missing:
                        found[int(client_id)] = order
                if all(client_id in found for client_id in missing):
                    break
        if len(found) == len(wanted):
            break
    return found


def _listed(api: MarginExchange, endpoint: Endpoint, market: Any) -> Flow[list[Order]]:
    query = {"pair": market["id"]}
    if endpoint is ORDERS:
        query["limit"] = 100
    try:
        rows = rows_of(api, (yield Request(endpoint, query)))
    except (ccxt.OperationFailed, ccxt.ExchangeError):
        return []
    return _readable(api, rows, market["symbol"])


def _readable(api: MarginExchange, rows: list[Any], symbol: str) -> list[Order]:
    orders = []
    for row in rows:
        try:
            orders.append(order_from_row(api, row, symbol))
        except ccxt.BadResponse:
            # Another order's line that cannot be read hides nothing of the one looked for.
            continue
    return orders


@documented(CREATE_ORDER)
def create_order(
    api: MarginExchange,
    symbol: str,
    type: str,
    side: str,
    amount: float,
    price: float | None = None,
    params: Params = NO_PARAMS,
) -> Flow[Order]:
    """Create a limit, market or stop-limit order on the margin account.

    ``amount`` is in base; the amount of a market buy goes out in quote, as ``params['cost']`` or
    ``amount`` times ``price`` (or is ``amount`` itself with
    ``createMarketBuyOrderRequiresPrice: False``). A stop is asked for by ``triggerPrice``,
    ``stopLossPrice`` or ``takeProfitPrice``; its condition follows from the side. ``postOnly`` or
    ``timeInForce: 'PO'`` is sent as POST_ONLY. A ``clientOrderId`` (1 to 2147483647) is made up
    when none is given: it finds the order again when its creation is not answered, and an order is
    never sent a second time.

    ``reduceOnly`` is accepted for a sell of a coin that the account holds and for a buy of one that
    it owes, up to what is owed; BitoPro does not enforce it, so nothing of it is sent. Every other
    parameter is refused; ``raw`` adds fields of BitoPro's to the body.

    :returns: an order structure; its status is that of acceptance.
    :raises ccxt.InvalidOrder, ccxt.InsufficientFunds: refused, by us or by the exchange.
    :raises ccxt.NotSupported: for a parameter that the exchange cannot do; nothing was sent.
    :raises ccxt.NetworkError: when the outcome is unknown, after the order was looked for.
    """
    words, raw = take_params(api, "createOrder", params)
    symbol = require_symbol(api, symbol, "createOrder")
    yield LoadMarkets()
    market = api.market(symbol)
    request = build_order(api, market, type, side, amount, price, words)
    asked = asked_for(api, request, amount, words)
    body = with_raw(api, "createOrder", {**request, "pair": market["id"]}, raw)
    if words.get("reduceOnly"):
        yield from require_exits(api, [(market, request, asked)])
    try:
        answer = yield Request(CREATE_ORDER, body)
        return accepted_order(api, answer, request, asked, market["symbol"])
    except (ccxt.OperationFailed, ccxt.ExchangeError) as error:
        failure = failure_of(error)
        if failure.outcome is not Outcome.UNKNOWN:
            refuses_stop = failure.status in (400, 422) and "stopPrice" in request
            if failure.meaning is Meaning.INSUFFICIENT_FUNDS:
                raise
            if refuses_stop or (failure.status and failure.meaning is Meaning.BAD_REQUEST):
                # In whatever words: it is this order that the exchange will not have.
                refusal = failure._replace(meaning=Meaning.INVALID_ORDER)
                raise error_of(refusal, f"{api.id} {refusal}") from error
            raise
        found = yield from find_by_client_ids(api, {request["clientId"]: market})
        if found:
            return found[request["clientId"]]
        text = (
            "the order may exist; the exchange does not list clientOrderId"
            f" {request['clientId']} so far. Look for it before you send another"
        )
        raise unknown_outcome(api.id, failure, text, error, request["clientId"]) from error


def accepted_order(
    api: MarginExchange, answer: Any, request: dict[str, Any], asked: Order, symbol: str
) -> Order:
    """The order structure of an acceptance, completed by what was asked for."""
    given = {
        "status": 0,
        "stopPrice": request.get("stopPrice"),
        "price": request.get("price"),
        "clientId": request["clientId"],
        "timeInForce": request.get("timeInForce"),
        "action": request["action"],
    }
    row = {**given, **answer} if isinstance(answer, dict) else answer
    order = order_from_row(api, row, symbol)
    # A market buy's answer repeats the amount in quote: keep the caller's, in base.
    amount = order["amount"] if order["amount"] and asked["type"] == "limit" else asked["amount"]
    parsed = {**order, **asked, "amount": amount, "filled": None, "remaining": None, "info": answer}
    return order_structure(api, parsed)


# -- exits -----------------------------------------------------------------------------------------

TOLERANCE: Final = "1.1"
"""How much more than the debt a buy-back may be: the fee is taken in the bought coin, and interest
runs on while an order rests."""

Asked = tuple[Any, Params, Order]
"""The market, the body and the amount in base of an order."""


def require_exits(api: MarginExchange, orders: Iterable[Asked]) -> Flow[None]:
    """Refuse orders that the caller calls exits and that are none, before they are sent.

    An exit is a sell of a coin that the account holds, or a buy of one that it owes, of at most 1.1
    times what is owed (selling more than is held the exchange refuses by itself). Where the
    balances cannot be read the order goes out: getting out must not wait for a list. With
    ``options.checkReduceOnly`` False nothing is asked.

    :raises ccxt.InvalidOrder: for an order that would open or enlarge a position.
    """
    if not api.options["checkReduceOnly"]:
        return
    try:
        balances = balance_structure(api, (yield Request(BALANCES)))
    except (ccxt.OperationFailed, ccxt.ExchangeError):
        return
    for market, body, asked in orders:
        base = market["base"]
        account = balances.get(base) or {}
        if body["action"] == "sell":
            if not Precise.string_gt(_text(api, account.get("total")), "0"):
                raise _no_exit(api, f"the account holds no {base} to sell")
            continue
        owed = _text(api, account.get("debt"))
        if not Precise.string_gt(owed, "0"):
            raise _no_exit(api, f"the account owes no {base} to buy back")
        amount = asked["amount"]
        if amount is not None and Precise.string_gt(amount, Precise.string_mul(owed, TOLERANCE)):
            raise _no_exit(api, f"a buy of {amount} {base} is more than the {owed} that are owed")


def _text(api: MarginExchange, number: Any) -> str:
    return "0" if number is None else str(api.number_to_string(number))


def _no_exit(api: MarginExchange, reason: str) -> ccxt.InvalidOrder:
    return ccxt.InvalidOrder(f"{api.id} reduceOnly is for exits, and {reason}")
