"""BitoPro's request signing: payload, signature, headers, and the nonces of a key.

Three headers sign a private call. The payload is base64 text: of ``{"identity", "nonce"}`` for GET,
DELETE and websockets, of exactly the JSON body for POST and PUT. The signature is the lower-case
hex HMAC-SHA384 of the payload text, keyed with the API secret.

BitoPro's newest texts say that a nonce must be *monotonically increasing*. So all clients of a key
draw from one sequence, a nonce is drawn immediately before its request is written, and once the
exchange has refused one for coming late, the key's calls are sent one after the other for a while.
"""

import base64
import collections
import hashlib
import hmac
import json
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .endpoints import Endpoint, pair_id
from .http_call import Turns
from .parse import is_order_id


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
    """Signs one call without a body, and signs it anew with the next nonce of its key.

    ``nonce`` is the last that it has used.
    """

    def __init__(
        self, key: str, secret: str, identity: str | None = None, offset_ms: int = 0
    ) -> None:
        self._key = key
        self._secret = secret
        self._identity = identity
        self._offset_ms = offset_ms
        self.nonces = nonces_of(key)
        self.nonce = 0

    def headers(self) -> dict[str, str]:
        """The three headers, with a nonce above every earlier one of the key."""
        self.nonce = self.nonces.next(self._offset_ms)
        return auth_headers(self._key, self._secret, nonce_document(self.nonce, self._identity))


class SignedHeaders(dict[str, str]):
    """The headers of a call with a nonce, and what signs it anew; a copy is a plain dict."""

    def __init__(self, signer: Signer) -> None:
        super().__init__(signer.headers())
        self.signer = signer

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


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
    headers = SignedHeaders(Signer(key, secret, identity, offset_ms))
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


class Nonces(Turns):
    """The nonces and turns of one key, for every client and thread of the process."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._last = 0
        self.written = 0
        """The newest one that is on the wire."""
        self.accepted: collections.deque[int] = collections.deque(maxlen=64)
        """Those that the exchange may have accepted, so that no later one may be below them."""

    def next(self, offset_ms: int = 0) -> int:
        """The current time in ms, corrected by ``offset_ms``, and above every earlier nonce."""
        with self._lock:
            self._last = max(_now_ms() + offset_ms, self._last + 1)
            return self._last

    def set_back(self, offset_ms: int) -> None:
        """Let the next nonce follow the last accepted one: those since were refused for the clock.

        A clock that was ahead would else be followed for as long as it was ahead. Accepted nonces
        that are themselves beyond the exchange's time, as it is now known, are left behind too.
        """
        with self._lock:
            now = _now_ms() + offset_ms
            if max(self.accepted, default=0) > now + CLOCK_TOLERANCE_MS:
                self.accepted.clear()
            self._last = self.written = max(self.accepted, default=0)

    def is_ahead(self, offset_ms: int) -> bool:
        """Whether the sequence has run ahead of the clock, which refused nonces can make it do."""
        with self._lock:
            return self._last - (_now_ms() + offset_ms) > CLOCK_TOLERANCE_MS


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


_by_key: dict[str, Nonces] = {}
_by_key_lock = threading.Lock()


def nonces_of(key: str | None) -> Nonces:
    """The sequence that every client of this process shares for an API key."""
    with _by_key_lock:
        found = _by_key.get(key or "")
        if found is None:
            found = _by_key[key or ""] = Nonces()
        return found
