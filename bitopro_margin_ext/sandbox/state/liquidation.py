"""Forced liquidation: what happens to a margin account whose ratio falls through the threshold."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from .accounts import Account, Liquidation
from .amounts import ZERO, floor
from .loans import Standing
from .markets import MARGIN_CURRENCIES
from .orders import FundsChanged

if TYPE_CHECKING:
    from .exchange import Exchange

# What the platform keeps of everything it sells for the user.
FEE: Final = Decimal("0.01")


def liquidate_thin_accounts(exchange: Exchange) -> None:
    """Close every account whose ratio has fallen through the threshold."""
    with exchange.lock:
        if not exchange.switches.liquidation:
            return
        for account in exchange.accounts.values():
            standing = exchange.loans.standing(account.email)
            if standing.total_debts and standing.ratio < exchange.switches.liquidation_ratio:
                _Liquidation(exchange, account, standing).carry_out()


class _Liquidation:
    """One account's liquidation: orders cancelled, debts paid in kind, then assets sold."""

    def __init__(self, exchange: Exchange, account: Account, before: Standing) -> None:
        self._exchange = exchange
        self._account = account
        self._before = before
        self._wallet = account.wallets["margin"]

    def carry_out(self) -> None:
        """Pay as much of every debt as the assets allow."""
        account = self._account
        # Orders lock what is about to be sold, so they go first.
        for order in self._exchange.orders("margin", email=account.email, only_open=True):
            self._exchange.matching.finish_cancelled(order)
        for debt in MARGIN_CURRENCIES:
            self._pay_in_kind(debt)
        for debt in MARGIN_CURRENCIES:
            for asset in MARGIN_CURRENCIES:
                if asset != debt:
                    self._sell(asset, debt)
        self._exchange.tell(FundsChanged(account.email, "margin"))

    def _pay_in_kind(self, debt: str) -> None:
        paid = min(self._wallet[debt].available, self._owed(debt))
        if paid > 0:
            self._wallet.take(debt, paid)
            self._settle(debt, paid)

    def _sell(self, asset: str, debt: str) -> None:
        owed, held = self._owed(debt), self._wallet[asset].available
        if owed <= 0 or held <= 0:
            return
        price = self._before.prices[asset] / self._before.prices[debt] / (1 + FEE)
        sold = min(held, floor(owed / price))
        # Cutting to eight decimals must not leave a crumb of debt behind while there are assets.
        brought = owed if sold < held else min(owed, floor(sold * price))
        self._wallet.take(asset, sold)
        self._settle(debt, brought, asset, sold)

    def _settle(
        self, debt: str, amount: Decimal, asset: str | None = None, sold: Decimal = ZERO
    ) -> None:
        account = self._account
        self._exchange.loans.pay_down(account, debt, amount)
        after = self._exchange.loans.standing(account.email)
        account.liquidations.append(
            Liquidation(
                serial=self._exchange.matching.next_number(),
                debt_currency=debt,
                debt_amount=amount,
                fee=floor(amount * FEE),
                ratio=self._before.ratio,
                # The page's example writes 0 where nothing is owed any more.
                after_ratio=after.ratio if after.total_debts else ZERO,
                at_ms=self._exchange.clock.now_ms(),
                asset_currency=asset,
                asset_amount=sold,
            )
        )

    def _owed(self, currency: str) -> Decimal:
        return self._exchange.loans.debt(currency, self._account.email).owed
