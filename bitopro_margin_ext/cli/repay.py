"""``bitopro-margin cancel-all --repay``: after the orders, repay what the free balances allow."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from ..core.endpoints import BALANCES, REPAY
from ..core.errors import Failure, Outcome, unreadable
from . import common
from .common import OUTCOMES, ExitCode, print_err

REPAY_SECONDS: Final = 10.0


class Repayment:
    """Repays every debt as far as the free balance of its currency goes, each once, and says it.

    A repayment without an answer is not sent again: the next balances tell what became of it.
    """

    def __init__(self) -> None:
        self.code = ExitCode.CONFIRMED
        self.error: str | None = None
        self.repaid: dict[str, Decimal] = {}
        self.unknown: dict[str, Decimal] = {}
        self.owed: dict[str, Decimal] = {}
        """What is left to repay, as far as the exchange has said it."""

    def to_json(self) -> dict[str, Any]:
        """What became of the debts, by currency, amounts as strings."""
        amounts = {"repaid": self.repaid, "unknown": self.unknown, "owed": self.owed}
        found = {
            name: {currency: f"{amount:f}" for currency, amount in rows.items()}
            for name, rows in amounts.items()
        }
        return {"outcome": OUTCOMES[self.code], "error": self.error, **found}

    def end(self, code: ExitCode, error: str) -> None:
        """Note a worse end than the one so far; its first reason stays."""
        if code > self.code:
            self.code, self.error = code, error

    def carry_out(
        self, client: Any, *, deadline: float, ask: bool, show: Callable[[str], Any]
    ) -> None:
        """Read the balances, ask, and repay."""
        answer = client.read(BALANCES, deadline=deadline)
        if not isinstance(answer, Failure):
            try:
                wishes, missing = _payable(answer)
            except (AttributeError, LookupError, TypeError, ArithmeticError):
                answer = unreadable("balances of another form")
        if isinstance(answer, Failure):
            text = f"UNKNOWN: nothing is repaid, because the balances cannot be read: {answer}"
            self.end(ExitCode.UNKNOWN, text)
            show(text)
            return
        self.owed = {
            currency: wishes.get(currency, Decimal(0)) + missing.get(currency, Decimal(0))
            for currency in sorted(wishes | missing)
        }
        if not self.owed:
            show("nothing is owed")
        for currency, amount in wishes.items():
            show(f"  {amount:f} {currency} can be repaid")
        for currency, amount in missing.items():
            text = f"  {amount:f} {currency} are owed beyond what is free"
            self.end(ExitCode.REMAINING, text.strip())
            show(text)
        if wishes and ask and not self._agreed():
            return
        for currency, amount in wishes.items():
            self._repay(client, currency, amount, min(deadline, REPAY_SECONDS), show)

    def _agreed(self) -> bool:
        answer = common.ask("Repay?")
        if answer is None:
            # Money is moved by an explicit yes alone.
            text = "nothing was repaid: there is no terminal to ask on, give --yes"
        else:
            text = f"{common.NOT_AGREED}: nothing was repaid"
        if not answer:
            self.end(ExitCode.INTERRUPTED, text)
            print_err(text)
        return bool(answer)

    def _repay(
        self, client: Any, currency: str, amount: Decimal, deadline: float, show: Callable[..., Any]
    ) -> None:
        body = {"currency": currency.lower(), "repayAmount": f"{amount:f}"}
        # Until the exchange has answered, also where the user interrupts.
        self.unknown[currency] = amount
        reply = client.call(REPAY, body, deadline)
        if not isinstance(reply, Failure):
            del self.unknown[currency]
            self.repaid[currency] = amount
            self.owed[currency] -= amount
            show(f"  repaid {amount:f} {currency}")
            return
        if reply.outcome is Outcome.UNKNOWN:
            text = f"UNKNOWN whether {amount:f} {currency} were repaid: {reply}; see the account"
            self.end(ExitCode.UNKNOWN, text)
        else:
            del self.unknown[currency]
            text = f"NOT repaid: {amount:f} {currency}: {reply}"
            self.end(ExitCode.REMAINING, text)
        show(f"  {text}")


def _payable(answer: Any) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """What can be repaid now, and what is owed beyond it, by currency.

    :raises Exception: of several kinds, where the answer does not say it.
    """
    wishes, missing = {}, {}
    balances = answer["balances"]
    for currency, row in (balances if balances is not None else {}).items():
        owed = _decimal(row, "borrowAmount") + _decimal(row, "borrowInterestAmount")
        payable = min(owed, _decimal(row, "availableAmount"))
        if payable > 0:
            wishes[str(currency).upper()] = payable
        if owed > payable:
            missing[str(currency).upper()] = owed - payable
    return wishes, missing


def _decimal(row: Any, name: str) -> Decimal:
    amount = Decimal(str(row[name] or "0").replace(",", ""))
    if not amount.is_finite():
        raise ArithmeticError(name)
    return amount
