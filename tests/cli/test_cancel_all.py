"""The kill switch, as a process: what it cancels, what it prints, what it refuses."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import SECRET, Runner, methods, open_ids

DOCUMENTED = {
    "scope",
    "outcome",
    "cancelled",
    "still_open",
    "unknown",
    "requests",
    "elapsed_ms",
}


def test_everything_is_cancelled_in_two_requests(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    done = run("cancel-all", "--base-url", sandbox.rest_url)
    assert done.code == 0
    first = done.out.splitlines()[0]
    assert "sandbox@example.com" in first
    assert sandbox.rest_url in first
    assert "CONFIRMED: 3 cancelled" in done.out
    assert open_ids(sandbox) == []
    assert methods(sandbox) == ["DELETE", "GET"]


def test_the_document_is_alone_on_standard_output(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    done = run("cancel-all", "--json", "--base-url", sandbox.rest_url)
    document = json.loads(done.out)
    assert document.keys() >= DOCUMENTED
    assert document["outcome"] == "confirmed"
    assert document["scope"] == "all"
    assert {(order["id"], order["symbol"]) for order in document["cancelled"]} == {
        (seeded[0], "BTC/USDT"),
        (seeded[1], "BTC/USDT"),
        (seeded[2], "ETH/USDT"),
    }
    assert document["still_open"] == document["unknown"] == []
    assert "sandbox@example.com" in done.err.splitlines()[0]


def test_one_pair_leaves_the_others(sandbox: SandboxServer, seeded: list[str], run: Runner) -> None:
    done = run("cancel-all", "--pair", "BTC/USDT", "--base-url", sandbox.rest_url)
    assert done.code == 0
    assert open_ids(sandbox) == [seeded[2]]


def test_a_dry_run_sends_no_write(sandbox: SandboxServer, seeded: list[str], run: Runner) -> None:
    done = run("cancel-all", "--dry-run", "--json", "--base-url", sandbox.rest_url)
    assert done.code == 1
    document = json.loads(done.out)
    assert document["outcome"] == "remaining"
    assert sorted(order["id"] for order in document["still_open"]) == sorted(seeded)
    assert set(methods(sandbox)) == {"GET"}
    assert len(open_ids(sandbox)) == 3


def test_a_dry_run_of_nothing_is_confirmed(sandbox: SandboxServer, run: Runner) -> None:
    done = run("cancel-all", "--dry-run", "--base-url", sandbox.rest_url)
    assert done.code == 0
    assert "no margin order is open" in done.out


@pytest.mark.parametrize("bad", ["", "all", "btcusdt", "*", "BTC/USDT/X", "BTC/USDT,ETH/USDT"])
def test_what_is_no_pair_is_a_usage_error(
    bad: str, sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    done = run("cancel-all", "--pair", bad, "--base-url", sandbox.rest_url)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "is not a pair" in done.err
    assert sandbox.control.requests() == []


def test_a_pair_that_the_exchange_does_not_know(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    for more in ([], ["--dry-run"]):
        done = run("cancel-all", "--pair", "FOO/USDT", "--base-url", sandbox.rest_url, *more)
        assert done.code == 2
        assert "does not know the pair FOO/USDT" in done.out
        assert len(open_ids(sandbox)) == 3


def test_nothing_heavy_is_imported(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    script = (
        "import json, sys\n"
        "from bitopro_margin_ext.cli import main\n"
        f"code = main(['cancel-all', '--json', '--base-url', {sandbox.rest_url!r}])\n"
        "print(json.dumps([code, sorted(sys.modules)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    heavy = {"ccxt", "freqtrade", "pandas", "rich", "asyncio", "aiohttp", "dataclasses", "keyring"}
    assert not heavy & set(modules)


def test_an_unknown_option_is_named_without_its_value(run: Runner) -> None:
    done = run("cancel-all", "--secret", SECRET)
    assert done.code == 2
    assert done.err.strip() == (
        "bitopro-margin cancel-all: unknown option --secret (see bitopro-margin cancel-all --help)"
    )


def test_no_key_says_where_one_may_be(run: Runner, environment: dict[str, str]) -> None:
    bare = {name: value for name, value in environment.items() if not name.startswith("BITOPRO")}
    done = run("cancel-all", env=bare)
    assert done.code == 2
    assert "BITOPRO_API_KEY" in done.err
    assert len(done.err.splitlines()) == 1


def test_half_of_a_pair_is_named(run: Runner, environment: dict[str, str]) -> None:
    done = run("cancel-all", env={**environment, "BITOPRO_API_SECRET": ""})
    assert done.code == 2
    assert "BITOPRO_API_SECRET is missing" in done.err


def test_a_flood_of_others_is_absorbed(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    codes: list[int] = []

    def once() -> None:
        codes.append(run("cancel-all", "--base-url", sandbox.rest_url).code)

    threads = [threading.Thread(target=once) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0, 0]
    assert open_ids(sandbox) == []
