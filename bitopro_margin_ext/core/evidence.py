"""What the exchange said of each order of a sweep, and the one rule by which that is weighed. Pure.

Every statement is kept with its moment and its kind; ``conclude`` says what they amount to, and
``SweepState`` what that makes of the order in the report.
"""

import enum
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, cast

from .assumptions import LIST_LAG_SECONDS
from .calls import Moment
from .endpoints import OrderKey, pair_symbol
from .parse import ORDER_ID, ParsedOrder
from .report import CancelReport


class Source(enum.Enum):
    """Where a statement about an order comes from."""

    NAMED = "named as cancelled"
    """By the answer to a cancel that gives nothing else of the order."""
    CANCEL = "answer to its cancel"
    """One that states the order's status."""
    OPEN_LIST = "row of the open orders"
    ABSENT = "absent from the open orders"
    """From a list that was read completely."""
    HISTORY = "row of the order history"
    LOOKUP = "look-up of this order"
    STREAM = "push of a stream"
    UNANSWERED = "cancel without an answer"
    """No statement of the exchange: what it said before may not be true any more."""


LISTS: Final = frozenset({Source.OPEN_LIST, Source.HISTORY})
"""Sources that may show an order as it was ``LIST_LAG_SECONDS`` before they were asked."""

ENDS: Final = frozenset({"closed", "canceled"})


class Statement(NamedTuple):
    """One statement: it is true of some moment between ``asked`` (less a lag) and ``answered``.

    ``status`` is ccxt's: ``open``, ``closed``, ``canceled``, or None where nothing is said of it.
    """

    source: Source
    asked: float
    answered: float
    status: str | None = None
    order: ParsedOrder | None = None


class Fate(enum.Enum):
    """What an order's statements amount to."""

    ENDED = "ended"
    """Order data say how."""
    CANCELLED = "cancelled"
    """The exchange says that it cancelled it, and nothing since says otherwise."""
    OPEN = "open"
    """The exchange's latest word."""
    DOUBTFUL = "doubtful"
    """It was open, and a cancel has been sent since that was not answered."""
    UNKNOWN = "unknown"
    """Gone, or never shown, and nobody has said how it ended."""


class Conclusion(NamedTuple):
    """The fate, and the order data that it rests on.

    ``is_shown_open`` is True of a cancelled order that a list still shows, as it may for a while.
    """

    fate: Fate
    order: ParsedOrder | None = None
    is_shown_open: bool = False


def conclude(statements: Sequence[Statement]) -> Conclusion:
    """Weigh everything that the exchange has said of one order.

    1. *An end that order data state is final*, whatever else is said, before or after: an order
       does not come back, so what shows it open was behind. Of several ends the latest counts.
    2. *Otherwise the word that it was cancelled* holds from its answer on, unless it is
       contradicted: by order data, asked for after that answer, that show the order open. A list
       contradicts only if it was asked for ``LIST_LAG_SECONDS`` later, because it may be behind. A
       word that was contradicted counts for nothing; a new one, given after the contradiction,
       counts once a complete list of open orders that was asked for after it lacks the order.
    3. *Otherwise the latest word counts*: open, when the last that was asked for shows it so, and
       doubtful, when a cancel was sent since that got no answer. An order that is absent from a
       complete list is not open any more, whatever the history says; how it ended is unknown.
    """
    ends: list[Statement] = []
    opens: list[Statement] = []
    named: list[Statement] = []
    absent_at: float | None = None
    for one in statements:
        if one.status == "open":
            opens.append(one)
        elif one.status in ENDS and one.source is not Source.NAMED:
            ends.append(one)
        if one.source is Source.NAMED:
            named.append(one)
        elif one.source is Source.ABSENT:
            absent_at = one.asked if absent_at is None else max(absent_at, one.asked)
    if ends:
        return Conclusion(Fate.ENDED, max(ends, key=_data_and_moment).order)
    if named:
        contradictions = [one for one in opens if any(_contradicts(one, word) for word in named)]
        last = max(named, key=lambda word: word.answered)
        if not contradictions:
            shown = max((o.asked for o in opens if o.source is Source.OPEN_LIST), default=None)
            is_shown = shown is not None and shown >= last.answered
            is_gone = absent_at is not None and shown is not None and absent_at > shown
            return Conclusion(Fate.CANCELLED, last.order, is_shown and not is_gone)
        contradicted = max(one.answered for one in contradictions)
        if last.asked >= contradicted and absent_at is not None and absent_at >= last.answered:
            return Conclusion(Fate.CANCELLED, last.order)
    return _latest(statements, opens, absent_at)


