"""Who keeps a call's pace: ccxt's throttle, or a sweep, which keeps each endpoint's own limit.

The throttle spaces all calls of an object by the cost of the next one: the list of open orders
would wait 0.2 s for the cancel-all before it, though no documented limit says so.
"""

import contextlib
import contextvars
from collections.abc import Iterator

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
