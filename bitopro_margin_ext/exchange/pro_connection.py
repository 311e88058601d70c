"""Follow streams until there is something to hand out: dial, redial, resync after gaps."""

import asyncio
import contextlib
import functools
import math
import random
import time
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
import ccxt

from ..core import redaction, signing
from ..core.endpoints import STREAM_URL, Stream
from ..core.errors import classify
from .base import LOOPBACK, stream_urls
from .flow import raise_failure
from .pro_cache import Feed

if TYPE_CHECKING:
    _Exchange = Any
else:
    _Exchange = object


def reason_of(error: BaseException) -> BaseException:
    """The error that ccxt's client has wrapped into a ``NetworkError`` on its way to us."""
    inner = error.args[0] if error.args else None
    return inner if isinstance(inner, ccxt.BaseError) else error


class StreamDialing(_Exchange):  # type: ignore[misc]
    """Addresses, signatures and clients of the streams."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self._redials: dict[str, Redial] = {}
        super().__init__(config)
        rest = self.urls["api"]["rest"]
        if self.urls["ws"]["public"] == STREAM_URL and (
            urllib.parse.urlsplit(rest).hostname in LOOPBACK
        ):
            # Whoever points REST at a server of their own does not mean to stream from the live
            # one, and must not send it signatures.
            self.urls["ws"] = stream_urls(rest)

    def stream_url(self, stream: Stream) -> str:
        """The address of a stream."""
        return f"{self.urls['ws']['private' if stream.private else 'public']}/{stream.path}"

    def authenticate(self, url: str) -> None:
        """Make ready what a private stream needs; the connection itself is signed when dialled.

        :raises ccxt.AuthenticationError: when key, secret or ``login`` is missing.
        """
        self.check_required_credentials()
        if not self.login:
            raise ccxt.AuthenticationError(
                f"{self.id} private streams require `login`, the email of the account,"
                " beside key and secret"
            )
        self.client(url)

    def client(self, url: str) -> Any:
        """ccxt's client of an address; a new one is dialled and read our way."""
        known = (self.clients or {}).get(url)
        if known is not None:
            return known
        # A client keeps the event loop that it finds; an older ccxt does not look for it here.
        self.open()
        client = super().client(url)
        # Ours begins when the dial's turn has come.
        client.connectionTimeout += MAX_REDIAL_DELAY * 1000
        client.create_connection = functools.partial(self._dial, client)
        client.handle_text_or_binary_message = functools.partial(self._read, client)
        return client

    async def _dial(self, client: Any, session: Any) -> Any:
        redial = self._redials.setdefault(client.url, Redial())
        wait = redial.reserve(time.monotonic())
        if wait:
            await asyncio.sleep(wait)
            if self.clients.get(client.url) is not client:
                raise ccxt.ExchangeClosedByUser(f"{self.id} was closed")
        if client.url.startswith(f"{self.urls['ws']['private']}/"):
            # A copy: ccxt hands every client the one dict of the exchange's options.
            client.options = {**client.options, "headers": self._signed_headers()}
        try:
            async with asyncio.timeout(client.connectionTimeout / 1000 - MAX_REDIAL_DELAY):
                return await type(client).create_connection(client, session)
        except aiohttp.WSServerHandshakeError as error:
            redaction.strip_requests(error)
            self._refuse(client.url, error)
        finally:
            client.options = {**client.options, "headers": {}}

    def _signed_headers(self) -> dict[str, str]:
        self.remember_secrets()
        offset_ms = int(self.options["clockOffset"])
        signer = signing.Signer(self.apiKey, self.secret, self.login, offset_ms)
        headers = {"X-BITOPRO-API": "ccxt", **signer.headers()}
        signer.nonces.written = signer.nonce
        signer.nonces.accepted.append(signer.nonce)
        return headers

    def _refuse(self, url: str, error: aiohttp.WSServerHandshakeError) -> None:
        path = urllib.parse.urlsplit(url).path
        headers = dict(error.headers or {})
        failure = classify(error.status, None, path=path, headers=headers)
        self._redials[url].hold_back(time.monotonic(), failure.retry_after or 0.0)
        try:
            raise_failure(f"{self.id} {path}", failure)
        except ccxt.BaseError as refusal:
            # ccxt's client looks here for Retry-After.
            refusal.headers = headers
            raise refusal from None

    def _read(self, client: Any, data: Any) -> None:
        try:
            type(client).handle_text_or_binary_message(client, data)
        except Exception as error:
            # Out of here it would end ccxt's receiving without a word. What was missed is asked
            # for again after the reconnect.
            reason = f"{self.id} sent a message that cannot be read ({type(error).__name__})"
            client.on_error(ccxt.NetworkError(reason))


