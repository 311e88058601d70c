"""Registration in both hosts, and what one line in Freqtrade's ``log_config`` switches on."""

import importlib.util
import logging

from . import redaction
from ._version import __version__

logger = logging.getLogger(__name__)


def register() -> None:
    """Make ``bitopromargin`` known to ccxt, and to Freqtrade where it is installed.

    Calling it twice is harmless.
    """
    from . import exchange

    exchange.register()
    if importlib.util.find_spec("freqtrade") is not None:
        from .bot import registration

        registration.register()


def enable() -> logging.Filter:
    """Register everything; the factory that Freqtrade's ``log_config`` names.

    ``"filters": {"bitopro_margin": {"()": "bitopro_margin_ext.enable"}}`` is the only place of a
    Freqtrade config from which code is loaded before the exchange is created.

    :returns: a filter that blanks key, secret, payload and signature out of log records.
    """
    register()
    redaction.redact_all_records()
    return redaction.RedactingFilter()


__all__ = ["__version__", "enable", "register"]
