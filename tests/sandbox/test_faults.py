"""Each fault once, as a client over real TCP sees it."""

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path

import aiohttp
import pytest
import requests

from bitopro_margin_ext.sandbox.control_client import ControlError
from bitopro_margin_ext.sandbox.faults import KINDS
from bitopro_margin_ext.sandbox.state import Refusal
from tests.sandbox.trader import Trader, headers

pytestmark = pytest.mark.bitopro_sandbox(rate_limits=False)
ALL = {"method": "DELETE", "path": "/margin/orders/all"}
CANCEL_ALL = "/margin/orders/all"
SMALL = {"pair": "btc_usdt", "action": "BUY", "amount": "0.01", "price": "50000"}


@pytest.fixture
def orders(trader):
    return [trader.placed(price=str(50000 + i)) for i in range(4)]


def truly_open(control):
    return [order["id"] for order in control.orders(only_open=True)]


@pytest.mark.parametrize(
    ("status", "body", "more"),
    [
        (429, {"error": "Too Many Requests"}, {}),
        (429, {"error": "Too Many Requests"}, {"Retry-After": "2"}),
        (500, {"error": "Server Error"}, {}),
        (502, "<html><body>Bad Gateway</body></html>", {}),
        (401, {"error": "Unauthorized api key"}, {}),
        (403, {"error": "Forbidden"}, {}),
        (409, {"error": "Conflict"}, {}),
        (422, {"error": "Unprocessable Entity"}, {}),
        (408, {"error": "Request Timeout"}, {}),
    ],
)
def test_status(trader, control, orders, status, body, more):
    control.add_fault("status", **ALL, status=status, body=body, headers=more)
    reply = trader.delete(CANCEL_ALL)
    assert reply.status_code == status
    if isinstance(body, str):
        assert reply.text == body
        assert "text/html" in reply.headers["Content-Type"]
    else:
        assert reply.json() == body
    assert reply.headers.get("Retry-After") == more.get("Retry-After")
    assert truly_open(control) == orders
    assert len(trader.delete(CANCEL_ALL).json()["data"]["BTC_USDT"]) == 4


def test_status_after_processing(trader, control, orders):
    control.add_fault("status", **ALL, status=502, body="<html></html>", process=True)
    assert trader.delete(CANCEL_ALL).status_code == 502
    assert truly_open(control) == []


def test_close_before_processing(trader, control, orders):
    control.add_fault("close", **ALL)
    with pytest.raises(requests.ConnectionError):
        trader.delete(CANCEL_ALL)
    assert truly_open(control) == orders
    line = control.requests()[-1]
    assert (line["status"], line["faults"]) == (None, ["close"])


def test_process_and_close(trader, control, orders):
    control.add_fault("process_close", **ALL)
    with pytest.raises(requests.ConnectionError):
        trader.delete(CANCEL_ALL)
    assert truly_open(control) == []


def test_cut_off(trader, control, orders):
    control.add_fault("cut_off", **ALL)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        trader.delete(CANCEL_ALL)
    assert truly_open(control) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_delay_past_the_clients_patience(trader, control, orders, when):
    control.add_fault("delay", **ALL, seconds="0.6", when=when)
    with pytest.raises(requests.ReadTimeout):
        trader.send("DELETE", CANCEL_ALL, timeout=0.3)
    assert truly_open(control) == (orders if when == "before" else [])
    time.sleep(0.5)
    assert truly_open(control) == []


def test_drip(trader, control, orders):
    control.add_fault("drip", **ALL, seconds="0.005")
    began = time.monotonic()
    assert len(trader.delete(CANCEL_ALL).json()["data"]["BTC_USDT"]) == 4
    assert time.monotonic() - began > 0.25


@pytest.mark.parametrize("kind", ["invalid_json", "truncated_json", "empty_body"])
def test_bodies_that_are_no_json(trader, control, orders, kind):
    control.add_fault(kind, **ALL)
    reply = trader.delete(CANCEL_ALL)
    assert reply.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        reply.json()
    assert truly_open(control) == []


