"""Creating orders: what is sent for what is asked, and what is made of a lost answer."""

import ccxt
import pytest

from bitopro_margin_ext.exchange import order_creation
from tests.exchange.conftest import seed

BTC = "BTC/USDT"
KNOWN = {"clientOrderId": 77}


@pytest.fixture(autouse=True)
def rich(control, monkeypatch):
    monkeypatch.setattr(order_creation, "LOOKUP_PAUSES", (0.0, 0.05, 0.1))
    control.set_balances({"BTC": 5, "USDT": 200_000})


@pytest.fixture
def sent(control):
    """The body of the last order that was sent, without what differs each time."""

    def look():
        line = [line for line in control.requests() if line["method"] == "POST"][-1]
        body = dict(line["body"])
        assert 1 <= body.pop("clientId") <= 2147483647
        assert abs(body.pop("timestamp") - line["time_ms"]) < 5000
        return body

    return look


@pytest.mark.parametrize(
    ("args", "body"),
    [
        (
            ("limit", "buy", 0.0012345678912, 30000.127),
            {"type": "LIMIT", "action": "buy", "amount": "0.0012", "price": "30000.13"},
        ),
        (
            ("LIMIT", "SELL", "0.001", "90000"),
            {"type": "LIMIT", "action": "sell", "amount": "0.001", "price": "90000"},
        ),
        (
            ("limit", "buy", 0.001, 30000, {"timeInForce": "PO"}),
            {"type": "LIMIT", "action": "buy", "timeInForce": "POST_ONLY"},
        ),
        (("limit", "buy", 0.001, 30000, {"postOnly": True}), {"timeInForce": "POST_ONLY"}),
        (
            ("limit", "buy", 0.001, 30000, {"timeInForce": "GTC", "postOnly": False}),
            {"timeInForce": "GTC"},
        ),
        (
            ("limit", "sell", 0.001, 50000, {"triggerPrice": 51000}),
            {"type": "STOP_LIMIT", "stopPrice": "51000", "condition": "<="},
        ),
        (("limit", "sell", 0.001, 5e4, {"stopLossPrice": "51000"}), {"condition": "<="}),
        (("limit", "sell", 0.001, 5e4, {"stopPrice": 51000}), {"condition": "<="}),
        (("limit", "sell", 0.001, 9e4, {"takeProfitPrice": 89000}), {"condition": ">="}),
        (("limit", "buy", 0.001, 9e4, {"triggerPrice": 89000}), {"condition": ">="}),
        (("limit", "buy", 0.001, 9e4, {"stopLossPrice": 89000}), {"condition": ">="}),
        (("limit", "buy", 0.001, 5e4, {"takeProfitPrice": 51000}), {"condition": "<="}),
        (
            ("limit", "buy", 0.001, 5e4, {"triggerPrice": 51000, "takeProfitPrice": 51000}),
            {"condition": "<=", "stopPrice": "51000"},
        ),
        (
            ("limit", "sell", 0.001, 5e4, {"triggerPrice": 51000, "triggerDirection": "ascending"}),
            {"condition": ">="},
        ),
        (
            ("STOP_LIMIT", "sell", 0.001, 5e4, {"stopPrice": 51000, "condition": ">="}),
            {"type": "STOP_LIMIT", "condition": ">="},
        ),
        (("market", "sell", 0.001), {"type": "MARKET", "amount": "0.001"}),
        (("market", "buy", 0.001, 60000), {"type": "MARKET", "amount": "60"}),
        (("market", "buy", 0.001, None, {"cost": 61.5}), {"type": "MARKET", "amount": "61.5"}),
        (
            ("market", "buy", 62, None, {"createMarketBuyOrderRequiresPrice": False}),
            {"type": "MARKET", "amount": "62"},
        ),
    ],
)
def test_what_is_sent(api, control, sent, args, body):
    control.switches(rate_limits=False)
    order = api("create_order", BTC, *args)
    found = sent()
    assert {name: found.get(name) for name in body} == body
    if found["type"] == "MARKET":
        assert set(found) == {"type", "action", "amount"}
    assert set(found) <= {"type", "action", "amount", "price", "timeInForce"} | {
        "stopPrice",
        "condition",
    }
    assert order["status"] == "open"
    assert order["filled"] is None
    assert order["symbol"] == BTC
    assert order["type"] == ("market" if found["type"] == "MARKET" else "limit")
    assert order["clientOrderId"].isdecimal()


