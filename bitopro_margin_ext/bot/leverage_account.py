"""The margin account as Freqtrade's leveraged account: what it is, has, owes and costs."""

import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import ccxt
from freqtrade.enums import CandleType, RunMode
from freqtrade.exceptions import (
    OperationalException,
    TemporaryError,
)
from freqtrade.persistence import Trade

from . import freqtrade_internals
from .bitopromargin import Bitopromargin
from .ledger_database import LedgerError
from .leverage_amounts import dec, loan_currency, step_size
from .leverage_options import parse_leverage_options
from .liquidations import Holdings, liquidation_price, simulated_holdings, with_buffer
from .loan_commands import Loans
from .simulated_interest import SimulatedInterest

logger = logging.getLogger(__name__)

MARKS_SECONDS: Final = 5.0
"""How old prices and balances may be for a liquidation price."""


class LeverageAccount(Bitopromargin):
    """What Freqtrade asks of an exchange with leverage, orders left out."""

    _ft_has_futures: dict[str, Any] = {  # noqa: RUF012 - the host's way
        "mark_ohlcv_price": "futures",
        "mark_ohlcv_timeframe": "1h",
        "funding_fee_timeframe": "1h",
        "uses_leverage_tiers": False,
        "ccxt_futures_name": "margin",
        "stoploss_blocks_assets": True,
    }

    def __init__(self, config: Any, *, exchange_config: Any = None, **kwargs: Any) -> None:
        self._loans: Loans | None = None
        self._emergency: Any = None
        self._largest: dict[str, float] = {}
        """The last buy-back of each pair, as it was computed from position and debt."""
        self._repaid_otherwise: dict[int, float] = {}
        """Debts of shorts that are smaller than their position, though no order closed a part."""
        self.on_notice: Callable[[str], None] | None = None
        """Who tells the user; the mixin sets it. Without, the log has to do."""
        self._marks: tuple[float, dict[str, float]] = (0.0, {})
        super().__init__(config, exchange_config=exchange_config, **kwargs)
        self.leverage_options = parse_leverage_options(self._config)
        self.simulated = SimulatedInterest(self)

    @property
    def is_live(self) -> bool:
        """Whether real loans are made: trading, and no dry run."""
        runmode = self._config.get("runmode")
        return not self._config["dry_run"] and runmode == RunMode.LIVE

    @property
    def loans(self) -> Loans:
        """The bot's loans; there are some in live trading only.

        :raises OperationalException: anywhere else.
        """
        if self._loans is None:
            raise OperationalException(f"{self.name}: loans are made in live trading only.")
        return self._loans

    @property
    def stake_currency(self) -> str:
        """What trades are made in."""
        return str(self._config["stake_currency"])

    def close(self) -> None:
        """Let another bot have the ledger."""
        if self._loans is not None:
            self.loans.ledger.close()
        super().close()

    def attach(self, emergency: Any) -> None:
        """Tell the user through the mixin, and have the bot look at its wallets when needed."""
        self.on_notice = emergency.warn_user
        self._emergency = emergency

    def notify(self, text: str) -> None:
        """Tell the user, and the log."""
        if self.on_notice is not None:
            self.on_notice(text)
        else:
            logger.warning(text)

    def market_is_future(self, market: dict[str, Any]) -> bool:
        """Whether a market can be traded with leverage: every margin pair."""
        return bool(self.market_is_margin(market))

    def features(self, _market_type: Any, *args: Any, **kwargs: Any) -> Any:
        """What ccxt says of calls: margin pairs are spot pairs, whatever Freqtrade calls them."""
        return super().features("spot", *args, **kwargs)

    def check_candle_type_support(self, candle_type: CandleType) -> bool:
        """Funding rates stand for interest, and are made here."""
        if candle_type == CandleType.FUNDING_RATE:
            return True
        return bool(super().check_candle_type_support(candle_type))

    async def _fetch_funding_rate_history(
        self, pair: str, timeframe: str, limit: int, since_ms: int | None = None
    ) -> list[list[Any]]:
        """Rows of zeros: interest depends on the trade, and is computed where it is known."""
        return await self.simulated.rows(limit, since_ms)

    def max_leverage(self, pair: str, is_short: bool) -> float:
        """The cap of a pair's side."""
        is_lent = self.lends(str(self.get_pair_quote_currency(pair)))
        return self.leverage_options.max_leverage(is_short, is_lent=is_lent)

    def get_max_leverage(self, pair: str, stake_amount: float | None) -> float:
        """The higher cap of both sides: Freqtrade does not say which one it asks for."""
        return max(self.max_leverage(pair, False), self.max_leverage(pair, True))

    def marks(self) -> dict[str, float]:
        """Prices in stake currency by currency, a few seconds old at most."""
        moment, marks = self._marks
        if time.monotonic() - moment > MARKS_SECONDS:
            found = freqtrade_internals.ccxt_api(self).fetch_mark_prices()
            usdt = {key.split("/")[0]: float(row["markPrice"]) for key, row in found.items()}
            usdt.setdefault("USDT", 1.0)
            unit = usdt.get(self.stake_currency) or self._price_in_usdt(self.stake_currency)
            usdt[self.stake_currency] = unit
            marks = {currency: price / unit for currency, price in usdt.items()}
            self._marks = (time.monotonic(), marks)
        return marks

    def _price_in_usdt(self, currency: str) -> float:
        """A currency that has no mark price, as the only page with some names none but lent ones.

        :raises ccxt.BaseError: when the exchange does not say it.
        """
        api = freqtrade_internals.ccxt_api(self)
        return 1.0 / float(api.fetch_ticker(f"USDT/{currency}")["last"])

    def get_balances(self, *args: Any, **kwargs: Any) -> Any:
        """The balances less what stands behind positions: see ``shown_balances``."""
        balances = super().get_balances(*args, **kwargs)
        if not self.is_live:
            return balances
        return shown_balances(balances, Trade.get_open_trades(), self.stake_currency)

    def fetch_positions(self, pair: str | None = None, params: Any = None) -> list[Any]:
        """The open trades as positions, as far as the account shows them."""
        if not self.is_live:
            return []
        found = []
        for trade in Trade.get_trades_proxy(pair=pair, is_open=True):
            size = min(trade.amount, self._there(trade) * (1 + 1e-9))
            if size <= 0:
                continue
            found.append(
                {
                    "symbol": trade.pair,
                    "side": trade.trade_direction,
                    "contracts": size,
                    "leverage": trade.leverage,
                    "collateral": trade.stake_amount,
                    "initialMargin": trade.stake_amount,
                    "liquidationPrice": trade.liquidation_price,
                }
            )
        return found

    def step_of(self, pair: str) -> Decimal:
        """The smallest step of an amount."""
        return step_size(self.get_precision_amount(pair), self.precisionMode)

    def _row(self, currency: str) -> dict[str, Any]:
        """The account's own balance of a currency, as it was read last."""
        balances = self._last_balances or super().get_balances()
        row: dict[str, Any] = balances.get(currency) or {}
        return row

    def _debt_of(self, trade: Any) -> float:
        return float(self._row(trade.safe_base_currency).get("debt") or 0.0)

    def _there(self, trade: Any) -> float:
        """How much of a position the account shows: a long's base, a short's debt."""
        if not trade.is_short:
            return float(self._row(trade.safe_base_currency).get("total") or 0.0)
        debt = self._debt_of(trade)
        explained = self._repaid_otherwise.get(trade.id)
        if explained is not None and debt >= explained * 0.999:
            return float(trade.amount)
        return debt

    def is_missing(self, trade: Any) -> bool:
        """Whether the account, as it was read last, shows less than a position, unexplained.

        A short whose coins were repaid with what no order has bought is as large as it was.
        """
        account = self.loans.account
        if account is None:
            return False
        row = account[trade.safe_base_currency]
        there = row.owed.sum if trade.is_short else row.total
        if float(there) >= self._repaid_otherwise.get(trade.id, float("inf")) * 0.999:
            return False
        return there < dec(trade.amount) * (1 - dec(1e-6))

    def get_funding_fees(
        self, pair: str, amount: float, is_short: bool, open_date: datetime
    ) -> float:
        """What the loan of a pair's trade has cost since its last exit, negative, in quote."""
        trades = [
            trade
            for trade in Trade.get_trades_proxy(pair=pair, is_open=True)
            if trade.is_short == is_short and trade.amount
        ]
        if not trades:
            return 0.0
        if self._loans is None:
            return self.simulated.running(trades[0], datetime.now(UTC).timestamp())
        try:
            line = self.loans.line(loan_currency(trades[0]), pair)
        except LedgerError as error:
            # Asked before each exit: what it costs is booked when its loan is repaid.
            logger.warning(f"{pair}: its interest cannot be read now: {error}")
            return float(trades[0].funding_fee_running or 0.0)
        price = 1.0
        if is_short:
            price = self.get_rate(pair, refresh=False, side="exit", is_short=True)
        return -max(0.0, float(line.interest)) * price

    def calculate_funding_fees(
        self,
        df: Any,
        amount: float,
        is_short: bool,
        open_date: datetime,
        close_date: datetime,
        **kwargs: Any,
    ) -> float:
        """Backtesting's question, which names no trade: see ``SimulatedInterest``."""
        return self.simulated.backtest(df, amount, is_short, open_date, close_date)

    def get_liquidation_price(
        self,
        pair: str,
        open_rate: float,
        is_short: bool,
        amount: float = 0.0,
        stake_amount: float = 0.0,
        leverage: float = 1.0,
        wallet_balance: float = 0.0,
        open_trades: list[Any] | None = None,
    ) -> float | None:
        """The price at which the account would be liquidated, Freqtrade's safety distance added.

        0.0 where there is none: None would leave an old price standing.
        """
        if self._loans is not None:
            holdings = self._holdings()
        else:
            trades = [trade for trade in open_trades or [] if trade.has_open_position]
            holdings = simulated_holdings(wallet_balance, self.stake_currency, trades)
        threshold = self.leverage_options.liquidation_ad_ratio
        price = liquidation_price(holdings, pair.split("/")[0], threshold, is_short)
        return with_buffer(price, open_rate, is_short, self.liquidation_buffer)

    def _holdings(self) -> Holdings:
        """What the account holds and owes, as it was read last."""
        try:
            account = self.loans.account
            if account is None or time.monotonic() - account.moment > MARKS_SECONDS:
                account = self.loans.read()
            marks = self.marks()
        except (ccxt.BaseError, LedgerError) as error:
            raise TemporaryError(f"{self.name}: no account: {type(error).__name__}") from error
        holdings = Holdings(marks=marks)
        for currency, row in account.balances.items():
            holdings.add(currency, float(row.total), float(row.owed.sum))
        return holdings


