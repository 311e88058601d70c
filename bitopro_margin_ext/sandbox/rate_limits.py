"""The documented rate limits, by address and by account."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

# A client that waits exactly its second must not be refused for a clock that ticks differently.
TOLERANCE_MS: Final = 20


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls of one sort in a span of time."""

    name: str
    method: str
    path: re.Pattern[str]
    calls: int
    span_ms: int


def _limit(name: str, method: str, path: str, calls: int, span_ms: int) -> Limit:
    return Limit(name, method, re.compile(f"^/v3{path}$"), calls, span_ms)


_SECOND, _MINUTE = 1000, 60_000

# The first that fits a call counts it; cancel-all has two documented limits, the stricter is kept.
SPECIAL: Final = (
    _limit("margin cancel all", "DELETE", r"/margin/orders/[^/]+", 1, _SECOND),
    _limit("margin cancel one", "DELETE", r"/margin/orders/[^/]+/[^/]+", 900, _MINUTE),
    _limit("margin cancel batch", "PUT", r"/margin/orders", 2, _SECOND),
    _limit("margin create batch", "POST", r"/margin/orders/batch", 90, _MINUTE),
    _limit("margin create", "POST", r"/margin/orders/[^/]+", 1200, _MINUTE),
    _limit("margin open orders", "GET", r"/margin/orders/(orders/)?open", 5, _SECOND),
    _limit("spot cancel all", "DELETE", r"/orders/[^/]+", 2, _SECOND),
    _limit("spot cancel one", "DELETE", r"/orders/[^/]+/[^/]+", 900, _MINUTE),
    _limit("spot cancel batch", "PUT", r"/orders", 2, _SECOND),
    _limit("spot create batch", "POST", r"/orders/batch", 90, _MINUTE),
    _limit("spot create", "POST", r"/orders/[^/]+", 1200, _MINUTE),
    _limit("spot open orders", "GET", r"/orders/open", 5, _SECOND),
    _limit("withdraw", "POST", r"/wallet/withdraw/[^/]+", 60, _MINUTE),
)
GENERAL: Final = Limit("general", "*", re.compile(""), 600, _MINUTE)


class Limits:
    """Counts what was let through; a refused call does not count against its sender."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], deque[int]] = {}

    def exceeded(
        self, method: str, path: str, address: str, account: str | None, now_ms: int
    ) -> str | None:
        """Return the name of the limit that this call would break, or count it and return None."""
        special = next((s for s in SPECIAL if s.method == method and s.path.match(path)), None)
        # An endpoint with a limit of its own is measured by that alone: 900 and 1200 a minute
        # could never be reached under a general 600.
        limit = special or GENERAL
        senders = [f"ip {address}", *([f"account {account}"] if account else [])]
        windows = [self._window(limit, sender, now_ms) for sender in senders]
        if any(len(window) >= limit.calls for window in windows):
            return limit.name
        for window in windows:
            window.append(now_ms)
        return None

    def clear(self) -> None:
        """Forget what was counted."""
        self._windows.clear()

    def _window(self, limit: Limit, sender: str, now_ms: int) -> deque[int]:
        window = self._windows.setdefault((limit.name, sender), deque())
        if window and window[-1] > now_ms:
            window.clear()  # the clock was set back
        while window and now_ms - window[0] >= limit.span_ms - TOLERANCE_MS:
            window.popleft()
        return window
