"""Does Freqtrade load the strategy, and does the mixin come first in it?"""

import contextlib
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core import redaction
from . import Finding, fail, ok
from .config_checks import check_orders


def check_strategy(
    merged: Mapping[str, Any], files: Sequence[str], userdir: Path | None, name: str | None
) -> Iterator[Finding]:
    """Load config and strategy by Freqtrade's own code; ``name`` overrides the config's.

    ``merged`` is what the files say by themselves: all there is where Freqtrade refuses them.
    """
    import bitopro_margin_ext

    bitopro_margin_ext.register()
    arguments = {"config": list(files), "strategy": name}
    if userdir is not None:
        arguments["user_data_dir"] = str(userdir)
    try:
        with _silence():
            config = _load_config(arguments)
    except Exception as error:
        yield fail("Freqtrade", f"refuses the config: {_line(error)}", "correct what it names")
        yield from check_orders(merged)
        return
    yield ok("Freqtrade", "accepts the config")
    try:
        with _silence():
            strategy = _load_strategy(config)
    except Exception as error:
        yield fail(
            "strategy", f"cannot be loaded: {_line(error)}", "correct it, or name it by --strategy"
        )
        yield from check_orders(merged)
        return
    yield ok("strategy", f"{type(strategy).__name__} loads")
    yield check_mixin(type(strategy))
    try:
        _check_consistency(config)
    except Exception as error:
        yield fail("Freqtrade", f"would not start: {_line(error)}", "correct what it names")
    yield from check_orders(_settings(config))


def check_mixin(cls: type) -> Finding:
    """Whether the mixin is there, and before ``IStrategy``, so that its callbacks are called."""
    from ..bot.mixin import EmergencyCancelMixin

    # A class with the two the wrong way round cannot be made, so it has not been loaded either.
    line = f"class {cls.__name__}(EmergencyCancelMixin, IStrategy)"
    if not issubclass(cls, EmergencyCancelMixin):
        return fail("EmergencyCancelMixin", "the strategy does not have it", f"write {line}")
    return ok("EmergencyCancelMixin", "comes before IStrategy")


def _load_config(arguments: Mapping[str, Any]) -> dict[str, Any]:
    from freqtrade.configuration import Configuration
    from freqtrade.enums import RunMode

    config: dict[str, Any] = Configuration(dict(arguments), RunMode.DRY_RUN).get_config()
    return config


def _load_strategy(config: dict[str, Any]) -> Any:
    from freqtrade.resolvers import StrategyResolver

    return StrategyResolver.load_strategy(config)


def _check_consistency(config: dict[str, Any]) -> None:
    """As the bot does once the strategy has added its own values."""
    from freqtrade.configuration.config_validation import validate_config_consistency

    with _silence():
        validate_config_consistency(config)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """A strategy may print, and Freqtrade sets up the logging that the config asks for."""
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    # The resolver has put the strategy's own values where the config had none.
    return {name: config.get(name) for name in ("order_types", "unfilledtimeout")}


def _line(error: Exception) -> str:
    text = redaction.redact(str(error)).strip() or type(error).__name__
    return " ".join(text.split())[:300]
