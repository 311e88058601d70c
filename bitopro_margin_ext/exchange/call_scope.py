"""A time by which every call inside a scope has ended, however slowly the exchange answers.

ccxt's ``timeout`` bounds each read of a socket, so name resolution or an answer that drips can
outlast it. Inside a scope the blocking classes wait for a call on another thread, and give up on
it when the time has come.
"""

import contextlib
import contextvars
import time
from collections.abc import Iterator

_ends: contextvars.ContextVar[float | None] = contextvars.ContextVar("deadline", default=None)


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Bound every call in this scope to end within ``seconds``, or by a nearer outer bound."""
    end = time.monotonic() + seconds
    outer = _ends.get()
    token = _ends.set(end if outer is None else min(end, outer))
    try:
        yield
    finally:
        _ends.reset(token)


def remaining() -> float | None:
    """Seconds left in the current scope (0 or less: none), or None outside every scope."""
    end = _ends.get()
    return None if end is None else end - time.monotonic()


def bounded(seconds: float) -> float:
    """The part of a wait of so many seconds that fits into the current scope."""
    left = remaining()
    return seconds if left is None else max(0.0, min(seconds, left))


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


_by_caller: contextvars.ContextVar[bool] = contextvars.ContextVar("by_caller", default=False)


@contextlib.contextmanager
def kept_by_caller() -> Iterator[None]:
    """Let every call of this scope leave at once."""
    token = _by_caller.set(True)
    try:
        yield
    finally:
        _by_caller.reset(token)


def is_kept_by_caller() -> bool:
    """Whether the current scope needs no throttle."""
    return _by_caller.get()


_as_inherited: contextvars.ContextVar[bool] = contextvars.ContextVar("as_inherited", default=False)


@contextlib.contextmanager
def inherited_parsing() -> Iterator[None]:
    """Let the spot methods of ``ccxt.bitopro`` read their rows as they always did."""
    token = _as_inherited.set(True)
    try:
        yield
    finally:
        _as_inherited.reset(token)
