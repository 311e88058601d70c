"""The orders of leveraged trades as Freqtrade must see them; exits that have ended are repaid."""

import logging
import time
from copy import deepcopy
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import ccxt
from freqtrade.exceptions import (
    InvalidOrderException,
    TemporaryError,
)
from freqtrade.persistence import Trade
from sqlalchemy.exc import SQLAlchemyError

from ..exchange import call_scope
from . import database, freqtrade_internals, pending_exits, positions
from .debt_lines import UNIT, ZERO
from .ledger_database import LedgerError
from .leverage_account import LeverageAccount
from .leverage_amounts import (
    average_price,
    dec,
    fee_in,
    fee_in_quote,
    fraction_of,
    left_by_entry,
    part_of_order,
    shown_buy_back,
    shown_entry,
)
from .liquidations import PREFIX, ForcedTrade, forced_order, forced_trades, liquidation_rows
from .settlement import put_cost
from .sweeps import Ends

logger = logging.getLogger(__name__)

EMERGENCY_SECONDS: Final = 60.0
"""How long repayments wait for an emergency exit."""


class LeverageFetching(LeverageAccount):
    """Translates what the exchange says of orders."""

    _waiting_since: float | None = None

    def in_emergency(self) -> bool:
        """Whether an emergency exit is under way: nothing is repaid before it."""
        return self._mapping_context() is not None or self.emergency_waits()

    def emergency_waits(self) -> bool:
        """Whether an emergency exit still has to go out; not for longer than a minute.

        One that cannot go out for hours must not keep other trades' debts from being repaid.
        """
        waits = any(_emergency_waits(trade) for trade in Trade.get_open_trades())
        if not waits:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()
        return time.monotonic() - self._waiting_since < EMERGENCY_SECONDS

    def _shown(self, raw: dict[str, Any], side: str, is_entry: bool, net: float) -> Any:
        """One of our orders as Freqtrade must see it."""
        base, quote = raw["symbol"].split("/")[0], raw["symbol"].split("/")[1].split(":")[0]
        if side == "sell":
            return _with_exact_rate(raw, base, quote)
        step = self.step_of(raw["symbol"])
        if is_entry:
            return shown_entry(raw, base, quote, step)
        return shown_buy_back(raw, net, base, quote, step)

    def _shown_known(self, raw: dict[str, Any], pair: str, *, settle: bool) -> Any:
        """An order that is in the database, translated; one that has ended is settled."""
        if (raw.get("info") or {}).get(positions.KEPT_OPEN):
            return raw
        row = positions.find_order(pair, str(raw["id"]))
        if row is None or row.trade is None:
            return self._shown_unknown(raw, pair)
        trade = row.trade
        is_entry = row.ft_order_side == trade.entry_side
        if not is_entry:
            try:
                raw = self._own_part(raw, trade, row)
            except LedgerError as error:
                logger.warning(f"{pair}: exit {row.order_id} is shown as it is: {error}")
        side = trade.entry_side if is_entry else trade.exit_side
        shown = self._shown(raw, side, is_entry, row.ft_amount)
        if raw.get("status") not in ("closed", "canceled", "expired") or not raw.get("filled"):
            return shown
        if is_entry:
            try:
                self._note_entry(trade, row, raw, shown)
            except LedgerError as error:
                # Asked again while the order counts as open; in an emergency nothing waits for it.
                if settle:
                    raise TemporaryError(f"{self.name}: {error}") from error
                logger.warning(f"{pair}: the fee of entry {row.order_id} is not noted: {error}")
        elif settle:
            self._settlements.settle(trade, row, raw)
        return shown

    def _note_entry(self, trade: Any, row: Any, raw: dict[str, Any], shown: dict[str, Any]) -> None:
        """An ended entry has cost no interest of its own: that is booked at the exits."""
        base, quote = trade.safe_base_currency, trade.safe_quote_currency
        fee = fee_in_quote(shown, base, quote)
        if fee is not None and row.order_id not in self.loans.ledger.entry_fees(trade.pair):
            left = ZERO if trade.is_short else left_by_entry(raw, base, self.step_of(trade.pair))
            dust = (base, left, left * average_price(raw)) if left else None
            self.loans.ledger.write_entry_fee(trade.pair, row.order_id, fee, dust)
        if row.funding_fee is None:
            put_cost(trade, row, ZERO)

    def _shown_unknown(self, raw: dict[str, Any], pair: str) -> Any:
        """An order that is not in the database: a buy-back of ours by its gross amount."""
        try:
            sent = None if raw["side"] != "buy" else self._sent_as(raw, pair)
        except LedgerError as error:
            logger.warning(f"{pair}: order {raw['id']} is shown as it is: {error}")
            return raw
        if sent is None or sent["kind"] == "entry":
            return raw
        return self._shown(raw, "buy", False, float(sent["net"]))

    def _sent_as(self, raw: dict[str, Any], pair: str) -> Any:
        """What the ledger has noted of an order when it was sent; None for one of the user's."""
        for sent in self.loans.ledger.sent_orders(pair):
            same_id = sent["order_id"] == str(raw["id"])
            same = sent["order_id"] is None and abs(sent["amount"] - dec(raw["amount"])) < UNIT
            if sent["side"] == raw["side"] and (same_id or same):
                return sent
        return None

    def as_seen(self, order: dict[str, Any]) -> dict[str, Any]:
        """An order that has no row yet: a buy-back of ours by its net amount."""
        if not self.is_live:
            return order
        seen: dict[str, Any] = self._shown_unknown(order, order["symbol"].split(":")[0])
        return seen

    def fetch_order(self, order_id: str, pair: str, params: Any = None, **kwargs: Any) -> Any:
        """Fetch an order as Freqtrade must see it; an exit that has ended is repaid first."""
        if not self.is_live:
            order = super().fetch_order(order_id, pair, params, **kwargs)
            self.simulated.settle(order, pair)
            return order
        if order_id.startswith(PREFIX):
            return self._known_forced(order_id, pair)
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
        """An order as the exchange says it, gross; a forced one as its row says."""
        if not order_id.startswith(PREFIX):
            raw: dict[str, Any] = super().fetch_order(order_id, pair)
            return raw
        for forced in self._forced_trades(pair):
            if f"{PREFIX}{forced.serial}" == order_id:
                return forced_order(forced, pair)
        raise InvalidOrderException(f"{self.name}: no order {order_id} of {pair}.")

    def fetch_raw_exit(self, trade: Any, row: Any) -> dict[str, Any]:
        """An exit as the exchange says it; of one of the user's, the part that closes a trade."""
        return self._own_part(self.fetch_raw_order(row.order_id, trade.pair), trade, row)

    def _own_part(self, raw: dict[str, Any], trade: Any, row: Any) -> dict[str, Any]:
        """What of an exit closes the trade: all of it, or the position's part of a user's order.

        Freqtrade writes its reason on each exit of its own; one that it found has none, and is the
        bot's if the ledger knows it.
        """
        is_found = row.ft_order_side == trade.exit_side and row.ft_order_tag is None
        if not is_found or row.order_id.startswith(PREFIX):
            return raw
        if self._sent_as(raw, trade.pair) is not None:
            return raw
        return self._closing_part(raw, trade, dec(row.ft_amount))

    def _forced_trades(self, pair: str) -> list[ForcedTrade]:
        """What liquidations sold and bought of a pair's base."""
        base, quote = pair.split("/")[0], pair.split("/")[1].split(":")[0]
        try:
            rows = liquidation_rows(freqtrade_internals.ccxt_api(self))
            found = forced_trades(rows, quote, self.marks())
        except ccxt.BaseError as error:
            raise TemporaryError(f"{self.name}: no liquidations: {type(error).__name__}") from error
        return [forced for forced in found if forced.base == base]

    def fetch_orders(self, pair: str, since: datetime, params: Any = None) -> list[Any]:
        """Orders of a pair; what the exchange sold or bought by force stands among them."""
        orders = super().fetch_orders(pair, since, params)
        if not self.is_live:
            return list(orders)
        trade = next(iter(Trade.get_trades_proxy(pair=pair, is_open=True)), None)
        try:
            by_hand = {} if trade is None else self._closed_by_hand(trade, orders)
        except LedgerError as error:
            # Whose orders these are is not known now.
            raise TemporaryError(f"{self.name}: {error}") from error
        shown = [
            by_hand.get(order["id"]) or self._shown_known(order, pair, settle=False)
            for order in orders
        ]
        found = shown if trade is None else [*shown, *self._forced_orders(trade)]
        if trade is not None and trade.is_short and not _has_unknown_exit(trade, found):
            # Repaid with coins that no order bought: the position is as large as it was.
            self._repaid_otherwise[trade.id] = self._debt_of(trade)
        return found

    def _closed_by_hand(self, trade: Any, orders: list[Any]) -> dict[str, Any]:
        """The user's own orders that have closed a position: as much of each as it was part of."""
        found, left = {}, dec(trade.amount)
        for order in orders:
            if order["side"] != trade.exit_side or not order.get("filled"):
                continue
            is_recorded = positions.find_order(trade.pair, str(order["id"])) is not None
            if is_recorded or self._sent_as(order, trade.pair) is not None:
                continue
            received = dec(order["filled"])
            if trade.is_short:
                received -= fee_in(order, trade.safe_base_currency)
            net = min(left, received)
            left -= net
            if net > 0:
                part = self._closing_part(order, trade, net)
                found[order["id"]] = self._shown(part, trade.exit_side, False, float(net))
        return found

    def _closing_part(self, raw: dict[str, Any], trade: Any, net: Decimal) -> dict[str, Any]:
        """Of an order of the user's, the part that closes so much of a position, interest and all.

        What is beyond it is the user's own trade.
        """
        filled, needed = dec(raw.get("filled")), net
        received = filled
        if trade.is_short:
            received -= fee_in(raw, trade.safe_base_currency)
            line = self.loans.line(trade.safe_base_currency, trade.pair)
            needed += max(line.interest, ZERO) * fraction_of(net, dec(trade.amount))
        return part_of_order(raw, needed / received) if received > needed else raw

    def _forced_orders(self, trade: Any) -> list[dict[str, Any]]:
        """The forced trades of an open position, as closed exit orders."""
        pair: str = trade.pair
        opened = trade.open_date_utc.timestamp() * 1000
        orders, left = [], dec(trade.amount)
        for forced in self._forced_trades(pair):
            is_older = forced.timestamp is not None and forced.timestamp < opened - 1000
            if forced.side != trade.exit_side or is_older:
                continue
            order = forced_order(forced, pair)
            known = trade.select_order_by_order_id(order["id"])
            net = min(left, self._without_interest(trade, forced.amount))
            if known is not None:
                net = dec(known.ft_amount)
            elif net <= 0:
                continue
            else:
                left -= net
            orders.append(self._shown_forced(order, trade, net))
        return orders

    def _known_forced(self, order_id: str, pair: str) -> dict[str, Any]:
        """A forced order that the database has: it does not change any more."""
        row = positions.find_order(pair, order_id)
        if row is None:
            raise InvalidOrderException(f"{self.name}: no order {order_id} of {pair}.")
        fee = {"currency": pair.split("/")[1].split(":")[0], "cost": 0.0, "rate": 0.0}
        return {**row.to_ccxt_object(), "side": row.side, "status": "closed", "fee": fee}

    def _without_interest(self, trade: Any, amount: Decimal) -> Decimal:
        """How much of what was bought by force was the position, and not its interest."""
        if not trade.is_short:
            return amount
        line = self.loans.line(trade.safe_base_currency, trade.pair)
        whole = dec(trade.amount)
        return amount * whole / (whole + max(line.interest, ZERO))

    @staticmethod
    def _shown_forced(order: dict[str, Any], trade: Any, net: Decimal) -> dict[str, Any]:
        if trade.is_short:
            base, quote = trade.safe_base_currency, trade.safe_quote_currency
            return shown_buy_back(order, net, base, quote)
        amount = float(net)
        return {**order, "amount": amount, "filled": amount, "cost": amount * order["price"]}

    def _remember_ends(self, ends: Ends) -> Ends:
        """Show the ends of a sweep as Freqtrade must see them; they are not repaid yet."""
        super()._remember_ends(ends)
        if self.is_live:
            for key, order in ends.items():
                if key in self.swept:
                    self.swept[key] = deepcopy(order)
                shown = self._shown_known(deepcopy(order), order["symbol"], settle=False)
                order.clear()
                order.update(shown)
        return ends


