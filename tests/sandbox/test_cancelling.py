"""Cancelling: scope, what is named, and that spot and margin never touch."""

import pytest

pytestmark = pytest.mark.bitopro_sandbox(rate_limits=False)


def statuses(control):
    return {order["id"]: order["status"] for order in control.orders()}


def test_all_cancels_margin_on_every_pair_and_nothing_on_spot(trader, control):
    btc, eth = trader.placed(), trader.placed("eth_usdt", price="2000", amount="0.1")
    spot = trader.placed(side="spot")
    done = trader.delete("/margin/orders/all").json()
    assert done == {"data": {"BTC_USDT": [btc], "ETH_USDT": [eth]}}
    assert statuses(control) == {btc: 4, eth: 4, spot: 0}
    assert trader.fetch(spot, side="spot")["status"] == 0
    assert trader.get(f"/margin/orders/btc_usdt/{spot}").status_code == 404


def test_spot_cancel_all_never_touches_margin(trader, control):
    margin, spot = trader.placed(), trader.placed(side="spot")
    assert trader.delete("/orders/all").json() == {"data": {"BTC_USDT": [spot]}}
    assert statuses(control) == {margin: 0, spot: 4}
    assert trader.delete("/orders/btc_usdt").json() == {"data": {}}
    assert trader.put("/orders", {"BTC_USDT": [margin]}).json() == {"data": {}}
    assert statuses(control)[margin] == 0


@pytest.mark.parametrize("name", ["btc_usdt", "BTC_USDT"])
def test_one_pair_only(trader, control, name):
    btc, eth = trader.placed(), trader.placed("eth_usdt", price="2000", amount="0.1")
    assert trader.delete(f"/margin/orders/{name}").json() == {"data": {"BTC_USDT": [btc]}}
    assert statuses(control) == {btc: 4, eth: 0}


def test_a_batch_over_several_pairs_names_only_what_it_cancelled(trader):
    btc, eth = trader.placed(), trader.placed("eth_usdt", price="2000", amount="0.1")
    gone = trader.placed()
    trader.delete(f"/margin/orders/btc_usdt/{gone}")
    wish = {"BTC_USDT": [btc, gone, "1"], "ETH_USDT": [eth], "ETH_BTC": ["2"]}
    assert trader.put("/margin/orders", wish).json() == {
        "data": {"BTC_USDT": [btc], "ETH_USDT": [eth]}
    }
    assert trader.put("/margin/orders", ["1"]).status_code == 400


def test_a_single_cancel_of_what_is_not_open(trader, control):
    order = trader.placed()
    assert trader.delete("/margin/orders/btc_usdt/12345").status_code == 404
    assert trader.delete(f"/margin/orders/eth_usdt/{order}").status_code == 404
    trader.delete(f"/margin/orders/btc_usdt/{order}")
    again = trader.delete(f"/margin/orders/btc_usdt/{order}")
    assert (again.status_code, again.json()) == (
        400,
        {"error": f"Order {order} cannot be cancelled."},
    )


def test_web_only_types_are_met_by_cancel_all(trader, control):
    seeded = [
        control.seed_order(
            "btc_usdt", "SELL", "0.1", "61000", type=kind, stopPrice="60900", condition=">="
        )["id"]
        for kind in ("SP_OCO_STOPLIMIT", "SL_OCO_STOPLIMIT")
    ]
    assert [trader.fetch(i)["type"] for i in seeded] == ["SP_OCO_STOPLIMIT", "SL_OCO_STOPLIMIT"]
    assert [trader.fetch(i)["status"] for i in seeded] == [-1, -1]
    assert trader.delete("/margin/orders/all").json() == {"data": {"BTC_USDT": seeded}}


@pytest.mark.parametrize("status", [-1, 0, 1, 2, 3, 4, 6])
def test_seeding_any_status(trader, control, status):
    stop = {"stopPrice": "40000", "condition": "<=", "type": "STOP_LIMIT"} if status == -1 else {}
    before = trader.margin()["BTC"]["availableAmount"]
    seeded = control.seed_order("btc_usdt", "SELL", "0.1", "61000", status=status, **stop)
    order = trader.fetch(seeded["id"])
    assert order["status"] == status
    assert (order["executedAmount"] != "0") == (status in (1, 2, 3))
    if status < 2:
        assert trader.margin()["BTC"]["availableAmount"] == before
    assert seeded["by_hand"] is True


def test_a_cancelled_order_can_have_been_filled_in_part(trader, control):
    seeded = control.seed_order("btc_usdt", "BUY", "0.1", "50000", status=4, executedAmount="0.02")
    order = trader.fetch(seeded["id"])
    assert (order["status"], order["executedAmount"]) == (4, "0.02")


def test_an_id_may_repeat_on_another_pair(trader, control):
    control.seed_order("btc_usdt", "BUY", "0.1", "50000", id="777")
    control.seed_order("eth_usdt", "BUY", "1", "2000", id="777")
    control.cancel("777", pair="eth_usdt")
    assert trader.fetch("777")["status"] == 0
    assert trader.fetch("777", "eth_usdt")["status"] == 4


def test_a_delisted_pair(trader, control):
    order = trader.placed()
    control.delist("btc_usdt")
    assert trader.get("/margin/orders/all/btc_usdt").status_code == 404
    assert trader.get("/margin/orders/orders/open").json() == {"data": []}
    assert control.order(order)["status"] == 4
    assert trader.delete("/margin/orders/all").json() == {"data": {}}


def test_spot_and_margin_have_their_own_money_and_histories(trader, control):
    trader.placed(price="61000", side="spot")
    assert trader.get("/margin/orders/all/btc_usdt").json() == {"data": []}
    assert trader.get("/margin/orders/trades/btc_usdt").json() == {"data": []}
    assert len(trader.get("/orders/all/btc_usdt").json()["data"]) == 1
    assert len(trader.get("/orders/trades/btc_usdt").json()["data"]) == 1
    assert trader.margin()["USDT"]["availableAmount"] == "10000.00000000"
