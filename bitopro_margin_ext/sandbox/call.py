"""What one request carries from the gateway to the handlers: its body, and the faults it meets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from .faults import Rule
from .state import Order


@dataclass(slots=True)
class Call:
    """One request on its way through the exchange."""

    body: bytes = b""
    email: str | None = None
    rules: list[Rule] = field(default_factory=list)
    clock_shift_ms: int = 0
    listing_lag_ms: int = 0
    numeric_ids: bool = False
    match: bool = True
    created: list[Order] = field(default_factory=list)
    keep_open: Callable[[Order], bool] | None = None
    claim_uncancelled: bool = False
    fill_instead: Callable[[Order], None] | None = None


def call_of(connection: HTTPConnection) -> Call:
    """Return the call that the gateway has attached."""
    call = connection.state.call
    assert isinstance(call, Call)  # noqa: S101 - the gateway always attaches one
    return call
