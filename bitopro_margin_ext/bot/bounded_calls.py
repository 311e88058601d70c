"""Freqtrade's reading calls with a bound: in an emergency, and on the way to an exit."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

from freqtrade.exceptions import DependencyException, TemporaryError
from freqtrade.exchange import Exchange

from ..exchange import call_scope
from .mapping import MappingContext
from .order_intents import order_intent

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
