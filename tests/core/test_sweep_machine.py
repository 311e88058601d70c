"""Random faults: whatever goes wrong, the report says nothing that the exchange did not."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitopro_margin_ext.core.endpoints import CANCEL_BATCH, OPEN_ORDERS, ORDERS
from bitopro_margin_ext.core.report import SweepOutcome
from tests.core.model import Clock, Model, Row, sweep
from tests.stateful.profiles import profile

PAIRS = ("BTC/USDT", "ETH/USDT")
HARMLESS = ("fine", "numbers", "twice", "fill_before:part", "fill_before:all", "fill_after:part")
LOSSES = ("drop_before", "drop_after", "timeout_before", "timeout_after", "not_sent")
ANSWERS = ("status:500", "page:502", "page:403", "status:429", "status:429/1", "status:429/30")
UNREADABLE = ("garbage", "empty", "list", "null")
LAGS = ("lag:1", "lag:30")
IMPOSSIBLE = ("impossible:-1", "impossible:9", "impossible:nan")
STATED = ("stated", "filled_instead")
CLAIMS = ("claim",)
"""An answer that names as cancelled what still rests."""
REFUSALS = ("maintenance", "status:400", "status:401", "status:403", "status:404", "status:409")
TRANSIENT = (*HARMLESS, *LOSSES, *ANSWERS, *UNREADABLE, "fill_after:all", "some", "strangers")

rows = st.builds(
    Row,
    symbol=st.sampled_from(PAIRS),
    id=st.integers(1, 12).map(str),
    status=st.sampled_from([-1, 0, 0, 0, 1, 2, 3, 4]),
)
books = st.lists(rows, max_size=10, unique_by=lambda row: row.key)
scopes = st.sampled_from([None, *PAIRS])
strangers = st.lists(st.tuples(st.sampled_from(PAIRS), st.integers(20, 22).map(str)), max_size=2)


def fresh(book):
    return [
        Row(row.symbol, row.id, row.status, {1: "1", 2: "2", 3: "1"}.get(row.status, "0"))
        for row in book
    ]


def check(model, report, scope, known, deadline):
    keys = [
        (order["symbol"], order["id"])
        for orders in (report.cancelled, report.already_done, report.still_open, report.unknown)
        for order in orders
    ]
    assert len(keys) == len(set(keys)), "every order stands in one list"
    assert {key for key in known if scope in (None, key[0])} <= set(keys), "none is forgotten"
    truth = {row.key: row for row in model.orders}
    for order in report.cancelled:
        key = (order["symbol"], order["id"])
        assert key in model.said_cancelled, "only the exchange's word makes an order cancelled"
        assert scope is None or key[0] == scope
        if key in truth and not set(CLAIMS) & set(model.used):
            assert not truth[key].is_open
    for order in report.already_done:
        assert (order["symbol"], order["id"]) in model.said_over
    for order in report.final_orders():
        key = (order["symbol"], order["id"])
        assert order["filled"] == truth[key].executed, "the fill is the one that the order has"
    assert report.elapsed_ms <= deadline * 1000 + 1
    assert report.requests == len(model.calls)
    for endpoint, calls, window in ((OPEN_ORDERS, 5, 1), (CANCEL_BATCH, 2, 1), (ORDERS, 600, 60)):
        times = sorted(at for at, called, _ in model.calls if called is endpoint)
        spans = [last - first for first, last in zip(times, times[calls:], strict=False)]
        assert all(span >= window for span in spans), f"{endpoint.path} is asked too often"


@profile(quick=300, steps=1)
@given(
    book=books,
    scope=scopes,
    unknown=strangers,
    every=st.booleans(),
    deadline=st.sampled_from([0.3, 2, 10]),
    faults=st.lists(
        st.sampled_from([*TRANSIENT, *LAGS, *REFUSALS, *IMPOSSIBLE, *STATED, *CLAIMS]), max_size=40
    ),
)
@example([Row(PAIRS[0], "1")], PAIRS[0], [], False, 10, ["fine", "lag:30", "lag:30"])
@example(
    [Row(PAIRS[0], "1", -1)], None, [], False, 2, ["status:429/30", "status:409", "status:409"]
)
@example([], None, [], False, 0.3, ["fine", "drop_before", *["status:409"] * 9])
def test_the_report_says_nothing_that_the_exchange_did_not(
    book, scope, unknown, every, deadline, faults
):
    model = Model(Clock(), fresh(book), faults)
    known = [*([row.key for row in model.orders] if every else []), *unknown]
    report = sweep(model, scope, known, deadline)
    check(model, report, scope, known, deadline)
    if report.outcome is SweepOutcome.CONFIRMED and not any(f.startswith("lag") for f in faults):
        resting = [row for row in model.orders if row.is_open and scope in (None, row.symbol)]
        assert resting == []


@profile(quick=200, steps=1)
@given(
    book=books,
    scope=scopes,
    faults=st.lists(
        st.sampled_from([*TRANSIENT, "lag:1", "maintenance", *IMPOSSIBLE, *STATED, *CLAIMS]),
        max_size=12,
    ),
)
def test_when_the_faults_end_everything_is_cancelled_and_reported(book, scope, faults):
    model = Model(Clock(), fresh(book), faults)
    known = [row.key for row in model.orders]
    report = sweep(model, scope, known, deadline=240)
    check(model, report, scope, known, 240)
    assert report.outcome is SweepOutcome.CONFIRMED, report.summary()
    assert not any(row.is_open and scope in (None, row.symbol) for row in model.orders)


@pytest.mark.parametrize("scope", [None, PAIRS[0]])
@pytest.mark.parametrize(
    "fault", sorted({*TRANSIENT, *LAGS, *REFUSALS, *IMPOSSIBLE, *STATED, *CLAIMS})
)
@pytest.mark.parametrize("at", range(5))
def test_one_fault_anywhere_in_a_plain_sweep(fault, at, scope):
    model = Model(Clock(), [Row(PAIRS[0], str(i)) for i in range(3)], ["fine"] * at + [fault])
    known = [row.key for row in model.orders]
    report = sweep(model, scope, known, deadline=10)
    check(model, report, scope, known, 10)
    if (fault, at) == ("status:429/30", 1):
        # No list before the deadline: nothing is gained by waiting for it.
        assert report.outcome is SweepOutcome.UNKNOWN
        assert len(report.final_orders()) == 3
        assert report.elapsed_ms < 1000
    elif fault not in REFUSALS:
        assert report.outcome is SweepOutcome.CONFIRMED, report.summary()
