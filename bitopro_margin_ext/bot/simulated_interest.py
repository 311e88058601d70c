"""Interest in dry runs and backtests: from a table of rates, over each trade's own orders.

The debt of a trade is replayed from its orders: borrowed at each entry, repaid in
proportion at each exit.

Freqtrade's backtesting asks for funding fees without saying of which trade; the trade is found by
side, amount and last fill. Right after a fill it asks again with no time between: then what the
exchange would really have taken (interest, and fees in base) is put into the order that was filled.
"""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import floor
from pathlib import Path
from typing import Any, Final

import ccxt
from freqtrade.persistence import LocalTrade

from ..core import assumptions
from . import freqtrade_internals, positions
from .debt_lines import ZERO
from .leverage_amounts import AHEAD_SECONDS, cut, dec, gross_amount, loan_currency, step_size
from .leverage_options import YEAR_SECONDS, RateTable
from .settlement import put_cost

logger = logging.getLogger(__name__)

HOUR_MS: Final = 3_600_000


class SimulatedInterest:
    """Charges one exchange object's simulated trades."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self._table: RateTable | None = None
        self._pairs: dict[int, str] = {}
        """Whose frame of mark prices it is, as far as a question left no doubt."""

    # -- the rates -----------------------------------------------------------------------------

    @property
    def table(self) -> RateTable:
        """The config's rates, or those saved with the data, or the pages' example."""
        if self._table is None:
            options = self._exchange.leverage_options
            saved = read_saved(self._folder)
            if options.rates is not None:
                self._table = options.rates
            elif saved is not None:
                self._table = RateTable.parse(saved, options.interest_period)
            else:
                percent = float(assumptions.DEFAULT_INTEREST_PERCENT)
                logger.warning(
                    f"No interest rates: {percent:g} % a year is assumed for every currency. Set"
                    " bitopro_margin.interest_rates, or run download-data with keys."
                )
                markets = self._exchange.markets.values()
                codes = {str(market[side]) for market in markets for side in ("base", "quote")}
                self._table = RateTable.parse(
                    dict.fromkeys(codes, percent), options.interest_period
                )
        return self._table

    @property
    def _folder(self) -> Path:
        config = self._exchange._config
        return Path(config.get("datadir") or config.get("user_data_dir") or ".")

    async def rows(self, limit: int, since_ms: int | None) -> list[list[Any]]:
        """Funding rates for Freqtrade's data files: zeros, one an hour; saves today's rates."""
        await self._save_rates()
        now = int(time.time() * 1000) // HOUR_MS * HOUR_MS
        start = (now - limit * HOUR_MS if since_ms is None else since_ms) // HOUR_MS * HOUR_MS
        moments = range(start, min(now, start + limit * HOUR_MS) + 1, HOUR_MS)
        zeros = [0.0] * freqtrade_internals.funding_rate_columns()
        return [[moment, *zeros] for moment in moments]

    async def _save_rates(self) -> None:
        api = freqtrade_internals.ccxt_async_api(self._exchange)
        if read_saved(self._folder) is not None or not (api.apiKey and api.secret):
            return
        try:
            rates = await api.fetch_cross_borrow_rates()
        except ccxt.BaseError as error:
            logger.warning(f"Today's interest rates cannot be read: {type(error).__name__}.")
            return
        percents = {code: float(Decimal(str(row["rate"])) * 100) for code, row in rates.items()}
        save(self._folder, percents)
        logger.info(f"Saved today's interest rates with the data: {percents}.")

    # -- one trade -----------------------------------------------------------------------------

    def running(self, trade: Any, until: float, price: float | None = None) -> float:
        """What a trade's loan has cost and no order has booked yet, negative, in quote."""
        if trade.has_no_leverage:
            return 0.0
        orders, fills = fills_of(trade)
        costs, accrued = replay(fills, self.table, loan_currency(trade), until)
        exits = [order for order in orders if order.ft_order_side != trade.entry_side]
        booked = sum(order.funding_fee or 0.0 for order in orders)
        if trade.is_short:
            costs = [cost * order.safe_price for cost, order in zip(costs, exits, strict=True)]
            accrued *= price or self._price(trade)
        return -(sum(costs) + accrued) - booked

    def _price(self, trade: Any) -> float:
        try:
            rate = self._exchange.get_rate(trade.pair, refresh=False, side="exit", is_short=True)
        except Exception:
            return float(trade.open_rate)
        return float(rate)

    def settle(self, order: Mapping[str, Any], pair: str) -> None:
        """Charge the exit of a dry run that has just ended."""
        if order.get("status") not in ("closed", "canceled") or not order.get("filled"):
            return
        row = positions.find_order(pair, str(order["id"]))
        trade = None if row is None else row.trade
        if trade is None or row.funding_fee is not None or trade.has_no_leverage:
            return
        if row.ft_order_side == trade.entry_side:
            put_cost(trade, row, Decimal(0))
            return
        now = time.time()
        _orders, fills = fills_of(trade)
        part = min(1.0, order["filled"] / trade.amount) if trade.amount else 1.0
        costs, _rest = replay(
            [*fills, Fill(now, fraction=part)], self.table, loan_currency(trade), now
        )
        price = float(order.get("average") or order.get("price") or 0.0)
        put_cost(trade, row, Decimal(str(costs[-1] * (price if trade.is_short else 1.0))))

    # -- backtesting ---------------------------------------------------------------------------

    def backtest(
        self, df: Any, amount: float, is_short: bool, open_date: datetime, close_date: datetime
    ) -> float:
        """The interest of the trade that Freqtrade must mean, negative, in quote."""
        trades = [
            trade
            for trade in LocalTrade.bt_trades_open
            if trade.is_short == is_short
            and trade.amount == amount
            and trade.date_last_filled_utc == open_date
        ]
        if close_date <= open_date:
            # Right after a fill. Several trades can be meant: it is put right for each of them.
            for trade in trades:
                self._charge_last_fill(trade, close_date)
            return 0.0
        if not trades:
            return 0.0
        trade = self._meant(df, trades, open_date)
        return self.running(trade, close_date.timestamp(), _mark(df, close_date))

    def _meant(self, df: Any, trades: list[Any], open_date: datetime) -> Any:
        """The trade whose prices the frame has, where several have the same amount and time."""
        pairs = {trade.pair for trade in trades}
        if len(pairs) == 1:
            self._pairs[id(df)] = trades[0].pair
            return trades[0]
        known = self._pairs.get(id(df))
        if known in pairs:
            return next(trade for trade in trades if trade.pair == known)
        taken = set(self._pairs.values())
        left = [trade for trade in trades if trade.pair not in taken] or trades
        mark = _mark(df, open_date) or 0.0
        return min(left, key=lambda trade: abs(trade.open_rate - mark))

    def _charge_last_fill(self, trade: Any, when: datetime) -> None:
        orders, fills = fills_of(trade)
        if not orders or orders[-1].order_filled_utc != when:
            return
        order = orders[-1]
        if order.ft_order_side == trade.entry_side:
            self._charge_entry(trade, order)
            return
        if trade.has_no_leverage:
            return
        costs, _rest = replay(fills, self.table, loan_currency(trade), when.timestamp())
        order.funding_fee = -costs[-1]
        if trade.is_short:
            self._charge_buy_back(trade, order, costs[-1])

    def _charge_entry(self, trade: Any, order: Any) -> None:
        """A bought coin pays its fee in itself: less of it is held, for the same money."""
        order.funding_fee = 0.0
        if trade.is_short or order.ft_fee_base:
            return
        first = sum(one.ft_order_side == trade.entry_side and bool(one.filled)
                    for one in trade.orders) == 1  # fmt: skip
        rate = trade.fee_open if first else trade.fee_open / (1 + trade.fee_open)
        fee = _booked(order.filled * rate)
        left = float(
            cut(
                dec(order.filled) - dec(fee),
                step_size(trade.amount_precision, trade.precision_mode),
            )
        )
        if not left:
            return
        # What is left beyond whole steps cannot be sold: live it is kept, at cost.
        order.ft_fee_base = order.filled - left
        if first:
            trade.fee_open = fee / left
        trade.recalc_trade_from_orders()

    def _charge_buy_back(self, trade: Any, order: Any, interest: float) -> None:
        """A short's exit buys the interest and its own fee on top of the position.

        As live, it is rounded up to a step, with minutes of interest ahead; its fee is the trade's,
        and what it leaves over is kept at cost.
        """
        price, net, rate = order.safe_price, order.safe_filled, trade.fee_open
        order.funding_fee = -interest * price
        if not net:
            return
        moment = order.order_filled_utc.timestamp()
        base = loan_currency(trade)
        owed = net + interest
        ahead = self.table.percent(base, moment) / 100 * owed * AHEAD_SECONDS / YEAR_SECONDS
        wanted = gross_amount(
            dec(net), dec(interest), dec(ahead), ZERO, dec(rate), Decimal("Infinity")
        )
        gross = -cut(-wanted, step_size(trade.amount_precision, trade.precision_mode))
        fee = _booked(float(gross) * rate)
        earlier = [
            one
            for one in trade.orders
            if one is not order and one.ft_order_side == trade.exit_side and one.filled
        ]
        if not earlier:
            trade.fee_close = fee / net
            return
        # The rate of the first exit counts for all of them: what is missing is a cost of its own.
        order.funding_fee -= (fee - net * trade.fee_close) * price


def _mark(df: Any, when: datetime) -> float | None:
    """The mark price of a frame at a moment."""
    if df is None or df.empty:
        return None
    at = df["date"].searchsorted(when, "right") - 1
    return float(df["open_mark"].iloc[max(int(at), 0)])


FILE: Final = "bitopro_margin_interest_rates.json"
"""Beside the candles, so that a backtest gives the same tomorrow, and offline."""


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
