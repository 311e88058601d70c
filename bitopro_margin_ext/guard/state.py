"""When to fire: pure, so that every order of events can be tried; and what a restart remembers.

Silence is counted, not read off a clock: each observation adds the time since the last one, but
never more than two intervals. So a clock that jumps, a machine that slept or a guard that was not
running adds next to nothing, and one lost poll after such a gap cannot fire.
"""

import enum
import json
import logging
import math
import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

logger = logging.getLogger(__name__)

MISSES: Final = 2
"""How many looks in a row must find no new sign of life, however short ``after`` is."""

RECOVERY: Final = Decimal("1.02")
"""How far above its minimum adRatio must be before it can fire again: no flutter on the edge."""


class Phase(enum.Enum):
    """Where one cause stands. An event begins at ``FIRING`` and ends back at ``ARMED``."""

    WAITING = "waiting"
    """No sign of life was ever seen: whether the bot is alive is not known."""
    ARMED = "armed"
    FIRING = "firing"
    """To be cancelled, or cancelled and not yet confirmed."""
    FIRED = "fired"
    """Confirmed. Nothing more is done about this event."""


class Debt(enum.Enum):
    """What an account has in the place of an adRatio that counts."""

    NONE = "none"


AdRatio = Decimal | Literal[Debt.NONE] | None
"""A ratio, ``Debt.NONE`` where nothing is owed, or None where it could not be read."""


class Rule(NamedTuple):
    """What counts as an emergency; times in seconds."""

    after: float
    interval: float
    min_ad_ratio: Decimal | None = None


class WatchState(NamedTuple):
    """All that the guard remembers from one observation to the next, and over its own restart."""

    silence: float = 0.0
    misses: int = 0
    beat: str | None = None
    """The last sign of life, to recognise a new one; never compared with a clock."""
    heartbeat: Phase = Phase.WAITING
    ratio: Phase = Phase.ARMED

    @property
    def firing(self) -> bool:
        """Whether there is something to cancel."""
        return Phase.FIRING in (self.heartbeat, self.ratio)


class Observation(NamedTuple):
    """What one look found: a sign of life or none, and adRatio.

    ``stale`` says that the sign of life is an old one, left by a bot that may be long gone. It
    counts only while none was seen before: the first must be fresh, or change, to be life.
    """

    elapsed: float
    beat: str | None
    ad_ratio: AdRatio = None
    stale: bool = False


class Event(enum.Enum):
    """What an observation changed, for those who are to hear of it."""

    ALIVE = "alive"
    NEVER_SEEN = "never-seen"
    SILENT = "silent"
    RETURNED = "returned"
    RETURNED_UNCONFIRMED = "returned-unconfirmed"
    RATIO_LOW = "ratio-low"
    RATIO_RECOVERED = "ratio-recovered"
    RATIO_RECOVERED_UNCONFIRMED = "ratio-recovered-unconfirmed"


def update(
    state: WatchState, seen: Observation, rule: Rule
) -> tuple[WatchState, tuple[Event, ...]]:
    """Take one observation into account.

    A bot that returns ends its event, also where cancelling was not confirmed yet: its orders are
    its own again. A debt that is repaid, or a ratio that has recovered, ends the other event; a
    ratio that could not be read changes nothing.
    """
    state, heard = _update_heartbeat(state, seen, rule)
    state, measured = _update_ratio(state, seen, rule)
    return state, heard + measured


def is_life(state: WatchState, beat: str | None) -> bool:
    """Whether a beat is one that the state does not know yet."""
    return beat is not None and beat != state.beat


def confirm(state: WatchState) -> WatchState:
    """Take into account that the exchange shows nothing open: one cancel serves both causes."""
    heartbeat, ratio = (
        Phase.FIRED if phase is Phase.FIRING else phase for phase in (state.heartbeat, state.ratio)
    )
    return state._replace(heartbeat=heartbeat, ratio=ratio)


