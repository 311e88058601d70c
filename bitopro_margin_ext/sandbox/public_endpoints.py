"""Public endpoints, and market data in the documented JSON."""

from __future__ import annotations

from decimal import Decimal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from . import queries
from .state import Exchange, Reason, Switches
from .state.amounts import eight, plain
from .state.markets import (
    CURRENCIES,
    ORDER_OPEN_LIMIT,
    RESOLUTIONS_MS,
    Candle,
    Level,
    Pair,
)

Json = dict[str, object]
BITO_DISCOUNT = Decimal("0.8")


def trading_pair_json(pair: Pair) -> Json:
    """One line of the pair list."""
    return {
        "pair": pair.name,
        "base": pair.base.lower(),
        "quote": pair.quote.lower(),
        "basePrecision": str(pair.base_decimals),
        "quotePrecision": str(pair.price_decimals),
        "minLimitBaseAmount": plain(pair.min_base),
        "maxLimitBaseAmount": plain(pair.max_base),
        "minMarketBuyQuoteAmount": plain(pair.min_quote),
        "orderOpenLimit": str(ORDER_OPEN_LIMIT),
        "maintain": pair.maintain,
        "orderBookQuotePrecision": str(pair.price_decimals),
        "orderBookQuoteScaleLevel": "5",
        "amountPrecision": "4",
    }


def currencies_json() -> Json:
    """The currency list, one line a chain."""
    return {
        "data": [
            {
                "currency": c.listed_name,
                "withdrawFee": c.withdraw_fee,
                "minWithdraw": c.min_withdraw,
                "maxWithdraw": c.max_withdraw,
                "maxDailyWithdraw": c.max_daily,
                "withdraw": True,
                "deposit": True,
                "depositConfirmation": c.confirmations,
            }
            for c in CURRENCIES
        ]
    }


def limitations_json(switches: Switches) -> Json:
    """Fees and limits; one rank, because the sandbox knows one fee."""
    rank: Json = {
        "rank": 0,
        "twdVolumeSymbol": "<",
        "twdVolume": "3000000",
        "bitoAmountSymbol": "<",
        "bitoAmount": "3000",
        "makerFee": plain(switches.maker_fee),
        "takerFee": plain(switches.taker_fee),
        "makerBitoFee": plain(switches.maker_fee * BITO_DISCOUNT),
        "takerBitoFee": plain(switches.taker_fee * BITO_DISCOUNT),
        "rankCondition": "or",
        "gridBotMakerFee": "0.0005",
        "gridBotTakerFee": "0.0005",
    }
    withdrawals = [
        {
            "currency": c.listed_name,
            "fee": c.withdraw_fee,
            "minimumTradingAmount": c.min_withdraw,
            "maximumTradingAmount": c.max_withdraw,
            "dailyCumulativeMaximumAmount": c.max_daily,
            "remarks": "",
            "protocol": "main",
            "twdWithdrawMonthly": None,
        }
        for c in CURRENCIES
    ]
    deposits = [
        {
            "currency": c.listed_name,
            "generalDepositFees": "0",
            "blockchainConfirmationRequired": c.confirmations,
        }
        for c in CURRENCIES
    ]
    return {
        "tradingFeeRate": [rank],
        "restrictionsOfWithdrawalFees": withdrawals,
        "cryptocurrencyDepositFeeAndConfirmation": deposits,
        "ttCheckFeesAndLimitationsLevel1": [],
        "ttCheckFeesAndLimitationsLevel2": [],
    }


def ticker_json(exchange: Exchange, pair: Pair) -> Json:
    """The last 24 hours of a pair."""
    quote = exchange.quotes[pair.name]
    high, low, opened = quote.day(exchange.clock.now_ms())
    change = (quote.last - opened) / opened * 100
    return {
        "pair": pair.name,
        "lastPrice": eight(quote.last),
        "isBuyer": False,
        "priceChange24hr": plain(round(change, 2)),
        "volume24hr": eight(pair.min_base * 24_000),
        "high24hr": eight(high),
        "low24hr": eight(low),
    }


def order_book_json(exchange: Exchange, pair: Pair, limit: int) -> Json:
    """Bids and asks, best first, resting orders among them."""
    own = [
        (order.action, order.price, order.remaining)
        for order in exchange.orders(pair=pair.name, only_open=True)
        if order.status >= 0 and order.type != "MARKET"
    ]
    bids, asks = exchange.quotes[pair.name].depth(own)
    return {
        "bids": [_level(level) for level in bids[:limit]],
        "asks": [_level(level) for level in asks[:limit]],
    }


def public_trades_json(exchange: Exchange, pair: Pair) -> Json:
    """The newest trades: the accounts' own, then the market's, one a minute."""
    quote = exchange.quotes[pair.name]
    now = exchange.clock.now_ms()
    own: list[Json] = [
        {
            "amount": eight(trade.amount),
            "isBuyer": (trade.action == "BUY") == trade.is_taker,
            "price": eight(trade.price),
            "timestamp": trade.at_ms // 1000,
        }
        for trade in reversed(exchange.matching.trades)
        if trade.pair.name == pair.name
    ]
    others: list[Json] = [
        {
            "amount": eight(pair.min_base * 100),
            "isBuyer": bool(i % 2),
            "price": eight(candle.close),
            "timestamp": (candle.at_ms + 30_000) // 1000,
        }
        for i, candle in enumerate(
            reversed(quote.candles("1m", now - 25 * 60_000, now - 60_000, now))
        )
    ]
    return {"data": (own[:25] + others)[:50]}


def candle_json(one: Candle) -> Json:
    """One candle; its time is in milliseconds."""
    return {
        "timestamp": one.at_ms,
        "open": plain(one.open),
        "high": plain(one.high),
        "low": plain(one.low),
        "close": plain(one.close),
        "volume": plain(one.volume),
    }


def _level(level: Level) -> Json:
    return {
        "price": plain(level.price),
        "amount": plain(level.amount),
        "count": level.count,
        "total": plain(level.total),
    }


def public_routes(exchange: Exchange) -> APIRouter:
    """Build the endpoints that need no key."""
    router = APIRouter()

    @router.get("/provisioning/trading-pairs")
    async def trading_pairs() -> JSONResponse:
        pairs = list(exchange.pairs.values())
        return JSONResponse({"data": [trading_pair_json(pair) for pair in pairs]})

    @router.get("/provisioning/currencies")
    async def currencies() -> JSONResponse:
        return JSONResponse(currencies_json())

    @router.get("/provisioning/limitations-and-fees")
    async def limitations() -> JSONResponse:
        return JSONResponse(limitations_json(exchange.switches))

    @router.get("/tickers")
    async def tickers() -> JSONResponse:
        with exchange.lock:
            pairs = list(exchange.pairs.values())
            return JSONResponse({"data": [ticker_json(exchange, p) for p in pairs]})

    @router.get("/tickers/{pair}")
    async def ticker(pair: str) -> JSONResponse:
        with exchange.lock:
            return JSONResponse({"data": ticker_json(exchange, exchange.pair(pair))})

    @router.get("/order-book/{pair}")
    async def order_book(pair: str, request: Request) -> JSONResponse:
        limit = queries.book_limit(request.query_params, default=5)
        with exchange.lock:
            return JSONResponse(order_book_json(exchange, exchange.pair(pair), limit))

    @router.get("/trades/{pair}")
    async def trades(pair: str) -> JSONResponse:
        with exchange.lock:
            return JSONResponse(public_trades_json(exchange, exchange.pair(pair)))

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
        return JSONResponse({"data": [candle_json(one) for one in found]})

    return router
