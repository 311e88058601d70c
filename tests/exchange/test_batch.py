"""Several orders in a request: each order's own outcome, and unknown where nobody said."""

import ccxt
import pytest

SYMBOL = "BTC/USDT"
BATCH = "/v3/margin/orders/batch"


def limit(price, **more):
    order = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.001, "price": price}
    return {**order, **more}


@pytest.fixture
def api(connect, sandbox):
    api = connect(sandbox.rest_url)
    api("load_markets")
    sandbox.control.clear_requests()
    return api


def batches(sandbox):
    return [line for line in sandbox.control.requests() if line["path"] == BATCH]


def test_chunks_of_ten_in_order(api, sandbox):
    orders = api("create_orders", [limit(40000 + place) for place in range(23)])
    assert [order["price"] for order in orders] == [40000 + place for place in range(23)]
    assert all(order["status"] == "open" and order["id"] for order in orders)
    assert len(batches(sandbox)) == 3
    assert {order["id"] for order in api("fetch_open_orders")} == {order["id"] for order in orders}


def test_one_refusal_leaves_the_others(api, sandbox):
    orders = api("create_orders", [limit(40000), limit(40000, amount=900), limit(40001)])
    assert [order["status"] for order in orders] == ["open", "rejected", "open"]
    assert orders[1]["id"] is None
    assert "not enough" in orders[1]["info"]["error"]
    assert orders[1]["clientOrderId"]


def test_a_bad_order_stops_all_before_sending(api, sandbox):
    bad = [
        limit(40000, amount=0.00001),
        limit(None),
        limit(40000, side="hold"),
        limit(40000, params={"triggerPrice": 41000}),
        limit(40000, params={"clientOrderId": "x"}),
        limit(40000, params={"type": "spot"}),
    ]
    for order in bad:
        with pytest.raises(ccxt.InvalidOrder):
            api("create_orders", [limit(40000), order])
    twins = [limit(price, params={"clientOrderId": 7}) for price in (40000, 40001)]
    with pytest.raises(ccxt.InvalidOrder, match="of its own"):
        api("create_orders", twins)
    assert batches(sandbox) == []
    assert api("create_orders", []) == []


@pytest.mark.parametrize("kind", ["process_close", "invalid_json", "empty_body", "cut_off"])
def test_orders_placed_without_an_answer_are_found(api, sandbox, kind):
    sandbox.control.add_fault(kind=kind, method="POST", path=BATCH)
    orders = api("create_orders", [limit(40000), limit(40001)])
    assert [order["status"] for order in orders] == ["open", "open"]
    truth = {order["id"] for order in sandbox.control.orders(only_open=True)}
    assert {order["id"] for order in orders} == truth
    assert len(batches(sandbox)) == 1


def test_unknown_is_said_not_guessed(api, sandbox):
    """Nothing arrived, but no list can prove it: neither placed nor rejected may be claimed."""
    sandbox.control.add_fault(kind="close", method="POST", path=BATCH)
    orders = api("create_orders", [limit(40000 + place) for place in range(12)])
    assert [order["status"] for order in orders[:10]] == [None] * 10
    for order in orders[:10]:
        assert order["id"] is None
        assert order["filled"] is None
        assert "may exist" in order["info"]["error"]
    # What would have followed was not sent, which is known.
    assert [order["status"] for order in orders[10:]] == ["rejected"] * 2
    assert "not sent" in orders[10]["info"]["error"]
    assert len(batches(sandbox)) == 1
    assert sandbox.control.orders() == []


def test_a_later_request_refused_does_not_lose_the_first(api, sandbox):
    sandbox.control.add_fault(
        kind="status", status=403, body={"error": "Forbidden"}, path=BATCH, after=1
    )
    orders = api("create_orders", [limit(40000 + place) for place in range(21)])
    statuses = [order["status"] for order in orders]
    assert statuses == ["open"] * 10 + ["rejected"] * 11
    assert "Forbidden" in orders[10]["info"]["error"]
    assert "not sent" in orders[20]["info"]["error"]


def test_the_first_request_refused_is_raised(api, sandbox):
    sandbox.control.change_key("sandbox-key", revoked=True)
    with pytest.raises(ccxt.AuthenticationError):
        api("create_orders", [limit(40000)])


def test_market_buys_go_out_in_quote(api, sandbox):
    market = limit(None, type="market", params={"cost": 12})
    orders = api("create_orders", [market, limit(None, type="market", side="sell", amount=0.0001)])
    done = api("fetch_orders", SYMBOL)
    bought = next(order for order in done if order["id"] == orders[0]["id"])
    assert bought["cost"] == pytest.approx(12, rel=0.001)


def test_cancel_orders_of_several_pairs_in_one_call(api, sandbox):
    one = api("create_order", SYMBOL, "limit", "buy", 0.001, 40000)
    two = api("create_order", "ETH/USDT", "limit", "buy", 0.01, 2000)
    gone = api("create_order", SYMBOL, "limit", "buy", 0.001, 40001)
    api("cancel_order", gone["id"], SYMBOL)
    sandbox.control.clear_requests()
    orders = [{"id": order["id"], "symbol": order["symbol"]} for order in (one, gone, two)]
    result = api("cancel_orders", orders)
    assert [(order["id"], order["symbol"], order["status"]) for order in result] == [
        (one["id"], SYMBOL, "canceled"),
        (gone["id"], SYMBOL, None),
        (two["id"], "ETH/USDT", "canceled"),
    ]
    assert [line["method"] for line in sandbox.control.requests()] == ["PUT"]
