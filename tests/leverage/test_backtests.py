"""Backtests, hyperopt and the data commands with leverage and shorts, on a real Freqtrade."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.configuration import Configuration
from freqtrade.enums import CandleType, RunMode
from freqtrade.optimize.backtesting import Backtesting

import bitopro_margin_ext
from tests.leverage.harness import BTC, ETH, LeverageHarness, trade_of

BEGIN = pd.Timestamp("2026-01-01", tz="UTC")
HOUR = 3600
YEAR = 365 * 86400
FEE = 0.002


def write_candles(
    folder: Path,
    pairs: tuple[str, ...] = (BTC,),
    hours: int = 24 * 12,
    prices: Any = None,
) -> None:
    """Candles of a rising and falling market, as download-data would have written them."""
    from freqtrade.data.history import get_datahandler

    (folder / "data" / "bitopromargin" / "futures").mkdir(parents=True, exist_ok=True)
    handler = get_datahandler(folder / "data" / "bitopromargin", "feather")
    dates = pd.date_range(BEGIN, periods=hours, freq="1h")
    for pair in pairs:
        start = 60000.0 if pair == BTC else 3000.0
        price = np.round(start * (1 + 0.05 * np.sin(np.arange(hours) / 20)), 2)
        price = price if prices is None else prices
        candles = pd.DataFrame(
            {"date": dates, "open": price, "high": price * 1.001, "low": price * 0.999,
             "close": price, "volume": 100.0}
        )  # fmt: skip
        handler.ohlcv_store(pair, "1h", candles, CandleType.FUTURES)
        zeros = candles.assign(open=0.0, high=0.0, low=0.0, close=0.0, volume=0.0)
        rates = pd.DataFrame({"date": dates, "funding_rate": 0.0})
        for frame in (rates, zeros):
            try:
                handler.ohlcv_store(pair, "1h", frame, CandleType.FUNDING_RATE)
                break
            except (KeyError, AssertionError, ValueError):
                continue


def backtest(harness: LeverageHarness, **changes: Any) -> list[dict[str, Any]]:
    """Run a real backtest; its trades, oldest first."""
    pairs = tuple(changes.pop("pairs", (BTC,)))
    prices = changes.pop("prices", None)
    strategy = changes.pop("strategy", "ByTheClock")
    hours = 24 * 12 if prices is None else len(prices)
    write_candles(harness.folder, pairs, hours, prices)
    bitopro_margin_ext.register()
    config = harness.config(strategy, **changes)
    config |= {
        "timeframe": "1h",
        "fee": FEE,
        "dry_run": True,
        "dry_run_wallet": 10_000,
        "max_open_trades": len(pairs),
        "order_types": {"entry": "market", "exit": "market", "stoploss": "market",
                        "emergency_exit": "market", "stoploss_on_exchange": False},
    }  # fmt: skip
    config["exchange"]["pair_whitelist"] = list(pairs)
    path = harness.folder / "config.json"
    path.write_text(json.dumps(config))
    arguments = {
        "config": [str(path)], "user_data_dir": str(harness.folder),
        "datadir": str(harness.folder / "data" / "bitopromargin"), "export": "none",
        "strategy": strategy, "strategy_path": config["strategy_path"],
    }  # fmt: skip
    made = Backtesting(Configuration(arguments, RunMode.BACKTEST).get_config())
    data, timerange = made.load_bt_data()
    made.backtest_one_strategy(made.strategylist[0], data, timerange)
    found = made.all_bt_content[strategy]["results"]
    made.cleanup() if hasattr(made, "cleanup") else None
    return found.sort_values("open_date").to_dict("records")  # type: ignore[no-any-return]


RATES = {"bitopro_margin": {"interest_rates": {"USDT": 100, "BTC": 50, "ETH": 50}}}


def expected_interest(trade: dict[str, Any]) -> float:
    """What a loan of a whole trade costs, computed by hand."""
    seconds = (trade["close_date"] - trade["open_date"]).total_seconds()
    if trade["is_short"]:
        coins = np.floor(trade["amount"] * 0.5 * seconds / YEAR * 1e8) / 1e8
        return float(coins * trade["close_rate"])
    # Borrowed was for what the fee in base took as well.
    # The order's amount: what is bought is less by the fee, and what is held by a part of a step.
    bought = trade["orders"][0]["amount"] * trade["open_rate"]
    return bought * (1 - 1 / trade["leverage"]) * seconds / YEAR


def test_longs_and_shorts_pay_interest_to_the_second(harness: LeverageHarness) -> None:
    trades = backtest(harness, **RATES)
    assert {t["is_short"] for t in trades} == {True, False}
    assert {(t["is_short"], t["leverage"]) for t in trades} == {(False, 3.0), (True, 2.0)}
    for trade in trades:
        assert trade["funding_fees"] == pytest.approx(-expected_interest(trade), rel=1e-6)


def test_a_rate_that_changes_in_a_trade(harness: LeverageHarness) -> None:
    steps = {"2025-01-01": 0, "2026-01-02": 100}
    trades = backtest(harness, bitopro_margin={"interest_rates": {"USDT": steps, "BTC": 50}})
    step = pd.Timestamp("2026-01-02", tz="UTC")
    first = next(t for t in trades if not t["is_short"] and t["close_date"] > step)
    charged = (first["close_date"] - max(step, first["open_date"])).total_seconds()
    borrowed = first["orders"][0]["amount"] * first["open_rate"] * 2 / 3
    assert first["funding_fees"] == pytest.approx(-borrowed * charged / YEAR, rel=1e-6)


def test_partial_exits_and_additions_charge_once(harness: LeverageHarness) -> None:
    trades = backtest(harness, take_part=True, **RATES)
    for trade in trades:
        orders = trade["orders"]
        entries = [o for o in orders if o["ft_is_entry"]]
        exits = [o for o in orders if not o["ft_is_entry"]]
        assert len(entries) == 2
        assert len(exits) == 2
        whole = expected_interest(trade)
        assert 0 < -trade["funding_fees"] < whole * 2


def test_two_pairs_of_equal_amount_side_and_time(harness: LeverageHarness) -> None:
    """23: the question does not say which of them it is about."""
    both = backtest(harness, pairs=(BTC, ETH), stake_amount=1000, **RATES)
    alone = backtest(harness, pairs=(ETH,), stake_amount=1000, **RATES)
    of_eth = [t["funding_fees"] for t in both if t["pair"] == ETH]
    assert of_eth == pytest.approx([t["funding_fees"] for t in alone], abs=1e-9)


def test_a_liquidation_in_a_backtest(harness: LeverageHarness) -> None:
    changes = {"bitopro_margin": {**RATES["bitopro_margin"], "liquidation_ad_ratio": 1.48,
                                  "min_ad_ratio_entry": 1.49}}  # fmt: skip
    trades = backtest(harness, stake_amount="unlimited", **changes)
    assert "liquidation" in {t["exit_reason"] for t in trades}


def test_the_rates_saved_with_the_data_are_used(harness: LeverageHarness) -> None:
    folder = harness.folder / "data" / "bitopromargin"
    folder.mkdir(parents=True)
    (folder / "bitopro_margin_interest_rates.json").write_text('{"USDT": 100, "BTC": 50}')
    trades = backtest(harness)
    for trade in trades:
        assert trade["funding_fees"] == pytest.approx(-expected_interest(trade), rel=1e-6)


@pytest.mark.parametrize(("side", "leverage"), [("long", 3.0), ("short", 2.0)])
def test_19_the_same_candles_live_and_in_a_backtest(
    harness: LeverageHarness, side: str, leverage: float
) -> None:
    """Interest, fees and profit agree to a millionth, on interest that is counted by the hour."""
    harness.control.switches(interest_period_seconds=3600)
    # A market buy is cut to what its cost in quote can say.
    bot = harness.bot(order_types={"exit": "market"})
    harness.open(bot, side, leverage)
    harness.control.set_price("btc_usdt", "61000")
    bot.process()
    harness.control.advance(10 * HOUR)
    harness.exit(bot)
    live = trade_of()
    assert not live.is_open
    prices = np.array([live.open_rate] * 13 + [live.close_rate] * 10)
    found = {
        "profit": live.close_profit_abs,
        "interest": live.funding_fees,
        "fee_open": live.fee_open,
        "fee_close": live.fee_close,
        "amount": live.amount,
    }
    harness.restart(bot)
    (trade,) = backtest(
        harness,
        strategy="Once",
        side=side,
        prices=prices,
        bitopro_margin={"interest_rates": {"USDT": 100, "BTC": 100}, "interest_period": "hour"},
    )
    assert (trade["close_date"] - trade["open_date"]).total_seconds() == 10 * HOUR
    assert trade["amount"] == pytest.approx(found["amount"], abs=1e-9)
    assert trade["fee_open"] == pytest.approx(found["fee_open"], abs=1e-9)
    assert trade["fee_close"] == pytest.approx(found["fee_close"], abs=1e-6)
    assert trade["funding_fees"] == pytest.approx(found["interest"], abs=1e-6)
    assert trade["profit_abs"] == pytest.approx(found["profit"], abs=1e-6)
