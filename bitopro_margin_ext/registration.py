"""Registration in both hosts, and what one line in Freqtrade's ``log_config`` switches on."""

import importlib.util
import logging

from ._version import __version__
from .core import redaction

logger = logging.getLogger(__name__)


def register() -> None:
    """Make ``bitopromargin`` known to ccxt, and to Freqtrade where it is installed.

    Calling it twice is harmless.

    :raises ModuleNotFoundError: saying what to install, where ccxt is missing.
    """
    try:
        from . import exchange
    except ModuleNotFoundError as error:
        raise missing_package("register()", "ccxt", error) from None
    exchange.register()
    if importlib.util.find_spec("freqtrade") is not None:
        _register_with_freqtrade()


def missing_package(what: str, extra: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error that says in one line what ``what`` needs, and how to install it."""
    return ModuleNotFoundError(
        f"bitopro_margin_ext.{what} needs {(error.name or extra).partition('.')[0]}: "
        f"pip install 'bitopro-margin-ext[{extra}]'",
        name=error.name,
    )


def enable() -> logging.Filter:
    """Register everything; the factory that Freqtrade's ``log_config`` names.

    ``"filters": {"bitopro_margin": {"()": "bitopro_margin_ext.enable"}}`` is the only place of a
    Freqtrade config from which code is loaded before the exchange is created.

    :returns: a filter that blanks key, secret, payload and signature out of log records.
    """
    register()
    redaction.redact_all_records()
    return redaction.RedactingFilter()


def _register_with_freqtrade() -> None:
    """Put ``Bitopromargin`` where Freqtrade's resolver finds it; doing it twice is harmless.

    Freqtrade would take its generic class for an exchange whose class is missing, without a word.
    Where this Freqtrade lacks something that we stand on, the class refuses to be made, with one
    line: what is raised here, under ``dictConfig``, would end in a traceback, and Freqtrade's
    ``main`` turns even ``SystemExit`` into a success.
    """
    import freqtrade.exchange

    from .bot import freqtrade_internals

    try:
        freqtrade_internals.check_classes()
        unsupported = None
    except freqtrade_internals.UnsupportedFreqtradeError as error:
        unsupported = str(error)

    from .bot.bitopromargin import Bitopromargin

    Bitopromargin.unsupported = unsupported
    freqtrade.exchange.Bitopromargin = Bitopromargin


__all__ = ["__version__", "enable", "register"]
