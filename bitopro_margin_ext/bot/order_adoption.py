"""Write the rows of orders that Freqtrade has none of, as it would have written them itself.

An order that was found late (see ``unconfirmed_orders``) gets its ``Trade`` and ``Order`` as if its
creation had been answered. What became of it since is then Freqtrade's to ask, as of every order.
"""

import logging
from typing import Any

import ccxt
from freqtrade.exceptions import InvalidOrderException
from freqtrade.persistence import Order, Trade
from freqtrade.util import dt_from_ts

from ..exchange import call_scope
from . import freqtrade_internals, positions
from .order_intents import entry_terms
from .order_journal import UnconfirmedOrder
from .sweeps import warn
from .unconfirmed_orders import as_accepted, is_over

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How long all look-ups of one iteration may take: they are made before the bot's exits."""


def adopt_unconfirmed(bot: Any) -> None:
    """Look for every unconfirmed order of the bot, and write the rows of those that are found.

    One that cannot be asked for, or not be written, is left for the next iteration. The caller
    holds the bot's exit lock.
    """
    unconfirmed = bot.exchange.unconfirmed
    if not len(unconfirmed.journal):
        return
    unconfirmed.forget_recorded()
    api = freqtrade_internals.ccxt_api(bot.exchange)
    with call_scope.deadline(LOOK_SECONDS):
        for order in unconfirmed.journal.all():
            try:
                found = unconfirmed.look_up(api, order)
            except ccxt.BaseError as error:
                logger.warning(f"{order.pair}: an unconfirmed order cannot be asked for: {error}")
                continue
            if found is None:
                if unconfirmed.is_absent(order):
                    logger.warning(
                        f"{order.pair}: the {order.kind} with clientOrderId {order.client_id} did"
                        " not arrive: the exchange lists no such order."
                    )
                    unconfirmed.remove(order)
                continue
            try:
                if not positions.is_recorded(order.pair, found["id"]):
                    _adopt(bot, order, found)
                unconfirmed.remove(order)
            except Exception:
                logger.exception(
                    f"{order.pair}: order {found['id']} could not be adopted; the next iteration"
                    " tries again."
                )
                Trade.rollback()


def _adopt(bot: Any, order: UnconfirmedOrder, found: dict[str, Any]) -> None:
    trade = None if order.trade_id is None else positions.own_trade(order.trade_id)
    if order.kind == "entry":
        _adopt_entry(bot, order, found, trade if trade is not None and trade.is_open else None)
        kept = True
    elif trade is None or not trade.is_open:
        kept = False
        _cancel_if_open(bot, order, found)
    else:
        kept = True
        remaining = float(found["remaining"] or 0.0)
        if positions.exceeds(positions.resting_exits(trade) + remaining, trade.amount):
            # Another order was sent meanwhile: both together would be more than the position.
            _cancel_if_open(bot, order, found)
        _adopt_exit(bot, order, found, trade)
    what = f"The {order.kind} order {found['id']} of {order.pair} was placed without an answer"
    filled = f"{found['status']}, {found['filled'] or 0:g} of {found['amount'] or 0:g} filled"
    end = "it is tracked now" if kept else "its trade is closed: look at it on BitoPro"
    warn(bot, f"{what}: found ({filled}), {end}.")


def _cancel_if_open(bot: Any, order: UnconfirmedOrder, found: dict[str, Any]) -> None:
    if is_over(found):
        return
    try:
        bot.exchange.cancel_order(found["id"], order.pair)
    except InvalidOrderException as error:
        logger.warning(f"{order.pair}: order {found['id']} could not be cancelled: {error}")


def _adopt_entry(bot: Any, order: UnconfirmedOrder, found: dict[str, Any], trade: Any) -> None:
    accepted = as_accepted(order, found)
    terms = (order.rate, order.stake_amount or order.amount * order.rate, order.leverage)
    known = {one.id for one in positions.open_trades()}
    try:
        with bot.exchange.replaying(accepted), entry_terms(bot, terms):
            bot.execute_entry(
                order.pair,
                terms[1],
                order.rate,
                is_short=order.side == "sell",
                ordertype=order.order_type,
                enter_tag=order.tag,
                trade=trade,
                # Neither asks the strategy again: it has agreed to this order.
                mode="replace" if trade is None else "pos_adjust",
                leverage_=order.leverage,
            )
    except Exception:
        # Once the rows are committed, what is left is a message and a look at the wallet.
        if positions.find_order(order.pair, found["id"]) is None:
            raise
        logger.exception(f"{order.pair}: the message about order {found['id']} failed.")
    for new in positions.open_trades():
        if new.id not in known:
            new.open_date = dt_from_ts(found["timestamp"] or order.sent * 1000)
    Trade.commit()


def _adopt_exit(bot: Any, order: UnconfirmedOrder, found: dict[str, Any], trade: Any) -> None:
    """What ``execute_trade_exit`` and ``create_stoploss_order`` do with an answer."""
    is_stop = order.kind == "stoploss"
    side = "stoploss" if is_stop else trade.exit_side
    accepted = as_accepted(order, found)
    seen = bot.exchange.as_seen(accepted)
    amount = order.amount if seen["amount"] == accepted["amount"] else seen["amount"]
    row = Order.parse_from_ccxt_object(seen, order.pair, side, amount, order.rate)
    trade.orders.append(row)
    if not is_stop:
        row.ft_order_tag = trade.exit_reason = order.tag
        trade.exit_order_status = ""
        trade.close_rate_requested = order.rate
    Trade.commit()
    if not is_stop:
        try:
            freqtrade_internals.notify_exit(bot, trade, order.order_type, row, order.partial)
        except Exception:
            logger.exception(f"{order.pair}: the message about exit {row.order_id} failed.")
