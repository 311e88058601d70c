"""The margin exchange class with streams, ``ccxt.pro.bitopromargin``."""

import ccxt.pro

from .asynchronous import bitopromargin as asynchronous_bitopromargin


class bitopromargin(asynchronous_bitopromargin, ccxt.pro.bitopro):  # type: ignore[misc]  # noqa: N801 - ccxt's naming
    """The asynchronous margin class and ``ccxt.pro.bitopro``'s streams."""
