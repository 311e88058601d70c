import pytest

from bitopro_margin_ext.core.parse import (
    is_zero,
    milliseconds,
    number,
    parse_cancelled_ids,
    parse_order,
)
from bitopro_margin_ext.core.parse_account import parse_trade
from tests.data import example

ROW = example("margin_get_an_order_data")


def row(**changes):
    return {**ROW, **changes}


def test_a_fetched_order():
    order = parse_order(ROW)
    wanted = {
        "id": "9296847601",
        "clientOrderId": None,
        "symbol": "BTC/USDT",
        "type": "limit",
        "side": "buy",
        "status": "canceled",
        "amount": "1",
        "filled": "0",
        "remaining": "1",
        "price": "1",
        "average": None,
        "triggerPrice": None,
        "timeInForce": "GTC",
        "postOnly": False,
        "timestamp": 1721376748298,
        "lastUpdateTimestamp": 1721376759721,
        "lastTradeTimestamp": None,
        "fee": None,
    }
    assert {name: order[name] for name in wanted} == wanted
    assert order["info"] is ROW


@pytest.mark.parametrize(
    ("status", "executed", "word"),
    [
        (-1, "0", "open"),
        (0, "0", "open"),
        (1, "0.4", "open"),
        (2, "1", "closed"),
        (3, "0.4", "canceled"),
        (4, "0", "canceled"),
        (4, "0.4", "canceled"),
        (6, "0", "canceled"),
        ("2", "1", "closed"),
        (5, "0", None),
        (None, "0", None),
        ("", "0", None),
        ("open", "0", None),
    ],
)
def test_statuses(status, executed, word):
    order = parse_order(row(status=status, executedAmount=executed))
    assert (order["status"], order["filled"]) == (word, executed)


def test_a_partly_filled_order_that_ended_keeps_its_fill():
    order = parse_order(
        row(status=3, executedAmount="0.25", remainingAmount="0.75", fee="0.0003", total="0.25")
    )
    assert order["status"] == "canceled"
    assert (order["filled"], order["remaining"], order["cost"]) == ("0.25", "0.75", "0.25")
    assert order["fee"] == {"currency": "BTC", "cost": "0.0003"}
    assert order["lastTradeTimestamp"] == 1721376759721


def test_a_fee_paid_in_bito():
    order = parse_order(row(executedAmount="1", status=2, fee="0", bitoFee="0.5"))
    assert order["fee"] == {"currency": "BITO", "cost": "0.5"}


def test_open_orders_with_times_in_seconds_and_empty_stops():
    order = parse_order(example("margin_get_open_orders_data")["data"][0])
    assert order["timestamp"] == order["lastUpdateTimestamp"] == 1721377215000
    assert order["triggerPrice"] is None
    assert (order["status"], order["clientOrderId"]) == ("open", "123")


@pytest.mark.parametrize("kind", ["STOP_LIMIT", "SP_OCO_STOPLIMIT", "SL_OCO_STOPLIMIT"])
def test_stops(kind):
    order = parse_order(row(type=kind, stopPrice="1.5", condition=">=", status=-1, clientID=77))
    assert (order["type"], order["triggerPrice"], order["status"]) == ("limit", "1.5", "open")
    assert order["clientOrderId"] == "77"


@pytest.mark.parametrize(
    "changes",
    [
        {"executedAmount": "-0.1"},
        {"executedAmount": "1.1"},
        {"executedAmount": "NaN"},
        {"executedAmount": float("nan")},
        {"executedAmount": "Infinity"},
        {"executedAmount": "1e999999999"},
        {"executedAmount": "9" * 5000},
        {"remainingAmount": "-1"},
        {"remainingAmount": "2"},
        {"originalAmount": "-1"},
        {"price": "-5"},
        {"avgExecutionPrice": "-5"},
        {"stopPrice": "-5"},
        {"total": "-5"},
        {"status": 2, "executedAmount": "0.9"},
        {"status": 2, "executedAmount": "0"},
        {"status": 4, "executedAmount": "1"},
        {"status": 3, "executedAmount": "1.0"},
        {"status": 6, "executedAmount": "1"},
        {"status": 0, "executedAmount": "1"},
        {"executedAmount": ["1"]},
        {"executedAmount": True},
    ],
)
def test_what_cannot_be_true_is_no_word_about_an_order(changes):
    with pytest.raises(ValueError, match=r"."):
        parse_order(row(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"executedAmount": "-0"},
        {"originalAmount": None, "executedAmount": "5"},
        {"originalAmount": "0", "executedAmount": "0"},
        {"status": 2, "executedAmount": None},
        {"status": 2, "executedAmount": "0.9", "type": "MARKET", "action": "SELL"},
        {"status": 2, "executedAmount": "0.9", "type": "MARKET", "action": "BUY"},
        {"status": 2, "executedAmount": "5", "type": "MARKET", "action": "BUY"},
        {"status": 7, "executedAmount": "1"},
    ],
)
def test_what_may_be_true_is_read(changes):
    assert parse_order(row(**changes))["id"] == "9296847601"


def test_post_only():
    order = parse_order(row(timeInForce="POST_ONLY", status=6))
    assert (order["timeInForce"], order["postOnly"], order["status"]) == ("PO", True, "canceled")


