"""Answers that mislead about orders: lists that contradict, lost creations, odd fields."""

import json
import time
from email.utils import parsedate_to_datetime

import pytest
import requests

pytestmark = pytest.mark.bitopro_sandbox(rate_limits=False)
CANCEL_ALL = "/margin/orders/all"
ALL = {"method": "DELETE", "path": CANCEL_ALL}
OPEN = "/margin/orders/orders/open"


@pytest.fixture
def orders(trader):
    return [trader.placed(price=str(50000 + i)) for i in range(3)]


def listed(trader):
    return {line["id"]: line["status"] for line in trader.get(OPEN).json()["data"]}


def truly_open(control):
    return [order["id"] for order in control.orders(only_open=True)]


def test_cancelled_orders_are_shown_as_open_for_a_while(trader, control, orders):
    control.add_fault("keep_showing", **ALL, seconds=5, count=2)
    assert trader.delete(CANCEL_ALL).json() == {"data": {"BTC_USDT": orders}}
    assert truly_open(control) == []
    assert listed(trader) == {orders[0]: 0, orders[1]: 0}
    assert [trader.fetch(i)["status"] for i in orders] == [0, 0, 4]
    control.advance(5)
    assert listed(trader) == {}
    assert trader.fetch(orders[0])["status"] == 4


def test_cancelled_orders_are_shown_for_ever_in_lists_only(trader, control, orders):
    control.add_fault("keep_showing", **ALL, ids=[orders[1]], where="lists")
    trader.delete(CANCEL_ALL)
    control.advance(3600 * 24 * 30)
    control.switches(nonce_window_ms=10**12)
    assert listed(trader) == {orders[1]: 0}
    assert trader.fetch(orders[1])["status"] == 4


def test_cancel_all_names_an_order_that_it_did_not_cancel(trader, control, orders):
    control.add_fault("cancel_some", **ALL, ids=[orders[1]], claim=True)
    assert trader.delete(CANCEL_ALL).json() == {"data": {"BTC_USDT": orders}}
    assert truly_open(control) == [orders[1]]
    assert listed(trader) == {orders[1]: 0}


@pytest.mark.parametrize(("fraction", "status"), [(None, 2), ("0.5", None)])
def test_a_cancel_is_answered_with_the_status_of_an_order_that_filled(
    trader, control, orders, fraction, status
):
    path = f"/margin/orders/btc_usdt/{orders[0]}"
    more = {} if fraction is None else {"fraction": fraction}
    control.add_fault("fill_instead", method="DELETE", path=path, **more)
    reply = trader.delete(path)
    assert (reply.status_code, reply.json()["orderId"]) == (200, orders[0])
    assert reply.json().get("status") == status
    assert control.order(orders[0])["status"] == (status or 3)


@pytest.mark.parametrize("value", ["-1", "9999", "nonsense"])
def test_amounts_that_cannot_be(trader, control, orders, value):
    control.add_fault("overwrite", field="executedAmount", value=value, ids=[orders[1]], times=None)
    lines = {line["id"]: line["executedAmount"] for line in trader.get(OPEN).json()["data"]}
    assert lines == {orders[0]: "0", orders[1]: value, orders[2]: "0"}
    assert trader.fetch(orders[1])["executedAmount"] == value


@pytest.mark.parametrize(
    ("becomes", "status", "executed"),
    [
        ("rests", 0, "0"),
        ("partly_filled", 1, "0.006"),
        ("filled", 2, "0.01"),
        ("cancelled", 4, "0"),
        ("partly_cancelled", 3, "0.006"),
        ("rejected", None, None),
    ],
)
@pytest.mark.parametrize("crossing", [False, True])
def test_a_creation_whose_answer_is_lost(trader, control, becomes, status, executed, crossing):
    control.lose_creation(becomes, **({"fraction": "0.6"} if "partly" in becomes else {}))
    with pytest.raises(requests.ConnectionError):
        trader.order(price="61000" if crossing else "50000", clientId=7)
    found = control.orders()
    assert [(o["status"], o["executedAmount"]) for o in found] == (
        [] if status is None else [(status, executed)]
    )
    control.set_price("btc_usdt", "60001")  # what rests goes on resting
    assert [o["status"] for o in control.orders()] == [o["status"] for o in found]
    assert trader.order(clientId=8).status_code == 200


def test_a_rejected_creation_says_so_when_it_is_answered(trader, control):
    control.add_fault("created_order", method="POST", becomes="rejected")
    reply = trader.order()
    assert (reply.status_code, reply.json()) == (400, {"error": "Order rejected by the exchange."})


def test_a_market_order_that_is_lost_and_partly_filled(trader, control):
    control.lose_creation("partly_cancelled", fraction="0.25")
    with pytest.raises(requests.ConnectionError):
        trader.order(type="MARKET", amount="600")
    (order,) = control.orders()
    assert (order["status"], float(order["executedAmount"])) == (3, pytest.approx(0.0025, 1e-3))


def test_a_batch_that_is_lost_and_fills(trader, control):
    control.lose_creation("filled")
    with pytest.raises(requests.ConnectionError):
        trader.post("/margin/orders/batch", [{"pair": "BTC_USDT", **order_body()}] * 2)
    assert [order["status"] for order in control.orders()] == [2, 2]


