"""When to fire: pure, so that every order of events can be tried.

Silence is counted, not read off a clock: each look adds the time since the look before, but never
more than two intervals. So a clock that jumps, a machine that slept or a guard that was not
running adds next to nothing, and one lost poll after such a gap cannot fire.
"""

import enum
import json
import logging
import os
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

MISSES: Final = 2
"""How many looks in a row must find no new sign of life, however short ``after`` is."""

RECOVERY: Final = Decimal("1.02")
"""How far above its minimum adRatio must be before it can fire again: no flutter on the edge."""


class Phase(enum.Enum):
    """Where one cause stands. An event begins at ``FIRING`` and ends back at ``ARMED``."""

    ARMED = "armed"
    FIRING = "firing"
    """To be cancelled, or cancelled and not yet confirmed."""
    FIRED = "fired"
    """Confirmed. Nothing more is done about this event."""


class Rule(NamedTuple):
    """What counts as an emergency; times in seconds."""

    after: float
    interval: float
    min_ad_ratio: Decimal | None = None


class Standing(NamedTuple):
    """All that the guard remembers from one look to the next, and over its own restart."""

    silence: float = 0.0
    misses: int = 0
    beat: str | None = None
    """The last sign of life, to tell a new one from it; never compared with a clock."""
    heartbeat: Phase = Phase.ARMED
    ratio: Phase = Phase.ARMED

    @property
    def firing(self) -> bool:
        """Whether there is something to cancel."""
        return Phase.FIRING in (self.heartbeat, self.ratio)


class Look(NamedTuple):
    """What one look found: a sign of life or none; adRatio, or None where it does not count."""

    elapsed: float
    beat: str | None
    ad_ratio: Decimal | None = None


class News(enum.Enum):
    """What a look changed, for those who are to be told."""

    SILENT = "silent"
    RETURNED = "returned"
    RETURNED_UNCONFIRMED = "returned-unconfirmed"
    RATIO_LOW = "ratio-low"
    RATIO_RECOVERED = "ratio-recovered"
    RATIO_RECOVERED_UNCONFIRMED = "ratio-recovered-unconfirmed"


def judge(standing: Standing, look: Look, rule: Rule) -> tuple[Standing, tuple[News, ...]]:
    """Take one look into account.

    A bot that returns ends its event, also where cancelling was not confirmed yet: its orders are
    its own again.
    """
    standing, heard = _judge_heartbeat(standing, look, rule)
    standing, measured = _judge_ratio(standing, look, rule)
    return standing, heard + measured


def confirm(standing: Standing) -> Standing:
    """Take into account that the exchange shows nothing open: one cancel serves both causes."""
    heartbeat, ratio = (
        Phase.FIRED if phase is Phase.FIRING else phase
        for phase in (standing.heartbeat, standing.ratio)
    )
    return standing._replace(heartbeat=heartbeat, ratio=ratio)


def _judge_heartbeat(
    standing: Standing, look: Look, rule: Rule
) -> tuple[Standing, tuple[News, ...]]:
    if look.beat is not None and look.beat != standing.beat:
        alive = standing._replace(silence=0.0, misses=0, beat=look.beat, heartbeat=Phase.ARMED)
        return alive, _ended(standing.heartbeat, News.RETURNED, News.RETURNED_UNCONFIRMED)
    silence = standing.silence + min(max(look.elapsed, 0.0), 2 * rule.interval)
    standing = standing._replace(silence=silence, misses=standing.misses + 1)
    due = silence >= rule.after and standing.misses >= MISSES
    if due and standing.heartbeat is Phase.ARMED:
        return standing._replace(heartbeat=Phase.FIRING), (News.SILENT,)
    return standing, ()


def _judge_ratio(standing: Standing, look: Look, rule: Rule) -> tuple[Standing, tuple[News, ...]]:
    if rule.min_ad_ratio is None or look.ad_ratio is None:
        return standing, ()
    if look.ad_ratio < rule.min_ad_ratio:
        if standing.ratio is Phase.ARMED:
            return standing._replace(ratio=Phase.FIRING), (News.RATIO_LOW,)
        return standing, ()
    if standing.ratio is not Phase.ARMED and look.ad_ratio >= rule.min_ad_ratio * RECOVERY:
        ended = _ended(standing.ratio, News.RATIO_RECOVERED, News.RATIO_RECOVERED_UNCONFIRMED)
        return standing._replace(ratio=Phase.ARMED), ended
    return standing, ()


def _ended(phase: Phase, confirmed: News, unconfirmed: News) -> tuple[News, ...]:
    if phase is Phase.ARMED:
        return ()
    return (confirmed if phase is Phase.FIRED else unconfirmed,)


logger = logging.getLogger(__name__)


class Memory:
    """Keeps the standing for one watch; that of another account, host or bot is not believed.

    A file that cannot be read or written is told of once and does without: it must not keep the
    guard from its watch.
    """

    def __init__(self, path: Path, subject: str) -> None:
        self._path = path
        self._subject = subject
        self._last: Standing | None = None
        self._warned = False

    def recall(self) -> Standing:
        """The standing at the last end, or a fresh one. Misses count anew: none was seen yet."""
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            if document["subject"] != self._subject:
                logger.info(f"{self._path} is about another watch: starting afresh")
                return Standing()
            beat = document["beat"]
            return Standing(
                silence=float(document["silence"]),
                beat=None if beat is None else str(beat),
                heartbeat=Phase(document["heartbeat"]),
                ratio=Phase(document["ratio"]),
            )
        except FileNotFoundError:
            return Standing()
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = type(error).__name__
            logger.warning(f"{self._path} cannot be read ({reason}): starting afresh")
            return Standing()

    def keep(self, standing: Standing) -> None:
        """Write it down, whole or not at all; on the disk at once where a phase has changed."""
        turning = self._last is None or (standing.heartbeat, standing.ratio) != (
            self._last.heartbeat,
            self._last.ratio,
        )
        document = {
            "subject": self._subject,
            "silence": standing.silence,
            "beat": standing.beat,
            "heartbeat": standing.heartbeat.value,
            "ratio": standing.ratio.value,
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
        self._last = standing
