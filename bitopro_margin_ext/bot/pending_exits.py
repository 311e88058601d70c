"""Exits that must come: one record per trade and reason, kept until the position is out.

A record is in the database before its first attempt (in the trade's custom data, one entry per
trade), so it outlives the process. Of several records of a trade the most urgent one decides what
is sent. What is sent is computed at each attempt, from the position and its open exit orders.
"""

import logging
import time
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from freqtrade.constants import CANCEL_REASON
from freqtrade.enums import ExitType
from freqtrade.exchange import amount_to_contract_precision
from freqtrade.persistence import Trade

from . import freqtrade_internals, positions

logger = logging.getLogger(__name__)

EMERGENCY_EXIT: Final = ExitType.EMERGENCY_EXIT.value
LIQUIDATION: Final = ExitType.LIQUIDATION.value
FORCE_EXIT: Final = ExitType.FORCE_EXIT.value

_MOST_URGENT_FIRST: Final = (
    EMERGENCY_EXIT,
    LIQUIDATION,
    ExitType.STOP_LOSS.value,
    ExitType.TRAILING_STOP_LOSS.value,
    ExitType.STOPLOSS_ON_EXCHANGE.value,
    FORCE_EXIT,
)
_UNTIL_CLOSED: Final = (EMERGENCY_EXIT, LIQUIDATION)
"""Reasons whose record stays when their order rests: should it be cancelled, another follows."""

CUSTOM_DATA_KEY: Final = "bitopro_margin_exit"
"""The trade's custom data that holds its records, by reason."""

