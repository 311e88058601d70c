"""Orders that appear on the account without the API: placed by hand, or left by another bot."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bitopro_margin_ext.sandbox.state.accounts import Kind
from bitopro_margin_ext.sandbox.state.amounts import ZERO
from bitopro_margin_ext.sandbox.state.orders import Action, Status


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
