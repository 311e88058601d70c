"""The names on BitoPro's wire: endpoints and streams, each with its page; pairs, and ids.

The one table of the margin endpoints has their method, path, documented limit and cost.
"""

import functools
import re
import secrets
from typing import Final, NamedTuple

from .assumptions import OPEN_ORDERS_PATHS, USER_TRADES_STREAMS

REST_URL: Final = "https://api.bitopro.com/v3"

STREAM_URL: Final = "wss://stream.bitopro.com:443/ws/v1/pub"

SANDBOX_URL: Final = "http://127.0.0.1:8650"
"""Where ``bitopro-margin sandbox`` listens unless told otherwise."""

SANDBOX_URL_VARIABLE: Final = "BITOPRO_SANDBOX_URL"


DOCS: Final = (
    "https://github.com/bitoex/bitopro-offical-api-docs"
    "/blob/8a1588d9ab23a8ce5ec716c0b77eb00578946ff6/"
)
"""v3.5.17, the only version of the pages with margin in it; no branch leads there."""


GENERAL_LIMIT: Final = "600/min per IP and per account"


class Endpoint(NamedTuple):
    """One private endpoint; ``path`` is relative to the API base, with ``{placeholders}``."""

    method: str
    path: str
    page: str
    limit: str
    cost: float
    unified: tuple[str, ...]
    cancels_all: bool
    placeholders: tuple[str, ...]
    """The names in the path that a call must fill, in order."""
    implicit: str
    """ccxt's camelCase name of the endpoint's implicit method."""
    implicit_snake: str
    """ccxt's snake_case name of the same method."""

    @property
    def documentation(self) -> str:
        """The address of BitoPro's page about the endpoint."""
        return f"{DOCS}api/v3/private/{self.page}"


def _endpoint(
    method: str,
    path: str,
    page: str,
    limit: str = GENERAL_LIMIT,
    cost: float = 1.0,
    unified: tuple[str, ...] = (),
    cancels_all: bool = False,
) -> Endpoint:
    words = re.findall(r"[A-Za-z0-9]+", path)
    capitals = "".join(word[0].upper() + word[1:] for word in words)
    return Endpoint(
        method,
        path,
        page,
        limit,
        cost,
        unified,
        cancels_all,
        placeholders=tuple(re.findall(r"{(\w+)}", path)),
        implicit=f"private{method.capitalize()}{capitals}",
        implicit_snake="_".join(("private", method, *words)).lower(),
    )


CANCEL_ALL_LIMIT: Final = "1/s per IP, 2/s per IP and UID"


CANCEL_ALL = _endpoint(
    "DELETE",
    "margin/orders/all",
    "margin_cancel_all_orders.md",
    CANCEL_ALL_LIMIT,
    unified=("cancelAllOrders", "cancel_all_margin_orders"),
    cancels_all=True,
)

CANCEL_PAIR = _endpoint(
    "DELETE",
    "margin/orders/{pair}",
    "margin_cancel_all_orders.md",
    CANCEL_ALL_LIMIT,
    unified=("cancelAllOrders", "cancel_all_margin_orders"),
    cancels_all=True,
)

CANCEL_ORDER = _endpoint(
    "DELETE",
    "margin/orders/{pair}/{orderId}",
    "margin_cancel_an_order.md",
    "900/min",
    unified=("cancelOrder",),
)

CANCEL_BATCH = _endpoint(
    "PUT",
    "margin/orders",
    "margin_cancel_batch_orders.md",
    "2/s per IP",
    cost=5.0,
    unified=("cancelOrders",),
)

CREATE_ORDER = _endpoint(
    "POST",
    "margin/orders/{pair}",
    "margin_create_an_order.md",
    "1200/min",
    unified=("createOrder",),
)

CREATE_BATCH = _endpoint(
    "POST",
    "margin/orders/batch",
    "margin_create_batch_orders.md",
    "90/min",
    cost=20 / 3,
    unified=("createOrders",),
)

FETCH_ORDER = _endpoint(
    "GET", "margin/orders/{pair}/{orderId}", "margin_get_an_order_data.md", unified=("fetchOrder",)
)

OPEN_ORDERS = _endpoint(
    "GET",
    OPEN_ORDERS_PATHS[0],
    "margin_get_open_orders_data.md",
    "5/s",
    cost=2.0,
    unified=("fetchOpenOrders",),
)

OPEN_ORDERS_FALLBACK = _endpoint(
    "GET", OPEN_ORDERS_PATHS[1], "margin_get_open_orders_data.md", "5/s", cost=2.0
)

ORDERS = _endpoint(
    "GET",
    "margin/orders/all/{pair}",
    "margin_get_orders_data.md",
    unified=("fetchOrders", "fetchClosedOrders", "fetchCanceledOrders"),
)

TRADES = _endpoint(
    "GET",
    "margin/orders/trades/{pair}",
    "margin_get_trades_data.md",
    unified=("fetchMyTrades", "fetchOrderTrades"),
)

BALANCES = _endpoint(
    "GET",
    "margin/balances",
    "get_margin_acccount_balance.md",
    unified=("fetchBalance", "fetch_margin_account", "fetchBorrowInterest"),
)

BORROW = _endpoint("POST", "margin/borrow", "borrow.md", unified=("borrowCrossMargin",))

REPAY = _endpoint("POST", "margin/repay", "repay.md", unified=("repayCrossMargin",))

TRANSFER = _endpoint("POST", "margin/transfer", "transfer.md", unified=("transfer",))

CALCULATE_AD_RATIO = _endpoint(
    "POST", "margin/calculate/ad-ratio", "calculate_ad_ratio.md", unified=("calculate_ad_ratio",)
)

