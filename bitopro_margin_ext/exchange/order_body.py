"""The documented body of an order, made of what ``create_order`` is given. Nothing is sent here."""

from collections.abc import Mapping
from typing import Any, Final

import ccxt
from ccxt.base.precise import Precise

from ..core import endpoints
from ..core.assumptions import MARKET_BUY_AMOUNT_IN_QUOTE
from .arguments import decimal_text, optional_moment, require_client_id, shown
from .flow import MarginExchange, Params
from .structures import Order

TRIGGERS: Final = ("triggerPrice", "stopPrice", "stopLossPrice", "takeProfitPrice")

_DIRECTIONS: Final[Mapping[str, str]] = {
    "ascending": ">=",
    "up": ">=",
    "above": ">=",
    "descending": "<=",
    "down": "<=",
    "below": "<=",
}


def build_order(
    api: MarginExchange, market: Any, type: Any, side: Any, amount: Any, price: Any, words: Params
) -> Params:
    """The body of an order, amounts as decimal strings; ``words`` are those of ``createOrder``.

    :raises ccxt.InvalidOrder: for what BitoPro would refuse and we can know.
    :raises ccxt.NotSupported: for a word that this kind of order cannot have.
    """
    action = side.lower() if isinstance(side, str) else side
    if action not in ("buy", "sell"):
        raise ccxt.InvalidOrder(f"{api.id} an order's side is 'buy' or 'sell', not {shown(side)}")
    trigger = _trigger(api, words)
    wire_type = _wire_type(api, type, trigger)
    request: Params = {"action": action, "type": wire_type}
    if wire_type == "MARKET" and action == "buy" and MARKET_BUY_AMOUNT_IN_QUOTE:
        request["amount"] = _market_buy_cost(api, market, amount, price, words)
    else:
        if "cost" in words:
            raise ccxt.NotSupported(f"{api.id} only a market buy is counted in 'cost'")
        request["amount"] = _base_amount(api, market, amount)
    if wire_type != "MARKET":
        if price is None:
            raise ccxt.InvalidOrder(f"{api.id} a {type} order requires a price")
        request["price"] = _price(api, market, "price", price)
    given = optional_moment(api, "timestamp", words.get("timestamp"))
    request["timestamp"] = api.exchange_time() if given is None else given
    if wire_type == "STOP_LIMIT":
        request["stopPrice"] = _price(api, market, trigger[0], trigger[1])
        request["condition"] = _condition(api, action, trigger[0], words)
    elif "condition" in words or "triggerDirection" in words:
        raise ccxt.InvalidOrder(f"{api.id} a condition requires a triggerPrice")
    time_in_force = _time_in_force(api, wire_type, words)
    if time_in_force is not None:
        request["timeInForce"] = time_in_force
    request["clientId"] = _client_id(api, words)
    return request


def asked_for(api: MarginExchange, request: Params, amount: Any, words: Params) -> Order:
    """What the answer to an order does not say, or says in quote: its type and amount in base."""
    wire_type = request["type"]
    in_quote = wire_type == "MARKET" and request["action"] == "buy"
    if in_quote and _requires_price(api, words) and words.get("cost") is None:
        in_quote = False
    return {
        "type": "market" if wire_type == "MARKET" else "limit",
        "amount": None if in_quote else decimal_text(api, "amount", amount),
    }


def _requires_price(api: MarginExchange, words: Params) -> bool:
    name = "createMarketBuyOrderRequiresPrice"
    return bool(words.get(name, api.options[name]))


def _trigger(api: MarginExchange, words: Params) -> tuple[str, Any]:
    given = {name: decimal_text(api, name, words[name]) for name in TRIGGERS if name in words}
    if len(set(given.values())) > 1:
        raise ccxt.InvalidOrder(f"{api.id} an order has one trigger: {' or '.join(given)}")
    # The name that says more decides: a take-profit triggers the other way.
    return next(((name, given[name]) for name in reversed(TRIGGERS) if name in given), ("", None))


def _price(api: MarginExchange, market: Any, what: str, price: Any) -> str:
    given = decimal_text(api, what, price)
    text: str = api.price_to_precision(market["symbol"], given)
    return decimal_text(api, what, text)


