"""Orders: what is taken, how it fills, what it costs, how it ends."""

from decimal import Decimal

import pytest

pytestmark = pytest.mark.bitopro_sandbox(rate_limits=False)


def D(text):  # noqa: N802 - reads as the type it makes
    return Decimal(str(text))


def test_a_limit_order_rests_and_fills_as_maker_at_its_price(trader, control):
    order = trader.placed(price="59000")
    assert trader.fetch(order)["status"] == 0
    assert D(trader.margin()["USDT"]["tradedAmount"]) == 590
    control.set_price("btc_usdt", "58000")
    done = trader.fetch(order)
    assert (done["status"], done["executedAmount"], done["remainingAmount"]) == (2, "0.01", "0")
    assert (done["avgExecutionPrice"], done["total"]) == ("59000", "590")
    assert (done["fee"], done["feeSymbol"]) == ("0.00001", "btc")
    assert D(trader.margin()["BTC"]["availableAmount"]) == D("0.00999")
    assert D(trader.margin()["USDT"]["availableAmount"]) == 9410
    (trade,) = trader.get("/margin/orders/trades/btc_usdt").json()["data"]
    assert (trade["isTaker"], trade["orderId"], trade["quoteAmount"]) == (False, order, "590")


def test_a_crossing_limit_order_takes_the_touch(trader):
    order = trader.fetch(trader.placed(price="61000"))
    assert (order["status"], order["avgExecutionPrice"]) == (2, "60003")
    assert order["fee"] == "0.00002"
    assert D(trader.margin()["USDT"]["availableAmount"]) == D("10000") - D("600.03")
    assert D(trader.margin()["USDT"]["tradedAmount"]) == 0


def test_a_market_buy_is_in_quote(trader):
    order = trader.fetch(trader.placed(type="MARKET", amount="600.03"))
    assert (order["status"], order["executedAmount"], order["total"]) == (2, "0.01", "600.03")
    assert order["originalAmount"] == "0.01"
    assert D(trader.margin()["USDT"]["availableAmount"]) == D("9399.97")


def test_a_market_buy_original_can_be_switched_to_quote(trader, control):
    control.switches(market_buy_original_in_quote=True)
    order = trader.fetch(trader.placed(type="MARKET", amount="600.03"))
    assert (order["originalAmount"], order["executedAmount"]) == ("600.03", "0.01")


def test_a_market_sell_is_in_base_and_pays_the_fee_in_quote(trader, control):
    control.set_balances({"BTC": "1"})
    order = trader.fetch(trader.placed(action="SELL", type="market", amount="0.5"))
    assert (order["status"], order["total"]) == (2, "29998.5")
    assert (order["fee"], order["feeSymbol"]) == ("59.997", "usdt")
    assert D(trader.margin()["BTC"]["availableAmount"]) == D("0.5")


def test_a_stop_waits_then_triggers_then_rests_or_fills(trader, control):
    control.set_balances({"BTC": "1"})
    stop = {"type": "STOP_LIMIT", "action": "SELL", "amount": "0.1"}
    resting = trader.placed(**stop, price="59500", stopPrice="59000", condition="<=")
    taking = trader.placed(**stop, price="58000", stopPrice="59000", condition="<=")
    assert resting.startswith("SL-")
    order = trader.fetch(resting)
    assert (order["status"], order["stopPrice"], order["condition"]) == (-1, "59000", "<=")
    assert D(trader.margin()["BTC"]["tradedAmount"]) == D("0.2")
    control.set_price("btc_usdt", "59001")
    assert trader.fetch(resting)["status"] == -1
    control.set_price("btc_usdt", "58900")
    assert trader.fetch(resting)["status"] == 0
    done = trader.fetch(taking)
    assert (done["status"], done["avgExecutionPrice"]) == (2, "58897.06")


def test_a_stop_above_triggers_upwards(trader, control):
    order = trader.placed(
        type="STOP_LIMIT", price="62000", stopPrice="61000", condition=">=", amount="0.01"
    )
    control.set_price("btc_usdt", "61000")
    assert trader.fetch(order)["status"] == 2


def test_the_next_stop_can_be_rejected(trader, control):
    control.set_balances({"BTC": "1"})
    control.reject_stops(text="Stop refused")
    stop = {"type": "STOP_LIMIT", "action": "SELL", "price": "1", "stopPrice": "2"}
    reply = trader.order(**stop, condition="<=")
    assert (reply.status_code, reply.json()) == (400, {"error": "Stop refused"})
    assert trader.order(**stop, condition="<=").status_code == 200


def test_post_only_that_would_cross_ends_as_6(trader):
    crossing = trader.fetch(trader.placed(price="61000", timeInForce="POST_ONLY"))
    assert (crossing["status"], crossing["executedAmount"]) == (6, "0")
    assert crossing["timeInForce"] == "POST_ONLY"
    assert trader.fetch(trader.placed(price="59000", timeInForce="POST_ONLY"))["status"] == 0
    assert D(trader.margin()["USDT"]["tradedAmount"]) == 590


def test_partial_fill_then_cancel_is_3_and_keeps_the_fill(trader, control):
    order = trader.placed(amount="0.1", price="50000")
    control.fill(order, fraction="0.25")
    part = trader.fetch(order)
    assert (part["status"], part["executedAmount"], part["remainingAmount"]) == (
        1,
        "0.025",
        "0.075",
    )
    assert trader.delete(f"/margin/orders/btc_usdt/{order}").status_code == 200
    done = trader.fetch(order)
    assert (done["status"], done["executedAmount"], done["remainingAmount"]) == (
        3,
        "0.025",
        "0.075",
    )
    assert D(trader.margin()["USDT"]["availableAmount"]) == 10000 - 1250
    assert D(trader.margin()["USDT"]["tradedAmount"]) == 0
    assert D(trader.margin()["BTC"]["availableAmount"]) == D("0.024975")


