"""Bad input and bad days: a clear line, the pair locked for a while, nothing lost."""

from decimal import Decimal

import pytest
from freqtrade.exceptions import OperationalException
from freqtrade.persistence import PairLocks

from tests.leverage.harness import BTC, ETH, LeverageHarness, trade_of

DAY = 86400
SIDES = pytest.mark.parametrize(("side", "leverage"), [("long", 3.0), ("short", 2.0)])


def currency(side: str) -> str:
    return "BTC" if side == "short" else "USDT"


@SIDES
def test_18_a_rate_that_jumps_in_a_trade(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    bot = harness.bot()
    harness.open(bot, side, leverage)
    bot.process()
    harness.rate("5000")
    harness.control.advance(3 * DAY)
    bot.process()
    holders = {line.holder for line in bot.exchange.loans.ledger.lines(currency(side))}
    assert holders == {BTC}
    harness.exit(bot)
    assert trade_of().funding_fees < -500
    harness.assert_settled(bot, tolerance="0.00001")


@SIDES
def test_18_a_rate_that_jumps_where_interest_becomes_principal(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    """The balances show no interest then: only the rate tells it from a loan of somebody's."""
    harness.control.switches(capitalise_interest=True)
    harness.rate("1")
    bot = harness.bot()
    harness.open(bot, side, leverage)
    bot.process()
    harness.rate("2000")
    harness.control.advance(60)
    bot.process()
    holders = {line.holder for line in bot.exchange.loans.ledger.lines(currency(side))}
    assert holders == {BTC}
    harness.exit(bot)
    harness.assert_settled(bot, tolerance="0.00001")


def test_18_interest_in_a_coin_that_is_not_there(harness: LeverageHarness) -> None:
    """A short's entry rested for days and was cancelled: its interest is owed in the coin."""
    harness.rate("1000")
    bot = harness.bot()
    harness.control.switches(matching=False)
    harness.open(bot, "short", 2.0, fill=None)
    harness.control.advance(5 * DAY)
    bot.process()
    bot.strategy.timed_out.add(BTC)
    bot.process()
    harness.control.switches(matching=True)
    for _ in range(4):
        bot.process()
    assert trade_of() is None
    assert harness.debt("BTC") < Decimal("0.000001")
    amount, _cost = bot.exchange.loans.ledger.dust()["BTC"]
    assert abs(harness.wallet("BTC") - amount) < Decimal("0.000001")


def test_18_a_short_whose_exit_rested_for_days(harness: LeverageHarness) -> None:
    """More interest than the exit bought: the rest is bought, and charged to the trade."""
    bot = harness.bot()
    harness.open(bot, "short", 2.0)
    harness.control.switches(matching=False)
    bot.strategy.leave[BTC] = "told_to"
    bot.process()
    bot.strategy.leave.clear()
    (resting,) = harness.truth(open=True, by_hand=False)
    harness.control.advance(5 * DAY)
    harness.control.fill(resting["id"])
    harness.control.switches(matching=True)
    for _ in range(4):
        bot.process()
    assert not trade_of().is_open
    harness.assert_settled(bot, tolerance="0.00001")


def test_18_a_price_past_the_aggressive_limit(harness: LeverageHarness) -> None:
    bot = harness.bot(order_types={"exit": "market"})
    harness.open(bot, "short", 2.0)
    harness.control.switches(matching=False)
    bot.strategy.leave[BTC] = "told_to"
    bot.process()
    (resting,) = harness.truth(open=True, by_hand=False)
    assert resting["type"] == "LIMIT"
    harness.control.set_price("btc_usdt", "64000")
    bot.process()
    bot.strategy.timed_out.add(BTC)
    harness.control.switches(matching=True)
    for _ in range(4):
        bot.process()
    assert not trade_of().is_open
    harness.assert_settled(bot)


def test_a_stop_is_renewed_when_its_interest_is_used_up(harness: LeverageHarness) -> None:
    types = {"stoploss_on_exchange": True, "stoploss": "limit"}
    bot = harness.bot(order_types=types, bitopro_margin={"stop_interest_days": 1})
    harness.open(bot, "short", 2.0)
    bot.process()
    (first,) = harness.truth(open=True, action="BUY")
    harness.control.advance(4 * DAY)
    bot.process()
    bot.process()
    (second,) = harness.truth(open=True, action="BUY")
    assert second["id"] != first["id"]
    assert Decimal(second["originalAmount"]) > Decimal(first["originalAmount"])


def test_leverage_on_a_currency_that_is_not_lent(harness: LeverageHarness) -> None:
    bot = harness.bot()
    harness.control.set_loan_terms("USDT", borrow_status=0)
    bot.strategy.enter[BTC] = "long"
    bot.strategy.levers[BTC] = 3.0
    bot.process()
    assert trade_of() is None
    assert PairLocks.get_pair_locks(BTC, side="long")
    # At 1x nothing is borrowed.
    harness.open(bot, "long", 1.0, ETH)
    assert harness.debt("USDT") == 0


def test_provisioning_used_up_between_the_question_and_the_loan(
    harness: LeverageHarness,
) -> None:
    bot = harness.bot()
    harness.control.add_fault(
        "status", method="POST", path="*/margin/borrow", status=400,
        body='{"error": "insufficient system available amount"}',
    )  # fmt: skip
    bot.strategy.enter[BTC] = "long"
    bot.strategy.levers[BTC] = 3.0
    bot.process()
    assert trade_of() is None
    assert harness.debt("USDT") == 0
    assert bot.exchange.loans.open_command("USDT") is None
    assert PairLocks.get_pair_locks(BTC, side="long")


def test_a_delisted_pair_with_a_debt(harness: LeverageHarness) -> None:
    bot = harness.bot()
    harness.open(bot, "long", 3.0, ETH)
    harness.open(bot, "long", 3.0, BTC)
    harness.control.delist("eth_usdt")
    for _ in range(2):
        bot.process()
    harness.exit(bot, BTC)
    assert not trade_of(BTC).is_open
    lines = {line.holder for line in bot.exchange.loans.ledger.lines("USDT")}
    assert lines == {ETH}


def test_leverage_above_the_cap_is_cut_and_said(
    harness: LeverageHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    bot = harness.bot()
    harness.open(bot, "short", 9.0)
    assert trade_of().leverage == 2.0
    assert any("is cut to 2" in record.message for record in caplog.records)


def test_without_the_mixin_a_short_above_its_cap_is_refused(harness: LeverageHarness) -> None:
    bot = harness.bot("PlainLevered")
    bot.strategy.enter[BTC] = "short"
    bot.strategy.levers[BTC] = 3.0
    bot.process()
    assert trade_of() is None
    (lock,) = PairLocks.get_pair_locks(BTC, side="short")
    assert "cap" in lock.reason
    harness.open(bot, "long", 3.0, ETH)
    harness.exit(bot, ETH)
    harness.assert_settled(bot)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trading_mode": "spot", "margin_mode": ""}, "trading_mode"),
        ({"margin_mode": "isolated"}, "margin_mode"),
        ({"bitopro_margin": {"max_leverage": 0}}, "max_leverage"),
        ({"bitopro_margin": {"loan_step": {"USDT": 0}}}, "loan_step"),
    ],
)
def test_what_cannot_work_is_refused_at_start(
    harness: LeverageHarness, changes: dict, said: str
) -> None:
    own = harness.config

    def config(strategy: str = "Levered", **more: object) -> dict:
        return {**own(strategy, **more), **changes}

    harness.config = config  # type: ignore[method-assign]
    with pytest.raises(OperationalException, match=said) as caught:
        harness.bot()
    assert "\n" not in str(caught.value)
