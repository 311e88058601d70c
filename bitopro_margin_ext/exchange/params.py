"""Which parameters each unified method takes; every other one is refused before anything is sent.

BitoPro ignores what it does not know, so a word that is passed on in silence would place a plain
order where a trailing one was asked for. ``raw`` is the way to send a field of BitoPro's that no
word stands for: ``params={"raw": {"field": "value"}}`` adds it to the body, or to the query.
"""

from collections.abc import Mapping
from typing import Any, Final

import ccxt

from .arguments import margin_only, shown
from .flow import Params
from .margin_exchange import MarginExchange

RAW: Final = "raw"
"""The parameter whose dict is sent as it is."""

_WINDOW: Final = ("until", "paginate", "paginationCalls")
_ORDERS: Final = (*_WINDOW, "startTimestamp", "endTimestamp")
_CREATION: Final = (
    "triggerPrice",
    "stopPrice",
    "stopLossPrice",
    "takeProfitPrice",
    "triggerDirection",
    "condition",
    "timeInForce",
    "postOnly",
    "reduceOnly",
    "clientOrderId",
    "clientId",
    "cost",
    "createMarketBuyOrderRequiresPrice",
    "timestamp",
)

TAKEN: Final[Mapping[str, tuple[str, ...]]] = {
    "borrowCrossMargin": (),
    "calculateAdRatio": (),
    "cancelAllMarginOrders": (),
    "cancelAllOrders": (),
    "cancelOrder": ("clientOrderId",),
    "cancelOrders": (),
    "cancelOrdersForSymbols": (),
    "createOrder": _CREATION,
    "createOrders": _CREATION,
    "fetchBalance": (),
    "fetchBorrowInterest": _WINDOW,
    "fetchBorrows": _WINDOW,
    "fetchCanceledAndClosedOrders": _ORDERS,
    "fetchCanceledOrders": _ORDERS,
    "fetchClosedOrders": _ORDERS,
    "fetchCrossBorrowRate": (),
    "fetchCrossBorrowRates": (),
    "fetchMarginAccount": (),
    "fetchMarkPrice": (),
    "fetchMarkPrices": (),
    "fetchMyLiquidations": _WINDOW,
    "fetchMyTrades": (*_ORDERS, "orderId", "tradeId", "limit"),
    "fetchOpenOrders": _WINDOW,
    "fetchOrder": ("clientOrderId",),
    "fetchOrderTrades": (*_ORDERS, "limit"),
    "fetchOrders": _ORDERS,
    "fetchRepays": _WINDOW,
    "fetchTransfers": _WINDOW,
    "repayCrossMargin": (),
    "transfer": (),
    "watchBalance": (),
    "watchMarkPrice": (),
    "watchMarkPrices": (),
    "watchMyTrades": (),
    "watchOrders": (),
}
"""What each method takes on the margin account, beside ``type``, ``marginMode`` and ``raw``."""

_WORDS: Final = """
    account accountId accountType algoType allowBorrow autoBorrow autoBorrowRepay autoLend
    autoRepay cancelAfter childOrders clientOrderIds close closeOnTrigger closePosition code
    contractType cursor direction displayQty duration executionMode exp expiration expiry
    expiryTime fillOrKill fromId goodTillDate hedged hf historical iceberg icebergAmount
    icebergQty immediateOrCancel isIsolated isLeverage isMargin isolated isTriggered leverage
    loanType maxEntriesPerRequest maxRetries maxRetriesOnFailure maxShow method network
    networkCode offset oneWayMode orderFilter orderType ordType page paginationDirection
    planType portfolioMargin positionId positionIdx positionMode positionSide posSide preview
    priceType productType quoteOrderQty rpi selfTradePrevention settle side sideEffectType
    slippage sor sortDirection spotLeverage state status stealth stop stopLoss
    stopLossLimitPrice stopLossOrTakeProfit stopLossPriceType stopLossTakeProfit stp stp_mode
    stpMode subAccount subaccount subType symbol symbols tag takeProfit takeProfitLimitPrice
    takeProfitPriceType tdMode test tif tpsl tpslMode trailing trailingAmount trailingDelta
    trailingLimitAmount trailingLimitPercent trailingPercent trailingPriceType trailingStop
    trailingTriggerPrice transferId trigger triggerBy triggerPriceType triggerType twap
    unifiedAccount uta wallet walletType workingType
"""

