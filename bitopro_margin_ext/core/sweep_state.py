"""What one sweep has learnt of each order, and what that makes of it in the report. Pure.

Every statement of the exchange is kept with its moment and its kind; ``core.evidence`` has the rule
by which they are weighed.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from .assumptions import MAX_ORDERS_IN_ANSWER
from .errors import Failure, unreadable
from .evidence import ENDS, Conclusion, Fate, Source, Statement, conclude
from .parse import ParsedOrder, parse_cancelled_ids, parse_order
from .report import CancelReport
from .steps import Moment
from .symbols import OrderKey, is_order_id, pair_symbol

MAX_LOOKUPS: Final = 3
"""How often an order that the exchange does not tell about is asked for before it is unknown."""
CLOCK_TOLERANCE_MS: Final = 2_000
"""How much earlier than our first request an end may be dated and still count as ours."""


class SweepState:
    """The orders of one sweep. ``started_ms`` is the sweep's start on the exchange's clock."""

    def __init__(
        self, symbol: str | None, known: Iterable[OrderKey], started_ms: Callable[[], int]
    ) -> None:
        self._symbol = symbol
        self._started_ms = started_ms
        self._known: set[OrderKey] = set()
        self._invalid: list[ParsedOrder] = []
        for name, order_id in known:
            self._ask_about(str(name), str(order_id))
        self._statements: dict[OrderKey, list[Statement]] = {}
        self._conclusions: dict[OrderKey, Conclusion] = {}
        self._seen_open: set[OrderKey] = set()
        """Orders that a list showed resting: the report must tell their end, too."""
        self._listed: dict[OrderKey, ParsedOrder] = {}
        """The last list of open orders."""
        self._scope: set[OrderKey] | None = None
        """The only orders that concern this sweep any more, or None."""
        self._lookups: dict[OrderKey, int] = {}
        self._attempts: dict[OrderKey, int] = {}

    def _ask_about(self, name: str, order_id: str) -> None:
        try:
            symbol = pair_symbol(name)
            if not is_order_id(order_id):
                raise ValueError(order_id)
        except ValueError:
            # A caller's slip must not stop a sweep; the report says that nothing was learnt.
            self._invalid.append(stub((name, order_id)))
            return
        if self._symbol in (None, symbol):
            self._known.add((symbol, order_id))

    # -- the exchange's word -------------------------------------------------------------------

    def record_cancelled(self, orders: Iterable[ParsedOrder], moment: Moment) -> None:
        """Take in the orders that an answer names as cancelled, with nothing else of them."""
        for order in orders:
            self._record(key_of(order), Source.NAMED, moment, order)

    def record_cancel_answer(self, order: ParsedOrder, moment: Moment) -> None:
        """Take in the answer to the cancel of one order, whose status counts where it has one."""
        if order["status"] is None:
            self._record(key_of(order), Source.NAMED, moment, {**order, "status": "canceled"})
        else:
            self._record(key_of(order), Source.CANCEL, moment, order)

    def record_open_orders(self, orders: Iterable[ParsedOrder], moment: Moment) -> None:
        """Take in a complete list of open orders: it replaces the one before."""
        self._listed = {}
        for order in orders:
            key = key_of(order)
            if self._symbol not in (None, key[0]):
                continue
            if self._scope is not None and key not in self._scope:
                continue
            if order["status"] not in ENDS:
                # What the list of open orders shows rests, whatever its row says besides.
                self._listed[key] = order = {**order, "status": "open"}
            self._record(key, Source.OPEN_LIST, moment, order)
        self._seen_open |= self._listed.keys()
        for key in self._statements.keys() - self._listed.keys():
            self._record(key, Source.ABSENT, moment)

    def record_order(self, order: ParsedOrder, moment: Moment, source: Source) -> None:
        """Take in an order's data, from its history, a look-up or a stream."""
        self._record(key_of(order), source, moment, order)

    def mark_unconfirmed(self, moment: Moment, keys: Iterable[OrderKey] | None = None) -> None:
        """Take in that a cancel of these orders (None: of everything in scope) got no answer."""
        for key in list(self._statements) if keys is None else keys:
            self._record(key, Source.UNANSWERED, moment)

    def record_lookup(self, key: OrderKey) -> None:
        """Count one question about a single order."""
        self._lookups[key] = self._lookups.get(key, 0) + 1

    def record_cancel_attempt(self, key: OrderKey) -> None:
        """Count one cancel of a single order."""
        self._attempts[key] = self._attempts.get(key, 0) + 1

    def _record(
        self, key: OrderKey, source: Source, moment: Moment, order: ParsedOrder | None = None
    ) -> None:
        status = None if order is None else order["status"]
        made = Statement(source, *moment, status, order)
        found = self._statements.setdefault(key, [])
        self._conclusions.pop(key, None)
        if [(one.source, one.status) for one in found[-2:]] == [(source, status)] * 2:
            # The exchange repeats itself: when it began to and when it last did is enough.
            found[-1] = made
        else:
            found.append(made)

    def _conclusion(self, key: OrderKey) -> Conclusion:
        found = self._conclusions.get(key)
        if found is None:
            found = self._conclusions[key] = conclude(self._statements.get(key, ()))
        return found

    def close_scope(self) -> None:
        """From now on leave alone every order that nothing has been said of so far."""
        self._scope = self._known | self._statements.keys()

    # -- what is to be done --------------------------------------------------------------------

    def is_final(self, key: OrderKey) -> bool:
        """Whether order data say how this order ended."""
        return self._conclusion(key).fate is Fate.ENDED

    def is_listed(self, key: OrderKey) -> bool:
        """Whether the last list of open orders has this order."""
        return key in self._listed

    def has_history(self, key: OrderKey) -> bool:
        """Whether a history or a look-up had this order, in whatever state."""
        rows = (Source.HISTORY, Source.LOOKUP)
        return any(one.source in rows for one in self._statements.get(key, ()))

    def orders_to_look_up(self, symbol: str | None = None) -> list[OrderKey]:
        """The orders (of this pair) whose end is still to be learnt, where asking may help."""
        asked = self._known | (self._seen_open - self._listed.keys())
        return [
            key
            for key in sorted(asked)
            if symbol in (None, key[0])
            and not self.is_final(key)
            and self._lookups.get(key, 0) < MAX_LOOKUPS
        ]

    def orders_to_cancel(self) -> list[OrderKey]:
        """The orders to cancel by id, those with the fewest attempts first."""
        resting = (Fate.OPEN, Fate.DOUBTFUL)
        found = [
            key
            for key in sorted(self._known | self._seen_open)
            if self._conclusion(key).fate in resting
        ]
        return sorted(found, key=lambda key: self._attempts.get(key, 0))

    def attempts(self, key: OrderKey) -> int:
        """How often this order was cancelled by its id."""
        return self._attempts.get(key, 0)

    def is_unsettled(self, symbol: str | None = None) -> bool:
        """Whether anything (of this pair) is left to cancel or to learn."""
        resting = any(not self.is_final(key) for key in self._of(symbol, self._listed))
        cancel = self._of(symbol, self.orders_to_cancel())
        return resting or bool(cancel or self.orders_to_look_up(symbol))

    @staticmethod
    def _of(symbol: str | None, keys: Iterable[OrderKey]) -> list[OrderKey]:
        return [key for key in keys if symbol in (None, key[0])]

    # -- the report ----------------------------------------------------------------------------

    def fill(self, report: CancelReport) -> None:
        """Put every order where the exchange's words place it, each in one list only."""
        named = {
            key
            for key, found in self._statements.items()
            if any(one.source is Source.NAMED for one in found)
        }
        keys = self._known | self._seen_open | named
        if report.in_doubt:
            # Cancelled by a call whose answer was lost: only their rows can name them.
            keys |= {key for key in self._statements if self._ended_in_sweep(key)}
        report.unknown.extend(cast(list[dict[str, Any]], self._invalid))
        for key in sorted(keys):
            places, order = self._place(key, named, report)
            # In a report stand ccxt's structures; whoever speaks ccxt makes them of these.
            places.append(cast(dict[str, Any], order))

    def _place(
        self, key: OrderKey, named: set[OrderKey], report: CancelReport
    ) -> tuple[list[dict[str, Any]], ParsedOrder]:
        fate, order, is_shown_open = self._conclusion(key)
        data = order or self._listed.get(key) or stub(key)
        if fate is Fate.ENDED:
            ours = key in named or key in self._attempts or self._ended_in_sweep(key)
            by_us = data["status"] == "canceled" and ours
            return (report.cancelled if by_us else report.already_done), data
        if fate is Fate.CANCELLED and not is_shown_open:
            # Cancelled for certain; how much it had filled by then was not said.
            return report.cancelled, {**data, "status": "canceled", "filled": None}
        if fate is Fate.OPEN:
            return report.still_open, data
        # Also what is listed within the lag of a list after its cancel: it may or may not rest.
        return report.unknown, data

    def _ended_in_sweep(self, key: OrderKey) -> bool:
        """Whether the exchange dates the cancellation after our first request."""
        fate, order, _ = self._conclusion(key)
        if fate is not Fate.ENDED or order is None or order["status"] != "canceled":
            return False
        ended = order["lastUpdateTimestamp"]
        return ended is not None and bool(ended >= self._started_ms() - CLOCK_TOLERANCE_MS)


