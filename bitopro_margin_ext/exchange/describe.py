"""What ``describe()`` says of the margin class, beyond what it inherits from ccxt's ``bitopro``."""

import copy
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ccxt.base.types import Entry

from ..core.assumptions import MARGIN_CURRENCIES, MAX_LEVERAGE, ORDER_AMOUNT_PRECISION
from ..core.endpoints import DOCS, ENDPOINTS, GENERAL_LIMIT, STREAM_URL, Endpoint, Stream

EXCHANGE_ID = "bitopromargin"

Method = TypeVar("Method", bound=Callable[..., Any])


def documented(*sources: Endpoint | Stream | str) -> Callable[[Method], Method]:
    """Add the addresses of BitoPro's pages to the docstring of a unified method."""
    pages = dict.fromkeys(
        source if isinstance(source, str) else source.documentation for source in sources
    )

    def add(method: Method) -> Method:
        lines = "\n".join(f"Page: {page}" for page in pages)
        method.__doc__ = f"{inspect.getdoc(method)}\n\n{lines}"
        return method

    return add


_HISTORY = {
    "marginMode": True,
    "limit": 1000,
    "daysBack": 90,
    "untilDays": 90,
    "trigger": False,
    "trailing": False,
    "symbolRequired": True,
}


MARGIN_FEATURES: dict[str, Any] = {
    "sandbox": True,
    "createOrder": {
        "marginMode": True,
        "triggerPrice": True,
        "triggerPriceType": None,
        "triggerDirection": True,
        "stopLossPrice": True,
        "takeProfitPrice": True,
        "attachedStopLossTakeProfit": None,
        "timeInForce": {"GTC": True, "IOC": False, "FOK": False, "PO": True, "GTD": False},
        "hedged": False,
        "trailing": False,
        "leverage": False,
        "marketBuyRequiresPrice": True,
        "marketBuyByCost": True,
        "selfTradePrevention": False,
        "iceberg": False,
    },
    "createOrders": {"max": 10},
    "fetchMyTrades": {
        "marginMode": True,
        "limit": 1000,
        "daysBack": 90,
        "untilDays": 90,
        "symbolRequired": True,
    },
    "fetchOrder": {
        "marginMode": True,
        "trigger": False,
        "trailing": False,
        "symbolRequired": True,
    },
    "fetchOpenOrders": {
        "marginMode": True,
        "limit": None,
        "trigger": False,
        "trailing": False,
        "symbolRequired": False,
    },
    "fetchOrders": _HISTORY,
    "fetchClosedOrders": {**_HISTORY, "daysBackCanceled": 90},
    "fetchOHLCV": {"limit": 1000},
}


def margin_description(sandbox_rest_url: str) -> dict[str, Any]:
    """The differences from ``ccxt.bitopro``; ``sandbox_rest_url`` is where sandbox mode points."""
    return {
        "id": EXCHANGE_ID,
        "name": "BitoPro Margin",
        "pro": True,
        "has": {
            "spot": True,
            "margin": True,
            "sandbox": True,
            "borrowCrossMargin": True,
            "cancelAllOrders": True,
            "cancelOrder": True,
            "cancelOrders": True,
            "cancelOrdersForSymbols": True,
            "createLimitBuyOrder": True,
            "createLimitOrder": True,
            "createLimitSellOrder": True,
            "createMarketBuyOrder": True,
            "createMarketBuyOrderWithCost": True,
            "createMarketOrder": True,
            "createMarketSellOrder": True,
            "createOrder": True,
            "createOrders": True,
            "createPostOnlyOrder": True,
            "createReduceOnlyOrder": True,
            "createStopLimitOrder": True,
            "createStopLossOrder": True,
            "createTakeProfitOrder": True,
            "createTriggerOrder": True,
            "createStopMarketOrder": False,
            "fetchBalance": True,
            "fetchBorrowInterest": True,
            "fetchCanceledAndClosedOrders": True,
            "fetchCanceledOrders": True,
            "fetchClosedOrders": True,
            "fetchCrossBorrowRate": True,
            "fetchCrossBorrowRates": True,
            "fetchMarkPrice": True,
            "fetchMarkPrices": True,
            "fetchMyLiquidations": True,
            "fetchMyTrades": True,
            "fetchOpenOrder": False,
            "fetchOpenOrders": True,
            "fetchOrder": True,
            "fetchOrders": True,
            "fetchOrderTrades": True,
            "fetchTransfers": True,
            "repayCrossMargin": True,
            "transfer": True,
        },
        "urls": {
            "test": {"rest": sandbox_rest_url},
            "ws": {"public": STREAM_URL, "private": f"{STREAM_URL}/auth"},
            "doc": [DOCS + "api/v3/summary.md"],
        },
        "requiredCredentials": {"apiKey": True, "secret": True, "login": False},
        "options": {
            "defaultType": "margin",
            "createMarketBuyOrderRequiresPrice": True,
            # An order that the caller calls an exit is checked against the balances first.
            "checkReduceOnly": True,
            "orderAmountPrecision": ORDER_AMOUNT_PRECISION,
            # Ask the exchange which currencies can be margined when markets are loaded with keys.
            "fetchMargins": True,
            "marginCurrencies": list(MARGIN_CURRENCIES),
            "maxLeverage": MAX_LEVERAGE,
            # The exchange's clock minus ours, in ms; learnt from the Date header after a 409.
            "clockOffset": 0,
        },
        # A copy: ccxt writes into it.
        "features": {"spot": copy.deepcopy(MARGIN_FEATURES)},
    }


STREAMING: dict[str, Any] = {
    "has": {
        "ws": True,
        "watchBalance": True,
        "watchMarkPrice": True,
        "watchMarkPrices": True,
        "watchMyTrades": True,
        "watchOrders": True,
    },
    "options": {
        # Seconds that a watching call goes on dialling in vain before it says so.
        "streamPatience": 60.0,
        # Seconds of silence after which REST is asked what the order streams may have lost.
        "streamResync": 60.0,
    },
}
"""What the class with streams adds."""


class LimitedCost(float):
    """The throttling cost of a call that has a limit of its own, whatever ``rateLimit`` says.

    All clients of this process share that limit for a host.
    """

    endpoint: Endpoint

    @classmethod
    def of(cls, endpoint: Endpoint) -> float:
        """The cost of an endpoint; a plain number where only the general limit holds."""
        if endpoint.limit == GENERAL_LIMIT:
            return endpoint.cost
        cost = cls(endpoint.cost)
        cost.endpoint = endpoint
        return cost


def _entry(endpoint: Endpoint) -> Any:
    cost = LimitedCost.of(endpoint)
    return Entry(endpoint.path, ["private"], endpoint.method, {"cost": cost})


def _entries() -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        entries[endpoint.implicit_snake] = entries[endpoint.implicit] = _entry(endpoint)
    return entries


if TYPE_CHECKING:

    class ImplicitMarginApi:
        """The implicit methods; each takes a request's parameters and returns the decoded body."""

        def __getattr__(self, name: str) -> Any: ...
else:
    ImplicitMarginApi = type(
        "ImplicitMarginApi",
        (),
        {"__doc__": "Implicit methods for every margin endpoint, in both spellings.", **_entries()},
    )
