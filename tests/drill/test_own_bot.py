"""The user's own bot, rehearsed: its strategy and config are played, and left as they were."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

from bitopro_margin_ext.cli.drill import WAYS, _print_verdict
from bitopro_margin_ext.cli.init import build_config
from bitopro_margin_ext.drill.own_bot import OwnBot, choose_pairs
from bitopro_margin_ext.drill.verdict import Row, Verdict

STRATEGY = """
import helper_of_mine
from freqtrade.strategy import IStrategy
from bitopro_margin_ext import EmergencyCancelMixin

class Mine(EmergencyCancelMixin, IStrategy):
    timeframe = "5m"
    stoploss = -0.1
    minimal_roi = {"0": 1}
    order_types = {
        "entry": "limit", "exit": "limit", "stoploss": "limit", "stoploss_on_exchange": True
    }
    unfilledtimeout = {"entry": 10, "exit": 10, "exit_timeout_count": 3}

    def populate_indicators(self, dataframe, metadata): return dataframe
    def populate_entry_trend(self, dataframe, metadata): return dataframe
    def populate_exit_trend(self, dataframe, metadata): return dataframe

    def confirm_trade_exit(self, *args, **kwargs):
        print("MINE IS ASKED", helper_of_mine.NAME, kwargs.get("exit_reason"), flush=True)
        return True
"""


@pytest.fixture
def mine(tmp_path):
    """A user's folder, with a live key and a messenger in the config."""
    strategies = tmp_path / "user_data" / "strategies"
    strategies.mkdir(parents=True)
    (strategies / "mine.py").write_text(STRATEGY)
    (strategies / "helper_of_mine.py").write_text("NAME = 'helper'\n")
    config = json.loads(build_config())
    config["exchange"] |= {"key": "the-live-key", "secret": "the-live-secret"}
    config["exchange"]["ccxt_config"] = {"httpsProxy": "http://me:word@proxy:1", "login": "a@b.c"}
    config["telegram"] = {"enabled": True, "token": "1:telegram-token", "chat_id": "1"}
    config["webhook"] = {"enabled": True, "url": "https://hooks.example/secret"}
    config["api_server"]["enabled"] = True
    config["bitopro_margin"]["scope"] = "all"
    for name in ("strategy", "order_types"):
        del config[name]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return tmp_path


def drill(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "bitopro_margin_ext", "drill", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
    )


def fingerprint(folder):
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    } | {str(path): "" for path in folder.rglob("*") if path.is_dir()}


OWN = ("-c", "config.json", "--userdir", "user_data", "-s", "Mine")


@pytest.mark.timeout(300)
def test_it_is_played_and_left_as_it_was(mine):
    before = fingerprint(mine)
    played = drill(mine, *OWN, "--scenario", "stop-rejected", "--watch", "--keep")
    assert played.returncode == 0, played.stdout + played.stderr
    assert fingerprint(mine) == before
    assert "stop-rejected, scope all: " in played.stdout
    assert "look at http://127.0.0.1:" in played.stdout
    assert "position closed" in played.stdout
    (kept,) = [line for line in played.stdout.splitlines() if line.startswith("kept: ")]
    folder = kept.removeprefix("kept: ")
    try:
        with open(f"{folder}/output.txt") as output, open(f"{folder}/config.json") as copy:
            # Its own strategy had its word, with what it imports.
            assert "MINE IS ASKED helper emergency_exit" in output.read()
            text = copy.read()
        for secret in ("the-live", "telegram-token", "hooks.example", "proxy:1", "a@b.c"):
            assert secret not in text
    finally:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("stake", "whitelist", "scenario", "played_pairs"),
    [
        ("TWD", ["BTC/TWD", "SOL/TWD", "ETH/TWD"], "exit-timeout", ["BTC/TWD", "SOL/TWD"]),
        ("USDT", ["XRP/USDT"], "stop-rejected", ["XRP/USDT", "BTC/USDT"]),
        ("BTC", ["ADA/BTC", ".*/BTC"], "stop-rejected", ["ADA/BTC", "ETH/BTC"]),
    ],
)
def test_any_stake_currency_and_any_pairs_are_played(
    stake, whitelist, scenario, played_pairs, mine
):
    path = mine / "config.json"
    config = json.loads(path.read_text())
    config |= {"stake_currency": stake, "max_open_trades": 1}
    config["exchange"] |= {"pair_whitelist": whitelist, "pair_blacklist": ["DOGE/.*"]}
    path.write_text(json.dumps(config))
    played = drill(mine, *OWN, "--scenario", scenario, "--json")
    assert played.returncode == 0, played.stdout + played.stderr
    (document,) = json.loads(played.stdout)
    assert document["agrees"]
    pairs = {row["pair"] for row in document["rows"]}
    assert set(played_pairs) <= pairs
    assert "DOGE" not in played.stderr
    assert {pair.split("/")[1] for pair in pairs} == {stake}
    exited = [row for row in document["rows"] if row["pair"] == played_pairs[0]]
    assert any(row["cancel_reason"] or row["side"] == "sell" for row in exited)


