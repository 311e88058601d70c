"""Account endpoints: balances of both sides, loans, transfers, and their documented JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from . import queries
from .call import call_of
from .order_endpoints import Admit
from .state import Account, Exchange, Kind, Reason
from .state.amounts import eight, grouped, plain, to_decimal
from .state.lending import Standing, shown_ratio

Json = dict[str, object]

# The history numbers the two sides otherwise than the transfer call does (0 spot, 5 margin).
HISTORY_KINDS: dict[Kind, int] = {"spot": 1, "margin": 3}


def spot_balances_json(exchange: Exchange, email: str) -> list[Json]:
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


def margin_account_json(exchange: Exchange, email: str) -> Json:
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


def streamed_margin_account_json(exchange: Exchange, email: str, action: str) -> Json:
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


def mark_prices_json(exchange: Exchange) -> Json:
    """The mark prices of the margin currencies."""
    prices = exchange.loans.mark_prices()
    return {
        "tokenPrices": {
            name: {"currency": name, "price": plain(price)} for name, price in prices.items()
        }
    }


def borrow_provisioning_json(exchange: Exchange) -> Json:
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


def ratio_preview_json(action: int, standing: Standing) -> Json:
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


def borrows_json(account: Account, until_ms: int) -> Json:
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


def repays_json(account: Account, until_ms: int) -> Json:
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


def liquidations_json(account: Account, until_ms: int) -> Json:
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


def transfers_json(account: Account, until_ms: int) -> Json:
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


BALANCE_KINDS: dict[int, Kind] = {0: "spot", 5: "margin"}


def margin_routes(exchange: Exchange, admit: Admit) -> APIRouter:
    """Build the margin account's endpoints."""
    router = APIRouter()

    @router.get("/margin/balances")
    async def balances(request: Request) -> JSONResponse:
        email = admit(request, "margin")
        with exchange.lock:
            return JSONResponse(margin_account_json(exchange, email))

    @router.get("/margin/mark-price")
    async def mark_price(request: Request) -> JSONResponse:
        admit(request, "margin")
        with exchange.lock:
            return JSONResponse(mark_prices_json(exchange))

    @router.get("/margin/provisioning/borrow")
    async def provisioning(request: Request) -> JSONResponse:
        admit(request, "margin")
        with exchange.lock:
            return JSONResponse(borrow_provisioning_json(exchange))

    @router.post("/margin/borrow")
    async def borrow(request: Request) -> JSONResponse:
        email = admit(request, "margin")
        body = queries.json_object(call_of(request).body)
        currency, amount = queries.currency(body), queries.amount(body, "borrowAmount")
        return JSONResponse({"invoiceID": str(exchange.loans.borrow(currency, amount, email))})

    @router.post("/margin/repay")
    async def repay(request: Request) -> JSONResponse:
        email = admit(request, "margin")
        body = queries.json_object(call_of(request).body)
        currency, amount = queries.currency(body), queries.amount(body, "repayAmount")
        return JSONResponse({"invoiceID": str(exchange.loans.repay(currency, amount, email))})

    @router.post("/margin/transfer")
    async def transfer(request: Request) -> JSONResponse:
        email = admit(request, "margin")
        body = queries.json_object(call_of(request).body)
        source = _balance_kind(body.get("fromBalanceKind"))
        target = _balance_kind(body.get("toBalanceKind"))
        out, into = exchange.loans.transfer(
            queries.currency(body), queries.amount(body, "amount"), source, target, email
        )
        return JSONResponse({"fromInvoiceID": str(out), "toInvoiceID": str(into)})

    @router.post("/margin/calculate/ad-ratio")
    async def calculate(request: Request) -> JSONResponse:
        email = admit(request, "margin")
        body = queries.json_object(call_of(request).body)
        action, amount = to_decimal(body.get("action")), queries.amount(body, "amount")
        if action is None or action not in (1, 2, 3, 4):
            raise Reason.WRONG_PARAMETER(field="action")
        with exchange.lock:
            after = exchange.loans.preview(int(action), queries.currency(body), amount, email)
        return JSONResponse(ratio_preview_json(int(action), after))

    @router.get("/margin/user-borrows")
    async def user_borrows(request: Request) -> JSONResponse:
        return history(request, borrows_json)

    @router.get("/margin/user-repays")
    async def user_repays(request: Request) -> JSONResponse:
        return history(request, repays_json)

    @router.get("/margin/user-liquidations")
    async def user_liquidations(request: Request) -> JSONResponse:
        return history(request, liquidations_json)

    @router.get("/history/user-transfers")
    async def user_transfers(request: Request) -> JSONResponse:
        return history(request, transfers_json)

    def history(request: Request, write: Callable[[Account, int], Json]) -> JSONResponse:
        email, call = admit(request, "margin"), call_of(request)
        with exchange.lock:
            until_ms = exchange.clock.now_ms() - call.listing_lag_ms
            return JSONResponse(write(exchange.account(email), until_ms))

    return router


def spot_routes(exchange: Exchange, admit: Admit) -> APIRouter:
    """Build the spot account's balances."""
    router = APIRouter()

    @router.get("/accounts/balance")
    async def balance(request: Request) -> JSONResponse:
        email = admit(request, "spot")
        with exchange.lock:
            return JSONResponse({"data": spot_balances_json(exchange, email)})

    return router


def _balance_kind(value: object) -> Kind:
    number = to_decimal(value)
    if number is None or number not in BALANCE_KINDS:
        raise Reason.INVALID_BALANCE_KIND()
    return BALANCE_KINDS[int(number)]