def read_collection(reply: Any, kind: type) -> Any:
    """The ``data`` of a reply, or the Failure that it is or amounts to."""
    if isinstance(reply, Failure):
        return reply
    if not isinstance(reply, Mapping) or "data" not in reply:
        return unreadable(f"no {kind.__name__} under 'data'")
    # Go servers write an empty collection as null.
    data = kind() if reply["data"] is None else reply["data"]
    if not isinstance(data, kind):
        return unreadable(f"no {kind.__name__} under 'data'")
    if isinstance(data, list) and len(data) > MAX_ORDERS_IN_ANSWER:
        return unreadable("more rows than an account can have orders")
    return data


def read_cancelled(reply: Any) -> Any:
    """The orders that a reply to a cancel names, as parsed orders, or a Failure."""
    data = read_collection(reply, dict)
    if isinstance(data, Failure):
        return data
    try:
        return parse_cancelled_ids(data)
    except (TypeError, ValueError):
        return unreadable("no lists of ids by pair under 'data'")


def read_order(row: Any, symbol: str | None = None) -> ParsedOrder | None:
    """A parsed order row, or None where it does not name an order."""
    try:
        order = parse_order(row, symbol)
    except (AttributeError, TypeError, ValueError):
        return None
    return order if order["symbol"] and is_order_id(order["id"] or "") else None


def read_open_order(row: Any) -> ParsedOrder | None:
    """A row of the open orders: it rests, even where its amounts cannot be true."""
    order = read_order(row)
    if order is not None or not isinstance(row, Mapping):
        return order
    return read_order({"id": row.get("id"), "pair": row.get("pair"), "status": 0})


def key_of(order: ParsedOrder) -> OrderKey:
    """What names an order."""
    return (str(order["symbol"]), str(order["id"]))


def stub(key: OrderKey) -> ParsedOrder:
    """An order of which nothing but its name is known."""
    return {"id": key[1], "symbol": key[0], "status": None, "filled": None, "info": {}}
