"""Orders from before they are sent until the exchange says that they are over.

What the bot reads while an exit waits is bounded, or the last that is known.
"""

import contextlib
import contextvars
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, Final

import ccxt
from cachetools import TTLCache
from freqtrade.exceptions import (
    DDosProtection,
    DependencyException,
    InvalidOrderException,
    TemporaryError,
)
from freqtrade.exchange import Exchange
from sqlalchemy.exc import SQLAlchemyError

from ..core.endpoints import OrderKey
from ..exchange import call_scope
from ..exchange.flow import failure_of
from . import database, freqtrade_internals, mapping, positions
from .mapping import MappingContext
from .order_journal import (
    Kind,
    OrderJournal,
    UnconfirmedOrder,
    follow_orders,
    journal_path,
    order_intent,
)
from .sweeps import warn
from .unconfirmed_orders import UnconfirmedOrders, new_client_id, one_attempt

logger = logging.getLogger(__name__)

PREPARATION_SECONDS: Final = 10.0
"""The bound of what Freqtrade asks between the start of an exit and its order."""


class BoundedCalls(Exchange):  # type: ignore[misc]
    """What the bot reads while an exit waits: bounded, or the last that is known."""

    def __init__(self, config: Any, **kwargs: Any) -> None:
        self.mapping_context: MappingContext | None = None
        self._last_balances: Any = None
        self._asked_rates: dict[str, float] = {}
        super().__init__(config, **kwargs)

    @contextlib.contextmanager
    def _preparing(self) -> Iterator[None]:
        """Bound a call of an exit that has yet to be sent, so that it leaves time for the order."""
        intent = order_intent()
        if not intent.is_exit:
            yield
            return
        left = PREPARATION_SECONDS - (time.monotonic() - intent.started)
        with call_scope.deadline(max(1.0, left)):
            yield

    def _mapping_context(self) -> MappingContext | None:
        now = self.mapping_context
        return now if now is not None and now.thread == threading.get_ident() else None

    def get_rate(self, pair: str, refresh: bool, side: Any, is_short: bool, **kwargs: Any) -> float:
        """The rate of a pair; while a sweep is mapped, the last one known will do for a message."""
        # A refreshed rate moves stops: that one is always the market's.
        context = self._mapping_context()
        if not refresh and context is not None and (rate := context.rates.get(pair)):
            return rate
        try:
            with self._preparing():
                current: float = super().get_rate(pair, refresh, side, is_short, **kwargs)
        except DependencyException:
            # An exit that was sent must be written down, whatever its message needs.
            asked = self._asked_rates.get(pair)
            if refresh or asked is None or not order_intent().is_exit:
                raise
            return asked
        return current

    def get_balances(self, *args: Any, **kwargs: Any) -> Any:
        """The balances; while a sweep is mapped, those of before it, or once new ones."""
        context, last = self._mapping_context(), self._last_balances
        if context is not None and last is not None and not context.refresh_balances:
            return deepcopy(last)
        exiting = order_intent().is_exit
        try:
            with self._preparing():
                balances = super().get_balances(*args, **hurried(kwargs))
        except TemporaryError:
            bounded = exiting or context is not None or call_scope.remaining() is not None
            if last is None or not bounded:
                raise
            # Nor is an exit that has a deadline kept in by them.
            logger.warning("The balances cannot be read now: the last known ones will do.")
            return deepcopy(last)
        # Not a currency, though it looks like one to whoever walks the currencies.
        balances.pop("debt", None)
        self._last_balances = deepcopy(balances)
        if context is not None:
            context.refresh_balances = False
        return balances

    def fetch_ticker(self, *args: Any, **kwargs: Any) -> Any:
        """The same as the base, without its pauses in an emergency."""
        return super().fetch_ticker(*args, **hurried(kwargs))

    def fetch_l2_order_book(self, *args: Any, **kwargs: Any) -> Any:
        """The same as the base, without its pauses in an emergency."""
        return super().fetch_l2_order_book(*args, **hurried(kwargs))

    def get_trades_for_order(self, *args: Any, **kwargs: Any) -> Any:
        """The same as the base, without its pauses in an emergency."""
        return super().get_trades_for_order(*args, **hurried(kwargs))


