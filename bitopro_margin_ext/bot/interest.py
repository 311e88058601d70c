"""Interest where no exchange charges it: dry run and backtests. Pure but for the saved table.

Live, the balances say what is owed. Here a table of yearly rates does, and the debt of a trade is
replayed from its orders: borrowed at each entry, repaid in proportion at each exit.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, floor
from pathlib import Path
from typing import Any, Final

FILE: Final = "bitopro_margin_interest_rates.json"
"""Beside the candles, so that a backtest gives the same tomorrow, and offline."""
YEAR_SECONDS: Final = 365 * 86400.0
PERIODS: Final = {"continuous": 0.0, "hour": 3600.0, "day": 86400.0}
"""How often interest is charged; a period that has begun counts whole."""


@dataclass(frozen=True, slots=True)
class RateTable:
    """Yearly percentages by currency: one, or several that each hold from a moment on."""

    rates: Mapping[str, tuple[tuple[float, float], ...]]
    """By currency: (from when, in seconds since the epoch; percent), oldest first."""
    period: float = 0.0

    @classmethod
    def parse(cls, rates: Mapping[str, Any], period: str = "continuous") -> "RateTable":
        """Read ``{"USDT": 5}`` or ``{"USDT": {"2026-01-01": 5, "2026-03-01": 7}}``.

        :raises ValueError: saying what is wrong.
        """
        if period not in PERIODS:
            raise ValueError(f"must be one of {', '.join(PERIODS)}, not {period!r}")
        table = {}
        for currency, rate in rates.items():
            steps = rate if isinstance(rate, Mapping) else {"1970-01-01": rate}
            table[currency] = tuple(
                sorted((_moment(when), _percent(value)) for when, value in steps.items())
            )
            if not table[currency]:
                raise ValueError(f"{currency} has no rate")
        return cls(table, PERIODS[period])

    def as_json(self) -> dict[str, Any]:
        """The rates in the form that ``parse`` reads."""
        return {
            currency: {datetime.fromtimestamp(at, UTC).isoformat(): rate for at, rate in steps}
            for currency, steps in self.rates.items()
        }

    def interest(self, currency: str, principal: float, begin: float, end: float) -> float:
        """What a principal costs between two moments, in its own currency."""
        if self.period and end > begin:
            end = begin + ceil((end - begin) / self.period - 1e-9) * self.period
        steps = self.rates.get(currency, ())
        cost = 0.0
        for at, (since, percent) in enumerate(steps):
            until = steps[at + 1][0] if at + 1 < len(steps) else end
            start = begin if at == 0 else max(begin, since)
            seconds = min(end, until) - start
            if seconds > 0:
                cost += principal * percent / 100 * seconds / YEAR_SECONDS
        return cost


def _moment(text: Any) -> float:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise ValueError(f"{text!r} is no date like 2026-01-31") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _percent(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 100_000:
        raise ValueError(f"a yearly rate is a percentage like 5, not {value!r}")
    return float(value)


def read_saved(folder: Path) -> Mapping[str, Any] | None:
    """The rates that were saved with the data, or None."""
    try:
        saved = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return None
    return saved if isinstance(saved, dict) and saved else None


def save(folder: Path, rates: Mapping[str, Any]) -> None:
    """Save rates with the data, once: what a first download found stays."""
    file = folder / FILE
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(rates, indent=1) + "\n")


@dataclass(frozen=True, slots=True)
class Fill:
    """One filled order of a trade, as far as its loan is concerned."""

    moment: float
    borrowed: float = 0.0
    """Of the loan's currency, by an entry."""
    fraction: float = 0.0
    """Of the position, closed by an exit."""


@dataclass(slots=True)
class Debt:
    """A simulated debt; a repayment pays its interest first."""

    principal: float = 0.0
    interest: float = 0.0
    lent: float = 0.0
    """The borrowed sums that are still out: what is owed beyond them is what the loan costs."""

    @property
    def owed(self) -> float:
        """Principal and interest."""
        return self.principal + self.interest


def replay(
    fills: Iterable[Fill], table: RateTable, currency: str, until: float
) -> tuple[list[float], float]:
    """What each exit's part of the loan costs, and what has accrued on the rest by ``until``.

    :returns: in the loan's currency, positive.
    """
    debt, last, costs = Debt(), 0.0, []
    for fill in fills:
        if debt.principal:
            debt.interest += _booked(table.interest(currency, debt.principal, last, fill.moment))
        last = fill.moment
        if fill.borrowed:
            debt.principal += fill.borrowed
            debt.lent += fill.borrowed
        if fill.fraction:
            pays, returned = debt.owed * fill.fraction, debt.lent * fill.fraction
            costs.append(pays - returned)
            first = min(debt.interest, pays)
            debt.interest -= first
            debt.principal -= pays - first
            debt.lent -= returned
    if debt.principal:
        debt.interest += table.interest(currency, debt.principal, last, max(until, last))
    return costs, debt.owed - debt.lent


def _booked(interest: float) -> float:
    """Interest in the units of the balances, cut: what is smaller cannot be owed."""
    return floor(interest * 1e8 + 1e-6) / 1e8


def fills_of(trade: Any, until: float | None = None) -> tuple[list[Any], list[Fill]]:
    """The filled orders of a trade, oldest first, and what they did to its loan."""
    orders = [o for o in trade.orders if not o.ft_is_open and o.filled and o.order_filled_date]
    orders.sort(key=lambda order: order.order_filled_utc)
    fills, position = [], 0.0
    for order in orders:
        moment = order.order_filled_utc.timestamp()
        amount = order.safe_amount_after_fee
        if order.ft_order_side == trade.entry_side:
            position += amount
            lent = order.safe_filled * order.safe_price * (1 - 1 / (trade.leverage or 1.0))
            fills.append(Fill(moment, borrowed=amount if trade.is_short else lent))
        else:
            whole = position <= 0 or amount >= position * 0.9999999
            fills.append(Fill(moment, fraction=1.0 if whole else amount / position))
            position = 0.0 if whole else position - amount
    return orders, fills


def loan_currency(trade: Any) -> str:
    """What a trade owes: a short its base, a long its quote."""
    return str(trade.safe_base_currency if trade.is_short else trade.safe_quote_currency)
