"""Orders whose creation did not answer: each is looked for before another is sent.

Freqtrade takes such an order for not placed, and places it anew in its next iteration. Both would
be executed: a stoploss twice, an exit twice, a position twice as large as it is believed to be.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any, Final

import ccxt
from freqtrade.exceptions import TemporaryError

from . import freqtrade_internals

logger = logging.getLogger(__name__)

ARRIVAL_SECONDS: Final = 10.0
"""How long an order that is not listed may still be on its way, or in lists that lag."""
PATIENCE_SECONDS: Final = 60.0
"""How long another order is held back while the exchange cannot be asked: an exit must go out."""


@dataclass
class _Lost:
    pair: str
    side: str
    is_stop: bool
    client_id: int
    sent: float


class Unanswered:
    """The lost orders of one exchange object, by pair and side."""

    def __init__(self) -> None:
        self._lost: list[_Lost] = []

    def note(self, pair: str, side: str, error: BaseException, *, is_stop: bool) -> None:
        """Remember an order from the error of its creation, if that leaves its fate open."""
        client_id = getattr(error.__cause__, "client_order_id", None)
        if client_id is not None:
            self._lost.append(_Lost(pair, side, is_stop, client_id, time.monotonic()))

    def find(self, exchange: Any, pair: str, side: str, *, is_stop: bool) -> Any:
        """The lost order that takes the place of the one about to be sent, or None.

        One that still rests and is of the other kind (a stop, or none) is cancelled instead.

        :raises TemporaryError: when a lost order may exist and cannot be found yet; ask again.
        """
        for lost in [one for one in self._lost if (one.pair, one.side) == (pair, side)]:
            order = self._look_for(exchange, lost)
            if order is None:
                continue
            self._lost.remove(lost)
            if order["status"] == "open" and lost.is_stop != is_stop:
                logger.warning(f"{pair}: cancelling order {order['id']}, whose creation was lost.")
                exchange.cancel_order(order["id"], pair)
                self._lost.append(lost)
                raise TemporaryError(f"{pair}: order {order['id']} gives way to another kind.")
            if order["status"] == "open" or order["filled"]:
                logger.warning(f"{pair}: order {order['id']} was placed without an answer: found.")
                # A stoploss that has ended already is only believed when it is fetched.
                fresh = {"status": "open", "filled": 0.0, "remaining": order["amount"]}
                return {**order, **fresh} if is_stop else order
        return None

    def _look_for(self, exchange: Any, lost: _Lost) -> Any:
        """What became of a lost order; None once it is clear that there is none."""
        age = time.monotonic() - lost.sent
        try:
            order = _listed(freqtrade_internals.ccxt_api(exchange), lost)
        except ccxt.BaseError as error:
            if age < PATIENCE_SECONDS:
                raise TemporaryError(
                    f"{lost.pair}: an order without an answer may exist, and BitoPro cannot be"
                    f" asked ({type(error).__name__}); the next iteration asks again."
                ) from error
            logger.error(
                f"{lost.pair}: BitoPro cannot be asked about clientOrderId {lost.client_id} for"
                f" {PATIENCE_SECONDS:g} s: going on without it. Check it on BitoPro."
            )
            self._lost.remove(lost)
            return None
        if order is None and age < ARRIVAL_SECONDS:
            raise TemporaryError(
                f"{lost.pair}: an order without an answer is not listed; it may be on its way."
            )
        if order is None:
            self._lost.remove(lost)
        return order


def _listed(api: Any, lost: _Lost) -> Any:
    for orders in (api.fetch_open_orders(lost.pair), api.fetch_orders(lost.pair, limit=100)):
        for order in orders:
            if order["clientOrderId"] == str(lost.client_id):
                return order
    return None
