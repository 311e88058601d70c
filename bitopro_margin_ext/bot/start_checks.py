"""What is read from a config before the bot starts: what cannot work, and what must stay secret."""

from collections.abc import Mapping
from typing import Any

from freqtrade.enums import MarginMode, RunMode, TradingMode
from freqtrade.exceptions import OperationalException

from ..core import redaction
from .options import parse_options

_ORDERLESS_MODES = (RunMode.UTIL_EXCHANGE, RunMode.UTIL_NO_EXCHANGE, RunMode.PLOT, RunMode.OTHER)

_SECRET_NAMES = ("key", "secret", "password", "apiKey", "api_key")


def remember_secrets(exchange_config: Mapping[str, Any]) -> None:
    """Blank the credentials from the first log line on: Freqtrade logs parts of this config."""
    for name, value in exchange_config.items():
        if isinstance(value, Mapping):
            remember_secrets(value)
        elif name in _SECRET_NAMES:
            redaction.add_secret(value)


def refuse_what_cannot_work(config: Mapping[str, Any]) -> None:
    """Stop before anything is sent.

    :raises OperationalException: with one line; Freqtrade exits with 2. It would exit with 0 on its
        own ``ConfigurationError``.
    """
    try:
        parse_options(config)
    except ValueError as error:
        raise OperationalException(str(error)) from None
    if config.get("runmode") in _ORDERLESS_MODES:
        return
    trading_mode = config.get("trading_mode") or TradingMode.SPOT
    margin_mode = config.get("margin_mode") or MarginMode.NONE
    if (
        TradingMode(trading_mode) not in (TradingMode.MARGIN, TradingMode.FUTURES)
        or MarginMode(margin_mode) != MarginMode.CROSS
    ):
        raise OperationalException(
            "Exchange bitopromargin trades the margin account only: set"
            ' "trading_mode": "margin" (long only, at 1x) or "futures" (leverage and shorts) and'
            ' "margin_mode": "cross", or use the exchange name "bitopro" for spot.'
        )