def test_the_amount_of_a_market_buy_comes_back_in_base(api, control):
    order = api("create_order", BTC, "market", "buy", 0.001, 60000)
    assert order["amount"] == 0.001
    done = api("fetch_order", order["id"], BTC)
    assert done["status"] == "closed"
    assert 0.0005 < done["filled"] == done["amount"] < 0.002
    by_cost = api("create_order", BTC, "market", "buy", 0.001, None, {"cost": 60})
    assert by_cost["amount"] is None
    option = {"createMarketBuyOrderRequiresPrice": False}
    assert api("create_order", BTC, "market", "buy", 60, None, option)["amount"] is None
    assert api("create_market_buy_order_with_cost", BTC, 60)["id"]


def test_what_was_asked_for_is_read_back(api):
    stop = {"stopLossPrice": 51000, "clientOrderId": "1234"}
    created = api("create_order", BTC, "limit", "sell", 0.001, 50000, stop)
    fetched = api("fetch_order", created["id"], BTC)
    listed = api("fetch_open_orders", BTC)[0]
    for order in (created, fetched, listed):
        assert order["triggerPrice"] == 51000
        assert order["clientOrderId"] == "1234"
        assert (order["side"], order["amount"], order["price"]) == ("sell", 0.001, 50000)
    plain = api("create_order", BTC, "limit", "buy", 0.001, 30000, {"timeInForce": "PO"})
    fetched = api("fetch_order", plain["id"], BTC)
    assert fetched["triggerPrice"] is None
    for order in (plain, fetched):
        assert (order["timeInForce"], order["postOnly"]) == ("PO", True)
        assert order["timestamp"] > 10**12


@pytest.mark.parametrize(
    "args",
    [
        ("limit", "buy", 0.001),
        ("limit", "hold", 0.001, 30000),
        ("iceberg", "buy", 0.001, 30000),
        ("limit", "buy", 0.001, 0),
        ("limit", "buy", 0.001, -5),
        ("limit", "buy", 0.001, float("nan")),
        ("limit", "buy", 0, 30000),
        ("limit", "buy", -0.001, 30000),
        ("limit", "buy", float("nan"), 30000),
        ("limit", "buy", float("inf"), 30000),
        ("limit", "buy", 0.0000000001, 30000),
        ("limit", "buy", 10**9, 30000),
        ("market", "buy", 0.001),
        ("market", "buy", 0.001, 0),
        ("market", "buy", float("nan"), 60000),
        ("market", "buy", 0.001, None, {"cost": -1}),
        ("market", "sell", 0.001, None, {"stopLossPrice": 50000}),
        ("market", "buy", 0.001, 60000, {"timeInForce": "PO"}),
        ("limit", "buy", 0.001, 30000, {"timeInForce": "IOC"}),
        ("limit", "buy", 0.001, 30000, {"clientOrderId": "abc"}),
        ("limit", "buy", 0.001, 30000, {"clientOrderId": 0}),
        ("limit", "buy", 0.001, 30000, {"clientOrderId": 2147483648}),
        ("limit", "sell", 0.001, 5e4, {"stopLossPrice": 51000, "takeProfitPrice": 90000}),
        ("limit", "sell", 0.001, 5e4, {"triggerPrice": 51000, "condition": ">"}),
        ("limit", "sell", 0.001, 5e4, {"triggerPrice": 51000, "triggerDirection": "sideways"}),
        ("limit", "sell", 0.001, 5e4, {"triggerPrice": 0}),
        ("stop_limit", "sell", 0.001, 5e4),
    ],
)
def test_what_makes_no_sense_is_refused_before_it_is_sent(api, control, args):
    with pytest.raises(ccxt.InvalidOrder, match=r"bitopromargin .+"):
        api("create_order", BTC, *args)
    assert not [line for line in control.requests() if line["method"] == "POST"]


def test_refusals_of_the_exchange(api, control):
    with pytest.raises(ccxt.InsufficientFunds):
        api("create_order", BTC, "limit", "buy", 900, 60000)
    control.reject_stops()
    with pytest.raises(ccxt.InvalidOrder):
        api("create_order", BTC, "limit", "sell", 0.001, 5e4, {"stopLossPrice": 51000})
    assert control.orders() == []


# -- lost answers -----------------------------------------------------------------------------