def shown_balances(balances: dict[str, Any], trades: Iterable[Any], stake: str) -> dict[str, Any]:
    """Balances (ccxt, with ``debt``) less what Freqtrade counts with its positions.

    Freqtrade adds up the free balance of every currency and, for each position, its equity:
    collateral plus profit. So what is behind a position, its base or its debt, must not stand in a
    currency too. What remains is what is free: the sum of it all is the account's equity, whatever
    else the user holds or owes.

    A debt is taken off its currency, so one that is larger than what is held shows as negative.
    """
    shown = {
        currency: {**row, "free": _number(row, "total") - _number(row, "debt")}
        for currency, row in balances.items()
        if isinstance(row, dict)
    }
    nothing = {"free": 0.0, "used": 0.0, "total": 0.0}
    tied_up = 0.0
    for trade in trades:
        base = shown.setdefault(trade.safe_base_currency, dict(nothing))
        quote = shown.setdefault(stake, dict(nothing))
        held, collateral = trade.amount or 0.0, trade.stake_amount or 0.0
        tied_up += collateral
        entries = [order for order in trade.open_orders if order.ft_order_side == trade.entry_side]
        # Executed by an order that goes on: Freqtrade counts it when the order has ended.
        filled = sum(order.safe_filled for order in entries)
        if trade.is_short:
            base["free"] += held + filled
            quote["free"] -= collateral * (trade.leverage + 1 if held else 1.0)
            if held:
                quote["free"] -= sum(order.stake_amount for order in entries)
            quote["free"] -= sum(order.safe_filled * order.safe_price for order in entries)
        else:
            base["free"] -= held + filled
            if held:
                quote["free"] += collateral * (trade.leverage - 1)
            for order in entries:
                price = order.safe_placement_price
                # Borrowed for the whole order, and locked by what is left of it.
                quote["free"] += order.safe_amount * price * (1 - 1 / trade.leverage)
                quote["free"] -= order.safe_remaining * price
    for currency, row in shown.items():
        if currency == stake:
            row["used"] = tied_up
        row["total"] = row["free"] + (tied_up if currency == stake else 0.0)
    return {**balances, **shown}


def _number(row: dict[str, Any], name: str) -> float:
    return float(row.get(name) or 0.0)
