"""Cancel and confirm over real HTTP, in calm and in foul weather."""

import ccxt
import pytest

from bitopro_margin_ext.core import evidence, rate_limit
from bitopro_margin_ext.core.report import SweepOutcome
from tests.exchange.conftest import seed

BTC = "BTC/USDT"
CANCELS = {"method": "DELETE", "path": "/margin/orders/*"}
ONE_FAULT = [
    {"kind": "close", **CANCELS},
    {"kind": "process_close", **CANCELS},
    {"kind": "cut_off", **CANCELS},
    {"kind": "empty_body", **CANCELS},
    {"kind": "invalid_json", **CANCELS},
    {"kind": "truncated_json", **CANCELS},
    {"kind": "list_body", **CANCELS},
    {"kind": "duplicate", **CANCELS},
    {"kind": "numeric_ids", "times": None},
    {"kind": "cancel_some", **CANCELS},
    {"kind": "fill_before", "fraction": "0.25", **CANCELS},
    {"kind": "fill_before", "fraction": "1", "count": 1, **CANCELS},
    {"kind": "status", "status": 500, **CANCELS},
    {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>", **CANCELS, "times": 2},
    {"kind": "status", "status": 502, "body": "<html></html>", "process": True, **CANCELS},
    {"kind": "status", "status": 403, "body": "<html>Denied</html>", **CANCELS},
    {"kind": "status", "status": 429, "headers": {"Retry-After": "1"}, **CANCELS},
    {"kind": "status", "status": 429, **CANCELS},
    {"kind": "status", "status": 408, "process": True, **CANCELS},
    {"kind": "status", "status": 422, **CANCELS},
    {"kind": "delay", "seconds": 4, "when": "after", **CANCELS},
    {"kind": "close", "method": "GET", "path": "/margin/orders/orders/open"},
    {"kind": "invalid_json", "method": "GET", "path": "/margin/orders/orders/open"},
    {"kind": "status", "status": 500, "path": "/margin/orders/orders/open", "times": 3},
    {"kind": "duplicate", "path": "/margin/orders/orders/open"},
    {"kind": "lag", "seconds": 60, "path": "/margin/orders/orders/open", "times": 2},
    {"kind": "close", "method": "GET", "path": "/margin/orders/all/*"},
    {"kind": "truncated_json", "method": "GET", "path": "/margin/orders/all/*"},
    {"kind": "lag", "seconds": 60, "path": "/margin/orders/all/*", "times": 2},
    {"kind": "lag", "seconds": 60, "path": "/margin/orders/all/*", "times": None},
]


def named(fault):
    more = f"-{fault['status']}" if "status" in fault else ""
    return f"{fault['kind']}{more}-{fault.get('method', 'any')}"


def check(report, control, asked):
    """Hold a report against what is true on the exchange, and against the request log."""
    truth = {order["id"]: order for order in control.orders(kind="margin")}
    lists = (report.cancelled, report.already_done, report.still_open, report.unknown)
    told = [order["id"] for orders in lists for order in orders]
    assert len(told) == len(set(told))
    assert set(asked) <= set(told)
    for order in report.cancelled:
        assert not truth[order["id"]]["open"]
        assert int(truth[order["id"]]["status"]) in (3, 4, 6)
    for order in report.already_done:
        assert not truth[order["id"]]["open"]
    for order in report.final_orders():
        assert order["filled"] == float(truth[order["id"]]["executedAmount"])
        assert order["status"] in ("canceled", "closed")
    assert report.requests == len(control.requests())
    if report.outcome is SweepOutcome.CONFIRMED:
        assert not any(order["open"] for order in truth.values())


@pytest.mark.parametrize("scope", [None, BTC])
def test_two_hundred_orders_take_three_requests(api, control, log, scope):
    ids = seed(control, 200)
    log()
    report = api("cancel_and_confirm", scope, [(BTC, order_id) for order_id in ids])
    check(report, control, ids)
    assert [method for method, _ in log()] == ["DELETE", "GET", "GET"]
    assert report.outcome is SweepOutcome.CONFIRMED
    assert len(report.final_orders()) == 200
    assert {order["symbol"] for order in report.cancelled} == {BTC}
    assert report.elapsed_ms < 5000


@pytest.mark.parametrize("fault", ONE_FAULT, ids=named)
def test_one_fault(connect, sandbox, control, fault):
    api = connect(sandbox.rest_url, rateLimit=10)
    ids = seed(control, 4)
    rule = {"times": 1, **fault}
    control.add_fault(**rule)
    report = api("cancel_and_confirm", BTC, [(BTC, order_id) for order_id in ids], 10)
    check(report, control, ids)
    assert report.outcome is SweepOutcome.CONFIRMED, report.summary()
    assert len(report.final_orders()) == 4
    assert report.elapsed_ms < 10_000
    assert not any(line["limited"] for line in control.requests())


def test_fills_that_come_with_the_cancel_are_in_the_report(api, control):
    ids = seed(control, 2)
    control.fill(ids[0], fraction="0.25")
    report = api("cancel_and_confirm", None, [(BTC, order_id) for order_id in ids])
    check(report, control, ids)
    fills = {order["id"]: order["filled"] for order in report.cancelled}
    assert fills == {ids[0]: 0.00025, ids[1]: 0}
    assert {order["fee"]["currency"] for order in report.cancelled if order["filled"]} == {"BTC"}


def test_orders_that_were_over_before(api, control, monkeypatch):
    # Who ended an order is told by its date alone.
    monkeypatch.setattr(evidence, "CLOCK_TOLERANCE_MS", -1)
    filled, cancelled, resting = seed(control, 3)
    control.fill(filled)
    control.cancel(cancelled)
    known = [(BTC, order_id) for order_id in (filled, cancelled, resting)]
    report = api("cancel_and_confirm", BTC, known)
    check(report, control, [filled, cancelled, resting])
    assert [order["id"] for order in report.already_done] == sorted([filled, cancelled])
    assert [order["id"] for order in report.cancelled] == [resting]


def test_a_clock_that_is_off_costs_one_more_request(api, control):
    control.skew(-90)
    ids = seed(control, 2)
    report = api("cancel_and_confirm", BTC, [(BTC, order_id) for order_id in ids])
    check(report, control, ids)
    assert report.requests == 4
    assert report.outcome is SweepOutcome.CONFIRMED


def test_a_clock_that_is_off_hides_no_end_whose_answer_was_lost(api, control):
    control.skew(-90)
    ids = seed(control, 2)
    control.add_fault("process_close", after=1, **CANCELS)
    report = api("cancel_and_confirm", BTC, [])
    check(report, control, ids)
    assert sorted(order["id"] for order in report.cancelled) == sorted(ids)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_stops_the_sweep(api, control, status):
    ids = seed(control, 2)
    control.add_fault("status", status=status, body={"error": "no"}, times=None)
    report = api("cancel_and_confirm", None, [(BTC, order_id) for order_id in ids], 10)
    check(report, control, ids)
    assert report.outcome is SweepOutcome.UNKNOWN
    assert report.key_refusal.status == status
    # Both kinds of list are asked again: one refusal can be a stray.
    assert report.requests <= 6
    assert report.elapsed_ms < 3000
    assert report.failures[-1].status == status


def test_what_survives_everything_is_reported_as_still_open(connect, sandbox, control):
    api = connect(sandbox.rest_url, rateLimit=10)
    ids = seed(control, 3)
    control.add_fault("cancel_some", ids=ids[:1], path="/margin/orders*", times=None)
    refusal = {"status": 422, "body": {"error": "not now"}}
    one = f"/margin/orders/btc_usdt/{ids[0]}"
    control.add_fault("status", method="DELETE", path=one, times=None, **refusal)
    report = api("cancel_and_confirm", BTC, [(BTC, order_id) for order_id in ids], 2)
    check(report, control, ids)
    assert report.outcome is SweepOutcome.REMAINING
    assert [order["id"] for order in report.still_open] == ids[:1]
    assert not any(line["limited"] for line in control.requests())
    assert report.elapsed_ms <= 2500


def test_a_429_of_another_bot_is_absorbed(connect, sandbox, control):
    other, api = connect(sandbox.rest_url), connect(sandbox.rest_url)
    ids = seed(control, 2)
    # The limit counts by address; another process has a limiter of its own.
    other("cancel_all_orders", "ETH/USDT")
    rate_limit._limits.clear()
    report = api("cancel_and_confirm", BTC, [(BTC, order_id) for order_id in ids])
    assert report.outcome is SweepOutcome.CONFIRMED
    assert any(line["limited"] for line in control.requests())
    assert not any(order["open"] for order in control.orders())


def test_a_delisted_pair_is_swept_with_the_rest(api, control):
    ids = seed(control, 1, "eth_usdt")
    control.delist("btc_usdt")
    report = api("cancel_and_confirm", BTC, [(BTC, "1")], 3)
    assert report.outcome is SweepOutcome.UNKNOWN
    assert [order["id"] for order in report.unknown] == ["1"]
    assert [order["id"] for order in control.orders(only_open=True)] == ids


def test_orders_of_ten_pairs_in_one_sweep(api, control, log):
    pairs = ["btc_usdt", "eth_usdt"]
    ids = {pair: seed(control, 5, pair) for pair in pairs}
    known = [(pair.upper().replace("_", "/"), order_id) for pair in pairs for order_id in ids[pair]]
    log()
    report = api("cancel_and_confirm", None, known)
    check(report, control, [order_id for _, order_id in known])
    assert len(log()) == 2 + len(pairs)
    assert report.outcome is SweepOutcome.CONFIRMED


@pytest.mark.parametrize("symbol", ["", "all", "btcusdt", 0, False])
def test_what_is_no_pair_is_refused(api, log, symbol):
    log()
    with pytest.raises(ccxt.BadSymbol):
        api("cancel_and_confirm", symbol)
    assert log() == []
