"""The orders of leveraged trades as Freqtrade must see them; exits that have ended are repaid."""

import logging
from collections.abc import Iterable
from copy import deepcopy
from datetime import datetime
from typing import Any

import ccxt
from freqtrade.exceptions import (
    InvalidOrderException,
    TemporaryError,
)
from freqtrade.persistence import Trade

from ..core.report import CancelReport
from ..exchange import call_scope
from . import freqtrade_internals, positions
from .buy_back import (
    average_price,
    dec,
    fee_in_quote,
    shown_buy_back,
    shown_entry,
)
from .debt_lines import UNIT, ZERO
from .leverage_account import LeverageAccount
from .liquidation import (
    PREFIX,
    forced_order,
    forced_trades,
)
from .loans import liquidation_rows
from .settlement import put_cost

logger = logging.getLogger(__name__)


class LeverageFetching(LeverageAccount):
    """Translates what the exchange says of orders."""

    def in_emergency(self) -> bool:
        """Whether an emergency exit is under way: nothing is repaid before it."""
        return self._mapping_context() is not None or self.emergency_waits()

    def emergency_waits(self) -> bool:
        """Whether an emergency exit still has to go out; the mixin knows."""
        return False

    def _shown(self, raw: dict[str, Any], side: str, is_entry: bool, net: float) -> Any:
        """One of our orders as Freqtrade must see it."""
        base, quote = raw["symbol"].split("/")[0], raw["symbol"].split("/")[1].split(":")[0]
        if side == "sell":
            return _with_exact_rate(raw, base, quote)
        return (
            shown_entry(raw, base, quote) if is_entry else (shown_buy_back(raw, net, base, quote))
        )

    def _shown_known(self, raw: dict[str, Any], pair: str, *, settle: bool) -> Any:
        """An order that is in the database, translated; one that has ended is settled."""
        if (raw.get("info") or {}).get(positions.KEPT_OPEN):
            return raw
        row = positions.find_order(pair, str(raw["id"]))
        if row is None or row.trade is None:
            return self._shown_unknown(raw, pair)
        trade = row.trade
        is_entry = row.ft_order_side == trade.entry_side
        side = trade.entry_side if is_entry else trade.exit_side
        shown = self._shown(raw, side, is_entry, row.ft_amount)
        if raw.get("status") not in ("closed", "canceled", "expired") or not raw.get("filled"):
            return shown
        if is_entry:
            self._note_entry(trade, row, shown)
        elif settle:
            self._settlements.settle(trade, row, raw)
        return shown

    def _note_entry(self, trade: Any, row: Any, shown: dict[str, Any]) -> None:
        """An ended entry has cost no interest of its own: that is booked at the exits."""
        base, quote = trade.safe_base_currency, trade.safe_quote_currency
        fee = fee_in_quote(shown, base, quote)
        if fee is not None and row.order_id not in self.loans.ledger.entry_fees(trade.pair):
            self.loans.ledger.write_entry_fee(trade.pair, row.order_id, fee)
        if row.funding_fee is None:
            put_cost(trade, row, ZERO)

    def _shown_unknown(self, raw: dict[str, Any], pair: str) -> Any:
        """An order that is not in the database: a buy-back of ours by its gross amount."""
        if raw["side"] != "buy":
            return raw
        for sent in self.loans.ledger.sent_orders(pair):
            same_id = sent["order_id"] == str(raw["id"])
            same = sent["order_id"] is None and abs(sent["amount"] - dec(raw["amount"])) < UNIT
            if sent["kind"] != "entry" and sent["side"] == "buy" and (same_id or same):
                return self._shown(raw, "buy", False, float(sent["net"]))
        return raw

    def as_seen(self, order: dict[str, Any]) -> dict[str, Any]:
        """An order that has no row yet: a buy-back of ours by its net amount."""
        if not self.is_live:
            return order
        seen: dict[str, Any] = self._shown_unknown(order, order["symbol"].split(":")[0])
        return seen

    def fetch_order(self, order_id: str, pair: str, params: Any = None, **kwargs: Any) -> Any:
        """Fetch an order as Freqtrade must see it; an exit that has ended is repaid first."""
        if not self.is_leveraged:
            return super().fetch_order(order_id, pair, params, **kwargs)
        if not self.is_live:
            order = super().fetch_order(order_id, pair, params, **kwargs)
            self.simulated.settle(order, pair)
            return order
        if order_id.startswith(PREFIX):
            return self.fetch_raw_order(order_id, pair)
        raw = super().fetch_order(order_id, pair, params, **kwargs)
        settle = (
            (pair, order_id) not in self.swept
            and call_scope.remaining() is None
            and not self.in_emergency()
        )
        return self._shown_known(raw, pair, settle=settle)

    def cancel_order_with_result(self, order_id: str, pair: str, amount: float) -> Any:
        """Cancel an order and return its end as Freqtrade must see it."""
        is_raw = self.is_live and (pair, order_id) in self.swept
        order = super().cancel_order_with_result(order_id, pair, amount)
        return self._shown_known(order, pair, settle=False) if is_raw else order

    def fetch_raw_order(self, order_id: str, pair: str) -> dict[str, Any]:
        """An order as the exchange says it, gross; a forced one as it was taken in."""
        if not order_id.startswith(PREFIX):
            raw: dict[str, Any] = super().fetch_order(order_id, pair)
            return raw
        row = positions.find_order(pair, order_id)
        if row is None:
            raise InvalidOrderException(f"{self.name}: no order {order_id} of {pair}.")
        quote = pair.split("/")[1].split(":")[0]
        fee = {"currency": quote, "cost": 0.0, "rate": 0.0}
        return {**row.to_ccxt_object(), "side": row.side, "status": "closed", "fee": fee}

    def fetch_orders(self, pair: str, since: datetime, params: Any = None) -> list[Any]:
        """Orders of a pair; what the exchange sold or bought by force stands among them."""
        orders = super().fetch_orders(pair, since, params)
        if not self.is_live:
            return list(orders)
        shown = [self._shown_known(order, pair, settle=False) for order in orders]
        return [*shown, *self._forced_orders(pair)]

    def _forced_orders(self, pair: str) -> list[dict[str, Any]]:
        """The forced trades of an open position, as closed exit orders."""
        trade = next(iter(Trade.get_trades_proxy(pair=pair, is_open=True)), None)
        if trade is None:
            return []
        try:
            rows = liquidation_rows(freqtrade_internals.ccxt_api(self))
            quote = trade.safe_quote_currency
            found = forced_trades(rows, quote, self.marks())
        except ccxt.BaseError as error:
            raise TemporaryError(f"{self.name}: no liquidations: {type(error).__name__}") from error
        opened = trade.open_date_utc.timestamp() * 1000
        orders = []
        left = dec(trade.amount)
        for forced in found:
            if (forced.base, forced.side) != (trade.safe_base_currency, trade.exit_side):
                continue
            if forced.timestamp is not None and forced.timestamp < opened - 1000:
                continue
            order = forced_order(forced, pair)
            known = trade.select_order_by_order_id(order["id"])
            if trade.is_short:
                # More than the position was interest.
                net = dec(known.ft_amount) if known else min(left, forced.amount)
                order = shown_buy_back(order, net, forced.base, quote)
            left = max(left - forced.amount, ZERO) if known is None else left
            orders.append(order)
        return orders

    def sweep_margin_orders(
        self, pair: str | None, known: Iterable[tuple[str, str]], deadline: float
    ) -> CancelReport:
        """Cancel and confirm; the ends are shown as Freqtrade must see them, and not repaid yet."""
        report = super().sweep_margin_orders(pair, known, deadline)
        if self.is_live:
            for order in report.final_orders():
                key = (order["symbol"], order["id"])
                if key in self.swept:
                    self.swept[key] = deepcopy(order)
                shown = self._shown_known(deepcopy(order), order["symbol"], settle=False)
                order.clear()
                order.update(shown)
        return report


def _with_exact_rate(raw: dict[str, Any], base: str, quote: str) -> dict[str, Any]:
    """A sale's order with the exact rate of its fee: Freqtrade would round it to 8 digits."""
    fee = fee_in_quote(raw, base, quote)
    value = dec(raw.get("filled")) * average_price(raw)
    if fee is None or not value:
        return raw
    exact = {"currency": quote, "cost": float(fee), "rate": float(fee / value)}
    return {**raw, "fee": exact, "fees": [exact]}
