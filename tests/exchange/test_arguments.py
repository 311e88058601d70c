"""Odd arguments: accepted and right, or a ccxt error that says what was expected; nothing sent."""

import json
from decimal import Decimal

import ccxt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bitopro_margin_ext.core import rate_limit
from bitopro_margin_ext.exchange.params import TAKEN
from tests.exchange.book import BY_THE_BOOK
from tests.exchange.calls import BTC, CALLS, ORDER
from tests.exchange.conftest import ON_EVERY_CLASS
from tests.exchange.drivers import Awaiting, Blocking, CannedServer

HUGE = pytest.param(10**5000, id="huge")
TRADES = "/margin/orders/trades/btc_usdt"


def writes(server):
    return [(method, path, body) for method, path, body in server.requests if method != "GET"]


@ON_EVERY_CLASS
def test_identifiers_are_read_in_one_way(book, connect):
    api = connect(book.rest_url)
    trade = BY_THE_BOOK["GET", TRADES]["data"][0]
    number = int(trade["orderId"])
    for order_id in (number, str(number)):
        assert [t["id"] for t in api("fetch_order_trades", order_id, BTC)] == [trade["tradeId"]]
    assert api("fetch_order", 9296847601, "btc/usdt")["id"] == "9296847601"
    assert {line["currency"] for line in api("fetch_borrows", "usdt")} == {"USDT"}
    assert api("fetch_cross_borrow_rate", " usdt ")["currency"] == "USDT"
    assert api("fetch_mark_price", "btc_usdt")["symbol"] == BTC
    assert writes(book) == []


@ON_EVERY_CLASS
@pytest.mark.parametrize("ids", ["123", 123, {"id": "1"}, None, b"12"])
def test_ids_are_a_list(book, connect, ids):
    with pytest.raises(ccxt.BadRequest, match="order ids are given as a list"):
        connect(book.rest_url)("cancel_orders", ids, BTC)
    assert book.requests == []


@ON_EVERY_CLASS
@pytest.mark.parametrize("order_id", [True, 1.5, None, "", "../all", [1], -1, "1 2", HUGE])
def test_what_is_no_order_id(book, connect, order_id):
    api = connect(book.rest_url)
    for method, args in (
        ("fetch_order", (order_id, BTC)),
        ("fetch_order_trades", (order_id, BTC)),
        ("cancel_order", (order_id, BTC)),
        ("cancel_orders", ([order_id], BTC)),
        ("cancel_orders_for_symbols", ([{"id": order_id, "symbol": BTC}],)),
    ):
        with pytest.raises(ccxt.BadRequest, match="is not an order id"):
            api(method, *args)
    assert book.requests == []


@ON_EVERY_CLASS
@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1e-2", "0.01"),
        (1e-2, "0.01"),
        ("1E+1", "10"),
        (Decimal("0.50"), "0.5"),
        (" 2 ", "2"),
        (3, "3"),
        ("0.10", "0.1"),
        (1e-8, "0.00000001"),
    ],
)
def test_amounts_are_read_in_one_way(book, connect, amount, text):
    api = connect(book.rest_url)
    api("repay_cross_margin", "USDT", amount)
    api("transfer", "USDT", amount, "margin", "spot")
    bodies = [json.loads(body) for _, _, body in writes(book)]
    assert [bodies[0]["repayAmount"], bodies[1]["amount"]] == [text, text]


@ON_EVERY_CLASS
@pytest.mark.parametrize(
    "amount",
    [
        *(True, None, "", "1,000", "abc", "1_0", float("nan"), "inf", "0x1", [1], "1e999999"),
        *("-1", 0, "0e5", "1e-999999", object(), HUGE),
    ],
)
def test_what_is_no_amount(book, connect, amount):
    api = connect(book.rest_url)
    for method, args in (
        ("borrow_cross_margin", ("USDT", amount)),
        ("repay_cross_margin", ("USDT", amount)),
        ("transfer", ("USDT", amount, "spot", "margin")),
        ("calculate_ad_ratio", ("borrow", "USDT", amount)),
        ("create_order", (BTC, "limit", "buy", amount, 30000)),
        ("create_order", (BTC, "market", "sell", amount)),
        ("create_orders", ([{**ORDER, "amount": amount}],)),
    ):
        with pytest.raises(ccxt.InvalidOrder, match="bitopromargin the amount"):
            api(method, *args)
    if amount is not None:
        for args in (("limit", "buy", 1, amount), ("market", "buy", 1, amount)):
            with pytest.raises(ccxt.InvalidOrder, match="bitopromargin the price"):
                api("create_order", BTC, *args)
        for name, kind in (("cost", "market"), ("triggerPrice", "limit"), ("stopPrice", "limit")):
            with pytest.raises(ccxt.InvalidOrder, match=f"bitopromargin the {name}"):
                api("create_order", BTC, kind, "buy", 1, 30000, {name: amount})
    assert writes(book) == []


def test_an_order_written_with_exponents(api, control):
    api("create_order", BTC, "limit", "buy", "1e-2", "3e4", {"stopPrice": "2.9E4"})
    body = control.requests()[-1]["body"]
    assert (body["amount"], body["price"], body["stopPrice"]) == ("0.01", "30000", "29000")