def test_list_body(trader, control, orders):
    control.add_fault("list_body", **ALL)
    assert trader.delete(CANCEL_ALL).json() == [{"data": {"BTC_USDT": orders}}]


def test_cancel_some(trader, control, orders):
    control.add_fault("cancel_some", **ALL)
    assert trader.delete(CANCEL_ALL).json() == {"data": {"BTC_USDT": [orders[0], orders[2]]}}
    assert truly_open(control) == [orders[1], orders[3]]


def test_cancel_some_by_count_and_by_id(trader, control, orders):
    control.add_fault("cancel_some", **ALL, count=1)
    assert trader.delete(CANCEL_ALL).json() == {"data": {"BTC_USDT": [orders[0]]}}
    control.add_fault("cancel_some", method="PUT", path="/margin/orders", ids=[orders[2]])
    done = trader.put("/margin/orders", {"BTC_USDT": orders}).json()
    assert done == {"data": {"BTC_USDT": [orders[1], orders[3]]}}


def test_fill_just_before_cancelling(trader, control, orders):
    control.add_fault("fill_before", **ALL, fraction="0.5", count=1)
    control.add_fault("fill_before", **ALL, ids=[orders[1]])
    done = trader.delete(CANCEL_ALL).json()
    # The second was filled whole, so it cannot be among the cancelled.
    assert done == {"data": {"BTC_USDT": [orders[0], orders[2], orders[3]]}}
    assert [control.order(i)["status"] for i in orders] == [3, 2, 4, 4]
    assert control.order(orders[0])["executedAmount"] == "0.005"


def test_fill_just_after_the_answer_was_built(trader, control, orders):
    control.add_fault("fill_after", method="GET", path="/margin/orders/orders/open", fraction="0.5")
    first = trader.get("/margin/orders/orders/open").json()["data"]
    assert {line["executedAmount"] for line in first} == {"0"}
    assert {order["executedAmount"] for order in control.orders()} == {"0.005"}


def test_fill_on_a_path_about_one_order(trader, control, orders):
    path = f"/margin/orders/btc_usdt/{orders[1]}"
    control.add_fault("fill_before", method="DELETE", path=path)
    assert trader.delete(path).status_code == 400
    assert truly_open(control) == [orders[0], orders[2], orders[3]]


def test_listings_lag(trader, control, orders):
    control.advance(3)
    trader.delete(f"/margin/orders/btc_usdt/{orders[0]}")
    control.add_fault("lag", method="GET", path="/margin/orders/*", seconds=2, times=None)
    assert len(trader.get("/margin/orders/orders/open").json()["data"]) == 4
    assert trader.fetch(orders[0])["status"] == 0
    newer = trader.placed()
    assert trader.get(f"/margin/orders/btc_usdt/{newer}").status_code == 404
    control.advance(3)
    assert trader.fetch(orders[0])["status"] == 4
    assert len(trader.get("/margin/orders/orders/open").json()["data"]) == 4


def test_clock_off_for_some_calls(trader, control):
    control.add_fault("clock", path="/margin/balances", seconds=60)
    reply = trader.get("/margin/balances")
    assert reply.status_code == 409
    ahead = parsedate_to_datetime(reply.headers["Date"]).timestamp() - time.time()
    assert 58 < ahead < 61
    assert trader.get("/margin/balances").status_code == 200


def test_one_id_twice(trader, control, orders):
    control.add_fault("duplicate", method="GET")
    listed = trader.get("/margin/orders/orders/open").json()["data"]
    assert len(listed) == 5
    control.add_fault("duplicate", **ALL)
    assert trader.delete(CANCEL_ALL).json() == {"data": {"BTC_USDT": [*orders, orders[0]]}}


def test_ids_as_numbers(trader, control, orders):
    control.add_fault("numeric_ids", **ALL)
    assert trader.delete(CANCEL_ALL).json() == {"data": {"BTC_USDT": [int(i) for i in orders]}}


