"""What one sweep has learnt of each order, and what that makes of it in the report. Pure.

Only the exchange's own word counts: its answer to a cancel, its list of open orders, or an order
row. Each is weighed by what it can know and by when it came.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from .errors import Failure, unreadable
from .parse import parse_cancelled_ids, parse_order
from .report import CancelReport
from .symbols import is_order_id, pair_symbol

LOOKUPS: Final = 3
"""How often an order that the exchange does not tell about is asked for before it is unknown."""
PATIENCE: Final = 3
"""How often an order may be listed open after the exchange said that it cancelled it: lists lag."""
CLOCK_TOLERANCE_MS: Final = 2_000
"""How much earlier than our first request an end may be dated and still count as ours."""

Key = tuple[str, str]
"""Symbol and order id: an id alone may repeat on another pair."""
Order = dict[str, Any]


class Findings:
    """The orders of one sweep. ``started_ms`` is the sweep's start on the exchange's clock."""

    def __init__(
        self, symbol: str | None, known: Iterable[Key], started_ms: Callable[[], int]
    ) -> None:
        self._symbol = symbol
        self._started_ms = started_ms
        self._known: set[Key] = set()
        self._met: set[Key] = set()
        """Orders that were seen to rest: the report must tell their end, too."""
        self._strange: list[Order] = []
        for name, order_id in known:
            self._ask_about(str(name), str(order_id))
        self._cancelled: dict[Key, Order] = {}
        self._open: dict[Key, Order] = {}
        self._rows: dict[Key, Order] = {}
        self._found_open: set[Key] = set()
        self._doubtful: set[Key] = set()
        self._relisted: dict[Key, int] = {}
        self._lookups: dict[Key, int] = {}
        self._tries: dict[Key, int] = {}

    def _ask_about(self, name: str, order_id: str) -> None:
        try:
            symbol = pair_symbol(name)
            if not is_order_id(order_id):
                raise ValueError(order_id)
        except ValueError:
            # A caller's slip must not stop a sweep; it is told that nothing was learnt.
            self._strange.append(stub((name, order_id)))
            return
        if self._symbol in (None, symbol):
            self._known.add((symbol, order_id))

    # -- the exchange's word -------------------------------------------------------------------

    def note_cancelled(self, orders: Iterable[Order]) -> None:
        """Take in what an answer to a cancel says it cancelled."""
        for order in orders:
            key = key_of(order)
            self._cancelled[key] = order
            self._open.pop(key, None)
            self._doubtful.discard(key)

    def note_open(self, orders: Iterable[Order]) -> None:
        """Take in a list of open orders: it replaces the one before."""
        self._open = {}
        self._doubtful.clear()
        for order in orders:
            key = key_of(order)
            if order["status"] in ("closed", "canceled"):
                self.learn(order)
            elif self._symbol in (None, key[0]):
                self._open[key] = order
        self._met |= self._open.keys()
        for key in self._open.keys() & self._cancelled.keys():
            self._relisted[key] = self._relisted.get(key, 0) + 1

    def learn(self, order: Order, *, alone: bool = False) -> None:
        """Take in an order row, from a list or fetched ``alone``."""
        key = key_of(order)
        # A list may lag behind: an end, once told, is not taken back.
        if not self.is_over(key):
            self._rows[key] = order
        if alone and order["status"] == "open":
            self._found_open.add(key)
            self._doubtful.discard(key)

    def note_lookup(self, key: Key) -> None:
        """Count one question about a single order."""
        self._lookups[key] = self._lookups.get(key, 0) + 1

    def note_try(self, key: Key) -> None:
        """Count one cancel of a single order."""
        self._tries[key] = self._tries.get(key, 0) + 1

    def note_unanswered(self, keys: Iterable[Key] | None = None) -> None:
        """Take in that a cancel of these orders (None: of everything in scope) got no answer."""
        self._doubtful |= self._open.keys() | self._found_open if keys is None else set(keys)

    # -- what is to be done --------------------------------------------------------------------

    def is_over(self, key: Key) -> bool:
        """Whether an order row said how this order ended."""
        return self._rows.get(key, {}).get("status") in ("closed", "canceled")

    def is_listed(self, key: Key) -> bool:
        """Whether the last list of open orders has this order."""
        return key in self._open

    def has_row(self, key: Key) -> bool:
        """Whether any order row told about this order."""
        return key in self._rows

    def wanted(self) -> list[Key]:
        """The orders whose end is still to be learnt, where asking again may help."""
        asked = self._known | (self._met - self._open.keys())
        return [
            key
            for key in sorted(asked)
            if not self.is_over(key) and self._lookups.get(key, 0) < LOOKUPS
        ]

    def survivors(self, *, listed: bool) -> list[Key]:
        """The orders to cancel by id, those least tried first.

        ``listed`` says whether the open orders could be read: where they could, a history that
        still calls an order open is behind, unless the order itself was fetched.
        """
        shown = set(self._open)
        shown |= {
            key
            for key in (self._known | self._met) - self._cancelled.keys()
            if self._rows.get(key, {}).get("status") == "open"
            and (not listed or key in self._found_open)
        }
        alive = [
            key
            for key in sorted(shown)
            if not self.is_over(key)
            and (key not in self._cancelled or self._relisted.get(key, 0) >= PATIENCE)
        ]
        return sorted(alive, key=lambda key: self._tries.get(key, 0))

    def tries(self, key: Key) -> int:
        """How often this order was cancelled by its id."""
        return self._tries.get(key, 0)

    def unsettled(self, *, listed: bool) -> bool:
        """Whether anything is left to cancel or to learn."""
        resting = any(not self.is_over(key) for key in self._open)
        return resting or bool(self.survivors(listed=listed) or self.wanted())

    # -- the report ----------------------------------------------------------------------------

    def fill(self, report: CancelReport) -> None:
        """Put every order where the exchange's words place it, each in one list only."""
        keys = self._known | self._met | self._cancelled.keys()
        if report.in_doubt:
            # Cancelled by a call whose answer was lost: only their rows can name them.
            keys |= {key for key in self._rows if self._ended_in_sweep(key)}
        report.unknown.extend(self._strange)
        for key in sorted(keys):
            places, order = self._place(key, report)
            places.append(order)

    def _place(self, key: Key, report: CancelReport) -> tuple[list[Order], Order]:
        row = self._rows.get(key)
        if row is not None and self.is_over(key):
            ours = key in self._cancelled or key in self._tries or self._ended_in_sweep(key)
            by_us = row["status"] == "canceled" and ours
            return (report.cancelled if by_us else report.already_done), row
        if key in self._open:
            resting = report.unknown if key in self._doubtful else report.still_open
            return resting, self._open[key]
        if key in self._cancelled:
            # Cancelled for certain; how much it had filled by then was not told.
            order = {**self._cancelled[key], "status": "canceled", "filled": None}
            return report.cancelled, order
        if row is None:
            return report.unknown, stub(key)
        certain = key in self._found_open or not report.listed
        if row["status"] == "open" and certain and key not in self._doubtful:
            return report.still_open, row
        return report.unknown, row

    def _ended_in_sweep(self, key: Key) -> bool:
        """Whether the exchange dates the cancellation after our first request."""
        row = self._rows.get(key)
        if row is None or row["status"] != "canceled" or row["lastUpdateTimestamp"] is None:
            return False
        return bool(row["lastUpdateTimestamp"] >= self._started_ms() - CLOCK_TOLERANCE_MS)


