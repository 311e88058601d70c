"""A sweep in the time it has, and what it may say when that is over."""

import pytest

from bitopro_margin_ext.core.calls import Call, Sleep
from bitopro_margin_ext.core.endpoints import CANCEL_BATCH, CANCEL_PAIR, OPEN_ORDERS
from bitopro_margin_ext.core.report import SweepOutcome
from bitopro_margin_ext.core.sweep import cancel_and_confirm
from tests.core.model import BTC, Clock, Row, a_model, keys, sweep


def test_known_ends_are_learnt_even_where_the_open_orders_cannot_be_listed():
    model = a_model()
    model.faults = iter(())
    real = model.answer

    def no_list(step):
        if step.endpoint is OPEN_ORDERS:
            model.faults = iter(["status:500"])
        return real(step)

    model.answer = no_list
    report = sweep(model, BTC, [(BTC, "1")], deadline=5)
    assert (BTC, "1") in keys(report.final_orders())
    assert report.outcome is SweepOutcome.UNKNOWN
    assert report.elapsed_ms <= 5000


def test_a_call_that_was_not_sent_is_neither_counted_nor_in_doubt():
    model = a_model(faults=["not_sent", "not_sent"])
    report = sweep(model, None)
    assert report.requests == len(model.calls)
    assert not report.in_doubt
    assert report.outcome is SweepOutcome.CONFIRMED


@pytest.mark.parametrize("deadline", [0, -1, 0.005, 0.5, 3, 10])
@pytest.mark.parametrize("fault", ["timeout_before", "drop_before", "status:500", "status:429/1"])
def test_the_deadline_holds_whatever_happens(deadline, fault):
    model = a_model(faults=[fault] * 2000)
    report = sweep(model, None, [(BTC, "1")], deadline=deadline)
    assert report.elapsed_ms <= max(0, deadline) * 1000 + 1
    assert keys(report.unknown) == [(BTC, "1")]
    assert report.outcome is SweepOutcome.UNKNOWN
    assert report.requests == len(model.calls)


def test_one_call_that_hangs_leaves_time_to_ask_again():
    model = a_model(faults=["timeout_before"])
    report = sweep(model, None, [(BTC, "1")], deadline=10)
    assert report.outcome is SweepOutcome.CONFIRMED


def test_an_order_whose_cancel_was_not_answered_is_not_called_open():
    # Listed once; then the cancel is lost and nothing can be listed any more.
    model = a_model(Row(BTC, "1"), faults=["status:400", "fine", *["drop_before"] * 99])
    report = sweep(model, BTC, [], deadline=4)
    assert keys(report.unknown) == [(BTC, "1")]
    assert report.outcome is SweepOutcome.UNKNOWN
    assert report.in_doubt


def test_an_order_listed_open_to_the_end_is_open_whatever_the_cancel_said():
    model = a_model(Row(BTC, "1"), faults=["fine", *["lag:600"] * 500])
    report = sweep(model, BTC, [], deadline=4)
    assert report.cancelled == []
    assert keys(report.still_open) == [(BTC, "1")]


def test_a_cancel_answered_after_the_last_list_counts():
    flow = cancel_and_confirm(BTC, deadline=5, clock=(clock := Clock()))
    assert flow.send(None).endpoint is CANCEL_PAIR
    row = {"id": "1", "pair": "btc_usdt", "status": 0}
    assert flow.send({"data": {}}).endpoint is OPEN_ORDERS
    step = flow.send({"data": [row]})
    while not (isinstance(step, Call) and step.endpoint is CANCEL_BATCH):
        reply = None if isinstance(step, Sleep) else {"data": [row]}
        step = flow.send(reply)
    clock.now += 5
    with pytest.raises(StopIteration) as stop:
        flow.send({"data": {"BTC_USDT": ["1"]}})
    report = stop.value.value
    assert keys(report.cancelled) == [(BTC, "1")]
