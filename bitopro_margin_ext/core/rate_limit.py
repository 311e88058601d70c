"""Keep cancel-all to its documented rate without making the first one wait."""

import math
import threading
import time
from typing import Final

from .assumptions import CANCEL_ALL_INTERVAL_SECONDS

ARRIVAL_MARGIN_SECONDS: Final = 0.1
"""Requests that leave a second apart can arrive closer: the first may have had to connect."""


class CancelAllLimiter:
    """Hands out the moments at which a cancel-all may leave: the first at once, then one a second.

    One limiter serves a whole process and host, because the limit counts by IP.
    """

    def __init__(
        self, interval: float = CANCEL_ALL_INTERVAL_SECONDS + ARRIVAL_MARGIN_SECONDS
    ) -> None:
        self._interval = interval
        self._free_at = 0.0
        self._lock = threading.Lock()

    def reserve(self) -> float:
        """Take the next slot and say how many seconds to wait for it."""
        wait = self.reserve_within(math.inf)
        assert wait is not None  # noqa: S101 - for the type checker
        return wait

    def reserve_within(self, seconds: float) -> float | None:
        """The same if the wait is shorter than that; else None, and no slot is taken."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free_at)
            if start - now >= seconds:
                return None
            self._free_at = start + self._interval
            return start - now

    def wait(self) -> float:
        """Say how long a reservation made now would wait, without making it."""
        with self._lock:
            return max(0.0, self._free_at - time.monotonic())


_limiters: dict[str, CancelAllLimiter] = {}
_limiters_lock = threading.Lock()


def cancel_all_limiter(host: str) -> CancelAllLimiter:
    """The limiter that every client of this process shares for one API host."""
    with _limiters_lock:
        return _limiters.setdefault(host, CancelAllLimiter())