def _wire_type(api: MarginExchange, type: Any, trigger: tuple[str, Any]) -> str:
    kind = type.upper().replace("-", "_") if isinstance(type, str) else type
    if kind not in ("LIMIT", "MARKET", "STOP_LIMIT"):
        raise ccxt.InvalidOrder(
            f"{api.id} order types are 'limit', 'market' and 'stop_limit', not {shown(type)}"
        )
    if trigger[1] is None:
        if kind == "STOP_LIMIT":
            raise ccxt.InvalidOrder(f"{api.id} a stop-limit order requires a triggerPrice")
        return str(kind)
    if kind == "MARKET":
        raise ccxt.InvalidOrder(
            f"{api.id} has stop-limit orders only: give {trigger[0]} type 'limit' and a price"
        )
    return "STOP_LIMIT"


def _condition(api: MarginExchange, side: str, trigger: str, words: Params) -> str:
    condition = words.get("condition")
    direction = words.get("triggerDirection")
    if condition is not None:
        if condition not in (">=", "<="):
            raise ccxt.InvalidOrder(f"{api.id} a condition is '>=' or '<=', not {shown(condition)}")
        return str(condition)
    if direction is not None:
        if not isinstance(direction, str) or direction not in _DIRECTIONS:
            raise ccxt.InvalidOrder(f"{api.id} unknown triggerDirection {shown(direction)}")
        return _DIRECTIONS[direction]
    # A stop follows the price down to sell and up to buy; a take-profit the other way.
    rising = (side == "buy") != (trigger == "takeProfitPrice")
    return ">=" if rising else "<="


def _time_in_force(api: MarginExchange, wire_type: str, words: Params) -> str | None:
    time_in_force = words.get("timeInForce")
    post_only = words.get("postOnly", False)
    if not isinstance(post_only, bool):
        raise ccxt.InvalidOrder(f"{api.id} postOnly is True or False, not {shown(post_only)}")
    if time_in_force not in (None, "GTC", "PO", "POST_ONLY"):
        raise ccxt.InvalidOrder(f"{api.id} timeInForce is GTC or PO, not {shown(time_in_force)}")
    post_only = post_only or time_in_force in ("PO", "POST_ONLY")
    if wire_type != "LIMIT" and post_only:
        # The exchange would place it all the same, as one that takes.
        kind = "market" if wire_type == "MARKET" else "stop-limit"
        raise ccxt.InvalidOrder(f"{api.id} a {kind} order cannot be post-only")
    if wire_type == "MARKET":
        return None
    return "POST_ONLY" if post_only else "GTC"


def _client_id(api: MarginExchange, words: Params) -> int:
    given = words.get("clientOrderId", words.get("clientId"))
    return endpoints.new_client_id() if given is None else require_client_id(api, given)


def _base_amount(api: MarginExchange, market: Any, amount: Any) -> str:
    given = decimal_text(api, "amount", amount)
    symbol = market["symbol"]
    text: str = api.amount_to_precision(symbol, given)
    limits = market["limits"]["amount"]
    for bound, is_worse in (("min", Precise.string_lt), ("max", Precise.string_gt)):
        limit = limits.get(bound)
        if limit is not None and is_worse(text, api.number_to_string(limit)):
            raise ccxt.InvalidOrder(
                f"{api.id} amount {text} of {symbol} is beyond the {bound}imum of {limit}"
            )
    return decimal_text(api, "amount", text)


def _market_buy_cost(
    api: MarginExchange, market: Any, amount: Any, price: Any, words: Params
) -> str:
    cost = words.get("cost")
    if cost is not None:
        quote = decimal_text(api, "cost", cost)
    elif not _requires_price(api, words):
        quote = decimal_text(api, "amount", amount)
    elif price is None:
        raise ccxt.InvalidOrder(
            f"{api.id} a market buy is counted in quote: give a price, or params['cost'], or set"
            " createMarketBuyOrderRequiresPrice to False and give the cost as the amount"
        )
    else:
        price_text = decimal_text(api, "price", price)
        quote = Precise.string_mul(decimal_text(api, "amount", amount), price_text)
    text: str = api.cost_to_precision(market["symbol"], quote)
    if not Precise.string_gt(text, "0"):
        raise ccxt.InvalidOrder(f"{api.id} a market buy of {quote} in quote is too small")
    least = market["limits"]["cost"].get("min")
    if least is not None and Precise.string_lt(text, api.number_to_string(least)):
        raise ccxt.InvalidOrder(
            f"{api.id} a market buy of {text} {market['quote']} is below the minimum of {least}"
        )
    return text
