"""What one check found."""

import enum
from typing import NamedTuple


class State(enum.Enum):
    """How a check ended; only ``FAIL`` makes the doctor's verdict bad."""

    OK = "ok"
    FAIL = "FAIL"
    NOTE = "note"
    """Worth knowing, or beyond what can be checked."""


class Finding(NamedTuple):
    """One line: what was checked, what was found, and for a failure how to mend it."""

    state: State
    subject: str
    text: str
    fix: str = ""

    def __str__(self) -> str:
        fix = f" -> {self.fix}" if self.fix else ""
        return f"{self.state.value:<5} {self.subject}: {self.text}{fix}"


def ok(subject: str, text: str) -> Finding:
    """All is well."""
    return Finding(State.OK, subject, text)


def fail(subject: str, text: str, fix: str) -> Finding:
    """It will not work, or not when it matters."""
    return Finding(State.FAIL, subject, text, fix)


def note(subject: str, text: str) -> Finding:
    """Neither."""
    return Finding(State.NOTE, subject, text)