def read_collection(reply: Any, kind: type) -> Any:
    """The ``data`` of a reply, or the Failure that it is or amounts to."""
    if isinstance(reply, Failure):
        return reply
    if not isinstance(reply, Mapping) or "data" not in reply:
        return unreadable(f"no {kind.__name__} under 'data'")
    # Go servers write an empty collection as null.
    data = kind() if reply["data"] is None else reply["data"]
    return data if isinstance(data, kind) else unreadable(f"no {kind.__name__} under 'data'")


def read_cancelled(reply: Any) -> Any:
    """The orders that a reply to a cancel names, as parsed orders, or a Failure."""
    data = read_collection(reply, dict)
    if isinstance(data, Failure):
        return data
    try:
        return parse_cancelled_ids(data)
    except (TypeError, ValueError):
        return unreadable("no lists of ids by pair under 'data'")


def read_order(row: Any, symbol: str | None = None) -> Order | None:
    """A parsed order row, or None where it does not name an order."""
    try:
        order = parse_order(row, symbol)
    except (AttributeError, TypeError, ValueError):
        return None
    return order if order["symbol"] and is_order_id(order["id"] or "") else None


def key_of(order: Order) -> Key:
    """What names an order."""
    return (str(order["symbol"]), str(order["id"]))


def stub(key: Key) -> Order:
    """An order of which nothing but its name is known."""
    return {"id": key[1], "symbol": key[0], "status": None, "filled": None, "info": {}}
