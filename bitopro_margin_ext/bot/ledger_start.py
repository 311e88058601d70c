"""The beginning of a ledger: whose are the debts that are there already?

Without open leveraged trades they are the user's. With some, the ledger was lost: each trade is
given what it needs of them, and nothing new is borrowed until the user has looked.
"""

import logging
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from freqtrade.persistence import Trade

from .debt_lines import USER, ZERO, Line, total
from .interest import loan_currency
from .loan_need import need_of
from .loans import Loans

logger = logging.getLogger(__name__)


class LedgerStart:
    """Begins one ledger, once."""

    def __init__(self, loans: Loans) -> None:
        self._loans = loans
        self._done = False

    def run(self) -> None:
        """Begin it, unless it has begun; what cannot be asked now is asked next time."""
        ledger = self._loans.ledger
        if self._done or ledger.meta("begun"):
            self._done = True
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
        self._done = True

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
