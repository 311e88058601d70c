"""Forced liquidation: what happens to a margin account whose ratio falls through the threshold."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from .accounts import Account, Liquidation
from .amounts import ZERO, floor
from .orders import FundsChanged

if TYPE_CHECKING:
    from .exchange import Exchange

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
