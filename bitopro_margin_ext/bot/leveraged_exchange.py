"""Leverage and shorts: the margin account as Freqtrade's leveraged account.

With ``"trading_mode": "futures"`` Freqtrade is shown the margin account's pairs as leveraged ones.
An entry borrows first, an exit is repaid, and interest goes where Freqtrade counts funding fees.
In ``margin`` mode everything here leaves the class below as it is.
"""

import contextlib
import logging
import time
from typing import Any, Final

import ccxt
from freqtrade.exceptions import ExchangeError, OperationalException
from freqtrade.persistence import Trade

from ..core import assumptions
from ..core.endpoints import new_client_id
from ..core.errors import Outcome
from ..exchange import call_scope
from ..exchange.flow import failure_of
from . import freqtrade_internals
from .debt_lines import UNIT, ZERO, Line, units
from .ledger_database import LedgerError, ledger_url
from .leverage_amounts import average_price, cut, dec, fee_in
from .leverage_orders import LeverageOrders
from .loan_commands import Loans
from .loans_ledger import LoansLedger
from .reconcile import LedgerStart, Reconciler
from .settlement import Settlements

logger = logging.getLogger(__name__)


SENT: Final = "sent"
"""Begins the ledger's note of a purchase whose answer is not there: client id and time follow."""
PURCHASE_SECONDS: Final = 600.0
"""How long no purchase is tried after one was refused."""


