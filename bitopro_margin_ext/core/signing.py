"""BitoPro's request signing: payload, signature, headers, and the nonces of a key.

Three headers sign a private call. The payload is base64 text: of ``{"identity", "nonce"}`` for GET,
DELETE and websockets, of exactly the JSON body for POST and PUT. The signature is the lower-case
hex HMAC-SHA384 of the payload text, keyed with the API secret.

BitoPro's newest texts say that a nonce must be *monotonically increasing*. So all clients of a key
draw from one sequence, a nonce is drawn immediately before its request is written, and once the
exchange has refused one for coming late, the key's calls are sent one after the other for a while.
"""

import base64
import hashlib
import hmac
import json
import math
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .endpoints import Endpoint, is_order_id, pair_id
from .http_call import Turn


def dump_json(document: object) -> str:
    """Write JSON as it is signed and sent: compact, so that body and payload agree to the byte."""
    return json.dumps(document, separators=(",", ":"))


def encode_payload(text: str) -> str:
    """Base64 of the JSON text that is to be signed."""
    return base64.b64encode(text.encode()).decode()


def sign_payload(payload: str, secret: str) -> str:
    """Lower-case hex HMAC-SHA384 of the payload text."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha384).hexdigest()


def auth_headers(key: str, secret: str, text: str) -> dict[str, str]:
    """The three headers that sign ``text``, the JSON of a body or of an identity and nonce."""
    payload = encode_payload(text)
    return {
        "X-BITOPRO-APIKEY": key,
        "X-BITOPRO-PAYLOAD": payload,
        "X-BITOPRO-SIGNATURE": sign_payload(payload, secret),
    }


def nonce_document(nonce: int, identity: str | None = None) -> str:
    """The JSON that signs a call without a body; ``identity`` is the account's email, if given."""
    document: dict[str, object] = {"identity": identity} if identity else {}
    document["nonce"] = nonce
    return dump_json(document)


class Signer:
    """Signs the calls without a body of one key, each with its next nonce.

    A signer serves one call: ``nonce`` is the last that it has used.
    """

    def __init__(
        self, key: str, secret: str, identity: str | None = None, offset_ms: int = 0
    ) -> None:
        self._key = key
        self._secret = secret
        self._identity = identity
        self._offset_ms = offset_ms
        self.nonces = nonces_of(key)
        self.nonce: int | None = None

    def headers(self) -> dict[str, str]:
        """The three headers, with a nonce above every earlier one of the key."""
        self.nonce = self.nonces.next(self._offset_ms)
        return auth_headers(self._key, self._secret, nonce_document(self.nonce, self._identity))

    def accept(self) -> None:
        """Note that the exchange did not refuse the nonce, as far as anybody knows."""
        if self.nonce is not None:
            self.nonces.accept(self.nonce)


Body = Mapping[str, Any] | list[Any]


class HttpRequest(NamedTuple):
    """What goes over the wire for one signed call."""

    method: str
    url: str
    headers: dict[str, str]
    body: str | None


def build_request(
    endpoint: Endpoint,
    params: Body,
    *,
    base_url: str,
    key: str,
    secret: str,
    identity: str | None = None,
    offset_ms: int = 0,
) -> HttpRequest:
    """Place ``params`` where the endpoint wants them and sign the result.

    Placeholders are taken from ``params``; the rest is the query of a GET or DELETE and the body
    of a POST or PUT. A body is sent exactly as it was signed.

    :raises KeyError: when a placeholder has no value.
    :raises ValueError: when a value would make another path of it, and so another call.
    """
    rest: Body = params
    url = f"{base_url}/{endpoint.path}"
    if endpoint.placeholders:
        if not isinstance(params, Mapping):
            raise KeyError(endpoint.placeholders[0])
        values = {name: _segment(name, params[name]) for name in endpoint.placeholders}
        url = f"{base_url}/{endpoint.path.format(**values)}"
        rest = {name: value for name, value in params.items() if name not in values}
    if endpoint.method in ("POST", "PUT"):
        text = dump_json(rest)
        headers = {"Content-Type": "application/json", **auth_headers(key, secret, text)}
        return HttpRequest(endpoint.method, url, headers, text)
    if rest:
        url += "?" + urllib.parse.urlencode(dict(rest) if isinstance(rest, Mapping) else {})
    headers = Signer(key, secret, identity, offset_ms).headers()
    return HttpRequest(endpoint.method, url, headers, None)


def _segment(name: str, value: object) -> str:
    """A part of a path. An empty id would turn the cancel of one order into that of a pair."""
    text = str(value)
    if name == "pair":
        return pair_id(text)
    if value is None or not is_order_id(text):
        raise ValueError(f"{value!r} is not an order id")
    return text


# -- nonces ----------------------------------------------------------------------------------------

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
