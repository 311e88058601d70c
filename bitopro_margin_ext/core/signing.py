"""BitoPro's request signing: payload, signature, headers and nonces. Pure but for the clock.

Three headers sign a private call. The payload is base64 text: of ``{"identity", "nonce"}`` for GET,
DELETE and websockets, of exactly the JSON body for POST and PUT. The signature is the lower-case
hex HMAC-SHA384 of the payload text, keyed with the API secret.
"""

import base64
import hashlib
import hmac
import json
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from .endpoints import Endpoint
from .symbols import is_order_id, pair_id

SET_BACK_MS: Final = 1_000
"""What the wall clock must lose against the steady one to count as set back."""


_last_nonces: dict[int, tuple[int, int]] = {}
"""The last nonce, and how far the wall clock was from the steady one, by clock offset: clients that
correct their clocks differently must not push each other about.
"""

_nonce_lock = threading.Lock()


def dump_json(document: object) -> str:
    """Write JSON as it is signed and sent: compact, so that body and payload agree to the byte."""
    return json.dumps(document, separators=(",", ":"))


def encode_payload(text: str) -> str:
    """Base64 of the JSON text that is to be signed."""
    return base64.b64encode(text.encode()).decode()


def sign_payload(payload: str, secret: str) -> str:
    """Lower-case hex HMAC-SHA384 of the payload text."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha384).hexdigest()


def next_nonce(offset_ms: int = 0) -> int:
    """The current time in ms, corrected by ``offset_ms``, and never twice in this process.

    One counter serves every client of the process: two of them may hold the same key, and a nonce
    that was seen before is refused.
    """
    with _nonce_lock:
        wall, steady = time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000
        last, drift = _last_nonces.get(offset_ms, (0, wall - steady))
        now = wall + offset_ms
        # A clock that was set back must be able to take the nonce back with it.
        was_set_back = wall - steady < drift - SET_BACK_MS
        nonce = now if was_set_back else max(now, last + 1)
        _last_nonces[offset_ms] = (nonce, wall - steady)
        return nonce


def auth_headers(key: str, secret: str, text: str) -> dict[str, str]:
    """The three headers that sign ``text``, the JSON of a body or of an identity and nonce."""
    payload = encode_payload(text)
    return {
        "X-BITOPRO-APIKEY": key,
        "X-BITOPRO-PAYLOAD": payload,
        "X-BITOPRO-SIGNATURE": sign_payload(payload, secret),
    }


def nonce_document(identity: str | None = None, offset_ms: int = 0) -> str:
    """The JSON that signs a call without a body; ``identity`` is the account's email, if given."""
    document: dict[str, object] = {"identity": identity} if identity else {}
    document["nonce"] = next_nonce(offset_ms)
    return dump_json(document)


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
    text = nonce_document(identity, offset_ms)
    return HttpRequest(endpoint.method, url, auth_headers(key, secret, text), None)


def _segment(name: str, value: object) -> str:
    """A part of a path. An empty id would turn the cancel of one order into that of a pair."""
    text = str(value)
    if name == "pair":
        return pair_id(text)
    if value is None or not is_order_id(text):
        raise ValueError(f"{value!r} is not an order id")
    return text
