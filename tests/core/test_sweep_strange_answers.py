"""Answers that repeat, mislead or cannot be read: what a sweep believes of them."""

import pytest

from bitopro_margin_ext.core.endpoints import (
    CANCEL_ALL,
    CANCEL_BATCH,
    FETCH_ORDER,
    OPEN_ORDERS,
    ORDERS,
)
from bitopro_margin_ext.core.report import SweepOutcome
from tests.core.model import BTC, ETH, Row, a_model, keys, methods, sweep


@pytest.mark.parametrize("kind", ["numbers", "twice"])
def test_ids_as_numbers_and_ids_twice(kind):
    model = a_model(faults=[kind] * 10)
    report = sweep(model, None, [(BTC, "1"), (ETH, "3")])
    assert keys(report.cancelled) == [(BTC, "1"), (BTC, "2"), (ETH, "3")]
    assert report.outcome is SweepOutcome.CONFIRMED


def test_an_answer_about_another_order_says_nothing_of_this_one():
    model = a_model(Row(BTC, "1"), Row(BTC, "2"))
    real = model._process

    def other(step, kind, lag):
        if step.endpoint is ORDERS:
            return {"data": []}
        if step.endpoint is FETCH_ORDER:
            step = step._replace(params={**step.params, "orderId": "2"})
        return real(step, kind, lag)

    model._process = other
    report = sweep(model, BTC, [(BTC, "9")])
    assert keys(report.unknown) == [(BTC, "9")]
    assert all(order["filled"] is None for order in report.cancelled)


def test_ids_that_a_batch_did_not_ask_for_are_not_believed():
    model = a_model(Row(BTC, "1"), Row(BTC, "2"), faults=["some", "fine", "fine", "strangers"])
    report = sweep(model, None, [(BTC, "1"), (BTC, "2")])
    assert CANCEL_BATCH in methods(model)
    assert keys(report.cancelled) == [(BTC, "1"), (BTC, "2")]
    assert report.in_doubt


def test_ids_under_a_pair_that_was_not_asked_for_are_not_believed():
    model = a_model(faults=["strangers"])
    report = sweep(model, BTC, [(BTC, "1")])
    assert keys(report.cancelled) == [(BTC, "1"), (BTC, "2")]
    assert report.in_doubt


def test_an_id_that_repeats_on_another_pair_is_another_order():
    model = a_model(Row(BTC, "1"), Row(ETH, "1"))
    report = sweep(model, BTC, [(BTC, "1"), (ETH, "1")])
    assert keys(report.cancelled) == [(BTC, "1")]
    assert model.orders[1].is_open


@pytest.mark.parametrize(
    "ids", ["123", {"1": 2}, 7, [None], [True], [1.5], [""], ["1/2"], [["1"]], True]
)
def test_an_answer_that_does_not_list_ids_is_in_doubt(ids):
    model = a_model()
    real = model._process

    def spoilt(step, kind, lag):
        reply = real(step, kind, lag)
        return {"data": {"BTC_USDT": ids}} if step.endpoint is CANCEL_ALL else reply

    model._process, model._hear = spoilt, lambda step, reply: None
    report = sweep(model, None, [(BTC, "1")])
    assert report.in_doubt
    # Their rows name them, in the pair that was asked for.
    assert keys(report.cancelled) == [(BTC, "1"), (BTC, "2")]
    assert report.outcome is SweepOutcome.CONFIRMED


def test_an_open_order_that_cannot_be_named_leaves_the_outcome_unknown():
    model = a_model()
    real = model._process
    strange = {"data": [{"pair": "", "id": "1", "status": 0}]}
    model._process = lambda step, kind, lag: (
        strange if step.endpoint is OPEN_ORDERS else real(step, kind, lag)
    )
    model._hear = lambda step, reply: None
    report = sweep(model, None, deadline=3)
    assert report.outcome is SweepOutcome.UNKNOWN
