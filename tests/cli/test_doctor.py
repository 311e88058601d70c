"""The doctor finds what is wrong, one line a check, and says what to do."""

import json
from pathlib import Path
from typing import Any

import pytest
from freqtrade.exceptions import OperationalException
from freqtrade.strategy import IStrategy

from bitopro_margin_ext import EmergencyCancelMixin
from bitopro_margin_ext.cli.init import build_config
from bitopro_margin_ext.doctor import CheckResult, State
from bitopro_margin_ext.doctor.config_checks import (
    check_orders,
    check_settings,
    check_versions,
    required_range,
)
from bitopro_margin_ext.doctor.strategy_checks import check_mixin
from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import KEY, SECRET, Runner


def failures(results: list[CheckResult]) -> list[str]:
    return [result.subject for result in results if result.state is State.FAIL]


def changed(**differences: Any) -> dict[str, Any]:
    return {**json.loads(build_config()), **differences}


@pytest.fixture
def userdir(run_here: Runner, sandbox: SandboxServer, tmp_path: Path) -> Path:
    run_here("init", "--userdir", "bot")
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


def test_offline_asks_nobody(userdir: Path, sandbox: SandboxServer, run_here: Runner) -> None:
    strategy = userdir / "strategies" / "emergency_cancel_strategy.py"
    text = strategy.read_text()
    strategy.write_text(text.replace("EmergencyCancelMixin, IStrategy", "IStrategy"))
    done = run_here("doctor", "--userdir", "bot", "--offline")
    assert done.code == 1
    assert "FAIL  EmergencyCancelMixin: the strategy does not have it -> write class" in done.out
    assert "1 problem found" in done.out
    assert sandbox.control.requests() == []


def test_a_strategy_that_does_not_load(userdir: Path, run_here: Runner) -> None:
    (userdir / "strategies" / "emergency_cancel_strategy.py").write_text("import nowhere_at_all")
    done = run_here("doctor", "--userdir", "bot", "--offline")
    assert done.code == 1
    assert "FAIL  strategy: cannot be loaded" in done.out


def test_an_account_in_a_bad_way(userdir: Path, sandbox: SandboxServer, run_here: Runner) -> None:
    sandbox.control.skew(-7)
    sandbox.control.change_key(KEY, margin=False)
    done = run_here("doctor", "--userdir", "bot")
    assert done.code == 1
    assert "ahead of the exchange's -> set it by NTP" in done.out
    assert "FAIL  margin: refused" in done.out


def test_no_config_is_a_usage_error(run_here: Runner) -> None:
    done = run_here("doctor")
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


def failed(document: dict[str, Any], subject: str) -> str:
    """What is wrong with a subject, all lines of it together."""
    lines = [c for c in document["checks"] if c["subject"] == subject and c["state"] == "fail"]
    assert lines, [c for c in document["checks"] if c["state"] == "fail"]
    assert all(line["fix"] for line in lines)
    return " ".join(line["text"] for line in lines)


