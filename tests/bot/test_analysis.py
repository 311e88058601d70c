"""Freqtrade's commands for analysis, with the mixin in the strategy: real processes, offline data.

Those of the first group run in the gate; the rest, half a minute of other commands, with
``BITOPRO_MARGIN_TESTS=all``.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType

from bitopro_margin_ext.drill.bot_process import build_log_config
from bitopro_margin_ext.sandbox.server import SandboxServer

TEMPLATES = Path(sys.modules["bitopro_margin_ext"].__file__ or "").with_name("templates")
STRATEGY = '''
"""With callbacks of its own, a base in between, and something to optimise."""
from freqtrade.strategy import IntParameter, IStrategy

from bitopro_margin_ext import EmergencyCancelMixin


class Averages(IStrategy):
    timeframe = "5m"
    minimal_roi = {"0": 0.02}
    stoploss = -0.03
    startup_candle_count = 30
    length = IntParameter(5, 25, default=10, space="buy")

    def populate_indicators(self, dataframe, metadata):
        for length in self.length.range:
            dataframe[f"average_{length}"] = dataframe["close"].rolling(length).mean()
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        average = dataframe[f"average_{self.length.value}"]
        dataframe.loc[dataframe["close"] > average, "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        average = dataframe[f"average_{self.length.value}"]
        dataframe.loc[dataframe["close"] < average, "exit_long"] = 1
        return dataframe


class Optimised(EmergencyCancelMixin, Averages):
    def confirm_trade_exit(self, pair, trade, **kwargs):
        return super().confirm_trade_exit(pair=pair, trade=trade, **kwargs)

    def bot_loop_start(self, current_time, **kwargs):
        super().bot_loop_start(current_time, **kwargs)
'''
WRONG = """
from freqtrade.strategy import IStrategy

from bitopro_margin_ext import EmergencyCancelMixin


class WrongOrder(IStrategy, EmergencyCancelMixin):
    timeframe = "5m"
"""
everything = pytest.mark.skipif(
    os.environ.get("BITOPRO_MARGIN_TESTS") != "all", reason="BITOPRO_MARGIN_TESTS=all runs it"
)


@pytest.fixture(scope="module")
def userdir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user folder with two days of candles, and an exchange that only knows its markets."""
    folder = tmp_path_factory.mktemp("analysis")
    for name in ("strategies", "backtest_results", "hyperopt_results", "hyperopts", "plot"):
        (folder / name).mkdir()
    example = (TEMPLATES / "emergency_cancel_strategy.py.txt").read_text()
    (folder / "strategies" / "example.py").write_text(example)
    (folder / "strategies" / "optimised.py").write_text(STRATEGY)
    data = folder / "data" / "bitopromargin"
    data.mkdir(parents=True)
    handler = get_datahandler(data, "feather")
    for seed, pair in enumerate(("BTC/USDT", "ETH/USDT")):
        handler.ohlcv_store(pair, "5m", candles(seed), CandleType.SPOT)
    with SandboxServer() as server:
        config = json.loads((TEMPLATES / "config.json").read_text())
        config["exchange"]["ccxt_config"] = {"urls": {"api": {"rest": server.rest_url}}}
        config["exchange"]["enable_ws"] = False
        # Its empty passwords are to be filled in.
        del config["api_server"]
        config["log_config"] = build_log_config(folder / "freqtrade.log")
        config |= {"datadir": str(data), "user_data_dir": str(folder)}
        (folder / "config.json").write_text(json.dumps(config))
        yield folder


def candles(seed: int) -> pd.DataFrame:
    count = 576
    random = np.random.default_rng(seed)
    close = 1000 * np.exp(np.cumsum(random.normal(0, 0.003, count)))
    opened = np.concatenate([[1000.0], close[:-1]])
    return pd.DataFrame(
        {
            "date": pd.date_range("2026-10-01", periods=count, freq="5min", tz="UTC"),
            "open": opened,
            "high": np.maximum(opened, close) * 1.001,
            "low": np.minimum(opened, close) * 0.999,
            "close": close,
            "volume": 100.0,
        }
    )


def command(folder: Path, *arguments: str) -> list[str]:
    program = "from freqtrade.main import main; import sys; main(sys.argv[1:])"
    common = ["--config", str(folder / "config.json"), "--userdir", str(folder)]
    return [sys.executable, "-c", program, *arguments, *common]