_DELAYS: Final = (0.0, 0.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds after so many failures before the next attempt; the last one for all that follow."""
_TELL_AFTER: Final = frozenset({1, 3, 10, 30, 100, 300, 1000})
"""After how many failures the user gets a message; afterwards the log alone tells."""


def urgency(reason: str | None) -> int:
    """The rank of an exit reason; the lower, the more urgent."""
    if reason in _MOST_URGENT_FIRST:
        return _MOST_URGENT_FIRST.index(reason)
    return len(_MOST_URGENT_FIRST)


@dataclass
class PendingExit:
    """One exit that must come; amounts in base, ``since`` in Unix seconds.

    ``orders`` are the ids of the exit orders that there were already. ``rest_of`` names the exit
    order whose rest is meant, ``part`` is an amount; without either the whole position is. ``rate``
    is the limit that a forced exit asked for. ``amount`` is what was to go at first.
    """

    exit_reason: str
    order_type: str
    orders: list[str]
    rest_of: str | None = None
    rate: float | None = None
    part: float | None = None
    amount: float = 0.0
    since: float = 0.0
    swept: bool = False
    """Whether the orders in scope have been swept for it."""
    first_order: str | None = None
    """The id of its trade's first order: SQLite gives the number of a deleted trade away again."""

    # Not in the database:
    trade_id: int = 0
    failures: int = 0
    due: float = 0.0
    """When it may be attempted again, on the monotonic clock."""
    attempted_in: int | None = None
    """The iteration of its last attempt that did not succeed."""
    obstructed: bool = False
    """Whether orders on its pair may be in the way of the next attempt."""
    reached: bool = False
    """Whether the attempt under way came as far as its sweep."""
    stale: bool = False
    """Whether the attempt under way was refused here, because its amount had changed."""

    @property
    def is_whole(self) -> bool:
        """Whether the whole position is meant."""
        return self.rest_of is None and self.part is None

    def is_of(self, trade: Any) -> bool:
        """Whether the trade with its number is still its trade."""
        orders = trade.orders
        return self.first_order is None or not orders or orders[0].order_id == self.first_order


_IN_MEMORY: Final = frozenset(
    ("trade_id", "failures", "due", "attempted_in", "obstructed", "reached", "stale")
)
_STORED: Final = tuple(one.name for one in fields(PendingExit) if one.name not in _IN_MEMORY)


class PendingExits:
    """The exits of one bot that must come, by trade and reason."""

    def __init__(self) -> None:
        self._exits: dict[tuple[int, str], PendingExit] = {}
        self.changed: set[int] = set()
        """Trades whose records the database does not have as they are."""
        self._restored: tuple[list[PendingExit], list[str]] | None = None

    def __contains__(self, trade_id: int) -> bool:
        return any(key[0] == trade_id for key in self._exits)

    def __len__(self) -> int:
        return len(self._exits)

    def all(self) -> list[PendingExit]:
        """Every record: fresh ones first, then the most urgent, then the oldest."""
        return sorted(
            self._exits.values(),
            key=lambda one: (one.failures > 0, urgency(one.exit_reason), one.since),
        )

    def get(self, trade_id: int, reason: str) -> PendingExit | None:
        """The record of a trade and reason."""
        return self._exits.get((trade_id, reason))

    def most_urgent(self, trade_id: int) -> PendingExit | None:
        """The record that decides what is sent for a trade."""
        found = [one for key, one in self._exits.items() if key[0] == trade_id]
        return min(found, key=lambda one: (urgency(one.exit_reason), one.since), default=None)

    # -- what becomes of a record --------------------------------------------------------------

    def add(
        self,
        trade: Any,
        reason: str,
        order_type: str,
        *,
        rest_of: str | None = None,
        part: float | None = None,
        rate: float | None = None,
    ) -> PendingExit:
        """Record an exit. A record of this reason stays, unless this one is for the whole position
        and that one was not.
        """
        known = self._exits.get((trade.id, reason))
        if known is not None and not known.is_of(trade):
            known = None
        is_whole = rest_of is None and part is None
        if known is not None and (known.is_whole or not is_whole):
            return known
        # A forced exit has the user's price, if it has one; any other is priced anew.
        rate = rate if reason == FORCE_EXIT and order_type == "limit" else None
        found = PendingExit(
            exit_reason=reason,
            order_type=order_type,
            orders=[order.order_id for order in exit_orders(trade)],
            rest_of=rest_of,
            rate=rate,
            part=part,
            amount=trade.amount if part is None else part,
            since=time.time(),
            swept=known is not None and known.swept,
            first_order=trade.orders[0].order_id if trade.orders else None,
            trade_id=trade.id,
        )
        self._exits[trade.id, reason] = found
        self.changed.add(trade.id)
        return found

    def remove(self, trade_id: int, reason: str) -> None:
        """The exit is there, or no longer wanted."""
        if self._exits.pop((trade_id, reason), None) is not None:
            self.changed.add(trade_id)

    def settle(self, trade_id: int) -> None:
        """Drop the records of a trade that have nothing left to send.

        :raises SQLAlchemyError: when the database cannot be read; the records stay.
        """
        records = [one for key, one in self._exits.items() if key[0] == trade_id]
        if not records:
            return
        trade = Trade.session.get(Trade, trade_id)
        for one in records:
            if trade is None or not one.is_of(trade) or is_settled(trade, one):
                self.remove(trade_id, one.exit_reason)

    def note_swept(self, pending: PendingExit) -> None:
        """Its orders in scope have been swept: later attempts leave the others alone."""
        if not pending.swept:
            pending.swept = True
            self.changed.add(pending.trade_id)

    def note_failure(self, pending: PendingExit, iteration: int) -> bool:
        """Put the next attempt off; whether the user should be told of this one."""
        pending.attempted_in = iteration
        pending.failures += 1
        delay = _DELAYS[min(pending.failures, len(_DELAYS)) - 1]
        pending.due = time.monotonic() + delay
        return pending.failures in _TELL_AFTER

    # -- the database --------------------------------------------------------------------------

    def write(self) -> None:
        """Put what has changed into the custom data of its trades; the caller commits it.

        :raises SQLAlchemyError: when it cannot be written.
        """
        if self.changed:
            # A user's exit may come before the first iteration: what an earlier process has
            # recorded of its trade stays.
            self.restore()
        for trade_id in self.changed:
            trade = Trade.session.get(Trade, trade_id)
            if trade is not None:
                trade.set_custom_data(CUSTOM_DATA_KEY, self._as_stored(trade_id))

    def restore(self) -> tuple[list[PendingExit], list[str]]:
        """Take up, once, what an earlier process recorded; what cannot be read is said in words.

        :raises SQLAlchemyError: when the table cannot be read.
        """
        if self._restored is not None:
            return self._restored
        restored, unreadable = [], []
        for trade_id, value in freqtrade_internals.custom_data_of_trades(CUSTOM_DATA_KEY):
            try:
                stored = value() or {}
                # Earlier versions had one record for a trade.
                records = [stored] if "exit_reason" in stored else list(stored.values())
                for record in records:
                    known = {name: record[name] for name in _STORED if name in record}
                    one = PendingExit(**known, trade_id=trade_id)
                    if (trade_id, one.exit_reason) not in self._exits:
                        self._exits[trade_id, one.exit_reason] = one
                        restored.append(one)
            except Exception as error:
                unreadable.append(f"trade {trade_id}: {error}")
        self._restored = restored, unreadable
        return self._restored

    def _as_stored(self, trade_id: int) -> dict[str, Any]:
        return {
            one.exit_reason: {name: value for name, value in asdict(one).items() if name in _STORED}
            for key, one in self._exits.items()
            if key[0] == trade_id
        }


# -- what is left to go ------------------------------------------------------------------------


def exit_orders(trade: Any) -> list[Any]:
    """All exit orders of a trade but its stops, whatever became of them."""
    return [order for order in trade.orders if order.ft_order_side == trade.exit_side]


def amount_to_go(trade: Any, pending: PendingExit) -> float:
    """What a record has still to sell or buy back, in base, never more than the position."""
    if pending.is_whole:
        return float(trade.amount)
    wanted = pending.part
    if wanted is None:
        order = trade.select_order_by_order_id(pending.rest_of)
        wanted = trade.amount if order is None else order.safe_remaining
    gone = sum(
        order.safe_filled
        for order in exit_orders(trade)
        if order.order_id not in (*pending.orders, pending.rest_of)
        and order.ft_order_tag == pending.exit_reason
    )
    return _in_steps(trade, whole_if_near(trade, max(0.0, wanted - gone)))


def whole_if_near(trade: Any, part: float) -> float:
    """A part of the position; all of it, if what would be left is less than can be traded."""
    amount = float(trade.amount)
    return amount if part and not _in_steps(trade, max(0.0, amount - part)) else part


def _in_steps(trade: Any, amount: float) -> float:
    """An amount in the exchange's steps; less than the smallest is nothing."""
    return float(
        amount_to_contract_precision(
            amount, trade.amount_precision, trade.precision_mode, trade.contract_size
        )
    )


def sub_amount(trade: Any, pending: PendingExit) -> float | None:
    """What Freqtrade calls ``sub_trade_amt``: a part of the position, or None for all of it."""
    amount = amount_to_go(trade, pending)
    return None if positions.same_amount(amount, trade.amount) else amount


def rests(trade: Any, pending: PendingExit) -> bool:
    """Whether there is nothing to send for now: its orders rest, or the one whose rest is meant
    still counts as open.
    """
    waits = any(order.ft_is_open for order in trade.orders if order.order_id == pending.rest_of)
    return waits or is_covered(trade, pending)


def is_covered(trade: Any, pending: PendingExit) -> bool:
    """Whether open orders of this urgency, or of a greater one, are for all that has to go."""
    resting = [
        order
        for order in exit_orders(trade)
        if order.ft_is_open
        and order.order_id != pending.rest_of
        and urgency(order.ft_order_tag) <= urgency(pending.exit_reason)
    ]
    if not resting:
        return False
    left = amount_to_go(trade, pending)
    if pending.is_whole:
        # The position counts an order's fills once the order has ended.
        left -= sum(order.safe_filled for order in resting)
    waiting = sum(order.safe_remaining for order in resting)
    return waiting >= left or positions.same_amount(waiting, left)


def is_settled(trade: Any, pending: PendingExit) -> bool:
    """Whether an exit needs no further attempt, ever."""
    if not trade.is_open or not trade.has_open_position or not amount_to_go(trade, pending):
        return True
    if pending.exit_reason in _UNTIL_CLOSED:
        return _called_off(trade, pending)
    return is_covered(trade, pending)


def _called_off(trade: Any, pending: PendingExit) -> bool:
    """Whether the user cancelled its last order through the bot."""
    own = [
        order
        for order in exit_orders(trade)
        if order.order_id not in (*pending.orders, pending.rest_of)
        and order.ft_order_tag == pending.exit_reason
    ]
    reason = (own[-1].ft_cancel_reason or "") if own and not own[-1].ft_is_open else ""
    return CANCEL_REASON["USER_CANCEL"] in reason
