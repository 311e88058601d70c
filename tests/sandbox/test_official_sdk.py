"""The exchange's own Python SDK, unmodified but for the host, judges the sandbox.

On PyPI it is ``bitopro-client``, published by Bitoex from github.com/bitoex/bitopro-api-python.
(The name ``bitopro`` there is a wheel without any module.) It knows spot only, so it is a witness
for signatures, shapes and streams, not for the margin endpoints.
"""

import json
import subprocess
import sys
import threading
import time

import pytest
from bitoproClient.bitopro_restful_client import (
    BitoproRestfulClient,
    CandlestickResolution,
    OrderType,
    StatusKind,
    TimeInForce,
)

from tests.sandbox.trader import EMAIL, KEY, SECRET, Trader

pytestmark = pytest.mark.bitopro_sandbox(rate_limits=False)

# Its websocket threads reconnect for ever and cannot be stopped, so they get their own process.
LISTEN = r"""
import os, sys
import bitoproClient.bitopro_websocket_client as sdk
from loguru import logger

logger.remove()
sdk.BitoproWebsocketEndpoint = sys.argv[1]
account, key, secret = sys.argv[2:5]

def say(message):
    os.write(1, message.encode() + b"\n")  # whole lines, whichever thread writes

for kind in (sdk.BitoproUserOrdersWs, sdk.BitoproHistoryOrders, sdk.BitoproUserBlanceWs,
             sdk.BitoproUserTradeWs):
    stream = kind(account, key, secret, say)
    stream.init_websocket()
    stream.start()
for stream in (sdk.BitoproOrderBookWs({"BTC_USDT": 5}, say),
               sdk.BitoproTickerkWs(["BTC_USDT"], say),
               sdk.BitoproTradesWs(["BTC_USDT"], say)):
    stream.init_websocket()
    stream.start()
sys.stdin.read()
os._exit(0)
"""


@pytest.fixture
def sdk(sandbox):
    client = BitoproRestfulClient(KEY, SECRET)
    client.baseUrl = sandbox.rest_url
    return client


def test_public(sdk):
    assert sdk.get_currencies()["data"]
    assert sdk.get_limitations_and_fees()["tradingFeeRate"]
    assert len(sdk.get_order_book("btc_usdt", limit=5)["bids"]) == 5
    assert sdk.get_tickers("btc_usdt")["data"]["pair"] == "btc_usdt"
    assert sdk.get_trades("btc_usdt")["data"]
    assert sdk.get_trading_pairs()["data"]
    day, now = 86400, 1_700_000_000
    candles = sdk.get_candlestick("btc_usdt", CandlestickResolution._1d, now - 9 * day, now)
    assert len(candles["data"]) == 9


def test_orders(sdk, control):
    assert {line["currency"] for line in sdk.get_account_balance()["data"]} >= {"btc", "usdt"}
    placed = sdk.create_an_order("BUY", "0.01", 50000, pair="btc_usdt", client_id=77)
    order = placed["orderId"]
    assert (placed["clientId"], placed["timeInForce"]) == (77, "GTC")
    assert sdk.get_an_order("btc_usdt", order)["status"] == 0
    assert [line["id"] for line in sdk.get_open_orders("btc_usdt")["data"]] == [order]
    control.fill(order, fraction="0.5")
    assert sdk.get_trades_list("btc_usdt")["data"][0]["orderId"] == order
    assert sdk.cancel_an_order(order, "btc_usdt")["orderId"] == order
    listed = sdk.get_all_orders("btc_usdt", status_kind=StatusKind.ALL)["data"]
    assert [(line["id"], line["status"]) for line in listed] == [(order, 3)]


def test_market_post_only_and_refusals(sdk):
    bought = sdk.create_an_order("BUY", "600.03", type=OrderType.Market, pair="btc_usdt")
    assert sdk.get_an_order("btc_usdt", bought["orderId"])["executedAmount"] == "0.01"
    maker = sdk.create_an_order(
        "SELL", "0.01", 50000, pair="btc_usdt", time_in_force=TimeInForce.POST_ONLY
    )
    assert sdk.get_an_order("btc_usdt", maker["orderId"])["status"] == 6
    refused = sdk.create_an_order("BUY", "100", 50000, pair="btc_usdt")
    assert "Balance for USDT not enough" in refused


def test_many_at_once(sdk, control):
    line = {"pair": "BTC_USDT", "action": "BUY", "type": "LIMIT", "price": "50000"}
    line = {**line, "amount": "0.01", "timestamp": 1504262258000, "timeInForce": "GTC"}
    ids = [one["orderId"] for one in sdk.create_batch_order([line] * 3)["data"]]
    # It sends PUT /orders/ with a slash at the end.
    assert sdk.cancel_multiple_orders({"BTC_USDT": ids[:2]}) == {"data": {"BTC_USDT": ids[:2]}}
    margin = control.seed_order("btc_usdt", "BUY", "0.01", "50000")["id"]
    assert sdk.cancel_all_orders("all") == {"data": {"BTC_USDT": ids[2:]}}
    assert control.order(margin)["open"]


def test_a_wrong_secret_is_refused(sdk, sandbox):
    stranger = BitoproRestfulClient(KEY, "wrong")
    stranger.baseUrl = sandbox.rest_url
    assert "Invalid Signature" in stranger.get_account_balance()


def test_streams(sandbox):
    address = sandbox.ws_url.removesuffix("/pub")
    arguments = [sys.executable, "-c", LISTEN, address, EMAIL, KEY, SECRET]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(arguments, **pipes) as process:
        # Should the SDK stay silent, the test must end all the same.
        watchdog = threading.Timer(20, process.kill)
        watchdog.start()
        seen = {}

        def until(*events):
            while not set(events) <= set(seen):
                message = json.loads(process.stdout.readline())
                seen.setdefault(message["event"], []).append(message)

        public = ("ORDER_BOOK", "TICKER", "TRADE")
        until("ACTIVE_ORDERS", "RECENT_HISTORY_ORDERS", "ACCOUNT_BALANCE", *public)
        while len(sandbox.control.state()["streams"]) < 7:  # own trades say nothing at first
            time.sleep(0.01)
        order = Trader(sandbox).placed(side="spot", price="61000")
        until("USER_TRADE")
        watchdog.cancel()
        process.stdin.close()
    assert seen["USER_TRADE"][0]["data"]["orderID"] == order
    assert seen["ACTIVE_ORDERS"][0]["data"] == {}
