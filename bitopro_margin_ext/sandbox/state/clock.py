"""The exchange's own time: it can be moved without moving the machine's."""

from __future__ import annotations

import time


class Clock:
    """Tell the exchange's time.

    It runs on the monotonic clock, so a change of the machine's time in the middle of a test does
    not move it. ``advance`` is for the passing of time (interest, limits, histories), ``skew`` for
    an exchange whose clock is simply wrong.
    """

    def __init__(self) -> None:
        self._started_ms = time.time_ns() // 1_000_000
        self._started = time.monotonic_ns()
        self._moved_ms = 0

    def now_ms(self) -> int:
        """Return the current time in milliseconds since the epoch."""
        elapsed = (time.monotonic_ns() - self._started) // 1_000_000
        return self._started_ms + elapsed + self._moved_ms

    @property
    def offset_ms(self) -> int:
        """How far this clock has been moved away from the machine's."""
        return self._moved_ms

    def advance(self, seconds: float) -> None:
        """Let time pass at once; never backwards, because histories would lose their order."""
        if seconds < 0:
            raise ValueError("time only passes forwards; use skew() for a wrong clock")
        self._moved_ms += round(seconds * 1000)

    def skew(self, seconds: float) -> None:
        """Set the clock this far off the machine's, in either direction."""
        self._moved_ms = round(seconds * 1000)
