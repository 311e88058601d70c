"""Controls of the market: prices, pairs, the clock, and orders as the user could handle by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from . import control_json
from .control_base import AccountControl, Amounts, Control, Json
from .state import Kind, Order, Refusal, Status
from .state.amounts import ZERO
from .state.orders import API_TYPES, WEB_TYPES, Seed

if TYPE_CHECKING:
    from .app import Parts


class SetPrice(Control):
    """Move the price of a pair (bid and ask around it unless given), or of several by prices."""

    route = "POST /price"
    pair: str | None = None
    price: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    prices: Amounts | None = None

    def apply(self, sandbox: Parts) -> Json:
        """Move the prices in the order given."""
        exchange, moved = sandbox.exchange, self.prices
        if moved is None:
            if self.pair is None or self.price is None:
                raise ValueError("pair and price are required, or prices")
            exchange.set_price(self.pair, self.price, self.bid, self.ask)
            moved = {self.pair: self.price}
        else:
            for pair, price in moved.items():
                exchange.set_price(pair, price)
        return {pair.lower(): exchange.describe_price(pair) for pair in moved}


class ChangePair(Control):
    """Delist a pair, open or close it for margin, or put it under maintenance.

    While under maintenance, new orders, all writes or all private calls on it are refused with 400.
    """

    route = "POST /pairs"
    pair: str
    listed: bool = True
    margin: bool | None = None
    maintain: bool | Literal["new orders", "writes", "all"] | None = None
    text: str | None = None

    def apply(self, sandbox: Parts) -> Json:
        """Change what is given."""
        exchange = sandbox.exchange
        if not self.listed:
            exchange.delist(self.pair)
        if self.margin is not None:
            exchange.set_margin(self.pair, self.margin)
        if isinstance(self.maintain, bool):
            exchange.set_maintenance(self.pair, "new orders" if self.maintain else None, self.text)
        elif self.maintain is not None:
            exchange.set_maintenance(self.pair, self.maintain, self.text)
        return {"pairs": sorted(exchange.pairs)}


class MoveClock(Control):
    """Let time pass by advance (interest grows), or set the clock wrong by skew, in seconds."""

    route = "POST /clock"
    advance: float | None = None
    skew: float | None = None

    def apply(self, sandbox: Parts) -> Json:
        """Move the clock."""
        exchange = sandbox.exchange
        if self.advance is not None:
            exchange.advance(self.advance)
        if self.skew is not None:
            exchange.clock.skew(self.skew)
        return {"now_ms": exchange.clock.now_ms(), "offset_ms": exchange.clock.offset_ms}


class HandOrder(BaseModel):
    """An order to put on the account, with the fields of the documented order."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    pair: str
    action: Literal["BUY", "SELL"]
    amount: Decimal
    price: Decimal
    kind: Kind = "margin"
    type: str = "LIMIT"
    status: Status | None = None
    executed: Decimal = Field(ZERO, alias="executedAmount")
    stop_price: Decimal | None = Field(None, alias="stopPrice")
    condition: str | None = None
    time_in_force: str = Field("GTC", alias="timeInForce")
    client_id: int | None = Field(None, alias="clientId")
    order_id: str | None = Field(None, alias="id")
    age_seconds: Decimal = Field(ZERO, alias="age")
    fund: bool = True

    @field_validator("action", "type", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in (*API_TYPES, *WEB_TYPES):
            raise ValueError(f"no order type {value!r}")
        return value

    def seed(self) -> Seed:
        """Return it as the exchange takes it."""
        first = Status.OPEN if self.stop_price is None else Status.NOT_TRIGGERED
        return Seed(**{**dict(self), "status": first if self.status is None else self.status})


class PlaceByHand(AccountControl):
    """Put orders on the account as if placed by hand, in any state, the web page's OCO included.

    Each brings the money that it locks unless fund is false; age is in seconds.
    """

    route = "POST /orders"
    orders: list[HandOrder]

    def apply(self, sandbox: Parts) -> Json:
        """Place all of them."""
        exchange = sandbox.exchange
        seeds = [order.seed() for order in self.orders]
        return {"orders": [control_json.order(exchange.seed(s, self.email)) for s in seeds]}


class _OneOrder(Control):
    """A control about one order; the pair is needed where an id repeats."""

    order_id: str
    pair: str | None = None

    def order(self, sandbox: Parts) -> Order:
        """Find the order."""
        return sandbox.exchange.order(self.order_id, self.pair and self.pair.lower())


class FillOrder(_OneOrder):
    """Fill a fraction of an order's original amount, or an amount in base; without, the rest."""

    route = "POST /orders/{order_id}/fill"
    fraction: Decimal | None = None
    amount: Decimal | None = None
    price: Decimal | None = None
    maker: bool = True

    def apply(self, sandbox: Parts) -> Json:
        """Fill it at its own price unless one is given."""
        order = self.order(sandbox)
        trade = sandbox.exchange.fill(
            order,
            fraction=self.fraction,
            amount=self.amount,
            price=self.price,
            as_maker=self.maker,
        )
        return {
            "order": control_json.order(order),
            "trade": None if trade is None else control_json.trade(trade),
        }


class CancelOrder(_OneOrder):
    """Cancel an order from outside, as the user could on the web page."""

    route = "POST /orders/{order_id}/cancel"

    def apply(self, sandbox: Parts) -> Json:
        """Cancel it."""
        order = self.order(sandbox)
        sandbox.exchange.cancel(order.kind, order.pair.name, order.id, order.email)
        return {"order": control_json.order(order)}


class RejectStops(Control):
    """Refuse the next stop orders with this status and text."""

    route = "POST /stops/reject"
    times: int = 1
    status: int = 400
    text: str = "Stop order rejected by the exchange."

    def apply(self, sandbox: Parts) -> Json:
        """Note the refusals."""
        pending = sandbox.exchange.stop_rejections
        pending += [Refusal(self.status, self.text) for _ in range(self.times)]
        return {"pending": len(pending)}
