"""Cancel and confirm, situation by situation, on a clock that only the test moves."""

import pytest

from bitopro_margin_ext import cancel
from bitopro_margin_ext.cancel import Pause, Send
from bitopro_margin_ext.endpoints import (
    CANCEL_ALL,
    CANCEL_BATCH,
    CANCEL_ORDER,
    CANCEL_PAIR,
    FETCH_ORDER,
    OPEN_ORDERS,
    ORDERS,
    OpenOrdersPath,
)
from bitopro_margin_ext.errors import Meaning
from bitopro_margin_ext.report import CancelReport, SweepOutcome
from tests.core.model import CANCELLED, FILLED, Clock, Model, Row, drive, sweep

BTC, ETH = "BTC/USDT", "ETH/USDT"


def a_model(*rows, faults=()):
    return Model(Clock(), list(rows) or [Row(BTC, "1"), Row(BTC, "2"), Row(ETH, "3")], faults)


def methods(model):
    return [endpoint for _, endpoint, _ in model.calls]


def keys(orders):
    return [(order["symbol"], order["id"]) for order in orders]


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
        cancel.cancel_and_confirm(symbol, deadline=10)


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


def test_many_missing_orders_are_asked_for_some_a_round_with_lists_between():
    model = a_model(Row(BTC, "x1"))
    known = [(BTC, str(number)) for number in range(60)]
    report = sweep(model, BTC, known, deadline=60)
    kinds = methods(model)
    first = kinds.index(FETCH_ORDER)
    assert kinds[first : first + cancel.SINGLES] == [FETCH_ORDER] * cancel.SINGLES
    assert OPEN_ORDERS in kinds[first : first + cancel.SINGLES + 2]
    assert len(report.unknown) == 60


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


# -- limits, refusals, time -------------------------------------------------------------------


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
    assert len(model.calls) == 2
    assert report.elapsed_ms < 1000
    assert report.outcome is SweepOutcome.UNKNOWN
    assert not report.in_doubt


@pytest.mark.parametrize("calm", [2, 3])
def test_a_key_that_is_revoked_on_the_way_stops_there(calm):
    model = a_model(faults=["fine"] * calm + ["status:401"] * 100)
    known = [(BTC, str(number)) for number in range(50, 90)]
    report = sweep(model, BTC, known, deadline=10)
    assert len(model.calls) == calm + 1
    assert len(report.unknown) == 40
    assert keys(report.cancelled) == [(BTC, "1"), (BTC, "2")]


def test_a_key_that_may_read_but_not_trade_says_what_is_open():
    model = a_model(faults=["status:403"])
    report = sweep(model, None, [(BTC, "1")])
    assert methods(model) == [CANCEL_ALL, OPEN_ORDERS, ORDERS]
    assert keys(report.still_open) == [(BTC, "1"), (BTC, "2"), (ETH, "3")]
    assert report.outcome is SweepOutcome.REMAINING
    assert report.failures[-1].meaning is Meaning.PERMISSION


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
    flow = cancel.cancel_and_confirm(BTC, deadline=5, clock=(clock := Clock()))
    assert flow.send(None).endpoint is CANCEL_PAIR
    row = {"id": "1", "pair": "btc_usdt", "status": 0}
    assert flow.send({"data": {}}).endpoint is OPEN_ORDERS
    step = flow.send({"data": [row]})
    while not (isinstance(step, Send) and step.endpoint is CANCEL_BATCH):
        reply = None if isinstance(step, Pause) else {"data": [row]}
        step = flow.send(reply)
    clock.now += 5
    with pytest.raises(StopIteration) as stop:
        flow.send({"data": {"BTC_USDT": ["1"]}})
    report = stop.value.value
    assert keys(report.cancelled) == [(BTC, "1")]


# -- the odds and ends ------------------------------------------------------------------------


def test_a_caller_that_stops_early_finds_what_was_learnt():
    report = CancelReport("all")
    flow = cancel.cancel_and_confirm(None, [(ETH, "9")], deadline=5, report=report)
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
            from bitopro_margin_ext.errors import classify

            return classify(400, '{"error": "Invalid pair orders"}')
        if step.endpoint is paths.candidates[-1]:
            step = step._replace(endpoint=OPEN_ORDERS)
        return real(step, kind, lag)

    model._process = swapped
    for expected in (3, 2):
        flow = cancel.cancel_and_confirm(None, deadline=5, clock=model.clock, open_orders=paths)
        report = drive(flow, model)
        assert (report.outcome, report.requests) == (SweepOutcome.CONFIRMED, expected)


def test_listing_alone_sends_no_write():
    model = a_model()
    flow = cancel.list_without_cancelling(BTC, deadline=5, clock=model.clock)
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
