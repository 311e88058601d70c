"""The situations in which borrowed money is lost, each on a real bot, by their number."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from freqtrade.exceptions import OperationalException
from freqtrade.persistence import PairLocks, Trade

from bitopro_margin_ext.bot import unconfirmed_orders
from tests.leverage.crashing_bot import crash
from tests.leverage.harness import BTC, ETH, LeverageHarness, trade_of, wait_until

DAY = 86400
SIDES = pytest.mark.parametrize(("side", "leverage"), [("long", 3.0), ("short", 2.0)])
BORROW, REPAY = "POST /v3/margin/borrow", "POST /v3/margin/repay"


@pytest.fixture(autouse=True)
def soon_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not listed is known to be absent sooner than on a real exchange."""
    monkeypatch.setattr(unconfirmed_orders, "ARRIVAL_SECONDS", 0.5)
    monkeypatch.setattr(unconfirmed_orders, "LAG_SECONDS", 0.1)


def quiet(bot: Any, seconds: float = 1.0) -> None:
    """Iterations of a bot for a while, in which nothing happens."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        bot.process()
        time.sleep(0.15)


def currency(side: str) -> str:
    return "BTC" if side == "short" else "USDT"


def was_told(bot: Any, words: str) -> bool:
    """Whether the user gets a message with these words; it is sent from another thread."""
    return bool(
        wait_until(lambda: any(words in str(m.get("status", "")) for m in list(bot.messages)), 5)
    )


def age(bot: Any, seconds: float = 61) -> None:
    """Let commands without an answer grow old, on the exchange's clock as the bot sees it."""
    loans = bot.exchange.loans
    moved = loans.now
    loans.now = lambda: moved() + seconds
    loans._unclear_since = {code: t - seconds for code, t in loans._unclear_since.items()}


def rest(harness: LeverageHarness, bot: Any, side: str, leverage: float = 2.0) -> str:
    """An entry that rests."""
    harness.control.switches(matching=False)
    return harness.open(bot, side, leverage, fill=None)


# -- entries -----------------------------------------------------------------------------------


@SIDES
def test_1_an_entry_cancelled_unfilled(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    bot = harness.bot()
    rest(harness, bot, side, leverage)
    assert harness.debt(currency(side)) > 0
    bot.process()
    bot.strategy.timed_out.add(BTC)
    bot.process()
    bot.process()
    assert trade_of() is None
    assert harness.debt(currency(side)) < Decimal("0.000001")


@SIDES
def test_2_an_entry_partly_filled_and_cancelled(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    bot = harness.bot()
    entry = rest(harness, bot, side, leverage)
    whole = harness.debt(currency(side))
    harness.control.fill(entry, fraction="0.4")
    bot.process()
    bot.strategy.timed_out.add(BTC)
    bot.process()
    bot.strategy.timed_out.clear()
    bot.process()
    trade = trade_of()
    assert trade.is_open
    assert trade.amount > 0
    assert abs(harness.debt(currency(side)) / whole - Decimal("0.4")) < Decimal("0.001")
    harness.control.switches(matching=True)
    harness.control.advance(DAY)
    harness.exit(bot)
    harness.assert_settled(bot, tolerance="0.0001")


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"borrow_status": 0}, "switched off"),
        ({"borrow_status": 2}, "maintenance"),
        ({"max_user": "0.001"}, "maxUserAmount"),
        ({"available": "0.001"}, "left to lend"),
    ],
)
def test_3_a_borrow_refused_by_its_terms(
    harness: LeverageHarness, terms: dict[str, Any], said: str
) -> None:
    bot = harness.bot()
    harness.control.set_loan_terms("BTC", **terms)
    bot.strategy.enter[BTC] = "short"
    bot.strategy.levers[BTC] = 2.0
    bot.process()
    assert harness.truth(pair="btc_usdt") == []
    assert harness.debt("BTC") == 0
    assert trade_of() is None
    (lock,) = PairLocks.get_pair_locks(BTC, side="short")
    assert said in lock.reason
    bot.strategy.enter[BTC] = "short"
    mark = harness.mark
    bot.process()
    assert BORROW not in harness.lines(mark)


def test_3_a_borrow_refused_by_the_ratio(harness: LeverageHarness) -> None:
    bot = harness.bot(stake_amount=9000, bitopro_margin={"min_ad_ratio_entry": 2.0})
    bot.strategy.enter[BTC] = "long"
    bot.strategy.levers[BTC] = 3.0
    bot.process()
    # At 2.0 an entry has 2x at most.
    assert len(harness.truth(pair="btc_usdt")) == 1
    assert trade_of().leverage == 2.0
    bot.strategy.enter[ETH] = "short"
    harness.control.borrow("USDT", 3000)
    bot.process()
    assert harness.truth(pair="eth_usdt") == []
    assert harness.debt("ETH") == 0


