"""One request on its way through the exchange: what it carries, and its line in the log."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

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


@dataclass(slots=True)
class Line:
    """One request. ``status`` is None until it is done, and for a dropped connection."""

    n: int
    time_ms: int
    method: str
    path: str
    query: str
    body: object = None
    account: str | None = None
    status: int | None = None
    faults: list[str] = field(default_factory=list)
    limited: bool = False
    duration_ms: float = 0
    done: bool = False


class RequestLog:
    """The last requests, oldest first."""

    def __init__(self, size: int = 20_000) -> None:
        self._lines: deque[Line] = deque(maxlen=size)
        self.last_number = 0

    def open(self, time_ms: int, method: str, path: str, query: str, body: bytes) -> Line:
        """Begin a line; its outcome is filled in later."""
        self.last_number += 1
        line = Line(self.last_number, time_ms, method, path, query, _readable(body))
        self._lines.append(line)
        return line

    def lines(self, after: int = 0) -> list[dict[str, object]]:
        """Return the lines numbered above ``after``."""
        return [asdict(line) for line in list(self._lines) if line.n > after]

    def clear(self) -> None:
        """Forget all lines."""
        self._lines.clear()


def _readable(body: bytes) -> object:
    if not body:
        return None
    try:
        parsed: object = json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
    return parsed
