"""Pairs against TWD, which is not lent: longs at 1x, shorts that borrow the coin and sell it."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from freqtrade.persistence import PairLocks, Trade

from bitopro_margin_ext import cli
from tests.leverage.harness import LeverageHarness, trade_of, wire

DAY = 86400
PAIR = "BTC/TWD"
CAPITAL = Decimal(315_000)
UNIT = Decimal("31.5")


@pytest.fixture
def twd(harness: LeverageHarness) -> LeverageHarness:
    """An account of TWD, on an exchange that trades BTC/TWD on margin."""
    harness.in_twd()
    return harness


def start(harness: LeverageHarness, strategy: str = "Levered", **changes: Any) -> Any:
    return harness.bot(strategy, **harness.TWD, **changes)


def assert_settled(harness: LeverageHarness, bot: Any) -> None:
    for currency in ("BTC", "USDT"):
        assert harness.debt(currency) == 0
    change = harness.wallet("TWD") - CAPITAL
    earned = harness.profit() - harness.dust_cost(bot)
    # In TWD, of which a USDT has 31.5.
    assert abs(earned - change) <= Decimal("0.000001") * UNIT, (earned, change)


def test_a_long_is_cut_to_1x_and_that_is_said(
    twd: LeverageHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    bot = start(twd)
    twd.open(bot, "long", 3.0, PAIR)
    trade = trade_of(PAIR)
    assert (trade.leverage, trade.is_short) == (1.0, False)
    assert any(
        "leverage 3 is cut to 1" in line.message and "TWD" in line.message
        for line in caplog.records
    )
    assert not [line for line in twd.lines() if "borrow" in line and line.startswith("POST")]
    twd.control.advance(DAY)
    twd.control.set_price("btc_twd", "1900000")
    twd.exit(bot, PAIR)
    assert not trade_of(PAIR).is_open
    assert twd.profit() > 0
    assert_settled(twd, bot)


@pytest.mark.parametrize("kind", ["limit", "market"])
def test_a_short_borrows_the_coin_and_sells_it_for_twd(twd: LeverageHarness, kind: str) -> None:
    bot = start(twd, order_types={"entry": kind, "exit": kind})
    twd.open(bot, "short", 2.0, PAIR)
    trade = trade_of(PAIR)
    assert (trade.leverage, trade.is_short) == (2.0, True)
    assert twd.debt("BTC") > 0
    assert twd.debt("USDT") == 0
    assert twd.wallet("TWD") > CAPITAL
    twd.control.advance(DAY)
    bot.process()
    # Twice the stake at 100 % a year, for a day.
    bot.update_funding_fees()
    Trade.commit()
    assert trade_of(PAIR).funding_fee_running == pytest.approx(-60_000 / 365, rel=0.02)
    twd.control.set_price("btc_twd", "1870000")
    twd.exit(bot, PAIR)
    assert not trade_of(PAIR).is_open
    assert twd.profit() > 0
    assert_settled(twd, bot)


def test_its_stop_on_the_exchange_covers_the_interest(twd: LeverageHarness) -> None:
    bot = start(twd, order_types={"stoploss_on_exchange": True, "stoploss": "limit"},
                stoploss=-0.1)  # fmt: skip
    twd.open(bot, "short", 2.0, PAIR)
    bot.process()
    twd.control.advance(2 * DAY)
    bot.process()
    twd.control.set_price("btc_twd", "1990000")
    for _ in range(3):
        bot.process()
    assert trade_of(PAIR).exit_reason == "stoploss_on_exchange"
    assert_settled(twd, bot)


@pytest.mark.parametrize("priced", [True, False])
def test_it_is_liquidated_at_a_price_in_twd(twd: LeverageHarness, priced: bool) -> None:
    """Also where the mark prices do not name TWD, as on the page's example."""
    bot = start(twd)
    if not priced:
        api = bot.exchange._api
        own = api.fetch_mark_prices
        api.fetch_mark_prices = lambda *a, **k: {
            key: row for key, row in own(*a, **k).items() if not key.startswith("TWD")
        }
    twd.open(bot, "short", 2.0, PAIR)
    bot.process()
    trade = trade_of(PAIR)
    assets, owed = twd.wallet("TWD"), twd.debt("BTC")
    expected = float(assets / owed / Decimal("1.1"))
    buffer = abs(trade.open_rate - expected) * bot.exchange.liquidation_buffer
    assert trade.liquidation_price == pytest.approx(expected - buffer, rel=1e-4)
    assert bot.exchange.marks()["TWD"] == 1.0
    assert bot.exchange.marks()["BTC"] == pytest.approx(1_890_000, rel=0.001)


def test_without_the_mixin_a_long_above_1x_is_refused(twd: LeverageHarness) -> None:
    bot = start(twd, "PlainLevered")
    bot.strategy.enter[PAIR] = "long"
    bot.strategy.levers[PAIR] = 2.0
    bot.process()
    assert trade_of(PAIR) is None
    (lock,) = PairLocks.get_pair_locks(PAIR, side="long")
    assert "TWD is not lent" in lock.reason
    twd.open(bot, "short", 2.0, PAIR)
    twd.exit(bot, PAIR)
    assert_settled(twd, bot)


def test_a_long_and_a_short_of_the_lent_stablecoin(twd: LeverageHarness) -> None:
    bot = start(twd)
    twd.open(bot, "long", 3.0, PAIR)
    twd.open(bot, "short", 2.0, "USDT/TWD")
    assert twd.debt("USDT") > 0
    twd.control.advance(DAY)
    twd.exit(bot, PAIR)
    twd.exit(bot, "USDT/TWD")
    assert_settled(twd, bot)


@pytest.mark.parametrize("side", ["long", "short"])
def test_an_exchange_that_does_not_trade_it_on_margin(twd: LeverageHarness, side: str) -> None:
    """No page says which pairs it does: its refusal is one line, and the loan goes back."""
    twd.control.set_margin(wire(PAIR), False)
    bot = start(twd)
    bot.strategy.enter[PAIR] = side
    bot.strategy.levers[PAIR] = 2.0
    bot.process()
    bot.process()
    assert trade_of(PAIR) is None
    assert PairLocks.get_pair_locks(PAIR, side=side)
    assert twd.debt("BTC") == 0


def test_the_doctor_agrees(
    twd: LeverageHarness, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = {**twd.config(**twd.TWD), "dry_run": True}
    path = tmp_path / "doctor.json"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    cli.main(["doctor", "-c", str(path)])
    out = capsys.readouterr().out
    assert "cannot be traded on margin" not in out
    assert "BTC/TWD: TWD is not lent: longs at 1x, shorts borrow BTC" in out
