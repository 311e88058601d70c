"""The server as a thing: starting, stopping, the command line, the fixture, its independence."""

import argparse
import ast
import contextlib
import inspect
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

import bitopro_margin_ext.sandbox as package
from bitopro_margin_ext.cli import main
from bitopro_margin_ext.cli import sandbox as command
from bitopro_margin_ext.sandbox import SandboxControl, SandboxServer
from bitopro_margin_ext.sandbox.control_api import CONTROLS
from bitopro_margin_ext.sandbox.control_client import ControlError
from bitopro_margin_ext.sandbox.faults import KINDS
from bitopro_margin_ext.sandbox.state import Switches
from tests.stateful.world import World


def test_it_starts_and_stops_quickly():
    began = time.monotonic()
    with SandboxServer() as server:
        assert requests.get(server.rest_url + "/tickers", timeout=2).status_code == 200
        assert time.monotonic() - began < 2  # it takes 0.1; a busy machine may take longer
    assert time.monotonic() - began < 4
    with pytest.raises(requests.ConnectionError):
        requests.get(server.rest_url + "/tickers", timeout=2)


def test_addresses():
    with SandboxServer() as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert server.rest_url == server.url + "/v3"
        assert server.ws_url == f"ws://127.0.0.1:{server.port}/ws/v1/pub"
        assert SandboxControl(server.url).state()["orders"] == []


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com"])
def test_only_the_loopback_unless_asked(host):
    with pytest.raises(ValueError, match="not a loopback"):
        SandboxServer(host)


def test_latency_is_a_round_trip():
    with SandboxServer(latency_ms=100) as server:
        began = time.monotonic()
        requests.get(server.rest_url + "/tickers", timeout=2)
        assert 0.1 <= time.monotonic() - began < 0.3


def test_it_does_not_wait_for_delayed_acknowledgements(sandbox, trader):
    began = time.monotonic()
    for _ in range(20):
        trader.get("/tickers")
    assert (time.monotonic() - began) / 20 < 0.02


def test_stopping_cuts_what_hangs():
    server = SandboxServer().start()
    server.control.add_fault("delay", path="/tickers", seconds=30)

    def ask():
        with contextlib.suppress(requests.RequestException):
            requests.get(server.rest_url + "/tickers", timeout=20)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.2)
    began = time.monotonic()
    server.stop()
    thread.join(5)
    assert time.monotonic() - began < 5
    assert not thread.is_alive()


def test_the_command_runs_and_ends_on_interrupt():
    arguments = [
        sys.executable,
        "-m",
        "bitopro_margin_ext",
        "sandbox",
        "--port",
        "0",
        "--latency-ms",
        "1",
    ]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("sandbox ready: rest=http://127.0.0.1:")
        assert line.rstrip().endswith("key=sandbox-key secret=sandbox-secret")
        fields = dict(part.split("=", 1) for part in line.split()[2:])
        assert set(fields) == {"rest", "ws", "control", "key", "secret"}
        assert requests.get(fields["rest"] + "/tickers", timeout=2).status_code == 200
        assert requests.get(fields["control"] + "/state", timeout=2).status_code == 200
        page = fields["control"].removesuffix("_sandbox")
        assert process.stdout.readline().split()[6] == page
        assert "<title>BitoPro sandbox</title>" in requests.get(page, timeout=2).text
        process.send_signal(2)
        assert process.wait(5) == 0


def run_command(capsys, *arguments):
    return main(["sandbox", *arguments]), capsys.readouterr()


