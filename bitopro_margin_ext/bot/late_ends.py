"""Orders of other pairs that a sweep has cancelled: their ends are read once the exit has left.

An exit needs the ends of its own pair's orders only. The others are read a pair at a time, with one
list: when Freqtrade asks for one of them, or else in the next iteration.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

import ccxt

from ..core.symbols import OrderKey
from ..exchange import call_scope

logger = logging.getLogger(__name__)

Order = dict[str, Any]
"""A ccxt order structure."""

LIST_LIMIT: Final = 1000
"""How many orders one list brings; more than a pair can hold open, five times over."""
SECONDS: Final = 5.0
"""The bound of reading one pair's list."""
LOOKS: Final = 2
"""Lists without an order's end before it is left to Freqtrade, which asks for it by its id."""


class LateEnds:
    """The orders of one exchange object whose ends are still to be read."""

    def __init__(self) -> None:
        self._looks: dict[OrderKey, int] = {}
        self.notify: Callable[[list[Order]], None] = lambda ends: None
        """Gets the ends, as Freqtrade must see them."""
        self.warn_user: Callable[[str], None] = logger.error

    def __contains__(self, key: OrderKey) -> bool:
        return key in self._looks

    def add(self, keys: Iterable[OrderKey]) -> None:
        """Have the ends of these orders read later."""
        for key in keys:
            self._looks[key] = 0

    def pairs(self) -> list[str]:
        """The pairs of which a list is to be read."""
        return sorted({pair for pair, _ in self._looks})

    def read(self, api: Any, pair: str) -> list[Order]:
        """The ends that the exchange tells now; what it does not tell stays as it is.

        Never raises: an order that is not found here is Freqtrade's to ask for.
        """
        wanted = [key for key in self._looks if key[0] == pair]
        try:
            with call_scope.deadline(SECONDS):
                rows = api.fetch_orders(pair, None, LIST_LIMIT)
        except ccxt.BaseError as error:
            rows = []
            if any(self._looks[key] == 0 for key in wanted):
                named = ", ".join(order_id for _, order_id in wanted[:5])
                more = f" and {len(wanted) - 5} more" if len(wanted) > 5 else ""
                self.warn_user(
                    f"What became of orders that the emergency cancelled is UNKNOWN: {pair}"
                    f" {named}{more} ({type(error).__name__}). They stay open in the database"
                    " until BitoPro says otherwise."
                )
        ends = []
        for row in rows:
            key = (pair, str(row["id"]))
            if key in self._looks and row["status"] not in (None, "open"):
                del self._looks[key]
                ends.append(row)
        for key in wanted:
            if key in self._looks:
                self._looks[key] += 1
                if self._looks[key] >= LOOKS:
                    del self._looks[key]
        return ends
