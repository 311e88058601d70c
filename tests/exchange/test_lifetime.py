"""An object's life: which side it is on, what it adds to answers, how it says it was not closed."""

import subprocess
import sys

import ccxt
import pytest

from tests.exchange.calls import BTC
from tests.exchange.conftest import EVERY_DRIVER, ON_EVERY_CLASS

UNCLOSED = """
import asyncio, sys
import ccxt.pro
from bitopro_margin_ext.exchange import register

register()
module = ccxt.pro if sys.argv[2] == "pro" else ccxt.async_support
keys = {"apiKey": "sandbox-key", "secret": "sandbox-secret"}
exchange = module.bitopromargin({**keys, "urls": {"api": {"rest": sys.argv[1]}}})


async def main():
    print((await exchange.fetch_balance())["USDT"]["free"])


asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["async", "pro"])
def test_an_object_that_is_not_closed_gets_ccxts_own_warning(sandbox, kind):
    done = subprocess.run(
        [sys.executable, "-c", UNCLOSED, sandbox.rest_url, kind],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "10000.0\n")
    assert "bitopromargin requires to release all resources" in done.stderr
    for word in ("ImportError", "Exception ignored", "Traceback", "sandbox-secret"):
        assert word not in done.stderr
    assert done.stderr.count("Unclosed client session") <= 1


@pytest.mark.parametrize("kind", EVERY_DRIVER)
def test_sandbox_mode_twice_and_back(kind):
    exchange = EVERY_DRIVER[kind].module.bitopromargin()

    def side():
        return exchange.urls["api"]["rest"], exchange.urls["ws"]["private"]

    live = side()
    assert live[0].startswith("https://api.bitopro.com")
    assert live[1].startswith("wss://stream.bitopro.com")
    exchange.set_sandbox_mode(True)
    sandbox = side()
    exchange.set_sandbox_mode(True)
    assert side() == sandbox
    assert all("127.0.0.1" in url for url in sandbox)
    for _ in range(2):
        exchange.set_sandbox_mode(False)
        assert side() == live
    exchange.set_sandbox_mode(True)
    assert side() == sandbox
    again = EVERY_DRIVER[kind].module.bitopromargin({"sandbox": True})
    again.set_sandbox_mode(True)
    again.set_sandbox_mode(False)
    assert (again.urls["api"]["rest"], again.urls["ws"]["private"]) == live


@ON_EVERY_CLASS
def test_response_headers_are_no_currency(connect, sandbox, control):
    api = connect(sandbox.rest_url, returnResponseHeaders=True)
    plain = connect(sandbox.rest_url)
    for method in ("fetch_cross_borrow_rates", "fetch_balance", "fetch_mark_prices"):
        assert set(api(method)) == set(plain(method))
    assert api("fetch_balance")["info"]["responseHeaders"]
    api("borrow_cross_margin", "USDT", 1)
    assert set(api.exchange.options["marginCurrencies"]) == {"BTC", "ETH", "USDT"}
    assert api("cancel_all_orders") == []
    assert api("fetch_borrows", "USDT")[0]["amount"] == 1


@ON_EVERY_CLASS
def test_not_found_is_no_word_about_an_orders_end(connect, sandbox):
    api = connect(sandbox.rest_url)
    for method in ("fetch_order", "cancel_order"):
        with pytest.raises(ccxt.OrderNotFound, match=r"not any more.* 90 days.*no cancelled one"):
            api(method, "123456", BTC)


@ON_EVERY_CLASS
@pytest.mark.parametrize("status", [400, 401])
def test_a_token_that_is_not_allowed_is_a_matter_of_the_key(connect, sandbox, control, status):
    body = {"error": "api token is not allowed"}
    control.add_fault("status", path="*", status=status, body=body)
    with pytest.raises(ccxt.AuthenticationError, match="api token is not allowed"):
        connect(sandbox.rest_url)("fetch_balance")


@ON_EVERY_CLASS
def test_what_an_order_is_held_to(connect, sandbox, control):
    api = connect(sandbox.rest_url)
    market = api("load_markets")[BTC]
    assert market["precision"]["amount"] == 0.0001
    assert market["limits"]["cost"]["min"] == float(market["info"]["minMarketBuyQuoteAmount"])
    least = market["limits"]["cost"]["min"]
    control.clear_requests()
    with pytest.raises(ccxt.InvalidOrder, match="below the minimum of"):
        api("create_order", BTC, "market", "buy", 1, None, {"cost": least / 2})
    with pytest.raises(ccxt.InvalidOrder, match="below the minimum of"):
        api("create_market_buy_order_with_cost", BTC, least / 2)
    assert control.requests() == []
    assert api("create_market_buy_order_with_cost", BTC, least)["id"]
    exact = connect(sandbox.rest_url, options={"orderAmountPrecision": "basePrecision"})
    exact("create_order", BTC, "limit", "buy", 0.00123456, 30000)
    assert control.requests()[-1]["body"]["amount"] == "0.00123456"


@ON_EVERY_CLASS
@pytest.mark.parametrize(("timeframe", "days"), [("1m", 365), ("5m", 365), ("15m", None)])
def test_candles_reach_back_a_year(connect, canned, timeframe, days):
    from tests.exchange.book import CURRENCIES, PAIRS

    canned.answers["GET", "/provisioning/currencies"] = CURRENCIES
    canned.answers["GET", "/provisioning/trading-pairs"] = PAIRS
    canned.answers["GET", "/trading-history/btc_usdt"] = {"data": []}
    api = connect(canned.rest_url, apiKey=None, secret=None)
    now = api.exchange.milliseconds()
    for since in (now - 800 * 86_400_000, now - 86_400_000):
        api("fetch_ohlcv", BTC, timeframe, since, 10)
        query = canned.requests[-1][1]
        asked = int(query.partition("from=")[2].partition("&")[0])
        oldest = 0 if days is None else now // 1000 - days * 86_400
        expected = max(since // 1000, oldest)
        assert expected <= asked <= expected + 300
