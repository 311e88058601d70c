"""The ccxt exchange classes: what they share, and the blocking, asynchronous and streaming one."""

from .async_support import bitopromargin as bitopromargin_async
from .describe import EXCHANGE_ID
from .pro import bitopromargin as bitopromargin_pro
from .sync import bitopromargin

__all__ = ["EXCHANGE_ID", "bitopromargin", "bitopromargin_async", "bitopromargin_pro", "register"]


def register() -> None:
    """Make the three classes known to ccxt under their id; doing it twice is harmless."""
    import ccxt
    import ccxt.async_support
    import ccxt.pro

    for module, cls in (
        (ccxt, bitopromargin),
        (ccxt.async_support, bitopromargin_async),
        (ccxt.pro, bitopromargin_pro),
    ):
        setattr(module, EXCHANGE_ID, cls)
        if EXCHANGE_ID not in module.exchanges:
            module.exchanges.append(EXCHANGE_ID)
