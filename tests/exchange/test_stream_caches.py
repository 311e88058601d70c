"""What counts as news, and who has not heard it."""

import pytest

from bitopro_margin_ext.exchange.pro_cache import KEPT, OrderCache, TradeCache


def order(order_id="1", status="open", filled=0.0, updated=1, **more):
    return {
        "id": order_id,
        "symbol": "BTC/USDT",
        "status": status,
        "filled": filled,
        "remaining": 1 - float(filled),
        "amount": 1.0,
        "price": 5.0,
        "triggerPrice": None,
        "lastUpdateTimestamp": updated,
        "info": {},
        **more,
    }


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (order(), order(), False),
        (order(), order(updated=2), False),
        (order(), order(filled=0.5, updated=2), True),
        (order(filled=0.5, updated=2), order(updated=1), False),
        (order(updated=1_700), order(filled=0.5, updated=1_000), True),
        (order(price=6.0, updated=2_000), order(updated=1_999), False),
        (order(filled=0.5), order(filled=0.4, updated=2), False),
        # With ccxt's ``number = str``: as texts "9" is more than "10".
        (order(filled="9"), order(filled="10", updated=2), True),
        (order(filled="10"), order(filled="9", updated=2), False),
        (order(), order(status="canceled"), True),
        (order(updated=5), order(status="canceled", updated=None), True),
        (order(status="canceled"), order(updated=9), False),
        (order(status="canceled"), order(status="canceled", filled=0.5), True),
        (order(status="closed", filled=1.0), order(status="canceled", filled=0.5), False),
        (order(info={"status": -1}), order(info={"status": 0}, updated=2), True),
    ],
)
def test_news(before, after, news):
    feed = OrderCache()
    feed.apply(before)
    assert feed.take(None) == [before]
    assert feed.apply(after) is news
    assert feed.take(None) == ([after] if news else [])


def test_the_cache_is_bounded_but_keeps_what_is_open_or_unseen():
    feed = OrderCache()
    feed.apply(order("resting"))
    feed.take("ETH/USDT")
    for number in range(3 * KEPT):
        feed.apply(order(str(number), "canceled"))
    assert len(feed.orders) <= 2 * KEPT + 1
    assert ("BTC/USDT", "resting") in feed.orders
    feed.take(None)
    for number in range(3 * KEPT):
        feed.apply(order(f"b{number}", "canceled"))
    assert len(feed.take(None)) == 3 * KEPT


def test_what_is_handed_out_is_the_consumers_own():
    feed = OrderCache()
    feed.apply(order())
    feed.take(None)[0]["status"] = "spoilt"
    assert feed.take("BTC/USDT")[0]["status"] == "open"


def trade(order_id="1", amount=1.0, ms=1_000, **more):
    return {
        "order": order_id,
        "symbol": "BTC/USDT",
        "side": "buy",
        "price": 5.0,
        "amount": amount,
        "timestamp": ms,
        **more,
    }


def test_a_list_adds_only_what_was_not_told():
    feed = TradeCache()
    feed.follow(None)
    told = [trade(), trade(), trade("2")]
    for one in told:
        feed.add(one)
    listed = [trade(ms=1_400, id="7"), trade(ms=1_401, id="8"), trade(ms=1_402, id="9")]
    feed.add_missed([*listed, trade("2", ms=1_999), trade("2", ms=2_000, id="10")])
    found = feed.take(None)
    assert found[:3] == told
    assert [one["id"] for one in found[3:]] == ["9", "10"]
    assert feed.take(None) == []


def test_trades_are_bounded_and_still_told_once():
    feed = TradeCache()
    feed.follow(None)
    for number in range(KEPT):
        feed.add(trade(str(number)))
    assert len(feed.take(None)) == KEPT
    for number in range(2 * KEPT):
        feed.add(trade(f"b{number}"))
    assert len(feed.trades) <= 2 * KEPT
    assert [one["order"] for one in feed.take(None)][-1] == f"b{2 * KEPT - 1}"
