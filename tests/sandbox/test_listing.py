"""Listings: filters, order, limits, and where open orders are found."""

import pytest

pytestmark = pytest.mark.bitopro_sandbox(rate_limits=False)


def ids(reply):
    assert reply.status_code == 200, reply.text
    return [line.get("id") or line["tradeId"] for line in reply.json()["data"]]


def seeded(control, **fields):
    return control.seed_order("btc_usdt", "BUY", "0.1", "50000", **fields)["id"]


def test_all_orders_newest_first_with_filters(trader, control):
    old = seeded(control, status=4, age=3600)
    filled, partly = seeded(control, status=2, age=1800), seeded(control, status=3, age=900)
    first, second = seeded(control, clientId=5), seeded(control)
    path, now = "/margin/orders/all/btc_usdt", control.state()["now_ms"]
    assert ids(trader.get(path)) == [second, first, partly, filled, old]
    assert ids(trader.get(path, limit=2)) == [second, first]
    assert ids(trader.get(path, statusKind="OPEN")) == [second, first]
    assert ids(trader.get(path, statusKind="DONE")) == [partly, filled, old]
    assert ids(trader.get(path, status=4)) == [old]
    assert ids(trader.get(path, clientId=5)) == [first]
    assert ids(trader.get(path, orderId=first))[0] == first
    assert ids(trader.get(path, startTimestamp=now - 2_000_000)) == [second, first, partly, filled]
    assert ids(trader.get(path, endTimestamp=now - 1_000_000)) == [filled, old]
    control.switches(done_includes_cancelled=False)
    assert ids(trader.get(path, statusKind="DONE")) == [partly, filled]


def test_ninety_days_are_kept(trader, control):
    seeded(control, status=4)
    control.advance(91 * 86400)
    control.switches(nonce_window_ms=100 * 86_400_000)
    assert ids(trader.get("/margin/orders/all/btc_usdt")) == []


@pytest.mark.parametrize(
    "query", [{"statusKind": "SOME"}, {"limit": "x"}, {"limit": 1001}, {"startTimestamp": "x"}]
)
def test_bad_filters_are_400(trader, query):
    assert trader.get("/margin/orders/all/btc_usdt", **query).status_code == 400


def test_own_trades_with_filters_and_paging(trader, control):
    order, other = seeded(control), seeded(control)
    for _ in range(3):
        control.fill(order, fraction="0.1")
    control.fill(other, fraction="0.1")
    path = "/margin/orders/trades/btc_usdt"
    everything = ids(trader.get(path))
    assert len(everything) == 4
    assert everything == sorted(everything, reverse=True)
    assert len(ids(trader.get(path, orderId=order))) == 3
    page = ids(trader.get(path, limit=2))
    assert page == everything[:2]
    assert ids(trader.get(path, tradeId=page[-1], limit=2)) == everything[1:3]
    assert ids(trader.get(path, startTimestamp=control.state()["now_ms"] + 1000)) == []
    assert trader.get(path, limit=1001).status_code == 400


def test_open_orders_by_pair_last_updated_first(trader, control):
    first, second = seeded(control), seeded(control)
    eth = control.seed_order("eth_usdt", "BUY", "1", "2000")["id"]
    control.advance(1)
    control.fill(first, fraction="0.5")
    path = "/margin/orders/orders/open"
    assert ids(trader.get(path)) == [first, eth, second]
    assert ids(trader.get(path, pair="btc_usdt")) == [first, second]
    assert ids(trader.get(path, pair="BTC_USDT")) == [first, second]
    assert trader.get(path, pair="xxx_yyy").status_code == 404


@pytest.mark.parametrize(
    ("choice", "documented", "plain"),
    [("documented", 200, 404), ("plain", 404, 200), ("both", 200, 200)],
)
def test_where_open_orders_are(trader, control, choice, documented, plain):
    control.switches(open_orders_path=choice)
    assert trader.get("/margin/orders/orders/open").status_code == documented
    assert trader.get("/margin/orders/open").status_code == plain


def test_ids_can_be_numbers_and_times_milliseconds(trader, control):
    order = trader.placed()
    control.switches(numeric_ids=True, open_orders_in_seconds=False)
    (line,) = trader.get("/margin/orders/orders/open").json()["data"]
    assert line["id"] == int(order)
    assert line["createdTimestamp"] > 10**12
    assert trader.delete("/margin/orders/all").json() == {"data": {"BTC_USDT": [int(order)]}}
    assert trader.put("/margin/orders", {"BTC_USDT": [int(order)]}).status_code == 200


def test_spot_open_orders(trader, control):
    order = trader.placed(side="spot")
    (line,) = trader.get("/orders/open", pair="btc_usdt").json()["data"]
    assert line["id"] == order
    assert line["createdTimestamp"] > 10**12
    assert "stopPrice" not in line


def test_the_public_book_shows_resting_orders(sandbox, trader):
    trader.placed(price="59999", amount="0.01")
    book = trader.get("/order-book/btc_usdt", limit=3).json()
    assert book["bids"][0] == {"price": "59999", "amount": "0.01", "count": 1, "total": "0.01"}
    assert len(book["asks"]) == 3
    assert float(book["bids"][0]["price"]) < float(book["asks"][0]["price"])
