"""What a sweep makes of the exchange's words: what is left to do, and where the report puts it."""

import pytest

from bitopro_margin_ext.core import evidence
from bitopro_margin_ext.core.assumptions import LIST_LAG_SECONDS
from bitopro_margin_ext.core.calls import Moment
from bitopro_margin_ext.core.evidence import Source, SweepState
from bitopro_margin_ext.core.parse import read_open_order, read_order
from bitopro_margin_ext.core.report import CancelReport

BTC, ETH = "BTC/USDT", "ETH/USDT"
KEY = (BTC, "1")
NOW = 1_800_000_000_000


def order(status, key=KEY, filled="0", updated=NOW):
    row = {"symbol": key[0], "id": key[1], "status": status, "filled": filled}
    return {**row, "lastUpdateTimestamp": updated}


def told(state, *, listed=True, in_doubt=False):
    report = CancelReport("all", listed=listed)
    report.in_doubt = in_doubt
    state.fill(report)
    names = ("cancelled", "already_done", "still_open", "unknown")
    return {
        name: [o["id"] for o in getattr(report, name)] for name in names if getattr(report, name)
    }


def at(seconds):
    return Moment(seconds, seconds)


@pytest.fixture
def state():
    return SweepState(None, [KEY], lambda: NOW)


def test_nothing_said(state):
    assert told(state) == {"unknown": ["1"]}


def test_an_end_once_told_is_not_taken_back(state):
    state.record_order(order("canceled"), at(0), Source.HISTORY)
    state.record_order(order("open"), at(9), Source.LOOKUP)
    state.record_open_orders([order("open")], at(10))
    assert told(state) == {"cancelled": ["1"]}
    assert state.orders_to_cancel() == []
    assert not state.is_unsettled()


def test_a_status_that_no_page_names_is_no_end_and_gives_way_to_one(state):
    state.record_order(order(None), at(0), Source.HISTORY)
    assert told(state) == {"unknown": ["1"]}
    state.record_order(order("canceled"), at(1), Source.HISTORY)
    assert told(state) == {"cancelled": ["1"]}


def test_an_answer_is_believed_until_a_later_list_contradicts_it(state):
    state.record_open_orders([order("open")], at(0))
    state.record_cancelled([order("canceled")], at(1))
    assert told(state) == {"cancelled": ["1"]}
    state.record_open_orders([order("open")], at(2))
    # The list may be behind. It is not cancelled again, nor is anything certain of it.
    assert told(state) == {"unknown": ["1"]}
    assert state.orders_to_cancel() == []
    assert state.is_unsettled()
    state.record_open_orders([order("open")], at(1 + LIST_LAG_SECONDS))
    assert told(state) == {"still_open": ["1"]}
    assert state.orders_to_cancel() == [KEY]
    state.record_cancelled([order("canceled")], at(4))
    assert told(state) == {"still_open": ["1"]}
    state.record_open_orders([], at(5))
    assert told(state) == {"cancelled": ["1"]}


def test_a_look_up_contradicts_at_once(state):
    state.record_cancelled([order("canceled")], at(1))
    state.record_order(order("open"), at(1.5), Source.LOOKUP)
    assert state.orders_to_cancel() == [KEY]
    assert told(state) == {"still_open": ["1"]}


@pytest.mark.parametrize(
    ("status", "place"),
    [("closed", "already_done"), ("canceled", "cancelled"), ("open", "still_open")],
)
def test_the_status_in_the_answer_to_a_cancel_counts(state, status, place):
    state.record_open_orders([order("open")], at(0))
    state.record_cancel_attempt(KEY)
    state.record_cancel_answer(order(status), at(1))
    assert told(state) == {place: ["1"]}


def test_an_answer_to_a_cancel_without_a_status_is_its_word(state):
    state.record_cancel_answer(order(None), at(1))
    assert told(state) == {"cancelled": ["1"]}


def test_a_cancel_without_an_answer_makes_an_open_order_doubtful_until_the_next_list(state):
    state.record_open_orders([order("open")], at(0))
    assert told(state) == {"still_open": ["1"]}
    state.mark_unconfirmed(at(1), [KEY])
    assert told(state) == {"unknown": ["1"]}
    state.record_open_orders([order("open")], at(2))
    assert told(state) == {"still_open": ["1"]}
    state.mark_unconfirmed(at(3))
    assert told(state) == {"unknown": ["1"]}


