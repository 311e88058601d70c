"""Calls of one ``Gather`` are on their way at the same time, whoever performs it."""

import asyncio
import http.server
import threading
from collections.abc import Iterator

import ccxt.async_support
import pytest

from bitopro_margin_ext.core.calls import Call, Flow, Gather
from bitopro_margin_ext.core.client import MarginClient
from bitopro_margin_ext.core.credentials import Credentials
from bitopro_margin_ext.core.endpoints import BALANCES, MARK_PRICE, OPEN_ORDERS
from bitopro_margin_ext.core.errors import Failure, Outcome
from bitopro_margin_ext.core.report import CancelReport
from bitopro_margin_ext.exchange import register
from tests.exchange.drivers import KEYS, Blocking

register()

CALLS = (Call(OPEN_ORDERS, {}, 5.0), Call(BALANCES, {}, 5.0), Call(MARK_PRICE, {}, 5.0))


class Meeting(http.server.ThreadingHTTPServer):
    """Answers a call only when so many have arrived; else with 503."""

    daemon_threads = True

    def __init__(self) -> None:
        self.barrier = threading.Barrier(len(CALLS), timeout=3)
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v3"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Meeting

    def do_GET(self) -> None:
        try:
            self.server.barrier.wait()
        except threading.BrokenBarrierError:
            self.send_response(503)
        else:
            self.send_response(200 if "mark" not in self.path else 401)
        key = "error" if "mark" in self.path else "path"
        body = f'{{"{key}": "{self.path}"}}'.encode()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Meeting]:
    made = Meeting()
    yield made
    made.shutdown()
    made.server_close()


def check(answers: object) -> None:
    """In the order of the calls; what fails is a ``Failure`` in its place, and nothing else."""
    assert isinstance(answers, list)
    first, second, third = answers
    assert first["path"].startswith("/v3/margin/orders/")
    assert second["path"] == "/v3/margin/balances"
    assert isinstance(third, Failure)
    assert third.outcome is Outcome.REFUSED


def test_the_kill_switchs_client(server: Meeting) -> None:
    found: list[object] = []

    def flow() -> Flow[CancelReport]:
        found.append((yield Gather(CALLS)))
        return report

    report = CancelReport("all")
    assert MarginClient(Credentials("key", "secret"), server.rest_url).run(flow(), report) is report
    check(found[0])


def test_the_blocking_class(server: Meeting) -> None:
    check(Blocking(server.rest_url).exchange.perform(Gather(CALLS)))


def test_the_asynchronous_class(server: Meeting) -> None:
    async def run() -> object:
        config = {**KEYS, "urls": {"api": {"rest": server.rest_url}}, "rateLimit": 1}
        async with ccxt.async_support.bitopromargin(config) as api:
            api.timeout_on_exit = 0
            return await api.perform(Gather(CALLS))

    check(asyncio.run(run()))
