"""The doctor finds what is wrong, one line a check, and says how to mend it."""

import json
from pathlib import Path
from typing import Any

import pytest
from freqtrade.exceptions import OperationalException
from freqtrade.strategy import IStrategy

from bitopro_margin_ext import EmergencyCancelMixin
from bitopro_margin_ext.cli.init import build_config
from bitopro_margin_ext.doctor import Finding, State
from bitopro_margin_ext.doctor.config_checks import check_orders, check_settings
from bitopro_margin_ext.doctor.strategy_checks import check_mixin
from bitopro_margin_ext.doctor.version_checks import check_versions, required_range
from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import KEY, SECRET, Runner


def failures(findings: list[Finding]) -> list[str]:
    return [finding.subject for finding in findings if finding.state is State.FAIL]


def changed(**differences: Any) -> dict[str, Any]:
    return {**json.loads(build_config()), **differences}


@pytest.fixture
def userdir(run: Runner, sandbox: SandboxServer, tmp_path: Path) -> Path:
    run("init", "--userdir", "bot")
    path = tmp_path / "bot" / "config.json"
    config = json.loads(path.read_text())
    config["exchange"] |= {"key": KEY, "secret": SECRET}
    config["exchange"]["ccxt_config"] = {"urls": {"api": {"rest": sandbox.rest_url}}}
    path.write_text(json.dumps(config))
    return tmp_path / "bot"


def test_a_fresh_folder_is_well(userdir: Path, run: Runner) -> None:
    done = run("doctor", "-c", "bot/config.json", "--userdir", "bot")
    assert done.code == 0, done.out
    assert "FAIL" not in done.out
    assert done.err == ""
    for subject in (
        "Python",
        "ccxt",
        "freqtrade",
        "log_config",
        "exchange.name",
        "trading_mode",
        "strategy",
        "EmergencyCancelMixin",
        "unfilledtimeout",
        "host",
        "clock",
        "key",
        "margin",
        "open orders",
    ):
        assert f"ok    {subject}: " in done.out
    assert "cannot be checked without trading" in done.out


def test_offline_asks_nobody(userdir: Path, sandbox: SandboxServer, run: Runner) -> None:
    strategy = userdir / "strategies" / "emergency_cancel_strategy.py"
    text = strategy.read_text()
    strategy.write_text(text.replace("EmergencyCancelMixin, IStrategy", "IStrategy"))
    done = run("doctor", "--userdir", "bot", "--offline")
    assert done.code == 1
    assert "FAIL  EmergencyCancelMixin: the strategy does not have it -> write class" in done.out
    assert "1 to mend" in done.out
    assert sandbox.control.requests() == []


def test_a_strategy_that_does_not_load(userdir: Path, run: Runner) -> None:
    (userdir / "strategies" / "emergency_cancel_strategy.py").write_text("import nowhere_at_all")
    done = run("doctor", "--userdir", "bot", "--offline")
    assert done.code == 1
    assert "FAIL  strategy: cannot be loaded" in done.out


def test_an_account_in_a_bad_way(userdir: Path, sandbox: SandboxServer, run: Runner) -> None:
    sandbox.control.skew(-7)
    sandbox.control.change_key(KEY, margin=False)
    done = run("doctor", "--userdir", "bot")
    assert done.code == 1
    assert "ahead of the exchange's -> set it by NTP" in done.out
    assert "FAIL  margin: refused" in done.out


def test_no_config_is_a_usage_error(run: Runner) -> None:
    done = run("doctor")
    assert done.code == 2
    assert "name one with -c" in done.err


@pytest.mark.parametrize(
    ("differences", "subject"),
    [
        ({"log_config": None}, "log_config"),
        ({"log_config": {"version": 1, "filters": {}}}, "log_config"),
        ({"log_config": {"filters": {"x": {"()": "bitopro_margin_ext.enable"}}}}, "log_config"),
        ({"exchange": {"name": "bitopro"}}, "exchange.name"),
        ({"trading_mode": "spot"}, "trading_mode"),
        ({"margin_mode": "isolated"}, "margin_mode"),
        ({"bitopro_margin": {"scope": "everything"}}, "bitopro_margin"),
        ({"bitopro_margin": {"deadlin": 3}}, "bitopro_margin"),
    ],
)
def test_settings_that_do_not_work(differences: dict[str, Any], subject: str) -> None:
    assert failures(list(check_settings(changed()))) == []
    assert failures(list(check_settings(changed(**differences)))) == [subject]


@pytest.mark.parametrize(
    ("differences", "subject"),
    [
        ({"order_types": {"emergency_exit": "limit"}}, "order_types.emergency_exit"),
        (
            {"order_types": {"stoploss": "market", "stoploss_on_exchange": True}},
            "order_types.stoploss_on_exchange",
        ),
        ({"unfilledtimeout": {"entry": 1, "exit": 1}}, "unfilledtimeout"),
        ({"unfilledtimeout": {"exit_timeout_count": 0}}, "unfilledtimeout"),
    ],
)
def test_orders_that_do_not_help_in_an_emergency(differences: dict[str, Any], subject: str) -> None:
    assert failures(list(check_orders(changed()))) == []
    assert failures(list(check_orders(changed(**differences)))) == [subject]


def test_the_order_of_the_bases_counts() -> None:
    class Right(EmergencyCancelMixin, IStrategy):
        pass

    with pytest.raises(OperationalException, match="must stand before IStrategy"):

        class Wrong(IStrategy, EmergencyCancelMixin):
            pass

    assert check_mixin(Right).state is State.OK
    assert check_mixin(IStrategy).state is State.FAIL


def test_versions_are_held_against_the_package_metadata() -> None:
    assert failures(list(check_versions())) == []
    assert required_range("ccxt").startswith(">=")
    assert required_range("freqtrade").startswith(">=")
