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

_last_nonces: dict[int, int] = {}
"""By clock offset: clients that correct their clocks differently must not push each other about."""
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
        now = time.time_ns() // 1_000_000 + offset_ms
        last = _last_nonces.get(offset_ms, 0)
        # A clock that was set back must be able to take the nonce back: only a run of calls
        # within the same few ms is pushed apart.
        nonce = last + 1 if 0 <= last - now < 1_000 else now
        _last_nonces[offset_ms] = nonce
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
