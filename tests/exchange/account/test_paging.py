"""Own trades come whole, page by page, whatever the exchange makes of ``tradeId``."""

import urllib.parse

import pytest

START = 1_720_000_000_000
TRADES = "/margin/orders/trades/btc_usdt"


def rows(count):
    return [
        {
            "tradeId": str(number),
            "orderId": str(number // 10),
            "price": "4",
            "action": "SELL",
            "baseAmount": "1",
            "quoteAmount": "4",
            "fee": "0",
            "feeSymbol": "usdt",
            "isTaker": False,
            "timestamp": START + number,
            "createdTimestamp": START + number,
        }
        for number in range(count, 0, -1)
    ]


def exchange_with(count, honours_trade_id=True):
    """Newest first, ids less than or equal to ``tradeId``, as the page says."""

    def answer(query):
        asked = dict(urllib.parse.parse_qsl(query))
        found = rows(count)
        if honours_trade_id and "tradeId" in asked:
            found = [row for row in found if int(row["tradeId"]) <= int(asked["tradeId"])]
        if "orderId" in asked:
            found = [row for row in found if row["orderId"] == asked["orderId"]]
        return {"data": found[: int(asked.get("limit", 100))]}

    return answer


def queries(book):
    return [dict(urllib.parse.parse_qsl(path.partition("?")[2])) for path, _ in book.sent("GET")]


def test_all_pages_without_a_gap_or_a_repetition(book, connect):
    book.answers["GET", TRADES] = exchange_with(2500)
    trades = connect(book.rest_url)("fetch_my_trades", "BTC/USDT", params={"paginate": True})
    assert [trade["id"] for trade in trades] == [str(number) for number in range(1, 2501)]
    assert [query.get("tradeId") for query in queries(book)] == [None, "1501", "502"]


def test_a_limit_is_the_newest_and_asks_no_more(book, connect):
    book.answers["GET", TRADES] = exchange_with(2500)
    api = connect(book.rest_url)
    trades = api("fetch_my_trades", "BTC/USDT", None, 1200, {"paginate": True})
    assert [trade["id"] for trade in trades] == [str(number) for number in range(1301, 2501)]
    assert len(queries(book)) == 2


def test_one_request_without_paging(book, connect):
    book.answers["GET", TRADES] = exchange_with(2500)
    trades = connect(book.rest_url)("fetch_my_trades", "BTC/USDT", None, 5000)
    assert len(trades) == 1000
    assert queries(book) == [{"limit": "1000"}]


def test_an_exchange_that_ignores_trade_id_does_not_loop(book, connect):
    book.answers["GET", TRADES] = exchange_with(2500, honours_trade_id=False)
    api = connect(book.rest_url)
    trades = api("fetch_my_trades", "BTC/USDT", params={"paginate": True})
    assert len(trades) == 1000
    assert len(queries(book)) == 2


def test_the_number_of_requests_can_be_bounded(book, connect):
    book.answers["GET", TRADES] = exchange_with(2500)
    params = {"paginate": True, "paginationCalls": 2, "until": START + 9_000}
    trades = connect(book.rest_url)("fetch_my_trades", "BTC/USDT", START, None, params)
    assert len(trades) == 1999
    assert queries(book)[1] == {
        "startTimestamp": str(START),
        "endTimestamp": str(START + 9_000),
        "limit": "1000",
        "tradeId": "1501",
    }


def test_the_trades_of_one_order_only(book, connect):
    unfiltered = exchange_with(50)
    book.answers["GET", TRADES] = lambda query: unfiltered("")
    trades = connect(book.rest_url)("fetch_order_trades", "3", "BTC/USDT")
    assert [trade["id"] for trade in trades] == [str(number) for number in range(30, 40)]


def test_real_pages_of_the_sandbox(connect, sandbox):
    for _ in range(3):
        order = sandbox.control.seed_order("btc_usdt", "BUY", "1", "100")
        for _ in range(4):
            sandbox.control.fill(order["id"], fraction="0.25")
    api = connect(sandbox.rest_url)
    whole = api("fetch_my_trades", "BTC/USDT")
    assert len(whole) == 12
    paged = api("fetch_my_trades", "BTC/USDT", params={"paginate": True, "limit": 5})
    assert paged == whole
    own = api("fetch_order_trades", order["id"], "BTC/USDT")
    assert [trade["amount"] for trade in own] == [pytest.approx(0.25)] * 4
