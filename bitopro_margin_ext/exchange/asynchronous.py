"""The asynchronous margin exchange class, ``ccxt.async_support.bitopromargin``."""

import ccxt.async_support

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
from .awaiting import AwaitingSession, awaiting
from .parsing import MarginParsing


class bitopromargin(MarginParsing, AwaitingSession, ccxt.async_support.bitopro):  # type: ignore[misc]  # noqa: N801 - ccxt's naming
    """BitoPro with its cross-margin account as the default one; see each method."""

    cancel_all_orders = awaiting(cancelling.cancel_all_orders)
    cancel_all_margin_orders = awaiting(cancelling.cancel_all_margin_orders)
    cancel_order = awaiting(cancelling.cancel_order)
    cancel_orders = awaiting(cancelling.cancel_orders)
    cancel_orders_for_symbols = awaiting(cancelling.cancel_orders_for_symbols)
    cancel_and_confirm = awaiting(cancelling.cancel_and_confirm)
    create_order = awaiting(ordering.create_order)
    create_orders = awaiting(batch.create_orders)
    fetch_order = awaiting(fetching.fetch_order)
    fetch_open_orders = awaiting(fetching.fetch_open_orders)
    fetch_orders = awaiting(fetching.fetch_orders)
    fetch_closed_orders = awaiting(fetching.fetch_closed_orders)
    fetch_canceled_orders = awaiting(fetching.fetch_canceled_orders)
    fetch_canceled_and_closed_orders = awaiting(fetching.fetch_canceled_and_closed_orders)
    fetch_my_trades = awaiting(trades.fetch_my_trades)
    fetch_order_trades = awaiting(trades.fetch_order_trades)
    fetch_balance = awaiting(fetching.fetch_balance)
    fetch_margin_account = awaiting(account.fetch_margin_account)
    fetch_my_liquidations = awaiting(account.fetch_my_liquidations)
    calculate_ad_ratio = awaiting(account.calculate_ad_ratio)
    borrow_cross_margin = awaiting(lending.borrow_cross_margin)
    repay_cross_margin = awaiting(lending.repay_cross_margin)
    fetch_borrow_interest = awaiting(lending.fetch_borrow_interest)
    fetch_borrows = awaiting(lending.fetch_borrows)
    fetch_repays = awaiting(lending.fetch_repays)
    fetch_cross_borrow_rate = awaiting(lending.fetch_cross_borrow_rate)
    fetch_cross_borrow_rates = awaiting(lending.fetch_cross_borrow_rates)
    transfer = awaiting(transfers.transfer)
    fetch_transfers = awaiting(transfers.fetch_transfers)
    fetch_mark_price = awaiting(pricing.fetch_mark_price)
    fetch_mark_prices = awaiting(pricing.fetch_mark_prices)
    fetch_markets = awaiting(markets.fetch_markets)
