"""Accounts: who may sign, and what is held, spot and margin apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

from .amounts import ZERO, floor
from .refusals import Reason

Kind = Literal["spot", "margin"]
KINDS: Final[tuple[Kind, ...]] = ("spot", "margin")

STARTING_FUNDS: Final[dict[Kind, dict[str, Decimal]]] = {
    "spot": {
        "USDT": Decimal(10000),
        "BTC": Decimal(1),
        "ETH": Decimal(10),
        "TWD": Decimal(1000000),
    },
    "margin": {"USDT": Decimal(10000)},
}


@dataclass(slots=True)
class Balance:
    """One currency in one wallet."""

    available: Decimal = ZERO
    locked: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        """What is there, in open orders or not."""
        return self.available + self.locked


class Wallet:
    """The balances of one side of an account. It never goes below zero."""

    def __init__(self, funds: dict[str, Decimal]) -> None:
        self._balances = {name: Balance(amount) for name, amount in funds.items()}

    def __getitem__(self, currency: str) -> Balance:
        return self._balances.setdefault(currency.upper(), Balance())

    def currencies(self) -> list[str]:
        """Name every currency that has ever been here."""
        return sorted(self._balances)

    def add(self, currency: str, amount: Decimal) -> None:
        """Credit an amount as available."""
        self[currency].available += amount

    def take(self, currency: str, amount: Decimal) -> None:
        """Debit an available amount, or refuse."""
        balance = self[currency]
        if balance.available < amount:
            raise Reason.NOT_ENOUGH(currency=currency, available=balance.available, asked=amount)
        balance.available -= amount

    def lock(self, currency: str, amount: Decimal) -> None:
        """Set an available amount aside for an order, or refuse."""
        self.take(currency, amount)
        self[currency].locked += amount

    def unlock(self, currency: str, amount: Decimal) -> None:
        """Give back what an order had set aside."""
        self.spend_locked(currency, amount)
        self.add(currency, amount)

    def spend_locked(self, currency: str, amount: Decimal) -> None:
        """Use up what an order had set aside."""
        balance = self[currency]
        if balance.locked < amount:
            raise AssertionError(f"{currency}: {amount} to release, {balance.locked} locked")
        balance.locked -= amount


@dataclass(slots=True)
class Debt:
    """What is owed of one currency. ``accrued`` is the exact interest since ``since_ms``."""

    principal: Decimal = ZERO
    accrued: Decimal = ZERO
    since_ms: int = 0

    @property
    def interest(self) -> Decimal:
        """The interest that is due: cut to what the exchange can hold, the rest stays accrued."""
        return floor(self.accrued)

    @property
    def owed(self) -> Decimal:
        """Principal and interest together."""
        return self.principal + self.interest


@dataclass(slots=True)
class Borrow:
    """A line of the borrowing history; ``open_principal`` falls as it is repaid."""

    serial: int
    currency: str
    amount: Decimal
    open_principal: Decimal
    at_ms: int


@dataclass(slots=True)
class Repayment:
    """A line of the repayment history."""

    serial: int
    currency: str
    principal: Decimal
    interest: Decimal
    at_ms: int


@dataclass(slots=True)
class Liquidation:
    """A line of the liquidation history; type 1 repaid in kind, type 2 sold an asset."""

    serial: int
    debt_currency: str
    debt_amount: Decimal
    fee: Decimal
    ratio: Decimal
    after_ratio: Decimal
    at_ms: int
    asset_currency: str | None = None
    asset_amount: Decimal = ZERO


@dataclass(slots=True)
class Transfer:
    """A line of the transfer history."""

    serial: str
    currency: str
    source: Kind
    target: Kind
    amount: Decimal
    at_ms: int


@dataclass(slots=True)
class ApiKey:
    """A key and what it may do."""

    key: str
    secret: str = field(repr=False)
    email: str
    margin: bool = True
    revoked: bool = False


class Account:
    """A user: two wallets that nothing but a transfer connects, and the margin side's loans."""

    def __init__(
        self, email: str, account_id: str, funds: dict[Kind, dict[str, Decimal]] | None = None
    ) -> None:
        self.email = email
        self.account_id = account_id
        given = STARTING_FUNDS if funds is None else funds
        self.wallets: dict[Kind, Wallet] = {k: Wallet(dict(given.get(k, {}))) for k in KINDS}
        self.debts: dict[str, Debt] = {}
        self.borrows: list[Borrow] = []
        self.repayments: list[Repayment] = []
        self.liquidations: list[Liquidation] = []
        self.transfers: list[Transfer] = []
