"""What one request carries from the gateway to the handlers: its body, and the faults it meets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from .state import Order


@dataclass(slots=True)
class Call:
    """One request on its way through the exchange."""

    body: bytes = b""
    email: str | None = None
    clock_shift_ms: int = 0
    listing_lag_ms: int = 0
    spare: Callable[[Order], bool] | None = None
    numeric_ids: bool = False


def call_of(connection: HTTPConnection) -> Call:
    """Return the call that the gateway has attached."""
    call = connection.state.call
    assert isinstance(call, Call)  # noqa: S101 - the gateway always attaches one
    return call
