"""Orders whose creation was not answered: each is looked for before another is sent.

Freqtrade takes such an order for not placed, and places it anew in its next iteration. Both would
be executed: a stoploss twice, an exit twice, a position twice as large as its row says. An order
is found by the ``clientId`` that it was sent with, never by its price or amount: an equal order may
be the user's.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import ccxt
from freqtrade.exceptions import DependencyException, InvalidOrderException, TemporaryError
from sqlalchemy.exc import SQLAlchemyError

from ..core import endpoints
from ..core.errors import Outcome
from ..exchange import call_scope
from ..exchange.flow import failure_of
from . import positions
from .order_journal import Kind, OrderJournal, UnconfirmedOrder

logger = logging.getLogger(__name__)

Order = dict[str, Any]
"""A ccxt order structure."""

ARRIVAL_SECONDS: Final = 10.0
"""How long an order that is not listed may still be on its way, or in lists that lag."""
LAG_SECONDS: Final = 4.0
"""Two looks that do not find an order are at least so far apart before it counts as absent."""
PATIENCE_SECONDS: Final = 60.0
"""How long an exit is held back while the exchange cannot be asked: an exit must go out."""
ATTEMPT_SECONDS: Final = 10.0
"""The bound of one attempt: looking for earlier orders, creating this one, looking for it."""
SINCE_SECONDS: Final = 300.0
"""How far before its sending the history is searched for an order: clocks differ."""
HISTORY_ROWS: Final = 1000


class OrderLists(Protocol):
    """What a look-up needs of the ccxt object."""

    def fetch_order(self, id: str, symbol: str) -> Order:
        """One order."""

    def fetch_open_orders(self, symbol: str) -> list[Order]:
        """The open orders of a pair."""

    def fetch_orders(self, symbol: str, since: int, limit: int) -> list[Order]:
        """The newest orders of a pair since a time in ms, in any state."""


def is_over(order: Order) -> bool:
    """Whether the exchange says that an order will not fill any further."""
    return order["status"] not in (None, "open")


def as_accepted(order: UnconfirmedOrder, found: Order) -> Order:
    """The answer that creating a found order would have had: open, with nothing filled.

    Freqtrade counts a fill at creation in a few cases only, so whatever became of the order since
    is left to its handlers of open orders, which ask for it.
    """
    unknown = ("filled", "remaining", "average", "cost", "fee", "lastTradeTimestamp")
    market = order.order_type == "market"
    return {
        **found,
        **dict.fromkeys(unknown),
        "status": "open",
        "type": "market" if market else "limit",
        "amount": order.amount if market or not found["amount"] else found["amount"],
        "price": None if market else found["price"],
        "trades": [],
        "fees": [],
    }


class UnconfirmedOrders:
    """The unconfirmed orders of one exchange object, and how each is found."""

    def __init__(self, journal: OrderJournal) -> None:
        self.journal = journal
        self.followed = False
        """Whether a bot adopts at its next iteration what is found too late for a caller."""
        self._absent_since: dict[int, float] = {}

    # -- what was sent -------------------------------------------------------------------------

    def send(self, order: UnconfirmedOrder, create: Callable[[], Order]) -> Order:
        """Note an order, create it, and return its acceptance.

        :raises TemporaryError: when it is unknown whether the order exists; the note stays.
        """
        try:
            self.journal.add(order)
        except OSError as error:
            if order.kind == "entry":
                self.journal.remove(order.client_id)
                raise DependencyException(
                    f"{order.pair}: no entry, because it cannot be noted before it is sent:"
                    f" {error}. Free some space, or mend the folder's permissions"
                ) from error
            logger.error(f"{order.pair}: the {order.kind} is sent without a note: {error}")
        try:
            answer = create()
        except Exception as error:
            if _is_refusal(error):
                self.journal.remove(order.client_id)
            else:
                logger.warning(
                    f"{order.pair}: the {order.kind} with clientOrderId {order.client_id} was not"
                    " answered; it is looked for before another is sent."
                )
            raise
        self.journal.update(order.client_id, order_id=answer["id"])
        return as_accepted(order, answer)

    def forget_recorded(self) -> None:
        """Drop the notes of orders whose rows are in the database."""
        for order in self.journal.all():
            if order.order_id and positions.find_order(order.pair, order.order_id) is not None:
                self.remove(order)

    def remove(self, order: UnconfirmedOrder) -> None:
        """Drop a note."""
        self._absent_since.pop(order.client_id, None)
        self.journal.remove(order.client_id)

    # -- before another is sent ----------------------------------------------------------------

    def stand_in(
        self, api: OrderLists, wanted: UnconfirmedOrder, cancel: Callable[[str, str], Any]
    ) -> Order | None:
        """The acceptance of an earlier order that takes the place of the wanted one, or None.

        An exit or stoploss of another kind, type or amount does not: it is cancelled instead.

        :raises TemporaryError: when an earlier order may exist and is in the way; ask again.
        """
        for earlier in self.journal.all():
            if (earlier.pair, earlier.side) != (wanted.pair, wanted.side) or not earlier.blocks:
                continue
            if earlier.order_id and _is_recorded(earlier.pair, earlier.order_id):
                continue
            found = self._found_before(api, earlier, wanted.kind)
            if found is None:
                continue
            if not self._takes_place(api, earlier, found, wanted, cancel):
                continue
            logger.warning(
                f"{earlier.pair}: order {found['id']} was placed without an answer: found."
            )
            self.journal.update(earlier.client_id, order_id=found["id"])
            return as_accepted(earlier, found)
        return None

    def _found_before(self, api: OrderLists, earlier: UnconfirmedOrder, wanted: Kind) -> Any:
        """The earlier order as the exchange knows it; None when it is out of the way."""
        try:
            found = self.look_up(api, earlier)
        except ccxt.BaseError as error:
            if wanted == "entry" or earlier.age < PATIENCE_SECONDS:
                raise TemporaryError(
                    f"{earlier.pair}: an order without an answer may exist, and BitoPro cannot be"
                    f" asked ({type(error).__name__}); the next iteration asks again."
                ) from error
            logger.error(
                f"{earlier.pair}: BitoPro cannot be asked about clientOrderId {earlier.client_id}"
                f" for {PATIENCE_SECONDS:g} s: going on without it. Check it on BitoPro."
            )
            self._step_aside(earlier)
            return None
        if found is None and not self.is_absent(earlier):
            raise TemporaryError(
                f"{earlier.pair}: an order without an answer is not listed; it may be on its way."
            )
        if found is None:
            self.remove(earlier)
        elif _is_recorded(earlier.pair, found["id"]):
            self.remove(earlier)
            return None
        elif is_over(found) and not found["filled"]:
            self._step_aside(earlier)
            return None
        return found

    def _takes_place(
        self,
        api: OrderLists,
        earlier: UnconfirmedOrder,
        found: Order,
        wanted: UnconfirmedOrder,
        cancel: Callable[[str, str], Any],
    ) -> bool:
        if wanted.kind == "entry":
            return True
        alike = (earlier.kind, earlier.order_type) == (wanted.kind, wanted.order_type)
        if not is_over(found):
            if alike and positions.same_amount(earlier.amount, wanted.amount):
                return True
            logger.warning(
                f"{earlier.pair}: cancelling {earlier.kind} {found['id']}, whose creation was not"
                f" answered: another {wanted.kind} takes its place."
            )
            found = self._cancelled(api, found, earlier.pair, cancel)
        if not found["filled"]:
            self._step_aside(earlier)
            return False
        if self.followed:
            # The fill changes the position: its row is written first, then comes the right amount.
            raise TemporaryError(f"{earlier.pair}: order {found['id']} has filled meanwhile.")
        return True

    def _cancelled(
        self, api: OrderLists, found: Order, pair: str, cancel: Callable[[str, str], Any]
    ) -> Order:
        with contextlib.suppress(InvalidOrderException):
            cancel(found["id"], pair)
        try:
            found = api.fetch_order(found["id"], pair)
        except ccxt.BaseError as error:
            raise TemporaryError(f"{pair}: the end of order {found['id']} is not known.") from error
        if not is_over(found):
            raise TemporaryError(f"{pair}: order {found['id']} is in the way, and still open.")
        return found

    def _step_aside(self, earlier: UnconfirmedOrder) -> None:
        """Let another order be sent; a bot that follows still adopts this one."""
        if self.followed:
            self.journal.update(earlier.client_id, blocks=False)
        else:
            self.remove(earlier)

    # -- looking -------------------------------------------------------------------------------

    def look_up(self, api: OrderLists, order: UnconfirmedOrder) -> Order | None:
        """An order as the exchange lists it, or None when neither list has it.

        :raises ccxt.BaseError: when the exchange cannot be asked.
        """
        since = int((order.sent - SINCE_SECONDS) * 1000)
        # In this order: one that ends meanwhile leaves the first list for the second.
        for orders in _lists(api, order.pair, since):
            for found in orders:
                wanted = str(order.client_id)
                if found["clientOrderId"] == wanted and found["side"] == order.side:
                    self._absent_since.pop(order.client_id, None)
                    return found
        self._absent_since.setdefault(order.client_id, time.monotonic())
        return None

    def is_absent(self, order: UnconfirmedOrder) -> bool:
        """Whether looks far enough apart, and late enough, have not found an order."""
        since = self._absent_since.get(order.client_id)
        return (
            order.age >= ARRIVAL_SECONDS
            and since is not None
            and time.monotonic() - since >= LAG_SECONDS
        )


def _is_recorded(pair: str, order_id: str) -> bool:
    """Whether the database has a row of an order; one that cannot be read holds no exit up."""
    try:
        return positions.is_recorded(pair, order_id)
    except SQLAlchemyError as error:
        logger.error(f"The database cannot be read; order {order_id} counts as known: {error}")
        return True


def _lists(api: OrderLists, pair: str, since: int) -> Iterator[list[Order]]:
    yield api.fetch_open_orders(pair)
    yield api.fetch_orders(pair, since, HISTORY_ROWS)


def _is_refusal(error: Exception) -> bool:
    """Whether a failed creation is known to have created nothing."""
    cause = error.__cause__
    if isinstance(error, DependencyException) and not isinstance(error, TemporaryError):
        return True
    return isinstance(cause, ccxt.BaseError) and failure_of(cause).outcome is not Outcome.UNKNOWN


def new_client_id() -> int:
    """A ``clientId`` for an order."""
    return endpoints.new_client_id()


@contextlib.contextmanager
def one_attempt() -> Iterator[None]:
    """The bound of everything that belongs to one attempt to create an order."""
    with call_scope.deadline(ATTEMPT_SECONDS):
        yield
