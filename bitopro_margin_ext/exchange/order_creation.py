"""The unified method that creates a margin order, and what finds it again when nobody answers."""

import re
from collections.abc import Mapping
from typing import Any, Final

import ccxt
from ccxt.base.precise import Precise

from ..core import symbols
from ..core.assumptions import MARKET_BUY_AMOUNT_IN_QUOTE
from ..core.endpoints import CREATE_ORDER, ORDERS, Endpoint
from ..core.errors import Meaning, Outcome
from ..core.steps import Sleep
from .flow import (
    NO_PARAMS,
    Flow,
    Inherited,
    LoadMarkets,
    Params,
    call,
    error_of,
    failure_of,
    unknown_outcome,
)
from .structures import Order, margin_params, order_from_row, order_structure, rows_of

OLDEST_MS: Final = 600_000
"""An older order with the same ``clientId`` is not the one: users may use one again."""

LOOKUP_PAUSES: Final = (0.0, 0.5, 1.5)
"""Seconds before each look: a list may lag behind."""


def find_by_client_ids(api: Any, wanted: Mapping[int, Any]) -> Flow[dict[int, Order]]:
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
            for endpoint in (ORDERS, api.open_orders_path.endpoint):
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


def _listed(api: Any, endpoint: Endpoint, market: Any) -> Flow[list[Order]]:
    query = {"pair": market["id"]}
    if endpoint is ORDERS:
        query["limit"] = 100
    try:
        rows = rows_of(api, (yield from call(api, endpoint, query)))
    except (ccxt.OperationFailed, ccxt.ExchangeError):
        return []
    return _readable(api, rows, market["symbol"])


def _readable(api: Any, rows: list[Any], symbol: str) -> list[Order]:
    orders = []
    for row in rows:
        try:
            orders.append(order_from_row(api, row, symbol))
        except ccxt.BadResponse:
            # Another order's line that cannot be read hides nothing of the one looked for.
            continue
    return orders


TRIGGERS = ("triggerPrice", "stopPrice", "stopLossPrice", "takeProfitPrice")


