"""The asynchronous margin exchange class, ``ccxt.async_support.bitopromargin``."""

import ccxt.async_support

from . import cancelling, fetching, ordering
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
    fetch_order = awaiting(fetching.fetch_order)
    fetch_open_orders = awaiting(fetching.fetch_open_orders)
    fetch_orders = awaiting(fetching.fetch_orders)
    fetch_closed_orders = awaiting(fetching.fetch_closed_orders)
    fetch_canceled_orders = awaiting(fetching.fetch_canceled_orders)
    fetch_canceled_and_closed_orders = awaiting(fetching.fetch_canceled_and_closed_orders)
    fetch_my_trades = awaiting(fetching.fetch_my_trades)
    fetch_order_trades = awaiting(fetching.fetch_order_trades)
    fetch_balance = awaiting(fetching.fetch_balance)
