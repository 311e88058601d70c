"""The options of leverage and shorts in the ``bitopro_margin`` block, checked at start-up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import Any, Final

from ..core import assumptions

BLOCK: Final = "bitopro_margin"
MIN_LOCK_MINUTES: Final = 1


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

    def percent(self, currency: str, moment: float) -> float:
        """The yearly rate at a moment."""
        steps = self.rates.get(currency, ())
        return next((percent for since, percent in reversed(steps) if since <= moment), 0.0)

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


@dataclass(frozen=True, slots=True)
class LeverageOptions:
    """How far the bot borrows. Ratios are adRatios: assets by debts of the whole account."""

    max_leverage_long: float = 3.0
    max_leverage_short: float = 2.0
    liquidation_ad_ratio: float = float(assumptions.LIQUIDATION_AD_RATIO)
    min_ad_ratio_entry: float = 1.25
    interest_rates: Mapping[str, Any] = field(default_factory=dict)
    interest_period: str = "continuous"
    buy_back_slippage: float = 0.02
    stop_interest_days: float = 7.0
    lock_minutes: float = 10.0
    loan_step: Mapping[str, float] = field(default_factory=dict)

    def max_leverage(self, is_short: bool, *, is_lent: bool = True) -> float:
        """The highest leverage of a side, held below what the ratio of an entry allows.

        At leverage L a long leaves the ratio L / (L - 1), a short (L + 1) / L. A long of a pair
        whose quote is not lent (``is_lent``) is paid for.
        """
        if not is_short and not is_lent:
            return 1.0
        allowed = 1 / (self.min_ad_ratio_entry - 1)
        if is_short:
            return max(1.0, min(self.max_leverage_short, allowed))
        return max(1.0, min(self.max_leverage_long, allowed + 1))

    @property
    def rates(self) -> RateTable | None:
        """The user's own table of rates, or None."""
        if not self.interest_rates:
            return None
        return RateTable.parse(self.interest_rates, self.interest_period)


OPTION_NAMES: Final = (
    "max_leverage",
    "liquidation_ad_ratio",
    "min_ad_ratio_entry",
    "interest_rates",
    "interest_period",
    "buy_back_slippage",
    "stop_interest_days",
    "lock_minutes",
    "loan_step",
)


def parse_leverage_options(config: Mapping[str, Any]) -> LeverageOptions:
    """Read the options of leverage from a Freqtrade config.

    :raises ValueError: with one line that names the option and what it may be.
    """
    block = config.get(BLOCK) or {}
    usual = LeverageOptions()
    given = block.get("max_leverage", {})
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = {"long": given, "short": given}
    if not isinstance(given, Mapping) or set(given) - {"long", "short"}:
        raise ValueError(
            f'{BLOCK}.max_leverage: must be a number or {{"long": 3, "short": 2}}, not {given!r}'
        )
    options = LeverageOptions(
        max_leverage_long=_number(
            given.get("long", usual.max_leverage_long), "max_leverage.long", 1, 10
        ),
        max_leverage_short=_number(
            given.get("short", usual.max_leverage_short), "max_leverage.short", 1, 10
        ),
        liquidation_ad_ratio=_number(
            block.get("liquidation_ad_ratio", usual.liquidation_ad_ratio),
            "liquidation_ad_ratio",
            1.0,
            3.0,
        ),
        min_ad_ratio_entry=_number(
            block.get("min_ad_ratio_entry", usual.min_ad_ratio_entry),
            "min_ad_ratio_entry",
            1.01,
            100,
        ),
        interest_rates=_rates(block.get("interest_rates", {}), block.get("interest_period")),
        interest_period=block.get("interest_period", usual.interest_period),
        buy_back_slippage=_number(
            block.get("buy_back_slippage", usual.buy_back_slippage), "buy_back_slippage", 0.0, 0.2
        ),
        stop_interest_days=_number(
            block.get("stop_interest_days", usual.stop_interest_days), "stop_interest_days", 0, 365
        ),
        lock_minutes=_number(
            block.get("lock_minutes", usual.lock_minutes), "lock_minutes", MIN_LOCK_MINUTES, 10_000
        ),
        loan_step=_steps(block.get("loan_step", {})),
    )
    if options.min_ad_ratio_entry <= options.liquidation_ad_ratio:
        raise ValueError(
            f"{BLOCK}.min_ad_ratio_entry: must be above liquidation_ad_ratio"
            f" ({options.liquidation_ad_ratio:g}), not {options.min_ad_ratio_entry:g}: an entry"
            " would be liquidated at once"
        )
    return options


def _number(value: Any, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{BLOCK}.{name}: must be a number from {low} to {high}, not {value!r}")
    return float(value)


def _steps(value: Any) -> Mapping[str, float]:
    if not isinstance(value, Mapping) or not all(
        isinstance(step, int | float) and not isinstance(step, bool) and 0 < step <= 1000
        for step in value.values()
    ):
        raise ValueError(
            f'{BLOCK}.loan_step: must be steps above 0 like {{"USDT": 0.01}}, not {value!r}'
        )
    return value


def _rates(value: Any, period: Any) -> Mapping[str, Any]:
    if period is not None and period not in PERIODS:
        raise ValueError(
            f"{BLOCK}.interest_period: must be one of {', '.join(PERIODS)}, not {period!r}"
        )
    if not isinstance(value, Mapping):
        raise ValueError(
            f'{BLOCK}.interest_rates: must be yearly percentages like {{"USDT": 5}}, not {value!r}'
        )
    try:
        RateTable.parse(value)
    except ValueError as error:
        raise ValueError(f"{BLOCK}.interest_rates: {error}") from None
    return value
