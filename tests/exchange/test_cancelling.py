"""Cancelling through the unified methods: one request, no waiting, no widening."""

import asyncio
import time

import ccxt
import ccxt.async_support
import pytest

from bitopro_margin_ext.exchange import register
from tests.exchange.conftest import seed
from tests.exchange.drivers import KEYS, Blocking

register()
NO_PAIRS = ["", " ", "all", "btcusdt", "BTC/USDT:USDT", "../all", 0, False, [], ["BTC/USDT"], b"x"]


def open_ids(control, **more):
    return {order["id"] for order in control.orders(only_open=True, **more)}


@pytest.mark.parametrize("method", ["cancel_all_orders", "cancel_all_margin_orders"])
def test_cancel_all_is_one_request_from_a_fresh_object(api, control, log, method):
    ids = seed(control) + seed(control, 2, "eth_usdt")
    log()
    orders = api(method)
    assert log() == [("DELETE", "/margin/orders/all")]
    assert {order["id"] for order in orders} == set(ids)
    assert {order["symbol"] for order in orders} == {"BTC/USDT", "ETH/USDT"}
    assert {order["status"] for order in orders} == {"canceled"}
    # How much they had filled is not in the answer: nobody has said that it was nothing.
    assert {order["filled"] for order in orders} == {None}
    assert open_ids(control) == set()


@pytest.mark.parametrize("symbol", ["BTC/USDT", "btc_usdt", "BTC_USDT"])
def test_cancel_all_of_a_pair(api, control, log, symbol):
    ids, others = seed(control), seed(control, 2, "eth_usdt")
    log()
    assert {order["id"] for order in api("cancel_all_orders", symbol)} == set(ids)
    assert log() == [("DELETE", "/margin/orders/btc_usdt")]
    assert open_ids(control) == set(others)


@pytest.mark.parametrize("symbol", NO_PAIRS)
@pytest.mark.parametrize("method", ["cancel_all_orders", "cancel_all_margin_orders"])
def test_only_none_means_everything(api, control, log, symbol, method):
    ids = seed(control)
    log()
    with pytest.raises(ccxt.BadSymbol, match="is not a pair: write it like BTC/USDT"):
        api(method, symbol)
    assert log() == []
    assert open_ids(control) == set(ids)


def test_no_parameter_widens_a_cancel(api, control, log):
    others = seed(control, 2, "eth_usdt")
    log()
    for params in ({"pair": "all"}, {"raw": {"pair": "all"}}):
        with pytest.raises(ccxt.BadRequest, match="'pair'"):
            api("cancel_all_orders", "BTC/USDT", params)
    for order_id in ("", ".", "..", None, "../../all", "1/2"):
        with pytest.raises(ccxt.BadRequest, match="is not an order id"):
            api("cancel_order", order_id, "ETH/USDT")
    with pytest.raises(ccxt.BadRequest):
        api("cancel_orders", ["..", others[0]], "ETH/USDT")
    assert log() == []
    assert open_ids(control) == set(others)


def test_each_account_is_left_alone_by_the_other(api, control, log):
    margin, spot = seed(control), seed(control, kind="spot")
    log()
    api("cancel_all_margin_orders", None, {"type": "spot"})
    assert open_ids(control) == set(spot)
    seed(control)
    api("cancel_all_orders", None, {"type": "spot"})
    assert log()[-1] == ("DELETE", "/orders/all")
    assert len(open_ids(control, kind="margin")) == len(margin)


def test_cancel_order(api, control):
    order_id, other = seed(control, 2)
    order = api("cancel_order", order_id, "BTC/USDT")
    assert (order["id"], order["status"], order["symbol"]) == (order_id, "canceled", "BTC/USDT")
    assert order["filled"] is None
    with pytest.raises(ccxt.InvalidOrder):
        api("cancel_order", order_id, "BTC/USDT")
    with pytest.raises(ccxt.OrderNotFound):
        api("cancel_order", "123456", "BTC/USDT")
    with pytest.raises(ccxt.ArgumentsRequired):
        api("cancel_order", other)
    assert open_ids(control) == {other}


