"""Names on the wire: pairs, order ids and client ids."""

import re
import secrets
from typing import Final

MAX_CLIENT_ID: Final = 2147483647
"""``clientId`` is an integer from 1 to this."""


OrderKey = tuple[str, str]
"""What names an order: its symbol and its id, since an id alone may be another pair's as well."""

_PAIR: Final = re.compile(r"([A-Za-z0-9]+)[/_]([A-Za-z0-9]+)")

_ORDER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


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
