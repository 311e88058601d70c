"""What is listed: pairs with their limits and prices, currencies with their chains, loans."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from typing import Final, Literal

from .amounts import SMALLEST, floor

ORDER_OPEN_LIMIT: Final = 200
BATCH_LIMIT: Final = 10
# What is lent. A margin account can hold more, see ``Exchange.margin_currencies``.
LENT_CURRENCIES: Final = ("BTC", "ETH", "USDT")


CallKind = Literal["read", "write", "new order"]
Closed = Literal["new orders", "writes", "all"]


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What a pair's private calls refuse: new orders, everything but reads, or everything."""

    closed: Closed
    text: str

    def refuses(self, call: CallKind) -> bool:
        """Say whether a call of this kind is refused."""
        return (
            call == "new order"
            or self.closed == "all"
            or (self.closed == "writes" and call == "write")
        )


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
    margin: bool = False

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
    """What the platform lends of a currency; a borrow status is 0 off, 1 on, 2 maintenance."""

    currency: str
    max_system: Decimal
    max_user: Decimal
    lent_to_others: Decimal
    annual_percent: Decimal
    borrow_status: int = 1
    minimum: Decimal = SMALLEST
    step: Decimal = SMALLEST


def _pair(name: str, price: str, decimals: int, low: str, high: str, quote: str) -> Pair:
    base, _, other = name.partition("_")
    return Pair(
        base,
        other,
        Decimal(price),
        decimals,
        Decimal(low),
        Decimal(high),
        Decimal(quote),
        margin=base in LENT_CURRENCIES and other in LENT_CURRENCIES,
    )


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