def environment() -> dict[str, str]:
    # Under pytest Freqtrade leaves out its ``log_config``, and with it what enables us.
    kept = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return {**kept, "NO_COLOR": "1", "COLUMNS": "250"}


def freqtrade(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        command(folder, *arguments),
        env=environment(), cwd=folder, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    log = folder / "freqtrade.log"
    output = done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    log.unlink(missing_ok=True)
    assert done.returncode == 0, output
    assert "Traceback" not in output, output
    return output


# -- in the gate -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "spaces"),
    [("EmergencyCancelStrategy", ["roi", "stoploss"]), ("Optimised", ["buy"])],
)
def test_hyperopt_with_several_jobs(userdir: Path, strategy: str, spaces: list[str]) -> None:
    output = freqtrade(
        userdir, "hyperopt", "--strategy", strategy, "--spaces", *spaces, "-e", "4", "-j", "2",
        "--hyperopt-loss", "OnlyProfitHyperOptLoss", "--min-trades", "1",
    )  # fmt: skip
    assert "Number of parallel jobs set as: 2" in output
    assert re.search(r"4/4|4 epochs saved", output), output


def test_list_strategies_goes_on_after_a_file_with_the_wrong_order(userdir: Path) -> None:
    wrong = userdir / "strategies" / "wrong.py"
    wrong.write_text(WRONG)
    try:
        output = freqtrade(userdir, "list-strategies")
    finally:
        wrong.unlink()
    rows = {
        name: next(line for line in output.splitlines() if name in line and "│" in line)
        for name in ("wrong.py", "Optimised", "EmergencyCancelStrategy")
    }
    assert "OK" in rows["Optimised"]
    assert "OK" in rows["EmergencyCancelStrategy"]
    assert "must stand before IStrategy: class WrongOrder(EmergencyCancelMixin" in output


# -- with BITOPRO_MARGIN_TESTS=all -------------------------------------------------------------


@everything
@pytest.mark.parametrize("strategy", ["EmergencyCancelStrategy", "Optimised"])
def test_backtesting(userdir: Path, strategy: str) -> None:
    output = freqtrade(userdir, "backtesting", "--strategy", strategy, "--cache", "none")
    assert "BACKTESTING REPORT" in output
    assert "nothing to do without the exchange bitopromargin" in output


@everything
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lookahead-analysis", "--timerange", "20261001-20261003"), "Optimised"),
        (
            ("recursive-analysis", "--pairs", "BTC/USDT", "--timerange", "20261001-20261003"),
            "lookahead bias of indicators of optimised.py took",
        ),
        (("plot-dataframe", "--pairs", "BTC/USDT", "--no-trades"), "Stored plot as"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_other_analysis(userdir: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in freqtrade(userdir, *arguments, "--strategy", "Optimised")


@everything
def test_the_webserver_backtests(userdir: Path) -> None:
    config = json.loads((userdir / "config.json").read_text())
    port = 18_733
    config["api_server"] = {
        "enabled": True,
        "listen_ip_address": "127.0.0.1",
        "listen_port": port,
        "username": "user",
        "password": "password",
        "jwt_secret_key": "x" * 40,
    }
    (userdir / "webserver.json").write_text(json.dumps(config))
    web = command(userdir, "webserver")
    web[web.index(str(userdir / "config.json"))] = str(userdir / "webserver.json")
    with subprocess.Popen(web, env=environment(), cwd=userdir, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:  # fmt: skip
        try:
            wish = {
                "strategy": "Optimised", "timeframe": "5m", "timerange": "20261001-20261003",
                "enable_protections": False,
            }  # fmt: skip
            ask(port, "POST", "backtest", wish, patience=60)
            ends = time.monotonic() + 90
            while (answer := ask(port, "GET", "backtest"))["running"]:
                assert time.monotonic() < ends, answer
                time.sleep(0.3)
            assert answer["status"] == "ended", answer
            assert "Optimised" in answer["backtest_result"]["strategy"]
            assert "Optimised" in ask(port, "GET", "strategies")["strategies"]
        finally:
            process.kill()


def ask(port: int, method: str, path: str, body: Any = None, patience: float = 5) -> Any:
    import base64

    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={
            "Content-Type": "application/json",
            "Authorization": "Basic " + base64.b64encode(b"user:password").decode(),
        },
    )
    ends = time.monotonic() + patience
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except (ConnectionError, urllib.error.URLError):
            if time.monotonic() > ends:
                raise
            time.sleep(0.3)
