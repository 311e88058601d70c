"""The kill switch, as a process, against a sandbox that answers well or badly."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import KEY, SECRET, Runner, command

DOCUMENTED = {
    "scope",
    "outcome",
    "cancelled",
    "still_open",
    "unknown",
    "requests",
    "elapsed_ms",
}


def open_ids(sandbox: SandboxServer) -> list[str]:
    return sorted(order["id"] for order in sandbox.control.orders(kind="margin", only_open=True))


def methods(sandbox: SandboxServer) -> list[str]:
    return [line["method"] for line in sandbox.control.requests()]


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


def test_a_wrong_key_is_one_line_and_is_not_tried_again(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    done = run("cancel-all", "--base-url", sandbox.rest_url, BITOPRO_API_SECRET="another-secret")
    assert done.code == 2
    assert "another-secret" not in done.out + done.err
    assert "check the API key and secret" in done.out.splitlines()[-1]
    assert methods(sandbox) == ["DELETE", "GET"]


def test_a_revoked_permission_says_what_to_do(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.change_key(KEY, margin=False)
    done = run("cancel-all", "--base-url", sandbox.rest_url)
    assert done.code == 2
    assert "margin is not enabled for this key" in done.out.splitlines()[-1]
    assert len(open_ids(sandbox)) == 3


def test_an_unreachable_host_is_unknown(run: Runner) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v3"
        done = run("cancel-all", "--deadline", "2", "--base-url", url)
    assert done.code == 3
    assert "check the network and the address" in done.out.splitlines()[-1]
    assert "trying again" in done.err


@pytest.mark.parametrize(
    "url",
    [
        "http://api.bitopro.com/v3",
        "http://127.0.0.1@evil.example/v3",
        "http://localhost.evil.example/v3",
        "http://127.0.0.1\\@evil.example/v3",
        "ftp://127.0.0.1/v3",
        "api.bitopro.com/v3",
        "https://api.bitopro.com/v3?x=1",
        "",
    ],
)
def test_a_signed_call_goes_to_https_or_the_loopback_only(url: str, run: Runner) -> None:
    done = run("cancel-all", "--base-url", url)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1


def test_orders_that_survive_are_cancelled_by_id(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.add_fault("cancel_some", method="DELETE", count=1)
    done = run("cancel-all", "--json", "--base-url", sandbox.rest_url)
    assert done.code == 0
    assert open_ids(sandbox) == []
    assert len(json.loads(done.out)["cancelled"]) == 3


def test_orders_that_remain_are_named(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    for method in ("DELETE", "PUT"):
        sandbox.control.add_fault("status", method=method, status=422, times=None)
    done = run("cancel-all", "--deadline", "2", "--base-url", sandbox.rest_url)
    assert done.code == 1
    assert "REMAINING: 3 orders are still open" in done.out.splitlines()[-1]
    assert all(order_id in done.out for order_id in seeded)


def test_a_list_that_cannot_be_read_is_unknown(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.add_fault("status", method="GET", status=502, body="<html>", times=None)
    done = run("cancel-all", "--json", "--deadline", "2", "--base-url", sandbox.rest_url)
    assert done.code == 3
    document = json.loads(done.out)
    assert document["outcome"] == "unknown"
    # What the exchange said that it cancelled is said all the same.
    assert len(document["cancelled"]) == 3


def test_a_cancel_without_an_answer_is_in_doubt_and_then_confirmed(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.add_fault("process_close", method="DELETE")
    done = run("cancel-all", "--base-url", sandbox.rest_url)
    assert done.code == 0
    assert "a cancel got no answer" in done.out
    assert "CONFIRMED" in done.out
    assert open_ids(sandbox) == []


def test_an_answer_that_drips_does_not_outlast_the_deadline(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.add_fault("drip", seconds=0.5, times=None)
    started = time.monotonic()
    done = run("cancel-all", "--deadline", "3", "--base-url", sandbox.rest_url)
    assert time.monotonic() - started < 6
    assert done.code == 3


def test_a_clock_that_is_off_is_corrected_once(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    sandbox.control.skew(-3600)
    done = run("cancel-all", "--base-url", sandbox.rest_url)
    assert done.code == 0
    assert open_ids(sandbox) == []
    assert [line["status"] for line in sandbox.control.requests()] == [409, 200, 200]


def test_a_redirect_is_not_followed(sandbox: SandboxServer, seeded: list[str], run: Runner) -> None:
    other = {"Location": f"{sandbox.url}/elsewhere"}
    sandbox.control.add_fault("status", status=307, headers=other, times=None)
    done = run("cancel-all", "--deadline", "2", "--base-url", sandbox.rest_url)
    assert done.code == 3
    assert not [line for line in sandbox.control.requests() if "elsewhere" in line["path"]]


def test_a_plain_http_call_goes_round_the_proxy(
    sandbox: SandboxServer, seeded: list[str], run: Runner
) -> None:
    done = run("cancel-all", "--base-url", sandbox.rest_url, HTTP_PROXY="http://127.0.0.1:1")
    assert done.code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_says_what_is_known(
    number: signal.Signals,
    sandbox: SandboxServer,
    seeded: list[str],
    environment: dict[str, str],
) -> None:
    sandbox.control.add_fault("delay", method="GET", seconds=20, times=None)
    process = subprocess.Popen(
        command("cancel-all", "--json", "--deadline", "60", "--base-url", sandbox.rest_url),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while open_ids(sandbox) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    document = json.loads(out)
    assert document["interrupted"] is True
    assert document["outcome"] == "unknown"
    assert len(document["cancelled"]) == 3
    assert "INTERRUPTED" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 130, 3), ("\n", 130, 3)]
)
def test_a_terminal_is_asked_first(
    answer: str,
    code: int,
    left: int,
    sandbox: SandboxServer,
    seeded: list[str],
    environment: dict[str, str],
) -> None:
    primary, secondary = os.openpty()
    process = subprocess.Popen(
        command("cancel-all", "--base-url", sandbox.rest_url),
        env=environment,
        stdin=secondary,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(primary, answer.encode())
    out, err = process.communicate(timeout=30)
    os.close(primary)
    os.close(secondary)
    assert "[y/N]" in err
    assert process.returncode == code
    assert len(open_ids(sandbox)) == left
    assert out.splitlines()[0].startswith("BitoPro margin account")


def test_an_interrupt_at_the_question_sends_nothing(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str]
) -> None:
    primary, secondary = os.openpty()
    process = subprocess.Popen(
        command("cancel-all", "--base-url", sandbox.rest_url),
        env=environment,
        stdin=secondary,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    os.close(primary)
    os.close(secondary)
    assert process.returncode == 130
    assert b"nothing was sent" in err
    assert sandbox.control.requests() == []


def test_yes_asks_nothing_on_a_terminal(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str]
) -> None:
    primary, secondary = os.openpty()
    done = subprocess.run(
        command("cancel-all", "--yes", "--base-url", sandbox.rest_url),
        env=environment,
        stdin=secondary,
        capture_output=True,
        text=True,
        timeout=30,
    )
    os.close(primary)
    os.close(secondary)
    assert done.returncode == 0
    assert "[y/N]" not in done.stderr


def test_a_reader_that_has_gone_does_not_stop_it(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.Popen(
        command("cancel-all", "--base-url", sandbox.rest_url),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert err == ""
    assert open_ids(sandbox) == []


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
