"""Answers that are lost, orders that survive, lists that lag: how a sweep gets there anyway."""

import pytest

from bitopro_margin_ext.core.endpoints import (
    CANCEL_ALL,
    CANCEL_BATCH,
    CANCEL_ORDER,
    CANCEL_PAIR,
    FETCH_ORDER,
    OPEN_ORDERS,
    ORDERS,
)
from bitopro_margin_ext.core.report import SweepOutcome
from bitopro_margin_ext.core.sweep import SINGLES
from tests.core.model import BTC, ETH, Row, a_model, keys, methods, sweep


@pytest.mark.parametrize("lost", ["drop_after", "timeout_after", "garbage", "empty", "list"])
def test_a_lost_answer_is_made_up_for_from_the_lists(lost):
    model = a_model(faults=[lost])
    report = sweep(model, BTC, [(BTC, "1")])
    assert report.outcome is SweepOutcome.CONFIRMED
    # The order that the caller did not know is named by its row alone.
    assert keys(report.cancelled) == [(BTC, "1"), (BTC, "2")]
    assert report.in_doubt
    assert methods(model).count(CANCEL_PAIR) == 1


def test_an_empty_answer_to_a_second_cancel_all_does_not_unsay_the_first():
    # The first is processed after its time-out, the lists lag, the second finds nothing.
    model = a_model(faults=["timeout_after", "lag:20", "lag:20"])
    report = sweep(model, BTC, [(BTC, "1"), (BTC, "2")], deadline=10)
    assert methods(model)[:4] == [CANCEL_PAIR, OPEN_ORDERS, ORDERS, CANCEL_PAIR]
    assert keys(report.cancelled) == [(BTC, "1"), (BTC, "2")]
    assert report.outcome is SweepOutcome.CONFIRMED


@pytest.mark.parametrize("lost", ["drop_before", "timeout_before", "status:500", "page:502"])
def test_a_cancel_all_that_never_arrived_is_sent_again(lost):
    model = a_model(faults=[lost])
    report = sweep(model, None, [(BTC, "1")])
    assert methods(model).count(CANCEL_ALL) == 2
    assert report.outcome is SweepOutcome.CONFIRMED
    assert not any(row.is_open for row in model.orders)


def test_survivors_are_cancelled_in_a_batch_of_all_pairs():
    model = a_model(*[Row(BTC, str(i)) for i in range(6)], Row(ETH, "7"), faults=["some"])
    report = sweep(model, None, [row.key for row in model.orders])
    assert methods(model).count(CANCEL_BATCH) == 1
    batch = next(params for _, endpoint, params in model.calls if endpoint is CANCEL_BATCH)
    assert batch == {"BTC_USDT": ["1", "3", "5"]}
    assert len(report.cancelled) == 7
    assert report.outcome is SweepOutcome.CONFIRMED


def test_survivors_of_the_batch_are_cancelled_one_by_one():
    rows = [Row(BTC, str(i)) for i in range(8)]
    model = a_model(*rows, faults=["some", "fine", "fine", "some"])
    report = sweep(model, BTC, [row.key for row in rows])
    assert methods(model).count(CANCEL_ORDER) == 2
    assert len(report.cancelled) == 8
    assert report.outcome is SweepOutcome.CONFIRMED


def test_survivors_that_nobody_knew_get_an_end_too():
    rows = [Row(BTC, str(i)) for i in range(4)]
    model = a_model(*rows, faults=["some", "fine", "drop_after"])
    report = sweep(model, None)
    assert keys(report.cancelled) == [row.key for row in rows]
    assert report.outcome is SweepOutcome.CONFIRMED


def test_what_cannot_be_cancelled_is_reported_as_still_open_at_the_deadline():
    rows = [Row(BTC, str(i)) for i in range(2)]
    model = a_model(*rows)
    real = model._process
    model._process = lambda step, kind, lag: (
        real(step, "some", lag)
        if step.endpoint is CANCEL_ORDER
        else {"data": {}}
        if step.endpoint in (CANCEL_PAIR, CANCEL_BATCH)
        else real(step, kind, lag)
    )
    report = sweep(model, BTC, [row.key for row in rows], deadline=6)
    assert keys(report.still_open) == [row.key for row in rows]
    assert report.outcome is SweepOutcome.REMAINING
    assert report.elapsed_ms <= 6000


def test_lists_that_lag_do_not_cause_a_storm_of_single_calls():
    rows = [Row(BTC, str(i)) for i in range(200)]
    model = a_model(*rows, faults=["fine", *["lag:60"] * 4])
    report = sweep(model, BTC, [row.key for row in rows])
    assert report.outcome is SweepOutcome.CONFIRMED
    assert len(report.cancelled) == 200
    assert methods(model).count(FETCH_ORDER) == 0
    assert methods(model).count(CANCEL_ORDER) == 0
    assert report.requests < 12


def test_a_history_that_lags_is_given_time_and_then_asked_order_by_order():
    model = a_model(Row(BTC, "1"), faults=["fine", "fine", "lag:60", "fine", "lag:60"])
    report = sweep(model, BTC, [(BTC, "1")])
    assert keys(report.final_orders()) == [(BTC, "1")]
    assert methods(model).count(FETCH_ORDER) == 0
    model = a_model(Row(BTC, "1"))
    real = model._process
    model._process = lambda step, kind, lag: real(step, kind, 60 if step.endpoint is ORDERS else 0)
    report = sweep(model, BTC, [(BTC, "1")])
    assert methods(model).count(FETCH_ORDER) == 1
    assert keys(report.final_orders()) == [(BTC, "1")]


def test_known_orders_missing_from_the_list_are_fetched_singly():
    model = a_model(Row(BTC, "1"))
    real = model._process
    model._process = lambda step, kind, lag: (
        {"data": []} if step.endpoint is ORDERS else real(step, kind, lag)
    )
    report = sweep(model, BTC, [(BTC, "1"), (BTC, "2")])
    assert keys(report.cancelled) == [(BTC, "1")]
    assert keys(report.unknown) == [(BTC, "2")]
    assert report.outcome is SweepOutcome.UNKNOWN
    assert methods(model).count(FETCH_ORDER) == 1 + 3


def test_many_missing_orders_are_asked_for_some_a_round_with_lists_between():
    model = a_model(Row(BTC, "x1"))
    known = [(BTC, str(number)) for number in range(60)]
    report = sweep(model, BTC, known, deadline=60)
    kinds = methods(model)
    first = kinds.index(FETCH_ORDER)
    assert kinds[first : first + SINGLES] == [FETCH_ORDER] * SINGLES
    assert OPEN_ORDERS in kinds[first : first + SINGLES + 2]
    assert len(report.unknown) == 60