class LeveragedBitopromargin(LeverageOrders):
    """BitoPro's cross-margin account with leverage and shorts, where the config asks for it."""

    def __init__(self, config: Any, *, exchange_config: Any = None, **kwargs: Any) -> None:
        self._reconciler: Reconciler | None = None
        self._no_purchase_until: dict[str, float] = {}
        """Pairs for which a purchase was refused, and until when (monotonic) none is tried."""
        super().__init__(config, exchange_config=exchange_config, **kwargs)
        self._start_leverage()

    def _start_leverage(self) -> None:
        options = self.leverage_options
        logger.info(
            f"Leverage and shorts: at most {options.max_leverage(False):g}x long and"
            f" {options.max_leverage(True):g}x short, entries down to an adRatio of"
            f" {options.min_ad_ratio_entry:g}, liquidation expected at"
            f" {options.liquidation_ad_ratio:g}."
        )
        if self._config.get("order_types", {}).get("stoploss") == "limit":
            logger.warning(
                'order_types.stoploss is "limit": with leverage, a stop or liquidation exit that'
                ' rests is no exit. Set it to "market".'
            )
        if not self.is_live:
            return
        try:
            ledger = LoansLedger(ledger_url(self._config["db_url"], self._config["user_data_dir"]))
        except LedgerError as error:
            raise OperationalException(f"{self.name}: {error}.") from None
        self._loans = Loans(
            ledger,
            lambda: freqtrade_internals.ccxt_api(self),
            self.notify,
            self.leverage_options.loan_step,
        )
        self._settlements = Settlements(self.loans, self.step_of)
        self._reconciler = Reconciler(self.loans, self._settlements, self)
        self._ledger_start = LedgerStart(self.loans)

    def reload_markets(self, force: bool = False, **kwargs: Any) -> None:
        """The first call of Freqtrade's iterations: look at the loans, with the mixin or not."""
        super().reload_markets(force, **kwargs)
        if force or self._reconciler is None or self.in_emergency():
            return
        self.reconcile()

    def reconcile(self) -> None:
        """Keep debts and needs together; nothing that fails here stops the bot."""
        if self._reconciler is None:
            return
        try:
            with self.loans.lock, call_scope.deadline(20.0):
                self._ledger_start.run()
                self._reconciler.run()
                self._renew_stops()
                self._look_at_missing_positions()
                self._update_liquidation_prices()
        except Exception:
            logger.exception("The loans could not be looked at; the next iteration tries again.")
            Trade.rollback()

    def _update_liquidation_prices(self) -> None:
        for trade in Trade.get_open_trades():
            if trade.has_open_position:
                trade.set_liquidation_price(
                    self.get_liquidation_price(
                        pair=trade.pair, open_rate=trade.open_rate, is_short=trade.is_short
                    )
                )

    def _look_at_missing_positions(self) -> None:
        """Have Freqtrade see at once that a position is smaller than it thinks.

        It reads the account only when it trades; until then a liquidated position, or one that the
        user has closed, would count as open. Nor does it look while a stop is open: that of a short
        comes down, since it would buy what is not owed any more.
        """
        if self._emergency is None:
            return
        missing = [
            trade
            for trade in Trade.get_open_trades()
            if trade.has_open_position and not trade.has_open_orders and self.is_missing(trade)
        ]
        for trade in missing:
            for stop in trade.open_sl_orders if trade.is_short else ():
                logger.warning(f"{trade.pair}: less is owed than was sold: its stop is cancelled.")
                with contextlib.suppress(ExchangeError):
                    self.cancel_stoploss_order(stop.order_id, trade.pair)
        if missing:
            self._emergency.bot.wallets.update()

    def _renew_stops(self) -> None:
        """Take down the stop of a short whose interest ahead is used up: Freqtrade sets it anew."""
        for trade in Trade.get_open_trades():
            if not trade.is_short or not trade.has_open_sl_orders:
                continue
            line = self.loans.line(trade.safe_base_currency, trade.pair)
            for stop in trade.open_sl_orders:
                sent = next(
                    (
                        one
                        for one in self.loans.ledger.sent_orders(trade.pair)
                        if one["order_id"] == stop.order_id
                    ),
                    None,
                )
                if sent is None or line.interest <= UNIT:
                    continue
                covered = sent["amount"] * (1 - self._taker_fee(trade.pair))
                if covered < dec(trade.amount) + line.interest:
                    logger.info(f"{trade.pair}: the stop no longer covers the interest: renewed.")
                    self.cancel_stoploss_order(stop.order_id, trade.pair)

    def buy_for_debt(self, line: Line) -> None:
        """Buy the smallest order of a coin that is owed by no trade and not there to repay."""
        pair = f"{line.currency}/{self.stake_currency}"
        market, name = self.markets.get(pair), f"bought:{line.currency}"
        if market is None or self.loans.ledger.meta(name):
            return
        if time.monotonic() < self._no_purchase_until.get(pair, 0.0):
            return
        least = dec(market["limits"]["amount"]["min"] or 0)
        amount = max(least, line.owed / (1 - self._taker_fee(pair)))
        amount = -cut(-amount, self.step_of(pair))
        self.notify(
            f"{line.holder}: {units(line.owed)} {line.currency} are owed and not there: {amount:f}"
            " are bought to repay them, and what is left is kept as dust."
        )
        rate = self._ask({"pair": pair, "rate": self.marks().get(line.currency, 0.0)})
        rate *= 1 + self.leverage_options.buy_back_slippage
        # Noted before it is sent, with the id by which it is found: nothing is bought twice.
        client_id = str(new_client_id())
        self.loans.ledger.write_meta(name, f"{SENT} {client_id} {self.loans.now():.0f}")
        try:
            order = freqtrade_internals.ccxt_api(self).create_order(
                pair,
                "limit",
                "buy",
                float(amount),
                self.price_to_precision(pair, rate),
                {"clientOrderId": client_id},
            )
        except ccxt.BaseError as error:
            if failure_of(error).outcome is Outcome.REFUSED:
                self.loans.ledger.write_meta(name, None)
                self._no_purchase_until[pair] = time.monotonic() + PURCHASE_SECONDS
            logger.warning(f"{pair}: the purchase of {amount:f} to repay a debt: {error}")
            return
        self.loans.ledger.write_meta(name, str(order["id"]))

    def collect_bought(self) -> None:
        """Put what such an order has brought into the dust, at what it has cost."""
        for name, noted in self.loans.ledger.metas("bought:").items():
            currency = name.removeprefix("bought:")
            order_id: str | None = noted
            pair = f"{currency}/{self.stake_currency}"
            if noted.startswith(SENT):
                order_id = self._find_purchase(name, pair, noted)
            if order_id is None:
                continue
            order = self.fetch_raw_order(order_id, pair)
            if order["status"] == "open":
                continue
            filled = dec(order.get("filled"))
            received = filled - fee_in(order, currency)
            cost = filled * average_price(order)
            self.loans.ledger.collect(name, currency, max(received, ZERO), cost)

    def _find_purchase(self, name: str, pair: str, noted: str) -> str | None:
        """The id of a purchase that had no answer; None while it is not known, or if it is none."""
        _sent, client_id, moment = noted.split()
        api = freqtrade_internals.ccxt_api(self)
        for order in api.fetch_orders(pair, int(moment) * 1000 - 60_000):
            if str(order.get("clientOrderId")) == client_id:
                self.loans.ledger.write_meta(name, str(order["id"]))
                return str(order["id"])
        if self.loans.now() - float(moment) > assumptions.LOAN_LIST_LAG_SECONDS:
            self.loans.ledger.write_meta(name, None)
        return None
