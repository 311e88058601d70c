"""What the exit code of every command means."""

from typing import Final

CONFIRMED: Final = 0
"""The exchange's own list shows nothing open in scope. Of other commands: all is well."""
REMAINING: Final = 1
"""Orders remain open. Of other commands: a check failed."""
USAGE: Final = 2
"""Usage or configuration: the exchange was not asked, or refused the key. Nothing was done."""
UNKNOWN: Final = 3
"""The exchange did not say enough: look again."""
INTERRUPTED: Final = 130
"""Interrupted, or not agreed to, after saying what is known so far."""
