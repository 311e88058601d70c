"""The margin account's debts: interest, ratio, borrowing, repaying, transfers, liquidation."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from .. import EMAIL
from .accounts import Account, Borrow, Debt, Kind, Liquidation, Repayment, Transfer
from .amounts import ONE, ZERO, floor
from .markets import LOANS, LoanTerms
from .order_history import FundsChanged
from .refusals import Reason

if TYPE_CHECKING:
    from .exchange import Exchange


YEAR_MS: Final = 365 * 86_400_000
# An account without debt has no ratio; a very large number serves clients that compare it.
RATIO_WITHOUT_DEBT: Final = Decimal("999")


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account has and owes, and the mark prices in USDT."""

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
    """Write a ratio with the two decimals that the pages show, cut rather than rounded up."""
    return str(ratio.quantize(Decimal("0.01"), rounding=ROUND_DOWN))


class Loans:
    """Lends to margin accounts. Its public methods take the exchange's lock."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.terms: dict[str, LoanTerms] = {terms.currency: terms for terms in LOANS}

    def set_terms(self, currency: str, **changes: Any) -> LoanTerms:
        """Change the fields of a currency's terms; interest up to now has the old rate."""
        with self._exchange.lock:
            name = self._lent_currency(currency)
            for account in self._exchange.accounts.values():
                self._accrue(account)
            self.terms[name] = replace(self.terms[name], **changes)
            return self.terms[name]

    def lend(self, currency: str) -> None:
        """Lend a currency from now on, a million USDT's worth of it, unless it is lent already."""
        name = currency.upper()
        worth = floor(Decimal(1_000_000) / (self.mark_price(name) or ONE))
        self.terms.setdefault(name, LoanTerms(name, worth, worth, ZERO, ONE))

    def charge_interest(self, seconds: Decimal, email: str = EMAIL) -> None:
        """Add the interest of so much time without letting it pass."""
        with self._exchange.lock:
            account = self._exchange.account(email)
            self._accrue(account)
            for debt in account.debts.values():
                debt.since_ms -= int(seconds * 1000)
            self._accrue(account)
            self._exchange.publish(FundsChanged(email, "margin"))

    def lend_out(self, currency: str, amount: Decimal | None = None) -> None:
        """Lend an amount to somebody else; without one, all that the platform has left."""
        with self._exchange.lock:
            name = self._lent_currency(currency)
            terms = self.terms[name]
            taken = terms.max_system - self.lent(name) if amount is None else amount
            self.set_terms(name, lent_to_others=terms.lent_to_others + taken)

    def mark_prices(self) -> dict[str, Decimal]:
        """Return the mark price of every margin currency: its last price in USDT.

        What has a price in nothing that leads to USDT counts for nothing.
        """
        names = self._exchange.margin_currencies()
        return {name: self.mark_price(name) or ZERO for name in names}

    def mark_price(self, currency: str, passed: frozenset[str] = frozenset()) -> Decimal | None:
        """Return a currency's last price in USDT, by way of other quotes where it has none."""
        name, quotes = currency.upper(), self._exchange.quotes
        if name == "USDT":
            return ONE
        if direct := quotes.get(f"{name.lower()}_usdt"):
            return direct.last
        if inverse := quotes.get(f"usdt_{name.lower()}"):
            return ONE / inverse.last
        passed |= {name}
        for quote in quotes.values():
            pair = quote.pair
            other = pair.quote if pair.base == name else pair.base
            if name in (pair.base, pair.quote) and other not in passed:
                price = self.mark_price(other, passed)
                if price is not None:
                    return price * quote.last if pair.base == name else price / quote.last
        return None

    def standing(self, email: str = EMAIL) -> Standing:
        """Compute what a margin account has and owes, interest up to now included."""
        with self._exchange.lock:
            account = self._exchange.account(email)
            self._accrue(account)
            wallet, names = account.wallets["margin"], self._exchange.margin_currencies()
            return Standing(
                {name: wallet[name].total for name in names},
                {name: self._debt(account, name).owed for name in names},
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

    def debt(self, currency: str, email: str = EMAIL) -> Debt:
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

    def borrow(
        self, currency: str, amount: Decimal, email: str = EMAIL, *, check: bool = True
    ) -> int:
        """Lend, or refuse by status, limits and the ratio that would result.

        Without ``check`` everything is lent, for loans that a test puts on the account.
        """
        with self._exchange.lock:
            account, name = self._exchange.account(email), self._lent_currency(currency)
            self._check_amount(amount)
            self._accrue(account)
            if check:
                self._check_borrow(account, name, amount)
            self._debt(account, name).principal += amount
            account.wallets["margin"].add(name, amount)
            serial = self._exchange.next_serial()
            account.borrows.append(
                Borrow(serial, name, amount, amount, self._exchange.clock.now_ms())
            )
            self._exchange.publish(FundsChanged(email, "margin"))
            return serial

    def repay(self, currency: str, amount: Decimal, email: str = EMAIL) -> int:
        """Take a repayment, at most what is owed."""
        with self._exchange.lock:
            account, name = self._exchange.account(email), self._lent_currency(currency)
            self._check_amount(amount)
            self._accrue(account)
            owed = self._debt(account, name).owed
            if not owed:
                raise Reason.NO_DEBT(currency=name.lower())
            if amount > owed and self._exchange.switches.refuse_repay_above_debt:
                raise Reason.ABOVE_DEBT(currency=name.lower(), owed=owed)
            amount = min(amount, owed)
            account.wallets["margin"].take(name, amount)
            serial = self.pay_down(account, name, amount)
            self._exchange.publish(FundsChanged(email, "margin"))
            return serial

    def transfer(
        self,
        currency: str,
        amount: Decimal,
        source: Kind,
        target: Kind,
        email: str = EMAIL,
    ) -> tuple[int, int]:
        """Move funds between spot and margin; out of margin only what the debts can spare."""
        with self._exchange.lock:
            account, name = self._exchange.account(email), self._margin_currency(currency)
            self._check_amount(amount)
            if source == target:
                raise Reason.INVALID_BALANCE_KIND()
            available = account.wallets[source][name].available
            if available < amount:
                raise Reason.NOT_ENOUGH(currency=name, available=available, asked=amount)
            if source == "margin":
                self._check_ratio(self.preview(4, name, amount, email))
            account.wallets[source].take(name, amount)
            account.wallets[target].add(name, amount)
            now = self._exchange.clock.now_ms()
            out, into = (self._exchange.next_serial() for _ in range(2))
            day = time.strftime("%Y%m%d", time.gmtime(now / 1000))
            serial = f"{day}margintrans{out % 100_000_000:08d}"
            account.transfers.append(Transfer(serial, name, source, target, amount, now))
            for kind in (source, target):
                self._exchange.publish(FundsChanged(email, kind))
            return out, into

    def preview(self, action: int, currency: str, amount: Decimal, email: str = EMAIL) -> Standing:
        """Compute what would stand after 1 borrow, 2 repay, 3 transfer in, 4 transfer out."""
        name = self._margin_currency(currency) if action > 2 else self._lent_currency(currency)
        self._check_amount(amount)
        standing = self.standing(email)
        if action == 2:
            amount = min(amount, standing.debts[name])
        if action in (1, 2):
            standing.debts[name] += amount if action == 1 else -amount
        standing.assets[name] += amount if action in (1, 3) else -amount
        if standing.assets[name] < 0:
            held = standing.assets[name] + amount
            raise Reason.NOT_ENOUGH(currency=name, available=held, asked=amount)
        return standing

    def pay_down(self, account: Account, currency: str, amount: Decimal) -> int:
        """Book a payment that has left the wallet, the oldest loans first."""
        debt = self._debt(account, currency)
        if self._exchange.switches.repay_principal_first:
            principal = min(amount, debt.principal)
            interest = amount - principal
        else:
            interest = min(amount, debt.interest)
            principal = amount - interest
        debt.accrued -= interest
        debt.principal -= principal
        if not debt.owed:
            debt.accrued = ZERO
        left = principal
        for line in account.borrows:
            if line.currency == currency:
                part = min(left, line.open_principal)
                line.open_principal -= part
                left -= part
        serial = self._exchange.next_serial()
        now = self._exchange.clock.now_ms()
        account.repayments.append(Repayment(serial, currency, principal, interest, now))
        return serial

    def _debt(self, account: Account, currency: str) -> Debt:
        return account.debts.setdefault(currency, Debt(since_ms=self._exchange.clock.now_ms()))

    def _accrue(self, account: Account) -> None:
        now, switches = self._exchange.clock.now_ms(), self._exchange.switches
        for name, terms in self.terms.items():
            debt = self._debt(account, name)
            span = max(0, now - debt.since_ms)
            if switches.interest_period_seconds and debt.principal:
                span -= span % (switches.interest_period_seconds * 1000)
            rate = terms.annual_percent / 100
            debt.accrued += debt.principal * rate * span / YEAR_MS
            debt.since_ms = debt.since_ms + span if debt.principal else now
            if switches.capitalise_interest:
                booked = debt.interest
                debt.principal += booked
                debt.accrued -= booked

    def _check_borrow(self, account: Account, name: str, amount: Decimal) -> None:
        terms, shown = self.terms[name], name.lower()
        if terms.borrow_status != 1:
            raise Reason.BORROW_SUSPENDED(currency=shown)
        if amount < terms.minimum:
            raise Reason.TOO_SMALL(value=amount, minimum=terms.minimum)
        if amount % terms.step:
            raise Reason.LOAN_STEP(value=amount, step=terms.step)
        if self._debt(account, name).principal + amount > terms.max_user:
            raise Reason.BORROW_LIMIT(currency=shown, limit=terms.max_user)
        if self.lent(name) + amount > terms.max_system:
            raise Reason.BORROW_LIMIT(currency=shown, limit=terms.max_system)
        self._check_ratio(self.preview(1, name, amount, account.email))

    def _check_ratio(self, after: Standing) -> None:
        if after.total_debts and after.ratio < self._exchange.switches.safe_ratio:
            raise Reason.UNSAFE_RATIO()

    def _lent_currency(self, currency: str) -> str:
        name = currency.upper()
        if name not in self.terms:
            raise Reason.UNSUPPORTED_CURRENCY()
        return name

    def _margin_currency(self, currency: str) -> str:
        name = currency.upper()
        if name not in self._exchange.margin_currencies():
            raise Reason.UNSUPPORTED_CURRENCY()
        return name

    @staticmethod
    def _check_amount(amount: Decimal) -> None:
        if amount <= 0:
            raise Reason.INVALID_AMOUNT(value=amount)
        if floor(amount) != amount:
            raise Reason.TOO_PRECISE(field="amount", value=amount, decimals=8)


Mode = Literal["whole", "partial", "in_kind"]


def liquidate_thin_accounts(exchange: Exchange) -> None:
    """Liquidate every account whose ratio has fallen through the threshold."""
    with exchange.lock:
        if not exchange.switches.liquidation:
            return
        for account in exchange.accounts.values():
            standing = exchange.loans.standing(account.email)
            if standing.total_debts and standing.ratio < exchange.switches.liquidation_ratio:
                liquidate(exchange, account, exchange.switches.liquidation_mode)


def liquidate(
    exchange: Exchange, account: Account, mode: Mode, fraction: Decimal | None = None
) -> None:
    """Cancel a margin account's orders and pay its debts, in kind first, then by selling assets.

    ``partial`` pays that fraction of every debt or, without one, just enough to bring the ratio
    back to ``liquidation_target_ratio``; ``in_kind`` sells nothing.
    """
    with exchange.lock:
        # Orders lock what is about to be sold, so they go first.
        for order in exchange.orders("margin", email=account.email, only_open=True):
            exchange.matching.finish_cancelled(order)
        _Liquidation(exchange, account).carry_out(mode, fraction)
        exchange.publish(FundsChanged(account.email, "margin"))


class _Liquidation:
    """One account's liquidation; ``_left`` is what is still to be paid of each debt."""

    def __init__(self, exchange: Exchange, account: Account) -> None:
        self._exchange = exchange
        self._account = account
        self._before = exchange.loans.standing(account.email)
        self._wallet = account.wallets["margin"]
        self._fee = exchange.switches.liquidation_fee
        self._left = dict(self._before.debts)

    def carry_out(self, mode: Mode, fraction: Decimal | None) -> None:
        """Pay as much of what has to be paid as the assets allow."""
        if mode == "partial":
            part = self._part_to_target() if fraction is None else fraction
            self._left = {name: floor(owed * part) for name, owed in self._left.items()}
        for debt in self._left:
            self._pay_in_kind(debt)
        if mode == "in_kind":
            return
        for debt in self._left:
            for asset in self._before.assets:
                if asset != debt:
                    self._sell(asset, debt)

    def _part_to_target(self) -> Decimal:
        """Return the part of the debts whose payment, with the fee, restores the target ratio."""
        assets, debts = self._before.total_assets, self._before.total_debts
        target = self._exchange.switches.liquidation_target_ratio
        paid = (target * debts - assets) / (target - 1 - self._fee)
        return min(max(paid / debts, ZERO), Decimal(1))

    def _pay_in_kind(self, debt: str) -> None:
        paid = min(self._wallet[debt].available, self._left[debt])
        if paid > 0:
            self._wallet.take(debt, paid)
            self._book(debt, paid)

    def _sell(self, asset: str, debt: str) -> None:
        owed, held = self._left[debt], self._wallet[asset].available
        if owed <= 0 or held <= 0:
            return
        price = self._before.prices[asset] / self._before.prices[debt] / (1 + self._fee)
        sold = min(held, floor(owed / price))
        # Cutting to eight decimals must not leave a crumb of debt behind while there are assets.
        brought = owed if sold < held else min(owed, floor(sold * price))
        self._wallet.take(asset, sold)
        self._book(debt, brought, asset, sold)

    def _book(
        self, debt: str, amount: Decimal, asset: str | None = None, sold: Decimal = ZERO
    ) -> None:
        self._left[debt] -= amount
        self._exchange.loans.pay_down(self._account, debt, amount)
        after = self._exchange.loans.standing(self._account.email)
        self._account.liquidations.append(
            Liquidation(
                serial=self._exchange.next_serial(),
                debt_currency=debt,
                debt_amount=amount,
                fee=floor(amount * self._fee),
                ratio=self._before.ratio,
                # The page's example writes 0 where nothing is owed any more.
                after_ratio=after.ratio if after.total_debts else ZERO,
                at_ms=self._exchange.clock.now_ms(),
                asset_currency=asset,
                asset_amount=sold,
            )
        )
