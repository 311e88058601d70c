"""What a new order must look like before the exchange takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from bitopro_margin_ext.sandbox.state import refusals
from bitopro_margin_ext.sandbox.state.amounts import decimals_of, to_decimal
from bitopro_margin_ext.sandbox.state.markets import Pair
from bitopro_margin_ext.sandbox.state.orders import API_TYPES, Action

LARGEST_CLIENT_ID = 2_147_483_647


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as the client asks for it, read but not yet judged by price or balance."""

    action: Action
    type: str
    amount: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    condition: str | None = None
    time_in_force: str = "GTC"
    client_id: int | None = None

    @property
    def is_market_buy(self) -> bool:
        """Whether the amount is in the quote currency."""
        return self.type == "MARKET" and self.action == "BUY"


def read_new_order(body: Mapping[str, object], *, allow_stop: bool = True) -> NewOrder:
    """Read the documented fields of a create request, in any letter case; refuse what is not one.

    An empty string stands for an absent value, as it does in the exchange's own answers.
    """
    action = str(body.get("action", "")).upper()
    if action not in ("BUY", "SELL"):
        raise refusals.wrong_parameter("action")
    kind = str(body.get("type", "")).upper()
    if kind not in API_TYPES or (kind == "STOP_LIMIT" and not allow_stop):
        raise refusals.unsupported_type()
    moment = body.get("timestamp")
    if isinstance(moment, bool) or not isinstance(moment, int):
        raise refusals.wrong_parameter("timestamp")
    amount = to_decimal(body.get("amount"))
    if amount is None or amount <= 0:
        raise refusals.invalid_amount(body.get("amount"))
    price = stop = condition = None
    if kind != "MARKET":
        price = _positive_price(body, "price")
    if kind == "STOP_LIMIT":
        stop = _positive_price(body, "stopPrice")
        condition = str(body.get("condition", ""))
        if condition not in (">=", "<="):
            raise refusals.wrong_parameter("condition")
    return NewOrder(
        action="BUY" if action == "BUY" else "SELL",
        type=kind,
        amount=amount,
        price=price,
        stop_price=stop,
        condition=condition,
        time_in_force=_time_in_force(body, kind),
        client_id=_client_id(body),
    )


def check_against_pair(order: NewOrder, pair: Pair) -> None:
    """Refuse an order that the pair's precisions and limits do not allow."""
    for field, price in (("price", order.price), ("stopPrice", order.stop_price)):
        if price is not None and decimals_of(price) > pair.price_decimals:
            raise refusals.too_precise(field, price, pair.price_decimals)
    if order.is_market_buy:
        if decimals_of(order.amount) > pair.price_decimals:
            raise refusals.too_precise("amount", order.amount, pair.price_decimals)
        if order.amount < pair.min_quote:
            raise refusals.too_small(order.amount, pair.min_quote)
        return
    if decimals_of(order.amount) > pair.base_decimals:
        raise refusals.too_precise("amount", order.amount, pair.base_decimals)
    if order.amount < pair.min_base:
        raise refusals.too_small(order.amount, pair.min_base)
    if order.amount > pair.max_base:
        raise refusals.too_large(order.amount, pair.max_base)


def _positive_price(body: Mapping[str, object], field: str) -> Decimal:
    price = to_decimal(body.get(field))
    if price is None or price <= 0:
        raise refusals.invalid_price(body.get(field))
    return price


def _time_in_force(body: Mapping[str, object], kind: str) -> str:
    wish = body.get("timeInForce") or "GTC"
    if wish not in ("GTC", "POST_ONLY"):
        raise refusals.wrong_parameter("timeInForce")
    # The page: for MARKET and STOP_LIMIT this is always GTC, whatever was sent.
    return str(wish) if kind == "LIMIT" else "GTC"


def _client_id(body: Mapping[str, object]) -> int | None:
    value = body.get("clientId")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise refusals.wrong_parameter("clientId")
    if not 1 <= value <= LARGEST_CLIENT_ID:
        raise refusals.wrong_parameter("clientId")
    return value
