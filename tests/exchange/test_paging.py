"""Lists in ccxt's order, whole however the exchange pages them, and a cut that is said."""

import urllib.parse

import pytest

from tests.data import example
from tests.exchange.book import BY_THE_BOOK
from tests.exchange.conftest import ON_EVERY_CLASS

START = 1_720_000_000_000
SYMBOL = "BTC/USDT"
TRADES = "/margin/orders/trades/btc_usdt"
ORDERS = "/margin/orders/all/btc_usdt"


def trade(number, moment=None, **more):
    return {
        "tradeId": str(number),
        "orderId": str(number // 10),
        "price": "4",
        "action": "SELL",
        "baseAmount": "1",
        "quoteAmount": "4",
        "fee": "0",
        "feeSymbol": "usdt",
        "isTaker": False,
        "createdTimestamp": START + number if moment is None else moment,
        **more,
    }


def order(number, status=4, moment=None):
    return {
        "id": str(number),
        "pair": "btc_usdt",
        "price": "4",
        "action": "SELL",
        "type": "LIMIT",
        "status": status,
        "originalAmount": "1",
        "remainingAmount": "0" if status == 2 else "1",
        "executedAmount": "1" if status == 2 else "0",
        "createdTimestamp": START + number if moment is None else moment,
        "updatedTimestamp": START + number if moment is None else moment,
    }


HONOURED = ("startTimestamp", "endTimestamp", "tradeId", "orderId", "limit")


def exchange_with(rows, honoured=HONOURED, end_is_included=True):
    """Newest first, with the filters that the pages document, or some of them."""
    rows = list(rows)
    is_trade = bool(rows) and "tradeId" in rows[0]
    named = "tradeId" if is_trade else "id"
    rows.sort(key=lambda row: (-row["createdTimestamp"], -int(row[named])))

    def answer(query):
        asked = {name: value for name, value in urllib.parse.parse_qsl(query) if name in honoured}
        found = rows
        if "startTimestamp" in asked:
            found = [r for r in found if r["createdTimestamp"] >= int(asked["startTimestamp"])]
        if "endTimestamp" in asked:
            end = int(asked["endTimestamp"]) + end_is_included
            found = [r for r in found if r["createdTimestamp"] < end]
        if is_trade and "orderId" in asked:
            found = [row for row in found if row["orderId"] == asked["orderId"]]
        first = asked.get("tradeId" if is_trade else "orderId")
        if first is not None:
            found = [row for row in found if int(row[named]) <= int(first)]
        return {"data": found[: int(asked.get("limit", 100))]}

    return answer


def queries(book):
    return [dict(urllib.parse.parse_qsl(path.partition("?")[2])) for path, _ in book.sent("GET")]


def ids(rows):
    return [row["id"] for row in rows]


def numbers(*span):
    return [str(number) for number in range(*span)]


EVERY_EXCHANGE = pytest.mark.parametrize(
    "honours",
    [
        {},
        {"end_is_included": False},
        {"honoured": ("startTimestamp", "tradeId", "orderId", "limit")},
        {"honoured": ("startTimestamp", "endTimestamp", "limit")},
        {"honoured": ("endTimestamp",)},
        {"honoured": ("tradeId", "orderId")},
    ],
    ids=["all", "end-excluded", "no-end", "no-cursor", "end-only", "cursor-only"],
)


@EVERY_EXCHANGE
def test_all_pages_without_a_gap_or_a_repetition(book, connect, honours):
    # Several trades a millisecond, so that a page ends in the middle of one.
    rows = [trade(number, START + number // 7) for number in range(1, 2501)]
    book.answers["GET", TRADES] = exchange_with(rows, **honours)
    trades = connect(book.rest_url)("fetch_my_trades", SYMBOL, params={"paginate": True})
    assert sorted(ids(trades), key=int) == numbers(1, 2501)
    assert trades.cut is None
    moments = [line["timestamp"] for line in trades]
    assert moments == sorted(moments)


def test_ids_that_do_not_rise_with_time_lose_nothing(book, connect):
    rows = [trade(pow(7, number, 2503), START + number) for number in range(1, 2501)]
    book.answers["GET", TRADES] = exchange_with(rows)
    trades = connect(book.rest_url)("fetch_my_trades", SYMBOL, START)
    assert ids(trades) == [row["tradeId"] for row in rows]


def test_more_trades_in_a_millisecond_than_a_page_holds(book, connect):
    rows = [trade(number, START) for number in range(1, 2501)]
    book.answers["GET", TRADES] = exchange_with(rows)
    trades = connect(book.rest_url)("fetch_my_trades", SYMBOL, START, 10)
    assert sorted(ids(trades), key=int) == numbers(1, 2501)


def test_both_sides_of_a_trade_with_oneself(book, connect):
    rows = [trade(7, orderId="1"), trade(7, orderId="2", action="BUY")]
    book.answers["GET", TRADES] = exchange_with(rows)
    trades = connect(book.rest_url)("fetch_my_trades", SYMBOL, START)
    assert sorted(line["order"] for line in trades) == ["1", "2"]


def test_without_since_a_limit_is_the_newest_and_asks_no_more(book, connect):
    book.answers["GET", TRADES] = exchange_with(map(trade, range(1, 2501)))
    api = connect(book.rest_url)
    assert ids(api("fetch_my_trades", SYMBOL, None, 5)) == numbers(2496, 2501)
    assert queries(book) == [{"limit": "5"}]
    assert ids(api("fetch_my_trades", SYMBOL)) == numbers(2401, 2501)
    trades = api("fetch_my_trades", SYMBOL, None, 1200, {"paginate": True})
    assert ids(trades) == numbers(1301, 2501)
    assert len(queries(book)) == 4


@pytest.mark.parametrize("honoured", [("startTimestamp", "limit"), ("limit",), ()])
def test_an_exchange_that_gives_only_its_newest_rows_is_said_to(book, connect, honoured, caplog):
    book.answers["GET", TRADES] = exchange_with(map(trade, range(1, 2501)), honoured)
    api = connect(book.rest_url)
    trades = api("fetch_my_trades", SYMBOL, params={"paginate": True})
    assert len(trades) == (1000 if "limit" in honoured else 100)
    assert trades.cut == "incomplete: the exchange gives no way past its newest rows"
    assert trades.cut in caplog.text
    assert len(queries(book)) == 3


def test_the_number_of_requests_can_be_bounded(book, connect):
    book.answers["GET", TRADES] = exchange_with(map(trade, range(1, 2501)))
    params = {"paginate": True, "paginationCalls": 2, "until": START + 9_000}
    trades = connect(book.rest_url)("fetch_my_trades", SYMBOL, START, None, params)
    assert len(trades) == 1998
    assert "after 2 requests" in trades.cut
    assert queries(book)[1] == {
        "startTimestamp": str(START),
        "endTimestamp": str(START + 1502),
        "limit": "1000",
    }


def test_the_trades_of_one_order_only(book, connect):
    unfiltered = exchange_with(map(trade, range(1, 51)))
    book.answers["GET", TRADES] = lambda query: unfiltered("")
    trades = connect(book.rest_url)("fetch_order_trades", 3, SYMBOL)
    assert ids(trades) == numbers(30, 40)


def test_real_pages_of_the_sandbox(connect, sandbox):
    for _ in range(3):
        seeded = sandbox.control.seed_order("btc_usdt", "BUY", "1", "100")
        for _ in range(4):
            sandbox.control.fill(seeded["id"], fraction="0.25")
    api = connect(sandbox.rest_url)
    whole = api("fetch_my_trades", SYMBOL)
    assert len(whole) == 12
    paged = api("fetch_my_trades", SYMBOL, params={"paginate": True, "limit": 5})
    assert paged == whole
    own = api("fetch_order_trades", seeded["id"], SYMBOL)
    assert [line["amount"] for line in own] == [pytest.approx(0.25)] * 4


# -- forward from since -----------------------------------------------------------------------

DAY = 86_400


def histories():
    """Every list method with ten rows, the last of which share their times."""
    moments = [START // 1000 + number for number in (1, 2, 3, 4, 5, 6, 7, 8, 8, 8)]
    money = [{"currency": "USDT", "amount": "1", "status": 1} for _ in moments]
    whole = [
        {**line, "serial": number, "timestamp": moment}
        for number, (line, moment) in enumerate(zip(money, moments, strict=True))
    ]
    repaid = [{**line, "totalRepayAmount": "1"} for line in whole]
    moved = [{**line, "from": 1, "to": 3, "status": 2} for line in whole]
    sold = [
        {
            "debtCurrency": "USDT",
            "debtAmount": "1",
            "assetCurrency": "BTC",
            "assetAmount": str(line["serial"] + 1),
            "status": 2,
            "finishTimestamp": line["timestamp"],
        }
        for line in whole
    ]
    in_ms = [moment * 1000 for moment in moments]
    open_orders = [order(number, 0, moment) for number, moment in enumerate(in_ms)]
    filled = [order(number, 2, moment) for number, moment in enumerate(in_ms)]
    cancelled = [order(number, 4, moment) for number, moment in enumerate(in_ms)]
    trades = [trade(number, moment) for number, moment in enumerate(in_ms)]
    return {
        "fetch_my_trades": (TRADES, exchange_with(trades)),
        "fetch_orders": (ORDERS, exchange_with(filled)),
        "fetch_closed_orders": (ORDERS, exchange_with(filled)),
        "fetch_canceled_orders": (ORDERS, exchange_with(cancelled)),
        "fetch_canceled_and_closed_orders": (ORDERS, exchange_with(cancelled)),
        "fetch_open_orders": ("/margin/orders/orders/open", {"data": open_orders[::-1]}),
        "fetch_borrows": ("/margin/user-borrows", {"borrows": whole}),
        "fetch_repays": ("/margin/user-repays", {"repays": repaid[::-1]}),
        "fetch_my_liquidations": ("/margin/user-liquidations", {"liquidations": sold}),
        "fetch_transfers": ("/history/user-transfers", {"transferInvoices": moved[::-1]}),
    }


LISTS = list(histories())


def listing(book, connect, method):
    path, answer = histories()[method]
    book.answers["GET", path] = answer
    api = connect(book.rest_url)
    name = {"fetch_borrows": "USDT", "fetch_repays": "usdt", "fetch_transfers": "USDT"}
    first = name.get(method, SYMBOL)
    return lambda *args, **kwargs: api(method, first, *args, **kwargs)


def key(row):
    return row.get("id") or row["baseValue"]


@ON_EVERY_CLASS
@pytest.mark.parametrize("method", LISTS)
def test_the_manuals_loop_collects_everything(book, connect, method):
    fetch = listing(book, connect, method)
    whole = fetch(START)
    assert len(whole) == 10
    collected, since = [], START
    for _ in range(20):
        page = fetch(since, 3)
        if not page:
            break
        assert [row["timestamp"] for row in page] == sorted(row["timestamp"] for row in page)
        collected += page
        since = page[-1]["timestamp"] + 1
    assert [key(row) for row in collected] == [key(row) for row in whole]


@pytest.mark.parametrize("method", LISTS)
def test_the_earliest_from_since_and_else_the_newest(book, connect, method):
    fetch = listing(book, connect, method)
    moments = [row["timestamp"] for row in fetch(START)]
    assert [row["timestamp"] for row in fetch(START, 3)] == moments[:3]
    assert [row["timestamp"] for row in fetch(None, 3)] == moments[-3:]
    assert [row["timestamp"] for row in fetch(float(moments[4]), 2.0)] == moments[4:6]


@pytest.mark.parametrize("method", LISTS)
def test_until_and_paginate(book, connect, method):
    fetch = listing(book, connect, method)
    moments = [row["timestamp"] for row in fetch(START)]
    until = {"until": moments[4]}
    assert [row["timestamp"] for row in fetch(None, None, until)] == moments[:5]
    assert [row["timestamp"] for row in fetch(None, 2, until)] == moments[3:5]
    assert [row["timestamp"] for row in fetch(moments[2], 2, until)] == moments[2:4]
    assert [row["timestamp"] for row in fetch(START, None, {"paginate": True})] == moments
    assert fetch(moments[4] + 1, None, until) == []


def test_a_closed_order_behind_thousands_of_cancelled_ones_is_found(book, connect):
    rows = [order(1, 2), order(2, 2), *(order(number) for number in range(3, 3103))]
    book.answers["GET", ORDERS] = exchange_with(rows)
    api = connect(book.rest_url)
    assert ids(api("fetch_closed_orders", SYMBOL, None, 1)) == ["2"]
    assert ids(api("fetch_closed_orders", SYMBOL)) == ["1", "2"]
    assert ids(api("fetch_closed_orders", SYMBOL, START, 1)) == ["1"]
    book.answers["GET", ORDERS] = exchange_with(rows, ())
    cut = api("fetch_closed_orders", SYMBOL)
    assert cut == []
    assert cut.cut.startswith("incomplete: ")


def test_a_since_older_than_what_is_kept_is_asked_for_in_spans_of_ninety_days(connect, book):
    book.answers["GET", ORDERS] = exchange_with([order(1, 2)])
    assert ids(connect(book.rest_url)("fetch_orders", SYMBOL, START)) == ["1"]
    kept, older = queries(book)
    assert "endTimestamp" not in kept
    assert older["startTimestamp"] == str(START)
    assert int(older["endTimestamp"]) == int(kept["startTimestamp"]) + 1


def test_a_list_shorter_than_its_total_says_so(book, connect):
    # The page's own example: two of 23.
    assert BY_THE_BOOK["GET", "/margin/user-repays"]["repaysAmount"] == 23
    listed = connect(book.rest_url)("fetch_repays")
    assert listed.cut == "incomplete: the exchange gave 2 of 23 repays"


def test_interest_is_narrowed_too(book, connect):
    book.answers["GET", "/margin/balances"] = example("margin_get_margin_account_balance")
    api = connect(book.rest_url)
    assert api("fetch_borrow_interest", "btc")[0]["currency"] == "BTC"
    now = api.exchange.milliseconds()
    assert api("fetch_borrow_interest", None, None, now + 60_000) == []
    assert api("fetch_borrow_interest", None, None, None, None, {"until": now - 60_000}) == []
    assert len(api("fetch_borrow_interest", None, None, None, 1)) == 1
