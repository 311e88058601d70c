"""BitoPro's cross-margin account for ccxt and Freqtrade.

Importing this package imports neither host: ``register()`` does, and so does touching
``EmergencyCancelMixin``.
"""

from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .bot.mixin import EmergencyCancelMixin
    from .registration import enable, register

__all__ = ["EmergencyCancelMixin", "__version__", "enable", "register"]

_HOMES = {
    "EmergencyCancelMixin": ".bot.mixin",
    "enable": ".registration",
    "register": ".registration",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    try:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    except ModuleNotFoundError as error:
        from .registration import missing_package

        raise missing_package(name, "freqtrade", error) from None
