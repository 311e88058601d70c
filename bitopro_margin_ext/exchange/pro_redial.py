"""How often a stream may be dialled. No I/O."""

import math
import random
from typing import Final

BASE_REDIAL_DELAY: Final = 0.5
MAX_REDIAL_DELAY: Final = 30.0
"""Seconds before the first redial, and between any two at most; each is cut by up to a half."""

SETTLED_AFTER: Final = 10.0
"""Seconds that a connection must have lived before the next dial counts as a first one again."""


class Redial:
    """The pace at which one stream is dialled. No I/O.

    Each dial doubles the wait before the next one, until a connection has lived for a while: to be
    accepted, or to receive a snapshot, is no sign of that.
    """

    def __init__(self) -> None:
        self._next_at = -math.inf
        self._delay = 0.0

    def reserve(self, now: float) -> float:
        """Take the next dial's turn, and return how many seconds to wait for it."""
        if now >= self._next_at + SETTLED_AFTER:
            self._delay = 0.0
        turn = max(now, self._next_at)
        self._delay = min(MAX_REDIAL_DELAY, max(BASE_REDIAL_DELAY, 2 * self._delay))
        self._next_at = turn + self._delay * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        return turn - now

    def hold_back(self, now: float, seconds: float) -> None:
        """Let no dial leave for so many seconds, as the exchange has asked for."""
        self._next_at = max(self._next_at, now + min(seconds, MAX_REDIAL_DELAY))
