"""The margin account's debts: interest, ratio, borrowing, repaying, transfers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Final

from .. import defaults
from . import refusals
from .accounts import (
    Account,
    Borrow,
    Debt,
    Kind,
    Repayment,
    Transfer,
)
from .amounts import ONE, ZERO, floor
from .markets import LOANS, MARGIN_CURRENCIES, LoanTerms
from .orders import FundsChanged

if TYPE_CHECKING:
    from .exchange import Exchange

YEAR_MS: Final = 365 * 86_400_000
# An account without debt has no ratio; a very large one keeps clients that compare it calm.
RATIO_WITHOUT_DEBT: Final = Decimal("999")


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account has and owes, in USDT at mark prices."""

    assets: dict[str, Decimal]
    debts: dict[str, Decimal]
    prices: dict[str, Decimal]

    @property
    def total_assets(self) -> Decimal:
        """All assets, borrowed ones included, in USDT."""
        return self._in_usdt(self.assets)

    @property
    def total_debts(self) -> Decimal:
        """All debts with their interest, in USDT."""
        return self._in_usdt(self.debts)

    @property
    def ratio(self) -> Decimal:
        """Total assets by total debts."""
        debts = self.total_debts
        return self.total_assets / debts if debts else RATIO_WITHOUT_DEBT

    def _in_usdt(self, amounts: dict[str, Decimal]) -> Decimal:
        return sum((amount * self.prices[name] for name, amount in amounts.items()), ZERO)


def shown_ratio(ratio: Decimal) -> str:
    """Write a ratio with the two decimals that the pages show; cut, so it never flatters."""
    return str(ratio.quantize(Decimal("0.01"), rounding=ROUND_DOWN))


