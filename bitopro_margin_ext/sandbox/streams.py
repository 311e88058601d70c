"""Websocket streams: everything once on connecting, then what changes."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from fastapi import APIRouter, WebSocket
from fastapi.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect

from .auth import Authenticator
from .call import call_of
from .defaults import STREAM_PREFIX
from .faults import Rule
from .request_log import RequestLog
from .state import Exchange, Reason, Refusal
from .state.orders import Change, WasReset
from .stream_channels import Channel, find_channel

Json = dict[str, object]


@dataclass(slots=True)
class Connection:
    """One open stream."""

    path: str
    transport: Any
    loop: asyncio.AbstractEventLoop


class Streams:
    """The open streams, and what tests can do to them."""

    def __init__(self, exchange: Exchange, authenticator: Authenticator, log: RequestLog) -> None:
        self.exchange = exchange
        self.authenticator = authenticator
        self.log = log
        self.refusals: list[int] = []
        self._open: list[Connection] = []

    def open_paths(self) -> list[str]:
        """Name the streams that are connected."""
        return [connection.path for connection in list(self._open)]

    def drop(self, pattern: str) -> int:
        """Cut connections whose path matches, without a closing handshake; returns how many."""
        chosen = [
            c
            for c in list(self._open)
            if fnmatchcase(c.path, pattern)
            or fnmatchcase(c.path.removeprefix(STREAM_PREFIX), pattern)
        ]
        for connection in chosen:
            connection.loop.call_soon_threadsafe(connection.transport.abort)
        return len(chosen)

    async def serve(self, socket: WebSocket) -> None:
        """Admit one client and feed it until it leaves."""
        path = socket.url.path
        line = self.log.open(self.exchange.clock.now_ms(), "WS", path, socket.url.query or "", b"")
        try:
            channel, email = self._admit(socket)
            line.account = email or None
        except Refusal as refusal:
            line.status, line.done = refusal.status, True
            await socket.send_denial_response(
                JSONResponse({"error": refusal.text}, status_code=refusal.status)
            )
            return
        line.status, line.done = 101, True
        rules = call_of(socket).rules
        line.faults = [rule.kind for rule in rules]
        await socket.accept()
        if any(rule.kind == "close_after_accept" for rule in rules):
            await socket.close(1001)
            return
        connection = Connection(path, socket.state.transport, asyncio.get_running_loop())
        self._open.append(connection)
        try:
            await self._feed(socket, channel, _Delivery(rules))
        finally:
            self._open.remove(connection)

    def _admit(self, socket: WebSocket) -> tuple[Channel, str]:
        if self.refusals:
            raise Refusal(self.refusals.pop(0), "Stream refused")
        path = socket.url.path.removeprefix(STREAM_PREFIX)
        email = ""
        if path.startswith("/auth/"):
            shift = call_of(socket).clock_shift_ms
            key = self.authenticator.admit_stream(path, socket.headers, shift)
            if path.startswith("/auth/margin/") and not key.margin:
                raise Reason.FORBIDDEN()
            email = key.email
        channel = find_channel(self.exchange, path, socket.query_params.get("pairs"), email)
        if channel is None:
            raise Reason.UNKNOWN_PATH()
        return channel, email

    async def _feed(self, socket: WebSocket, channel: Channel, delivery: _Delivery) -> None:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Json | None] = asyncio.Queue()

        def listener(change: Change) -> None:
            if isinstance(change, WasReset):
                messages: list[Json | None] = [None]
            else:
                messages = list(channel.update(change))
            for message in messages:
                with suppress(RuntimeError):  # the loop is closing
                    loop.call_soon_threadsafe(queue.put_nowait, message)

        with self.exchange.lock:
            # Under the lock, so that nothing falls between the first message and the listening.
            for message in channel.first():
                queue.put_nowait(message)
            stop = self.exchange.listen(listener)
        gone = asyncio.create_task(_until_gone(socket))
        try:
            await self._pump(socket, queue, gone, delivery)
        finally:
            stop()
            gone.cancel()

    async def _pump(
        self,
        socket: WebSocket,
        queue: asyncio.Queue[Json | None],
        gone: asyncio.Task[None],
        delivery: _Delivery,
    ) -> None:
        while not gone.done():
            getter = asyncio.create_task(queue.get())
            await asyncio.wait({getter, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not getter.done():
                getter.cancel()
                return
            message = getter.result()
            with suppress(WebSocketDisconnect, RuntimeError):
                if message is None:
                    await socket.close(1012)
                    return
                for text in delivery.pass_on(json.dumps(self._stamped(message))):
                    await socket.send_text(text)

    def _stamped(self, message: Json) -> Json:
        now = self.exchange.clock.now_ms()
        written = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000))
        return {
            "event": message["event"],
            "timestamp": now,
            "datetime": f"{written}.{now % 1000:03d}Z",
            **{name: value for name, value in message.items() if name != "event"},
        }


class _Delivery:
    """What the faults of a stream let through of its messages, and in which order."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules
        self._count = 0
        self._held: str | None = None

    def pass_on(self, text: str) -> list[str]:
        """Return what is sent now that a message is due."""
        self._count += 1
        for rule in self._rules:
            if rule.kind == "silent" and self._count > rule.fault.messages:
                return []
            if rule.kind == "drop_pushes" and self._count % rule.fault.every == 0:
                return []
        if not any(rule.kind == "reorder" for rule in self._rules):
            return [text]
        if self._held is None:
            self._held = text
            return []
        texts, self._held = [text, self._held], None
        return texts


def stream_routes(streams: Streams) -> APIRouter:
    """Build the websocket endpoint; which channel it is, the path decides."""
    router = APIRouter()

    @router.websocket(STREAM_PREFIX + "/{channel:path}")
    async def stream(socket: WebSocket) -> None:
        await streams.serve(socket)

    return router


async def _until_gone(socket: WebSocket) -> None:
    """Read what the client sends, which means nothing here, until it has left."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
