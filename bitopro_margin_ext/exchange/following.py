"""Follow streams until there is something to hand out: dial, dial again, make up for gaps."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import ccxt

from ..streams import Stream
from .dialing import StreamDialing, reason_of
from .feeds import Feed

Found = TypeVar("Found")

FIRST_MESSAGE_PATIENCE: Final = 3.0
"""Seconds after which a connected stream that has not told its state is taken to have none."""
MEND_INTERVAL: Final = 2.0
"""Seconds between attempts to ask REST for what was missed."""
HOPELESS: Final = (ccxt.PermissionDenied, ccxt.AuthenticationError, ccxt.NotSupported)
"""What no further dial mends."""


class StreamFollowing(StreamDialing):
    """Connections that come back by themselves, as long as somebody waits for what they tell."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.stream_failures: dict[str, BaseException] = {}
        self._mends_at: dict[int, float] = {}
        self._mending: dict[int, asyncio.Lock] = {}
        super().__init__(config)

    async def follow(
        self,
        feed: Feed,
        streams: Callable[[], tuple[Stream, ...]],
        take: Callable[[], Found],
        mend: Callable[[], Awaitable[None]] | None = None,
        *,
        whole: bool = False,
    ) -> Found:
        """Wait until ``take`` returns something, keeping the streams connected meanwhile.

        ``mend`` asks REST for what a lost connection may have missed. With ``whole`` nothing is
        taken before each stream has told its state.

        :raises ccxt.NetworkError: when nothing could be reached for ``options.streamPatience``
            seconds; the next call goes on trying.
        :raises ccxt.AuthenticationError, ccxt.PermissionDenied: the exchange's refusal.
        """
        silent_since = time.monotonic()
        for stream in streams():
            self.stream_failures.pop(self.stream_url(stream), None)
        while True:
            # Before looking, so that nothing rings unheard.
            bell = feed.bell
            urls = [self.stream_url(stream) for stream in streams()]
            for url in urls:
                self._keep(feed, url)
            if not whole or all(self._has_told(url) for url in urls):
                if feed.gap and mend is not None:
                    await self._mend(feed, mend)
                found = take()
                if found:
                    return found
            self._raise_hopeless(urls)
            if all(self._is_connected(url) for url in urls):
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > float(self.options["streamPatience"]):
                raise self._unreachable(urls)
            await _rung(bell, 0.5)
            if getattr(self, "closed_by_user", False):
                raise ccxt.ExchangeClosedByUser(f"{self.id} was closed")

    def _keep(self, feed: Feed, url: str) -> None:
        """Dial a stream that is not connected; ccxt waits longer before each dial that fails."""
        if isinstance(self.stream_failures.get(url), HOPELESS):
            return
        future = self.watch(url, "connection")
        client = self.clients[url]
        if "kept" not in client.subscriptions:
            client.subscriptions["kept"] = True
            future.add_done_callback(functools.partial(self._lost, feed, client))

    def _lost(self, feed: Feed, client: Any, future: "asyncio.Future[Any]") -> None:
        """A connection, or the attempt at one, has ended."""
        if self.clients.get(client.url) is client:
            del self.clients[client.url]
        if not future.cancelled():
            error = future.exception()
            if error is not None:
                self.stream_failures[client.url] = reason_of(error)
        if client.connectionEstablished is None:
            feed.ring()
        else:
            feed.lose()

    def _has_told(self, url: str) -> bool:
        client = self.clients.get(url)
        if client is None or client.connectionEstablished is None:
            return False
        if "told" in client.subscriptions:
            return True
        return bool(
            self.milliseconds() - client.connectionEstablished > FIRST_MESSAGE_PATIENCE * 1000
        )

    def _is_connected(self, url: str) -> bool:
        client = self.clients.get(url)
        return client is not None and client.connectionEstablished is not None

    async def _mend(self, feed: Feed, mend: Callable[[], Awaitable[None]]) -> None:
        lock = self._mending.setdefault(id(feed), asyncio.Lock())
        async with lock:
            if not feed.gap or time.monotonic() < self._mends_at.get(id(feed), 0.0):
                return
            self._mends_at[id(feed)] = time.monotonic() + MEND_INTERVAL
            # What is lost from here on is missed by this attempt.
            feed.gap = False
            try:
                await mend()
            except HOPELESS:
                feed.gap = True
                raise
            except (ccxt.OperationFailed, ccxt.ExchangeError):
                # What the streams tell meanwhile is not held back for it; it is tried again.
                feed.gap = True
            except BaseException:
                feed.gap = True
                raise
            else:
                self._mends_at.pop(id(feed), None)

    def _raise_hopeless(self, urls: list[str]) -> None:
        for url in urls:
            failure = self.stream_failures.get(url)
            if isinstance(failure, HOPELESS):
                raise failure

    def _unreachable(self, urls: list[str]) -> Exception:
        reasons = [self.stream_failures[url] for url in urls if url in self.stream_failures]
        reason = f": {reasons[-1]}" if reasons else ""
        error: Exception = ccxt.NetworkError(f"{self.id} streams could not be reached{reason}")
        return error


async def _rung(bell: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await bell.wait()
    except TimeoutError:
        return
