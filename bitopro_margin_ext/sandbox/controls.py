"""The controls of the market, of orders by hand and of accounts; each is one declared call."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from . import EMAIL, control_json
from .state import ApiKey, Kind, Order, Refusal, Status
from .state.amounts import ZERO
from .state.lending import liquidate, liquidate_thin_accounts
from .state.order_history import API_TYPES, WEB_TYPES, Seed

if TYPE_CHECKING:
    from .server import Parts


Json = dict[str, object]
Amounts = dict[str, Decimal]


class Control(BaseModel):
    """A control call: its route, its fields, what it does.

    The docstring's first line and the fields are its help; a body that does not fit the fields is
    refused with the field's name. Path parameters and the query are fields like any other.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, coerce_numbers_to_str=True)
    route: ClassVar[str]

    def apply(self, sandbox: Parts) -> Json:
        """Do what is asked, under the exchange's lock; mistakes are ``ValueError``."""
        raise NotImplementedError


class AccountControl(Control):
    """A control about one account: the default one unless named."""

    account: str | None = None

    @property
    def email(self) -> str:
        """The account's email."""
        return self.account or EMAIL


class WalletControl(AccountControl):
    """A control about one side of an account."""

    kind: Kind = "margin"


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


class ListPair(Control):
    """List a pair for margin and lend its currencies; without a price, at what these are worth."""

    route = "POST /pairs/list"
    pair: str
    price: Annotated[Decimal, Field(gt=0)] | None = None

    def apply(self, sandbox: Parts) -> Json:
        """List it unless it is there."""
        pair = sandbox.exchange.list_pair(self.pair, self.price)
        return {pair.name: sandbox.exchange.describe_price(pair.name)}


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


class SetBalances(WalletControl):
    """Set what is available of some currencies; with add, add that much (below 0 takes it)."""

    route = "POST /balances"
    balances: Amounts
    add: bool = False

    def apply(self, sandbox: Parts) -> Json:
        """Set the balances of one side."""
        exchange, wallet = sandbox.exchange, sandbox.exchange.account(self.email).wallets[self.kind]
        for currency, amount in self.balances.items():
            before = wallet[currency].available if self.add else Decimal(0)
            exchange.set_balance(self.kind, currency, before + amount, self.email)
        return control_json.wallet(exchange.account(self.email), self.kind)


class NewKey(BaseModel):
    """A key of an account."""

    model_config = ConfigDict(extra="forbid")

    key: str
    secret: str
    margin: bool = True
    revoked: bool = False


class AddAccount(Control):
    """Open an account with balances by side (else the usual ones), or add keys to one."""

    route = "POST /accounts"
    email: str
    keys: tuple[NewKey, ...] = ()
    balances: dict[Kind, Amounts] | None = None

    def apply(self, sandbox: Parts) -> Json:
        """Open it unless it is there, and add the keys."""
        exchange = sandbox.exchange
        if self.email not in exchange.accounts:
            funds = self.balances
            if funds is not None:
                funds = {k: {c.upper(): a for c, a in side.items()} for k, side in funds.items()}
            exchange.add_account(self.email, funds)
        for key in self.keys:
            exchange.add_key(ApiKey(email=self.email, **dict(key)))
        return control_json.account(exchange, self.email)


class ChangeKey(Control):
    """Give or take a key's margin permission, or revoke it."""

    route = "POST /keys"
    key: str
    margin: bool | None = None
    revoked: bool | None = None

    def apply(self, sandbox: Parts) -> Json:
        """Change what is given."""
        key = sandbox.exchange.keys.get(self.key)
        if key is None:
            raise ValueError(f"no key {self.key!r}")
        if self.margin is not None:
            key.margin = self.margin
        if self.revoked is not None:
            key.revoked = self.revoked
        return control_json.key(key)


class SetLoanTerms(Control):
    """Change what is lent of a currency: the yearly rate in percent, limits, status, steps.

    A borrow status is 0 off, 1 on, 2 maintenance; available sets what the platform has left.
    """

    route = "POST /loans/terms"
    currency: str
    annual_percent: Decimal | None = None
    max_user: Decimal | None = None
    max_system: Decimal | None = None
    available: Decimal | None = None
    borrow_status: Literal[0, 1, 2] | None = None
    minimum: Decimal | None = None
    step: Decimal | None = None

    def apply(self, sandbox: Parts) -> Json:
        """Change what is given."""
        loans, exclude = sandbox.exchange.loans, {"currency", "available"}
        terms = loans.set_terms(
            self.currency, **self.model_dump(exclude=exclude, exclude_none=True)
        )
        if self.available is not None:
            left = terms.max_system - loans.lent(terms.currency)
            loans.lend_out(self.currency, left - self.available)
        return control_json.loan_terms(loans.terms[terms.currency])


class BorrowByHand(AccountControl):
    """Borrow as the user could on the web page; no limit is checked."""

    route = "POST /loans/borrow"
    currency: str
    amount: Decimal

    def apply(self, sandbox: Parts) -> Json:
        """Lend the amount."""
        exchange = sandbox.exchange
        exchange.loans.borrow(self.currency, self.amount, self.email, check=False)
        return control_json.account(exchange, self.email)


class RepayByHand(AccountControl):
    """Repay as the user could on the web page."""

    route = "POST /loans/repay"
    currency: str
    amount: Decimal

    def apply(self, sandbox: Parts) -> Json:
        """Take the amount, at most what is owed."""
        sandbox.exchange.loans.repay(self.currency, self.amount, self.email)
        return control_json.account(sandbox.exchange, self.email)


class ChargeInterest(AccountControl):
    """Charge the interest of so many seconds while the clock stays.

    Orders keep their age, which Freqtrade's unfilled time-outs look at, and nonces stay good.
    """

    route = "POST /loans/interest"
    seconds: Decimal

    def apply(self, sandbox: Parts) -> Json:
        """Charge it on every debt."""
        exchange = sandbox.exchange
        exchange.loans.charge_interest(self.seconds, self.email)
        liquidate_thin_accounts(exchange)
        return control_json.account(exchange, self.email)


class Liquidate(AccountControl):
    """Liquidate an account now, whatever its ratio: whole, partial (a fraction), or in_kind."""

    route = "POST /liquidate"
    mode: Literal["whole", "partial", "in_kind"] = "whole"
    fraction: Decimal | None = None

    def apply(self, sandbox: Parts) -> Json:
        """Liquidate it."""
        exchange = sandbox.exchange
        liquidate(exchange, exchange.account(self.email), self.mode, self.fraction)
        return control_json.account(exchange, self.email)
