"""The nonces of an API key: one rising sequence for the process, and in order on the wire.

BitoPro's newest texts say that a nonce must be *monotonically increasing*. So all clients of a key
draw from one sequence, a nonce is drawn immediately before its request is written, and once the
exchange has refused one for coming late, the key's calls are sent one after the other for a while.
"""

import contextlib
import threading
import time
from typing import Final

from .http_call import Turn

CLOCK_TOLERANCE_MS: Final = 1_000
"""What a ``Date`` header can be off by: it counts whole seconds, and was on its way."""
ORDERED_SECONDS: Final = 60.0
"""How long the calls of a key are sent one by one after the exchange refused one for coming late:
requests on two connections can overtake each other, whatever we do."""


class Nonces:
    """The nonces of one key, for every client and thread of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._accepted = 0
        """The highest one that the exchange may have accepted."""
        self._ordered_until = 0.0
        self._wire = threading.Lock()

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
        return _KeyTurn(self, self._wire)


class _KeyTurn(Turn):
    def __init__(self, nonces: Nonces, wire: threading.Lock) -> None:
        self._nonces = nonces
        self._wire = wire
        self._is_held = False

    def acquire(self, timeout: float) -> bool:
        self._is_held = self._wire.acquire(timeout=max(0.0, timeout))
        return self._is_held

    def written(self) -> None:
        if not self._nonces.is_ordered:
            self.release()

    def release(self) -> None:
        if self._is_held:
            self._is_held = False
            with contextlib.suppress(RuntimeError):
                self._wire.release()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


_by_key: dict[str, Nonces] = {}
_by_key_lock = threading.Lock()


def nonces_of(key: str | None) -> Nonces:
    """The sequence that every client of this process shares for an API key."""
    with _by_key_lock:
        return _by_key.setdefault(key or "", Nonces())