def create_order(
    api: Any,
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

    :returns: an order structure; its status is that of acceptance.
    :raises ccxt.InvalidOrder, ccxt.InsufficientFunds: refused, by us or by the exchange.
    :raises ccxt.NetworkError: when the outcome is unknown, after the order was looked for.

    Page: https://github.com/bitoex/bitopro-offical-api-docs/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/api/v3/private/margin_create_an_order.md
    """
    margin, rest = margin_params(api, params)
    if not margin:
        order: Order = yield Inherited("create_order", (symbol, type, side, amount, price, rest))
        return order
    yield LoadMarkets()
    request = build_order(api, symbol, type, side, amount, price, rest)
    market = api.market(symbol)
    asked = asked_for(api, request, amount, rest)
    try:
        answer = yield from call(api, CREATE_ORDER, {**request, "pair": market["id"]})
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


def build_order(
    api: Any,
    symbol: str,
    type: str,
    side: str,
    amount: float,
    price: float | None,
    params: Params,
) -> dict[str, Any]:
    """The documented body of an order, amounts as decimal strings.

    :raises ccxt.InvalidOrder: for what BitoPro would refuse and we can know.
    """
    params = dict(params)
    # Freqtrade marks exits with it; the margin account has no such thing, and needs none.
    params.pop("reduceOnly", None)
    if str(side).lower() not in ("buy", "sell"):
        raise ccxt.InvalidOrder(f"{api.id} an order's side is 'buy' or 'sell', not {side!r}")
    side = side.lower()
    trigger = _take_trigger(api, params)
    wire_type = _wire_type(api, type, trigger)
    request: dict[str, Any] = {"action": side, "type": wire_type}
    cost = params.pop("cost", None)
    if wire_type == "MARKET" and side == "buy" and MARKET_BUY_AMOUNT_IN_QUOTE:
        request["amount"] = _market_buy_cost(api, symbol, amount, price, cost, params)
    else:
        request["amount"] = _base_amount(api, symbol, amount)
    if wire_type != "MARKET":
        if price is None:
            raise ccxt.InvalidOrder(f"{api.id} a {type} order requires a price")
        request["price"] = _price(api, symbol, price)
    request["timestamp"] = api.exchange_time()
    if wire_type == "STOP_LIMIT":
        request["stopPrice"] = _price(api, symbol, trigger[1])
        request["condition"] = _condition(api, side, trigger[0], params)
    time_in_force = _time_in_force(api, wire_type, params)
    if time_in_force is not None:
        request["timeInForce"] = time_in_force
    request["clientId"] = _client_id(api, params)
    return {**request, **params}


def asked_for(api: Any, request: dict[str, Any], amount: float, params: Params) -> Order:
    """What the answer to an order does not say, or says in quote: its type and amount in base."""
    wire_type = request["type"]
    in_quote = wire_type == "MARKET" and request["action"] == "buy"
    if in_quote and _requires_price(api, params) and params.get("cost") is None:
        in_quote = False
    return {
        "type": "market" if wire_type == "MARKET" else "limit",
        "amount": None if in_quote else api.number_to_string(amount),
    }


def _requires_price(api: Any, params: Params) -> bool:
    name = "createMarketBuyOrderRequiresPrice"
    return bool(params.get(name, api.options[name]))


def _take_trigger(api: Any, params: Params) -> tuple[str, Any]:
    given = {name: params.pop(name, None) for name in TRIGGERS}
    given = {name: price for name, price in given.items() if price is not None}
    if len({api.number_to_string(price) for price in given.values()}) > 1:
        raise ccxt.InvalidOrder(f"{api.id} an order has one trigger: {' or '.join(given)}")
    # The name that says more decides: a take-profit triggers the other way.
    return next(((name, given[name]) for name in reversed(TRIGGERS) if name in given), ("", None))


def _price(api: Any, symbol: str, price: Any) -> str:
    _require_positive(api, "price", price)
    text: str = api.price_to_precision(symbol, price)
    _require_positive(api, "price", text)
    return text


def _require_positive(api: Any, what: str, value: Any) -> None:
    text = value if isinstance(value, str) else api.number_to_string(value)
    if not re.fullmatch(r"\d+(\.\d+)?", str(text)) or not text.strip("0."):
        raise ccxt.InvalidOrder(f"{api.id} the {what} of an order is above 0, not {value!r}")


def _wire_type(api: Any, type: str, trigger: tuple[str, Any]) -> str:
    kind = str(type).upper().replace("-", "_")
    if kind not in ("LIMIT", "MARKET", "STOP_LIMIT"):
        raise ccxt.InvalidOrder(
            f"{api.id} order types are 'limit', 'market' and 'stop_limit', not {type!r}"
        )
    if trigger[1] is None:
        if kind == "STOP_LIMIT":
            raise ccxt.InvalidOrder(f"{api.id} a stop-limit order requires a triggerPrice")
        return kind
    if kind == "MARKET":
        raise ccxt.InvalidOrder(
            f"{api.id} has stop-limit orders only: give {trigger[0]} type 'limit' and a price"
        )
    return "STOP_LIMIT"


def _condition(api: Any, side: str, trigger: str, params: Params) -> str:
    condition = params.pop("condition", None)
    direction = params.pop("triggerDirection", None)
    if condition is not None:
        if condition not in (">=", "<="):
            raise ccxt.InvalidOrder(f"{api.id} a condition is '>=' or '<=', not {condition!r}")
        return str(condition)
    if direction is not None:
        if direction not in ("ascending", "descending", "up", "down", "above", "below"):
            raise ccxt.InvalidOrder(f"{api.id} unknown triggerDirection {direction!r}")
        return ">=" if direction in ("ascending", "up", "above") else "<="
    # A stop follows the price down to sell and up to buy; a take-profit the other way.
    rising = (side == "buy") != (trigger == "takeProfitPrice")
    return ">=" if rising else "<="


def _time_in_force(api: Any, wire_type: str, params: Params) -> str | None:
    time_in_force = params.pop("timeInForce", None)
    post_only = params.pop("postOnly", False) or time_in_force in ("PO", "POST_ONLY")
    if time_in_force not in (None, "GTC", "PO", "POST_ONLY"):
        raise ccxt.InvalidOrder(f"{api.id} timeInForce is GTC or PO, not {time_in_force!r}")
    if wire_type == "MARKET":
        if post_only:
            raise ccxt.InvalidOrder(f"{api.id} a market order cannot be post-only")
        return None
    return "POST_ONLY" if post_only else "GTC"


def _client_id(api: Any, params: Params) -> int:
    given = params.pop("clientOrderId", None)
    given = params.pop("clientId", None) if given is None else given
    if given is None:
        return symbols.new_client_id()
    text = str(given)
    if not text.isdecimal() or not 1 <= int(text) <= symbols.MAX_CLIENT_ID:
        raise ccxt.InvalidOrder(
            f"{api.id} a clientOrderId is an integer from 1 to {symbols.MAX_CLIENT_ID},"
            f" not {text!r}"
        )
    return int(text)


def _base_amount(api: Any, symbol: str, amount: float) -> str:
    _require_positive(api, "amount", amount)
    text: str = api.amount_to_precision(symbol, amount)
    limits = api.market(symbol)["limits"]["amount"]
    for bound, worse in (("min", Precise.string_lt), ("max", Precise.string_gt)):
        limit = limits.get(bound)
        if limit is not None and worse(text, api.number_to_string(limit)):
            raise ccxt.InvalidOrder(
                f"{api.id} amount {text} of {symbol} is beyond the {bound}imum of {limit}"
            )
    return text


def _market_buy_cost(
    api: Any, symbol: str, amount: float, price: float | None, cost: Any, params: Params
) -> str:
    requires_price = _requires_price(api, params)
    params.pop("createMarketBuyOrderRequiresPrice", None)
    for name, value in (("amount", amount if cost is None else cost), ("price", price)):
        if value is not None:
            _require_positive(api, name, value)
    if cost is not None:
        quote = api.number_to_string(cost)
    elif not requires_price:
        quote = api.number_to_string(amount)
    elif price is None:
        raise ccxt.InvalidOrder(
            f"{api.id} a market buy is counted in quote: give a price, or params['cost'], or set"
            " createMarketBuyOrderRequiresPrice to False and give the cost as the amount"
        )
    else:
        quote = Precise.string_mul(api.number_to_string(amount), api.number_to_string(price))
    text: str = api.cost_to_precision(symbol, quote)
    if not Precise.string_gt(text, "0"):
        raise ccxt.InvalidOrder(f"{api.id} a market buy of {quote} in quote is too small")
    return text


def accepted_order(
    api: Any, answer: Any, request: dict[str, Any], asked: Order, symbol: str
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
