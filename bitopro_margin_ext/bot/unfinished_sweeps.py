"""Sweeps of which an exit has needed its own pair only: the rest is read once the exit has left.

It is read in one go: when Freqtrade asks for one of the orders, or else in the next iteration.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from ..core.report import CancelReport
from ..core.symbols import OrderKey

logger = logging.getLogger(__name__)

SECONDS: Final = 4.0
"""The bound of completing one sweep: an exit of another trade may be waiting."""


class UnfinishedSweeps:
    """The unfinished sweeps of one exchange object."""

    def __init__(self) -> None:
        self._sweeps: list[tuple[CancelReport, set[OrderKey]]] = []
        self.notify: Callable[[CancelReport], None] = lambda report: None
        """Gets each completed report, with its ends as Freqtrade must see them."""

    def __len__(self) -> int:
        return len(self._sweeps)

    def __contains__(self, key: OrderKey) -> bool:
        return any(key in keys for _, keys in self._sweeps)

    def add(self, report: CancelReport, known: Iterable[OrderKey]) -> None:
        """Have a sweep completed later, if anything of it is left."""
        if report.rest is not None:
            ended = {(order["symbol"], order["id"]) for order in report.final_orders()}
            self._sweeps.append((report, set(known) - ended))

    def finish(self, api: Any) -> list[CancelReport]:
        """Complete what is left; an order whose end is not told is Freqtrade's to ask for."""
        completed = []
        while self._sweeps:
            report, _ = self._sweeps.pop(0)
            try:
                completed.append(api.confirm_rest(report, SECONDS))
            except Exception:
                logger.exception("The rest of a sweep could not be read.")
        return completed
