"""The nonces of an API key: one rising sequence for the process, and in order on the wire.

BitoPro's newest texts say that a nonce must be *monotonically increasing*. So all clients of a key
draw from one sequence, a nonce is drawn immediately before its request is written, and once the
exchange has refused one for coming late, the key's calls are sent one after the other for a while.
"""

import math
import threading
import time
from typing import Final

from .http_call import Turn

CLOCK_TOLERANCE_MS: Final = 1_000
"""What a ``Date`` header can be off by: it counts whole seconds, and was on its way."""
ORDERED_SECONDS: Final = 60.0
"""How long the calls of a key are sent one by one after the exchange refused one for coming late:
requests on two connections can overtake each other, whatever we do."""
TURN_SECONDS: Final = 0.5
"""How long a call may keep its turn while another waits: its request has long left by then, and an
answer that does not come must not keep a cancel in."""


class Nonces:
    """The nonces of one key, for every client and thread of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._accepted = 0
        """The highest one that the exchange may have accepted."""
        self._ordered_until = 0.0
        self.wire = Wire()
        """Held by the call whose turn it is."""

    def next(self, offset_ms: int = 0) -> int:
        """The current time in ms, corrected by ``offset_ms``, and above every earlier nonce."""
        with self._lock:
            self._last = max(_now_ms() + offset_ms, self._last + 1)
            return self._last

    def accept(self, nonce: int) -> None:
        """Note that the exchange has not refused this nonce: no later one may be below it."""
        with self._lock:
            self._accepted = max(self._accepted, nonce)

    def set_back(self, offset_ms: int) -> None:
        """Let the next nonce follow the last accepted one: those since were refused for the clock.

        A clock that was ahead would else be followed for as long as it was ahead. Accepted nonces
        that are themselves beyond the exchange's time, as it is now known, are left behind too.
        """
        with self._lock:
            now = _now_ms() + offset_ms
            if self._accepted > now + CLOCK_TOLERANCE_MS:
                self._accepted = 0
            self._last = self._accepted

    def is_ahead(self, offset_ms: int) -> bool:
        """Whether the sequence has run ahead of the clock, which refused nonces can make it do."""
        with self._lock:
            return self._last - (_now_ms() + offset_ms) > CLOCK_TOLERANCE_MS

    # -- in order on the wire ------------------------------------------------------------------

    def keep_in_order(self) -> None:
        """Send the calls of this key one by one from now on."""
        self._ordered_until = time.monotonic() + ORDERED_SECONDS

    @property
    def is_ordered(self) -> bool:
        """Whether a call waits for the answer to the one before."""
        return time.monotonic() < self._ordered_until

    def turn(self) -> Turn:
        """What a call holds while it is signed and written, or until it is answered."""
        return _KeyTurn(self)

    def take_over(self, wire: "Wire") -> None:
        """End the turn of a call that keeps it for too long; the others compete for a new one."""
        with self._lock:
            if self.wire is wire and wire.left() <= 0:
                self.wire = Wire()


class Wire:
    """A lock that knows since when it is held."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = math.inf

    def acquire(self, timeout: float) -> bool:
        """Wait at most so many seconds for it, and say whether it is held now."""
        if not self._lock.acquire(timeout=timeout):
            return False
        self._since = time.monotonic()
        return True

    def release(self) -> None:
        """Let the next one have it."""
        self._since = math.inf
        self._lock.release()

    def left(self) -> float:
        """For how many seconds more it may be held while somebody waits."""
        return TURN_SECONDS - max(0.0, time.monotonic() - self._since)


class _KeyTurn(Turn):
    def __init__(self, nonces: Nonces) -> None:
        self._nonces = nonces
        self._wire: Wire | None = None
        """What this turn holds."""

    def acquire(self, timeout: float) -> bool:
        ends = time.monotonic() + timeout
        while True:
            wire = self._nonces.wire
            left = ends - time.monotonic()
            if wire.acquire(max(0.0, min(left, wire.left()))):
                if wire is self._nonces.wire:
                    self._wire = wire
                    return True
                wire.release()
            elif wire.left() <= 0:
                self._nonces.take_over(wire)
            elif left <= 0:
                return False

    def written(self) -> None:
        if not self._nonces.is_ordered:
            self.release()

    def release(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.release()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


_by_key: dict[str, Nonces] = {}
_by_key_lock = threading.Lock()


def nonces_of(key: str | None) -> Nonces:
    """The sequence that every client of this process shares for an API key."""
    with _by_key_lock:
        return _by_key.setdefault(key or "", Nonces())