@SIDES
def test_4_a_borrow_carried_out_without_an_answer(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    bot = harness.bot()
    harness.control.add_fault("process_close", method="POST", path="*/margin/borrow")
    bot.strategy.enter[BTC] = side
    bot.strategy.levers[BTC] = leverage
    bot.process()
    assert harness.debt(currency(side)) > 0
    assert harness.truth(pair="btc_usdt") == []
    mark = harness.mark
    for _ in range(3):
        bot.process()
    assert BORROW not in harness.lines(mark)
    assert harness.debt(currency(side)) < Decimal("0.000001")
    assert bot.exchange.loans.open_command(currency(side)) is None


def test_4_a_borrow_that_never_arrived(harness: LeverageHarness) -> None:
    bot = harness.bot()
    harness.control.add_fault("close", method="POST", path="*/margin/borrow")
    bot.strategy.enter[BTC] = "long"
    bot.strategy.levers[BTC] = 3.0
    bot.process()
    assert bot.exchange.loans.open_command("USDT") is not None
    for lock in PairLocks.get_pair_locks(BTC):
        lock.active = False
    bot.strategy.enter[BTC] = "long"
    mark = harness.mark
    bot.process()
    assert BORROW not in harness.lines(mark)
    age(bot)
    bot.process()
    assert bot.exchange.loans.open_command("USDT") is None
    for lock in PairLocks.get_pair_locks(BTC):
        lock.active = False
    harness.open(bot, "long", 3.0)
    harness.exit(bot)
    harness.assert_settled(bot)


@SIDES
@pytest.mark.parametrize("becomes", ["rests", "filled", "partly_filled", "cancelled",
                                     "partly_cancelled", "rejected"])  # fmt: skip
def test_7_an_order_without_an_answer_after_a_borrow(
    harness: LeverageHarness,
    side: str,
    leverage: float,
    becomes: str,
) -> None:
    bot = harness.bot()
    harness.control.switches(matching=False)
    harness.control.lose_creation(becomes)
    bot.strategy.enter[BTC] = side
    bot.strategy.levers[BTC] = leverage
    bot.process()
    mark = harness.mark
    for _ in range(5):
        for lock in PairLocks.get_pair_locks(BTC):
            lock.active = False
        bot.strategy.enter[BTC] = side
        bot.process()
        bot.strategy.enter.clear()
    assert harness.lines(mark).count(BORROW) <= 1
    harness.control.switches(matching=True)
    for order in harness.truth(open=True, by_hand=False):
        harness.control.fill(order["id"])
    bot.process()
    if trade_of() is not None and trade_of().is_open:
        assert harness.debt(currency(side)) > 0
        harness.exit(bot)
    bot.exchange._reconciler.entering.clear()
    if becomes == "rejected":
        # Until it is known that it never arrived.
        wait_until(lambda: bot.process() or not harness.debt(currency(side)))
    bot.process()
    bot.process()
    harness.assert_settled(bot, tolerance="0.0001")


# -- crashes -----------------------------------------------------------------------------------


@SIDES
def test_5_killed_between_borrow_and_order(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    crash(harness, "before create_order", side=side, leverage=leverage)
    assert harness.debt(currency(side)) > 0
    assert harness.truth(pair="btc_usdt") == []
    bot = harness.bot()
    for _ in range(20):
        # What is looked up aside takes as long as the machine lets it.
        quiet(bot)
        if harness.debt(currency(side)) < Decimal("0.001"):
            break
    assert harness.debt(currency(side)) < Decimal("0.001")
    bot.process()
    # No trade has used the loan: a second of its interest is booked nowhere.
    harness.assert_settled(bot, tolerance="0.001")


@SIDES
@pytest.mark.parametrize("fraction", [None, "0.5", "1"])
def test_6_killed_after_the_order_and_before_the_database(
    harness: LeverageHarness, side: str, leverage: float, fraction: str | None
) -> None:
    harness.control.switches(matching=False)
    crash(harness, "after create_order", side=side, leverage=leverage)
    (entry,) = harness.truth(pair="btc_usdt")
    if fraction is not None:
        harness.control.fill(entry["id"], fraction=fraction)
    bot = harness.bot()
    assert trade_of() is None
    mark = harness.mark
    bot.process()
    assert REPAY not in harness.lines(mark)
    trade = trade_of()
    assert trade.leverage == leverage
    assert trade.is_short == (side == "short")
    assert [order.order_id for order in trade.orders] == [entry["id"]]
    if harness.control.order(entry["id"])["open"]:
        harness.control.fill(entry["id"])
    harness.control.switches(matching=True)
    bot.process()
    bot.process()
    harness.control.advance(DAY)
    harness.exit(bot)
    harness.assert_settled(bot)


@SIDES
def test_9_killed_between_repayment_and_commit(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    crash(harness, "after repay", side=side, leverage=leverage)
    assert harness.debt(currency(side)) < Decimal("0.001")
    bot = harness.bot()
    mark = harness.mark
    bot.process()
    bot.process()
    trade = trade_of()
    assert not trade.is_open
    assert trade.funding_fees < 0
    assert harness.lines(mark).count(REPAY) <= 1
    harness.assert_settled(bot)


@SIDES
@pytest.mark.parametrize("point", ["after exit", "before exit"])
def test_killed_around_an_exit(
    harness: LeverageHarness, side: str, leverage: float, point: str
) -> None:
    crash(harness, point, side=side, leverage=leverage)
    bot = harness.bot()
    quiet(bot)
    harness.exit(bot)
    exits = [o for o in harness.truth(by_hand=False, open=False) if float(o["executedAmount"])]
    assert len(exits) == 2
    harness.assert_settled(bot)


# -- exits -------------------------------------------------------------------------------------


@SIDES
@pytest.mark.parametrize("kind", ["process_close", "close"])
def test_8_a_repayment_without_an_answer(
    harness: LeverageHarness, side: str, leverage: float, kind: str
) -> None:
    bot = harness.bot()
    harness.open(bot, side, leverage)
    harness.control.advance(DAY)
    harness.control.add_fault(kind, method="POST", path="*/margin/repay")
    mark = harness.mark
    harness.exit(bot, iterations=2)
    if kind == "close":
        # Not listed and not in the balances: it never arrived, after a minute.
        assert harness.lines(mark).count(REPAY) == 1
        age(bot)
    for _ in range(3):
        bot.process()
    assert not trade_of().is_open
    harness.assert_settled(bot, tolerance="0.00001")


@SIDES
def test_10_an_exit_partly_filled_and_cancelled(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    bot = harness.bot()
    harness.open(bot, side, leverage)
    before = harness.debt(currency(side))
    harness.control.switches(matching=False)
    bot.strategy.leave[BTC] = "told_to"
    bot.process()
    bot.strategy.leave.clear()
    (exit_order,) = harness.truth(open=True, by_hand=False)
    harness.control.fill(exit_order["id"], fraction="0.25")
    harness.control.cancel(exit_order["id"])
    harness.control.switches(matching=True)
    bot.process()
    bot.process()
    trade = trade_of()
    assert trade.is_open
    assert trade.nr_of_successful_exits == 1
    assert abs(harness.debt(currency(side)) / before - Decimal("0.75")) < Decimal("0.001")
    harness.control.advance(DAY)
    harness.exit(bot)
    harness.assert_settled(bot)


@SIDES
@pytest.mark.parametrize("moment", ["before", "during"])
def test_13_a_loan_of_the_users_in_the_same_currency(
    harness: LeverageHarness, side: str, leverage: float, moment: str
) -> None:
    code = currency(side)
    if moment == "before":
        harness.control.borrow(code, "0.05" if side == "short" else "700")
    bot = harness.bot()
    bot.process()
    harness.open(bot, side, leverage)
    if moment == "during":
        harness.control.borrow(code, "0.05" if side == "short" else "700")
    bot.process()
    harness.control.advance(DAY)
    bot.process()
    harness.exit(bot)
    left = harness.debt(code)
    theirs = Decimal("0.05") if side == "short" else Decimal(700)
    assert theirs < left < theirs * Decimal("1.01")
    holders = {line.holder for line in bot.exchange.loans.ledger.lines(code)}
    assert holders == {"user"}
    assert not trade_of().is_open


@SIDES
def test_16_the_user_repays_by_hand(harness: LeverageHarness, side: str, leverage: float) -> None:
    bot = harness.bot()
    harness.open(bot, side, leverage)
    harness.control.advance(DAY)
    bot.process()
    if side == "short":
        harness.control.add_balances({"BTC": "0.01"})
        harness.control.repay("BTC", "0.01")
    else:
        harness.control.repay("USDT", "500")
    bot.process()
    bot.process()
    assert was_told(bot, "by hand")
    harness.exit(bot)
    bot.process()
    assert not trade_of().is_open
    assert harness.debt(currency(side)) == 0


def test_16_the_user_closes_by_hand(harness: LeverageHarness) -> None:
    bot = harness.bot()
    harness.open(bot, "long", 3.0)
    by_hand = harness.control.seed_order(
        "btc_usdt", "sell", str(trade_of().amount), "61000", fund=False
    )
    harness.control.fill(by_hand["id"])
    for _ in range(4):
        bot.process()
    assert not trade_of().is_open
    assert trade_of().exit_reason == "sold_on_exchange"
    harness.assert_settled(bot)


def test_17_the_users_own_coins_of_a_shorted_currency(harness: LeverageHarness) -> None:
    harness.control.set_balances({"BTC": "0.3"})
    bot = harness.bot()
    harness.open(bot, "short", 2.0)
    harness.control.advance(10 * DAY)
    bot.process()
    harness.exit(bot)
    assert not trade_of().is_open
    dust = bot.exchange.loans.ledger.dust()["BTC"][0]
    assert harness.debt("BTC") == 0
    assert abs(harness.wallet("BTC") - Decimal("0.3") - dust) < Decimal("1e-7")


def test_the_users_own_coins_beside_a_long_are_not_sold(harness: LeverageHarness) -> None:
    harness.control.set_balances({"BTC": "0.3"})
    bot = harness.bot()
    harness.open(bot, "long", 3.0)
    harness.exit(bot)
    assert harness.wallet("BTC") >= Decimal("0.3")
    harness.assert_settled(bot, tolerance="0.0001")


def test_21_the_ledger_lost_with_loans_open(harness: LeverageHarness) -> None:
    bot = harness.bot()
    harness.open(bot, "short", 2.0)
    harness.restart(bot)
    for file in harness.folder.glob("*.loans.sqlite*"):
        file.unlink()
    bot = harness.bot()
    bot.process()
    bot.process()
    assert was_told(bot, "ledger of loans is lost")
    bot.strategy.enter[ETH] = "short"
    bot.strategy.levers[ETH] = 2.0
    bot.process()
    assert harness.debt("ETH") == 0
    harness.exit(bot)
    harness.assert_settled(bot)


def test_22_two_bots_on_one_ledger(harness: LeverageHarness) -> None:
    harness.bot()
    with pytest.raises(OperationalException, match="another bot holds the ledger"):
        harness.bot()


def test_22_two_bots_on_one_account(harness: LeverageHarness, tmp_path: Path) -> None:
    """The other bot's loans are somebody else's, whatever it does."""
    bot = harness.bot()
    harness.open(bot, "long", 3.0)
    harness.control.borrow("USDT", "1234")
    bot.process()
    harness.control.advance(DAY)
    bot.process()
    harness.control.repay("USDT", "1000")
    bot.process()
    harness.exit(bot)
    assert not trade_of().is_open
    assert Decimal(230) < harness.debt("USDT") < Decimal(245)


def test_24_too_little_free_to_repay(harness: LeverageHarness) -> None:
    bot = harness.bot()
    harness.open(bot, "long", 3.0)
    # The user moves what is free elsewhere, and the exit brings less than is owed.
    harness.control.set_balances({"USDT": "0"})
    harness.control.switches(liquidation=False)
    harness.control.set_price("btc_usdt", "39000")
    harness.exit(bot)
    assert not trade_of().is_open
    assert harness.debt("USDT") > 0
    assert was_told(bot, "only")
    harness.control.add_balances({"USDT": "1000"})
    bot.process()
    bot.process()
    assert harness.debt("USDT") == 0


@SIDES
def test_24_a_repayment_refused_for_its_rate(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    bot = harness.bot()
    harness.open(bot, side, leverage)
    harness.control.advance(DAY)
    harness.control.add_fault("status", method="POST", path="*/margin/repay", status=429)
    harness.exit(bot, iterations=1)
    bot.process()
    bot.process()
    harness.assert_settled(bot, tolerance="0.00001")


@SIDES
def test_25_an_entrys_price_replaced(harness: LeverageHarness, side: str, leverage: float) -> None:
    bot = harness.bot()
    rest(harness, bot, side, leverage)
    bot.process()
    Trade.session.expire_all()
    trade = trade_of()
    old = trade.orders[0]
    # Freqtrade asks for a new price once a candle.
    old.order_date = old.order_date.replace(year=2020)
    Trade.commit()
    bot.strategy.prices[BTC] = 59000.0 if side == "long" else 61000.0
    bot.process()
    bot.process()
    entries = [o for o in harness.truth(by_hand=False) if o["open"]]
    assert len(entries) == 1
    expected = Decimal(entries[0]["originalAmount"])
    if side == "long":
        expected *= Decimal(entries[0]["price"]) * 2 / 3
    assert abs(harness.debt(currency(side)) / expected - 1) < Decimal("0.001")
    harness.control.fill(entries[0]["id"])
    harness.control.switches(matching=True)
    bot.process()
    bot.process()
    harness.exit(bot)
    harness.assert_settled(bot, tolerance="0.0001")
