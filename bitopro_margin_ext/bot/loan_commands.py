"""Borrowing and repaying: commands whose outcome may be unknown.

A command is written down before it is sent and is open until the exchange has said what became of
it: by its answer, by its lists, or by the balances. An open command is never sent again, and while
there is one in a currency nothing new is borrowed in it; exits go on.
"""

import logging
import time
from decimal import Decimal
from typing import Final

import ccxt

from ..core.errors import BitoproMarginError, Meaning, Outcome
from ..exchange.flow import failure_of
from .debt_lines import after_command, without_unclear
from .debt_reading import DebtReading, named

logger = logging.getLogger(__name__)

REFUSED_SECONDS: Final = 5.0
MOST_REFUSED_SECONDS: Final = 600.0
"""How long a repayment that was refused waits, at first and at most."""


class LoanRefusedError(BitoproMarginError):
    """The exchange does not lend, or does not take a repayment: nothing has happened."""


class LoanUnknownError(BitoproMarginError):
    """Whether the exchange has lent, or has taken a repayment, is not known yet."""


class Loans(DebtReading):
    """The loans of one bot on one margin account."""

    def borrow(self, currency: str, amount: Decimal, holder: str, why: str) -> None:
        """Borrow for a pair.

        :raises LoanRefusedError: nothing is borrowed, and why.
        :raises LoanUnknownError: it may be borrowed; the next readings say.
        """
        with self.lock:
            waiting = self.open_command(currency)
            if waiting is not None:
                raise LoanUnknownError(f"the {named(waiting)} has no answer yet")
            self._send("borrow", currency, amount, holder, why)

    def repay(self, currency: str, amount: Decimal, holder: str, why: str) -> None:
        """Repay a part of a holder's share.

        :raises LoanRefusedError: nothing is repaid, and why.
        :raises LoanUnknownError: it may be repaid; the next readings say.
        """
        with self.lock:
            waiting = self.open_command(currency)
            if waiting is not None:
                raise LoanUnknownError(f"the {named(waiting)} has no answer yet")
            until, seconds = self._waits.get(holder, (0.0, REFUSED_SECONDS / 2))
            if time.monotonic() < until:
                raise LoanRefusedError("a repayment was refused, the next one waits")
            try:
                self._send("repay", currency, amount, holder, why)
            except LoanRefusedError as error:
                cause = error.__cause__
                busy = isinstance(cause, ccxt.BaseError) and (
                    failure_of(cause).meaning is Meaning.RATE_LIMIT
                )
                if not busy:
                    seconds = min(seconds * 2, MOST_REFUSED_SECONDS)
                    self._waits[holder] = (time.monotonic() + seconds, seconds)
                raise
            self._waits.pop(holder, None)

    def _send(self, kind: str, currency: str, amount: Decimal, holder: str, why: str) -> None:
        owed = (self.account or self.read())[currency].owed
        command = self.ledger.intend(
            kind,
            currency,
            amount,
            holder,
            sent=self.now(),
            owed_before=owed.sum,
            principal_before=owed.principal,
            why=why,
        )
        call = (
            self._api().borrow_cross_margin
            if kind == "borrow"
            else (self._api().repay_cross_margin)
        )
        self.is_current = False
        try:
            answer = call(currency, f"{amount:f}")
        except ccxt.BaseError as error:
            text = f"BitoPro does not {kind} {amount:f} {currency} ({why}): {error}"
            if failure_of(error).outcome is Outcome.REFUSED:
                self.ledger.finish(command, "refused")
                raise LoanRefusedError(text.replace("not borrow", "not lend")) from error
            raise LoanUnknownError(
                f"{kind}ing {amount:f} {currency} ({why}) had no answer: {error}"
            ) from error
        self._note_lent(kind, currency, amount)
        row = {"kind": kind, "holder": holder, "currency": currency}
        self.ledger.finish(
            command,
            "done",
            lines=after_command(without_unclear(self.ledger.lines(currency)), row, amount),
            currency=currency,
            invoice=str(answer["id"]),
        )
        logger.info(f"{kind}: {amount:f} {currency} for {holder} ({why}), invoice {answer['id']}.")