UNIFIED: Final = frozenset(_WORDS.split()).union(*TAKEN.values())
"""The words that users of ccxt know, of its manual and of the exchanges with margin trading."""

_INSTEAD: Final[Mapping[str, str]] = {
    "clientOrderIds": "BitoPro cancels by its own ids",
    "hedged": "a margin account has no positions",
    "leverage": "borrow with borrowCrossMargin()",
    "autoBorrow": "borrow with borrowCrossMargin()",
    "autoRepay": "repay with repayCrossMargin()",
    "sideEffectType": "borrow with borrowCrossMargin(), repay with repayCrossMargin()",
    "stop": "BitoPro keeps stops and plain orders in one list",
    "trigger": "BitoPro keeps stops and plain orders in one list",
    "stopLoss": "place the stop as an order of its own, with stopLossPrice",
    "takeProfit": "place the take-profit as an order of its own, with takeProfitPrice",
    "test": "BitoPro has no test orders: use set_sandbox_mode(True)",
}


_MARGIN: Final = {"type": "margin"}


def take_params(api: MarginExchange, method: str, params: Params) -> tuple[Params, Params]:
    """Split the parameters of a margin method into the words that it takes and the raw fields.

    A word whose value is None asks for nothing, and neither does one that the method does not take
    when its value is False.

    :raises ccxt.NotSupported: for a word of ccxt's that the exchange cannot do, naming it, and for
        another account.
    :raises ccxt.BadRequest: for any other word that no page documents, naming it.
    """
    if isinstance(params, dict) and (not params or params == _MARGIN):
        return {}, {}
    taken = TAKEN[method]
    words: Params = {}
    raw: Any = {}
    for word, value in margin_only(api, params, method).items():
        if word == RAW:
            raw = value
        elif word in taken:
            if value is not None:
                words[word] = value
        elif word in UNIFIED:
            if value is not None and value is not False:
                instead = f": {_INSTEAD[word]}" if word in _INSTEAD else ""
                raise ccxt.NotSupported(
                    f"{api.id} {method}() does not support {shown(word)}{instead}"
                )
        else:
            raise ccxt.BadRequest(
                f"{api.id} {method}() knows no parameter {shown(word)}; to send a field of"
                f" BitoPro's as it is, write params={{'raw': {{{shown(word)}: …}}}}"
            )
    if not isinstance(raw, Mapping) or not all(isinstance(name, str) for name in raw):
        raise ccxt.BadRequest(f"{api.id} raw is a dict of BitoPro's fields, not {shown(raw)}")
    return words, dict(raw)


def no_params(api: MarginExchange, method: str, params: Params) -> Params:
    """Return the raw fields of a method that takes no words."""
    return take_params(api, method, params)[1]


def plain_request(api: MarginExchange, method: str, request: Params, params: Params) -> Params:
    """Return the request of a method that takes no words, with the raw fields."""
    _, raw = take_params(api, method, params)
    return with_raw(api, method, request, raw) if raw else request


def refuse_raw(api: MarginExchange, method: str, params: Params) -> None:
    """Refuse every parameter of a method that sends nothing of its own, as a stream.

    :raises ccxt.BadRequest: also for raw fields.
    """
    _, raw = take_params(api, method, params)
    if raw:
        raise ccxt.BadRequest(f"{api.id} {method}() sends no fields, so it takes no {RAW!r}")


def with_raw(api: MarginExchange, method: str, request: Params, raw: Params) -> Params:
    """Return the request with the raw fields.

    :raises ccxt.BadRequest: for a raw field that would replace one that the method sends: what was
        checked must be what is sent.
    """
    for name in raw:
        if name in request:
            raise ccxt.BadRequest(
                f"{api.id} {method}() sends {shown(name)} itself: leave it out of raw"
            )
    return {**request, **raw}
