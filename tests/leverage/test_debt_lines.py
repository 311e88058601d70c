"""Shares of a debt: whatever happens, they add up to what the exchange says."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bitopro_margin_ext.bot.debt_lines import (
    UNCLEAR,
    USER,
    Flows,
    Line,
    Owed,
    accrue,
    follow,
    repaid_elsewhere,
    settle_unclear,
    total,
)

D = Decimal

amounts = st.decimals("0.00000001", "100000", places=8)
lines_of = st.lists(amounts, min_size=1, max_size=5).map(
    lambda owed: [
        Line(USER if at == 0 else f"P{at}/USDT", "USDT", one, one) for at, one in enumerate(owed)
    ]
)


def by_holder(lines):
    return {line.holder: line for line in lines}


@given(lines_of, amounts)
def test_interest_is_spread_in_proportion_and_nothing_is_lost(lines, interest):
    grown = accrue(lines, interest)
    assert total(grown) == total(lines) + interest
    for before, after in zip(lines, grown, strict=True):
        assert after.owed >= before.owed
        assert after.interest == after.owed - before.owed


@given(lines_of, amounts)
def test_a_repayment_by_hand_takes_the_users_debt_first(lines, amount):
    after = by_holder(repaid_elsewhere(lines, amount))
    before = by_holder(lines)
    assert after[USER].owed == max(D(0), before[USER].owed - amount)
    if amount <= before[USER].owed:
        assert all(after[name] == before[name] for name in before if name != USER)


@given(lines_of, amounts, st.sampled_from([D(0), D("12.5")]), st.sampled_from([D(0), D("3")]))
def test_the_lines_always_add_up_to_the_balances(lines, principal, borrowed, repaid):
    now = Owed(principal, D("0.5"))
    after = follow(
        lines, "USDT", now, Flows(borrowed, repaid), before=None, most_interest=D("0.01")
    )
    assert total(after) == now.sum
    assert total(settle_unclear(after)) == now.sum


def test_interest_at_a_rate_that_jumped_is_interest_when_the_exchange_books_it_as_such():
    lines = [Line("BTC/USDT", "USDT", D(2000), D(2000))]
    after = follow(
        lines,
        "USDT",
        Owed(D(2000), D(50)),
        Flows(),
        before=Owed(D(2000), D(0)),
        most_interest=D("0.1"),
    )
    assert by_holder(after)["BTC/USDT"].interest == 50


def test_a_loan_that_no_list_shows_yet_is_nobodys_until_it_is_listed():
    lines = [Line("BTC/USDT", "USDT", D(2000), D(2000))]
    before, now = Owed(D(2000)), Owed(D(2500))
    after = follow(lines, "USDT", now, Flows(), before=before, most_interest=D("0.1"))
    assert by_holder(after)[UNCLEAR].owed == 500
    listed = follow(after, "USDT", now, Flows(D(500)), before=now, most_interest=D("0.1"))
    assert by_holder(listed)[USER].owed == 500
    assert UNCLEAR not in by_holder(listed)
    assert by_holder(listed)["BTC/USDT"].owed == 2000


def test_capitalised_interest_changes_nothing():
    lines = [Line("BTC/USDT", "USDT", D(2010), D(2000))]
    after = follow(
        lines,
        "USDT",
        Owed(D(2010), D(0)),
        Flows(),
        before=Owed(D(2000), D(10)),
        most_interest=D("0.1"),
    )
    assert after == lines


def test_what_a_split_takes_is_missing_from_the_rest():
    line = Line("BTC/USDT", "USDT", D("2010"), D("2002"), D("2"))
    rest, part = line.split(D("0.25"), "exit:1")
    assert (part.owed, part.borrowed, part.paid) == (D("502.5"), D("500.5"), D("0.5"))
    assert rest.join(part) == line
    assert line.interest == 10
    assert line.outstanding == 2000
