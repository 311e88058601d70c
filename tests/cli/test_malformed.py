"""What no command may stumble at: malformed configs, files that are none, odd options."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bitopro_margin_ext.cli.init import STRATEGY, _template, build_config
from bitopro_margin_ext.core.credentials import CredentialError, find_base_url
from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import Runner, methods

COMMANDS = ("cancel-all", "orders", "account", "guard")


@pytest.fixture
def write(tmp_path: Path, sandbox: SandboxServer) -> Callable[..., str]:
    """Write a config that means the sandbox, with changes, and return its name."""

    def write_config(change: Callable[[dict[str, Any]], Any] = lambda config: None) -> str:
        config = json.loads(build_config())
        config["exchange"] |= {"key": "k" * 20, "secret": "s" * 20}
        config["exchange"]["ccxt_config"] = {"urls": {"api": {"rest": sandbox.rest_url}}}
        change(config)
        strategies = tmp_path / "user_data" / "strategies"
        strategies.mkdir(parents=True)
        (strategies / STRATEGY).write_text(_template(f"{STRATEGY}.txt"))
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return str(path)

    return write_config


def test_no_address_is_taken_for_another() -> None:
    live = "https://api.bitopro.com/v3"
    assert find_base_url({}, {}) == live
    assert find_base_url({"exchange": {"ccxt_config": {"urls": {"api": {}}}}}, {}) == live
    for exchange in (
        [],
        "bitopromargin",
        {"ccxt_config": "sandbox"},
        {"ccxt_config": ["sandbox"]},
        {"ccxt_sync_config": 5},
        {"ccxt_config": {"urls": "http://127.0.0.1:8650/v3"}},
        {"ccxt_config": {"urls": {"api": "http://127.0.0.1:8650/v3"}}},
        {"ccxt_config": {"urls": {"api": {"rest": ""}}}},
        {"ccxt_config": {"urls": {"api": {"rest": None}}}},
        {"ccxt_config": {"urls": {"api": {"rest": 8650}}}},
        {"ccxt_config": {"sandbox": True, "urls": {"test": "http://127.0.0.1:8650/v3"}}},
    ):
        with pytest.raises(CredentialError):
            find_base_url({"exchange": exchange}, {})


@pytest.mark.parametrize("name", COMMANDS)
def test_a_malformed_address_ends_a_command_before_it_calls(
    name: str, write: Callable[..., str], sandbox: SandboxServer, run_here: Runner
) -> None:
    config = write(
        lambda c: c["exchange"].update({"ccxt_config": {"urls": {"api": sandbox.rest_url}}})
    )
    done = run_here(name, "-c", config)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "exchange.ccxt_config.urls.api in the config must be an object" in done.err
    assert methods(sandbox) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not JSON"),
        (b"[]", "it holds no object"),
        (b"5", "it holds no object"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"\xff\xfe{", "UTF-8"),
        (b'{"a": 1', "is not JSON"),
        (b'{"add_config_files": "other.json"}', "must be a list of files"),
        (b'{"add_config_files": [""]}', "is empty"),
        (b'{"add_config_files": [5]}', "is empty, or no text"),
        (b'{"add_config_files": ["missing.json"]}', "missing.json cannot be read"),
        (b'{"add_config_files": ["."]}', "cannot be read: Is a directory"),
    ],
)
@pytest.mark.parametrize("name", ["cancel-all", "doctor", "drill"])
def test_a_file_that_is_no_config_is_named(
    name: str, content: bytes, said: str, run_here: Runner, tmp_path: Path
) -> None:
    path = tmp_path / "own.json"
    path.write_bytes(content)
    path.chmod(0o600)
    done = run_here(name, "-c", str(path))
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("file", ["", "missing.json", "."])
@pytest.mark.parametrize("name", [*COMMANDS, "doctor", "drill"])
def test_a_config_that_is_not_there_is_named(name: str, file: str, run_here: Runner) -> None:
    done = run_here(name, "-c", file)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "cannot be read" in done.err or "is empty" in done.err


SECTIONS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda c: c.update(exchange=None), "exchange"),
    (lambda c: c.pop("exchange"), "exchange"),
    (lambda c: c["exchange"].update(ccxt_config="sandbox"), "exchange.ccxt_config"),
    (lambda c: c.update(order_types="market"), "order_types"),
    (lambda c: c.update(unfilledtimeout=5), "unfilledtimeout"),
    (lambda c: c.update(entry_pricing=["same"]), "entry_pricing"),
    (lambda c: c.update(log_config="log"), "log_config"),
    (lambda c: c.update(bitopro_margin=[]), "bitopro_margin"),
    (lambda c: c["exchange"].update(pair_whitelist="BTC/USDT"), "exchange.pair_whitelist"),
    (lambda c: c["unfilledtimeout"].update(exit="soon"), "unfilledtimeout.exit"),
    (lambda c: c.update(pairlists=[]), "none"),
]


@pytest.mark.parametrize(("change", "subject"), SECTIONS)
def test_doctor_names_a_section_of_the_wrong_shape(
    change: Callable[[dict[str, Any]], Any],
    subject: str,
    write: Callable[..., str],
    run_here: Runner,
) -> None:
    done = run_here("doctor", "--offline", "-c", write(change))
    assert done.code == 1, done.out + done.err
    problems = [line for line in done.out.splitlines() if line.startswith("FAIL")]
    assert any(subject in line for line in problems), problems


def test_doctor_says_why_a_strategys_file_cannot_be_imported(
    write: Callable[..., str], run_here: Runner, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "own.py").write_text(
        "from freqtrade.strategy import IStrategy\nimport no_such_package\n"
        "class Own(IStrategy): pass\n"
    )
    done = run_here(
        "doctor", "--offline", "-c", write(), "-s", "Own", "--strategy-path", str(folder)
    )
    assert done.code == 1
    assert "No module named 'no_such_package'" in done.out


def test_doctor_tells_an_exchange_out_of_reach_once(
    write: Callable[..., str], run_here: Runner
) -> None:
    config = write(
        lambda c: c["exchange"]["ccxt_config"].update(
            urls={"api": {"rest": "http://127.0.0.1:1/v3"}}
        )
    )
    done = run_here("doctor", "-c", config)
    problems = [line for line in done.out.splitlines() if line.startswith("FAIL")]
    assert len(problems) == 1
    assert problems[0].startswith("FAIL  host: http://127.0.0.1:1/v3: connection failed")


@pytest.mark.parametrize(
    "arguments",
    [
        ("doctor", "-s", ""),
        ("doctor", "-s", "my strategy"),
        ("doctor", "--strategy-path", "nowhere"),
        ("drill", "-s", ""),
        ("drill", "--strategy-path", "nowhere"),
        ("drill", "--deadline", "nan"),
        ("sandbox", "--latency-ms", "-1"),
        ("sandbox", "--latency-ms", "nan"),
        ("sandbox", "--latency-ms", "soon"),
        ("sandbox", "--port", "99999"),
        ("sandbox", "--host", "0.0.0.0"),
        ("cancel-all", "--pair", ""),
        ("cancel-all", "--pair", "比特幣/USDT:USDT"),
        ("cancel-all", "--deadline", "0"),
        ("orders", "--pair", "*/USDT"),
        ("docs", "../README"),
        ("docs", ""),
        ("plot", "--days", "-1"),
        ("plot", "-o", ""),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_one_line(
    arguments: tuple[str, ...], run_here: Runner
) -> None:
    done = run_here(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