def test_the_pairs_are_those_of_the_whitelist_in_the_stake_currency():
    def chosen(stake, *whitelist, blacklist=()):
        exchange = {"pair_whitelist": list(whitelist), "pair_blacklist": list(blacklist)}
        return choose_pairs({"stake_currency": stake, "exchange": exchange})

    assert chosen("USDT") == ("BTC/USDT", "ETH/USDT")
    assert chosen("BTC") == ("ETH/BTC", "SOL/BTC")
    assert chosen("TWD", "BTC/USDT", "XRP/TWD", "XRP/TWD") == ("XRP/TWD", "BTC/TWD")
    assert chosen("USDT", "SOL/USDT", "PEPE/USDT", "ADA/USDT") == (
        "SOL/USDT",
        "PEPE/USDT",
        "ADA/USDT",
    )
    assert chosen("USDT", "BTC/USDT", "SOL/USDT", blacklist=["BTC/.*"])[0] == "SOL/USDT"
    assert len(chosen("USDT", *(f"COIN{n}/USDT" for n in range(50)))) == 20
    for whitelist in (["BTC/USDT:USDT"], ["*/USDT"], ["nonsense"]):
        with pytest.raises(ValueError, match=r"pair_whitelist|Wildcard"):
            chosen("USDT", *whitelist)


@pytest.mark.timeout(300)
def test_a_strategy_that_enters_at_market_and_by_itself_is_played_too(mine):
    """What is in the strategy alone counts as well: its time-outs, and its types of orders."""
    strategy = mine / "user_data" / "strategies" / "mine.py"
    text = STRATEGY.replace('"entry": "limit"', '"entry": "market"').replace(
        "def populate_entry_trend(self, dataframe, metadata): return dataframe",
        "process_only_new_candles = False\n"
        "    def populate_entry_trend(self, dataframe, metadata):\n"
        "        dataframe['enter_long'] = 1\n"
        "        return dataframe",
    )
    strategy.write_text(text)
    path = mine / "config.json"
    config = json.loads(path.read_text())
    del config["unfilledtimeout"]
    config["entry_pricing"]["price_side"] = "other"
    path.write_text(json.dumps(config))
    played = drill(mine, *OWN, "--scenario", "exit-timeout")
    assert played.returncode == 0, played.stdout + played.stderr
    assert "position closed" in played.stdout


@pytest.mark.parametrize(
    "more", [("-s", "Mine"), ("-c", "config.json"), ("--scope", "pair"), ("--scenario", WAYS[0])]
)
def test_leverage_takes_no_options_that_it_would_ignore(more, mine):
    played = drill(mine, "--leverage", *more)
    assert played.returncode == 2
    assert "--leverage plays a scenario of its own" in played.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stake_currency": "TWD"}, "no pair of the pair_whitelist is in TWD, the stake currency"),
        ({"stake_currency": "twd/x"}, "no stake currency: 'twd/x'; write it like USDT"),
        ({"trading_mode": "spot"}, "trading_mode: 'spot', not 'margin'"),
        ({"exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT"]}}, "exchange.name: "),
        (
            {
                "order_types": {
                    "entry": "limit",
                    "exit": "limit",
                    "stoploss": "limit",
                    "stoploss_on_exchange": False,
                },
                "unfilledtimeout": {"entry": 10, "exit": 10},
            },
            "the hook never fires that way (stop-rejected: order_types.stoploss_on_exchange is off;"
            " exit-timeout: unfilledtimeout.exit_timeout_count is 0)",
        ),
        ({"bitopro_margin": {"scope": "everything"}}, "bitopro_margin.scope"),
    ],
)
def test_a_config_that_cannot_be_rehearsed_is_refused(change, said, mine):
    path = mine / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, **change}))
    played = drill(mine, *OWN)
    assert played.returncode == 2
    assert said in played.stderr


def test_a_strategy_that_cannot_be_rehearsed_is_refused(mine):
    assert "no strategy: name one" in drill(mine, *OWN[:-2]).stderr
    strategy = mine / "user_data" / "strategies" / "mine.py"
    strategy.write_text(STRATEGY.replace("EmergencyCancelMixin, IStrategy", "IStrategy"))
    played = drill(mine, *OWN)
    assert played.returncode == 2
    assert "the strategy does not have it" in played.stderr


def test_the_copy_keeps_what_it_need_not_change(tmp_path):
    config = {
        "minimal_roi": {"0": 0.5},
        "exchange": {"name": "bitopromargin", "ccxt_config": {"timeout": 9000, "sandbox": True}},
        "unfilledtimeout": {"exit_timeout_count": 4},
        "bitopro_margin": {"deadline": 7, "heartbeat_file": "/elsewhere/beat"},
    }
    before = json.dumps(config)
    own = OwnBot(config, "Mine", (), ("BTC/USDT", "ETH/USDT"))
    path = own.write(tmp_path, rest_url="http://x/v3", key="k", secret="s", stake=10.0)
    copy = json.loads(path.read_text())
    assert json.dumps(config) == before
    assert copy["minimal_roi"] == {"0": 0.5}
    assert copy["unfilledtimeout"]["exit_timeout_count"] == 4
    assert copy["exchange"]["ccxt_config"]["timeout"] == 9000
    assert copy["exchange"]["ccxt_config"]["urls"] == {"api": {"rest": "http://x/v3"}}
    assert "sandbox" not in copy["exchange"]["ccxt_config"]
    assert copy["bitopro_margin"]["deadline"] == 7
    assert copy["bitopro_margin"]["heartbeat_file"] == str(tmp_path / "heartbeat")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_table_is_whole_at_any_width(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    row = Row(
        "SL-5000002622",
        "ETH/USDT",
        "sell stop",
        "bot",
        "canceled (filled 0.20001234 of 0.33335678)",
        "canceled (filled 0.20001234)",
        "emergency: cancelled by bitopro_margin_ext, partially filled",
        True,
    )
    _print_verdict(Verdict("stop-rejected", "all", rows=[row, row], position_closed=True))
    out = capsys.readouterr().out
    words = set(out.replace("(", " ").replace(")", " ").split())
    assert {"SL-5000002622", "ETH/USDT", "0.20001234", "0.33335678", "partially"} <= words
    assert all(len(line) <= width for line in out.splitlines()[:-1])
