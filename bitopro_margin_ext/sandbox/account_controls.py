"""Controls of accounts: balances, keys, loans, liquidation."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from . import control_json
from .control_base import AccountControl, Amounts, Control, Json, WalletControl
from .state import ApiKey, Kind
from .state.liquidation import liquidate, liquidate_thin_accounts

if TYPE_CHECKING:
    from .app import Parts


class SetBalances(WalletControl):
    """Set what is available of some currencies; with add, add that much (below 0 takes it)."""

    route = "POST /balances"
    balances: Amounts
    add: bool = False

    def apply(self, sandbox: Parts) -> Json:
        """Set the balances of one side."""
        exchange, wallet = sandbox.exchange, sandbox.exchange.account(self.email).wallets[self.kind]
        for currency, amount in self.balances.items():
            before = wallet[currency].available if self.add else Decimal(0)
            exchange.set_balance(self.kind, currency, before + amount, self.email)
        return control_json.wallet(exchange.account(self.email), self.kind)


class NewKey(BaseModel):
    """A key of an account."""

    model_config = ConfigDict(extra="forbid")

    key: str
    secret: str
    margin: bool = True
    revoked: bool = False


class AddAccount(Control):
    """Open an account with balances by side (else the usual ones), or add keys to one."""

    route = "POST /accounts"
    email: str
    keys: tuple[NewKey, ...] = ()
    balances: dict[Kind, Amounts] | None = None

    def apply(self, sandbox: Parts) -> Json:
        """Open it unless it is there, and add the keys."""
        exchange = sandbox.exchange
        if self.email not in exchange.accounts:
            funds = self.balances
            if funds is not None:
                funds = {k: {c.upper(): a for c, a in side.items()} for k, side in funds.items()}
            exchange.add_account(self.email, funds)
        for key in self.keys:
            exchange.add_key(ApiKey(email=self.email, **dict(key)))
        return control_json.account(exchange, self.email)


class ChangeKey(Control):
    """Give or take a key's margin permission, or revoke it."""

    route = "POST /keys"
    key: str
    margin: bool | None = None
    revoked: bool | None = None

    def apply(self, sandbox: Parts) -> Json:
        """Change what is given."""
        key = sandbox.exchange.keys.get(self.key)
        if key is None:
            raise ValueError(f"no key {self.key!r}")
        if self.margin is not None:
            key.margin = self.margin
        if self.revoked is not None:
            key.revoked = self.revoked
        return control_json.key(key)


class SetLoanTerms(Control):
    """Change what is lent of a currency: the yearly rate in percent, limits, status, steps.

    A borrow status is 0 off, 1 on, 2 maintenance; available sets what the platform has left.
    """

    route = "POST /loans/terms"
    currency: str
    annual_percent: Decimal | None = None
    max_user: Decimal | None = None
    max_system: Decimal | None = None
    available: Decimal | None = None
    borrow_status: Literal[0, 1, 2] | None = None
    minimum: Decimal | None = None
    step: Decimal | None = None

    def apply(self, sandbox: Parts) -> Json:
        """Change what is given."""
        loans, exclude = sandbox.exchange.loans, {"currency", "available"}
        terms = loans.set_terms(
            self.currency, **self.model_dump(exclude=exclude, exclude_none=True)
        )
        if self.available is not None:
            left = terms.max_system - loans.lent(terms.currency)
            loans.lend_out(self.currency, left - self.available)
        return control_json.loan_terms(loans.terms[terms.currency])


class BorrowByHand(AccountControl):
    """Borrow as the user could on the web page; no limit is checked."""

    route = "POST /loans/borrow"
    currency: str
    amount: Decimal

    def apply(self, sandbox: Parts) -> Json:
        """Lend the amount."""
        exchange = sandbox.exchange
        exchange.loans.borrow(self.currency, self.amount, self.email, check=False)
        return control_json.account(exchange, self.email)


class RepayByHand(AccountControl):
    """Repay as the user could on the web page."""

    route = "POST /loans/repay"
    currency: str
    amount: Decimal

    def apply(self, sandbox: Parts) -> Json:
        """Take the amount, at most what is owed."""
        sandbox.exchange.loans.repay(self.currency, self.amount, self.email)
        return control_json.account(sandbox.exchange, self.email)


class ChargeInterest(AccountControl):
    """Charge the interest of so many seconds while the clock stays.

    Orders keep their age, which Freqtrade's unfilled time-outs look at, and nonces stay good.
    """

    route = "POST /loans/interest"
    seconds: Decimal

    def apply(self, sandbox: Parts) -> Json:
        """Charge it on every debt."""
        exchange = sandbox.exchange
        exchange.loans.charge_interest(self.seconds, self.email)
        liquidate_thin_accounts(exchange)
        return control_json.account(exchange, self.email)


class Liquidate(AccountControl):
    """Liquidate an account now, whatever its ratio: whole, partial (a fraction), or in_kind."""

    route = "POST /liquidate"
    mode: Literal["whole", "partial", "in_kind"] = "whole"
    fraction: Decimal | None = None

    def apply(self, sandbox: Parts) -> Json:
        """Liquidate it."""
        exchange = sandbox.exchange
        liquidate(exchange, exchange.account(self.email), self.mode, self.fraction)
        return control_json.account(exchange, self.email)
