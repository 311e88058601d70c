"""What the exchange cannot do is refused before anything is sent, in every method."""

import re

import ccxt
import pytest

from bitopro_margin_ext.exchange.params import TAKEN, UNIFIED
from tests.exchange.calls import BTC, CALLS, ORDER
from tests.exchange.conftest import ON_EVERY_CLASS

UNSUPPORTED = {
    "trailingPercent": 1,
    "trailingAmount": 100,
    "trailingTriggerPrice": 50000,
    "stopLoss": {"triggerPrice": 50000},
    "takeProfit": {},
    "test": True,
    "leverage": 3,
    "hedged": True,
    "icebergAmount": 0.0001,
    "sideEffectType": "AUTO_BORROW_REPAY",
    "stop": True,
    "trigger": True,
    "trailing": True,
    "autoRepay": True,
    "selfTradePrevention": "EXPIRE_MAKER",
    "portfolioMargin": True,
    "positionSide": "LONG",
}


def sent(control):
    return [line for line in control.requests() if "provisioning" not in line["path"]]


def test_every_method_is_tried():
    assert set(CALLS) == set(TAKEN)


@ON_EVERY_CLASS
@pytest.mark.parametrize("name", CALLS)
def test_unified_words_and_unknown_ones_are_refused(connect, sandbox, control, name, request):
    if name.startswith("watch") and "pro" not in request.node.name:
        pytest.skip("streams are the pro class's")
    method, args = CALLS[name]
    api = connect(sandbox.rest_url)
    for word, value in UNSUPPORTED.items():
        with pytest.raises(ccxt.NotSupported, match=rf"{name}\(\) does not support '{word}'"):
            api(method, *args, {word: value})
    for word in ("trailingPercnt", "startTime", "action", "amount"):
        with pytest.raises(ccxt.BadRequest, match=rf"{name}\(\) knows no parameter '{word}'.*raw"):
            api(method, *args, {word: 1})
    for raw in (7, ["field"], {1: 2}):
        with pytest.raises(ccxt.BadRequest, match="raw is a dict"):
            api(method, *args, {"raw": raw})
    for params in (["type"], "margin", 7):
        with pytest.raises(ccxt.BadRequest, match="params is a dict"):
            api(method, *args, params)
    assert control.requests() == []


def test_the_words_of_ccxts_own_classes_are_known():
    """Every word that ccxt documents for margin trading on its best-known exchanges."""
    own = re.compile(r"\[params\.(\w+)")
    methods = ("create_order", "cancel_order", "cancel_all_orders", "fetch_open_orders")
    ours = {"createOrder", "cancelOrder", "cancelAllOrders", "fetchOpenOrders"}
    assert ours <= set(TAKEN)
    # Names of theirs on the wire rather than words of ccxt's.
    wire = {"recvWindow", "operator", "margin", "limit", "fee", "id", "user", "index", "loc"}
    wire |= {"tradingSession", "stock", "exp", "marketUnit", "baseCoin", "settleCoin", "orderId"}
    wire |= {"price", "algoId", "isPlan", "tpOrdKind", "category", "mmp", "type", "marginMode"}
    wire |= {"tpsl", "tradeType", "slippage", "is_triggered", "retail_portfolio_id", "event_type"}
    wire |= {"currentPage", "holdSide", "orderIds", "rpiPxRound", "rpiTakerAccess"}
    wire |= {"tradingStopEndpoint", "clientOid", "funds", "hidden", "remark", "sync", "visibleSize"}
    missing = set()
    for exchange in (ccxt.binance, ccxt.bybit, ccxt.okx, ccxt.kucoin, ccxt.bitget):
        for method in methods:
            found = getattr(exchange, method, None)
            text = (found.__doc__ if found else "") or ""
            missing |= set(own.findall(text)) - UNIFIED - wire
    assert missing == set()


@ON_EVERY_CLASS
@pytest.mark.parametrize("value", [None, False])
def test_a_word_that_asks_for_nothing_is_let_be(connect, sandbox, control, value):
    api = connect(sandbox.rest_url)
    params = dict.fromkeys(["test", "hedged", "stop", "reduceOnly", "trailing"], value)
    assert api("create_order", BTC, "limit", "buy", 0.001, 30000, params)["status"] == "open"
    assert api("cancel_all_orders", BTC, {"stop": value})