def pair_worth(name: str, base_usdt: Decimal, quote_usdt: Decimal) -> Pair:
    """A margin pair whose currencies are worth so much in USDT, with limits of the usual kind."""
    base, _, quote = name.upper().partition("_")
    price = base_usdt / quote_usdt
    decimals = max(0, 4 - price.adjusted())
    least = Decimal(5)  # in USDT
    low = Decimal(1).scaleb((least / base_usdt).adjusted())
    return Pair(
        base,
        quote,
        max(price.quantize(Decimal(1).scaleb(-decimals)), Decimal(1).scaleb(-decimals)),
        decimals,
        min_base=low,
        max_base=low * 10_000_000,
        min_quote=Decimal(1).scaleb((least / quote_usdt).adjusted()),
        margin=True,
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


# Half of the market maker's spread, as a part of the price; never less than one tick.
HALF_SPREAD: Final = Decimal("0.00005")
DEPTH: Final = 100
# Before the sandbox was started the price is taken to have swung by this part of itself.
SWING: Final = Decimal("0.01")
SWING_PERIOD_MS: Final = 7 * 3600 * 1000

RESOLUTIONS_MS: Final[dict[str, int]] = {
    "1m": 60_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "3h": 10_800_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
    "1w": 604_800_000,
    # ccxt counts a month as thirty days when it fills gaps; real months would look like gaps.
    "1M": 2_592_000_000,
}
LONGEST_ANSWER: Final = 75_000


@dataclass(frozen=True, slots=True)
class Level:
    """One price of the book."""

    price: Decimal
    amount: Decimal
    count: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class Candle:
    """One period of the price's past."""

    at_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class Quote:
    """The price of one pair, now and before."""

    def __init__(self, pair: Pair, now_ms: int) -> None:
        self.pair = pair
        self.last = pair.price
        self.bid, self.ask = self._touch_around(pair.price)
        self._moments = [now_ms]
        self._prices = [pair.price]

    def move(
        self, price: Decimal, now_ms: int, bid: Decimal | None = None, ask: Decimal | None = None
    ) -> None:
        """Set a new last price, and the touch around it unless given."""
        low, high = self._touch_around(price)
        self.last = price
        self.bid = low if bid is None else bid
        self.ask = high if ask is None else ask
        if self.bid >= self.ask:
            raise ValueError(f"{self.pair.name}: bid {self.bid} is not below ask {self.ask}")
        self._moments.append(max(now_ms, self._moments[-1]))
        self._prices.append(price)

    def crossing_price(self, action: str, limit: Decimal | None) -> Decimal | None:
        """Return the touch if an order of that limit would take it now, else None."""
        if action == "BUY":
            return self.ask if limit is None or limit >= self.ask else None
        return self.bid if limit is None or limit <= self.bid else None

    def depth(self, own: Sequence[tuple[str, Decimal, Decimal]]) -> tuple[list[Level], list[Level]]:
        """Build bids and asks: the market maker's levels and the resting orders among them."""
        bids: dict[Decimal, tuple[Decimal, int]] = {}
        asks: dict[Decimal, tuple[Decimal, int]] = {}
        step = max(self.pair.tick, self.ask - self.bid)
        size = max(self.pair.min_base * 1000, Decimal(1))
        for i in range(DEPTH):
            amount = size + size * i / 10
            if self.bid - step * i > 0:
                bids[self.bid - step * i] = (amount, 2)
            asks[self.ask + step * i] = (amount, 2)
        for action, price, amount in own:
            # A resting order on the wrong side of the touch (seeded, or matching is off) would
            # make the public book look crossed.
            if action == "BUY" and price < self.ask:
                held, count = bids.get(price, (Decimal(0), 0))
                bids[price] = (held + amount, count + 1)
            elif action == "SELL" and price > self.bid:
                held, count = asks.get(price, (Decimal(0), 0))
                asks[price] = (held + amount, count + 1)
        return _levels(bids, descending=True), _levels(asks, descending=False)

    def candles(self, resolution: str, from_ms: int, to_ms: int, now_ms: int) -> list[Candle]:
        """Return the candles that start in the span; the last can be the current, unfinished."""
        step = RESOLUTIONS_MS[resolution]
        end = min(to_ms, now_ms)
        first = max(from_ms, end - step * LONGEST_ANSWER, 0)
        start = -(-first // step) * step
        return [self._candle(at, step, now_ms) for at in range(start, end + 1, step)]

    def day(self, now_ms: int) -> tuple[Decimal, Decimal, Decimal]:
        """Return high, low and opening price of the last 24 hours."""
        since = now_ms - 86_400_000
        hours = [self._at(t) for t in range(since, now_ms, 3_600_000)]
        span = [*hours, *self._between(since, now_ms), self.last]
        return max(span), min(span), hours[0]

    def _candle(self, at: int, step: int, now_ms: int) -> Candle:
        opened, closed = self._at(at), self._at(min(at + step, now_ms))
        span = [opened, closed, *self._between(at, at + step)]
        volume = floor(self.pair.min_base * (100 + at // step % 97))
        return Candle(at, opened, max(span), min(span), closed, volume)

    def _between(self, start: int, end: int) -> list[Decimal]:
        return self._prices[bisect_right(self._moments, start) : bisect_right(self._moments, end)]

    def _at(self, moment: int) -> Decimal:
        index = bisect_right(self._moments, moment)
        if index:
            return self._prices[index - 1]
        # A triangle wave that is zero at the start, so that the past joins the present.
        phase = (self._moments[0] - moment) % SWING_PERIOD_MS
        quarter = SWING_PERIOD_MS // 4
        height = (
            phase
            if phase < quarter
            else 2 * quarter - phase
            if phase < 3 * quarter
            else phase - 4 * quarter
        )
        price = self._prices[0] * (1 + SWING * height / quarter)
        return price.quantize(self.pair.tick, rounding=ROUND_DOWN)

    def _touch_around(self, price: Decimal) -> tuple[Decimal, Decimal]:
        half = max(self.pair.tick, (price * HALF_SPREAD).quantize(self.pair.tick, ROUND_DOWN))
        bid = (price - half).quantize(self.pair.tick, rounding=ROUND_DOWN)
        ask = (price + half).quantize(self.pair.tick, rounding=ROUND_UP)
        return max(bid, Decimal(0)), ask


def _levels(side: dict[Decimal, tuple[Decimal, int]], *, descending: bool) -> list[Level]:
    levels: list[Level] = []
    total = Decimal(0)
    for price in sorted(side, reverse=descending):
        amount, count = side[price]
        total += amount
        levels.append(Level(price, amount, count, total))
    return levels
