"""The page at ``/``: one static file, and a websocket that sends it what has changed."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from contextlib import suppress
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, WebSocket
from fastapi.responses import HTMLResponse
from starlette.websockets import WebSocketDisconnect

from . import CONTROL_PREFIX, control_json
from .faults import KINDS
from .state import Exchange
from .state.order_history import Change, WasReset

if TYPE_CHECKING:
    from .server import Parts

Json = dict[str, Any]

# A page is sent what changed after a short pause, and everything each second: interest grows.
PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 1.0
HISTORY_POINTS: Final = 1500
FIRST_REQUESTS: Final = 150
FIRST_PAIR: Final = "btc_usdt"


class Dashboard:
    """The past of the default account's adRatio, equity and debt, for pages that open later."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._points: deque[tuple[int, Json]] = deque(maxlen=HISTORY_POINTS)
        self._count = 0
        self._recorded_at = 0.0
        self.changes = 0
        self.resets = 0
        exchange.listen(self._note)

    def record(self) -> None:
        """Add a point to the past."""
        with self._exchange.lock:
            self._count += 1
            self._points.append((self._count, control_json.account_point(self._exchange)))
            self._recorded_at = time.monotonic()

    def points_after(self, number: int) -> tuple[int, list[Json]]:
        """Return the points that follow a number, and the last one's number."""
        with self._exchange.lock:
            return self._count, [point for count, point in self._points if count > number]

    def _note(self, change: Change) -> None:
        self.changes += 1
        if isinstance(change, WasReset):
            self.resets += 1
            self._points.clear()
        elif time.monotonic() - self._recorded_at >= PAUSE:
            self.record()


def dashboard_routes() -> APIRouter:
    """Build the page's route and that of its websocket."""
    router = APIRouter()
    page = _page()

    @router.get("/", response_class=HTMLResponse)
    async def show() -> HTMLResponse:
        return HTMLResponse(page)

    @router.websocket(f"{CONTROL_PREFIX}/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        feed = _Feed(socket.app.state.parts)
        sender = asyncio.create_task(_send_changes(socket, feed))
        try:
            with suppress(WebSocketDisconnect, RuntimeError, ValueError):
                while True:
                    feed.choose(str(json.loads(await socket.receive_text()).get("pair")))
        finally:
            sender.cancel()

    return router


def _page() -> str:
    """Return the page, with the kinds of faults in its list."""
    text = resources.files(__package__).joinpath("dashboard.html").read_text(encoding="utf-8")
    kinds = json.dumps([[kind, meaning] for kind, (_, meaning) in KINDS.items()])
    return text.replace("/*KINDS*/[]", kinds)


class _Feed:
    """What one page has been sent already."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._pair = FIRST_PAIR
        self._seen: tuple[int, int] | None = None
        self._resets = -1
        self._point = self._request = 0
        self._sent_at = 0.0

    def choose(self, pair: str) -> None:
        """Show the books of another pair from now on."""
        if pair in self._parts.exchange.pairs:
            self._pair, self._seen = pair, None

    def next(self) -> Json | None:
        """Return what the page has to be sent now, if anything."""
        dashboard, log = self._parts.dashboard, self._parts.log
        seen = (dashboard.changes, log.last_number)
        if seen == self._seen and time.monotonic() - self._sent_at < LONGEST_PAUSE:
            return None
        self._seen, self._sent_at = seen, time.monotonic()
        started = self._resets != dashboard.resets
        if started:
            self._resets, self._point = dashboard.resets, 0
            self._request = max(0, log.last_number - FIRST_REQUESTS)
        dashboard.record()
        self._point, points = dashboard.points_after(self._point)
        lines = log.lines(self._request)
        # A line that still runs is sent again, so that the page sees how it ended.
        running = [int(str(line["n"])) for line in lines if not line["done"]]
        self._request = min(running, default=log.last_number + 1) - 1
        if self._pair not in self._parts.exchange.pairs:
            self._pair = next(iter(self._parts.exchange.pairs), FIRST_PAIR)
        return {
            "started": started,
            "points": points,
            "requests": lines,
            "faults": self._parts.faults.as_list(),
            "streams": self._parts.streams.open_paths(),
            **control_json.overview(self._parts.exchange, self._pair),
        }


async def _send_changes(socket: WebSocket, feed: _Feed) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            message = feed.next()
            if message is not None:
                await socket.send_text(json.dumps(message))
            await asyncio.sleep(PAUSE)
