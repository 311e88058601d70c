"""Every documented endpoint has exactly the documented keys, and values of the same kinds."""

import itertools
import time

import pytest
import requests

pytestmark = pytest.mark.bitopro_sandbox(rate_limits=False)


def shape(value):
    """Reduce JSON to keys and kinds."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def without(data, *keys):
    return {key: value for key, value in data.items() if key not in keys}


def get(sandbox, path, **query):
    reply = requests.get(sandbox.rest_url + path, params=query, timeout=5)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_public(sandbox, example):
    for name, path in [
        ("get_trading_pair_info", "/provisioning/trading-pairs"),
        ("get_currency_info", "/provisioning/currencies"),
        ("get_ticker_data", "/tickers"),
        ("get_orderbook_data", "/order-book/BTC_USDT"),
        ("get_trades_data", "/trades/btc_usdt"),
    ]:
        assert shape(get(sandbox, path)) == shape(example(name)), path
    one = get(sandbox, "/tickers/btc_usdt")["data"]
    assert shape(one) == shape(example("get_ticker_data")["data"][0])
    fees = get(sandbox, "/provisioning/limitations-and-fees")
    assert fees.keys() == example("get_limitations_and_fees").keys()
    assert shape(fees["tradingFeeRate"]) == shape(
        example("get_limitations_and_fees")["tradingFeeRate"]
    )


def test_pairs_that_can_and_cannot_be_margined(sandbox, trader):
    pairs = {line["pair"] for line in get(sandbox, "/provisioning/trading-pairs")["data"]}
    assert {"btc_usdt", "eth_usdt", "eth_btc", "btc_twd", "usdt_twd", "doge_usdt"} <= pairs
    refused = trader.order("doge_usdt", amount="100", price="0.1")
    assert refused.status_code == 400
    assert "doge_usdt" in refused.json()["error"]


@pytest.mark.parametrize("resolution", ["1m", "5m", "15m", "30m", "1h", "3h", "6h", "12h", "1d"])
def test_candles(sandbox, control, resolution):
    control.set_price("btc_usdt", "61234")
    step = {"m": 60, "h": 3600, "d": 86400}[resolution[-1]] * int(resolution[:-1])
    now = int(time.time())
    history = {"resolution": resolution, "from": now - 10 * step, "to": now + 1}
    data = get(sandbox, "/trading-history/btc_usdt", **history)["data"]
    assert set(data[0]) == {"timestamp", "open", "high", "low", "close", "volume"}
    moments = [line["timestamp"] for line in data]
    assert moments == list(range(moments[0], moments[-1] + 1, step * 1000))
    assert now * 1000 - step * 1000 <= moments[-1] <= now * 1000 + 1000
    assert data[-1]["close"] == "61234"
    for before, after in itertools.pairwise(data):
        assert before["close"] == after["open"]
    for line in data:
        prices = [float(line[name]) for name in ("low", "open", "close", "high")]
        assert prices[0] == min(prices)
        assert prices[3] == max(prices)


def test_candles_need_a_known_resolution_and_both_ends(sandbox):
    url = sandbox.rest_url + "/trading-history/btc_usdt"
    for query in ({"resolution": "2m", "from": 1, "to": 2}, {"resolution": "1m", "from": 1}):
        assert requests.get(url, params=query, timeout=5).status_code == 400


def test_margin_order_answers(trader, control, example):
    created = trader.order(clientId=7).json()
    assert shape(created) == shape(example("margin_create_an_order"))
    order = created["orderId"]
    assert shape(trader.fetch(order)) == shape(
        {**example("margin_get_an_order_data"), "clientId": 1}
    )
    listed = trader.get("/margin/orders/orders/open").json()
    assert shape(listed) == shape(example("margin_get_open_orders_data"))
    line = listed["data"][0]
    assert line["condition"] == line["stopPrice"] == ""
    assert line["createdTimestamp"] < 10_000_000_000  # seconds, here alone
    history = trader.get("/margin/orders/all/btc_usdt").json()
    assert shape(history) == shape(
        {"data": [{**example("margin_get_orders_data")["data"][0], "clientId": 1}]}
    )
    control.fill(order, fraction="0.5")
    assert shape(trader.get("/margin/orders/trades/btc_usdt").json()) == shape(
        example("margin_get_trades_data")
    )
    assert shape(trader.delete(f"/margin/orders/btc_usdt/{order}").json()) == shape(
        example("margin_cancel_an_order")
    )


def test_margin_cancel_answers(trader, example):
    first, second, third = (trader.placed() for _ in range(3))
    done = trader.put("/margin/orders", {"BTC_USDT": [first, second]}).json()
    assert shape(done) == shape(example("margin_cancel_batch_orders"))
    assert done == {"data": {"BTC_USDT": [first, second]}}
    done = trader.delete("/margin/orders/all").json()
    assert shape(done) == shape(example("margin_cancel_all_orders"))
    assert done == {"data": {"BTC_USDT": [third]}}
    assert trader.delete("/margin/orders/all").json() == {"data": {}}


def test_margin_batch_answer(trader, example):
    order = {"action": "buy", "pair": "btc_usdt", "type": "LIMIT", "price": "1", "amount": "1"}
    order = {**order, "timestamp": 1, "timeInForce": "GTC"}
    answer = trader.post("/margin/orders/batch", [order, order]).json()
    assert shape(answer) == shape(example("margin_create_batch_orders"))
    assert len(answer["data"]) == 2


def test_margin_account_answers(trader, control, example):
    control.set_balances({"BTC": "1", "USDT": "100000"})
    borrowed = trader.post("/margin/borrow", {"currency": "usdt", "borrowAmount": "20000"})
    assert shape(borrowed.json()) == shape(example("margin_borrow"))
    repaid = trader.post("/margin/repay", {"currency": "usdt", "repayAmount": "1"})
    assert shape(repaid.json()) == shape(example("margin_repay"))
    moved = {"currency": "usdt", "amount": "10", "fromBalanceKind": 0, "toBalanceKind": 5}
    assert shape(trader.post("/margin/transfer", moved).json()) == shape(example("margin_transfer"))
    wish = {"action": 1, "currency": "btc", "amount": "0.1"}
    assert shape(trader.post("/margin/calculate/ad-ratio", wish).json()) == shape(
        example("margin_calculate_ad_ratio")
    )
    for name, path in [
        ("margin_get_margin_account_balance", "/margin/balances"),
        ("margin_get_mark_price", "/margin/mark-price"),
        ("margin_get_borrow_provisioning", "/margin/provisioning/borrow"),
        ("margin_list_user_borrow", "/margin/user-borrows"),
        ("margin_list_user_repays", "/margin/user-repays"),
        ("margin_list_user_transfers", "/history/user-transfers"),
    ]:
        assert shape(trader.get(path).json()) == shape(example(name)), path


def test_spot_balance_answer(trader, example):
    assert shape(trader.get("/accounts/balance").json()) == shape(example("get_account_balance"))


@pytest.mark.parametrize("path", ["/nowhere", "/margin/nowhere", "/margin/orders/x/y/z"])
def test_an_unknown_path_is_404_as_json(trader, path):
    reply = trader.get(path)
    assert reply.status_code == 404
    assert set(reply.json()) == {"error"}


def test_an_unknown_pair_is_404(sandbox, trader):
    for path in ("/margin/orders/all/xxx_yyy", "/margin/orders/xxx_yyy/1", "/tickers/xxx_yyy"):
        assert trader.get(path).status_code == 404
    assert trader.delete("/margin/orders/xxx_yyy").status_code == 404


def test_a_fresh_open_list_is_empty(trader):
    assert trader.get("/margin/orders/orders/open").json() == {"data": []}
    assert without(trader.get("/margin/user-liquidations").json()) == {
        "liquidations": [],
        "liquidationsAmount": 0,
    }
