"""Carries the private streams to the real streaming client, and loses, delays and repeats messages.

What the exchange itself can do to a stream (drop it, refuse it, be silent, lose or reorder) is the
sandbox's; what the way does to it is here.
"""

import asyncio
import urllib.parse
from collections.abc import Mapping
from typing import Any

import aiohttp
import yarl
from multidict import CIMultiDict

from bitopro_margin_ext.bot.order_stream import OrderStream
from bitopro_margin_ext.sandbox.gateway import Gateway

from .timeline import Timeline


class StreamWeather:
    """What the way does to the messages of every stream."""

    def __init__(self) -> None:
        self.lateness: list[float] = []
        """By how many seconds each message is late, one after the other, over and over."""
        self.is_mute = False
        """Nothing comes any more, not even the answer to a ping, and nothing says so."""
        self.repeats = False
        """Each message comes twice, the second time behind the next ones."""
        self._count = 0

    def clear(self) -> None:
        """Every message comes once and at once."""
        self.lateness, self.is_mute, self.repeats = [], False, False

    def delays(self) -> list[float]:
        """In how many seconds the next message arrives, each time it does."""
        if self.is_mute:
            return []
        self._count += 1
        late = self.lateness[self._count % len(self.lateness)] if self.lateness else 0.0
        return [late, late + 2.0] if self.repeats else [late]


class Socket:
    """What ccxt uses of an ``aiohttp`` websocket; also the transport that the exchange cuts."""

    _conn = None

    def __init__(
        self, gateway: Gateway, url: str, headers: Mapping[str, str], weather: StreamWeather
    ) -> None:
        self._gateway, self._url, self._weather = gateway, url, weather
        self._headers = [(n.lower().encode(), v.encode()) for n, v in headers.items()]
        self._arrived: asyncio.Queue[aiohttp.WSMessage] = asyncio.Queue()
        self._answered = asyncio.Event()
        self._gone = asyncio.Event()
        self._greeted = False
        self._status = 0

    async def __aenter__(self) -> "Socket":
        parts = urllib.parse.urlsplit(self._url)
        scope = {
            "type": "websocket",
            "http_version": "1.1",
            "scheme": "ws",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": self._headers,
            "client": ("127.0.0.1", 1),
            "server": (parts.hostname, parts.port),
            "subprotocols": [],
            "root_path": "",
            "extensions": {"websocket.http.response": {}},
            "state": {"transport": self},
        }
        # Kept from the garbage collector.
        self._serving = asyncio.ensure_future(self._gateway(scope, self._receive, self._send))
        await self._answered.wait()
        if self._status == 101:
            return self
        if not self._status:
            raise aiohttp.ServerDisconnectedError
        url = yarl.URL(self._url)
        request = aiohttp.RequestInfo(url, "GET", CIMultiDict(), url)
        raise aiohttp.WSServerHandshakeError(request, (), status=self._status, message="refused")

    # -- the exchange's side -------------------------------------------------------------------

    async def _receive(self) -> dict[str, Any]:
        if not self._greeted:
            self._greeted = True
            return {"type": "websocket.connect"}
        await self._gone.wait()
        return {"type": "websocket.disconnect", "code": 1006}

    async def _send(self, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "websocket.accept":
                self._status = 101
                self._answered.set()
            case "websocket.http.response.start":
                self._status = message["status"]
            case "websocket.http.response.body":
                self._answered.set()
            case "websocket.send":
                found = aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, message["text"], None)
                self._deliver(found)
            case "websocket.close":
                self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        self._gone.set()
        self._answered.set()
        self._arrived.put_nowait(aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None))

    def _deliver(self, message: aiohttp.WSMessage) -> None:
        for delay in self._weather.delays():
            asyncio.get_running_loop().call_later(delay, self._arrived.put_nowait, message)

    # -- the client's side ---------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self._gone.is_set()

    async def receive(self) -> aiohttp.WSMessage:
        return await self._arrived.get()

    async def ping(self, data: bytes = b"") -> None:
        self._deliver(aiohttp.WSMessage(aiohttp.WSMsgType.PONG, data, None))

    async def pong(self, data: bytes = b"") -> None:
        pass

    async def close(self, **how: Any) -> None:
        self.abort()


class FollowedHere:
    """While entered, an order stream runs where time passes, and not on a thread of its own."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._own = {name: getattr(OrderStream, name) for name in ("start", "stop")}

    def __enter__(self) -> None:
        loop = self._timeline.loop

        def start(stream: Any) -> None:
            stream._loop.close()
            stream._api.heard_orders = stream.heard
            stream._task = loop.create_task(stream._follow())

        def stop(stream: Any) -> None:
            stream._pro = None
            stream._task.cancel()
            self._timeline.run(asyncio.wait({stream._task}))

        OrderStream.start, OrderStream.stop = start, stop  # type: ignore[method-assign]

    def __exit__(self, *failure: object) -> None:
        for name, function in self._own.items():
            setattr(OrderStream, name, function)
