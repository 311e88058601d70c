"""The ``bitopro_margin`` block of a Freqtrade config, checked once at start-up."""

import contextlib
import difflib
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..core.credentials import heartbeat_path, untouchable
from .leverage_options import OPTION_NAMES, parse_leverage_options

BLOCK: Final = "bitopro_margin"
EMERGENCY_EXIT: Final = "emergency_exit"
FREQTRADE_REASONS: Final = (
    EMERGENCY_EXIT,
    "liquidation",
    "stop_loss",
    "trailing_stop_loss",
    "stoploss_on_exchange",
    "force_exit",
    "exit_signal",
    "roi",
    "custom_exit",
    "partial_exit",
    "sold_on_exchange",
)
"""Freqtrade's own exit reasons, the values of its ``ExitType``."""
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
    exit_tags: tuple[str, ...] = ()
    """The strategy's own reasons in ``cancel_on`` that it puts together as it runs."""
    stream: bool = False
    """Whether the private order stream is followed, where ``exchange.enable_ws`` allows it."""

    def describe(self) -> str:
        """What the hook will do, for the start-up line."""
        if not self.cancel_on:
            return "cancel_on is empty: nothing is ever cancelled"
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
        exit_tags=_reasons("exit_tags", block["exit_tags"]) if "exit_tags" in block else (),
        scope=_scope(block.get("scope", Options().scope)),
        stream=_stream(block.get("stream", False)),
        deadline=_deadline(block.get("deadline", Options().deadline)),
        heartbeat_file=_heartbeat_file(
            block.get("heartbeat_file"),
            # Freqtrade puts the one that was named last first.
            next(iter(config.get("config_files") or ()), None),
            touched=_is_trading(config.get("runmode")),
        ),
    )


def check_reasons(options: Options, strategy: Any) -> None:
    """See that every word in ``cancel_on`` can be an exit reason of this strategy.

    It can if Freqtrade has it, if the strategy's source has it as a string, or if ``exit_tags``
    lists it. Any other is a slip that would turn the hook off for that exit.

    :raises ValueError: with one line that names the first word that cannot.
    """
    own = [
        word for word in options.cancel_on if word not in (*FREQTRADE_REASONS, *options.exit_tags)
    ]
    if not own:
        return
    source = _source_of(type(strategy))
    for word in own:
        if not re.search(rf"""(["']){re.escape(word)}\1""", source):
            close = difflib.get_close_matches(word.lower(), FREQTRADE_REASONS, 1, 0.5)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"{BLOCK}.cancel_on: {word!r} is no exit reason of Freqtrade's, nor a string in"
                f" the strategy's source{meant} Freqtrade has {', '.join(FREQTRADE_REASONS)}. If"
                f" the strategy makes it up as it runs, list it in {BLOCK}.exit_tags"
            )


def _source_of(cls: type) -> str:
    """The source of a strategy and its bases, as far as it is to be had."""
    found = []
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] in ("freqtrade", "bitopro_margin_ext", "builtins"):
            continue
        # Freqtrade keeps the text of the file that it loaded the strategy from.
        text = base.__dict__.get("__source__")
        if text is None:
            with contextlib.suppress(OSError, TypeError):
                text = inspect.getsource(sys.modules.get(base.__module__) or base)
        found.append(text or "")
    return "\n".join(found)


def start_warnings(
    options: Options, order_types: Mapping[str, Any], unfilledtimeout: Mapping[str, Any]
) -> list[str]:
    """What leaves the hook without effect, although it is configured: one line each."""
    found = []
    if EMERGENCY_EXIT not in options.cancel_on:
        found.append(
            f"{BLOCK}.cancel_on does not have {EMERGENCY_EXIT!r}: in an emergency NOTHING is"
            " cancelled before the exit."
        )
    never = not order_types.get("stoploss_on_exchange") and not (
        unfilledtimeout.get("exit") and unfilledtimeout.get("exit_timeout_count")
    )
    if never and EMERGENCY_EXIT in options.cancel_on:
        found.append(
            "Freqtrade will never make an emergency exit with these settings, so the hook never"
            ' cancels before one: set "stoploss_on_exchange": true in order_types, or'
            ' "exit_timeout_count" above 0 in unfilledtimeout.'
        )
    return found


def _cancel_on(value: Any) -> tuple[str, ...]:
    # Empty is how the hook is switched off; that is said loudly.
    return () if value in ([], ()) else _reasons("cancel_on", value)


def _reasons(name: str, value: Any) -> tuple[str, ...]:
    if (
        not isinstance(value, list | tuple)
        or not value
        or not all(isinstance(reason, str) and reason.strip() for reason in value)
    ):
        raise ValueError(
            f'{BLOCK}.{name}: must be a list of exit reasons like ["emergency_exit"], not {value!r}'
        )
    return tuple(reason.strip() for reason in value)


def _stream(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{BLOCK}.stream: must be true or false, not {value!r}")
    return value


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


def _heartbeat_file(value: Any, config_file: str | None, *, touched: bool) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise ValueError(f"{BLOCK}.heartbeat_file: must be a path, not {value!r}")
    try:
        path = heartbeat_path(value, config_file)
    except ValueError as error:
        raise ValueError(f"{BLOCK}.heartbeat_file: {error}") from None
    if touched and (problem := untouchable(path)):
        raise ValueError(f"{BLOCK}.heartbeat_file: {problem}")
    return path
