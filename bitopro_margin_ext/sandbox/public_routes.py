"""Public REST endpoints."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from . import public_json, queries
from .state import Exchange, Reason
from .state.markets import RESOLUTIONS_MS


def public_routes(exchange: Exchange) -> APIRouter:
    """Build the endpoints that need no key."""
    router = APIRouter()

    @router.get("/provisioning/trading-pairs")
    async def trading_pairs() -> JSONResponse:
        pairs = list(exchange.pairs.values())
        return JSONResponse({"data": [public_json.trading_pair(pair) for pair in pairs]})

    @router.get("/provisioning/currencies")
    async def currencies() -> JSONResponse:
        return JSONResponse(public_json.currencies())

    @router.get("/provisioning/limitations-and-fees")
    async def limitations() -> JSONResponse:
        return JSONResponse(public_json.limitations(exchange.switches))

    @router.get("/tickers")
    async def tickers() -> JSONResponse:
        with exchange.lock:
            pairs = list(exchange.pairs.values())
            return JSONResponse({"data": [public_json.ticker(exchange, p) for p in pairs]})

    @router.get("/tickers/{pair}")
    async def ticker(pair: str) -> JSONResponse:
        with exchange.lock:
            return JSONResponse({"data": public_json.ticker(exchange, exchange.pair(pair))})

    @router.get("/order-book/{pair}")
    async def order_book(pair: str, request: Request) -> JSONResponse:
        limit = queries.book_limit(request.query_params, default=5)
        with exchange.lock:
            return JSONResponse(public_json.order_book(exchange, exchange.pair(pair), limit))

    @router.get("/trades/{pair}")
    async def trades(pair: str) -> JSONResponse:
        with exchange.lock:
            return JSONResponse(public_json.public_trades(exchange, exchange.pair(pair)))

    @router.get("/trading-history/{pair}")
    async def candles(pair: str, request: Request) -> JSONResponse:
        query = request.query_params
        resolution = query.get("resolution", "")
        if resolution not in RESOLUTIONS_MS:
            raise Reason.WRONG_PARAMETER(field="resolution")
        start, end = queries.seconds(query, "from"), queries.seconds(query, "to")
        with exchange.lock:
            quote = exchange.quotes[exchange.pair(pair).name]
            now = exchange.clock.now_ms()
            found = quote.candles(resolution, start * 1000, end * 1000, now)
        return JSONResponse({"data": [public_json.candle(one) for one in found]})

    return router