Found = TypeVar("Found")


FIRST_MESSAGE_PATIENCE: Final = 3.0
"""Seconds after which a connected stream that has not sent its state is taken to have none."""

RESYNC_INTERVAL: Final = 2.0
"""Seconds between attempts to ask REST for what was missed."""

FATAL: Final = (ccxt.PermissionDenied, ccxt.AuthenticationError, ccxt.NotSupported)
"""What no further dial cures."""


class StreamFollowing(StreamDialing):
    """Connections that come back by themselves, as long as somebody waits for what they send."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self._failures: dict[str, tuple[BaseException, float]] = {}
        self._resyncs_at: dict[int, float] = {}
        self._resyncing: dict[int, asyncio.Lock] = {}
        self._closings = 0
        super().__init__(config)

    async def close(self, *arguments: Any) -> None:
        """Close what is open, and end every wait for a stream."""
        self._closings += 1
        await super().close(*arguments)

    async def follow(
        self,
        feed: Feed,
        streams: Callable[[], tuple[Stream, ...]],
        take: Callable[[], Found],
        resync: Callable[[], Awaitable[None]] | None = None,
        *,
        whole: bool = False,
    ) -> Found:
        """Wait until ``take`` returns something, keeping the streams connected meanwhile.

        ``resync`` asks REST for what a lost connection may have missed. With ``whole`` nothing is
        taken before each stream has sent its state.

        :raises ccxt.NetworkError: when nothing could be reached for ``options.streamPatience``
            seconds; the next call goes on trying.
        :raises ccxt.AuthenticationError, ccxt.PermissionDenied: the exchange's refusal.
        """
        began = silent_since = time.monotonic()
        closings = self._closings
        while True:
            # Before looking, so that no notification is missed.
            changed = feed.changed
            urls = [self.stream_url(stream) for stream in streams()]
            for url in urls:
                self._keep(feed, url, began)
            if not whole or all(self._has_received(url) for url in urls):
                if resync is not None and (feed.gap or self._is_silent(feed)):
                    await self._resync(feed, resync)
                found = take()
                if found:
                    return found
            for url in urls:
                await self._face_refusal(url, began)
            if all(self._is_connected(url) for url in urls):
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > float(self.options["streamPatience"]):
                raise self._unreachable(urls)
            await _notified(changed, 0.5)
            if self._closings != closings:
                raise ccxt.ExchangeClosedByUser(f"{self.id} was closed")

    def _keep(self, feed: Feed, url: str, began: float) -> None:
        """Dial a stream that is not connected, when its turn has come."""
        if isinstance(self._failure(url, began), FATAL):
            return
        future = self.watch(url, "connection")
        client = self.clients[url]
        if "dialled" not in client.subscriptions:
            client.subscriptions["dialled"] = time.monotonic()
            future.add_done_callback(functools.partial(self._lost, feed, client))

    def _failure(self, url: str, began: float) -> BaseException | None:
        """Why the last dial of a stream failed, unless it was made for an earlier call."""
        error, dialled = self._failures.get(url, (None, 0.0))
        return error if dialled >= began else None

    async def _face_refusal(self, url: str, began: float) -> None:
        failure = self._failure(url, began)
        if isinstance(failure, FATAL):
            raise failure
        if isinstance(failure, ccxt.InvalidNonce):
            # A REST call learns the exchange's time; the Date of a handshake is a proxy's.
            del self._failures[url]
            with contextlib.suppress(ccxt.OperationFailed, ccxt.ExchangeError):
                await self.fetch_margin_account()

    def _lost(self, feed: Feed, client: Any, future: "asyncio.Future[Any]") -> None:
        """A connection, or the attempt at one, has ended."""
        if self.clients.get(client.url) is client:
            del self.clients[client.url]
        if not future.cancelled():
            error = future.exception()
            if error is not None:
                self._failures[client.url] = reason_of(error), client.subscriptions["dialled"]
        if client.connectionEstablished is None:
            feed.notify()
        else:
            feed.on_disconnect()

    def _has_received(self, url: str) -> bool:
        client = self.clients.get(url)
        if client is None or client.connectionEstablished is None:
            return False
        if "received" in client.subscriptions:
            return True
        return bool(
            self.milliseconds() - client.connectionEstablished > FIRST_MESSAGE_PATIENCE * 1000
        )

    def _is_silent(self, feed: Feed) -> bool:
        """Whether nothing has come for so long that a lost message must be reckoned with."""
        if time.monotonic() - feed.last_message_at < float(self.options["streamResync"]):
            return False
        feed.last_message_at = time.monotonic()
        feed.gap = True
        return True

    def _is_connected(self, url: str) -> bool:
        client = self.clients.get(url)
        return client is not None and client.connectionEstablished is not None

    async def _resync(self, feed: Feed, resync: Callable[[], Awaitable[None]]) -> None:
        lock = self._resyncing.setdefault(id(feed), asyncio.Lock())
        async with lock:
            if not feed.gap or time.monotonic() < self._resyncs_at.get(id(feed), 0.0):
                return
            self._resyncs_at[id(feed)] = time.monotonic() + RESYNC_INTERVAL
            # What is lost from here on is missed by this attempt.
            feed.gap = False
            try:
                await resync()
            except FATAL:
                feed.gap = True
                raise
            except (ccxt.OperationFailed, ccxt.ExchangeError):
                # What the streams send meanwhile is not held back for it; it is tried again.
                feed.gap = True
            except BaseException:
                feed.gap = True
                raise
            else:
                self._resyncs_at.pop(id(feed), None)

    def _unreachable(self, urls: list[str]) -> Exception:
        reasons = [self._failures[url][0] for url in urls if url in self._failures]
        reason = f": {reasons[-1]}" if reasons else ""
        error: Exception = ccxt.NetworkError(f"{self.id} streams could not be reached{reason}")
        return error


async def _notified(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return


# -- redialling ------------------------------------------------------------------------------------

BASE_REDIAL_DELAY: Final = 0.5
MAX_REDIAL_DELAY: Final = 30.0
"""Seconds before the first redial, and between any two at most; each is cut by up to a half."""

SETTLED_AFTER: Final = 10.0
"""Seconds that a connection must have lived before the next dial counts as a first one again."""


class Redial:
    """The pace at which one stream is dialled. No I/O.

    Each dial doubles the wait before the next one, until a connection has lived for a while: to be
    accepted, or to receive a snapshot, is no sign of that.
    """

    def __init__(self) -> None:
        self._next_at = -math.inf
        self._delay = 0.0

    def reserve(self, now: float) -> float:
        """Take the next dial's turn, and return how many seconds to wait for it."""
        if now >= self._next_at + SETTLED_AFTER:
            self._delay = 0.0
        turn = max(now, self._next_at)
        self._delay = min(MAX_REDIAL_DELAY, max(BASE_REDIAL_DELAY, 2 * self._delay))
        self._next_at = turn + self._delay * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        return turn - now

    def hold_back(self, now: float, seconds: float) -> None:
        """Let no dial leave for so many seconds, as the exchange has asked for."""
        self._next_at = max(self._next_at, now + min(seconds, MAX_REDIAL_DELAY))
