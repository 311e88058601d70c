"""What BitoPro's pages show, as the answers of a server."""

from typing import Any

from tests.data import example

PAIR = {
    "quotePrecision": "2",
    "basePrecision": "8",
    "amountPrecision": "8",
    "minLimitBaseAmount": "0.0001",
    "maxLimitBaseAmount": "1000",
    "minMarketBuyQuoteAmount": "5",
    "orderOpenLimit": "200",
    "maintain": False,
    "orderBookQuotePrecision": "2",
    "orderBookQuoteScaleLevel": "5",
}
PAIRS = {
    "data": [
        {"pair": f"{base}_{quote}", "base": base, "quote": quote, **PAIR}
        for base, quote in (("btc", "usdt"), ("eth", "usdt"), ("eth", "btc"), ("doge", "usdt"))
    ]
}
CURRENCIES = {
    "data": [
        {
            "currency": currency,
            "withdrawFee": "0.3",
            "minWithdraw": "10",
            "maxWithdraw": "300000",
            "maxDailyWithdraw": "500000",
            "withdraw": True,
            "deposit": True,
            "depositConfirmation": "15",
        }
        for currency in ("BTC", "ETH", "DOGE", "USDT (ETH-ERC20)", "USDT (BSC-BEP20)")
    ]
}
BY_THE_BOOK: dict[tuple[str, str], Any] = {
    ("GET", "/provisioning/currencies"): CURRENCIES,
    ("GET", "/provisioning/trading-pairs"): PAIRS,
    ("GET", "/margin/provisioning/borrow"): example("margin_get_borrow_provisioning"),
    ("GET", "/margin/balances"): example("margin_get_margin_account_balance"),
    ("GET", "/margin/mark-price"): example("margin_get_mark_price"),
    ("GET", "/margin/user-borrows"): example("margin_list_user_borrow"),
    ("GET", "/margin/user-repays"): example("margin_list_user_repays"),
    ("GET", "/margin/user-liquidations"): example("margin_list_user_liquidations"),
    ("GET", "/history/user-transfers"): example("margin_list_user_transfers"),
    ("GET", "/margin/orders/trades/btc_usdt"): example("margin_get_trades_data"),
    ("GET", "/margin/orders/all/btc_usdt"): example("margin_get_orders_data"),
    ("GET", "/margin/orders/orders/open"): example("margin_get_open_orders_data"),
    ("GET", "/margin/orders/btc_usdt/9296847601"): example("margin_get_an_order_data"),
    ("POST", "/margin/borrow"): example("margin_borrow"),
    ("POST", "/margin/repay"): example("margin_repay"),
    ("POST", "/margin/transfer"): example("margin_transfer"),
    ("POST", "/margin/calculate/ad-ratio"): example("margin_calculate_ad_ratio"),
    ("POST", "/margin/orders/batch"): example("margin_create_batch_orders"),
    ("PUT", "/margin/orders"): example("margin_cancel_batch_orders"),
}
