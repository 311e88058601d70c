"""One sound call of every unified method, by ccxt's name of it."""

from typing import Any

BTC = "BTC/USDT"

ORDER = {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.001, "price": 30000}

CALLS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "borrowCrossMargin": ("borrow_cross_margin", ("USDT", 1)),
    "calculateAdRatio": ("calculate_ad_ratio", ("borrow", "USDT", 1)),
    "cancelAllMarginOrders": ("cancel_all_margin_orders", (BTC,)),
    "cancelAllOrders": ("cancel_all_orders", (BTC,)),
    "cancelOrder": ("cancel_order", ("1", BTC)),
    "cancelOrders": ("cancel_orders", (["1"], BTC)),
    "cancelOrdersForSymbols": ("cancel_orders_for_symbols", ([{"id": "1", "symbol": BTC}],)),
    "createOrder": ("create_order", (BTC, "limit", "buy", 0.001, 30000)),
    "createOrders": ("create_orders", ([ORDER],)),
    "fetchBalance": ("fetch_balance", ()),
    "fetchBorrowInterest": ("fetch_borrow_interest", (None, None, None, None)),
    "fetchBorrows": ("fetch_borrows", ("USDT", None, None)),
    "fetchCanceledAndClosedOrders": ("fetch_canceled_and_closed_orders", (BTC, None, None)),
    "fetchCanceledOrders": ("fetch_canceled_orders", (BTC, None, None)),
    "fetchClosedOrders": ("fetch_closed_orders", (BTC, None, None)),
    "fetchCrossBorrowRate": ("fetch_cross_borrow_rate", ("USDT",)),
    "fetchCrossBorrowRates": ("fetch_cross_borrow_rates", ()),
    "fetchMarginAccount": ("fetch_margin_account", ()),
    "fetchMarkPrice": ("fetch_mark_price", (BTC,)),
    "fetchMarkPrices": ("fetch_mark_prices", ([BTC],)),
    "fetchMyLiquidations": ("fetch_my_liquidations", (BTC, None, None)),
    "fetchMyTrades": ("fetch_my_trades", (BTC, None, None)),
    "fetchOpenOrders": ("fetch_open_orders", (BTC, None, None)),
    "fetchOrder": ("fetch_order", ("1", BTC)),
    "fetchOrderTrades": ("fetch_order_trades", ("1", BTC, None, None)),
    "fetchOrders": ("fetch_orders", (BTC, None, None)),
    "fetchRepays": ("fetch_repays", ("USDT", None, None)),
    "fetchTransfers": ("fetch_transfers", ("USDT", None, None)),
    "repayCrossMargin": ("repay_cross_margin", ("USDT", 1)),
    "transfer": ("transfer", ("USDT", 1, "spot", "margin")),
    "watchBalance": ("watch_balance", ()),
    "watchMarkPrice": ("watch_mark_price", (BTC,)),
    "watchMarkPrices": ("watch_mark_prices", ([BTC],)),
    "watchMyTrades": ("watch_my_trades", (BTC, None, None)),
    "watchOrders": ("watch_orders", (BTC, None, None)),
}
"""Positional arguments up to where ``params`` comes."""
