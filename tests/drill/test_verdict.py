"""What the drill calls agreement: every way to disagree is seen."""

import pytest

from bitopro_margin_ext.drill.verdict import (
    OrderRow,
    TradeRow,
    Verdict,
    compare_orders,
    empty_trades,
)
from bitopro_margin_ext.sandbox.faults import KINDS, STREAM_KINDS, Faults

from .fault_rules import FAULTS
from .matrix import Cell, choose_faults


def order(status=4, executed="0.1", by_hand=False, stop=None):
    return {
        "id": "7",
        "pair": "btc_usdt",
        "action": "BUY",
        "status": status,
        "executedAmount": executed,
        "originalAmount": "0.5",
        "stopPrice": stop,
        "by_hand": by_hand,
    }


def recorded(status="canceled", is_open=False, filled=0.1):
    return {"7": OrderRow("7", 1, "BTC/USDT", "buy", status, is_open, filled, None)}


def agrees(truth, rows):
    [row] = compare_orders([truth], rows)
    return row.agrees


def test_the_same_end_with_the_same_fill_agrees():
    assert agrees(order(), recorded())


@pytest.mark.parametrize(
    ("truth", "rows"),
    [
        (order(status=0), recorded()),
        (order(status=2), recorded()),
        (order(), recorded("open", is_open=True)),
        (order(), recorded(is_open=True)),
        (order(), recorded(filled=0.2)),
        (order(), {}),
        (order(by_hand=True), recorded()),
        (order(status=0, executed="0"), {}),
    ],
)
def test_every_other_end_does_not(truth, rows):
    assert not agrees(truth, rows)


def test_an_entry_with_leverage_may_be_recorded_less_its_fee():
    [row] = compare_orders([order(executed="0.1")], recorded(filled=0.0999), leveraged=True)
    assert row.agrees
    for filled in (0.09, 0.11):
        [row] = compare_orders([order(executed="0.1")], recorded(filled=filled), leveraged=True)
        assert not row.agrees
    [row] = compare_orders([order(executed="0.1")], recorded(filled=0.0999))
    assert not row.agrees


def test_a_row_may_be_gone_where_nothing_was_filled_and_of_orders_by_hand():
    assert agrees(order(executed="0"), {})
    assert agrees(order(status=0, by_hand=True), {})


def test_a_verdict_needs_rows_a_closed_position_and_no_complaint():
    rows = compare_orders([order()], recorded())
    assert Verdict("s", "all", rows=rows, position_closed=True).agrees
    assert not Verdict("s", "all", rows=[], position_closed=True).agrees
    assert not Verdict("s", "all", rows=rows).agrees
    assert not Verdict("s", "all", rows=rows, position_closed=True, complaints=["x"]).agrees


def test_a_trade_without_amount_and_open_order_is_empty():
    trade = TradeRow(1, "BTC/USDT", True, 0.0, None)
    assert empty_trades([trade], recorded()) == [trade]
    assert empty_trades([trade], recorded("open", is_open=True)) == []
    assert empty_trades([TradeRow(1, "BTC/USDT", True, 0.1, None)], {}) == []


# About one order, a loan or a stream: tests play these where they know which.
NOT_IN_THE_MATRIX = {
    "huge_body",
    "overwrite",
    "repeat_last",
    "keep_showing",
    "fill_instead",
    "created_order",
    "lend_out",
    *STREAM_KINDS,
}


def test_the_matrix_has_every_kind_of_fault_of_a_call():
    used = {rule["kind"] for fault in FAULTS.values() for rule in fault.rules}
    assert used == set(KINDS) - NOT_IN_THE_MATRIX


@pytest.mark.parametrize("name", list(FAULTS))
def test_the_sandbox_takes_every_rule(name):
    for scenario in ("stop-rejected", "exit-timeout"):
        for scope in ("pair", "all"):
            for rule in FAULTS[name].armed(scenario, scope):
                Faults().add(rule)


def test_faults_are_chosen_by_name():
    assert [fault.name for fault in choose_faults("429, close")] == ["429", "close"]
    assert len(choose_faults(None)) == len(FAULTS)
    with pytest.raises(ValueError, match="no fault 'x'"):
        choose_faults("x")


def test_a_cell_with_a_problem_does_not_agree():
    assert Cell("f", "s", "all", (), False, False, 1.0, "").agrees
    assert not Cell("f", "s", "all", ("x",), False, False, 1.0, "").agrees