def test_a_history_that_contradicts_the_open_orders_is_behind(state):
    state.record_order(order("open"), at(0), Source.HISTORY)
    assert told(state) == {"still_open": ["1"]}
    state.record_open_orders([], at(0))
    assert state.orders_to_cancel() == []
    assert told(state) == {"unknown": ["1"]}
    state.record_order(order("open"), at(1), Source.LOOKUP)
    assert state.orders_to_cancel() == [KEY]
    assert told(state) == {"still_open": ["1"]}


def test_who_ended_an_order_is_told_by_word_by_attempt_or_by_date():
    late, early = NOW - evidence.CLOCK_TOLERANCE_MS, NOW - evidence.CLOCK_TOLERANCE_MS - 1
    keys = [(BTC, str(number)) for number in range(5)]
    state = SweepState(None, keys, lambda: NOW)
    state.record_cancelled([order("canceled", keys[0])], at(0))
    state.record_cancel_attempt(keys[1])
    for key, updated in zip(keys, (early, early, late, early, None), strict=True):
        state.record_order(order("canceled", key, updated=updated), at(1), Source.HISTORY)
    assert told(state) == {"cancelled": ["0", "1", "2"], "already_done": ["3", "4"]}


def test_ends_of_other_orders_are_named_only_when_a_cancel_went_unanswered(state):
    for key, status, updated in [
        ("7", "canceled", NOW),
        ("8", "closed", NOW),
        ("9", "canceled", 0),
    ]:
        state.record_order(order(status, (BTC, key), updated=updated), at(0), Source.HISTORY)
    assert told(state) == {"unknown": ["1"]}
    assert told(state, in_doubt=True) == {"cancelled": ["7"], "unknown": ["1"]}


def test_a_list_of_all_pairs_is_read_for_the_pair_in_scope():
    state = SweepState(BTC, [], lambda: NOW)
    rows = [order("open"), order("open", (ETH, "2")), order("closed", (BTC, "3"))]
    state.record_open_orders(rows, at(0))
    assert state.orders_to_cancel() == [KEY]
    assert told(state) == {"still_open": ["1"]}


def test_an_id_that_repeats_on_another_pair_is_another_order():
    state = SweepState(None, [KEY, (ETH, "1")], lambda: NOW)
    state.record_cancelled([order("canceled")], at(0))
    state.record_open_orders([order("open", (ETH, "1"))], at(1))
    report = CancelReport("all")
    state.fill(report)
    assert [o["symbol"] for o in report.cancelled] == [BTC]
    assert [o["symbol"] for o in report.still_open] == [ETH]


def test_what_was_seen_open_is_asked_about_once_it_is_gone():
    state = SweepState(None, [], lambda: NOW)
    state.record_open_orders([order("open")], at(0))
    assert state.orders_to_look_up() == []
    state.record_open_orders([], at(1))
    assert state.orders_to_look_up() == [KEY]
    assert state.orders_to_look_up(ETH) == []
    for _ in range(evidence.MAX_LOOKUPS):
        state.record_lookup(KEY)
    assert state.orders_to_look_up() == []
    assert told(state) == {"unknown": ["1"]}


def test_the_least_attempted_come_first():
    keys = [(BTC, str(number)) for number in range(3)]
    state = SweepState(None, [], lambda: NOW)
    state.record_open_orders([order("open", key) for key in keys], at(0))
    state.record_cancel_attempt(keys[0])
    state.record_cancel_attempt(keys[0])
    state.record_cancel_attempt(keys[1])
    assert state.orders_to_cancel() == keys[::-1]


def test_what_is_placed_after_the_scope_was_closed_is_left_alone():
    state = SweepState(None, [KEY], lambda: NOW)
    state.record_open_orders([order("open", (ETH, "2"))], at(0))
    state.close_scope()
    placed = order("open", (BTC, "99"))
    state.record_open_orders([placed, order("open", (ETH, "2"))], at(5))
    assert state.orders_to_cancel() == [(ETH, "2")]
    assert told(state) == {"still_open": ["2"], "unknown": ["1"]}


@pytest.mark.parametrize("amounts", [{"executedAmount": "-1"}, {"executedAmount": "9"}])
def test_a_row_that_cannot_be_true_is_no_fact_but_an_open_order_rests(amounts):
    row = {"id": "1", "pair": "btc_usdt", "status": 0, "originalAmount": "2", **amounts}
    assert read_order(row) is None
    assert read_open_order(row)["status"] == "open"
    assert read_open_order(row)["filled"] is None
    assert read_open_order({**row, "id": "a/b"}) is None
    assert read_open_order([row]) is None


def test_a_statement_that_repeats_takes_no_memory(state):
    for moment in range(10_000):
        state.record_open_orders([order("open")], at(moment))
    assert len(state._statements[KEY]) == 2
