"""An exit and its part of the debt: split off, repaid, and its cost put where Freqtrade counts it.

An exit's part of the loan becomes a line of its own in the ledger (``exit:pair:order``), which is
repaid until nothing is owed, however often that takes and whatever crashes in between. What it has
cost beyond the borrowed sum goes into ``Order.funding_fee``, where Freqtrade's profit takes it up.
"""

import logging
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import ccxt
from freqtrade.persistence import Trade

from .debt_lines import CRUMBS, UNIT, ZERO, Line, add_to, down, units, up
from .ledger_database import LedgerError
from .leverage_amounts import (
    average_price,
    buy_back_cost,
    closes,
    cut,
    dec,
    entry_fee_difference,
    entry_price,
    fee_in,
    fee_in_quote,
    fraction_of,
    loan_currency,
    position_of,
    shown_buy_back,
)
from .liquidations import PREFIX
from .loan_commands import LoanRefusedError, Loans, LoanUnknownError

logger = logging.getLogger(__name__)

ROUNDS: Final = 3
"""How often an exit's part is repaid in one go: interest accrues while it is being repaid."""


def exit_holder(pair: str, order_id: str) -> str:
    """The ledger's name of an exit's part of the debt."""
    return f"exit:{pair}:{order_id}"


class Settlements:
    """Settles the exits of one bot's leveraged trades."""

    def __init__(self, loans: Loans, step: Callable[[str], Decimal]) -> None:
        self._loans = loans
        self._step = step
        """The smallest step of a pair's amounts."""
        self.short_of: set[str] = set()
        """Exits whose part could not be repaid, because there was too little."""

    # -- one exit ------------------------------------------------------------------------------

    def begin(self, trade: Any, row: Any, raw: dict[str, Any]) -> Mapping[str, Any] | None:
        """Split an ended exit's part off the trade's debt, once; None when nothing was filled.

        ``raw`` is the order as the exchange says it, with gross amounts.
        """
        ledger = self._loans.ledger
        known = ledger.booking(trade.pair, row.order_id)
        if known is not None or not raw.get("filled"):
            return known
        base, quote = trade.safe_base_currency, trade.safe_quote_currency
        shown = raw
        if trade.is_short:
            shown = shown_buy_back(raw, row.ft_amount, base, quote, self._step(trade.pair))
        net = dec(shown["filled"])
        position = position_of(trade, ledger.entry_fees(trade.pair), without=row.order_id)
        currency, step = loan_currency(trade), self._step(trade.pair)
        is_last = closes(net, position.amount, step)
        # Less than a step of the position: Freqtrade forgets it with the trade.
        rest = max(position.amount - net, ZERO) if is_last else ZERO
        average, price = average_price(raw), entry_price(trade, position)
        lines = ledger.lines(currency)
        own = next((line for line in lines if line.holder == trade.pair), None)
        if own is not None:
            # What a liquidation sold or bought has been repaid with it.
            split = own.split_repaid if row.order_id.startswith(PREFIX) else own.split
            fraction = Decimal(1) if is_last else fraction_of(net, position.amount)
            stays, part = split(fraction, exit_holder(trade.pair, row.order_id))
            others = [line for line in lines if line is not own]
            lines = [*others, *([stays] if stays.owed or stays.borrowed else []), part]
        ledger.open_booking(
            currency,
            lines,
            pair=trade.pair,
            order_id=row.order_id,
            trade_id=trade.id,
            # Bought back with it, and sold at the entry, by none of Freqtrade's counts.
            net=net + rest if trade.is_short else net,
            received=dec(raw["filled"]) - fee_in(raw, base) if trade.is_short else ZERO,
            average=average,
            fee_difference=self._exit_fee_difference(trade, shown, base, quote)
            + entry_fee_difference(trade, position, net)
            + (rest * (average - price) if trade.is_short else ZERO),
            # Not sold with the last of a long.
            dust=None if trade.is_short or not rest else (base, rest, rest * price),
        )
        return ledger.booking(trade.pair, row.order_id)

    def _exit_fee_difference(
        self, trade: Any, shown: dict[str, Any], base: str, quote: str
    ) -> Decimal:
        """What an exit has paid in fees beyond what Freqtrade counts: the rate of the first."""
        paid = fee_in_quote(shown, base, quote)
        if paid is None or trade.fee_close_currency is None:
            return ZERO
        return paid - dec(shown["filled"]) * average_price(shown) * dec(trade.fee_close)

    def advance(self, booking: Mapping[str, Any]) -> Decimal | None:
        """Repay an exit's part as far as there is money for it.

        :returns: its cost in quote once nothing of it is owed; None before.
        """
        if booking["state"] != "repaying":
            return dec(booking["cost"])
        with self._loans.lock:
            currency = booking["currency"]
            holder = exit_holder(booking["pair"], booking["order_id"])
            if not self._loans.is_current:
                # A line that owes nothing may have grown while that was being repaid.
                self._loans.read()
            for _ in range(ROUNDS):
                line = self._loans.line(currency, holder)
                if line.owed < self._loans.step(currency) or not self._repay_once(booking, line):
                    break
            return self._finish(booking, self._loans.line(currency, holder))

    def _repay_once(self, booking: Mapping[str, Any], line: Line) -> bool:
        """Repay what is owed, or what there is; whether something was repaid."""
        account = self._loans.read()
        line = self._loans.line(line.currency, line.holder)
        free = account[line.currency].free
        budget = min(free, self._budget(booking, line))
        # The last one of a currency repays what the exchange says, to the last unit.
        amount = min(up(line.owed), account[line.currency].owed.sum, down(max(budget, ZERO)))
        amount = cut(amount, self._loans.step(line.currency))
        if amount <= 0:
            if line.owed >= UNIT and line.holder not in self.short_of:
                self.short_of.add(line.holder)
                self._loans.notify(
                    f"{booking['pair']}: {units(line.owed)} {line.currency} are owed after its"
                    f" exit, and only {units(max(budget, ZERO))} are there: it is repaid as soon as"
                    " there is more."
                )
            return False
        try:
            self._loans.repay(line.currency, amount, line.holder, f"exit {booking['order_id']}")
        except (LoanRefusedError, LoanUnknownError) as error:
            logger.warning(f"{booking['pair']}: {error}. The next iteration looks again.")
            return False
        self._loans.read()
        return True

    def _budget(self, booking: Mapping[str, Any], line: Line) -> Decimal:
        """What may be spent on a repayment: never the user's own coins of a shorted currency."""
        if not booking["received"]:
            return Decimal("Infinity")
        repaid = sum(
            (
                command["amount"]
                for command in self._loans.ledger.commands("done", since=booking["opened"] - 86400)
                if command["kind"] == "repay" and command["holder"] == line.holder
            ),
            ZERO,
        )
        dust = self._loans.ledger.dust().get(line.currency, (ZERO, ZERO))[0]
        # Borrowed in whole steps and never sold.
        unsold = max(line.borrowed - (line.paid - repaid) - dec(booking["net"]), ZERO)
        return dec(booking["received"]) + unsold + dust - repaid

    def _finish(self, booking: Mapping[str, Any], line: Line) -> Decimal | None:
        if (
            line.owed >= self._loans.step(line.currency)
            or self._loans.open_command(line.currency) is not None
        ):
            return None
        ledger, dust = self._loans.ledger, None
        interest = line.interest
        if booking["received"]:
            before = ledger.dust().get(line.currency, (ZERO, ZERO))
            cost, dust = buy_back_cost(
                dec(booking["net"]),
                dec(booking["received"]),
                dec(booking["net"]) + interest,
                dec(booking["average"]),
                before,
            )
        else:
            cost = interest
        cost += dec(booking["fee_difference"])
        others = [one for one in ledger.lines(line.currency) if one.holder != line.holder]
        if line.owed >= UNIT:
            # Booked as interest now; repaid when there is enough of it for a step.
            others = add_to(others, CRUMBS, line.currency, line.owed)
        ledger.finish_booking(
            booking["pair"], booking["order_id"], cost, others, line.currency, dust
        )
        self.short_of.discard(line.holder)
        return cost

    # -- into Freqtrade's database -------------------------------------------------------------

    def settle(self, trade: Any, row: Any, raw: dict[str, Any]) -> None:
        """Settle an ended exit before Freqtrade computes its profit; whatever fails comes later."""
        try:
            booking = self.begin(trade, row, raw)
            cost = None if booking is None else self.advance(booking)
        except (ccxt.BaseError, LedgerError) as error:
            logger.warning(
                f"{trade.pair}: the loan of exit {row.order_id} is repaid later"
                f" ({type(error).__name__})."
            )
            return
        if cost is not None:
            put_cost(trade, row, cost)

    def book(self, booking: Mapping[str, Any]) -> None:
        """Put a repaid exit's cost into Freqtrade's database, and compute its profit anew."""
        trade = Trade.session.get(Trade, booking["trade_id"])
        row = None if trade is None else trade.select_order_by_order_id(booking["order_id"])
        if row is not None and row.ft_is_open:
            return
        if row is not None and row.funding_fee != -float(booking["cost"]):
            put_cost(trade, row, dec(booking["cost"]))
            trade.recalc_trade_from_orders(is_closing=not trade.is_open)
            Trade.commit()
            logger.info(
                f"{trade.pair}: exit {row.order_id} has cost {float(booking['cost']):.8f}"
                f" {trade.safe_quote_currency} of interest; the trade's profit counts it."
            )
        self._loans.ledger.mark_booked(booking["pair"], booking["order_id"])


def put_cost(trade: Any, row: Any, cost: Decimal) -> None:
    """Put what an order's loan has cost where Freqtrade's profit takes it up.

    The order's own field counts; older Freqtrades overwrite it with the trade's running sum.
    """
    row.funding_fee = -float(cost)
    trade.funding_fee_running = -float(cost)
