"""What survives the guard's own end: its standing, in one small file."""

import json
import logging
import os
from pathlib import Path

from .decision import Phase, Standing

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
