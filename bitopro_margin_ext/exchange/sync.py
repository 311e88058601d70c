"""The blocking margin exchange class, ``ccxt.bitopromargin``."""

import ccxt

from . import (
    account,
    batch,
    cancelling,
    fetching,
    lending,
    markets,
    ordering,
    pricing,
    trades,
    transfers,
)
from .blocking import BlockingSession, blocking
from .parsing import MarginParsing


class bitopromargin(MarginParsing, BlockingSession, ccxt.bitopro):  # type: ignore[misc]  # noqa: N801 - ccxt's naming
    """BitoPro with its cross-margin account as the default one; see each method."""

    cancel_all_orders = blocking(cancelling.cancel_all_orders)
    cancel_all_margin_orders = blocking(cancelling.cancel_all_margin_orders)
    cancel_order = blocking(cancelling.cancel_order)
    cancel_orders = blocking(cancelling.cancel_orders)
    cancel_orders_for_symbols = blocking(cancelling.cancel_orders_for_symbols)
    cancel_and_confirm = blocking(cancelling.cancel_and_confirm)
    create_order = blocking(ordering.create_order)
    create_orders = blocking(batch.create_orders)
    fetch_order = blocking(fetching.fetch_order)
    fetch_open_orders = blocking(fetching.fetch_open_orders)
    fetch_orders = blocking(fetching.fetch_orders)
    fetch_closed_orders = blocking(fetching.fetch_closed_orders)
    fetch_canceled_orders = blocking(fetching.fetch_canceled_orders)
    fetch_canceled_and_closed_orders = blocking(fetching.fetch_canceled_and_closed_orders)
    fetch_my_trades = blocking(trades.fetch_my_trades)
    fetch_order_trades = blocking(trades.fetch_order_trades)
    fetch_balance = blocking(fetching.fetch_balance)
    fetch_margin_account = blocking(account.fetch_margin_account)
    fetch_my_liquidations = blocking(account.fetch_my_liquidations)
    calculate_ad_ratio = blocking(account.calculate_ad_ratio)
    borrow_cross_margin = blocking(lending.borrow_cross_margin)
    repay_cross_margin = blocking(lending.repay_cross_margin)
    fetch_borrow_interest = blocking(lending.fetch_borrow_interest)
    fetch_borrows = blocking(lending.fetch_borrows)
    fetch_repays = blocking(lending.fetch_repays)
    fetch_cross_borrow_rate = blocking(lending.fetch_cross_borrow_rate)
    fetch_cross_borrow_rates = blocking(lending.fetch_cross_borrow_rates)
    transfer = blocking(transfers.transfer)
    fetch_transfers = blocking(transfers.fetch_transfers)
    fetch_mark_price = blocking(pricing.fetch_mark_price)
    fetch_mark_prices = blocking(pricing.fetch_mark_prices)
    fetch_markets = blocking(markets.fetch_markets)
