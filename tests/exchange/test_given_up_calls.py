"""A call that was given up is not sent: kill switch, ccxt, asynchronous ccxt."""

import asyncio
import contextlib
import socket
import threading
import time

import aiohttp
import ccxt
import ccxt.async_support
import pytest
import requests

from bitopro_margin_ext.core.client import MarginClient
from bitopro_margin_ext.core.credentials import Credentials
from bitopro_margin_ext.core.endpoints import CANCEL_ALL
from bitopro_margin_ext.core.errors import Failure, Outcome
from bitopro_margin_ext.core.rate_limit import RateLimits, limits_of
from bitopro_margin_ext.exchange import call_scope
from bitopro_margin_ext.exchange.flow import failure_of
from bitopro_margin_ext.registration import register
from tests.core import servers
from tests.core.servers import serving

SLACK = 0.4
register()
KEYS = {"apiKey": "given-up-key", "secret": "given-up-secret"}


def in_time(seconds):
    """What holds a driver to its deadline, once its object is made."""
    return contextlib.closing(_Stopwatch(seconds))


class _Stopwatch:
    def __init__(self, seconds):
        self.began, self.seconds = time.monotonic(), seconds

    def close(self):
        assert time.monotonic() - self.began < self.seconds + SLACK


def kill_switch(url, seconds, proxy=None):
    client = MarginClient(Credentials(KEYS["apiKey"], KEYS["secret"]), url)
    client.rate_limits = RateLimits()
    with in_time(seconds):
        return client.call(CANCEL_ALL, {}, seconds)


def make_ccxt(kind, url, proxy):
    api = kind({**KEYS, "verify": False, "urls": {"api": {"rest": url}}})
    if proxy:
        api.httpsProxy = proxy
    limits_of(url).clear()
    return api


def blocking(url, seconds, proxy=None, session=None):
    api = make_ccxt(ccxt.bitopromargin, url, proxy)
    if session is not None:
        api.session = session
    try:
        with in_time(seconds), call_scope.deadline(seconds):
            return api.cancel_all_orders()
    except ccxt.BaseError as error:
        return failure_of(error)


def users_session(url, seconds, proxy=None):
    mine = requests.Session()
    retry = requests.adapters.Retry(3, allowed_methods=None)
    mine.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
    return blocking(url, seconds, proxy, mine)


def asynchronous(url, seconds, proxy=None):
    async def play():
        api = make_ccxt(ccxt.async_support.bitopromargin, url, proxy)
        try:
            with in_time(seconds), call_scope.deadline(seconds):
                return await api.cancel_all_orders()
        except ccxt.BaseError as error:
            return failure_of(error)
        finally:
            await api.close()

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(play())
    finally:
        # Not `asyncio.run`: it would wait for the thread that resolves a name.
        loop.close()


DRIVERS = [kill_switch, blocking, users_session, asynchronous]


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.__name__)
def send(request, monkeypatch, tls):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls[0]))

    return request.param


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return servers.certificate(tmp_path_factory.mktemp("tls"))


@contextlib.contextmanager
def resolving(monkeypatch, seconds, *addresses):
    real, release = socket.getaddrinfo, threading.Event()

    def found(host, port, *more, **named):
        if host not in ("slow.test", b"slow.test"):
            return real(host, port, *more, **named)
        release.wait(seconds)
        row = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*row, (address, int(port))) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    # Where aiodns is installed, aiohttp would ask that instead.
    monkeypatch.setattr("aiohttp.connector.DefaultResolver", aiohttp.ThreadedResolver)
    try:
        yield
    finally:
        release.set()


def nothing_left_behind():
    ends = time.monotonic() + 1
    while any(thread.name.startswith("bitopro-margin") for thread in threading.enumerate()):
        assert time.monotonic() < ends, "a thread is left"
        time.sleep(0.02)


def test_a_late_name(send, monkeypatch):
    with serving(servers.well) as server:
        with resolving(monkeypatch, 20, "127.0.0.1"):
            answer = send(f"http://slow.test:{server.port}", 0.4)
            assert isinstance(answer, Failure)
        time.sleep(0.4)
        assert server.requests == []
        nothing_left_behind()


def test_a_silent_first_address_leaves_time(send, monkeypatch):
    kept, port = servers.silent_port()
    with serving(servers.well, address=("127.0.0.1", port)) as server:
        with resolving(monkeypatch, 0, "127.0.0.2", "127.0.0.1"):
            assert not isinstance(send(f"http://slow.test:{port}", 2.0), Failure)
        assert len(server.requests) == 1
    for one in kept:
        one.close()


def test_a_slow_handshake(send, tls):
    with serving(servers.over_tls(servers.well, *tls, wait=5)) as server:
        assert isinstance(send(f"https://127.0.0.1:{server.port}", 0.4), Failure)
        server.proceed.set()
        time.sleep(0.4)
        assert server.requests == []
        nothing_left_behind()
        assert not isinstance(send(f"https://127.0.0.1:{server.port}", 4.0), Failure)


def test_a_slow_proxy(send, tls, monkeypatch):
    with (
        serving(servers.over_tls(servers.well, *tls)) as server,
        serving(servers.proxy(lambda: server.port, wait=5)) as between,
    ):
        url = f"https://127.0.0.1:{server.port}"
        # The kill switch takes the proxy of the environment, ccxt the one of its options.
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        assert isinstance(send(url, 0.4, proxy=between.url), Failure)
        between.proceed.set()
        time.sleep(0.4)
        assert server.requests == []
        nothing_left_behind()


@pytest.mark.parametrize(
    "behave",
    [servers.hang, servers.drip, servers.drip_headers],
    ids=lambda one: one.__name__,
)
def test_a_slow_answer(send, behave):
    with serving(behave) as server:
        answer = send(server.url, 0.4)
        assert isinstance(answer, Failure)
        assert answer.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 1
        nothing_left_behind()


@pytest.mark.parametrize(
    "behave",
    [servers.long_answer, servers.gzip_bomb, servers.deep_json],
    ids=lambda one: one.__name__,
)
def test_an_answer_without_measure(send, behave):
    servers._bomb(), servers._twenty_megabytes()
    with serving(behave) as server:
        answer = send(server.url, 3.0)
        assert isinstance(answer, Failure)
        assert answer.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 1
        nothing_left_behind()


def test_a_dropped_connection_is_not_called_again(send):
    def drop(server, connection):
        server.read(connection)

    with serving(drop) as server:
        answer = send(server.url, 2.0)
        assert isinstance(answer, Failure)
        assert answer.outcome is Outcome.UNKNOWN
        assert len(server.requests) == 1


def test_an_awaited_call_that_is_cancelled_is_not_sent(tls):
    async def play(url, server):
        api = make_ccxt(ccxt.async_support.bitopromargin, url, None)
        task = asyncio.ensure_future(api.cancel_all_orders())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.proceed.set()
        await asyncio.sleep(0.3)
        await api.close()

    with serving(servers.over_tls(servers.well, *tls, wait=5)) as server:
        asyncio.run(play(f"https://127.0.0.1:{server.port}", server))
        assert server.requests == []