def posts(control):
    return [line for line in control.requests() if line["method"] == "POST"]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "process_close"},
        {"kind": "cut_off"},
        {"kind": "empty_body"},
        {"kind": "invalid_json"},
        {"kind": "truncated_json"},
        {"kind": "list_body"},
        {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>", "process": True},
        {"kind": "status", "status": 403, "body": "<html>Denied</html>", "process": True},
        {"kind": "status", "status": 500, "process": True},
        {"kind": "status", "status": 408, "process": True},
    ],
    ids=lambda fault: f"{fault['kind']}{fault.get('status', '')}",
)
def test_an_order_that_was_placed_without_an_answer_is_found(api, control, fault):
    api("load_markets")
    control.add_fault(method="POST", path="/margin/orders/*", **fault)
    order = api("create_order", BTC, "limit", "buy", 0.001, 30000)
    assert len(posts(control)) == 1
    assert [found["id"] for found in control.orders()] == [order["id"]]
    assert order["status"] == "open"
    assert order["clientOrderId"] == str(posts(control)[0]["body"]["clientId"])


def test_one_that_shows_only_among_the_open_orders_is_found(api, control):
    api("load_markets")
    control.add_fault("process_close", method="POST", path="/margin/orders/*")
    control.add_fault("lag", path="/margin/orders/all/*", seconds=60, times=None)
    order = api("create_order", BTC, "limit", "buy", 0.001, 30000)
    assert [found["id"] for found in control.orders()] == [order["id"]]


def test_lists_that_lag_are_asked_again(api, control):
    api("load_markets")
    control.add_fault("process_close", method="POST", path="/margin/orders/*")
    control.add_fault("lag", method="GET", path="/margin/orders/*", seconds=60, times=3)
    order = api("create_order", BTC, "limit", "buy", 0.001, 30000)
    assert [found["id"] for found in control.orders()] == [order["id"]]
    assert len(posts(control)) == 1


@pytest.mark.parametrize("listed", [True, False])
def test_one_that_never_arrived_is_said_to_be_unknown_and_not_sent_again(api, control, listed):
    api("load_markets")
    control.add_fault("close", method="POST", path="/margin/orders/*", times=None)
    if not listed:
        control.add_fault("status", method="GET", path="/margin/orders/*", status=500, times=None)
    # Long ago the same number named another order: that one is not it.
    seed(control, 1, clientId=77, age=3600)
    before = control.orders()
    with pytest.raises(ccxt.NetworkError, match=r"the order may exist.* 77 so far") as caught:
        api("create_order", BTC, "limit", "buy", 0.001, 30000, KNOWN)
    assert isinstance(caught.value, ccxt.OperationFailed)
    assert len(posts(control)) == 1
    assert control.orders() == before


def test_ccxts_own_repetition_does_not_send_an_order_twice(connect, sandbox, control):
    api = connect(sandbox.rest_url, options={"maxRetriesOnFailure": 3})
    api("load_markets")
    control.add_fault("process_close", method="POST", path="/margin/orders/*")
    api("create_order", BTC, "limit", "buy", 0.001, 30000)
    assert len(posts(control)) == len(control.orders()) == 1


def test_a_refusal_is_no_reason_to_look(api, control, log):
    api("load_markets")
    control.add_fault("status", method="POST", status=429, body={"error": "Too many"})
    log()
    with pytest.raises(ccxt.RateLimitExceeded):
        api("create_order", BTC, "limit", "buy", 0.001, 30000)
    assert log() == [("POST", "/margin/orders/btc_usdt")]


# -- the clock --------------------------------------------------------------------------------


def test_a_clock_that_is_off_is_corrected_and_the_call_repeated_once(api, control, log):
    control.skew(-60)
    log()
    api("fetch_balance")
    assert log() == [("GET", "/margin/balances")] * 2
    assert abs(api.exchange.options["clockOffset"] + 60_000) < 1500
    api("fetch_balance")
    assert log() == [("GET", "/margin/balances")]


def test_an_order_is_dated_anew(api, control):
    api("load_markets")
    skewed = {"status": 409, "body": {"error": "Conflict"}}
    control.add_fault("status", method="POST", path="/margin/orders/*", **skewed)
    control.skew(120)
    order = api("create_order", BTC, "limit", "buy", 0.001, 30000)
    first, second = (line["body"] for line in posts(control))
    assert 118_000 < second["timestamp"] - first["timestamp"] < 122_000
    assert first["clientId"] == second["clientId"]
    assert [found["id"] for found in control.orders()] == [order["id"]]


@pytest.mark.parametrize(("skew", "words"), [(90, "behind the"), (-90, "ahead of the")])
def test_a_second_refusal_names_the_offset(api, control, log, skew, words):
    control.skew(skew)
    control.add_fault("status", status=409, body={"error": "Conflict"}, times=None)
    log()
    with pytest.raises(ccxt.InvalidNonce, match=rf"this machine's clock is \d+ ms {words}.*NTP"):
        api("fetch_balance")
    assert log() == [("GET", "/margin/balances")] * 3
