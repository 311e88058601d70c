"""Who is calling, and how often: the three headers, and the documented rate limits."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .state import ApiKey, Exchange, Reason
from .state.order_history import Change, WasReset

KEY_HEADER = "x-bitopro-apikey"
PAYLOAD_HEADER = "x-bitopro-payload"
SIGNATURE_HEADER = "x-bitopro-signature"
SECRET_HEADERS = (PAYLOAD_HEADER, SIGNATURE_HEADER)


def sign(payload: str, secret: str) -> str:
    """Return the signature that a payload must have: lower-case hex HMAC-SHA384."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha384).hexdigest()


class Authenticator:
    """Checks signatures and nonces, and remembers which nonces were used.

    A nonce may be used once a key and a place (``rest``, or the path of a stream): a client that
    opens several streams in the same millisecond replays nothing.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._seen: dict[tuple[str, str], dict[int, None]] = {}
        self._highest: dict[str, int] = {}
        exchange.listen(self._forget_on_reset)

    def admit_rest(
        self, method: str, headers: Mapping[str, str], body: bytes, shift_ms: int
    ) -> ApiKey:
        """Return the key that signed a REST call, or refuse."""
        key, raw = self._signed(headers)
        if method in ("POST", "PUT"):
            if raw != body:
                raise Reason.INVALID_SIGNATURE()
            return key
        self._check_claims(key, raw, "rest", shift_ms, identity_required=False)
        return key

    def admit_stream(self, path: str, headers: Mapping[str, str], shift_ms: int) -> ApiKey:
        """Return the key that signed a handshake, or refuse; here the identity is required."""
        key, raw = self._signed(headers)
        self._check_claims(key, raw, path, shift_ms, identity_required=True)
        return key

    def _signed(self, headers: Mapping[str, str]) -> tuple[ApiKey, bytes]:
        key = self._exchange.keys.get(headers.get(KEY_HEADER, ""))
        if key is None or key.revoked:
            raise Reason.INVALID_KEY()
        payload = headers.get(PAYLOAD_HEADER, "")
        signature = headers.get(SIGNATURE_HEADER, "")
        expected = sign(payload, key.secret)
        if not payload or not hmac.compare_digest(signature.encode(), expected.encode()):
            raise Reason.INVALID_SIGNATURE()
        try:
            # BitoPro's own SDK uses the URL-safe alphabet, ccxt the standard one.
            text = payload.replace("-", "+").replace("_", "/")
            return key, base64.b64decode(text, validate=True)
        except binascii.Error:
            raise Reason.INVALID_SIGNATURE() from None

    def _check_claims(
        self, key: ApiKey, raw: bytes, place: str, shift_ms: int, *, identity_required: bool
    ) -> None:
        try:
            claims = json.loads(raw)
        except ValueError:
            raise Reason.INVALID_SIGNATURE() from None
        nonce = claims.get("nonce") if isinstance(claims, dict) else None
        if isinstance(nonce, bool) or not isinstance(nonce, int):
            raise Reason.INVALID_NONCE()
        switches = self._exchange.switches
        identity = claims.get("identity")
        if identity and identity != key.email:
            raise Reason.INVALID_IDENTITY()
        if not identity and (identity_required or switches.require_identity):
            raise Reason.INVALID_IDENTITY()
        now = self._exchange.clock.now_ms() + shift_ms
        if abs(nonce - now) > switches.nonce_window_ms:
            raise Reason.CLOCK_MISMATCH()
        with self._exchange.lock:
            if switches.rising_nonces and nonce <= self._highest.get(key.key, 0):
                # The text is that of a wrong clock; only the Date header shows that it is not.
                raise Reason.CLOCK_MISMATCH()
            self._highest[key.key] = max(nonce, self._highest.get(key.key, 0))
            seen = self._seen.setdefault((key.key, place), {})
            if nonce in seen and switches.refuse_replayed_nonce:
                raise Reason.INVALID_NONCE()
            seen[nonce] = None
            # Older ones fall outside the window and are refused as such.
            while len(seen) > 50_000:
                del seen[next(iter(seen))]

    def _forget_on_reset(self, change: Change) -> None:
        if isinstance(change, WasReset):
            self._seen.clear()
            self._highest.clear()


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
