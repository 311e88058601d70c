"""Carries the real clients' requests to the sandbox in this process, failures of the wire included.

``requests`` and ccxt do what they do; only the socket is missing.
"""

import asyncio
import io
import re
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from typing import Any

import requests
import urllib3

from bitopro_margin_ext.core.http_call import CURRENT_CALL
from bitopro_margin_ext.exchange import call_scope
from bitopro_margin_ext.sandbox.gateway import Gateway

from .streams import Socket, StreamWeather
from .timeline import Timeline


class DroppedError(Exception):
    """The exchange closed the connection; ``begun`` says whether an answer had begun."""

    def __init__(self, begun: bool) -> None:
        super().__init__("dropped")
        self.begun = begun


class TooLateError(Exception):
    """Nothing came for as long as the client waits."""


class PowerCut(BaseException):
    """The client's process ends here; nothing of it may handle that."""


class _Wire:
    """One request on its way; also the transport that a fault closes."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.sent = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.answer: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.serving: asyncio.Future[None] | None = None

    async def receive(self) -> dict[str, Any]:
        if not self.sent:
            self.sent = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
            self.answer.put_nowait(b"")
            return
        self.answer.put_nowait(message.get("body", b""))
        if not message.get("more_body"):
            self.answer.put_nowait(None)

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def abort(self) -> None:
        self.closed.set()
        self.answer.put_nowait(None)

    close = abort


async def exchange_call(
    gateway: Gateway,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    timeout: float,
    total: float | None,
) -> tuple[int, dict[str, str], bytes]:
    """Carry one request: ``timeout`` bounds each wait for bytes, ``total`` the whole call."""
    parts = urllib.parse.urlsplit(url)
    wire = _Wire(body)
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": urllib.parse.unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": (parts.hostname, parts.port),
        "root_path": "",
        "state": {"transport": wire},
    }
    serving = asyncio.ensure_future(gateway(scope, wire.receive, wire.send))
    # Kept from the garbage collector: the exchange goes on after the client has given up.
    wire.serving = serving
    received = b""
    begun = False
    try:
        async with asyncio.timeout(total):
            while True:
                async with asyncio.timeout(timeout):
                    part = await wire.answer.get()
                if part is None:
                    break
                begun = True
                received += part
    except TimeoutError:
        wire.closed.set()
        raise TooLateError from None
    found = {name.decode(): value.decode() for name, value in wire.headers}
    if not begun or len(received) < int(found.get("content-length", 0)):
        raise DroppedError(begun)
    wire.closed.set()
    return wire.status, found, received


class Power:
    """What ends the client's process between the first byte of a cancel-all and its commit.

    (Dying between the creation of an order and its commit is Freqtrade's own, sweep or no sweep.)
    """

    def __init__(self) -> None:
        self._left: int | None = None
        self._processed = False
        self._sweeping = False

    def cut_after(self, requests: int, *, processed: bool) -> None:
        """From the next cancel-all on, let so many requests pass and die at the one after.

        It dies before that is sent, or once it has been ``processed``.
        """
        self._left, self._processed, self._sweeping = requests, processed, False

    def restore(self) -> None:
        """Nothing dies any more."""
        self._left = None

    def check_before(self, method: str, url: str) -> None:
        """Die, if it is time to."""
        if method == "DELETE" and re.search(r"/margin/orders/(all|[a-z]+_[a-z]+)$", url):
            self._sweeping = True
        elif method == "POST":
            self._sweeping = False
        if self._sweeping and self._left is not None:
            self._left -= 1
            if self._left < 0 and not self._processed:
                raise PowerCut

    def check_after(self) -> None:
        """The same, once the exchange has done what it was asked."""
        if self._sweeping and self._left is not None and self._left < 0:
            raise PowerCut


class BlockingTransport(requests.adapters.HTTPAdapter):
    """For a ``requests`` session: ``session.mount("http://", ...)``."""

    def __init__(self, gateway: Gateway, timeline: Timeline, power: "Power") -> None:
        super().__init__()
        self._gateway = gateway
        self._timeline = timeline
        self._power = power
        self.connecting: list[float] = []
        """How many seconds each of the next requests takes to find its connection."""
        self.sent_at: list[float] = []

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        self._find_connection()
        self._power.check_before(str(request.method), str(request.url))
        self.sent_at.append(self._timeline.monotonic())
        body = request.body or b""
        work = exchange_call(
            self._gateway,
            str(request.method),
            str(request.url),
            dict(request.headers),
            body if isinstance(body, bytes) else str(body).encode(),
            float(timeout or 10),
            # Whoever waits on another thread for an answer that drips gives up by then.
            call_scope.remaining(),
        )
        try:
            status, headers, answer = self._timeline.run(work)
        except TooLateError:
            raise requests.exceptions.ReadTimeout(request=request) from None
        except DroppedError as dropped:
            if dropped.begun:
                raise requests.exceptions.ChunkedEncodingError(request=request) from None
            raise requests.exceptions.ConnectionError(request=request) from None
        self._power.check_after()
        raw = urllib3.HTTPResponse(
            body=io.BytesIO(answer), headers=headers, status=status, preload_content=False
        )
        return self.build_response(request, raw)

    def _find_connection(self) -> None:
        """Take its time, and ask the call again before the first byte, as a connection does."""
        if not self.connecting:
            return
        call, left = CURRENT_CALL.get(), call_scope.remaining()
        seconds = self.connecting.pop(0)
        self._timeline.sleep(seconds if left is None else min(seconds, max(0.0, left)))
        if call is not None:
            call.check()


class AwaitingTransport:
    """For ccxt's asynchronous classes, in the place of their ``aiohttp`` session."""

    closed = False

    def __init__(self, gateway: Gateway, weather: StreamWeather) -> None:
        self._gateway = gateway
        self._weather = weather
        self.headers: dict[str, str] = {}

    def get(self, url: Any, **more: Any) -> "_Reply":
        return _Reply(self._gateway, "GET", str(url), more)

    def post(self, url: Any, **more: Any) -> "_Reply":
        return _Reply(self._gateway, "POST", str(url), more)

    def put(self, url: Any, **more: Any) -> "_Reply":
        return _Reply(self._gateway, "PUT", str(url), more)

    def delete(self, url: Any, **more: Any) -> "_Reply":
        return _Reply(self._gateway, "DELETE", str(url), more)

    def ws_connect(self, url: Any, **more: Any) -> Socket:
        return Socket(self._gateway, str(url), more.get("headers") or {}, self._weather)

    async def close(self) -> None:
        self.closed = True


class _Reply:
    """What ccxt reads of an aiohttp response."""

    reason = ""
    _body: bytes

    def __init__(self, gateway: Gateway, method: str, url: str, more: Mapping[str, Any]) -> None:
        self._call = (gateway, method, url, more["headers"], more.get("data") or b"", 10.0, 10.0)

    async def __aenter__(self) -> "_Reply":
        try:
            self.status, self.headers, self._body = await exchange_call(*self._call)
        except (TooLateError, DroppedError):
            raise TimeoutError from None
        self.content = self
        return self

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self._body

    async def __aexit__(self, *failure: object) -> None:
        return None

    async def text(self, errors: str = "strict") -> str:
        return self._body.decode(errors=errors)
