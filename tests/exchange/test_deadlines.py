"""Inside a deadline every call ends in time, against servers that hang, drip or cannot be found."""

import asyncio
import contextlib
import gc
import socket
import threading
import time

import aiohttp
import ccxt
import pytest

from bitopro_margin_ext.core.errors import Outcome
from bitopro_margin_ext.core.report import SweepOutcome
from bitopro_margin_ext.exchange import call_scope
from bitopro_margin_ext.exchange.flow import failure_of
from bitopro_margin_ext.exchange.order_cancellation import clamp_to_deadline
from tests.exchange.conftest import EVERY_DRIVER, seed
from tests.exchange.drivers import Blocking

BTC = "BTC/USDT"
SLACK = 1.5
"""Seconds that a busy machine may add; without the deadline each call here takes ten or more."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"


class RawServer:
    """Accepts, reads, and then does only what ``behave`` says."""

    def __init__(self, behave):
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._done = threading.Event()
        self.accepted = 0
        self.rest_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v3"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            connection.recv(65536)
            self._behave(connection, self._done)

    def close(self):
        self._done.set()
        self._listener.close()


def hang(connection, done):
    done.wait(30)


def drip(connection, done):
    connection.sendall(HEAD)
    while not done.wait(0.3):
        connection.sendall(b" ")


def drip_headers(connection, done):
    for byte in HEAD:
        if done.wait(0.3):
            return
        connection.sendall(bytes([byte]))


@pytest.fixture(params=[hang, drip, drip_headers], ids=lambda behave: behave.__name__)
def server(request):
    found = RawServer(request.param)
    yield found
    found.close()


@pytest.fixture
def hanging():
    found = RawServer(hang)
    yield found
    found.close()


def in_time(seconds, call):
    began = time.monotonic()
    with call_scope.deadline(seconds):
        try:
            return call()
        finally:
            assert time.monotonic() - began < seconds + SLACK


CALLS = [
    ("cancel_all_orders", ()),
    ("cancel_order", ("1", BTC)),
    ("fetch_open_orders", ()),
    ("fetch_balance", ()),
    ("load_markets", ()),
    ("fetch_balance", ({"type": "spot"},)),
]


@pytest.mark.parametrize(("method", "args"), CALLS)
def test_no_call_outlasts_the_deadline(connect, server, method, args):
    api = connect(server.rest_url)
    with pytest.raises(ccxt.RequestTimeout) as caught:
        in_time(0.4, lambda: api(method, *args))
    assert failure_of(caught.value).outcome is Outcome.UNKNOWN
    assert server.accepted >= 1


def test_a_name_that_does_not_resolve_in_time(connect, monkeypatch):
    stop = threading.Event()

    def slow(*args, **kwargs):
        stop.wait(20)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    # Where aiodns is installed, aiohttp would ask that instead.
    monkeypatch.setattr("aiohttp.connector.DefaultResolver", aiohttp.ThreadedResolver)
    api = connect("http://no.such.host.invalid/v3")
    try:
        with pytest.raises(ccxt.RequestTimeout):
            in_time(0.4, lambda: api("fetch_balance"))
    finally:
        stop.set()


def test_an_order_is_not_looked_for_after_the_deadline(connect, sandbox, control):
    api = connect(sandbox.rest_url)
    api("load_markets")
    control.add_fault("delay", path="/margin/*", seconds=1.2, times=None)
    with pytest.raises(ccxt.NetworkError, match="the order may exist"):
        in_time(0.4, lambda: api("create_order", BTC, "limit", "buy", 0.001, 30000))
    time.sleep(1.3)
    assert len([line for line in control.requests() if line["method"] == "POST"]) == 1


def test_the_turn_that_a_call_waits_for_is_bounded_too(connect, sandbox, control):
    api = connect(sandbox.rest_url, rateLimit=60_000)
    api("fetch_balance")
    with pytest.raises(ccxt.RequestTimeout, match="not sent: its turn comes after") as caught:
        in_time(0.3, lambda: [api("fetch_balance") for _ in range(3)])
    assert failure_of(caught.value).outcome is Outcome.NOT_SENT
    sent = [line for line in control.requests() if line["path"].endswith("balances")]
    assert len(sent) <= 2


def test_the_slot_that_a_cancel_all_waits_for_is_bounded_too(connect, sandbox, control):
    api = connect(sandbox.rest_url)
    for _ in range(2):
        api("cancel_all_orders")
    with pytest.raises(ccxt.RequestTimeout, match="not sent"):
        in_time(0.3, lambda: api("cancel_all_orders"))
    assert len(control.requests()) == 2


def test_nothing_is_sent_once_the_time_has_passed(api, control):
    with call_scope.deadline(0.001):
        time.sleep(0.01)
        with pytest.raises(ccxt.RequestTimeout, match="not sent"):
            api("fetch_balance")
    assert control.requests() == []


def test_an_object_is_of_use_after_a_call_was_abandoned(api, control):
    ids = seed(control, 2)
    for _ in range(12):
        # More than the connections that a pool keeps.
        control.add_fault("delay", path="/margin/balances", seconds=1.5)
        with pytest.raises(ccxt.RequestTimeout):
            in_time(0.05, lambda: api("fetch_balance"))
    control.clear_faults()
    assert api("fetch_balance")["USDT"]["total"] > 0
    in_time(5, lambda: api("fetch_balance"))
    assert {order["id"] for order in api("cancel_all_orders")} == set(ids)


def test_the_nearest_of_several_deadlines_holds():
    with call_scope.deadline(100), call_scope.deadline(1), call_scope.deadline(50):
        assert call_scope.remaining() <= 1
        assert clamp_to_deadline(30) <= 1
        assert clamp_to_deadline(0.1) == 0.1
    assert call_scope.remaining() is None
    assert clamp_to_deadline(30) == 30


def test_a_deadline_is_not_another_threads():
    seen = []
    with call_scope.deadline(1):
        thread = threading.Thread(target=lambda: seen.append(call_scope.remaining()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_a_deadline_is_not_another_tasks():
    async def bounded():
        with call_scope.deadline(1):
            await asyncio.sleep(0.02)

    async def play():
        task = asyncio.ensure_future(bounded())
        await asyncio.sleep(0.01)
        found = call_scope.remaining()
        await task
        return found

    assert asyncio.run(play()) is None


@pytest.mark.parametrize("driver", EVERY_DRIVER)
def test_a_sweep_against_a_server_that_hangs_ends_by_its_deadline(driver, hanging):
    api = EVERY_DRIVER[driver](hanging.rest_url)
    began = time.monotonic()
    report = api("cancel_and_confirm", None, [(BTC, "1")], 2.0)
    assert time.monotonic() - began < 2 + SLACK
    api.close()
    assert report.outcome is SweepOutcome.UNKNOWN
    assert report.in_doubt
    assert [order["id"] for order in report.unknown] == ["1"]
    assert report.requests == hanging.accepted >= 2


def test_an_interrupt_leaves_no_scope_behind(sandbox):
    exchange = Blocking(sandbox.rest_url).exchange

    def interrupt(step):
        raise KeyboardInterrupt

    exchange.perform = interrupt
    with call_scope.deadline(5), pytest.raises(KeyboardInterrupt) as kept:
        exchange.cancel_and_confirm(BTC, [], 4)
    assert call_scope.remaining() is None
    # What the traceback holds on to goes only now.
    del kept
    gc.collect()
    assert call_scope.remaining() is None
