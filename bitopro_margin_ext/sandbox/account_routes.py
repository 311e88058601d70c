"""Account endpoints: balances of both sides, loans, transfers and their histories."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from . import account_json, queries
from .account_json import Json
from .call import call_of
from .order_routes import Admit
from .state import Account, Exchange, Kind, Reason
from .state.amounts import to_decimal

BALANCE_KINDS: dict[int, Kind] = {0: "spot", 5: "margin"}


def margin_routes(exchange: Exchange, admit: Admit) -> APIRouter:
    """Build the margin account's endpoints."""
    router = APIRouter()

    @router.get("/margin/balances")
    async def balances(request: Request) -> JSONResponse:
        email = admit(request, "margin")
        with exchange.lock:
            return JSONResponse(account_json.margin_account(exchange, email))

    @router.get("/margin/mark-price")
    async def mark_price(request: Request) -> JSONResponse:
        admit(request, "margin")
        with exchange.lock:
            return JSONResponse(account_json.mark_prices(exchange))

    @router.get("/margin/provisioning/borrow")
    async def provisioning(request: Request) -> JSONResponse:
        admit(request, "margin")
        with exchange.lock:
            return JSONResponse(account_json.borrow_provisioning(exchange))

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
        return JSONResponse(account_json.ratio_preview(int(action), after))

    @router.get("/margin/user-borrows")
    async def user_borrows(request: Request) -> JSONResponse:
        return history(request, account_json.borrows)

    @router.get("/margin/user-repays")
    async def user_repays(request: Request) -> JSONResponse:
        return history(request, account_json.repays)

    @router.get("/margin/user-liquidations")
    async def user_liquidations(request: Request) -> JSONResponse:
        return history(request, account_json.liquidations)

    @router.get("/history/user-transfers")
    async def user_transfers(request: Request) -> JSONResponse:
        return history(request, account_json.transfers)

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
            return JSONResponse({"data": account_json.spot_balances(exchange, email)})

    return router


def _balance_kind(value: object) -> Kind:
    number = to_decimal(value)
    if number is None or number not in BALANCE_KINDS:
        raise Reason.INVALID_BALANCE_KIND()
    return BALANCE_KINDS[int(number)]
