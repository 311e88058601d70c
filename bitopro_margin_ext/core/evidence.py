"""What the exchange's statements about one order amount to: the one rule of precedence. Pure."""

import enum
from collections.abc import Sequence
from typing import Final, NamedTuple

from .assumptions import LIST_LAG_SECONDS
from .parse import ParsedOrder


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
    ends = [one for one in statements if one.status in ENDS and one.source is not Source.NAMED]
    if ends:
        return Conclusion(Fate.ENDED, max(ends, key=_data_and_moment).order)
    opens = [one for one in statements if one.status == "open"]
    named = [one for one in statements if one.source is Source.NAMED]
    absent_at = max((s.asked for s in statements if s.source is Source.ABSENT), default=None)
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
