"""After a crash: an exit that reached the exchange, but not the database."""

import logging
from typing import Any

from freqtrade.persistence import Order, Trade

from . import positions
from .exits import EMERGENCY_EXIT

logger = logging.getLogger(__name__)


def adopt_lost_exit(bot: Any, trade: Any, amount: float) -> bool:
    """Take in an exit order of this amount that the bot placed and then had no time to note.

    Sending the exit again would sell twice. Freqtrade looks for such an order only when the
    balance is missing, which other holdings of the same currency hide.

    :returns: whether there was one.
    :raises freqtrade.exceptions.ExchangeError: when the exchange cannot be asked.
    """
    placed = float(bot.exchange.amount_to_precision(trade.pair, amount))
    for end in bot.exchange.fetch_orders(trade.pair, trade.date_last_filled_utc):
        if (
            end["side"] != trade.exit_side
            or not positions.same_amount(end["amount"] or 0.0, placed)
            or (end["status"] != "open" and not end["filled"])
            or positions.find_order(trade.pair, end["id"]) is not None
        ):
            continue
        logger.warning(f"The exit order {end['id']} of {trade.pair} was lost in the crash: found.")
        order = Order.parse_from_ccxt_object(
            end, trade.pair, trade.exit_side, amount, end["price"] or end["average"]
        )
        order.ft_order_tag = trade.exit_reason = EMERGENCY_EXIT
        trade.orders.append(order)
        Trade.commit()
        bot.update_trade_state(trade, order.order_id, end)
        return True
    return False