def test_a_stop_that_is_lost_and_fills(trader, control):
    control.set_balances({"BTC": "1"})
    control.lose_creation("filled")
    with pytest.raises(requests.ConnectionError):
        trader.order(action="SELL", type="STOP_LIMIT", stopPrice="55000", condition="<=")
    (order,) = control.orders()
    assert (order["type"], order["status"]) == ("STOP_LIMIT", 2)


def test_an_answer_of_many_megabytes(trader, control, orders):
    control.add_fault("huge_body", **ALL, megabytes=3)
    body = trader.delete(CANCEL_ALL).content
    assert 2_900_000 < len(body) < 3_200_000
    assert json.loads(body)["data"]["BTC_USDT"][:3] == orders
    control.add_fault("huge_body", path=OPEN, megabytes=0.5)
    assert len(trader.get(OPEN).json()["data"]) > 1000


def test_a_call_is_answered_as_the_last_time(trader, control, orders):
    before = trader.get(OPEN).json()
    trader.delete(CANCEL_ALL)
    control.add_fault("repeat_last", path=OPEN)
    assert trader.get(OPEN).json() == before
    assert trader.get(OPEN).json() == {"data": []}


def test_a_creation_is_accepted_late(trader, control):
    """The client has given up; the order comes to life afterwards."""
    control.add_fault("delay", method="POST", seconds=0.4, when="before")
    with pytest.raises(requests.ReadTimeout):
        trader.send("POST", "/margin/orders/btc_usdt", order_body(), timeout=0.1)
    assert control.orders() == []
    deadline = time.monotonic() + 5
    while not control.orders() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(control.orders()) == 1


def test_redirects_and_pages(trader, control):
    control.add_fault(
        "status", path=OPEN, status=302, body="<html>moved</html>", headers={"Location": "http://x"}
    )
    reply = trader.session.get(trader.server.rest_url + OPEN, allow_redirects=False, timeout=5)
    assert (reply.status_code, reply.headers["Location"]) == (302, "http://x")
    control.add_fault("status", path=OPEN, status=200, body="<html>maintenance</html>")
    assert trader.get(OPEN).text == "<html>maintenance</html>"


@pytest.mark.parametrize(
    ("closed", "reads", "cancels", "creates"),
    [("new orders", 200, 200, 400), ("writes", 200, 400, 400), ("all", 400, 400, 400)],
)
def test_a_pair_under_maintenance(trader, control, orders, closed, reads, cancels, creates):
    other = trader.placed("eth_usdt", price="2000")
    control.set_maintenance("btc_usdt", closed, "pair is under maintenance")
    for path in ("all/btc_usdt", "trades/btc_usdt", f"btc_usdt/{orders[0]}"):
        reply = trader.get(f"/margin/orders/{path}")
        assert reply.status_code == reads
        if reads == 400:
            assert reply.json() == {"error": "pair is under maintenance"}
    assert trader.get(OPEN, pair="btc_usdt").status_code == reads
    assert trader.order().status_code == creates
    assert trader.delete(f"/margin/orders/btc_usdt/{orders[0]}").status_code == cancels
    assert trader.put("/margin/orders", {"BTC_USDT": [orders[1]]}).status_code == cancels
    done = trader.delete(CANCEL_ALL).json()["data"]
    left = [orders[2]] if cancels == 200 else None
    assert done == {"ETH_USDT": [other], **({"BTC_USDT": left} if left else {})}
    assert trader.delete("/margin/orders/btc_usdt").status_code == cancels
    control.set_maintenance("btc_usdt", False)
    assert trader.order().status_code == 200
    assert sorted(listed(trader)) == sorted(truly_open(control))


def test_a_pair_without_a_history(trader, control):
    control.add_fault("status", path="/margin/orders/all/btc_usdt", status=404, times=None)
    assert trader.get("/margin/orders/all/btc_usdt").status_code == 404
    assert trader.get("/margin/orders/all/eth_usdt").status_code == 200


@pytest.mark.parametrize("status", [400, 422])
def test_a_stop_is_refused_in_any_words(trader, control, status):
    control.set_balances({"BTC": "1"})
    control.reject_stops(text="trigger price would fire at once", status=status)
    stop = {"action": "SELL", "type": "STOP_LIMIT", "stopPrice": "55000", "condition": "<="}
    reply = trader.order(**stop)
    assert reply.status_code == status
    assert reply.json() == {"error": "trigger price would fire at once"}
    assert trader.order(**stop).status_code == 200


def test_nonces_that_must_rise(trader, control, sandbox):
    control.switches(rising_nonces=True)
    assert trader.get(OPEN).status_code == 200
    late = trader.session.get(sandbox.rest_url + OPEN, headers=signed_before(), timeout=5)
    assert (late.status_code, late.json()) == (409, {"error": "Local machine time mismatch"})
    off = parsedate_to_datetime(late.headers["Date"]).timestamp() - time.time()
    assert abs(off) < 2  # so the clock is not what is wrong
    assert trader.get(OPEN).status_code == 200


def signed_before():
    from tests.sandbox.trader import claims, headers

    return headers(claims(nonce=int(time.time() * 1000) - 500))


def order_body():
    return {
        "action": "BUY",
        "type": "LIMIT",
        "amount": "0.01",
        "price": "50000",
        "timestamp": int(time.time() * 1000),
    }