@ON_EVERY_CLASS
def test_times_and_numbers_of_rows(book, connect):
    api = connect(book.rest_url)
    for since in (1.7e12, "1700000000000", Decimal(1_700_000_000_000), 1_700_000_000_000):
        api("fetch_my_trades", BTC, since)
    spans = {path.partition("startTimestamp=")[2].partition("&")[0] for _, path, _ in book.requests}
    assert "1700000000000" in spans
    assert all(span.isdecimal() for span in spans)
    count = len(book.requests)
    for since in (True, -1, "yesterday", float("nan"), float("inf"), [1], "2024-01-01", 10**5000):
        for method in (
            "fetch_my_trades",
            "fetch_orders",
            "fetch_open_orders",
            "fetch_closed_orders",
        ):
            with pytest.raises(ccxt.BadRequest, match="since is a time in ms"):
                api(method, BTC, since)
        with pytest.raises(ccxt.BadRequest, match="since is a time in ms"):
            api("fetch_transfers", "USDT", since)
    for limit in (True, 0, -1, "many", 1.5, float("nan"), [1]):
        if limit == 1.5:
            continue
        with pytest.raises(ccxt.BadRequest, match="limit is a whole number from 1"):
            api("fetch_orders", BTC, None, limit)
    with pytest.raises(ccxt.BadRequest, match="until is a time in ms"):
        api("fetch_orders", BTC, None, None, {"until": "now"})
    assert len(book.requests) == count


@ON_EVERY_CLASS
@pytest.mark.parametrize(
    "name", ["BTCUSDT", 7, None, True, "", "BTC/USDT/ETH", ["BTC/USDT"], "all"]
)
def test_what_is_no_pair_and_no_currency(book, connect, name):
    api = connect(book.rest_url)
    for method in ("fetch_orders", "fetch_my_trades", "fetch_mark_price"):
        with pytest.raises((ccxt.BadSymbol, ccxt.ArgumentsRequired)):
            api(method, name)
    if name is not None:
        with pytest.raises(ccxt.BadSymbol):
            api("cancel_all_orders", name)
        if name not in ("BTCUSDT", "all"):
            with pytest.raises(ccxt.BadSymbol, match="is not a currency"):
                api("fetch_borrows", name)
    assert book.requests == []


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.just(object()),
    st.sampled_from(
        ["BTC/USDT", "USDT", "1", "limit", "market", "buy", "sell", 1, 30000, "margin"]
    ),
    st.just([ORDER]),
    st.fixed_dictionaries({"raw": st.just({"some": "thing"})}),
    st.fixed_dictionaries({"type": st.sampled_from(["margin", "swap", 1])}),
    st.dictionaries(
        st.sampled_from(sorted({word for words in TAKEN.values() for word in words})),
        st.one_of(st.integers(), st.text(max_size=3), st.booleans(), st.floats()),
        max_size=2,
    ),
)

REST = sorted(name for name in CALLS if not name.startswith("watch"))


@pytest.mark.parametrize("driver", [Blocking, Awaiting], ids=["sync", "async"])
@pytest.mark.parametrize("name", REST)
def test_no_argument_raises_anything_but_a_ccxt_error(driver, name, odd_api):
    method, args = CALLS[name]
    api, server = odd_api(driver)

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def attempt(data):
        given_args = [*args, {}]
        for _ in range(data.draw(st.integers(1, 2))):
            given_args[data.draw(st.integers(0, len(args)))] = data.draw(ODD)
        server.requests.clear()
        # A pause between two of them is no subject here.
        rate_limit._limits.clear()
        try:
            api(method, *given_args)
        except ccxt.BaseError as error:
            # Refused by us, so nothing was asked of the exchange that changes anything.
            is_ours = getattr(error, "failure", None) is None
        else:
            is_ours = False
        assert not is_ours or writes(server) == []

    attempt()


@pytest.fixture(scope="module")
def odd_api():
    server = CannedServer(dict(BY_THE_BOOK))
    made = {}

    def make(driver):
        if driver not in made:
            made[driver] = driver(server.rest_url)
            made[driver]("load_markets")
        return made[driver], server

    yield make
    for api in made.values():
        api.close()
    server.close()


@pytest.mark.parametrize("connect", ["pro"], indirect=True)
def test_streams_are_not_dialled_for_what_makes_no_sense(connect, sandbox, control):
    api = connect(sandbox.rest_url, login="sandbox@example.com")
    for method in ("watch_orders", "watch_my_trades"):
        for symbol in ("BTCUSDT", 7, True, [BTC], ""):
            with pytest.raises(ccxt.BadSymbol):
                api(method, symbol)
        for since in ("yesterday", True, float("nan")):
            with pytest.raises(ccxt.BadRequest, match="since is a time"):
                api(method, BTC, since)
        with pytest.raises(ccxt.BadRequest, match="limit is a whole number"):
            api(method, BTC, None, 0)
    for symbols in (BTC, 7, {"a": 1}):
        with pytest.raises(ccxt.BadRequest, match="symbols are given as a list"):
            api("watch_mark_prices", symbols)
    for symbol in ("ETH/BTC", None, 7):
        with pytest.raises(ccxt.BadSymbol):
            api("watch_mark_price", symbol)
    assert control.requests() == []
