"""What became of the orders of one cancel-and-confirm."""

import enum
from collections.abc import Callable, Sequence
from typing import Any

from .endpoints import OrderKey
from .errors import Failure


class SweepOutcome(enum.StrEnum):
    """The answer a trader needs: is anything in scope still resting?"""

    CONFIRMED = "confirmed"
    """The exchange lists nothing open in scope, and every order asked about has a final state."""
    REMAINING = "remaining"
    """Some orders are known to be open."""
    UNKNOWN = "unknown"
    """The exchange could not be asked, or did not say enough."""


class CancelReport:
    """The fate of every order in scope, as the exchange told it.

    The lists hold ccxt order structures. In ``cancelled`` an order whose last fills could not be
    fetched has ``filled`` None; ``already_done`` holds orders that were filled or cancelled before
    the sweep reached them; ``unknown`` those that the exchange would not tell about.
    """

    def __init__(self, scope: str, *, listed: bool = False) -> None:
        self.scope = scope
        self.cancelled: list[dict[str, Any]] = []
        self.already_done: list[dict[str, Any]] = []
        self.still_open: list[dict[str, Any]] = []
        self.unknown: list[dict[str, Any]] = []
        self.listed = listed
        """Whether the exchange's list of open orders was read after the last cancel."""
        self.in_doubt = False
        """Whether a cancel went without an answer, so that only the lists tell what it did."""
        self.failures: list[Failure] = []
        self.key_refusal: Failure | None = None
        """The refusal of the key that stood at the end, repeated and with no success since."""
        self.rest: Callable[[float], Any] | None = None
        """What completes a sweep that ended when its most urgent pair was settled: called with a
        deadline in seconds, it returns the flow."""
        self.requests = 0
        self.elapsed_ms = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.summary()}>"

    @property
    def outcome(self) -> SweepOutcome:
        """The worst that is true of any order in scope."""
        if self.still_open:
            return SweepOutcome.REMAINING
        if self.unknown or not self.listed:
            return SweepOutcome.UNKNOWN
        return SweepOutcome.CONFIRMED

    def sum_up(self, parts: Sequence["CancelReport"]) -> None:
        """Take over what the reports of several pairs say."""
        for part in parts:
            self.requests += part.requests
            self.cancelled += part.cancelled
            self.already_done += part.already_done
            self.still_open += part.still_open
            self.unknown += part.unknown
            self.failures += part.failures
        self.listed = all(part.listed for part in parts)
        self.in_doubt = any(part.in_doubt for part in parts)
        refusals = [part.key_refusal for part in parts if part.key_refusal is not None]
        self.key_refusal = refusals[0] if refusals else None
        self.elapsed_ms = max((part.elapsed_ms for part in parts), default=0)

    def final_orders(self) -> list[dict[str, Any]]:
        """The orders whose end, fills included, is the exchange's explicit word."""
        return [
            order
            for order in (*self.cancelled, *self.already_done)
            if order.get("filled") is not None
        ]

    def ends(self) -> dict[OrderKey, dict[str, Any]]:
        """``final_orders`` by symbol and id: an id alone may repeat on another pair."""
        return {(order["symbol"], order["id"]): order for order in self.final_orders()}

    def to_json(self) -> dict[str, Any]:
        """The machine-readable report: orders as ``id`` and ``symbol``, times in ms."""
        return {
            "scope": self.scope,
            "outcome": self.outcome.value,
            "cancelled": _names(self.cancelled),
            "already_done": _names(self.already_done),
            "still_open": _names(self.still_open),
            "unknown": _names(self.unknown),
            "in_doubt": self.in_doubt,
            "failures": [str(failure) for failure in self.failures],
            "requests": self.requests,
            "elapsed_ms": self.elapsed_ms,
        }

    def summary(self) -> str:
        """One line for a log or a message."""
        parts = [f"{len(self.cancelled)} cancelled"]
        if self.already_done:
            parts.append(f"{len(self.already_done)} already done")
        if self.still_open:
            parts.append(f"{len(self.still_open)} STILL OPEN ({_ids(self.still_open)})")
        if self.unknown:
            parts.append(f"{len(self.unknown)} UNKNOWN ({_ids(self.unknown)})")
        if not self.listed:
            parts.append("open orders could NOT be listed")
        line = f"scope {self.scope}: {self.outcome.value}, {', '.join(parts)}"
        line += f"; {self.requests} requests in {self.elapsed_ms} ms"
        if self.failures and self.outcome is not SweepOutcome.CONFIRMED:
            line += f"; last failure: {self.failures[-1]}"
        return line


def _names(orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": order["id"], "symbol": order["symbol"]} for order in orders]


def _ids(orders: list[dict[str, Any]]) -> str:
    shown = ", ".join(f"{order['symbol']} {order['id']}" for order in orders[:5])
    return shown + (f" and {len(orders) - 5} more" if len(orders) > 5 else "")
