"""A server that demands rising nonces: every call of every thread and class gets through."""

import asyncio
import base64
import http.server
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import ccxt
import ccxt.async_support
import pytest

from bitopro_margin_ext.core.client import MarginClient
from bitopro_margin_ext.core.credentials import Credentials
from bitopro_margin_ext.core.endpoints import OPEN_ORDERS
from bitopro_margin_ext.core.errors import Failure
from bitopro_margin_ext.registration import register

register()
SECRET = "order-secret"
BODY = b'{"data": []}'
PROCESS = """
import sys
from bitopro_margin_ext.core.client import MarginClient
from bitopro_margin_ext.core.credentials import Credentials
from bitopro_margin_ext.core.endpoints import OPEN_ORDERS
from bitopro_margin_ext.core.errors import Failure
client = MarginClient(Credentials(sys.argv[2], "order-secret"), sys.argv[1])
answers = [client.call(OPEN_ORDERS, {}, 10.0) for _ in range(30)]
print([str(answer) for answer in answers if isinstance(answer, Failure)])
assert client.clock_offset_ms == 0
"""


class Strict(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        payload = json.loads(base64.b64decode(self.headers["X-BITOPRO-PAYLOAD"]))
        with self.server.lock:
            rises = payload["nonce"] > self.server.last
            self.server.last = max(self.server.last, payload["nonce"])
            self.server.seen.append(rises)
        time.sleep(0.002)
        body = BODY if rises else b'{"error": "Invalid nonce"}'
        head = f"HTTP/1.1 {200 if rises else 409} X\r\nDate: {self.date_time_string()}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strict)
    made.lock, made.last, made.seen = threading.Lock(), 0, []
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def url(server):
    return f"http://127.0.0.1:{server.server_port}/v3"


@pytest.fixture
def key(request):
    return f"key-of-{request.node.name}"


def settings(url, key):
    return {"apiKey": key, "secret": SECRET, "rateLimit": 1, "urls": {"api": {"rest": url}}}


def test_eight_threads_on_one_object(server, url, key):
    api = ccxt.bitopromargin(settings(url, key))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: api.fetch_open_orders(), range(100)))
    assert found == [[]] * 100
    assert server.seen.count(True) == 100
    assert api.options["clockOffset"] == 0


def test_a_hundred_awaited_at_once(server, url, key):
    async def play():
        api = ccxt.async_support.bitopromargin(settings(url, key))
        try:
            return await asyncio.gather(*(api.fetch_open_orders() for _ in range(100)))
        finally:
            await api.close()

    assert len(asyncio.run(play())) == 100
    assert server.seen.count(True) == 100


def test_threads_of_several_classes_with_one_key(server, url, key):
    client = MarginClient(Credentials(key, SECRET), url)
    objects = [ccxt.bitopromargin(settings(url, key)) for _ in range(2)]

    def one(number):
        if number % 3:
            return objects[number % 2].fetch_open_orders()
        return client.call(OPEN_ORDERS, {}, 10.0)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(60)))
    assert not [answer for answer in found if isinstance(answer, Failure)]


def test_three_processes_with_one_key(server, url, key):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, url, key],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    for process in running:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert "clock" not in said
        # What did not get through says why.
        failures = eval(said)
        assert all("another process uses this API key" in one for one in failures)
