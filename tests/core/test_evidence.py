"""The one rule of precedence: what the exchange's statements about one order amount to."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitopro_margin_ext.core.assumptions import LIST_LAG_SECONDS
from bitopro_margin_ext.core.evidence import ENDS, Fate, Source, Statement, conclude

LATE = LIST_LAG_SECONDS + 1


def said(source, at, status=None, filled=None, took=0.0):
    order = None if status is None else {"id": "1", "status": status, "filled": filled}
    return Statement(source, at, at + took, status, order)


def named(at, took=0.0):
    return said(Source.NAMED, at, "canceled", took=took)


def listed(at):
    return said(Source.OPEN_LIST, at, "open")


def absent(at):
    return said(Source.ABSENT, at)


def looked_up(at, status="open", filled=None):
    return said(Source.LOOKUP, at, status, filled)


def history(at, status="open", filled=None):
    return said(Source.HISTORY, at, status, filled)


def unanswered(at):
    return said(Source.UNANSWERED, at)


@pytest.mark.parametrize(
    ("statements", "fate"),
    [
        ([], Fate.UNKNOWN),
        ([listed(0)], Fate.OPEN),
        ([absent(0)], Fate.UNKNOWN),
        ([listed(0), absent(1)], Fate.UNKNOWN),
        ([absent(0), listed(1)], Fate.OPEN),
        # A cancel's word, and what comes after it.
        ([named(0)], Fate.CANCELLED),
        ([listed(0), named(1)], Fate.CANCELLED),
        ([named(0), listed(1)], Fate.CANCELLED),
        ([named(0), listed(LATE)], Fate.OPEN),
        ([named(0), listed(1), listed(LATE)], Fate.OPEN),
        ([named(0), looked_up(0.1)], Fate.OPEN),
        ([named(0), history(1)], Fate.CANCELLED),
        ([named(0), history(LATE)], Fate.OPEN),
        # Asked for before the cancel was answered: no contradiction.
        ([said(Source.LOOKUP, 1, "open", took=5), named(0, took=2)], Fate.CANCELLED),
        # A contradicted word counts for nothing; a new one wants a list without the order.
        ([named(0), looked_up(1), absent(2)], Fate.UNKNOWN),
        ([named(0), looked_up(1), named(2)], Fate.OPEN),
        ([named(0), looked_up(1), named(2), absent(3)], Fate.CANCELLED),
        ([named(0), looked_up(1), named(2), absent(3), looked_up(4)], Fate.OPEN),
        # The status in the answer to a single cancel counts.
        ([said(Source.CANCEL, 0, "closed")], Fate.ENDED),
        ([said(Source.CANCEL, 0, "canceled")], Fate.ENDED),
        ([named(0), said(Source.CANCEL, 1, "open")], Fate.OPEN),
        # An end by order data is final.
        ([history(0, "canceled"), looked_up(9), listed(99)], Fate.ENDED),
        ([named(0), looked_up(1), history(2, "closed")], Fate.ENDED),
        ([said(Source.STREAM, 0, "closed")], Fate.ENDED),
        # Cancels without an answer.
        ([listed(0), unanswered(1)], Fate.DOUBTFUL),
        ([unanswered(0), listed(1)], Fate.OPEN),
        ([listed(0), unanswered(1), listed(2)], Fate.OPEN),
        ([unanswered(0)], Fate.UNKNOWN),
        # A history may be behind the list of open orders.
        ([absent(0), history(0.1)], Fate.UNKNOWN),
        ([absent(0), history(LATE)], Fate.OPEN),
        ([history(0)], Fate.OPEN),
        ([absent(0), looked_up(0.1)], Fate.OPEN),
        ([said(Source.HISTORY, 0, None)], Fate.UNKNOWN),
    ],
)
def test_the_rule(statements, fate):
    for order in itertools.islice(itertools.permutations(statements), 24):
        # Statements have moments: the order in which they are kept says nothing.
        assert conclude(order).fate is fate


def test_of_several_ends_the_later_one_with_a_fill_is_told():
    ends = [
        history(0, "canceled", "1"),
        looked_up(1, "canceled", "2"),
        said(Source.CANCEL, 2, "canceled"),
    ]
    assert conclude(ends).order["filled"] == "2"


statements = st.lists(
    st.builds(
        said,
        st.sampled_from(list(Source)),
        st.floats(0, 10),
        st.sampled_from(["open", "closed", "canceled"]),
        took=st.floats(0, 1),
    ).map(
        lambda one: (
            one._replace(status=None, order=None)
            if one.source in (Source.ABSENT, Source.UNANSWERED)
            else one._replace(status="canceled")
            if one.source is Source.NAMED
            else one._replace(status="open")
            if one.source is Source.OPEN_LIST
            else one
        )
    ),
    max_size=8,
)


@given(statements)
def test_what_holds_of_all_statements(found):
    fate = conclude(found).fate
    data = [one for one in found if one.status in ENDS and one.source is not Source.NAMED]
    assert (fate is Fate.ENDED) == bool(data)
    if fate is Fate.CANCELLED:
        assert any(one.source is Source.NAMED for one in found)
        word = max((o.answered for o in found if o.source is Source.NAMED), default=0)
        later = [o for o in found if o.source is Source.LOOKUP and o.asked >= word]
        assert not later, "no look-up since then shows it open"
    if fate in (Fate.OPEN, Fate.DOUBTFUL):
        assert any(one.status == "open" for one in found)


@given(statements, st.floats(0, 10))
def test_an_end_settles_every_contradiction(found, at):
    assert conclude([*found, looked_up(at, "closed")]).fate is Fate.ENDED
