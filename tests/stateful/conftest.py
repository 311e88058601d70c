"""Registers the profiles before pytest reads ``--hypothesis-profile``."""

from . import profiles  # noqa: F401
