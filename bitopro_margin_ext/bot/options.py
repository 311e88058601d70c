"""The ``bitopro_margin`` block of a Freqtrade config, checked once at start-up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..core.heartbeat_file import heartbeat_path, untouchable
from .leverage_options import OPTION_NAMES, parse_leverage_options

BLOCK: Final = "bitopro_margin"
SCOPES: Final = ("pair", "all")
MAX_DEADLINE: Final = 120.0
"""Seconds. A hook that holds an exit back for longer is no help in an emergency."""


@dataclass(frozen=True, slots=True)
class Options:
    """When the hook cancels, what it cancels, and how long it may hold the exit back (seconds)."""

    cancel_on: tuple[str, ...] = ("emergency_exit",)
    scope: str = "pair"
    deadline: float = 10.0
    heartbeat_file: Path | None = None

    def describe(self) -> str:
        """What the hook will do, for the start-up line."""
        what = "of the exiting pair" if self.scope == "pair" else "of every pair"
        return (
            f"on {', '.join(self.cancel_on)} all margin orders {what} are cancelled first,"
            f" within {self.deadline:g} s"
        )


def parse_options(config: Mapping[str, Any]) -> Options:
    """Read the block of a Freqtrade config; a missing block means the defaults.

    :raises ValueError: with one line that names the option and what it may be.
    """
    block = config.get(BLOCK, {})
    if not isinstance(block, Mapping):
        raise ValueError(f"{BLOCK}: must be an object of options, not {block!r}")
    known = (*Options.__dataclass_fields__, *OPTION_NAMES)
    for name in block:
        if name not in known:
            raise ValueError(f"{BLOCK}.{name}: unknown option; there are {', '.join(known)}")
    parse_leverage_options(config)
    return Options(
        cancel_on=_cancel_on(block.get("cancel_on", Options().cancel_on)),
        scope=_scope(block.get("scope", Options().scope)),
        deadline=_deadline(block.get("deadline", Options().deadline)),
        heartbeat_file=_heartbeat_file(
            block.get("heartbeat_file"),
            config.get("config_files") or (),
            touched=_is_trading(config.get("runmode")),
        ),
    )


def _cancel_on(value: Any) -> tuple[str, ...]:
    if (
        not isinstance(value, list | tuple)
        or not value
        or not all(isinstance(reason, str) and reason.strip() for reason in value)
    ):
        raise ValueError(
            f'{BLOCK}.cancel_on: must be a list of exit reasons like ["emergency_exit"],'
            f" not {value!r}"
        )
    return tuple(reason.strip() for reason in value)


def _scope(value: Any) -> str:
    if value not in SCOPES:
        raise ValueError(f"{BLOCK}.scope: must be 'pair' or 'all', not {value!r}")
    return str(value)


def _deadline(value: Any) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 1 <= value <= MAX_DEADLINE
    ):
        raise ValueError(
            f"{BLOCK}.deadline: must be seconds from 1 to {MAX_DEADLINE:g}, not {value!r}"
        )
    return float(value)


def _is_trading(runmode: Any) -> bool:
    """Whether this process will touch the heartbeat, as far as is known; an analysis will not."""
    return getattr(runmode, "value", runmode) in (None, "live", "dry_run")


def _heartbeat_file(value: Any, config_files: Sequence[str], *, touched: bool) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise ValueError(f"{BLOCK}.heartbeat_file: must be a path, not {value!r}")
    try:
        path = heartbeat_path(value, config_files)
    except ValueError as error:
        raise ValueError(f"{BLOCK}.heartbeat_file: {error}") from None
    if touched and (problem := untouchable(path)):
        raise ValueError(f"{BLOCK}.heartbeat_file: {problem}")
    return path
