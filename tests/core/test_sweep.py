"""Cancel and confirm in calm weather: what is sent, in which scope, and what is reported."""

import pytest

from bitopro_margin_ext.core.endpoints import (
    CANCEL_ALL,
    CANCEL_PAIR,
    OPEN_ORDERS,
    ORDERS,
    OpenOrdersPath,
)
from bitopro_margin_ext.core.report import CancelReport, SweepOutcome
from bitopro_margin_ext.core.sweep import cancel_and_confirm, list_without_cancelling
from tests.core.model import BTC, CANCELLED, ETH, FILLED, Row, a_model, drive, keys, methods, sweep


def test_calm_weather_takes_three_requests_for_two_hundred_orders():
    model = a_model(*[Row(BTC, str(i)) for i in range(200)])
    report = sweep(model, BTC, [row.key for row in model.orders])
    assert methods(model) == [CANCEL_PAIR, OPEN_ORDERS, ORDERS]
    assert report.requests == 3
    assert report.outcome is SweepOutcome.CONFIRMED
    assert len(report.cancelled) == len(report.final_orders()) == 200
    assert not report.in_doubt
    assert not report.failures


def test_nothing_to_learn_takes_two_requests():
    model = a_model()
    report = sweep(model, None)
    assert methods(model) == [CANCEL_ALL, OPEN_ORDERS]
    assert keys(report.cancelled) == [(BTC, "1"), (BTC, "2"), (ETH, "3")]
    assert all(order["filled"] is None for order in report.cancelled)


def test_scope_of_one_pair_leaves_the_others():
    model = a_model()
    report = sweep(model, BTC, [(BTC, "1"), (ETH, "3")])
    assert keys(report.cancelled) == [(BTC, "1"), (BTC, "2")]
    assert model.orders[2].is_open
    assert report.unknown == []


@pytest.mark.parametrize("symbol", ["", "all", "btcusdt", "BTC/USDT:USDT", "*", "../all", "a_b_c"])
def test_what_is_no_pair_is_refused_before_anything_is_sent(symbol):
    with pytest.raises(ValueError, match="is not a pair"):
        cancel_and_confirm(symbol, deadline=10)


def test_fills_and_ends_are_told_apart():
    model = a_model(
        Row(BTC, "1", executed="1", status=1),
        Row(BTC, "2", status=FILLED, executed="2"),
        Row(BTC, "3", status=CANCELLED),
        Row(BTC, "4"),
    )
    report = sweep(model, BTC, [row.key for row in model.orders])
    assert {order["id"]: order["filled"] for order in report.cancelled} == {"1": "1", "4": "0"}
    assert [order["id"] for order in report.already_done] == ["2", "3"]
    assert report.outcome is SweepOutcome.CONFIRMED


def test_a_caller_that_stops_early_finds_what_was_learnt():
    report = CancelReport("all")
    flow = cancel_and_confirm(None, [(ETH, "9")], deadline=5, report=report)
    flow.send(None)
    flow.send({"data": {"BTC_USDT": ["1"]}})
    flow.close()
    assert keys(report.cancelled) == [(BTC, "1")]
    assert keys(report.unknown) == [(ETH, "9")]
    assert report.outcome is SweepOutcome.UNKNOWN


def test_known_orders_in_any_spelling():
    model = a_model()
    report = sweep(model, "btc_usdt", [("btc_usdt", 1), ("nonsense", "5"), (BTC, "../all")])
    assert keys(report.cancelled) == [(BTC, "1"), (BTC, "2")]
    assert [order["id"] for order in report.unknown] == ["5", "../all"]
    assert report.scope == BTC


def test_the_other_open_orders_path_is_found_and_remembered():
    model = a_model()
    real, paths = model._process, OpenOrdersPath()

    def swapped(step, kind, lag):
        if step.endpoint is OPEN_ORDERS:
            from bitopro_margin_ext.core.errors import classify

            return classify(400, '{"error": "Invalid pair orders"}')
        if step.endpoint is paths.candidates[-1]:
            step = step._replace(endpoint=OPEN_ORDERS)
        return real(step, kind, lag)

    model._process = swapped
    for expected in (3, 2):
        flow = cancel_and_confirm(None, deadline=5, clock=model.clock, open_orders=paths)
        report = drive(flow, model)
        assert (report.outcome, report.requests) == (SweepOutcome.CONFIRMED, expected)


def test_listing_alone_sends_no_write():
    model = a_model()
    flow = list_without_cancelling(BTC, deadline=5, clock=model.clock)
    report = drive(flow, model)
    assert methods(model) == [OPEN_ORDERS]
    assert keys(report.still_open) == [(BTC, "1"), (BTC, "2")]
    assert report.outcome is SweepOutcome.REMAINING


def test_the_report_reads_in_one_line_and_as_json():
    model = a_model()
    report = sweep(model, BTC, [(BTC, "1")])
    assert report.summary().startswith("scope BTC/USDT: confirmed, 2 cancelled; 3 requests in")
    document = report.to_json()
    assert document["outcome"] == "confirmed"
    assert document["cancelled"] == [{"id": "1", "symbol": BTC}, {"id": "2", "symbol": BTC}]
    assert document["requests"] == 3
