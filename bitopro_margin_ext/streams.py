"""The one table of BitoPro's margin streams: path, page and unified method."""

from typing import Final, NamedTuple

from .ambiguities import USER_TRADES_STREAMS
from .endpoints import DOCS


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
