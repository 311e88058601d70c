"""What holds for every call made inside a ``with``: one frozen scope in one context variable.

A scope is inherited by what is called inside it, and by threads that are started with a copy of
the context. ccxt's ``timeout`` bounds each read of a socket, so name resolution or an answer that
drips can outlast it; inside a deadline every call has ended when the time has come.
"""

import contextlib
import contextvars
import dataclasses
import time
from collections.abc import Iterator
from typing import Any, Final

from ..core.steps import RequestCounter


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """The current scope: outside every ``with`` it asks for nothing."""

    ends: float | None = None
    """When every call has ended, on the monotonic clock."""
    unthrottled: bool = False
    """Whether calls leave at once, because their caller keeps the exchange's limits."""
    inherited: bool = False
    """Whether an inherited method of ``ccxt.bitopro`` runs: it reads its rows as it always did, and
    what it calls in turn is for the spot account as well."""
    counter: RequestCounter | None = None


_NO_SCOPE: Final = Scope()

_scope: contextvars.ContextVar[Scope] = contextvars.ContextVar("call_scope", default=_NO_SCOPE)


def current() -> Scope:
    """The scope that a call made now belongs to."""
    return _scope.get()


@contextlib.contextmanager
def narrowed(**changes: Any) -> Iterator[None]:
    """The current scope with these fields changed."""
    token = _scope.set(dataclasses.replace(_scope.get(), **changes))
    try:
        yield
    finally:
        _scope.reset(token)


def deadline(seconds: float) -> contextlib.AbstractContextManager[None]:
    """Bound every call in this scope to end within ``seconds``, or by a nearer outer bound."""
    end, outer = time.monotonic() + seconds, _scope.get().ends
    return narrowed(ends=end if outer is None else min(end, outer))


def remaining() -> float | None:
    """Seconds left in the current scope (0 or less: none), or None outside every deadline."""
    ends = _scope.get().ends
    return None if ends is None else ends - time.monotonic()


def clamp_to_deadline(seconds: float) -> float:
    """The part of a wait of so many seconds that fits into the current scope."""
    left = remaining()
    return seconds if left is None else max(0.0, min(seconds, left))


def count_request() -> None:
    """Note that a request leaves now."""
    counter = _scope.get().counter
    if counter is not None:
        counter.add()
