"""Spot endpoints other than orders: balances, and the little of the wallet that clients read."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from bitopro_margin_ext.sandbox import queries, wire_account
from bitopro_margin_ext.sandbox.call import call_of
from bitopro_margin_ext.sandbox.routes_orders import Admit
from bitopro_margin_ext.sandbox.state import Exchange, refusals
from bitopro_margin_ext.sandbox.state.amounts import plain


def spot_routes(exchange: Exchange, admit: Admit) -> APIRouter:
    """Build the spot account's endpoints. Nothing is ever deposited to or withdrawn from it."""
    router = APIRouter()

    @router.get("/accounts/balance")
    async def balance(request: Request) -> JSONResponse:
        email = admit(request, "spot")
        with exchange.lock:
            return JSONResponse({"data": wire_account.spot_balances(exchange, email)})

    @router.get("/wallet/depositHistory/{currency}")
    @router.get("/wallet/withdrawHistory/{currency}")
    async def wallet_history(currency: str, request: Request) -> JSONResponse:
        admit(request, "spot")
        return JSONResponse({"data": []})

    @router.get("/wallet/withdraw/{currency}/{serial}")
    @router.get("/wallet/withdraw/{currency}/id/{serial}")
    async def withdrawal(currency: str, serial: str, request: Request) -> JSONResponse:
        admit(request, "spot")
        raise refusals.Refusal(404, f"Withdraw {serial} not found.")

    @router.post("/wallet/withdraw/{currency}")
    async def withdraw(currency: str, request: Request) -> JSONResponse:
        email = admit(request, "spot")
        body = queries.json_object(call_of(request).body)
        amount = queries.amount(body, "amount")
        with exchange.lock:
            name = currency.upper().partition(" ")[0]
            exchange.account(email).wallets["spot"].take(name, amount)
            serial = f"SANDBOXBW{exchange.ledger.next_number()}"
        return JSONResponse(
            {
                "data": {
                    "serial": serial,
                    "currency": name,
                    "protocol": str(body.get("protocol") or "MAIN"),
                    "address": str(body.get("address") or ""),
                    "amount": plain(amount),
                    "fee": "0",
                    "total": plain(amount),
                }
            }
        )

    return router