@ON_EVERY_CLASS
def test_stops_and_plain_orders_are_never_cancelled_by_mistake(connect, sandbox, control):
    order = control.seed_order("btc_usdt", "BUY", "0.001", "30000")
    api = connect(sandbox.rest_url)
    for method in ("cancel_all_orders", "cancel_all_margin_orders"):
        for params in ({"stop": True}, {"trigger": True}):
            with pytest.raises(ccxt.NotSupported, match="one list"):
                api(method, BTC, params)
    assert [line["id"] for line in control.orders(only_open=True)] == [order["id"]]


@ON_EVERY_CLASS
def test_raw_fields_go_into_the_body_or_the_query(connect, sandbox, control):
    api = connect(sandbox.rest_url)
    raw = {"raw": {"remark": "mine"}}
    api("create_order", BTC, "limit", "buy", 0.001, 30000, raw)
    assert sent(control)[-1]["body"]["remark"] == "mine"
    api("create_orders", [{**ORDER, "params": raw}])
    assert sent(control)[-1]["body"][0]["remark"] == "mine"
    api("fetch_orders", BTC, None, None, raw)
    assert sent(control)[-1]["query"] == "remark=mine"
    with pytest.raises(ccxt.BadRequest, match="'amount' itself"):
        api("create_order", BTC, "limit", "buy", 0.001, 30000, {"raw": {"amount": "9"}})
    with pytest.raises(ccxt.BadRequest, match="leave 'limit' out of raw"):
        api("fetch_orders", BTC, None, None, {"raw": {"limit": 5}})
    with pytest.raises(ccxt.BadRequest, match="'pair' itself"):
        api("fetch_open_orders", BTC, None, None, {"raw": {"pair": "eth_usdt"}})


def test_words_of_one_kind_of_order_are_refused_for_another(connect, sandbox, control):
    api = connect(sandbox.rest_url)
    sell = (BTC, "limit", "sell", 0.001, 50000)
    with pytest.raises(ccxt.NotSupported, match="only a market buy is counted in 'cost'"):
        api("create_order", *sell, {"cost": 60})
    for params in ({"condition": ">="}, {"triggerDirection": "up"}):
        with pytest.raises(ccxt.InvalidOrder, match="requires a triggerPrice"):
            api("create_order", *sell, params)
    with pytest.raises(ccxt.InvalidOrder, match="a stop-limit order cannot be post-only"):
        api("create_order", *sell, {"stopLossPrice": 51000, "postOnly": True})
    assert control.orders() == []


# -- reduceOnly -------------------------------------------------------------------------------

EXIT = {"reduceOnly": True}


@ON_EVERY_CLASS
def test_reduce_only_is_accepted_of_exits_alone(connect, sandbox, control):
    control.switches(rate_limits=False)
    api = connect(sandbox.rest_url)
    buy, sell = (BTC, "limit", "buy", 0.01, 30000), (BTC, "limit", "sell", 0.01, 90000)
    control.set_balances({"BTC": 0, "USDT": 100_000})
    with pytest.raises(ccxt.InvalidOrder, match=r"reduceOnly is for exits.*owes no BTC"):
        api("create_order", *buy, EXIT)
    with pytest.raises(ccxt.InvalidOrder, match=r"reduceOnly is for exits.*holds no BTC"):
        api("create_order", *sell, EXIT)
    with pytest.raises(ccxt.InvalidOrder, match="reduceOnly"):
        api("create_orders", [ORDER, {**ORDER, "params": EXIT}])
    assert control.orders() == []
    api("borrow_cross_margin", "BTC", "0.01")
    assert api("create_order", *sell, EXIT)["status"] == "open"
    assert api("create_order", *buy, EXIT)["status"] == "open"
    stop = {**EXIT, "stopLossPrice": 89000}
    assert api("create_order", BTC, "limit", "buy", 0.0105, 90000, stop)["status"] == "open"
    assert api("create_orders", [{**ORDER, "params": EXIT}])[0]["status"] == "open"
    assert all("reduceOnly" not in str(line["body"]) for line in control.requests())
    with pytest.raises(ccxt.InvalidOrder, match=r"more than the 0\.01\S* that are owed"):
        api("create_order", BTC, "limit", "buy", 0.02, 30000, EXIT)


def test_an_exit_waits_for_no_list(connect, sandbox, control):
    control.set_balances({"BTC": 1})
    control.add_fault("status", path="/margin/balances", status=503, times=None)
    api = connect(sandbox.rest_url)
    assert api("create_order", BTC, "market", "sell", 0.01, None, EXIT)["status"] == "open"


def test_without_the_check_nothing_more_is_sent(connect, sandbox, control):
    api = connect(sandbox.rest_url, options={"checkReduceOnly": False})
    api("create_order", BTC, "limit", "buy", 0.01, 30000, EXIT)
    assert [line["method"] for line in sent(control)] == ["POST"]
