"""BitoPro's request signing: payload, signature and headers. Pure but for the nonces.

Three headers sign a private call. The payload is base64 text: of ``{"identity", "nonce"}`` for GET,
DELETE and websockets, of exactly the JSON body for POST and PUT. The signature is the lower-case
hex HMAC-SHA384 of the payload text, keyed with the API secret.
"""

import base64
import hashlib
import hmac
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any, NamedTuple

from .endpoints import Endpoint
from .nonces import nonces_of
from .symbols import is_order_id, pair_id


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
