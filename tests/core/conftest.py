"""Registers the profiles before pytest reads ``--hypothesis-profile``."""

from tests.stateful import profiles  # noqa: F401