def _update_heartbeat(
    state: WatchState, seen: Observation, rule: Rule
) -> tuple[WatchState, tuple[Event, ...]]:
    waiting = state.heartbeat is Phase.WAITING
    if is_life(state, seen.beat):
        if waiting and state.beat is None and seen.stale:
            state = state._replace(beat=seen.beat)
        else:
            alive = state._replace(silence=0.0, misses=0, beat=seen.beat, heartbeat=Phase.ARMED)
            if waiting:
                return alive, (Event.ALIVE,)
            return alive, _ended(state.heartbeat, Event.RETURNED, Event.RETURNED_UNCONFIRMED)
    before = state.silence
    silence = before + min(max(seen.elapsed, 0.0), 2 * rule.interval)
    state = state._replace(silence=silence, misses=state.misses + 1)
    if waiting:
        return state, (Event.NEVER_SEEN,) if before < rule.after <= silence else ()
    due = silence >= rule.after and state.misses >= MISSES
    if due and state.heartbeat is Phase.ARMED:
        return state._replace(heartbeat=Phase.FIRING), (Event.SILENT,)
    return state, ()


def _update_ratio(
    state: WatchState, seen: Observation, rule: Rule
) -> tuple[WatchState, tuple[Event, ...]]:
    minimum = rule.min_ad_ratio
    if minimum is None:
        # Also where an earlier guard, which had a minimum, left an event behind.
        return state._replace(ratio=Phase.ARMED), ()
    if seen.ad_ratio is None:
        return state, ()
    if seen.ad_ratio is not Debt.NONE and seen.ad_ratio < minimum:
        if state.ratio is Phase.ARMED:
            return state._replace(ratio=Phase.FIRING), (Event.RATIO_LOW,)
        return state, ()
    if seen.ad_ratio is Debt.NONE or seen.ad_ratio >= minimum * RECOVERY:
        ended = _ended(state.ratio, Event.RATIO_RECOVERED, Event.RATIO_RECOVERED_UNCONFIRMED)
        return state._replace(ratio=Phase.ARMED), ended
    return state, ()


def _ended(phase: Phase, confirmed: Event, unconfirmed: Event) -> tuple[Event, ...]:
    if phase is Phase.ARMED:
        return ()
    return (confirmed if phase is Phase.FIRED else unconfirmed,)


class StateFile:
    """Keeps the state of one watch; that of another account, host or bot is not taken over.

    What cannot be read is replaced. A file that cannot be written is reported once and does
    without: it must not keep the guard from its watch.
    """

    LARGEST: Final = 65_536
    """Bytes; what the guard writes has a few hundred."""

    def __init__(self, path: Path, subject: str) -> None:
        self._path = path
        self._subject = subject
        self._last: WatchState | None = None
        self._warned = False

    def read(self) -> WatchState:
        """The state at the last end, or a fresh one. Misses count anew: none was seen yet."""
        try:
            with self._path.open("rb") as file:
                text = file.read(self.LARGEST + 1)
            if len(text) > self.LARGEST:
                raise ValueError("too large")
            document = json.loads(text.decode("utf-8"))
            if document["subject"] != self._subject:
                logger.info(f"{self._path} is about another watch: starting afresh")
                return WatchState()
            return _state_of(document)
        except FileNotFoundError:
            return WatchState()
        except (
            OSError,
            ArithmeticError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            logger.warning(f"{self._path} cannot be read ({type(error).__name__}): starting afresh")
            return WatchState()

    def write(self, state: WatchState) -> None:
        """Write it down, whole or not at all; on the disk at once where a phase has changed."""
        turning = self._last is None or (state.heartbeat, state.ratio) != (
            self._last.heartbeat,
            self._last.ratio,
        )
        document = {
            "subject": self._subject,
            "silence": state.silence,
            "beat": state.beat,
            "heartbeat": state.heartbeat.value,
            "ratio": state.ratio.value,
        }
        draft = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as file:
                json.dump(document, file)
                if turning:
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            if not self._warned:
                logger.warning(f"{self._path} cannot be written: {error.strerror}")
            self._warned = True
        else:
            self._warned = False
        self._last = state


def _state_of(document: Mapping[str, Any]) -> WatchState:
    """Read a document that anybody may have written.

    :raises ValueError: for a value that the guard cannot have written.
    """
    silence, beat = document["silence"], document["beat"]
    if isinstance(silence, bool) or not isinstance(silence, int | float):
        raise ValueError("silence is no number")
    if not math.isfinite(silence) or silence < 0:
        raise ValueError("silence is no time")
    if beat is not None and not isinstance(beat, str):
        raise ValueError("beat is no text")
    heartbeat, ratio = Phase(document["heartbeat"]), Phase(document["ratio"])
    if ratio is Phase.WAITING:
        raise ValueError("adRatio waits for nothing")
    return WatchState(silence=float(silence), beat=beat, heartbeat=heartbeat, ratio=ratio)
