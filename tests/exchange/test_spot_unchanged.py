"""With the spot account chosen, each of the parent's methods sends what ``ccxt.bitopro`` sends.

Both classes run under a frozen clock; what they hand to their transport is compared to the byte.
"""

import asyncio
import inspect
import urllib.parse
from typing import Any

import ccxt
import ccxt.async_support
import pytest
from ccxt.abstract.bitopro import ImplicitAPI

from tests.data import example
from tests.exchange.book import CURRENCIES, PAIRS
from tests.exchange.drivers import KEYS

NOW = 1_700_000_000_000
FIRST = {"id": "11", "pair": "btc_usdt", "status": 0, "originalAmount": "1", "type": "LIMIT"}
DONE = {"id": "12", "pair": "btc_usdt", "status": 3, "originalAmount": "1", "type": "LIMIT"}
ANSWERS: dict[str, Any] = {
    "/v3/provisioning/currencies": CURRENCIES,
    "/v3/provisioning/trading-pairs": PAIRS,
    "/v3/provisioning/limitations-and-fees": example("get_limitations_and_fees"),
    "/v3/order-book/btc_usdt": example("get_orderbook_data"),
    "/v3/orders/all/btc_usdt": {"data": [FIRST, DONE]},
    "/v3/orders/open": {"data": [FIRST]},
    "/v3/orders/btc_usdt/11": FIRST,
    "/v3/accounts/balance": example("get_account_balance"),
    "/v3/wallet/withdraw/usdt": {"data": {"serial": "1"}},
    "/v3/wallet/withdraw/usdt/9": {"data": {"serial": "9"}},
    "/v3/wallet/withdraw/BTC": {"data": {"serial": "1"}},
    "/v3/wallet/withdraw/BTC/9": {"data": {"serial": "9"}},
}
CANCELLED = {"data": {"BTC_USDT": ["11"]}}

SYMBOL = "BTC/USDT"
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("fetch_currencies", (), {}),
    ("fetch_markets", (), {}),
    ("fetch_ticker", (SYMBOL,), {}),
    ("fetch_tickers", (), {}),
    ("fetch_order_book", (SYMBOL, 5), {}),
    ("fetch_trades", (SYMBOL,), {}),
    ("fetch_trading_fees", (), {}),
    ("fetch_ohlcv", (SYMBOL, "1h", NOW - 7_200_000, 2), {}),
    ("fetch_balance", (), {}),
    ("create_order", (SYMBOL, "limit", "buy", 0.5, 100.5), {}),
    ("create_order", (SYMBOL, "limit", "sell", 0.5, 100.5), {"postOnly": True}),
    ("create_order", (SYMBOL, "market", "buy", 20), {}),
    (
        "create_order",
        (SYMBOL, "STOP_LIMIT", "sell", 0.5, 99),
        {"stopPrice": 100, "condition": "<="},
    ),
    ("cancel_order", ("11", SYMBOL), {}),
    ("cancel_orders", (["11"], SYMBOL), {}),
    ("cancel_all_orders", (), {}),
    ("cancel_all_orders", (SYMBOL,), {}),
    ("fetch_order", ("11", SYMBOL), {}),
    ("fetch_orders", (SYMBOL, NOW - 1000, 5), {}),
    ("fetch_open_orders", (), {}),
    ("fetch_open_orders", (SYMBOL,), {}),
    ("fetch_closed_orders", (SYMBOL, None, 5), {}),
    ("fetch_my_trades", (SYMBOL, NOW - 1000, 5), {}),
    ("fetch_deposits", ("BTC",), {}),
    ("fetch_withdrawals", ("BTC",), {}),
    ("fetch_withdrawal", ("9", "BTC"), {}),
    ("withdraw", ("BTC", 20, "0x52908400098527886E0F7030069857D2E4169EE7"), {"network": "ERC20"}),
    ("fetch_deposit_withdraw_fees", (), {}),
]
NOT_CALLS = ("parse_", "sign", "describe", "handle_errors", "insert_missing_candles")
PLACEHOLDERS = {
    "pair": "btc_usdt",
    "orderId": "11",
    "id": "11",
    "currency": "usdt",
    "serial": "9",
}
IMPLICIT = sorted(
    name for name, entry in vars(ImplicitAPI).items() if hasattr(entry, "path") and "_" in name
)