def hurried(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments for a call of the base that do without its repetitions inside a deadline.

    The base pauses, half a minute in all, when an order is not found or the exchange is too busy.
    """
    return {"count": 0, **kwargs} if call_scope.remaining() is not None else kwargs


_client_id: contextvars.ContextVar[int | None] = contextvars.ContextVar("client_id", default=None)
"""The ``clientId`` of the order that this thread is creating."""
_replayed: contextvars.ContextVar[Any] = contextvars.ContextVar("replayed", default=None)
"""The acceptance that stands for the next order of this thread."""


class TrackedOrders(BoundedCalls):
    """Creates an order once, and believes an end of it on the exchange's word only."""

    def __init__(self, config: Any, **kwargs: Any) -> None:
        self.swept: TTLCache[OrderKey, dict[str, Any]] = TTLCache(maxsize=10_000, ttl=24 * 3600)
        """Orders whose end the exchange has told in a sweep; an end does not change any more."""
        self.unconfirmed = UnconfirmedOrders(OrderJournal(journal_path(config)))
        self._unknown: set[OrderKey] = set()
        """Open orders of which the user has been told that the exchange knows them no more."""
        self._warn_user: Callable[[str], None] = logger.error
        super().__init__(config, **kwargs)

    # -- an order is over when the exchange says so --------------------------------------------

    def follow(self, bot: Any) -> None:
        """Keep what this bot intends with each order, and tell its user what cannot wait."""
        database.heal_connections()
        follow_orders(bot, self._forget_recorded)
        self._warn_user = lambda text: warn(bot, text)
        self.unconfirmed.followed = True

    def _forget_recorded(self) -> None:
        if not len(self.unconfirmed.journal):
            return
        try:
            self.unconfirmed.forget_recorded()
        except SQLAlchemyError as error:
            logger.warning(f"The database cannot be read; the notes of orders stay: {error}")

    def fetch_order(self, order_id: str, pair: str, params: Any = None, **kwargs: Any) -> Any:
        """Fetch an order; one that a sweep saw end is known.

        An order that the exchange does not know (any more) is answered as the open order that the
        database holds: "not found" is no end. Freqtrade would believe it cancelled at start-up,
        and place a second stoploss beside it later.
        """
        known = self.swept.get((pair, order_id))
        if known is not None:
            return deepcopy(known)
        if not self.unconfirmed.followed:
            self._forget_recorded()
        try:
            return self._fetch_order(order_id, pair, params, **kwargs)
        except InvalidOrderException as error:
            kept = None if self._config["dry_run"] else self._kept_open(order_id, pair, error)
            if kept is None:
                raise
            return kept
        except TemporaryError as error:
            if _is_not_found(error):
                # A pair or a path that is not found. Freqtrade goes on without this order; as an
                # open one it would ask for the price of a pair that may be gone, and stop there.
                self._kept_open(order_id, pair, error)
            raise

    def _fetch_order(self, order_id: str, pair: str, params: Any = None, **kwargs: Any) -> Any:
        """The exchange's word on an order.

        :raises InvalidOrderException: at once when it knows none; the base asks for half a minute.
        """
        ask = super().fetch_order
        with self._preparing():
            try:
                return ask(order_id, pair, params, **{**kwargs, "count": 0})
            except DDosProtection:
                if call_scope.remaining() is not None:
                    raise
            except TemporaryError as error:
                if _is_not_found(error):
                    raise
            return ask(order_id, pair, params, **hurried(kwargs))

    def _kept_open(self, order_id: str, pair: str, error: Exception) -> Any:
        """An open order of the database as the exchange would answer it, or None."""
        try:
            kept = positions.as_open_order(pair, order_id)
        except SQLAlchemyError:
            return None
        if kept is not None and (pair, order_id) not in self._unknown:
            self._unknown.add((pair, order_id))
            self._warn_user(
                f"BitoPro does not know the open order {order_id} of {pair} ({error}). It stays"
                " open here until BitoPro says what became of it: look at it there, and delete or"
                " exit the trade if it is gone."
            )
        return kept

    def cancel_order(self, order_id: str, pair: str, params: Any = None, **kwargs: Any) -> Any:
        """Cancel an order, without the base's pauses in an emergency."""
        with self._preparing():
            return super().cancel_order(order_id, pair, params, **hurried(kwargs))

    def cancel_order_with_result(self, order_id: str, pair: str, amount: float) -> Any:
        """Cancel an order and return its end; an entry that has none yet is returned as open.

        :raises InvalidOrderException: when an exit or a stoploss is still open, or not known. The
            base would make up a cancelled one, but only the exchange's word makes an order so.
        """
        known = self.swept.get((pair, order_id))
        if known is not None:
            mapping.set_cancel_reason_of(pair, order_id)
            return deepcopy(known)
        if self._config["dry_run"]:
            return super().cancel_order_with_result(order_id, pair, amount)
        try:
            self.cancel_order(order_id, pair)
        except InvalidOrderException as error:
            logger.warning(f"Could not cancel order {order_id} for {pair}: {error}")
        order = self.fetch_order(order_id, pair)
        # The bot's handler for entries would let an exception stop the bot, and the one for exits
        # would report an open order as cancelled.
        if order["status"] == "open" and not positions.is_entry(pair, order_id):
            raise InvalidOrderException(f"Order {order_id} for {pair} is still open.")
        return order

    def cancel_stoploss_order_with_result(self, order_id: str, pair: str, amount: float) -> Any:
        """Cancel a stoploss and return its end, as ``cancel_order_with_result`` does."""
        return self.cancel_order_with_result(order_id, pair, amount)

    # -- an order is created once --------------------------------------------------------------

    def create_order(
        self,
        *,
        pair: str,
        side: Any,
        amount: float,
        leverage: float,
        initial_order: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Create an order, unless an earlier one that was not answered takes its place.

        :raises TemporaryError: when an earlier one may exist, or this one does; ask again.
        """
        accepted = _replayed.get()
        if accepted is not None:
            return accepted
        create = functools.partial(
            super().create_order,
            pair=pair,
            side=side,
            amount=amount,
            leverage=leverage,
            initial_order=initial_order,
            **kwargs,
        )
        if self._config["dry_run"]:
            return create()
        rate = kwargs["rate"]
        self._asked_rates[pair] = rate
        is_entry = initial_order or positions.is_entry_side(pair, side)
        kind: Kind = "entry" if is_entry else "exit"
        order = self._about_to_send(kind, pair, side, kwargs["ordertype"], amount, rate, leverage)
        return self._create_once(order, create)

    def create_stoploss(
        self,
        pair: str,
        amount: float,
        stop_price: float,
        order_types: Any,
        side: Any,
        leverage: float,
    ) -> Any:
        """Create a stoploss, but none beside another one that may still be open.

        :raises TemporaryError: when there may be one; the next iteration asks again.
        """
        create = functools.partial(
            super().create_stoploss,
            pair=pair,
            amount=amount,
            stop_price=stop_price,
            order_types=order_types,
            side=side,
            leverage=leverage,
        )
        if self._config["dry_run"]:
            return create()
        trade = positions.open_trade(pair)
        if trade is not None and trade.has_open_sl_orders:
            raise TemporaryError(f"{pair}: a stoploss is open, or not known to be over.")
        order = self._about_to_send("stoploss", pair, side, "limit", amount, stop_price, leverage)
        return self._create_once(order, create)

    def _about_to_send(
        self,
        kind: Kind,
        pair: str,
        side: str,
        order_type: str,
        amount: float,
        rate: float,
        leverage: float,
    ) -> UnconfirmedOrder:
        intent = order_intent()
        trade_id = intent.trade_id
        if trade_id is None and kind != "entry":
            trade = positions.open_trade(pair)
            trade_id = None if trade is None else trade.id
        return UnconfirmedOrder(
            client_id=new_client_id(),
            pair=pair,
            side=side,
            kind=kind,
            order_type=order_type,
            amount=amount,
            rate=rate,
            leverage=leverage,
            sent=time.time(),
            trade_id=trade_id,
            tag=intent.tag,
            stake_amount=intent.stake_amount,
            partial=intent.partial,
        )

    def _create_once(self, order: UnconfirmedOrder, create: Callable[[], Any]) -> Any:
        """Create an order, unless an earlier one that was not answered takes its place."""
        with one_attempt():
            api = freqtrade_internals.ccxt_api(self)
            found = self.unconfirmed.stand_in(api, order, self.cancel_order)
            if found is not None:
                return found
            token = _client_id.set(order.client_id)
            try:
                return self.unconfirmed.send(order, create)
            finally:
                _client_id.reset(token)

    def _get_params(self, *args: Any, **kwargs: Any) -> Any:
        return _with_client_id(super()._get_params(*args, **kwargs))

    def _get_stop_params(self, *args: Any, **kwargs: Any) -> Any:
        return _with_client_id(super()._get_stop_params(*args, **kwargs))

    @property
    def is_replaying(self) -> bool:
        """Whether the next order of this thread exists already: nothing is to be sent for it."""
        return _replayed.get() is not None

    def as_seen(self, order: dict[str, Any]) -> dict[str, Any]:
        """An order that has no row yet, as Freqtrade must see it."""
        return order

    @contextlib.contextmanager
    def replaying(self, accepted: Any) -> Iterator[None]:
        """Answer the next order of this thread with this acceptance; nothing is sent."""
        token = _replayed.set(accepted)
        try:
            yield
        finally:
            _replayed.reset(token)


def _is_not_found(error: Exception) -> bool:
    """Whether the exchange, or something before it, answered that there is nothing there."""
    cause = error.__cause__
    return isinstance(cause, ccxt.BaseError) and failure_of(cause).status == 404


def _with_client_id(params: dict[str, Any]) -> dict[str, Any]:
    client_id = _client_id.get()
    return params if client_id is None else {**params, "clientOrderId": str(client_id)}
