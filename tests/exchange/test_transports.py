"""Every transport that ccxt may use is hardened: its own, one through a SOCKS proxy, the user's.

A signed request leaves once, for one place, without what ``~/.netrc`` says; its answer is bounded;
and a session of the user's stays as it was.
"""

import asyncio
import contextlib
import http.server
import os
import pathlib
import selectors
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import aiohttp
import ccxt
import ccxt.async_support
import ccxt.pro
import pytest
import requests

from bitopro_margin_ext.core.errors import Outcome
from bitopro_margin_ext.exchange import register
from bitopro_margin_ext.exchange.flow import failure_of
from tests.exchange.drivers import KEYS

register()

LONG = 9_000_000
PATH = "/v3/margin/orders/all"


class Server(http.server.ThreadingHTTPServer):
    """Does with a cancel-all what ``behaviour`` says, and keeps the headers of all that comes."""

    daemon_threads = True

    def __init__(self) -> None:
        self.behaviour = "fine"
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def sent(self, method: str) -> list[str]:
        return [path for verb, path, _ in self.requests if verb == method]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        behaviour = self.server.behaviour if self.command == "DELETE" else "fine"
        if behaviour == "drop":
            self.close_connection = True
            return
        body = b'{"data": {"BTC_USDT": ["1"]}}'
        if self.path == "/user":
            behaviour = "redirect"
        if behaviour == "long":
            body = b" " * LONG + body
        if behaviour == "redirect":
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
        else:
            self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            if behaviour != "drip":
                self.wfile.write(body)
                return
            for place in range(len(body)):
                self.wfile.write(body[place : place + 1])
                time.sleep(0.5)

    do_GET = do_DELETE = do_POST = do_PUT = answer  # noqa: N815 - http.server's names

    def log_message(self, *words: object) -> None:
        pass


class SocksServer:
    """Just enough of SOCKS 5 (RFC 1928): no authentication, CONNECT by address or name."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"socks5://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connected = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            _, count = client.recv(2)
            client.recv(count)
            client.sendall(b"\x05\x00")
            _, _, _, kind = client.recv(4)
            if kind == 1:
                host = socket.inet_ntoa(client.recv(4))
            else:
                host = client.recv(client.recv(1)[0]).decode()
            (port,) = struct.unpack("!H", client.recv(2))
            with socket.create_connection((host, port)) as target:
                self.connected += 1
                client.sendall(b"\x05\x00\x00\x01" + bytes(6))
                _pass_on(client, target)

    def close(self) -> None:
        self._listener.close()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        ends = time.monotonic() + 30
        while time.monotonic() < ends:
            for key, _ in selector.select(1):
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not data:
                    return
                key.data.sendall(data)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def socks() -> Iterator[SocksServer]:
    made = SocksServer()
    yield made
    made.close()


TRANSPORTS = ("own", "socks", "user's", "user's, trusting")


def play(
    kind: str,
    transport: str,
    server: Server,
    socks: SocksServer,
    calls: list[str],
    **options: object,
) -> object:
    """Make the calls with one object over one transport; the result of the last one, or raise."""
    config = {**KEYS, "urls": {"api": {"rest": f"{server.url}/v3"}}, "rateLimit": 1, **options}
    if transport == "socks":
        config["socksProxy"] = socks.url
    if kind == "sync":
        session = requests.Session()
        session.trust_env = transport == "user's, trusting"
        if transport.startswith("user's"):
            config["session"] = session
        api = ccxt.bitopromargin(config)
        results = [getattr(api, call)() for call in calls]
        return results[-1]

    async def run() -> object:
        made = dict(config)
        session = None
        if transport.startswith("user's"):
            session = aiohttp.ClientSession(trust_env=transport == "user's, trusting")
            made["session"] = session
        module = ccxt.async_support if kind == "async" else ccxt.pro
        api = module.bitopromargin(made)
        api.timeout_on_exit = 0
        try:
            results = [await getattr(api, call)() for call in calls]
            return results[-1]
        finally:
            await api.close()
            if session is not None:
                assert not session.closed
                await session.close()

    return asyncio.run(run())


every = pytest.mark.parametrize("transport", TRANSPORTS)
each = pytest.mark.parametrize("kind", ["sync", "async", "pro"])


@every
@each
def test_it_reaches_the_exchange(kind, transport, server, socks):
    (order,) = play(kind, transport, server, socks, ["cancel_all_orders"])
    assert order["id"] == "1"
    assert bool(socks.connected) is (transport == "socks")


@each
@pytest.mark.parametrize("proxy", ["absent", "refusing", "hanging up"])
def test_what_a_proxy_says_is_a_network_error(kind, proxy, server, socks):
    def serve(client: socket.socket) -> None:
        with client:
            client.recv(9)
            client.sendall(b"\x05\xff" if proxy == "refusing" else b"")

    socks._serve = serve  # type: ignore[method-assign]
    if proxy == "absent":
        with socket.create_server(("127.0.0.1", 0)) as gone:
            socks.url = f"socks5://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(ccxt.NetworkError) as raised:
        play(kind, "socks", server, socks, ["cancel_all_orders"])
    assert not server.requests
    assert raised.value.failure.outcome is Outcome.NOT_SENT


@every
@each
def test_a_redirect_is_not_followed(kind, transport, server, socks):
    server.behaviour = "redirect"
    with pytest.raises(ccxt.OperationFailed) as caught:
        play(kind, transport, server, socks, ["cancel_all_orders"])
    assert failure_of(caught.value).outcome is Outcome.UNKNOWN
    assert server.sent("DELETE") == [PATH]
    assert "/elsewhere" not in [path for _, path, _ in server.requests]


@every
@each
def test_a_dropped_cancel_is_not_sent_again(kind, transport, server, socks):
    server.behaviour = "drop"
    with pytest.raises(ccxt.NetworkError) as caught:
        # The first call leaves a connection that is kept.
        play(kind, transport, server, socks, ["privateGetMarginBalances", "cancel_all_orders"])
    assert failure_of(caught.value).outcome is Outcome.UNKNOWN
    assert server.sent("DELETE") == [PATH]


@every
@each
def test_what_netrc_says_is_not_sent(kind, transport, server, socks, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password hidden\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    play(kind, transport, server, socks, ["cancel_all_orders"])
    assert [name for _, _, headers in server.requests for name in headers].count(
        "Authorization"
    ) == 0


@every
@each
def test_an_answer_is_bounded(kind, transport, server, socks):
    server.behaviour = "long"
    with pytest.raises(ccxt.OperationFailed) as caught:
        play(kind, transport, server, socks, ["cancel_all_orders"])
    assert failure_of(caught.value).outcome is Outcome.UNKNOWN


@every
@each
def test_an_answer_that_comes_byte_by_byte_is_given_up(kind, transport, server, socks):
    """ccxt's blocking class counts its time-out from byte to byte."""
    server.behaviour = "drip"
    begun = time.monotonic()
    with pytest.raises(ccxt.RequestTimeout) as caught:
        play(kind, transport, server, socks, ["cancel_all_orders"], timeout=400)
    assert failure_of(caught.value).outcome is Outcome.UNKNOWN
    # All of it takes 14 seconds.
    assert time.monotonic() - begun < 10


