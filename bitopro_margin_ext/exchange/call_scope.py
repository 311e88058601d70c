"""What holds for every call made inside a ``with``: one frozen scope in one context variable.

A scope is inherited by what is called inside it, and by threads that are started with a copy of
the context. ccxt's ``timeout`` bounds each read of a socket, so name resolution or an answer that
drips can outlast it; inside a deadline every call has ended when the time has come.
"""

import contextlib
import math
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Final, NamedTuple


class Scope(NamedTuple):
    """The current scope: outside every ``with`` it asks for nothing."""

    ends: float = math.inf
    """When every call has ended, on the monotonic clock."""
    unthrottled: bool = False
    """Whether calls leave at once, because their caller keeps the exchange's limits."""
    inherited: bool = False
    """Whether an inherited method of ``ccxt.bitopro`` runs: it reads its rows as it always did, and
    what it calls in turn is for the spot account as well."""


_NO_SCOPE: Final = Scope()

SCOPE: Final[ContextVar[Scope]] = ContextVar("call_scope", default=_NO_SCOPE)
"""The scope that a call made now belongs to."""


@contextlib.contextmanager
def narrowed(**changes: Any) -> Iterator[None]:
    """The current scope with these fields changed."""
    token = SCOPE.set(SCOPE.get()._replace(**changes))
    try:
        yield
    finally:
        SCOPE.reset(token)


def deadline(seconds: float) -> contextlib.AbstractContextManager[None]:
    """Bound every call in this scope to end within ``seconds``, or by a nearer outer bound."""
    return narrowed(ends=min(SCOPE.get().ends, time.monotonic() + seconds))


def remaining() -> float | None:
    """Seconds left in the current scope (0 or less: none), or None outside every deadline."""
    ends = SCOPE.get().ends
    return None if ends == math.inf else ends - time.monotonic()
