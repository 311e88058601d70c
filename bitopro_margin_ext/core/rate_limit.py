"""Keep to the documented limits: a burst for as long as a limit lets it through, then its pace.

Every limiter counts what leaves in a window of its length, and one set of them serves all clients
of a process and host, because the limits count by IP.
"""

import collections
import math
import re
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import Final

from .assumptions import CANCEL_ALL_INTERVAL_SECONDS
from .endpoints import GENERAL_LIMIT, Endpoint

ARRIVAL_MARGIN_SECONDS: Final = 0.1
"""Requests that leave a second apart can arrive closer: the first may have had to connect."""

_LIMIT: Final = re.compile(r"(\d+)/(s|min)\b")
_SECONDS: Final = {"s": 1.0, "min": 60.0}


class RateLimiter:
    """Lets so many ``calls`` leave in any window of ``seconds``: the first ones at once."""

    def __init__(
        self,
        calls: int,
        seconds: float,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._window = seconds + ARRIVAL_MARGIN_SECONDS
        self._now = now or (lambda: time.monotonic())
        self._taken: collections.deque[float] = collections.deque(maxlen=calls)
        """The moments of the last calls, those that are still to come included."""
        self._lock = threading.Lock()

    def try_reserve(self, seconds: float = math.inf) -> float | None:
        """Take the next turn if it comes within ``seconds``, and say how long to wait for it.

        None: it does not, and no turn is taken.
        """
        with self._lock:
            wait = self._wait()
            if wait and wait >= seconds:
                return None
            self._taken.append(self._now() + wait)
            return wait

    def arrived(self) -> None:
        """Count the last call from now: it is over, so it cannot have arrived later.

        It may have had to connect first, and arrive much later than it left.
        """
        with self._lock:
            if self._taken:
                self._taken[-1] = max(self._taken[-1], self._now())

    def clear(self) -> None:
        """Forget what has left."""
        with self._lock:
            self._taken.clear()

    def wait(self) -> float:
        """How many seconds a turn taken now would be waited for."""
        with self._lock:
            return self._wait()

    def _wait(self) -> float:
        now = self._now()
        if not self._taken:
            return 0.0
        # Turns are taken in order.
        free_at = self._taken[-1]
        if len(self._taken) == self._taken.maxlen:
            free_at = max(free_at, self._taken[0] + self._window)
        return max(0.0, free_at - now)


class CancelAllLimiter(RateLimiter):
    """Of the cancel-alls: the first at once, then one a second."""

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        super().__init__(1, CANCEL_ALL_INTERVAL_SECONDS, now)


def limiter_of(limit: str, now: Callable[[], float] | None = None) -> RateLimiter:
    """The limiter of a limit as an ``Endpoint`` words it, for instance ``5/s``."""
    found = _LIMIT.match(limit)
    if found is None:
        raise ValueError(f"{limit!r} is no limit")
    return RateLimiter(int(found[1]), _SECONDS[found[2]], now)


class RateLimits:
    """Every documented limit of one host."""

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        self._now = now
        self.cancel_all = CancelAllLimiter(now)
        self._general = limiter_of(GENERAL_LIMIT, now)
        self._pages: dict[str, RateLimiter] = {}
        self._lock = threading.Lock()

    def try_reserve(self, endpoint: Endpoint, seconds: float = math.inf) -> float | None:
        """Take the turn of a call if it comes within ``seconds``, and say how long to wait for it.

        None: it does not, and no turn is taken. A cancel-all waits for the last one only, but
        counts for the general limit as every call does.
        """
        if endpoint.cancels_all:
            wait = self.cancel_all.try_reserve(seconds)
            if wait is not None:
                self._general.try_reserve()
            return wait
        with self._lock:
            wait = self._wait(endpoint)
            if wait and wait >= seconds:
                return None
            page = self._page(endpoint).try_reserve() or 0.0
            return max(page, self._general.try_reserve() or 0.0)

    def wait(self, endpoint: Endpoint) -> float:
        """How many seconds a call made now would wait for its turn."""
        if endpoint.cancels_all:
            return self.cancel_all.wait()
        with self._lock:
            return self._wait(endpoint)

    def clear(self) -> None:
        """Forget what has left."""
        for limiter in (self.cancel_all, self._general, *self._pages.values()):
            limiter.clear()

    def _wait(self, endpoint: Endpoint) -> float:
        return max(self._page(endpoint).wait(), self._general.wait())

    def _page(self, endpoint: Endpoint) -> RateLimiter:
        # By page, not by path: two spellings of a path are one call to the exchange.
        found = self._pages.get(endpoint.page)
        if found is None:
            found = self._pages[endpoint.page] = limiter_of(endpoint.limit, self._now)
        return found


_limits: dict[str, RateLimits] = {}
_limits_lock = threading.Lock()


def limits_of(url: str) -> RateLimits:
    """The limits that every client of this process shares for the host of an API address."""
    host = urllib.parse.urlsplit(url).netloc
    with _limits_lock:
        found = _limits.get(host)
        if found is None:
            found = _limits[host] = RateLimits()
        return found
