"""The class with streams makes the same calls over REST as the asynchronous one."""

import ccxt
import pytest

from tests.exchange.conftest import Streaming, seed

BTC = "BTC/USDT"


@pytest.fixture
def api(sandbox):
    found = Streaming(sandbox.rest_url)
    yield found
    found.close()


def test_an_order_from_its_creation_to_its_end(api, control):
    order = api("create_order", BTC, "limit", "buy", 0.001, 30000, {"timeInForce": "PO"})
    assert api("fetch_open_orders", BTC)[0]["id"] == order["id"]
    assert api("fetch_order", order["id"], BTC)["status"] == "open"
    assert api("cancel_order", order["id"], BTC)["status"] == "canceled"
    assert [found["id"] for found in api("fetch_canceled_orders", BTC)] == [order["id"]]
    with pytest.raises(ccxt.InvalidOrder):
        api("cancel_order", order["id"], BTC)


def test_a_sweep(api, control, log):
    ids = seed(control, 3)
    log()
    report = api("cancel_and_confirm", None, [(BTC, order_id) for order_id in ids])
    assert [order["id"] for order in report.cancelled] == sorted(ids)
    assert [method for method, _ in log()] == ["DELETE", "GET", "GET"]


def test_no_email_is_asked_for(api, control):
    assert api("fetch_balance")["info"]
    assert api("fetch_balance", {"type": "spot"})["info"]


def test_what_is_no_pair_is_refused(api, log):
    log()
    with pytest.raises(ccxt.BadSymbol):
        api("cancel_all_orders", "all")
    assert log() == []
