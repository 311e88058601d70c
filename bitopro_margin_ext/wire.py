"""Unified words into BitoPro's: pairs, symbols and the parts of a signed request. Pure."""

import re
import secrets
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from . import signing
from .endpoints import Endpoint

MAX_CLIENT_ID: Final = 2147483647
"""``clientId`` is an integer from 1 to this."""

_PAIR: Final = re.compile(r"([A-Za-z0-9]+)[/_]([A-Za-z0-9]+)")
_ORDER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

Body = Mapping[str, Any] | list[Any]


def parse_pair(symbol: str) -> tuple[str, str]:
    """Split ``BTC/USDT`` (or the exchange's own ``btc_usdt``) into upper-case base and quote.

    :raises ValueError: for everything else, so that no typing error can widen a cancel-all.
    """
    match = _PAIR.fullmatch(symbol)
    if match is None:
        raise ValueError(f"{symbol!r} is not a pair: write it like BTC/USDT")
    return match[1].upper(), match[2].upper()


def pair_id(symbol: str) -> str:
    """``btc_usdt``, as the exchange writes pairs in paths and orders."""
    return "_".join(parse_pair(symbol)).lower()


def batch_pair_id(symbol: str) -> str:
    """``BTC_USDT``, as the exchange writes pairs around lists of order ids."""
    return "_".join(parse_pair(symbol))


def pair_symbol(pair: str) -> str:
    """``BTC/USDT``, the unified symbol of a pair in either spelling."""
    return "/".join(parse_pair(pair))


def is_order_id(text: str) -> bool:
    """Whether a text can be an order's id; one that cannot might change the path of a call."""
    return _ORDER_ID.fullmatch(text) is not None


def new_client_id() -> int:
    """A random ``clientId``: what finds an order again whose creation did not answer."""
    return secrets.randbelow(MAX_CLIENT_ID) + 1


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
        text = signing.dump_json(rest)
        headers = {"Content-Type": "application/json", **signing.auth_headers(key, secret, text)}
        return HttpRequest(endpoint.method, url, headers, text)
    if rest:
        url += "?" + urllib.parse.urlencode(dict(rest) if isinstance(rest, Mapping) else {})
    text = signing.nonce_document(identity, offset_ms)
    return HttpRequest(endpoint.method, url, signing.auth_headers(key, secret, text), None)


def _segment(name: str, value: object) -> str:
    """A part of a path. An empty id would turn the cancel of one order into that of a pair."""
    text = str(value)
    if name == "pair":
        return pair_id(text)
    if value is None or not is_order_id(text):
        raise ValueError(f"{value!r} is not an order id")
    return text