@pytest.mark.parametrize(
    ("status", "amount", "remaining"),
    [(0, None, None), (1, None, None), (2, "0.002", "0"), (3, "0.002", "0"), (4, "0.002", "0")],
)
def test_a_market_buy_is_counted_by_its_fill(status, amount, remaining):
    order = parse_order(
        row(type="MARKET", status=status, originalAmount="100", executedAmount="0.002")
    )
    assert (order["amount"], order["remaining"]) == (amount, remaining)
    assert order["filled"] == "0.002"


def test_a_market_sell_is_counted_in_base():
    assert parse_order(row(type="MARKET", action="SELL", originalAmount="7"))["amount"] == "7"


def test_answers_to_creating_and_cancelling():
    created = parse_order(example("margin_create_an_order"), "BTC/USDT")
    assert (created["id"], created["clientOrderId"]) == ("9789414023", "123")
    assert (created["status"], created["filled"]) == (None, None)
    for name in ("margin_cancel_an_order", "cancel_an_order"):
        cancelled = parse_order(example(name), "BTC/USDT")
        assert cancelled["id"] == example(name)["orderId"]
        assert cancelled["filled"] is None


@pytest.mark.parametrize("bad", [None, 7, "text", [], True])
def test_what_is_no_row(bad):
    with pytest.raises(AttributeError):
        parse_order(bad)


@pytest.mark.parametrize(
    "changes",
    [
        {"pair": "all"},
        {"pair": ["btc_usdt"]},
        {"executedAmount": "lots"},
        {"executedAmount": "1,5"},
        {"executedAmount": "NaN"},
        {"executedAmount": float("inf")},
        {"executedAmount": {}},
        {"originalAmount": "0x10"},
        {"originalAmount": True},
        {"createdTimestamp": "yesterday"},
        {"createdTimestamp": float("inf")},
        {"createdTimestamp": -5},
        {"updatedTimestamp": "1e400"},
    ],
)
def test_a_row_that_is_half_understood_is_not_understood(changes):
    with pytest.raises(ValueError, match="is not a"):
        parse_order(row(**changes))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("9,904.38", "9904.38"),
        ("1,000,104.57077436", "1000104.57077436"),
        ("10,000", "10000"),
        ("-5.5", "-5.5"),
        ("0.00000001", "0.00000001"),
        (1e-08, "1e-08"),
        (7, "7"),
        ("", None),
        (None, None),
    ],
)
def test_numbers(value, read):
    assert number({"a": value}, "a") == read


@pytest.mark.parametrize("value", ["1,00", ",5", "1,0000", "10,00,000", "5.", "1.2.3", " 1", "½"])
def test_what_is_no_number(value):
    if value == "5.":
        assert number({"a": value}, "a") == "5."
        return
    with pytest.raises(ValueError, match="is not an amount"):
        number({"a": value}, "a")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (1721377215, 1721377215000),
        (1721377215123, 1721377215123),
        ("1721377215", 1721377215000),
        (1721377215123.0, 1721377215123),
        (0, 0),
        ("", None),
        (None, None),
    ],
)
def test_times(value, read):
    assert milliseconds({"a": value}, "a") == read


@pytest.mark.parametrize(
    ("amount", "zero"),
    [
        *((text, True) for text in ("0", "0.000", "-0", "0E-8", None, "")),
        *((text, False) for text in ("1e-08", "0.1", "100", "-2")),
    ],
)
def test_zero(amount, zero):
    assert is_zero(amount) is zero


def test_cancelled_ids():
    orders = parse_cancelled_ids(example("margin_cancel_all_orders")["data"])
    assert [(o["symbol"], o["id"], o["status"]) for o in orders] == [
        ("BTC/USDT", "9050564390", "canceled"),
        ("BTC/USDT", "3927422785", "canceled"),
    ]
    assert parse_cancelled_ids({}) == []
    assert parse_cancelled_ids({"BTC_USDT": None, "ETH_USDT": []}) == []
    twice = parse_cancelled_ids({"BTC_USDT": [1, "1", 2], "eth_usdt": ["SL-1"]})
    assert [order["id"] for order in twice] == ["1", "2", "SL-1"]


@pytest.mark.parametrize(
    "data",
    [
        {"all": ["1"]},
        *({"BTC_USDT": ids} for ids in ("123", {"1": 1}, [None], [True], [1.5], [""], ["a/b"])),
    ],
)
def test_what_lists_no_ids(data):
    with pytest.raises(ValueError, match=r"is not a pair|not a list of ids"):
        parse_cancelled_ids(data)


def test_trades():
    rows = example("margin_get_trades_data")["data"]
    sell, buy = (parse_trade(trade, "ETH/USDT") for trade in rows)
    assert (sell["id"], sell["order"], sell["side"]) == ("2567799214", "6683089851", "sell")
    assert (sell["price"], sell["amount"], sell["cost"]) == ("4", "1", "4")
    assert sell["fee"] == {"cost": "0", "currency": "USDT"}
    assert (buy["takerOrMaker"], buy["timestamp"]) == ("maker", 1720680169045)


@pytest.mark.parametrize("named", [float("nan"), 1.5, True, [], {}, None, "1/2", ""])
def test_what_names_no_order(named):
    assert parse_order({"id": named, "pair": "btc_usdt", "status": 0})["id"] is None