def test_it_finds_all_for_which_the_start_is_refused(
    userdir: Path, sandbox: SandboxServer, run_here: Runner, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "mine"
    elsewhere.mkdir()
    (elsewhere / "own.py").write_text(
        "from freqtrade.strategy import IStrategy\n"
        "from bitopro_margin_ext import EmergencyCancelMixin\n"
        "class Own(EmergencyCancelMixin, IStrategy):\n"
        "    can_short = True\n"
        "    timeframe = '7m'\n"
        "    stoploss = -0.1\n"
        "    protections = [{'method': 'NoSuchProtection'}]\n"
        "    def populate_indicators(self, d, m): return d\n"
        "    def populate_entry_trend(self, d, m): return d\n"
        "    def populate_exit_trend(self, d, m): return d\n"
    )
    more = {
        "timeframe": "7m",
        "exchange": {"pair_whitelist": ["BTC/USDT", "ETH/USDT:USDT", "SOL/USDT", "FOO/USDT"]},
        "pairlists": [{"method": "VolumePairList", "number_assets": 5}],
        "order_types": {"exit": "market", "stoploss_on_exchange": False},
        "order_time_in_force": {"entry": "FOK", "exit": "GTC"},
        "unfilledtimeout": {"exit_timeout_count": 0},
        "bitopro_margin": {"heartbeat_file": "nowhere/beat"},
    }
    (tmp_path / "more.json").write_text(json.dumps(more))
    (tmp_path / "more.json").chmod(0o600)
    files = ("-c", "bot/config.json", "-c", "more.json")
    done = run_here(
        "doctor", *files, "--userdir", "bot", "-s", "Own", "--strategy-path", "mine", "--json"
    )
    assert done.code == 1
    document = json.loads(done.out)
    assert document["outcome"] == "failed"
    assert document["error"] == f"{document['failures']} problems found"
    assert "there is no folder" in failed(document, "bitopro_margin")
    # The heartbeat's folder alone keeps the exchange from being made: the rest without it.
    more["bitopro_margin"] = {"heartbeat_file": "beat"}
    (tmp_path / "more.json").write_text(json.dumps(more))
    done = run_here(
        "doctor", *files, "--userdir", "bot", "-s", "Own", "--strategy-path", "mine", "--json"
    )
    document = json.loads(done.out)
    assert 'exit_pricing.price_side = "other"' in failed(document, "settings")
    assert "7m" in failed(document, "timeframe")
    assert "VolumePairList" in failed(document, "pairlists")
    assert "NoSuchProtection" in failed(document, "protections")
    assert "long only" in failed(document, "can_short")
    assert "Time in force" in failed(document, "order_time_in_force")
    assert "ETH/USDT:USDT is a futures contract" in failed(document, "pair_whitelist")
    assert "the hook can never fire" in failed(document, "unfilledtimeout")
    heartbeat = f"{tmp_path}/beat can be written"
    assert [c["text"] for c in document["checks"] if c["subject"].endswith("_file")] == [heartbeat]
    # Nothing of all that was asked with the key, but what the key's own checks ask.
    assert all(line["method"] == "GET" for line in sandbox.control.requests())


def test_pairs_that_the_exchange_does_not_trade_on_margin(
    userdir: Path, sandbox: SandboxServer, run_here: Runner
) -> None:
    path = userdir / "config.json"
    config = json.loads(path.read_text())
    config["exchange"]["pair_whitelist"] = ["BTC/USDT", "SOL/USDT", "FOO/USDT"]
    path.write_text(json.dumps(config))
    done = run_here("doctor", "--userdir", "bot")
    assert done.code == 1
    assert "FAIL  pair_whitelist: SOL/USDT cannot be traded on margin" in done.out
    assert "FAIL  pair_whitelist: BitoPro has no pair FOO/USDT" in done.out
    assert "ok    pairlists: StaticPairList: BTC/USDT" in done.out


def test_without_a_key_it_asks_the_configs_exchange_and_no_other(
    userdir: Path, sandbox: SandboxServer, run_here: Runner
) -> None:
    path = userdir / "config.json"
    config = json.loads(path.read_text())
    config["exchange"] |= {"key": "", "secret": "", "ccxt_config": {"sandbox": True}}
    path.write_text(json.dumps(config))
    bare = {"BITOPRO_API_KEY": "", "BITOPRO_API_SECRET": "", "BITOPRO_SANDBOX_URL": sandbox.url}
    done = run_here("doctor", "--userdir", "bot", **bare)
    assert done.out.splitlines()[0] == (f"ok    address: {sandbox.rest_url}, not the live exchange")
    assert f"ok    host: {sandbox.rest_url} answers" in done.out
    assert "note  key: a dry run needs none" in done.out
    assert done.code == 0


def test_options_that_contradict_each_other_are_refused(run_here: Runner) -> None:
    done = run_here("doctor", "--offline", "--base-url", "http://127.0.0.1:1/v3")
    assert done.code == 2
    assert "give one of them" in done.err


def test_a_hook_without_emergencies_is_said_aloud() -> None:
    results = list(check_settings(changed(bitopro_margin={"cancel_on": ["stop_loss"]})))
    (line,) = [str(result) for result in results if result.subject == "bitopro_margin.cancel_on"]
    assert "in an emergency nothing is cancelled" in line
