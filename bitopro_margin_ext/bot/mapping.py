"""Map what became of orders into Freqtrade's own ``Order`` and ``Trade`` rows.

The rows are not written here: Freqtrade's handlers are called with what the exchange said, so that
a trade ends exactly as if Freqtrade had cancelled the order itself. An order that was found late
(see ``unconfirmed_orders``) gets its ``Trade`` and ``Order`` as if its creation had been answered;
what became of it since is then Freqtrade's to ask, as of every order.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import ccxt
from freqtrade.constants import CANCELED_EXCHANGE_STATES
from freqtrade.exceptions import InvalidOrderException
from freqtrade.persistence import Order, Trade
from freqtrade.util import dt_from_ts
from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError

from ..exchange import call_scope
from . import freqtrade_internals, positions
from .database import EmergencySession, emergency_session
from .order_journal import UnconfirmedOrder
from .sweeps import Ends, warn
from .unconfirmed_orders import as_accepted, is_over

logger = logging.getLogger(__name__)

REASON: Final = "emergency: cancelled by bitopro_margin_ext"
"""The ``ft_cancel_reason`` of an order that the sweep cancelled."""
_REASON_LENGTH: Final = 255


@dataclass
class MappingContext:
    """One mapping in progress, in the thread that began it: others get the exchange's own word."""

    rates: dict[str, float] = field(default_factory=dict)
    """The last price known of a pair, in quote: for messages."""
    refresh_balances: bool = False
    """Whether the next question for balances goes out: a fill's fee may come out of them."""
    thread: int = field(default_factory=threading.get_ident)


class HeldMessages:
    """Stands in for the RPC manager and keeps what would be sent; everything else goes through."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self.messages: list[Any] = []

    def forget(self) -> None:
        """Send none of what was kept so far."""
        self.messages.clear()

    def send_msg(self, message: Any) -> None:
        """Keep a message."""
        self.messages.append(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)


@contextmanager
def mapping_context(bot: Any, ends: Iterable[Mapping[str, Any]]) -> Iterator[HeldMessages]:
    """Let the bot's handlers work without the network; their messages are sent aside afterwards."""
    ends = list(ends)
    rates = {end["symbol"]: end.get("average") or end.get("price") for end in ends}
    bot.exchange.mapping_context = MappingContext(
        rates={pair: rate for pair, rate in rates.items() if rate},
        refresh_balances=any(end.get("filled") for end in ends),
    )
    manager = bot.rpc
    held = bot.rpc = HeldMessages(manager)
    try:
        yield held
    finally:
        bot.rpc = manager
        bot.exchange.mapping_context = None
        if held.messages:
            freqtrade_internals.send_aside(manager, held.messages)


def map_orders(
    bot: Any,
    orders: Iterable[Any],
    ends: Ends,
    session: EmergencySession,
    until: float | None = None,
) -> None:
    """Map every order that the database believes open and the exchange says is over.

    All are one transaction. If one cannot be mapped, they are mapped one at a time: a failure
    leaves that order open, to be mapped by the next iteration, and does not stop the others. Nor is
    any begun after ``until`` (on the monotonic clock). In the end what can be committed is.
    """
    waiting = [
        (order, end)
        for order in orders
        if order.ft_is_open and (end := ends.get((order.ft_pair, order.order_id))) is not None
    ]
    if not waiting:
        session.commit()
        return
    # What sells comes first: that is what the size of the exit depends on.
    waiting.sort(key=_is_entry)
    with mapping_context(bot, [end for _, end in waiting]) as messages:

        def map_all() -> None:
            for order, end in waiting:
                if _is_late(until):
                    return
                _map_order(bot, order, end)

        try:
            if session.in_one_transaction(map_all):
                return
        except BaseException as error:
            messages.forget()
            if not isinstance(error, Exception):
                raise
            logger.warning(f"The orders cannot be mapped at once, so one at a time: {error!r}")
        for order, end in waiting:
            if _is_late(until):
                return
            order_id = order.order_id
            try:
                _map_order(bot, order, end)
            except Exception:
                logger.exception(f"Could not map order {order_id}; the next iteration tries again.")
                session.recover()
    session.commit()


