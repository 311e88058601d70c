"""A pair that the caller is in a hurry for is settled first; the rest is completed later."""

import pytest

from bitopro_margin_ext.core.calls import Call, Gather
from bitopro_margin_ext.core.endpoints import (
    CANCEL_ALL,
    CANCEL_ORDER,
    FETCH_ORDER,
    OPEN_ORDERS,
    ORDERS,
)
from bitopro_margin_ext.core.report import SweepOutcome
from bitopro_margin_ext.core.sweep import cancel_and_confirm
from tests.core.model import BTC, ETH, Row, a_model, drive, keys, methods


def hurried(model, known, deadline=10):
    flow = cancel_and_confirm(None, known, deadline=deadline, clock=model.clock, first=BTC)
    return drive(flow, model)


def _noting(flow, steps):
    answer = None
    while True:
        try:
            steps.append(flow.send(answer))
        except StopIteration as stop:
            return stop.value
        answer = yield steps[-1]


def test_the_hurried_pair_takes_two_round_trips_whatever_else_rests():
    rows = [Row(BTC, "1"), *[Row(f"A{n}/USDT", "1") for n in range(10)]]
    model = a_model(*rows)
    steps = []
    flow = cancel_and_confirm(
        None, [row.key for row in rows], deadline=10, clock=model.clock, first=BTC
    )
    report = drive(_noting(flow, steps), model)
    assert [type(step) for step in steps] == [Call, Gather]
    assert [call.endpoint for call in steps[1].calls] == [OPEN_ORDERS, ORDERS]
    assert keys(report.final_orders()) == [(BTC, "1")]
    assert len(report.cancelled) == 11, "the others are named by the cancel-all"
    rest = drive(report.rest(10), model)
    assert methods(model).count(CANCEL_ALL) == 1
    assert len(rest.final_orders()) == 11
    assert rest.outcome is SweepOutcome.CONFIRMED
    assert rest.rest is None


def test_all_pairs_are_asked_at_the_same_time_when_none_is_first():
    rows = [Row(f"A{n}/USDT", "1") for n in range(10)]
    model = a_model(*rows)
    report = drive(
        cancel_and_confirm(None, [r.key for r in rows], deadline=10, clock=model.clock), model
    )
    assert report.elapsed_ms <= 21, "two round trips of 10 ms"
    assert len(report.final_orders()) == 10


def test_nothing_is_left_for_later_where_nothing_is_left():
    model = a_model(Row(BTC, "1"))
    report = hurried(model, [(BTC, "1")])
    assert report.rest is None
    assert report.outcome is SweepOutcome.CONFIRMED


def test_the_rest_leaves_alone_what_was_placed_since():
    model = a_model(Row(BTC, "1"), Row(ETH, "2"), faults=["some"])
    # The cancel-all leaves the order of the other pair; its history is not asked for.
    report = hurried(model, [(BTC, "1"), (ETH, "2")])
    assert keys(report.final_orders()) == [(BTC, "1")]
    assert keys(report.still_open) == [(ETH, "2")]
    model.orders += [Row(BTC, "exit"), Row(ETH, "stop")]
    rest = drive(report.rest(10), model)
    assert {row.id for row in model.orders if row.is_open} == {"exit", "stop"}
    assert keys(rest.cancelled) == [(BTC, "1"), (ETH, "2")]
    assert rest.outcome is SweepOutcome.CONFIRMED
    assert methods(model).count(CANCEL_ALL) == 1


def test_the_rest_sends_no_cancel_all_even_where_the_first_got_no_answer():
    model = a_model(Row(BTC, "1"), Row(ETH, "2"), faults=["drop_after"])
    report = hurried(model, [(BTC, "1"), (ETH, "2")])
    assert report.in_doubt
    before = methods(model).count(CANCEL_ALL)
    model.orders.append(Row(BTC, "exit"))
    rest = drive(report.rest(10), model)
    assert methods(model).count(CANCEL_ALL) == before
    assert model.orders[-1].is_open
    assert keys(rest.cancelled) == [(BTC, "1"), (ETH, "2")]


@pytest.mark.parametrize("fault", ["status:500", "drop_before", "status:401", "garbage", "lag:1"])
@pytest.mark.parametrize("at", range(5))
def test_whatever_fails_both_parts_end_right(fault, at):
    model = a_model(Row(BTC, "1"), Row(ETH, "2"), faults=["fine"] * at + [fault] * 2)
    report = hurried(model, [(BTC, "1"), (ETH, "2")])
    assert (BTC, "1") in keys(report.final_orders())
    if report.rest is not None:
        report = drive(report.rest(10), model)
    assert report.outcome is SweepOutcome.CONFIRMED
    assert keys(report.final_orders()) == [(BTC, "1"), (ETH, "2")]


def test_a_contradicted_word_is_not_believed_and_cancelled_again():
    model = a_model(Row(BTC, "1"))
    real, lies = model._process, []

    def lying(step, kind, lag):
        if step.endpoint is CANCEL_ALL and not lies:
            lies.append(step)
            return {"data": {"BTC_USDT": ["1"]}}
        return real(step, kind, lag)

    model._process = lying
    report = drive(cancel_and_confirm(None, [], deadline=10, clock=model.clock), model)
    assert not model.orders[0].is_open
    assert report.outcome is SweepOutcome.CONFIRMED
    assert keys(report.final_orders()) == [(BTC, "1")]


def test_a_contradiction_that_stands_is_reported():
    model = a_model(Row(BTC, "1"))
    real = model._process

    def lying(step, kind, lag):
        if step.endpoint.method in ("DELETE", "PUT"):
            if step.endpoint is CANCEL_ORDER:
                return {"orderId": "1"}
            return {"data": {"BTC_USDT": ["1"]}}
        return real(step, kind, lag)

    model._process = lying
    report = drive(cancel_and_confirm(None, [(BTC, "1")], deadline=8, clock=model.clock), model)
    assert keys(report.still_open) == [(BTC, "1")]
    assert report.outcome is SweepOutcome.REMAINING
    assert methods(model).count(CANCEL_ORDER) > 1
    assert methods(model).count(FETCH_ORDER) <= 3


def test_the_status_in_the_answer_to_a_single_cancel_is_the_end():
    model = a_model(Row(BTC, "1"))
    real = model._process

    def filled(step, kind, lag):
        if step.endpoint is CANCEL_ORDER:
            model.orders[0].set(model.clock.now, 2, "2")
            return {"orderId": "1", "pair": "btc_usdt", "status": 2, "executedAmount": "2"}
        if step.endpoint.method in ("DELETE", "PUT"):
            return {"data": {}}
        return {"data": []} if step.endpoint is ORDERS else real(step, kind, lag)

    model._process = filled
    report = drive(cancel_and_confirm(None, [(BTC, "1")], deadline=8, clock=model.clock), model)
    assert keys(report.already_done) == [(BTC, "1")]
    assert report.outcome is SweepOutcome.CONFIRMED
