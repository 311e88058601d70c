"""A sweep that is told to wait, or whose key is refused."""

from itertools import pairwise

import pytest

from bitopro_margin_ext.core.calls import MAX_REFUSALS
from bitopro_margin_ext.core.endpoints import CANCEL_ALL, CANCEL_BATCH
from bitopro_margin_ext.core.errors import Meaning, classify
from bitopro_margin_ext.core.report import SweepOutcome
from tests.core.model import BTC, ETH, a_model, keys, methods, sweep


def test_retry_after_is_waited_for():
    model = a_model(faults=["status:429/3"])
    report = sweep(model, None)
    first, second = (at for at, endpoint, _ in model.calls if endpoint is CANCEL_ALL)
    assert 3 <= second - first < 4
    assert report.outcome is SweepOutcome.CONFIRMED
    assert not report.in_doubt


def test_a_retry_after_beyond_the_deadline_is_honoured_by_other_means():
    model = a_model(faults=["status:429/60"])
    report = sweep(model, None, [(BTC, "1")])
    assert methods(model).count(CANCEL_ALL) == 1
    assert methods(model).count(CANCEL_BATCH) == 1
    assert report.outcome is SweepOutcome.CONFIRMED


@pytest.mark.parametrize("after", ["", "/0", "/nonsense"])
def test_a_429_without_a_useful_retry_after_backs_off(after):
    model = a_model(faults=[f"status:429{after}"] * 500)
    report = sweep(model, None, [(BTC, "1")], deadline=10)
    assert report.elapsed_ms <= 10_000
    assert len(model.calls) < 80
    assert report.outcome is SweepOutcome.UNKNOWN
    assert not report.in_doubt


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_early(status):
    model = a_model(faults=[f"status:{status}"] * 100)
    report = sweep(model, None, [(BTC, str(i)) for i in range(50)], deadline=10)
    # A cancel-all, and two kinds of list that were asked again before that is believed.
    assert len(model.calls) <= 2 + 2 * MAX_REFUSALS
    assert report.elapsed_ms < 1500
    assert report.outcome is SweepOutcome.UNKNOWN
    assert report.key_refusal.status == status
    assert not report.in_doubt


@pytest.mark.parametrize("before", range(8))
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("status", [401, 403, 409])
def test_a_stray_refusal_does_not_end_a_sweep(before, times, status):
    model = a_model(faults=["fine"] * before + [f"status:{status}"] * times)
    report = sweep(model, None, [(BTC, "1"), (ETH, "3")], deadline=10)
    assert report.outcome is SweepOutcome.CONFIRMED
    assert {(BTC, "1"), (ETH, "3")} <= set(keys(report.final_orders()))
    assert report.key_refusal is None


@pytest.mark.parametrize("calm", [2, 3])
def test_a_key_that_is_revoked_on_the_way_stops_there(calm):
    model = a_model(faults=["fine"] * calm + ["status:401"] * 100)
    known = [(BTC, str(number)) for number in range(50, 90)]
    report = sweep(model, BTC, known, deadline=10)
    assert len(model.calls) <= calm + 25 + MAX_REFUSALS
    assert report.elapsed_ms < 2000
    assert len(report.unknown) == 40
    assert keys(report.cancelled) == [(BTC, "1"), (BTC, "2")]


def test_a_key_that_may_read_but_not_trade_says_what_is_open():
    model = a_model()
    real = model.answer
    model.answer = lambda step: (
        real(step)
        if step.endpoint.method == "GET"
        else classify(403, '{"error": "Forbidden"}', path="/v3/x")
    )
    report = sweep(model, None, [(BTC, "1")])
    assert keys(report.still_open) == [(BTC, "1"), (BTC, "2"), (ETH, "3")]
    assert report.outcome is SweepOutcome.REMAINING
    assert report.elapsed_ms < 3000
    assert report.failures[-1].meaning is Meaning.PERMISSION


def test_a_pair_under_maintenance_whose_lists_are_down_is_unknown():
    model = a_model()
    text = '{"error": "Pair btc_usdt is under maintenance."}'
    model.answer = lambda step: (
        classify(503, "", path="/v3/x")
        if step.endpoint.method == "GET"
        else classify(400, text, path="/v3/margin/orders/btc_usdt")
    )
    report = sweep(model, BTC, deadline=3)
    assert report.outcome is SweepOutcome.UNKNOWN
    assert not any(failure.meaning is Meaning.BAD_SYMBOL for failure in report.failures)


@pytest.mark.parametrize("status", [400, 404, 410, 422])
@pytest.mark.parametrize("body", ["", "404 page not found", '{"message": "Not Found"}'])
def test_a_cancel_that_a_gateway_turned_away_is_in_doubt_and_not_repeated_unseen(status, body):
    model = a_model()
    real = model.answer
    model.answer = lambda step: (
        real(step)
        if step.endpoint.method == "GET"
        else model.calls.append((model.clock.now, step.endpoint, step.params))
        or classify(status, body, path="/v3/margin/orders/btc_usdt/1")
    )
    report = sweep(model, BTC, [(BTC, "1")], deadline=3)
    assert report.in_doubt
    assert report.outcome is SweepOutcome.UNKNOWN
    assert keys(report.unknown) == [(BTC, "1"), (BTC, "2")]
    sent = [(endpoint, params) for _, endpoint, params in model.calls]
    writes = [one for one in sent if one[0].method != "GET"]
    assert len(writes) > 2
    assert not any(a == b and a in writes for a, b in pairwise(sent)), "it looks in between"
