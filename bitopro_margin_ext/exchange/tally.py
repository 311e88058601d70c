"""Count the HTTP requests that leave within a scope, repetitions included."""

import contextlib
import contextvars
from collections.abc import Iterator


class Tally:
    """How many requests have left so far."""

    requests = 0


_current: contextvars.ContextVar[Tally | None] = contextvars.ContextVar("tally", default=None)


@contextlib.contextmanager
def counting() -> Iterator[Tally]:
    """Count the requests of this scope, also those that another thread sends for it."""
    found = Tally()
    token = _current.set(found)
    try:
        yield found
    finally:
        _current.reset(token)


def count() -> None:
    """Note that a request leaves now."""
    found = _current.get()
    if found is not None:
        found.requests += 1
