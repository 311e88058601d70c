"""What one check found."""

import enum
from typing import NamedTuple


class State(enum.Enum):
    """How a check ended; only ``FAIL`` makes the doctor's verdict bad."""

    OK = "ok"
    FAIL = "FAIL"
    NOTE = "note"
    """Worth knowing, or beyond what can be checked."""


class CheckResult(NamedTuple):
    """One line: what was checked, what was found, and for a failure what to do about it."""

    state: State
    subject: str
    text: str
    fix: str = ""

    def __str__(self) -> str:
        fix = f" -> {self.fix}" if self.fix else ""
        return f"{self.state.value:<5} {self.subject}: {self.text}{fix}"

    def to_json(self) -> dict[str, str]:
        """The line as plain data."""
        return self._asdict() | {"state": self.state.value.lower()}


def ok(subject: str, text: str) -> CheckResult:
    """All is well."""
    return CheckResult(State.OK, subject, text)


def fail(subject: str, text: str, fix: str) -> CheckResult:
    """It will not work, or not when it matters."""
    return CheckResult(State.FAIL, subject, text, fix)


def note(subject: str, text: str) -> CheckResult:
    """Neither."""
    return CheckResult(State.NOTE, subject, text)