def test_cancel_orders_says_which_were_not(api, control, log):
    first, second, filled = seed(control, 3)
    eth = seed(control, 1, "eth_usdt")[0]
    control.fill(filled)
    log()
    asked = [first, filled, {"id": eth, "symbol": "ETH/USDT"}, int(second)]
    orders = api("cancel_orders", asked, "BTC/USDT")
    assert log() == [("PUT", "/margin/orders")]
    assert [(order["id"], order["symbol"], order["status"]) for order in orders] == [
        (first, "BTC/USDT", "canceled"),
        (filled, "BTC/USDT", None),
        (eth, "ETH/USDT", "canceled"),
        (second, "BTC/USDT", "canceled"),
    ]
    assert api("cancel_orders", [], "BTC/USDT") == []
    assert log() == []


@pytest.mark.parametrize("kind", ["empty_body", "invalid_json", "truncated_json", "list_body"])
def test_an_answer_that_cannot_be_read_is_neither_success_nor_refusal(api, control, kind):
    control.switches(rate_limits=False)

    for method, args in (
        ("cancel_all_orders", ("ETH/USDT",)),
        ("cancel_order", (0, "BTC/USDT")),
        ("cancel_orders", ([0, 1], "BTC/USDT")),
        ("fetch_open_orders", ()),
        ("fetch_order", (0, "BTC/USDT")),
        ("fetch_orders", ("BTC/USDT",)),
        ("fetch_my_trades", ("BTC/USDT",)),
        ("fetch_balance", ()),
    ):
        ids = seed(control, 2)
        args = tuple(
            ids[arg] if arg == 0 else ids if isinstance(arg, list) else arg for arg in args
        )
        control.add_fault(kind, path="/margin/*")
        with pytest.raises(ccxt.OperationFailed):
            api(method, *args)


def test_numbers_for_ids_and_ids_twice(api, control):
    ids = seed(control)
    control.switches(numeric_ids=True)
    control.add_fault("duplicate", path="/margin/orders/all")
    orders = api("cancel_all_orders")
    assert sorted(order["id"] for order in orders) == sorted(ids)


def test_a_slot_a_second_and_the_first_at_once(api, control, log):
    api("cancel_all_orders")
    api("cancel_all_orders", "BTC/USDT")
    api("cancel_all_orders")
    lines = [line for line in control.requests() if line["method"] == "DELETE"]
    assert [line["status"] for line in lines] == [200, 200, 200]
    times = [line["time_ms"] for line in lines]
    assert times[1] - times[0] >= 980
    assert times[2] - times[1] >= 980


def test_two_objects_share_the_limiter(connect, sandbox, control):
    connect(sandbox.rest_url)("cancel_all_orders")
    connect(sandbox.rest_url)("cancel_all_orders")
    assert [line["limited"] for line in control.requests()] == [False, False]


def test_a_blocking_cancel_all_does_not_wait_behind_the_call_before_it(sandbox, control):
    # At ten seconds a call, waiting its turn would take the rest of the test's life.
    api = Blocking(sandbox.rest_url, rateLimit=60_000)
    api("fetch_balance")
    began = time.monotonic()
    api("cancel_all_orders")
    assert time.monotonic() - began < 30
    assert [line["method"] for line in control.requests()] == ["GET", "DELETE"]


def test_an_awaiting_cancel_all_overtakes_a_full_queue(sandbox, control):
    async def play():
        config = {**KEYS, "urls": {"api": {"rest": sandbox.rest_url}}, "rateLimit": 100}
        api = ccxt.async_support.bitopromargin(config)
        try:
            queue = [asyncio.ensure_future(api.fetch_balance()) for _ in range(30)]
            # The first ones are on their way, the rest wait for their turns.
            await asyncio.sleep(0.25)
            await api.cancel_all_orders()
            waiting = sum(not task.done() for task in queue)
            for task in queue:
                task.cancel()
            await asyncio.gather(*queue, return_exceptions=True)
            return waiting
        finally:
            await api.close()

    assert asyncio.run(play()) >= 15
    methods = [line["method"] for line in control.requests()]
    assert methods.count("DELETE") == 1
    assert methods.index("DELETE") < 15
