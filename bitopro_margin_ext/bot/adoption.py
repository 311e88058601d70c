"""After a start: orders that a crash kept out of the database, and debts without a ledger.

What the process before had sent stands in the ledger. An order that reached the exchange but not
the database is taken into it as an open order, so that Freqtrade's own handlers find out what has
become of it; only then is its loan looked at.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import ccxt
from freqtrade.exceptions import DependencyException
from freqtrade.persistence import Order, Trade

from . import freqtrade_internals, positions
from .buy_back import dec
from .debt_lines import USER, ZERO, Line, total
from .interest import loan_currency
from .loan_need import need_of
from .loans import Loans

logger = logging.getLogger(__name__)


class Adoption:
    """What one process takes over from the one before, once."""

    def __init__(self, loans: Loans, exchange: Any) -> None:
        self._loans = loans
        self._exchange = exchange
        self._done = False
        self._started = False

    def run(self) -> None:
        """Take over; what cannot be asked now is asked in the next iteration."""
        if self._done:
            return
        if not self._started:
            self._begin_ledger()
            self._started = True
        for sent in reversed(self._loans.ledger.sent_orders(None, "intent", "placed", "unknown")):
            self._adopt(sent)
        self._done = True

    # -- the ledger ----------------------------------------------------------------------------

    def _begin_ledger(self) -> None:
        """A new ledger begins with what is owed already: the user's, or that of open trades."""
        ledger = self._loans.ledger
        if ledger.meta("begun"):
            return
        self._loans.baseline()
        trades = [
            trade
            for trade in Trade.get_open_trades()
            if not trade.has_no_leverage and need_of(trade)
        ]
        if trades:
            self._adopt_debts(trades)
            ledger.write_meta("adopted", datetime.now(UTC).isoformat())
            self._loans.notify(
                "The ledger of loans is lost, and there are leveraged trades: their debts are taken"
                " from the account. No entries until bitopro-margin loans --accept; exits go on."
            )
        ledger.write_meta("begun", datetime.now(UTC).isoformat())

    def _adopt_debts(self, trades: list[Any]) -> None:
        """Give the trades of each currency what they need of its debt; the rest is the user's."""
        for currency in {loan_currency(trade) for trade in trades}:
            needs = {t.pair: need_of(t) for t in trades if loan_currency(t) == currency}
            owed = total(self._loans.ledger.lines(currency))
            needed = sum(needs.values(), ZERO)
            part = min(Decimal(1), owed / needed) if needed else ZERO
            # What is left over by less than a hundredth is the interest of these loans.
            rest = owed - needed * part
            interest = rest if rest <= needed / 100 else ZERO
            lines = [
                Line(pair, currency, need * part + interest * need / needed, need * part)
                for pair, need in needs.items()
            ]
            if rest - interest > 0:
                lines.append(Line(USER, currency, rest - interest, rest - interest))
            self._loans.ledger.write_lines(currency, lines)

    # -- orders --------------------------------------------------------------------------------

    def _adopt(self, sent: Mapping[str, Any]) -> None:
        ledger = self._loans.ledger
        if sent["order_id"] is not None and positions.find_order(sent["pair"], sent["order_id"]):
            ledger.finish_order(sent["id"], "known")
            return
        order = self._find(sent)
        if order is None:
            ledger.finish_order(sent["id"], "gone")
            return
        order_id = str(order["id"])
        if positions.find_order(sent["pair"], order_id) is None:
            self._take_in(sent, order)
            self._loans.notify(
                f"{sent['pair']}: the {sent['kind']} order {order_id} reached BitoPro before the"
                " bot was stopped, and not its database: it is taken in."
            )
        ledger.finish_order(sent["id"], "known", order_id)

    def _find(self, sent: Mapping[str, Any]) -> Any:
        """The order as the exchange has it, by its id, or by what was asked for and when."""
        api = freqtrade_internals.ccxt_api(self._exchange)
        if sent["order_id"] is not None:
            try:
                return api.fetch_order(sent["order_id"], sent["pair"])
            except ccxt.OrderNotFound:
                return None
        found = [*api.fetch_open_orders(sent["pair"]), *api.fetch_orders(sent["pair"], limit=100)]
        for order in found:
            if (
                order["side"] == sent["side"]
                and dec(order["amount"]) == sent["amount"]
                and (order["timestamp"] or 0) / 1000 >= sent["sent"] - 10
                and positions.find_order(sent["pair"], str(order["id"])) is None
            ):
                return order
        return None

    def _take_in(self, sent: Mapping[str, Any], order: Mapping[str, Any]) -> None:
        """Into the database as an open order: what became of it is Freqtrade's to find out."""
        pair, is_entry = sent["pair"], sent["kind"] == "entry"
        trade = next(iter(Trade.get_trades_proxy(pair=pair, is_open=True)), None)
        if trade is None and not is_entry:
            return
        side = "stoploss" if sent["kind"] == "stoploss" else sent["side"]
        net = float(sent["net"])
        opened = {**order, "status": "open", "filled": 0.0, "remaining": net, "amount": net}
        opened.update(average=None, cost=None, fee=None)
        row = Order.parse_from_ccxt_object(opened, pair, side, net, float(sent["price"]))
        if trade is None:
            trade = self._new_trade(sent, row)
        trade.orders.append(row)
        Trade.session.add(trade)
        Trade.commit()

    def _new_trade(self, sent: Mapping[str, Any], row: Any) -> Any:
        """A trade like the one that ``execute_entry`` would have written a moment later."""
        exchange, pair = self._exchange, sent["pair"]
        rate, leverage = float(sent["price"]), sent["leverage"]
        fee = self._fee(pair)
        strategy = exchange._config.get("strategy")
        timeframe = exchange._config.get("timeframe")
        from freqtrade.exchange import timeframe_to_minutes

        trade = Trade(
            pair=pair,
            base_currency=exchange.get_pair_base_currency(pair),
            stake_currency=exchange.stake_currency,
            stake_amount=float(sent["net"]) * rate / leverage,
            amount=0,
            is_open=True,
            amount_requested=float(sent["net"]),
            fee_open=fee,
            fee_close=fee,
            open_rate=rate,
            open_rate_requested=rate,
            open_date=datetime.fromtimestamp(sent["sent"], UTC),
            exchange=exchange.id,
            strategy=strategy,
            timeframe=timeframe_to_minutes(timeframe) if timeframe else None,
            leverage=leverage,
            is_short=sent["side"] == "sell",
            trading_mode=exchange.trading_mode,
            funding_fees=0.0,
            amount_precision=exchange.get_precision_amount(pair),
            price_precision=exchange.get_precision_price(pair),
            precision_mode=exchange.precisionMode,
            precision_mode_price=exchange.precision_mode_price,
            contract_size=exchange.get_contract_size(pair),
        )
        trade.adjust_stop_loss(rate, exchange._config.get("stoploss", -0.1), initial=True)
        return trade

    def _fee(self, pair: str) -> float:
        try:
            return float(self._exchange.get_fee(symbol=pair, taker_or_maker="maker"))
        except DependencyException:
            return 0.0