def test_fill_by_amount_never_exceeds_the_rest(trader, control):
    order = trader.placed(amount="0.1")
    control.fill(order, amount="0.04")
    control.fill(order, amount="5")
    assert trader.fetch(order)["executedAmount"] == "0.1"
    assert trader.fetch(order)["status"] == 2


def test_matching_can_be_off(trader, control):
    control.switches(matching=False)
    limit, market = trader.placed(price="61000"), trader.placed(type="MARKET", amount="100")
    assert {trader.fetch(o)["status"] for o in (limit, market)} == {0}
    control.fill(market)
    assert trader.fetch(market)["status"] == 2
    control.switches(matching=True)
    assert trader.fetch(limit)["status"] == 2


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"amount": "0.0000000001"}, "Invalid amount 0.0000000001, decimal limit is 8."),
        ({"amount": "0.00001"}, "Invalid amount 0.00001 less than min 0.0001."),
        ({"amount": "-1"}, "Invalid amount -1."),
        ({"amount": "many"}, "Invalid amount many."),
        ({"price": "-1"}, "Invalid price -1."),
        ({"price": None}, "Invalid price None."),
        ({"price": "1.001"}, "Invalid price 1.001, decimal limit is 2."),
        ({"type": "ICEBERG"}, "Unsupported order type"),
        ({"type": "SP_OCO_STOPLIMIT"}, "Unsupported order type"),
        ({"action": "HOLD"}, "Wrong parameter: action"),
        ({"timestamp": "now"}, "Wrong parameter: timestamp"),
        ({"timeInForce": "FOK"}, "Wrong parameter: timeInForce"),
        ({"timeInForce": "PO"}, "Wrong parameter: timeInForce"),
        ({"clientId": 0}, "Wrong parameter: clientId"),
        ({"clientId": 2147483648}, "Wrong parameter: clientId"),
        ({"clientId": "a"}, "Wrong parameter: clientId"),
        ({"type": "STOP_LIMIT", "stopPrice": "1"}, "Wrong parameter: condition"),
        ({"type": "STOP_LIMIT", "condition": ">="}, "Invalid price None."),
        ({"type": "MARKET", "amount": "4"}, "Invalid amount 4 less than min 5."),
        (
            {"action": "SELL", "amount": "0.01"},
            "Balance for BTC not enough, only has 0, but ordered 0.01.",
        ),
        (
            {"amount": "1", "price": "50000"},
            "Balance for USDT not enough, only has 10000, but ordered 50000.",
        ),
    ],
)
def test_what_is_refused(trader, fields, text):
    reply = trader.order(**fields)
    assert (reply.status_code, reply.json()) == (400, {"error": text})
    assert trader.get("/margin/orders/orders/open").json() == {"data": []}


def test_client_id_in_its_range_comes_back(trader):
    order = trader.fetch(trader.placed(clientId=2147483647))
    assert order["clientId"] == 2147483647
    assert "clientId" not in trader.fetch(trader.placed())


def test_a_body_that_is_no_object_is_refused(trader):
    reply = trader.post("/margin/orders/btc_usdt", [])
    assert (reply.status_code, reply.json()) == (400, {"error": "Invalid body"})


def test_two_hundred_open_orders_a_pair_and_no_more(trader, control):
    line = {"pair": "btc_usdt", "action": "BUY", "amount": "0.001", "price": "10000"}
    control.seed_orders([line] * 200)
    assert trader.order().status_code == 400
    assert trader.order("eth_usdt", price="2000").status_code == 200
    assert len(trader.delete("/margin/orders/all").json()["data"]["BTC_USDT"]) == 200


def test_a_batch_takes_ten_and_tells_each_fate(trader):
    good = {"action": "buy", "pair": "btc_usdt", "type": "LIMIT", "price": "1", "amount": "1"}
    good["timestamp"] = 1
    poor = {**good, "price": "50000"}
    answer = trader.post("/margin/orders/batch", [good, poor, good]).json()["data"]
    assert ["orderId" in line for line in answer] == [True, False, True]
    assert "not enough" in answer[1]["error"]
    assert trader.post("/margin/orders/batch", [good] * 11).status_code == 400
    stop = {**good, "type": "STOP_LIMIT", "stopPrice": "2", "condition": ">="}
    assert trader.post("/margin/orders/batch", [good, stop]).status_code == 400
    assert len(trader.get("/margin/orders/orders/open").json()["data"]) == 2


def test_a_pair_under_maintenance_takes_no_orders(trader, control):
    control.set_maintenance("btc_usdt")
    assert trader.order().status_code == 400


def test_money_is_neither_made_nor_lost(trader, control, sandbox):
    """Everything bought and sold at one price leaves what it cost: the fees."""
    control.set_price("btc_usdt", "60000", bid="59999.99", ask="60000")
    order = trader.placed(amount="0.1", price="59999.99")
    for _ in range(3):
        control.fill(order, fraction="0.3333")
    trader.delete("/margin/orders/all")
    wallet = sandbox.exchange.account().wallets["margin"]
    trades = sandbox.exchange.trades("margin", "btc_usdt")
    spent = sum(trade.quote_amount for trade in trades)
    assert wallet["USDT"].available == 10000 - spent
    assert wallet["USDT"].locked == 0
    assert wallet["BTC"].available == sum(t.amount - t.fee for t in trades)