def test_counting_times_after_and_hits(trader, control):
    control.add_fault("status", path="/margin/balances", status=500, times=2, after=1)
    codes = [trader.get("/margin/balances").status_code for _ in range(5)]
    assert codes == [200, 500, 500, 200, 200]
    (rule,) = control.faults()
    assert (rule["hits"], rule["matched"]) == (2, 3)
    control.clear_faults()
    assert control.faults() == []


def test_probability_is_repeatable(trader, control):
    def run():
        control.clear_faults()
        rule = {"path": "/margin/balances", "times": None, "probability": 0.5, "seed": 7}
        control.add_fault("status", status=500, **rule)
        return [trader.get("/margin/balances").status_code for _ in range(12)]

    first = run()
    assert set(first) == {200, 500}
    assert run() == first


def test_regular_expressions_and_methods(trader, control):
    control.add_fault("status", method="GET", path=r"^/margin/(balances|x)$", regex=True)
    assert trader.delete(CANCEL_ALL).status_code == 200
    assert trader.get("/margin/balances").status_code == 500


def test_several_faults_on_one_call(trader, control, orders):
    control.add_fault("fill_before", **ALL, fraction="0.5", count=1)
    control.add_fault("process_close", **ALL)
    with pytest.raises(requests.ConnectionError):
        trader.delete(CANCEL_ALL)
    assert [control.order(i)["status"] for i in orders] == [3, 4, 4, 4]


@pytest.mark.parametrize(
    "rule", [{"kind": "nonsense"}, {"kind": "close", "sekonds": 1}, {"kind": "drip", "status": 1}]
)
def test_a_mistaken_rule_is_an_error(control, rule):
    with pytest.raises(ControlError, match="fault"):
        control.add_fault(**rule)


def test_every_kind_is_tried():
    tried = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [kind for kind in KINDS if f'"{kind}"' not in tried] == []


def test_dropped_connections_look_dropped_to_aiohttp_too(sandbox, control):
    """On a POST: aiohttp itself sends a dropped GET, PUT or DELETE once more, same headers."""

    async def ask():
        raw = b'{"currency": "usdt", "borrowAmount": "1"}'
        async with aiohttp.ClientSession() as session:
            url = sandbox.rest_url + "/margin/borrow"
            async with session.post(url, data=raw, headers=headers(raw)) as reply:
                return reply.status

    for kind in ("close", "process_close"):
        control.add_fault(kind, path="/margin/borrow")
        with pytest.raises(aiohttp.ClientConnectionError):
            asyncio.run(ask())
    assert control.state()["accounts"][0]["debts"]["USDT"] == "1"
    assert [line["status"] for line in control.requests()] == [None, None]


def test_control_and_calls_from_many_threads(sandbox, trader, control):
    """The lock holds: nothing is cancelled twice, and all agree in the end."""
    ids = [order["id"] for order in control.seed_orders([SMALL] * 60)]

    def cancel(order_id):
        return Trader(sandbox).delete(f"/margin/orders/btc_usdt/{order_id}").status_code

    def fill(order_id):
        order = sandbox.exchange.order(order_id)
        with contextlib.suppress(Refusal):
            return sandbox.exchange.fill(order, fraction=Decimal("0.5")) is not None
        return False

    with ThreadPoolExecutor(8) as pool:
        cancels = [pool.submit(cancel, i) for i in ids for _ in range(2)]
        fills = [pool.submit(fill, i) for i in ids]
    assert sorted({c.result() for c in cancels}) == [200, 400]
    assert sum(c.result() == 200 for c in cancels) == 60
    assert [order["status"] for order in control.orders()] == [
        3 if fill.result() else 4 for fill in fills
    ]


def test_what_was_held_back_over_a_reset_is_not_carried_out(control, trader):
    control.add_fault("delay", method="POST", path="/margin/orders/*", seconds=0.6)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(trader.placed, price="50000")
        deadline = time.monotonic() + 5
        while not control.faults()[0]["hits"] and time.monotonic() < deadline:
            time.sleep(0.02)
        control.reset()
        with pytest.raises(requests.ConnectionError):
            sent.result(5)
    assert control.orders() == []
