"""Balances, debts and their histories in the documented JSON."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from .state import Account, Exchange, Kind
from .state.amounts import eight, grouped, plain
from .state.loans import Standing, shown_ratio

Json = dict[str, object]

# The history numbers the two sides otherwise than the transfer call does (0 spot, 5 margin).
HISTORY_KINDS: dict[Kind, int] = {"spot": 1, "margin": 3}


def spot_balances(exchange: Exchange, email: str) -> list[Json]:
    """Every currency of the spot wallet and of the listed pairs."""
    wallet = exchange.account(email).wallets["spot"]
    listed = {name for pair in exchange.pairs.values() for name in (pair.base, pair.quote)}
    return [
        {
            "amount": plain(wallet[name].total),
            "available": plain(wallet[name].available),
            "currency": name.lower(),
            "stake": "0",
            "tradable": True,
        }
        for name in sorted(listed | set(wallet.currencies()))
    ]


def margin_account(exchange: Exchange, email: str) -> Json:
    """The margin account: balances with debts, and the ratio."""
    account, standing = exchange.account(email), exchange.loans.standing(email)
    terms = exchange.loans.terms
    balances: Json = {}
    for name in exchange.margin_currencies():
        balance, debt = account.wallets["margin"][name], exchange.loans.debt(name, email)
        balances[name] = {
            "availableAmount": eight(balance.available),
            "tradedAmount": eight(balance.locked),
            "borrowAmount": eight(debt.principal),
            "borrowInterestAmount": eight(debt.interest),
            "borrowStatus": terms[name].borrow_status if name in terms else 0,
            "transferStatus": 1,
            "totalAmount": eight(balance.total),
        }
    return _account_frame(exchange, account, standing, balances)


def streamed_margin_account(exchange: Exchange, email: str, action: str) -> Json:
    """The data of an account-info event: debts only, and why it was sent."""
    account, standing = exchange.account(email), exchange.loans.standing(email)
    balances: Json = {}
    for name in exchange.margin_currencies():
        debt = exchange.loans.debt(name, email)
        balances[name] = {
            "borrowAmount": eight(debt.principal),
            "borrowInterestAmount": eight(debt.interest),
        }
    frame = _account_frame(exchange, account, standing, balances)
    return {**frame, "action": action, "timestamp": exchange.clock.now_ms()}


def mark_prices(exchange: Exchange) -> Json:
    """The mark prices of the margin currencies."""
    prices = exchange.loans.mark_prices()
    return {
        "tokenPrices": {
            name: {"currency": name, "price": plain(price)} for name, price in prices.items()
        }
    }


def borrow_provisioning(exchange: Exchange) -> Json:
    """What may be borrowed of each currency."""
    data: Json = {}
    for name, terms in exchange.loans.terms.items():
        lent = exchange.loans.lent(name)
        data[name] = {
            "currency": name,
            "maxSystemAmount": eight(terms.max_system),
            "maxUserAmount": plain(terms.max_user),
            "systemBorrowedAmount": eight(lent),
            "systemAvailableBorrowAmount": eight(terms.max_system - lent),
            "borrowStatus": terms.borrow_status,
            "transferStatus": 1,
            "annualInterestPercentage": plain(terms.annual_percent),
        }
    return data


def ratio_preview(action: int, standing: Standing) -> Json:
    """What a borrow, repayment or transfer would lead to."""

    def lines(amounts: dict[str, Decimal]) -> list[Json]:
        return [{"currency": name, "amount": plain(value)} for name, value in amounts.items()]

    return {
        "action": action,
        "ADRatio": shown_ratio(standing.ratio),
        "userBorrowAmounts": lines(standing.debts),
        "userAssetAmounts": lines(standing.assets),
        "usdtMarkPrices": lines(standing.prices),
        "totalUSDTAsset": eight(standing.total_assets),
        "totalUSDTDebt": eight(standing.total_debts),
    }


def borrows(account: Account, until_ms: int) -> Json:
    """The borrowing history, oldest first as in the example; status 2 is repaid."""
    lines: list[Json] = [
        {
            "serial": line.serial,
            "currency": line.currency,
            "amount": grouped(line.amount),
            "status": 1 if line.open_principal else 2,
            "timestamp": line.at_ms // 1000,
        }
        for line in account.borrows
        if line.at_ms <= until_ms
    ]
    return _counted("borrows", lines)


def repays(account: Account, until_ms: int) -> Json:
    """The repayment history."""
    lines: list[Json] = [
        {
            "serial": line.serial,
            "currency": line.currency,
            "totalRepayAmount": grouped(line.principal + line.interest),
            "principalRepayAmount": grouped(line.principal),
            "interestRepayAmount": grouped(line.interest),
            "status": 1,
            "timestamp": line.at_ms // 1000,
        }
        for line in account.repayments
        if line.at_ms <= until_ms
    ]
    return _counted("repays", lines)


def liquidations(account: Account, until_ms: int) -> Json:
    """The liquidation history; a repayment in kind names no asset."""
    lines: list[Json] = []
    for line in account.liquidations:
        if line.at_ms > until_ms:
            continue
        asset: Json = {}
        if line.asset_currency is not None:
            asset = {
                "assetCurrency": line.asset_currency,
                "assetAmount": grouped(line.asset_amount),
            }
        lines.append(
            {
                "serial": line.serial,
                "debtCurrency": line.debt_currency,
                "debtAmount": grouped(line.debt_amount),
                **asset,
                "feeAmount": grouped(line.fee),
                "adRatio": shown_ratio(line.ratio),
                "afterAdRatio": plain(Decimal(shown_ratio(line.after_ratio))),
                "status": 2,
                "type": 2 if asset else 1,
                "finishTimestamp": line.at_ms // 1000,
            }
        )
    return _counted("liquidations", lines)


def transfers(account: Account, until_ms: int) -> Json:
    """The transfer history, newest first."""
    lines: list[Json] = [
        {
            "serial": line.serial,
            "currency": line.currency,
            "from": HISTORY_KINDS[line.source],
            "to": HISTORY_KINDS[line.target],
            "amount": grouped(line.amount),
            "status": 2,
            "timestamp": line.at_ms // 1000,
        }
        for line in reversed(account.transfers)
        if line.at_ms <= until_ms
    ]
    return _counted("transferInvoices", lines)


def _counted(name: str, lines: Sequence[Json]) -> Json:
    return {name: list(lines), f"{name}Amount": len(lines)}


def _account_frame(
    exchange: Exchange, account: Account, standing: Standing, balances: Json
) -> Json:
    return {
        "adRatio": shown_ratio(standing.ratio),
        "adRatioLabel": exchange.loans.label(standing.ratio),
        "accountID": account.account_id,
        "accountStatus": 1,
        "marginStatus": 1,
        "balances": balances,
        "calculateUnit": "USDT",
        "totalAssetAmount": eight(standing.total_assets),
        "totalDebtAmount": eight(standing.total_debts),
    }
