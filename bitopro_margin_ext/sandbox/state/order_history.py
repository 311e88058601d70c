"""Orders and trades as the exchange keeps them, with their past."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import IntEnum
from typing import Final, Literal

from .accounts import Kind
from .amounts import ZERO
from .markets import Pair

Action = Literal["BUY", "SELL"]

API_TYPES: Final = ("LIMIT", "MARKET", "STOP_LIMIT")
WEB_TYPES: Final = ("SP_OCO_STOPLIMIT", "SL_OCO_STOPLIMIT")
STOP_TYPES: Final = ("STOP_LIMIT", *WEB_TYPES)


class Status(IntEnum):
    """The documented order states; there is no 5."""

    NOT_TRIGGERED = -1
    OPEN = 0
    PARTLY_FILLED = 1
    FILLED = 2
    PARTLY_FILLED_DONE = 3
    CANCELLED = 4
    POST_ONLY_CANCELLED = 6


OPEN_STATES: Final = (Status.NOT_TRIGGERED, Status.OPEN, Status.PARTLY_FILLED)


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


@dataclass(slots=True)
class Order:
    """One order. ``asked`` is the amount as it was sent: quote for a market buy, else base."""

    id: str
    number: int
    seq: str
    email: str
    kind: Kind
    pair: Pair
    action: Action
    type: str
    asked: Decimal
    original: Decimal
    price: Decimal
    status: Status
    created_ms: int
    updated_ms: int
    stop_price: Decimal | None = None
    condition: str | None = None
    time_in_force: str = "GTC"
    client_id: int | None = None
    by_hand: bool = False
    only_controls_fill: bool = False
    executed: Decimal = ZERO
    total: Decimal = ZERO
    fee: Decimal = ZERO
    locked: Decimal = ZERO
    past: list[tuple[int, Order]] = field(default_factory=list, repr=False, compare=False)
    stale: StaleView | None = field(default=None, repr=False, compare=False)

    @property
    def remaining(self) -> Decimal:
        """What is left to execute, in base."""
        return self.original - self.executed

    @property
    def is_open(self) -> bool:
        """Whether the order can still be filled or cancelled."""
        return self.status in OPEN_STATES

    @property
    def pays(self) -> str:
        """The currency that the order locks."""
        return self.pair.quote if self.action == "BUY" else self.pair.base

    @property
    def receives(self) -> str:
        """The currency that the order buys, in which the fee is taken."""
        return self.pair.base if self.action == "BUY" else self.pair.quote

    @property
    def average(self) -> Decimal:
        """The mean price of what was executed."""
        return self.total / self.executed if self.executed else ZERO

    def remember(self, now_ms: int) -> None:
        """Stamp a change and keep a copy, so that a lagging listing can show the past."""
        self.updated_ms = max(now_ms, self.created_ms)
        self.past.append((self.updated_ms, self.copy()))

    def copy(self) -> Order:
        """Return the order as it is now, without its past."""
        return replace(self, past=[], stale=None)

    def as_shown(self, now_ms: int, lag_ms: int, *, in_list: bool) -> Order | None:
        """Return the order as lists or look-ups show it; None if they do not show it yet."""
        if self.stale is not None and self.stale.holds(now_ms, in_list=in_list):
            return self.stale.order
        return self.as_of(now_ms - lag_ms) if lag_ms else self

    def as_of(self, moment_ms: int) -> Order | None:
        """Return the order as it was then; None if it did not exist yet."""
        found: Order | None = None
        for changed_ms, copy in self.past:
            if changed_ms > moment_ms:
                break
            found = copy
        return found


@dataclass(frozen=True, slots=True)
class StaleView:
    """A past state of an order that is still shown: until a moment, or for ever with None."""

    order: Order
    until_ms: int | None
    lists_only: bool

    def holds(self, now_ms: int, *, in_list: bool) -> bool:
        """Say whether it is still shown there."""
        if self.lists_only and not in_list:
            return False
        return self.until_ms is None or now_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution of an order."""

    number: int
    order_id: str
    email: str
    kind: Kind
    pair: Pair
    action: Action
    order_type: str
    price: Decimal
    amount: Decimal
    quote_amount: Decimal
    fee: Decimal
    fee_currency: str
    is_taker: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class Seed:
    """An order to put on the account in any state, the web page's OCO types included.

    ``executed`` is what was already filled of ``amount``. A status that needs a partial fill gets
    half where none is given. ``fund`` brings the money that the order locks, so that seeding does
    not change what a bot sees as free; without it the order must be covered.
    """

    pair: str
    action: Action
    amount: Decimal
    price: Decimal
    kind: Kind = "margin"
    type: str = "LIMIT"
    status: Status = Status.OPEN
    executed: Decimal = ZERO
    stop_price: Decimal | None = None
    condition: str | None = None
    time_in_force: str = "GTC"
    client_id: int | None = None
    order_id: str | None = None
    age_seconds: Decimal = ZERO
    fund: bool = True

    def executed_in_that_state(self) -> Decimal:
        """Return what must have been filled for the status to be true."""
        if self.status == Status.FILLED:
            return self.amount
        if self.status in (Status.PARTLY_FILLED, Status.PARTLY_FILLED_DONE) and not self.executed:
            return self.amount / 2
        return self.executed


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """An order was created, filled, triggered or finished; ``order`` is a copy from then."""

    order: Order


@dataclass(frozen=True, slots=True)
class Traded:
    """An order of an account was executed."""

    trade: Trade


@dataclass(frozen=True, slots=True)
class FundsChanged:
    """Balances or debts of one side of an account changed."""

    email: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class PriceMoved:
    """A pair has a new price."""

    pair: str


@dataclass(frozen=True, slots=True)
class WasReset:
    """Everything started afresh: what was streamed before is no longer true."""


Change = OrderChanged | Traded | FundsChanged | PriceMoved | WasReset
Listener = Callable[[Change], None]
