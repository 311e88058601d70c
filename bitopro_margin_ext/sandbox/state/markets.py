"""What is listed: pairs with their limits, and currencies with their chains."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

ORDER_OPEN_LIMIT: Final = 200
BATCH_LIMIT: Final = 10
MAKER_FEE: Final = Decimal("0.001")
TAKER_FEE: Final = Decimal("0.002")
MARGIN_CURRENCIES: Final = ("BTC", "ETH", "USDT")


@dataclass(frozen=True, slots=True)
class Pair:
    """A trading pair; ``price`` is where it starts."""

    base: str
    quote: str
    price: Decimal
    price_decimals: int
    min_base: Decimal
    max_base: Decimal
    min_quote: Decimal
    base_decimals: int = 8
    maintain: bool = False

    @property
    def name(self) -> str:
        """The lower-case name that every place but the cancel responses uses."""
        return f"{self.base}_{self.quote}".lower()

    @property
    def upper(self) -> str:
        """The upper-case name that cancel responses and public streams use."""
        return self.name.upper()

    @property
    def tick(self) -> Decimal:
        """The smallest step of the price."""
        return Decimal(1).scaleb(-self.price_decimals)

    @property
    def marginable(self) -> bool:
        """Whether both currencies can be held in the margin account."""
        return self.base in MARGIN_CURRENCIES and self.quote in MARGIN_CURRENCIES


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency on one chain, as the currency list names it."""

    listed_name: str
    withdraw_fee: str
    min_withdraw: str
    max_withdraw: str
    max_daily: str
    confirmations: str


@dataclass(frozen=True, slots=True)
class LoanTerms:
    """What the platform lends of a currency."""

    currency: str
    max_system: Decimal
    max_user: Decimal
    lent_to_others: Decimal
    annual_percent: Decimal


def _pair(name: str, price: str, decimals: int, low: str, high: str, quote: str) -> Pair:
    base, _, other = name.partition("_")
    return Pair(base, other, Decimal(price), decimals, Decimal(low), Decimal(high), Decimal(quote))


PAIRS: Final[tuple[Pair, ...]] = (
    _pair("BTC_USDT", "60000", 2, "0.0001", "1000", "5"),
    _pair("ETH_USDT", "3000", 2, "0.001", "10000", "5"),
    _pair("ETH_BTC", "0.05", 6, "0.001", "10000", "0.0001"),
    _pair("BTC_TWD", "1890000", 0, "0.0001", "1000", "150"),
    _pair("USDT_TWD", "31.5", 3, "1", "10000000", "30"),
    _pair("DOGE_USDT", "0.15", 5, "10", "100000000", "5"),
    _pair("XRP_USDT", "0.6", 4, "1", "10000000", "5"),
    _pair("SOL_USDT", "150", 2, "0.01", "100000", "5"),
)

CURRENCIES: Final[tuple[Currency, ...]] = (
    Currency("TWD", "15", "100", "1000000", "2000000", "0"),
    Currency("BTC", "0.0005", "0.001", "20", "100", "3"),
    Currency("ETH", "0.004", "0.01", "200", "1000", "12"),
    Currency("USDT (ETH-ERC20)", "10", "10", "300000", "500000", "64"),
    Currency("USDT (BSC-BEP20)", "0.3", "10", "300000", "500000", "15"),
    Currency("DOGE", "5", "20", "1000000", "5000000", "40"),
    Currency("XRP", "0.25", "25", "500000", "1000000", "1"),
    Currency("SOL", "0.01", "0.1", "10000", "50000", "400"),
)

LOANS: Final[tuple[LoanTerms, ...]] = (
    LoanTerms("BTC", Decimal(500), Decimal(100), Decimal("130.00592162"), Decimal(1)),
    LoanTerms("ETH", Decimal(10000), Decimal(100), Decimal("186.65450087"), Decimal(1)),
    LoanTerms("USDT", Decimal(1100000), Decimal(800000), Decimal("256240.33640959"), Decimal(1)),
)