def _with_exact_rate(raw: dict[str, Any], base: str, quote: str) -> dict[str, Any]:
    """A sale's order with the exact rate of its fee: Freqtrade would round it to 8 digits."""
    fee = fee_in_quote(raw, base, quote)
    value = dec(raw.get("filled")) * average_price(raw)
    if fee is None or not value:
        return raw
    exact = {"currency": quote, "cost": float(fee), "rate": float(fee / value)}
    return {**raw, "fee": exact, "fees": [exact]}


def _has_unknown_exit(trade: Any, orders: list[dict[str, Any]]) -> bool:
    known = {order.order_id for order in trade.orders}
    return any(
        order["side"] == trade.exit_side and order.get("filled") and str(order["id"]) not in known
        for order in orders
    )


def _emergency_waits(trade: Any) -> bool:
    """Whether a trade has an emergency exit on record, and no order for it yet."""
    try:
        try:
            records = trade.get_custom_data(pending_exits.CUSTOM_DATA_KEY) or {}
        except SQLAlchemyError:
            # A server that was restarted has ended the connection: the next one will do.
            database.rollback_custom_data()
            records = trade.get_custom_data(pending_exits.CUSTOM_DATA_KEY) or {}
    except SQLAlchemyError:
        logger.exception("Waiting exits cannot be read: nothing is repaid before that is clear.")
        return True
    urgent = {pending_exits.EMERGENCY_EXIT, pending_exits.LIQUIDATION} & set(records)
    return bool(urgent) and not any(
        order.ft_order_side == trade.exit_side for order in trade.open_orders
    )
