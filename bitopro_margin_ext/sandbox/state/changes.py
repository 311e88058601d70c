"""What the exchange tells those who watch it: streams, and tests that drive it in process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bitopro_margin_ext.sandbox.state.accounts import Kind
from bitopro_margin_ext.sandbox.state.orders import Order, Trade


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
