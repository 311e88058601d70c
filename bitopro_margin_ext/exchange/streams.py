"""The margin exchange class with streams, ``ccxt.pro.bitopromargin``."""

from typing import Any

import ccxt.pro

from .asynchronous import bitopromargin as asynchronous_bitopromargin
from .describe import STREAMING
from .watching import MarginWatching


class bitopromargin(MarginWatching, asynchronous_bitopromargin, ccxt.pro.bitopro):  # type: ignore[misc]  # noqa: N801 - ccxt's naming
    """The asynchronous margin class and its streams; ``ccxt.pro.bitopro``'s for the rest."""

    def describe(self) -> Any:
        """ccxt's description of the exchange, streams included."""
        return self.deep_extend(super().describe(), STREAMING)