BORROW_PROVISIONING = _endpoint(
    "GET",
    "margin/provisioning/borrow",
    "get_borrow_provisioning.md",
    unified=("fetchCrossBorrowRate", "fetchCrossBorrowRates"),
)

MARK_PRICE = _endpoint(
    "GET", "margin/mark-price", "get_mark_price.md", unified=("fetchMarkPrice", "fetchMarkPrices")
)

USER_BORROWS = _endpoint(
    "GET", "margin/user-borrows", "list_user_borrow.md", unified=("fetch_borrows",)
)

USER_REPAYS = _endpoint(
    "GET", "margin/user-repays", "list_user_repays.md", unified=("fetch_repays",)
)

USER_LIQUIDATIONS = _endpoint(
    "GET",
    "margin/user-liquidations",
    "list_user_liquidations.md",
    unified=("fetchMyLiquidations",),
)

USER_TRANSFERS = _endpoint(
    "GET", "history/user-transfers", "list_user_transfers.md", unified=("fetchTransfers",)
)


ENDPOINTS: Final = (
    CANCEL_ALL,
    CANCEL_PAIR,
    CANCEL_ORDER,
    CANCEL_BATCH,
    CREATE_ORDER,
    CREATE_BATCH,
    FETCH_ORDER,
    OPEN_ORDERS,
    OPEN_ORDERS_FALLBACK,
    ORDERS,
    TRADES,
    BALANCES,
    BORROW,
    REPAY,
    TRANSFER,
    CALCULATE_AD_RATIO,
    BORROW_PROVISIONING,
    MARK_PRICE,
    USER_BORROWS,
    USER_REPAYS,
    USER_LIQUIDATIONS,
    USER_TRANSFERS,
)


BY_PATH: Final = {(endpoint.method, endpoint.path): endpoint for endpoint in ENDPOINTS}


class OpenOrdersPath:
    """Which of the two spellings of the open-orders path this client's exchange answers to."""

    def __init__(self) -> None:
        self.candidates: tuple[Endpoint, ...] = (OPEN_ORDERS, OPEN_ORDERS_FALLBACK)
        """The paths to try, in order: the documented one, or the one that was seen to work."""

    def remember(self, endpoint: Endpoint) -> None:
        """Keep to ``endpoint`` once it answered where the documented path did not."""
        if endpoint is not OPEN_ORDERS:
            self.candidates = (endpoint,)


class Stream(NamedTuple):
    """One websocket stream; ``path`` is relative to the public or the private stream address."""

    path: str
    page: str
    unified: tuple[str, ...] = ()
    private: bool = True

    @property
    def documentation(self) -> str:
        """The address of BitoPro's page about the stream."""
        return f"{DOCS}ws/{'private' if self.private else 'public'}/{self.page}"


ACTIVE_ORDERS_STREAM = Stream(
    "margin/orders", "margin_active_orders_stream.md", unified=("watchOrders",)
)

HISTORY_ORDERS_STREAM = Stream(
    "margin/orders/histories", "margin_history_orders_stream.md", unified=("watchOrders",)
)

USER_TRADES_STREAM, USER_TRADES_STREAM_FALLBACK = (
    Stream(path, "margin_user_trades_stream.md", unified=("watchMyTrades",))
    for path in USER_TRADES_STREAMS
)

ACCOUNT_INFO_STREAM = Stream(
    "margin/account-info", "margin_account_info_stream.md", unified=("watchBalance",)
)

MARK_PRICE_STREAM = Stream(
    "margin/mark-price",
    "margin%20mark-price_stream.md",
    unified=("watchMarkPrice", "watchMarkPrices"),
    private=False,
)


STREAMS: Final = (
    ACTIVE_ORDERS_STREAM,
    HISTORY_ORDERS_STREAM,
    USER_TRADES_STREAM,
    USER_TRADES_STREAM_FALLBACK,
    ACCOUNT_INFO_STREAM,
    MARK_PRICE_STREAM,
)


# -- pairs, order ids and client ids ---------------------------------------------------------------

MAX_CLIENT_ID: Final = 2147483647
"""``clientId`` is an integer from 1 to this."""


OrderKey = tuple[str, str]
"""What names an order: its symbol and its id, since an id alone may be another pair's as well."""

_PAIR: Final = re.compile(r"([A-Za-z0-9]+)[/_]([A-Za-z0-9]+)")


@functools.lru_cache(1024)
def parse_pair(symbol: str) -> tuple[str, str]:
    """Split ``BTC/USDT`` (or the exchange's own ``btc_usdt``) into upper-case base and quote.

    :raises ValueError: for everything else, so that no typing error can widen a cancel-all.
    """
    match = _PAIR.fullmatch(symbol)
    if match is None:
        raise ValueError(f"{symbol!r} is not a pair: write it like BTC/USDT")
    return match[1].upper(), match[2].upper()


@functools.lru_cache(1024)
def pair_id(symbol: str) -> str:
    """``btc_usdt``, as the exchange writes pairs in paths and orders."""
    return "_".join(parse_pair(symbol)).lower()


@functools.lru_cache(1024)
def batch_pair_id(symbol: str) -> str:
    """``BTC_USDT``, as the exchange writes pairs around lists of order ids."""
    return "_".join(parse_pair(symbol))


@functools.lru_cache(1024)
def pair_symbol(pair: str) -> str:
    """``BTC/USDT``, the unified symbol of a pair in either spelling."""
    return "/".join(parse_pair(pair))


def new_client_id() -> int:
    """A random ``clientId``: what finds an order again whose creation did not answer."""
    return secrets.randbelow(MAX_CLIENT_ID) + 1