class Loans:
    """Lends to margin accounts. Its public methods take the exchange's lock."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.terms: dict[str, LoanTerms] = {terms.currency: terms for terms in LOANS}

    def mark_prices(self) -> dict[str, Decimal]:
        """Return the mark price of every margin currency: its last price in USDT."""
        quotes = self._exchange.quotes
        return {
            name: ONE if name == "USDT" else quotes[f"{name.lower()}_usdt"].last
            for name in MARGIN_CURRENCIES
        }

    def standing(self, email: str = defaults.EMAIL) -> Standing:
        """Take stock of a margin account, interest up to now included."""
        with self._exchange.lock:
            account = self._exchange.account(email)
            self._accrue(account)
            wallet = account.wallets["margin"]
            return Standing(
                {name: wallet[name].total for name in MARGIN_CURRENCIES},
                {name: self._debt(account, name).owed for name in MARGIN_CURRENCIES},
                self.mark_prices(),
            )

    def label(self, ratio: Decimal) -> str:
        """Name the safety of a ratio; only SAFETY_THRESHOLD is documented."""
        switches = self._exchange.switches
        if ratio >= switches.safe_ratio:
            return "SAFETY_THRESHOLD"
        if ratio >= switches.warning_ratio:
            return "WARNING_THRESHOLD"
        if ratio >= switches.liquidation_ratio:
            return "MARGIN_CALL_THRESHOLD"
        return "LIQUIDATION_THRESHOLD"

    def debt(self, currency: str, email: str = defaults.EMAIL) -> Debt:
        """Return what an account owes of a currency, interest up to now included."""
        with self._exchange.lock:
            account = self._exchange.account(email)
            self._accrue(account)
            return self._debt(account, currency)

    def lent(self, currency: str) -> Decimal:
        """Return what the platform has lent of a currency, to everybody."""
        accounts = self._exchange.accounts.values()
        ours = sum((self._debt(a, currency).principal for a in accounts), ZERO)
        return self.terms[currency].lent_to_others + ours

    def borrow(self, currency: str, amount: Decimal, email: str = defaults.EMAIL) -> int:
        """Lend, or refuse: the limits and the ratio after it decide."""
        with self._exchange.lock:
            account, name = self._exchange.account(email), self._currency(currency)
            self._check_amount(amount)
            self._accrue(account)
            terms, debt = self.terms[name], self._debt(account, name)
            if debt.principal + amount > terms.max_user:
                raise refusals.borrow_limit(name, terms.max_user)
            if self.lent(name) + amount > terms.max_system:
                raise refusals.borrow_limit(name, terms.max_system)
            self._check_ratio(self.preview(1, name, amount, email))
            debt.principal += amount
            account.wallets["margin"].add(name, amount)
            serial = self._exchange.matching.next_number()
            now = self._exchange.clock.now_ms()
            account.borrows.append(Borrow(serial, name, amount, amount, now))
            self._exchange.tell(FundsChanged(email, "margin"))
            return serial

    def repay(self, currency: str, amount: Decimal, email: str = defaults.EMAIL) -> int:
        """Take a repayment: interest first, and never more than is owed."""
        with self._exchange.lock:
            account, name = self._exchange.account(email), self._currency(currency)
            self._check_amount(amount)
            self._accrue(account)
            owed = self._debt(account, name).owed
            if not owed:
                raise refusals.nothing_to_repay(name)
            amount = min(amount, owed)
            account.wallets["margin"].take(name, amount)
            serial = self.pay_down(account, name, amount)
            self._exchange.tell(FundsChanged(email, "margin"))
            return serial

    def transfer(
        self,
        currency: str,
        amount: Decimal,
        source: Kind,
        target: Kind,
        email: str = defaults.EMAIL,
    ) -> tuple[int, int]:
        """Move funds between spot and margin; out of margin only what the debts can spare."""
        with self._exchange.lock:
            account, name = self._exchange.account(email), self._currency(currency)
            self._check_amount(amount)
            if source == target:
                raise refusals.unsupported_transfer()
            available = account.wallets[source][name].available
            if available < amount:
                raise refusals.not_enough(name, available, amount)
            if source == "margin":
                self._check_ratio(self.preview(4, name, amount, email))
            account.wallets[source].take(name, amount)
            account.wallets[target].add(name, amount)
            now = self._exchange.clock.now_ms()
            out, into = (self._exchange.matching.next_number() for _ in range(2))
            day = time.strftime("%Y%m%d", time.gmtime(now / 1000))
            serial = f"{day}margintrans{out % 100_000_000:08d}"
            account.transfers.append(Transfer(serial, name, source, target, amount, now))
            for kind in (source, target):
                self._exchange.tell(FundsChanged(email, kind))
            return out, into

    def preview(
        self, action: int, currency: str, amount: Decimal, email: str = defaults.EMAIL
    ) -> Standing:
        """Say what would stand after 1 borrow, 2 repay, 3 transfer in, 4 transfer out."""
        name = self._currency(currency)
        self._check_amount(amount)
        standing = self.standing(email)
        if action not in (1, 2, 3, 4):
            raise refusals.wrong_parameter("action")
        if action == 2:
            amount = min(amount, standing.debts[name])
        if action in (1, 2):
            standing.debts[name] += amount if action == 1 else -amount
        standing.assets[name] += amount if action in (1, 3) else -amount
        if standing.assets[name] < 0:
            held = standing.assets[name] + amount
            raise refusals.not_enough(name, held, amount)
        return standing

    def pay_down(self, account: Account, currency: str, amount: Decimal) -> int:
        """Book a payment that has left the wallet: interest first, the oldest loans first."""
        debt = self._debt(account, currency)
        interest = min(amount, debt.interest)
        principal = amount - interest
        debt.interest -= interest
        debt.principal -= principal
        left = principal
        for line in account.borrows:
            if line.currency == currency:
                part = min(left, line.open_principal)
                line.open_principal -= part
                left -= part
        serial = self._exchange.matching.next_number()
        now = self._exchange.clock.now_ms()
        account.repayments.append(Repayment(serial, currency, principal, interest, now))
        return serial

    def _debt(self, account: Account, currency: str) -> Debt:
        return account.debts.setdefault(currency, Debt(since_ms=self._exchange.clock.now_ms()))

    def _accrue(self, account: Account) -> None:
        now = self._exchange.clock.now_ms()
        for name in MARGIN_CURRENCIES:
            debt = self._debt(account, name)
            rate = self.terms[name].annual_percent / 100
            grown = floor(debt.principal * rate * max(0, now - debt.since_ms) / YEAR_MS)
            # Below the smallest unit nothing is booked yet, and the time is kept for later.
            if grown or not debt.principal:
                debt.interest += grown
                debt.since_ms = now

    def _check_ratio(self, after: Standing) -> None:
        if after.total_debts and after.ratio < self._exchange.switches.safe_ratio:
            raise refusals.borrow_unsafe()

    def _currency(self, currency: str) -> str:
        name = currency.upper()
        if name not in self.terms:
            raise refusals.unsupported_currency()
        return name

    @staticmethod
    def _check_amount(amount: Decimal) -> None:
        if amount <= 0:
            raise refusals.invalid_amount(amount)
        if floor(amount) != amount:
            raise refusals.too_precise("amount", amount, 8)
