"""Freqtrade's data and analysis commands with leverage, as real processes."""

import json
import subprocess
import sys
from datetime import datetime

import pytest
from freqtrade.persistence import Trade

from tests.leverage.harness import BTC, LeverageHarness, trade_of
from tests.leverage.test_backtests import RATES, write_candles

RUN = "import bitopro_margin_ext as b, sys; b.enable(); from freqtrade.main import main; main()"


def freqtrade(harness: LeverageHarness, *arguments: str) -> str:
    """Run the unmodified command, enabled as the config's ``log_config`` does; what it says."""
    config = harness.config("ByTheClock", **RATES)
    config |= {"timeframe": "1h", "dry_run": True, "dry_run_wallet": 10_000, "fee": 0.002}
    types = dict.fromkeys(("entry", "exit", "stoploss", "emergency_exit"), "market")
    config["order_types"] = types | {"stoploss_on_exchange": False}
    config["exchange"]["pair_whitelist"] = [BTC]
    path = harness.folder / "config.json"
    path.write_text(json.dumps(config))
    folder = str(harness.folder)
    command = [sys.executable, "-c", RUN, *arguments, "-c", str(path), "--userdir", folder]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said[-3000:]
    return said


@pytest.mark.timeout(200)
def test_list_markets(harness: LeverageHarness) -> None:
    said = freqtrade(harness, "list-pairs", "--print-json", "--quote", "USDT")
    assert BTC in said


@pytest.mark.timeout(200)
def test_download_data_saves_candles_and_todays_rates(harness: LeverageHarness) -> None:
    harness.rate("7")
    freqtrade(harness, "download-data", "--days", "2", "-t", "1h", "--trading-mode", "futures")
    folder = harness.folder / "data" / "bitopromargin"
    names = {file.name for file in (folder / "futures").iterdir()}
    assert "BTC_USDT-1h-futures.feather" in names
    assert "BTC_USDT-1h-funding_rate.feather" in names


@pytest.mark.timeout(200)
@pytest.mark.parametrize("command", ["lookahead-analysis", "recursive-analysis"])
def test_analysis(harness: LeverageHarness, command: str) -> None:
    write_candles(harness.folder, hours=24 * 40)
    span = ["--timerange", "20260105-20260201"]
    said = freqtrade(harness, command, "--strategy", "ByTheClock", *span)
    assert "Traceback" not in said


@pytest.mark.timeout(200)
def test_hyperopt_with_two_jobs(harness: LeverageHarness) -> None:
    pytest.importorskip("optuna")
    write_candles(harness.folder)
    said = freqtrade(
        harness, "hyperopt", "--strategy", "ByTheClock", "-e", "4", "-j", "2",
        "--spaces", "roi", "--hyperopt-loss", "SharpeHyperOptLoss",
        # What it finds would be written beside the strategy, and every later backtest would use it.
        "--disable-param-export",
    )  # fmt: skip
    assert "Best result" in said


@pytest.mark.timeout(200)
def test_freqtrades_own_plots(harness: LeverageHarness) -> None:
    bot = harness.bot()
    harness.open(bot, "short", 2.0)
    harness.exit(bot)
    # When the candles are.
    trade = trade_of()
    trade.open_date, trade.close_date = datetime(2026, 1, 3), datetime(2026, 1, 5)
    Trade.commit()
    harness.restart(bot)
    write_candles(harness.folder)
    database = f"sqlite:///{harness.folder}/trades.sqlite"
    more = ["--trade-source", "DB", "--db-url", database, "-i", "1h"]
    for command in (
        ["plot-dataframe", "--strategy", "ByTheClock", "-p", BTC],
        ["plot-profit", "-p", BTC],
    ):
        said = freqtrade(harness, *command, *more)
        assert "Traceback" not in said
    plots = {file.name for file in (harness.folder / "plot").iterdir()}
    assert "freqtrade-profit-plot.html" in plots
    assert any("BTC_USDT" in name for name in plots)
