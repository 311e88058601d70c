"""The start: what is refused, in one line, with a code that is not 0, and with nothing sent."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from freqtrade.enums import ExitType
from freqtrade.exceptions import OperationalException

from bitopro_margin_ext.drill.bot_process import build_log_config
from tests.bot.harness import BotHarness

TRADE = "from freqtrade.main import main; main({arguments!r})"
BREAK = "import freqtrade.freqtradebot as f; del f.FreqtradeBot.handle_cancel_exit; "


def _environment() -> dict[str, str]:
    """Under pytest Freqtrade leaves out its ``log_config``, and with it what enables us."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_VERSION"}


class Process:
    """A real ``freqtrade trade``."""

    def __init__(self, folder: Path, config: dict[str, Any], *, before: str = "", more: Any = ()):
        folder.mkdir()
        config |= {"user_data_dir": str(folder), "db_url": f"sqlite:///{folder}/trades.sqlite"}
        self.logfile = folder / "freqtrade.log"
        config["log_config"] = build_log_config(self.logfile)
        path = folder / "config.json"
        path.write_text(json.dumps(config))
        arguments = ["trade", "--config", str(path), "--userdir", str(folder), *more]
        self._process = subprocess.Popen(
            [sys.executable, "-c", before + TRADE.format(arguments=arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
            env={**_environment(), "NO_COLOR": "1"},
        )  # fmt: skip

    def end(self) -> tuple[int, str, list[str]]:
        """Its exit code, all output, and the lines logged as errors."""
        try:
            output, _ = self._process.communicate(timeout=90)
        finally:
            self._process.kill()
        log = self.logfile.read_text() if self.logfile.exists() else ""
        return self._process.returncode, output + log, re.findall(r".* - ERROR - (.*)", log)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "spot": ({"trading_mode": "spot", "margin_mode": ""}, 'use the exchange name "bitopro"'),
    "isolated": ({"margin_mode": "isolated"}, "trades the margin account only"),
    "no margin mode": ({"margin_mode": ""}, "trades the margin account only"),
    "unknown option": ({"bitopro_margin": {"skope": "all"}}, "bitopro_margin.skope: unknown"),
    "bad reasons": ({"bitopro_margin": {"cancel_on": "stop_loss"}}, "cancel_on: must be a list"),
    "bad scope": ({"bitopro_margin": {"scope": "account"}}, "must be 'pair' or 'all'"),
    "bad deadline": ({"bitopro_margin": {"deadline": 0}}, "deadline: must be seconds"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_before_anything_is_sent(
    harness: BotHarness, case: str
) -> None:
    changes, words = REFUSED[case]
    with pytest.raises(OperationalException) as refusal:
        harness.bot(**changes)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert harness.control.requests() == []


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (["emergency"], "'emergency' is no exit reason .* did you mean 'emergency_exit'"),
        (["emergency_exit", "stoploss"], "did you mean 'stop_loss'"),
        (["nonsense"], "'nonsense' is no exit reason of Freqtrade's, nor a string in"),
        (["Emergency_Exit"], "did you mean 'emergency_exit'"),
    ],
)
def test_an_unknown_reason_is_refused(harness: BotHarness, reasons: list[str], words: str) -> None:
    with pytest.raises(OperationalException, match=words) as refusal:
        harness.bot(bitopro_margin={"cancel_on": reasons})
    assert "\n" not in str(refusal.value)
    assert all(line.startswith("GET") for line in harness.lines())


@pytest.mark.parametrize(
    "block",
    [
        {"cancel_on": ["emergency_exit", "stop_loss", "a tag of its own"]},
        {"cancel_on": ["emergency_exit", "tag 7"], "exit_tags": ["tag 7"]},
        {"cancel_on": [kind.value for kind in ExitType if kind.value]},
    ],
)
def test_reasons_that_exist_are_accepted(harness: BotHarness, block: dict[str, Any]) -> None:
    harness.bot("Tagging", bitopro_margin=block)


def test_what_leaves_the_hook_without_effect_is_said(
    harness: BotHarness, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings(**changes: Any) -> str:
        caplog.clear()
        bot = harness.bot(**changes)
        bot.process()
        return "\n".join(r.message for r in caplog.records if r.levelname == "WARNING")

    off = {"order_types": {"stoploss_on_exchange": False}}
    assert "never" not in warnings()
    assert "never" not in warnings(**off)
    assert "Freqtrade will never make an emergency exit" in warnings(
        **off, unfilledtimeout={"exit_timeout_count": 0}
    )
    said = warnings(bitopro_margin={"cancel_on": ["force_exit"]})
    assert "cancel_on does not have 'emergency_exit'" in said
    assert "NOTHING is cancelled" in warnings(bitopro_margin={"cancel_on": []})
    assert "does not have EmergencyCancelMixin" in warnings(strategy="Plain")
    assert "does not have EmergencyCancelMixin" not in warnings()


@pytest.mark.parametrize(("strategy", "words"), [("Shorting", "long only"), ("Levered", "1x only")])
def test_shorts_and_leverage_are_refused(harness: BotHarness, strategy: str, words: str) -> None:
    with pytest.raises(OperationalException, match=words):
        harness.bot(strategy)
    assert all(line.startswith("GET") for line in harness.lines())


def test_real_processes_end_with_a_code_and_one_line(harness: BotHarness, tmp_path: Path) -> None:
    cases = {
        "spot": Process(tmp_path / "1", harness.config(trading_mode="spot", margin_mode="")),
        "no margin_mode": Process(tmp_path / "2", _without(harness.config(), "margin_mode")),
        "private": Process(tmp_path / "3", harness.config(), before=BREAK),
        "order": Process(tmp_path / "4", harness.config("WrongOrder")),
    }
    ends = {name: process.end() for name, process in cases.items()}
    for name, (code, output, errors) in ends.items():
        assert code not in (0, None), (name, output)
        assert len(errors) == 1, output
        assert "Traceback" not in output
    assert "has no FreqtradeBot.handle_cancel_exit" in ends["private"][2][0]
    assert "Supported: " in ends["private"][2][0]
    assert 'use the exchange name "bitopro"' in ends["spot"][2][0]
    assert ends["order"][2][0].startswith("EmergencyCancelMixin must stand before IStrategy: class")
    private = [line for line in harness.lines() if not line.startswith("GET")]
    assert private == []


def _without(config: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != name}


def test_enabling_twice_changes_nothing() -> None:
    code = (
        "import logging, bitopro_margin_ext as b, sys;"
        "assert not {'ccxt', 'freqtrade'} & set(sys.modules), 'a host was imported';"
        "one, two = b.enable(), b.enable();"
        "import ccxt, freqtrade.exchange as e;"
        "assert isinstance(one, logging.Filter) and isinstance(two, logging.Filter);"
        "assert ccxt.exchanges.count('bitopromargin') == 1;"
        "cls = e.Bitopromargin; b.register(); assert e.Bitopromargin is cls"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


def test_the_start_up_line(harness: BotHarness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    harness.bot(scope="all", deadline=7)
    import ccxt
    import freqtrade

    import bitopro_margin_ext

    (line,) = [r.message for r in caplog.records if "is on (Freqtrade" in r.message]
    for word in (bitopro_margin_ext.__version__, freqtrade.__version__, ccxt.__version__):
        assert word in line
    assert "emergency_exit" in line
    assert "of every pair" in line
    assert "7 s" in line
