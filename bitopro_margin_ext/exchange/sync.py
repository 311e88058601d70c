"""The blocking margin exchange class, ``ccxt.bitopromargin``."""

import ccxt

from . import cancelling, fetching, ordering
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
    fetch_order = blocking(fetching.fetch_order)
    fetch_open_orders = blocking(fetching.fetch_open_orders)
    fetch_orders = blocking(fetching.fetch_orders)
    fetch_closed_orders = blocking(fetching.fetch_closed_orders)
    fetch_canceled_orders = blocking(fetching.fetch_canceled_orders)
    fetch_canceled_and_closed_orders = blocking(fetching.fetch_canceled_and_closed_orders)
    fetch_my_trades = blocking(fetching.fetch_my_trades)
    fetch_order_trades = blocking(fetching.fetch_order_trades)
    fetch_balance = blocking(fetching.fetch_balance)