@each
def test_what_could_not_connect_was_not_sent(kind, server, socks):
    server.shutdown()
    server.server_close()
    with pytest.raises(ccxt.NetworkError) as caught:
        play(kind, "own", server, socks, ["cancel_all_orders"])
    assert failure_of(caught.value).outcome is Outcome.NOT_SENT


def test_a_requests_session_stays_the_users(server):
    session = requests.Session()
    before = {**session.__dict__, "adapters": dict(session.adapters)}
    api = ccxt.bitopromargin(
        {**KEYS, "urls": {"api": {"rest": f"{server.url}/v3"}}, "session": session}
    )
    api.cancel_all_orders()
    assert {**session.__dict__, "adapters": dict(session.adapters)} == before
    assert type(session) is requests.Session
    assert session.get(f"{server.url}/user", timeout=5).url == f"{server.url}/elsewhere"


def test_an_aiohttp_session_stays_the_users(server):
    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            before = dict(session.__dict__)
            config = {**KEYS, "urls": {"api": {"rest": f"{server.url}/v3"}}, "session": session}
            api = ccxt.async_support.bitopromargin(config)
            api.timeout_on_exit = 0
            await api.cancel_all_orders()
            assert session.__dict__ == before
            await api.close()
            assert not session.closed
            async with session.get(f"{server.url}/user") as answer:
                assert str(answer.url) == f"{server.url}/elsewhere"

    asyncio.run(run())


def test_nothing_is_warned_of_in_development_mode(server):
    script = f"""
        import asyncio, aiohttp, requests, ccxt, ccxt.async_support, ccxt.pro
        from bitopro_margin_ext import register
        register()
        config = {{**{KEYS!r}, "urls": {{"api": {{"rest": "{server.url}/v3"}}}}}}
        with requests.Session() as session:
            ccxt.bitopromargin({{**config, "session": session}}).cancel_all_orders()
        own = ccxt.bitopromargin(config)
        own.cancel_all_orders()
        getattr(own, "session").close()

        async def run():
            for module in (ccxt.async_support, ccxt.pro):
                async with aiohttp.ClientSession() as session:
                    async with module.bitopromargin({{**config, "session": session}}) as api:
                        await api.cancel_all_orders()
                async with module.bitopromargin(config) as api:
                    await api.cancel_all_orders()

        asyncio.run(run())
    """
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    ours = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert not [line for line in ours if "aiohttp" in line or "session" in line.lower()], (
        done.stderr
    )
    assert not [line for line in ours if "bitopro_margin_ext" in line], done.stderr
    assert len(server.sent("DELETE")) == 6