def _is_late(until: float | None) -> bool:
    late = until is not None and time.monotonic() > until
    if late:
        logger.error("The deadline has passed: the next iteration maps what is left.")
    return late


def _is_entry(waiting: tuple[Any, Any]) -> bool:
    order = waiting[0]
    return order.trade is not None and order.ft_order_side == order.trade.entry_side


def _map_order(bot: Any, order: Any, end: dict[str, Any]) -> None:
    """Hand one order to Freqtrade's handler for its kind."""
    state, trade = inspect(order), order.trade
    if state.detached or state.deleted:
        # What was pending has removed it.
        return
    if trade is None:
        logger.warning(f"Order {order.order_id} has no trade any more: left as it is.")
        return
    cancelled = end["status"] in CANCELED_EXCHANGE_STATES
    if cancelled:
        set_cancel_reason(order)
    if order.ft_order_side == "stoploss" and end["status"] == "closed":
        # Reads the same end from the exchange class, and tells the user that the trade is closed.
        bot.handle_stoploss_on_exchange(trade)
    elif order.ft_order_side == "stoploss":
        bot.update_trade_state(trade, order.order_id, end, stoploss_order=True)
    elif not cancelled:
        bot.update_trade_state(trade, order.order_id, end)
    elif order.ft_order_side == trade.entry_side:
        bot.handle_cancel_enter(trade, end, order, REASON)
    else:
        bot.handle_cancel_exit(trade, end, order, REASON)
    Trade.commit()


def remove_empty_trades(bot: Any) -> bool:
    """Delete open trades whose every order was cancelled unfilled, as Freqtrade does on a cancel.

    Freqtrade's start-up marks such orders as done after a crash, looks only at open orders later,
    and so would keep the trade, and its slot, for ever.

    :returns: whether none is left.
    """
    is_done = True
    for trade in Trade.get_open_trades():
        orders = list(trade.orders)
        if not orders or trade.amount or any(_may_hold(order) for order in orders):
            continue
        last = orders[-1]
        with emergency_session() as session:
            try:
                end = {**last.to_ccxt_object(), "filled": 0.0}
                with mapping_context(bot, [end]):
                    bot.handle_cancel_enter(trade, end, last, REASON)
                Trade.commit()
            except Exception:
                is_done = False
                logger.exception(f"Could not remove {trade}; the next iteration tries again.")
                session.recover()
    return is_done


def _may_hold(order: Any) -> bool:
    return order.ft_is_open or order.safe_filled or order.status not in CANCELED_EXCHANGE_STATES


LOOK_SECONDS = 5.0
"""How long all look-ups of one iteration may take: they are made before the bot's exits."""


def set_cancel_reason_of(pair: str, order_id: str) -> None:
    """Write into an order's ``ft_cancel_reason`` that it was our sweep that cancelled it."""
    try:
        order = positions.find_order(pair, order_id)
    except SQLAlchemyError:
        # A later set_cancel_reason puts it right.
        return
    if order is not None:
        set_cancel_reason(order)


def set_cancel_reason(order: Any) -> None:
    """Put it before what Freqtrade has written as the reason of an order."""
    reason = order.ft_cancel_reason or ""
    if REASON not in reason:
        order.ft_cancel_reason = f"{REASON}, {reason}".rstrip(", ")[:_REASON_LENGTH]


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
    if trade is not None and trade.pair != order.pair:
        # Freqtrade has deleted the order's trade, and SQLite has given its number to the next one.
        trade = None
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


@contextmanager
def entry_terms(bot: Any, terms: tuple[float, float, float]) -> Iterator[None]:
    """Let ``execute_entry`` take this rate, stake and leverage, and look at no other order.

    The order exists: its terms are not worked out anew from a wallet that it has changed.
    """
    names = ("get_valid_enter_price_and_stake", "handle_similar_open_order")
    own = {name: bot.__dict__.get(name) for name in names}
    bot.get_valid_enter_price_and_stake = lambda *args, **kwargs: terms
    bot.handle_similar_open_order = lambda *args, **kwargs: False
    try:
        yield
    finally:
        for name, method in own.items():
            if method is None:
                delattr(bot, name)
            else:
                setattr(bot, name, method)
