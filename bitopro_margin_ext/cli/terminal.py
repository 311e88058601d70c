"""Talking to the user: redacted, and never a reason to stop what was asked for."""

import os
import sys
from typing import TextIO

from bitopro_margin_ext.redaction import redact


class UsageError(Exception):
    """The command cannot do what was asked; the text is one line that says what to do."""


def say(text: str, *, to_stderr: bool = False) -> None:
    """Print a line. A closed pipe or an odd encoding does not stop the caller."""
    _write(text, sys.stderr if to_stderr else sys.stdout)


def tell(text: str) -> None:
    """Print a line for people, where it does not mix with a document on standard output."""
    _write(text, sys.stderr)


def agreed(question: str) -> bool:
    """Ask on the terminal; no answer is a no."""
    if sys.stderr is not None:
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def on_terminal() -> bool:
    """Whether there is somebody who could be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def finish() -> None:
    """Flush; if the reader has gone, keep the interpreter from complaining about it at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _write(text: str, stream: TextIO | None) -> None:
    if stream is None:
        return
    line = redact(text) + "\n"
    try:
        try:
            stream.write(line)
        except UnicodeEncodeError:
            stream.write(line.encode("ascii", "backslashreplace").decode())
        stream.flush()
    except (OSError, ValueError):
        # Nobody reads it: that must not keep orders open.
        return
