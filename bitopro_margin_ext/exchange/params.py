"""For which account a unified method is called, and with which parameters; how it is presented.

Here, and nowhere else, a call for the spot account is told from one for the margin account. BitoPro
ignores what it does not know, so a word that is passed on in silence would place a plain order
where a trailing one was asked for: every word that a method does not take is refused before
anything is sent. ``raw`` is the way to send a field of BitoPro's that no word stands for:
``params={"raw": {"field": "value"}}`` adds it to the body, or to the query.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import ccxt

from .arguments import shown
from .call_scope import SCOPE
from .flow import NO_PARAMS, Flow, Inherited, MarginExchange, Params

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


# -- the account -----------------------------------------------------------------------------------


def margin_params(api: MarginExchange, params: Any) -> tuple[bool, Params]:
    """Say whether a call is for the margin account, and return its other parameters.

    ``type`` (or ``options.defaultType``) names the account; ``marginMode: 'cross'`` is margin.

    :raises ccxt.NotSupported: for isolated margin and for accounts that BitoPro has not.
    :raises ccxt.BadRequest: for parameters that are no dict.
    """
    if params is not None and not isinstance(params, Mapping):
        raise ccxt.BadRequest(f"{api.id} params is a dict, not {shown(params)}")
    rest = dict(params or {})
    margin_mode = rest.pop("marginMode", None)
    account = rest.pop("type", None)
    if margin_mode not in (None, "cross"):
        raise ccxt.NotSupported(
            f"{api.id} has cross margin only: marginMode {shown(margin_mode)} is not supported"
        )
    if account is None:
        account = api.options.get("defaultType", "margin")
    if margin_mode is not None and account == "spot":
        # As everywhere in ccxt, it is the spot market's margin account that is meant.
        account = "margin"
    if account not in ("margin", "spot"):
        raise ccxt.NotSupported(
            f"{api.id} has the accounts 'margin' and 'spot', not {shown(account)}"
        )
    return account == "margin", rest


def margin_only(api: MarginExchange, params: Any, method: str) -> Params:
    """Return the parameters of a method that only the margin account has, whatever the default is.

    :raises ccxt.NotSupported: when another account was asked for.
    """
    given = {} if params is None else params
    if isinstance(given, Mapping) and given.get("type") is None:
        given = {**given, "type": "margin"}
    margin, rest = margin_params(api, given)
    if not margin:
        raise ccxt.NotSupported(f"{api.id} {method}() is for the margin account only")
    return rest


# -- the methods -----------------------------------------------------------------------------------

P = ParamSpec("P")
R = TypeVar("R")

SPOT_TOO: Final = frozenset(
    {
        "cancel_all_orders",
        "cancel_order",
        "cancel_orders",
        "cancel_orders_for_symbols",
        "create_order",
        "create_orders",
        "fetch_balance",
        "fetch_canceled_and_closed_orders",
        "fetch_canceled_orders",
        "fetch_closed_orders",
        "fetch_my_trades",
        "fetch_open_orders",
        "fetch_order",
        "fetch_order_trades",
        "fetch_orders",
    }
)
"""The methods that the spot account has too, as ``ccxt.bitopro`` has them or refuses them. ``type``
or ``options.defaultType`` chooses; every other method is for the margin account alone."""


def account_chosen(
    method: Callable[Concatenate[Any, P], Flow[R]],
) -> Callable[Concatenate[Any, P], Flow[R]]:
    """Return what starts a method's flow, or for the spot account that of the inherited method.

    What an inherited method calls in turn is for the spot account as well.
    """
    name = method.__name__
    if name not in SPOT_TOO:
        return method
    place = list(inspect.signature(method).parameters).index("params") - 1

    @functools.wraps(method)
    def start(api: MarginExchange, /, *args: Any, **kwargs: Any) -> Flow[R]:
        if SCOPE.get().inherited:
            return _inherited(name, args, kwargs)
        is_given_by_place = len(args) > place
        given = args[place] if is_given_by_place else kwargs.get("params", NO_PARAMS)
        margin, rest = margin_params(api, given)
        if margin:
            rest["type"] = "margin"
        if is_given_by_place:
            args = (*args[:place], rest, *args[place + 1 :])
        else:
            kwargs = {**kwargs, "params": rest}
        return method(api, *args, **kwargs) if margin else _inherited(name, args, kwargs)

    return typing.cast(Callable[Concatenate[Any, P], Flow[R]], start)


def _inherited(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Flow[Any]:
    return (yield Inherited(name, args, kwargs))


def present_as_method(run: Any, method: Callable[..., Flow[Any]]) -> None:
    """Give ``run`` the signature that its users see: of a method that returns the flow's result."""
    signature = inspect.signature(method)
    first, *others = signature.parameters.values()
    flow = signature.return_annotation
    returned = typing.get_args(flow)[-1] if typing.get_args(flow) else flow
    parameters = [first.replace(name="self", annotation=inspect.Parameter.empty), *others]
    run.__signature__ = inspect.Signature(parameters, return_annotation=returned)
    run.__annotations__ = {
        **{p.name: p.annotation for p in others if p.annotation is not p.empty},
        "return": returned,
    }
    # What follows ``__wrapped__`` would show the flow.
    del run.__wrapped__
