"""``bitopro-margin cancel-all --repay``: after the orders, repay what the free balances allow."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from ..core.endpoints import BALANCES, REPAY
from ..core.errors import Failure, Outcome
from . import common
from .common import ExitCode, print_err

CALL_SECONDS: Final = 10.0


def repay_free_balances(
    client: Any, *, deadline: float, ask: bool, show: Callable[[str], Any]
) -> ExitCode:
    """Repay every debt as far as the free balance of its currency goes, each once, and say it.

    A repayment without an answer is not sent again: the next balances tell what became of it.
    """
    answer = client.read(BALANCES, deadline=deadline)
    if isinstance(answer, Failure):
        show(f"UNKNOWN: nothing is repaid, because the balances cannot be read: {answer}")
        return ExitCode.UNKNOWN
    wishes, missing = _payable(answer)
    if not wishes and not missing:
        show("nothing is owed")
        return ExitCode.CONFIRMED
    for currency, amount in wishes.items():
        show(f"  {amount:f} {currency} can be repaid")
    for currency, amount in missing.items():
        show(f"  {amount:f} {currency} are owed beyond what is free")
    if wishes and ask and not (common.on_terminal() and common.confirm("Repay?")):
        print_err("nothing was repaid" if common.on_terminal() else "not repaid: give --yes")
        return ExitCode.INTERRUPTED
    code = ExitCode.REMAINING if missing else ExitCode.CONFIRMED
    for currency, amount in wishes.items():
        body = {"currency": currency.lower(), "repayAmount": f"{amount:f}"}
        reply = client.call(REPAY, body, min(deadline, CALL_SECONDS))
        if not isinstance(reply, Failure):
            show(f"  repaid {amount:f} {currency}")
        elif reply.outcome is Outcome.UNKNOWN:
            show(f"  UNKNOWN whether {amount:f} {currency} were repaid: {reply}; see the account")
            code = ExitCode.UNKNOWN
        else:
            show(f"  NOT repaid: {amount:f} {currency}: {reply}")
            code = max(code, ExitCode.REMAINING)
    return code


def _payable(answer: Any) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """What can be repaid now, and what is owed beyond it, by currency."""
    wishes, missing = {}, {}
    for currency, row in (answer.get("balances") or {}).items():
        owed = _decimal(row, "borrowAmount") + _decimal(row, "borrowInterestAmount")
        payable = min(owed, _decimal(row, "availableAmount"))
        if payable > 0:
            wishes[str(currency).upper()] = payable
        if owed > payable:
            missing[str(currency).upper()] = owed - payable
    return wishes, missing


def _decimal(row: Any, name: str) -> Decimal:
    try:
        return Decimal(str(row.get(name) or "0").replace(",", ""))
    except (AttributeError, InvalidOperation):
        return Decimal(0)