def recording(cls: Any) -> Any:
    """The class with a transport that keeps what it is given, and a clock that stands still."""

    class Recording(cls):
        def milliseconds(self) -> int:
            return NOW

        def throttle(self, cost: Any = None) -> Any:
            return asyncio.sleep(0) if self.awaits else None

        def fetch(
            self, url: str, method: str = "GET", headers: Any = None, body: Any = None
        ) -> Any:
            self.sent.append((method, url, headers, body))
            return self.reply(url, method) if self.awaits else self.answer(url, method)

        async def reply(self, url: str, method: str) -> Any:
            return self.answer(url, method)

        def answer(self, url: str, method: str) -> Any:
            path = urllib.parse.urlsplit(url).path
            if method in ("DELETE", "PUT") and not path.endswith("/11"):
                return CANCELLED
            return ANSWERS.get(path, {"data": []})

    return Recording


def prepared(module: Any, exchange_id: str, **config: Any) -> Any:
    cls = recording(getattr(module, exchange_id))
    cls.awaits = module is ccxt.async_support
    exchange = cls({**KEYS, **config})
    exchange.sent = []
    return exchange


def outcome(exchange: Any, method: str, *args: Any) -> Any:
    """What a call sends after the markets are loaded, and what it returns or raises."""

    async def run() -> Any:
        await exchange.load_markets()
        exchange.sent.clear()
        found = await getattr(exchange, method)(*args)
        if inspect.iscoroutine(found):
            found.close()
            pytest.skip("this ccxt's own class returns a coroutine here, and asks nothing")
        return found

    try:
        if exchange.awaits:
            result = asyncio.run(run())
        else:
            exchange.load_markets()
            exchange.sent.clear()
            result = getattr(exchange, method)(*args)
    except (ccxt.BaseError, AttributeError) as error:
        # An older ccxt.bitopro stumbles over rows without an action; so must ours then.
        result = type(error)
    return exchange.sent, result


MODULES = pytest.mark.parametrize("module", [ccxt, ccxt.async_support], ids=["sync", "async"])


def test_every_method_of_the_parent_is_compared():
    own = {
        name
        for name, member in vars(ccxt.bitopro).items()
        # An instance adds the camelCase twins of everything, inherited or not, to its class.
        if getattr(member, "__module__", None) == ccxt.bitopro.__module__
        and member.__name__ == name
        and not name.startswith((*NOT_CALLS, "_"))
    }
    assert own == {name for name, _, _ in CALLS}


@MODULES
@pytest.mark.parametrize("choice", ["params", "options"])
@pytest.mark.parametrize(("method", "args", "params"), CALLS)
def test_unified_methods_send_the_same(module, choice, method, args, params):
    signature_args = _with_params(module, method, args)
    parent = prepared(module, "bitopro")
    sent, result = outcome(parent, method, *signature_args, params)
    if choice == "params":
        ours, params = prepared(module, "bitopromargin"), {**params, "type": "spot"}
    else:
        ours = prepared(module, "bitopromargin", options={"defaultType": "spot"})
    ours_sent, ours_result = outcome(ours, method, *signature_args, params)
    assert sent, f"{method} sent nothing to compare"
    assert ours_sent == sent
    if method not in ("fetch_currencies", "fetch_markets"):
        assert ours_result == result


def _with_params(module: Any, method: str, args: tuple[Any, ...]) -> list[Any]:
    """The positional arguments of a call, filled up to where ``params`` comes."""
    code = getattr(module.bitopro, method).__code__
    place = code.co_varnames[1 : code.co_argcount].index("params")
    defaults = {"timeframe": "1m"}
    names = code.co_varnames[1 : code.co_argcount][len(args) : place]
    return [*args, *(defaults.get(name) for name in names)]


@MODULES
@pytest.mark.parametrize("name", IMPLICIT)
def test_implicit_methods_send_the_same(module, name):
    entry = getattr(module.bitopro, name)
    path = vars(ImplicitAPI)[name].path
    params = {key: value for key, value in PLACEHOLDERS.items() if f"{{{key}}}" in path}
    assert callable(entry)
    sent, result = outcome(prepared(module, "bitopro"), name, {**params, "some": "thing"})
    ours = prepared(module, "bitopromargin")
    ours_sent, ours_result = outcome(ours, name, {**params, "some": "thing"})
    assert sent
    assert ours_sent == sent
    assert ours_result == result
