"""What the flows need of the exchange object that runs them.

ccxt ships no types for checkers: where a structure of its own is made or read, it is ``Any``.
"""

import logging
from typing import Any, Protocol

from ..core.endpoints import OpenOrdersPath
from ..core.nonces import Nonces
from ..core.parse import ParsedOrder
from ..core.rate_limit import RateLimits

Structure = dict[str, Any]
"""A unified structure, as ccxt's manual describes it."""


class MarginExchange(Protocol):
    """An object of one of the three ``bitopromargin`` classes."""

    id: str
    apiKey: str | None  # noqa: N815 - ccxt's names
    secret: str | None
    options: dict[str, Any]
    fees: dict[str, Any]
    markets: dict[str, Any] | None
    currencies: dict[str, Any] | None
    logger: logging.Logger

    # -- ours ----------------------------------------------------------------------------------

    open_orders_path: OpenOrdersPath
    clock_offset_ms: int

    @property
    def key_nonces(self) -> Nonces:
        """The nonces that every client of this process shares for the key."""

    @property
    def rate_limits(self) -> RateLimits:
        """The documented limits, shared by all clients of this process for a host."""

    def exchange_time(self) -> int:
        """Now, in ms, on the exchange's clock as far as it is known."""

    def heard_orders(self) -> list[ParsedOrder]:
        """What streams have told of orders, as parsed rows."""

    # -- ccxt's: time and numbers --------------------------------------------------------------

    def parse_timeframe(self, timeframe: str, /) -> int:
        """The seconds of a timeframe."""

    def milliseconds(self) -> int:
        """Now, in ms, on this machine's clock."""

    def iso8601(self, timestamp: int | None, /) -> str | None:
        """ms as text."""

    def parse_number(self, value: Any, /) -> Any:
        """A decimal string in the number type that the user has chosen."""

    def number_to_string(self, number: Any, /) -> str:
        """A number without an exponent."""

    def parse_precision(self, decimals: str, /) -> str:
        """The step of so many decimals."""

    def amount_to_precision(self, symbol: str, amount: Any, /) -> str:
        """An amount in base, cut to the market's precision."""

    def price_to_precision(self, symbol: str, price: Any, /) -> str:
        """A price, rounded to the market's precision."""

    def cost_to_precision(self, symbol: str, cost: Any, /) -> str:
        """An amount in quote, cut to the market's precision."""

    # -- ccxt's: markets and structures --------------------------------------------------------

    def market(self, symbol: str, /) -> Any:
        """The market of a symbol.

        :raises ccxt.BadSymbol: for an unknown one.
        """

    def safe_currency_code(self, currency_id: str | None, /) -> Any:
        """The unified code of a currency."""

    def network_id_to_code(self, network_id: str, /) -> str:
        """The unified name of a network."""

    def parse_currency(self, row: Any, /) -> Any:
        """A currency structure."""

    def account(self) -> Structure:
        """An empty part of a balance structure."""

    def safe_string(self, row: Any, key: Any, /) -> str | None:
        """A value of a row as text."""

    def safe_number(self, row: Any, key: Any, /) -> Any:
        """A value of a row as a number."""

    def safe_balance(self, balance: Structure, /) -> Structure:
        """A complete balance structure."""

    def safe_order(self, order: Structure, market: Any = None, /) -> Structure:
        """A complete order structure."""

    def safe_trade(self, trade: Structure, market: Any = None, /) -> Structure:
        """A complete trade structure."""

    def safe_ticker(self, ticker: Structure, /) -> Structure:
        """A complete ticker structure."""

    def safe_liquidation(self, liquidation: Structure, /) -> Structure:
        """A complete liquidation structure."""
