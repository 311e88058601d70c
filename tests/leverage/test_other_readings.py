"""What the pages leave open: the same stories on an exchange that reads it another way."""

from decimal import Decimal
from typing import Any

import pytest

from tests.leverage.harness import BTC, ETH, LeverageHarness, trade_of

DAY = 86400
SIDES = pytest.mark.parametrize(("side", "leverage"), [("long", 3.0), ("short", 2.0)])
READINGS: dict[str, dict[str, Any]] = {
    "serials in no order": {"random_serials": True},
    "principal first": {"repay_principal_first": True},
    "never more than the debt": {"refuse_repay_above_debt": True},
    "interest by the hour": {"interest_period_seconds": 3600},
    "interest by the day": {"interest_period_seconds": 86400},
    "capitalised": {"capitalise_interest": True, "interest_period_seconds": 3600},
    "numeric ids": {"numeric_ids": True},
}


@SIDES
@pytest.mark.parametrize("reading", READINGS)
def test_a_round_trip_beside_a_loan_of_the_users(
    harness: LeverageHarness, side: str, leverage: float, reading: str
) -> None:
    harness.control.switches(**READINGS[reading])
    code = "BTC" if side == "short" else "USDT"
    harness.control.borrow(code, "0.01" if side == "short" else "400")
    bot = harness.bot()
    harness.open(bot, side, leverage)
    harness.control.advance(DAY + 1800)
    bot.process()
    harness.control.borrow(code, "0.002" if side == "short" else "100")
    harness.control.advance(DAY)
    bot.process()
    bot.strategy.adjust[BTC] = -500.0
    bot.process()
    for order in harness.truth(open=True, by_hand=False):
        harness.control.fill(order["id"])
    bot.process()
    harness.control.advance(DAY)
    harness.exit(bot)
    bot.process()
    trade = trade_of()
    assert not trade.is_open
    theirs = Decimal("0.012") if side == "short" else Decimal(500)
    # Three days of 100 % a year.
    assert theirs <= harness.debt(code) < theirs * Decimal("1.012")
    assert {line.holder for line in bot.exchange.loans.ledger.lines(code)} == {"user"}
    expected = 2000 / 365 * 2.5
    assert -trade.funding_fees == pytest.approx(expected, rel=0.25)


@SIDES
@pytest.mark.parametrize("terms", [{"step": "0.001"}, {"minimum": "0.01"}])
def test_loans_in_steps_and_with_a_minimum(
    harness: LeverageHarness, side: str, leverage: float, terms: dict[str, str]
) -> None:
    for currency in ("USDT", "BTC"):
        harness.control.set_loan_terms(currency, **terms)
    options = {"loan_step": {"USDT": 0.001, "BTC": 0.001}} if "step" in terms else {}
    bot = harness.bot(bitopro_margin=options)
    harness.open(bot, side, leverage)
    assert harness.debt("BTC" if side == "short" else "USDT") > 0
    harness.control.advance(3 * DAY)
    harness.exit(bot)
    for _ in range(3):
        bot.process()
    assert not trade_of().is_open
    # What is smaller than the exchange takes stays owed, and is said.
    left = harness.debt("USDT") + harness.debt("BTC") * 60000
    assert left < (Decimal("61") if side == "short" else Decimal("0.02"))
    harness.open(bot, side, leverage, ETH)


@SIDES
def test_amounts_in_coarse_steps(
    harness: LeverageHarness, side: str, leverage: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BTC in steps of 0.0001: what a step leaves over is dust at cost."""
    bot = harness.bot()
    for api in (bot.exchange._api, bot.exchange._api_async):
        api.markets[BTC]["precision"]["amount"] = 0.0001 if api.precisionMode == 4 else 4
    harness.open(bot, side, leverage)
    bot.process()
    assert harness.debt("BTC" if side == "short" else "USDT") > 0
    harness.control.advance(DAY)
    bot.strategy.adjust[BTC] = -400.0
    bot.process()
    for order in harness.truth(open=True, by_hand=False):
        harness.control.fill(order["id"])
    bot.process()
    harness.exit(bot)
    harness.assert_settled(bot, tolerance="0.00001")