def _contradicts(one: Statement, word: Statement) -> bool:
    lag = LIST_LAG_SECONDS if one.source in LISTS else 0.0
    return one.asked - lag >= word.answered


def _latest(
    statements: Sequence[Statement], opens: list[Statement], absent_at: float | None
) -> Conclusion:
    if absent_at is not None:
        # A history may be behind the list that lacks the order; what shows the order itself is not.
        lag = LIST_LAG_SECONDS
        opens = [
            one
            for one in opens
            if one.asked - (lag if one.source is Source.HISTORY else 0.0) > absent_at
        ]
    if not opens:
        return Conclusion(Fate.UNKNOWN)
    latest = max(opens, key=lambda one: one.asked)
    unanswered = any(
        s.source is Source.UNANSWERED and s.answered >= latest.asked for s in statements
    )
    return Conclusion(Fate.DOUBTFUL if unanswered else Fate.OPEN, latest.order)


def _data_and_moment(one: Statement) -> tuple[bool, float]:
    """An end with its fill before one without; then the later."""
    return (one.order is not None and one.order.get("filled") is not None, one.asked)


# -- the orders of one sweep -----------------------------------------------------------------------

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
        self._named: set[OrderKey] = set()
        """Orders that an answer to a cancel named as cancelled."""
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
            if not ORDER_ID.fullmatch(order_id):
                raise ValueError(order_id)
        except ValueError:
            # A caller's slip must not stop a sweep; the report says that nothing was learnt.
            self._invalid.append(stub((name, order_id)))
            return
        if self._symbol in (None, symbol):
            self._known.add((symbol, order_id))

    # -- the exchange's word -------------------------------------------------------------------

    def record_cancelled(
        self,
        orders: Iterable[ParsedOrder],
        moment: Moment,
        keys: Iterable[OrderKey] | None = None,
    ) -> int:
        """Take in the orders that an answer names as cancelled, with nothing else of them.

        ``keys`` are those that were asked about (None: all of the pair). Returns how many others
        the answer names; of these nothing is concluded.
        """
        asked, others = None if keys is None else set(keys), 0
        for order in orders:
            key = key_of(order)
            if self._symbol in (None, key[0]) and (asked is None or key in asked):
                self._record(key, Source.NAMED, moment, order)
            else:
                others += 1
        return others

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

    def record_history(self, orders: Iterable[ParsedOrder], moment: Moment) -> None:
        """Take in what the history of a pair says of its orders."""
        for order in orders:
            self._record(key_of(order), Source.HISTORY, moment, order)

    def mark_unconfirmed(self, moment: Moment, keys: Iterable[OrderKey] | None = None) -> None:
        """Take in that a cancel of these orders (None: of everything in scope) got no answer."""
        for key in list(self._statements) if keys is None else keys:
            self._record(key, Source.UNANSWERED, moment)

    def record_lookup(self, key: OrderKey) -> None:
        """Count one question about a single order."""
        self._lookups[key] = self._lookups.get(key, 0) + 1

    def pairs_to_look_up(self, symbol: str | None = None) -> set[str]:
        """The pairs of the orders to look up."""
        return {name for name, _ in self.orders_to_look_up(symbol)}

    def orders_missing(self, symbol: str | None, *, lists_may_lag: bool) -> list[OrderKey]:
        """Of the orders to look up (of this pair) those that no list is expected to tell of."""
        return [
            key
            for key in self.orders_to_look_up(symbol)
            if key not in self._listed and not (lists_may_lag and self._has_history(key))
        ]

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
        if source is Source.NAMED:
            self._named.add(key)
        if len(found) > 1 and all(o.source is source and o.status == status for o in found[-2:]):
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

    def _has_history(self, key: OrderKey) -> bool:
        rows = (Source.HISTORY, Source.LOOKUP)
        return any(one.source in rows for one in self._statements.get(key, ()))

    def orders_to_look_up(self, symbol: str | None = None) -> list[OrderKey]:
        """The orders (of this pair) whose end is still to be learnt, where asking may help."""
        asked = self._known | (self._seen_open - self._listed.keys())
        return sorted(key for key in self._of(symbol, asked) if self._is_worth_a_look(key))

    def _is_worth_a_look(self, key: OrderKey) -> bool:
        return not self.is_final(key) and self._lookups.get(key, 0) < MAX_LOOKUPS

    def orders_to_cancel(self) -> list[OrderKey]:
        """The orders to cancel by id, those with the fewest attempts first."""
        found = [key for key in self._known | self._seen_open if self._may_rest(key)]
        return sorted(found, key=lambda key: (self._attempts.get(key, 0), key))

    def _may_rest(self, key: OrderKey) -> bool:
        return self._conclusion(key).fate in (Fate.OPEN, Fate.DOUBTFUL)

    def attempts(self, key: OrderKey) -> int:
        """How often this order was cancelled by its id."""
        return self._attempts.get(key, 0)

    def is_unsettled(self, symbol: str | None = None) -> bool:
        """Whether anything (of this pair) is left to cancel or to learn."""
        gone = self._known | (self._seen_open - self._listed.keys())
        return (
            any(not self.is_final(key) for key in self._of(symbol, self._listed))
            or any(self._is_worth_a_look(key) for key in self._of(symbol, gone))
            or any(self._may_rest(key) for key in self._of(symbol, self._known | self._seen_open))
        )

    @staticmethod
    def _of(symbol: str | None, keys: Iterable[OrderKey]) -> list[OrderKey]:
        return [key for key in keys if symbol is None or symbol == key[0]]

    # -- the report ----------------------------------------------------------------------------

    def fill(
        self,
        report: CancelReport,
        structure: Callable[[ParsedOrder], Any] = lambda order: order,
        symbol: str | None = None,
    ) -> None:
        """Put every order where the exchange's words place it, each in one list only.

        ``structure`` makes of a parsed order (of this pair) what stands in the report.
        """
        keys = self._known | self._seen_open | self._named
        if report.in_doubt:
            # Cancelled by a call whose answer was lost: only their rows can name them.
            keys |= {key for key in self._statements if self._ended_in_sweep(key)}
        placed = [(report.unknown, order) for order in self._invalid]
        placed += [self._place(key, report) for key in sorted(keys)]
        for places, order in placed:
            places.append(
                structure(order)
                if symbol in (None, order["symbol"])
                else cast(dict[str, Any], order)
            )

    def _place(
        self, key: OrderKey, report: CancelReport
    ) -> tuple[list[dict[str, Any]], ParsedOrder]:
        fate, order, is_shown_open = self._conclusion(key)
        data = order or self._listed.get(key) or stub(key)
        if fate is Fate.ENDED:
            ours = key in self._named or key in self._attempts or self._ended_in_sweep(key)
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


def key_of(order: ParsedOrder) -> OrderKey:
    """What names an order."""
    return (str(order["symbol"]), str(order["id"]))


def stub(key: OrderKey) -> ParsedOrder:
    """An order of which nothing but its name is known."""
    return {"id": key[1], "symbol": key[0], "status": None, "filled": None, "info": {}}