def test_a_busy_port_is_one_line_and_2(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, output = run_command(capsys, "--port", port)
    assert (code, output.out, output.err.count("\n")) == (2, "", 1)
    assert port in output.err


def test_a_foreign_host_is_one_line_and_2(capsys):
    code, output = run_command(capsys, "--host", "0.0.0.0")
    assert (code, output.out, output.err.count("\n")) == (2, "", 1)
    assert "--allow-remote" in output.err


def test_a_missing_framework_is_one_line_and_2(capsys, monkeypatch):
    for name in list(sys.modules):
        if name.startswith("bitopro_margin_ext.sandbox.server"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, output = run_command(capsys)
    assert (code, output.out, output.err.count("\n")) == (2, "", 1)
    assert "pip install 'bitopro-margin-ext[sandbox]'" in output.err


def test_help_is_made_from_the_declarations():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    text = parser.format_help()
    for control in CONTROLS:
        fields = [name for name in control.model_fields if f"{{{name}}}" not in control.route]
        # Its fields go on below where they do not fit on its line.
        entry = rf"^  {re.escape(control.route)}(?= |\n)((?:.*,\n)*.*)$"
        (shown,) = re.findall(entry, text, re.MULTILINE)
        if control.route != "POST /switches":
            assert all(name in shown for name in fields), shown
    for name in (*KINDS, *Switches.model_fields):
        assert f"\n  {name}" in text, name
    assert max(len(line) for line in text.splitlines()) < 120


def test_the_client_has_every_control():
    """Whatever the routes take, a method of the client sends."""
    source = inspect.getsource(SandboxControl)
    calls = re.findall(r'_(post|call)\(\s*(?:"(\w+)", )?f?"(/[^"?]*)', source)
    sent = {f"{method or 'POST'} {path}" for _, method, path in calls}
    assert sent == {control.route for control in CONTROLS}


def test_the_fixture_starts_afresh_each_time(sandbox, control):
    assert control.state()["orders"] == []
    assert control.requests() == []
    control.seed_order("btc_usdt", "BUY", "1", "1")
    control.add_fault("close")
    sandbox.reset()
    assert (control.state()["orders"], control.faults()) == ([], [])


def test_control_mistakes_are_told(control):
    for mistake in (
        lambda: control.seed_order("btc_usdt", "HOLD", "1", "1"),
        lambda: control.seed_order("btc_usdt", "BUY", "many", "1"),
        lambda: control.seed_order("btc_usdt", "BUY", "1", "1", colour="red"),
        lambda: control.switches(nonsense=True),
        lambda: control.switches(matching="maybe"),
        lambda: control.set_price("xxx_yyy", "1"),
        lambda: control.set_price("btc_usdt", "-1"),
        lambda: control.fill("12345"),
        lambda: control.change_key("nobody", revoked=True),
        lambda: control.advance(-1),
        lambda: control.order("12345"),
    ):
        with pytest.raises(ControlError):
            mistake()


def test_truth_can_be_driven_in_process(sandbox, trader):
    exchange = sandbox.exchange
    order_id = trader.placed(amount="0.1")
    order = exchange.order(order_id)
    exchange.fill(order, fraction=order.original / order.original / 2)
    assert trader.fetch(order_id)["status"] == 1
    exchange.cancel("margin", "btc_usdt", order_id)
    assert trader.fetch(order_id)["status"] == 3


def test_it_shares_nothing_with_the_client():
    """An independent witness: no import from the package but the sandbox's own."""
    root = Path(package.__file__).parent
    for path in root.rglob("*.py"):
        home = [package.__name__, *path.relative_to(root).parent.parts]
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level:
                names = [".".join(home[: len(home) + 1 - node.level])]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert not name.startswith("ccxt"), path
                assert name.startswith(package.__name__) or not name.startswith(
                    "bitopro_margin_ext"
                ), path


def test_importing_the_plugin_is_cheap():
    code = (
        "import sys, bitopro_margin_ext.sandbox.pytest_plugin;"
        "print([m for m in ('fastapi', 'uvicorn', 'requests', 'ccxt') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_server_ends_at_once_where_a_test_has_moved_its_clock():
    """Its sleep was planned on the one clock, and is measured by the other."""
    with SandboxServer() as server:
        real_sleep = time.sleep
        with World():
            real_sleep(0.3)
        began = time.monotonic()
        server.stop()
    assert time.monotonic() - began < 4
