"""What the words of the exchange are worth against each other, one order at a time."""

import pytest

from bitopro_margin_ext.core import sweep_state
from bitopro_margin_ext.core.report import CancelReport
from bitopro_margin_ext.core.sweep_state import Findings

BTC, ETH = "BTC/USDT", "ETH/USDT"
KEY = (BTC, "1")
NOW = 1_800_000_000_000


def order(status, key=KEY, filled="0", updated=NOW):
    row = {"symbol": key[0], "id": key[1], "status": status, "filled": filled}
    return {**row, "lastUpdateTimestamp": updated}


def told(known, *, listed=True, in_doubt=False):
    report = CancelReport("all", listed=listed)
    report.in_doubt = in_doubt
    known.fill(report)
    names = ("cancelled", "already_done", "still_open", "unknown")
    return {
        name: [o["id"] for o in getattr(report, name)] for name in names if getattr(report, name)
    }


@pytest.fixture
def found():
    return Findings(None, [KEY], lambda: NOW)


def test_nothing_said(found):
    assert told(found) == {"unknown": ["1"]}


def test_an_end_once_told_is_not_taken_back(found):
    found.learn(order("canceled"))
    found.learn(order("open"), alone=True)
    found.note_open([order("open")])
    assert told(found) == {"cancelled": ["1"]}
    assert found.survivors(listed=True) == []
    assert not found.unsettled(listed=True)


def test_a_status_that_no_page_names_is_no_end_and_gives_way_to_one(found):
    found.learn(order(None))
    assert told(found) == {"unknown": ["1"]}
    found.learn(order("canceled"))
    assert told(found) == {"cancelled": ["1"]}


def test_an_answer_is_believed_until_a_later_list_contradicts_it(found):
    found.note_open([order("open")])
    found.note_cancelled([order("canceled")])
    assert told(found) == {"cancelled": ["1"]}
    found.note_open([order("open")])
    assert told(found) == {"still_open": ["1"]}
    found.note_open([])
    assert told(found) == {"cancelled": ["1"]}


def test_lists_get_patience_before_an_order_is_cancelled_again(found):
    found.note_cancelled([order("canceled")])
    for _ in range(sweep_state.PATIENCE - 1):
        found.note_open([order("open")])
        assert found.survivors(listed=True) == []
        assert found.unsettled(listed=True)
    found.note_open([order("open")])
    assert found.survivors(listed=True) == [KEY]


def test_a_cancel_without_an_answer_makes_an_open_order_doubtful_until_the_next_list(found):
    found.note_open([order("open")])
    assert told(found) == {"still_open": ["1"]}
    found.note_unanswered([KEY])
    assert told(found) == {"unknown": ["1"]}
    found.note_open([order("open")])
    assert told(found) == {"still_open": ["1"]}
    found.note_unanswered()
    assert told(found) == {"unknown": ["1"]}


def test_a_history_that_contradicts_the_open_orders_is_behind(found):
    found.note_open([])
    found.learn(order("open"))
    assert found.survivors(listed=True) == []
    assert told(found) == {"unknown": ["1"]}
    # Without the open orders the history is all there is.
    assert found.survivors(listed=False) == [KEY]
    assert told(found, listed=False) == {"still_open": ["1"]}
    found.learn(order("open"), alone=True)
    assert found.survivors(listed=True) == [KEY]
    assert told(found) == {"still_open": ["1"]}


def test_who_ended_an_order_is_told_by_word_by_try_or_by_date():
    late, early = NOW - sweep_state.CLOCK_TOLERANCE_MS, NOW - sweep_state.CLOCK_TOLERANCE_MS - 1
    keys = [(BTC, str(number)) for number in range(5)]
    found = Findings(None, keys, lambda: NOW)
    found.note_cancelled([order("canceled", keys[0])])
    found.note_try(keys[1])
    for key, updated in zip(keys, (early, early, late, early, None), strict=True):
        found.learn(order("canceled", key, updated=updated))
    assert told(found) == {"cancelled": ["0", "1", "2"], "already_done": ["3", "4"]}


def test_strange_ends_are_named_only_when_a_cancel_went_unanswered(found):
    found.learn(order("canceled", (BTC, "7")))
    found.learn(order("closed", (BTC, "8")))
    found.learn(order("canceled", (BTC, "9"), updated=NOW - 60_000))
    assert told(found) == {"unknown": ["1"]}
    assert told(found, in_doubt=True) == {"cancelled": ["7"], "unknown": ["1"]}


def test_a_list_of_all_pairs_is_read_for_the_pair_in_scope():
    found = Findings(BTC, [], lambda: NOW)
    found.note_open([order("open"), order("open", (ETH, "2")), order("closed", (BTC, "3"))])
    assert found.survivors(listed=True) == [KEY]
    assert told(found) == {"still_open": ["1"]}


def test_what_was_met_is_asked_about_once_it_is_gone():
    found = Findings(None, [], lambda: NOW)
    found.note_open([order("open")])
    assert found.wanted() == []
    found.note_open([])
    assert found.wanted() == [KEY]
    for _ in range(sweep_state.LOOKUPS):
        found.note_lookup(KEY)
    assert found.wanted() == []
    assert told(found) == {"unknown": ["1"]}


def test_the_least_tried_come_first():
    keys = [(BTC, str(number)) for number in range(3)]
    found = Findings(None, [], lambda: NOW)
    found.note_open([order("open", key) for key in keys])
    found.note_try(keys[0])
    found.note_try(keys[0])
    found.note_try(keys[1])
    assert found.survivors(listed=True) == keys[::-1]
