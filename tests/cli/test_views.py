"""``orders`` and ``account``: what is shown is what the exchange said."""

import json
import os
import signal
import subprocess
import time

import pytest

from bitopro_margin_ext.cli.account import label_style
from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import EMAIL, KEY, Runner, command
from .test_guard import borrow_something


def test_orders_as_a_table(sandbox: SandboxServer, seeded: list[str], run: Runner) -> None:
    done = run("orders", "--base-url", sandbox.rest_url)
    assert done.code == 0
    assert EMAIL in done.out
    assert all(order_id in done.out for order_id in seeded)
    assert "21000" in done.out


def test_orders_as_a_document(sandbox: SandboxServer, seeded: list[str], run: Runner) -> None:
    done = run("orders", "--json", "--pair", "ETH/USDT", "--base-url", sandbox.rest_url)
    assert done.code == 0
    (order,) = json.loads(done.out)["orders"]
    assert (order["id"], order["side"], order["price"]) == (seeded[2], "sell", "9000")


def test_orders_that_cannot_be_listed(sandbox: SandboxServer, run: Runner) -> None:
    sandbox.control.add_fault("status", status=502, times=None)
    done = run("orders", "--json", "--deadline", "1", "--base-url", sandbox.rest_url)
    assert done.code == 3
    assert json.loads(done.out)["listed"] is False
    assert done.err


def test_the_account_with_its_debts(sandbox: SandboxServer, run: Runner) -> None:
    done = run("account", "--json", "--base-url", sandbox.rest_url)
    assert done.code == 0
    account = json.loads(done.out)
    assert account["adRatioLabel"] == "SAFETY_THRESHOLD"
    assert account["balances"]["USDT"].keys() == {
        "available",
        "inOrders",
        "total",
        "borrowed",
        "interest",
    }
    table = run("account", "--base-url", sandbox.rest_url)
    assert "adRatio" in table.out
    assert "SAFETY_THRESHOLD" in table.out
    assert account["balances"]["USDT"]["total"] in table.out


@pytest.mark.parametrize("name", ["orders", "account"])
def test_a_key_that_is_refused(name: str, sandbox: SandboxServer, run: Runner) -> None:
    sandbox.control.change_key(KEY, revoked=True)
    done = run(name, "--base-url", sandbox.rest_url)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1


def test_labels_have_colours() -> None:
    assert label_style("SAFETY_THRESHOLD") == "bold green"
    assert label_style("WARNING_THRESHOLD") == "bold yellow"
    # What no page names alarms.
    assert label_style("MARGIN_CALL_THRESHOLD") == label_style(None) == "bold red"


def test_a_live_view_renews_itself_and_survives_a_lost_reading(
    sandbox: SandboxServer, seeded: list[str], environment: dict[str, str]
) -> None:
    primary, secondary = os.openpty()
    process = subprocess.Popen(
        command("orders", "--watch", "0.3", "--deadline", "0.5", "--base-url", sandbox.rest_url),
        env={**environment, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=secondary,
        stderr=subprocess.PIPE,
    )
    os.close(secondary)
    seen = b""

    def wait_for(text: bytes) -> None:
        nonlocal seen
        deadline = time.monotonic() + 20
        while text not in seen:
            assert time.monotonic() < deadline, seen
            seen += os.read(primary, 65536)

    try:
        wait_for(seeded[0].encode())
        sandbox.control.add_fault("status", status=502, times=None)
        wait_for(b"could not be learnt")
        sandbox.control.clear_faults()
        sandbox.control.seed_order("btc_usdt", "BUY", "0.5", "12345")
        wait_for(b"12345")
    finally:
        process.send_signal(signal.SIGINT)
        try:
            while os.read(primary, 65536):
                pass
        except OSError:
            pass
        assert process.wait(10) == 130
        os.close(primary)
    assert b"Traceback" not in (process.stderr.read() if process.stderr else b"")


def test_a_watched_account_shows_the_trend_of_its_ratio(
    sandbox: SandboxServer, environment: dict[str, str]
) -> None:
    borrow_something(sandbox)
    primary, secondary = os.openpty()
    process = subprocess.Popen(
        command("account", "--watch", "0.2", "--base-url", sandbox.rest_url),
        env={**environment, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=secondary,
        stderr=subprocess.PIPE,
    )
    os.close(secondary)
    seen = ""
    deadline = time.monotonic() + 30
    try:
        for wanted in ("▁▁", "█"):
            while wanted not in seen:
                assert time.monotonic() < deadline, seen
                seen += os.read(primary, 65536).decode(errors="replace")
            sandbox.control.set_balances({"BTC": "1", "USDT": "10000"})
    finally:
        process.send_signal(signal.SIGINT)
        try:
            while os.read(primary, 65536):
                pass
        except OSError:
            pass
        process.wait(10)
        os.close(primary)
    assert "trend" in seen
