"""One HTTP request that can be given up: afterwards it is never sent, and its socket is closed.

``requests`` cannot call off a request that another thread has begun: it may be resolving a name or
connecting, and sends when it has. So the connections below ask the current ``HttpCall`` again after
connecting, immediately before the first byte. One call is sent once: a second attempt of whatever
library is refused at the same place. ``core.guarded_session`` makes sessions of these parts.
"""

import concurrent.futures
import contextlib
import contextvars
import io
import math
import queue
import socket
import struct
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.utils import get_auth_from_url

from .errors import BitoproMarginError

if TYPE_CHECKING:
    from .signing import Signer

    _Connection = urllib3.connection.HTTPConnection
    _Adapter = HTTPAdapter
    _Session = requests.Session
else:
    _Connection = _Adapter = _Session = object

T = TypeVar("T")

MAX_ANSWER_BYTES: Final = 8_000_000
"""What an answer may hold, unpacked; the longest documented list is a tenth of it."""
_PIECE: Final = 4096
"""Bytes read at a time: packed by gzip, so many hold at most four million."""
ORDERED_SECONDS: Final = 60.0
"""How long the calls of a key are sent one by one after the exchange refused one for coming late:
requests on two connections can overtake each other, whatever we do."""
TURN_SECONDS: Final = 0.5
"""How long a call may keep its turn while another waits: its request has long left by then, and an
answer that does not come must not keep a cancel in."""
FRESH_SECONDS: Final = 0.2
"""How old a signature may be when it leaves: a nonce is a time, which the exchange compares."""


class NotSentError(BitoproMarginError):
    """The request was held back: its caller had given up, or it had been sent once already."""


class CallTimeoutError(BitoproMarginError):
    """The request was sent, and given up before its answer had come."""


class AnswerTooLongError(BitoproMarginError, requests.RequestException):
    """The answer is longer than any documented one."""


# -- turns -----------------------------------------------------------------------------------------


class Turn:
    """A lock that knows since when it is held."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = math.inf

    def acquire(self, timeout: float) -> bool:
        """Wait at most so many seconds for it, and say whether it is held now."""
        if not self._lock.acquire(timeout=timeout):
            return False
        self._since = time.monotonic()
        return True

    def release(self) -> None:
        """Let the next one have it."""
        self._since = math.inf
        self._lock.release()

    def left(self) -> float:
        """For how many seconds more it may be held while somebody waits."""
        return TURN_SECONDS - max(0.0, time.monotonic() - self._since)


class Turns:
    """Keeps the calls of one key in order on the wire.

    A call holds its turn while it is written, and where the exchange wants them in order until it
    is answered.
    """

    def __init__(self) -> None:
        self._turn = Turn()
        self._turn_lock = threading.Lock()
        self._ordered_until = 0.0

    def keep_in_order(self) -> None:
        """Send the calls of this key one by one from now on."""
        self._ordered_until = time.monotonic() + ORDERED_SECONDS

    @property
    def is_ordered(self) -> bool:
        """Whether a call waits for the answer to the one before."""
        return time.monotonic() < self._ordered_until

    def take_turn(self, timeout: float) -> Turn | None:
        """Wait at most so many seconds for the turn; None where it has not come.

        A call that keeps it for too long loses it: the others compete for a new one.
        """
        ends = time.monotonic() + timeout
        while True:
            turn = self._turn
            left = ends - time.monotonic()
            if turn.acquire(max(0.0, min(left, turn.left()))):
                if turn is self._turn:
                    return turn
                turn.release()
            elif turn.left() <= 0:
                with self._turn_lock:
                    if self._turn is turn and turn.left() <= 0:
                        self._turn = Turn()
            elif left <= 0:
                return None


# -- calls -----------------------------------------------------------------------------------------


class HttpCall:
    """A request on its way. ``ends`` is on ``time.monotonic``.

    ``signer`` has signed its headers, with a nonce: they are signed anew immediately before they
    are written if a call with a later nonce of the key was written meanwhile, or if they are old.
    """

    def __init__(self, ends: float = math.inf, signer: "Signer | None" = None) -> None:
        self.ends = ends
        self._signer = signer
        self._made = time.monotonic()
        self._turn: Turn | None = None
        """What is held until the answer has come."""
        self._lock = threading.Lock()
        self._given_up = False
        self._is_entrusted = False
        self._sockets: list[socket.socket] = []
        self.is_sent = False
        """Whether the first byte may have left."""

    def run(self, work: Callable[[], T]) -> T:
        """Do ``work``, whose request this call is, and give it up at the deadline.

        :raises NotSentError: when it was given up before its first byte.
        :raises CallTimeoutError: when it was given up later.
        """
        if self.ends == math.inf:
            return self._perform(work)
        answer: concurrent.futures.Future[T] = concurrent.futures.Future()
        context = contextvars.copy_context()

        def perform() -> None:
            try:
                answer.set_result(self._perform(work))
            except BaseException as error:
                answer.set_exception(error)

        # A daemon thread, not a pool: one that waits for a name to be resolved must hold up neither
        # the next call nor the end of the process.
        threading.Thread(
            target=context.run, args=(perform,), name="bitopro-margin-call", daemon=True
        ).start()
        try:
            return answer.result(max(0.0, self.remaining()))
        except concurrent.futures.TimeoutError:
            # Also what a call raises that timed out by itself; then it is done.
            if answer.done():
                raise
            if self.abandon():
                raise CallTimeoutError("no answer in time") from None
            raise NotSentError("the call was given up before it was sent") from None
        except BaseException:
            # The user interrupts: what has not left by now stays here.
            self.abandon()
            raise

    def _perform(self, work: Callable[[], T]) -> T:
        """Do ``work`` with this as the call whose request this thread sends."""
        token = CURRENT_CALL.set(self)
        try:
            return work()
        finally:
            CURRENT_CALL.reset(token)
            if self._turn is not None:
                self._turn.release()
            with self._lock:
                # An answered call's connection serves the next one: it is out of reach here.
                self._sockets.clear()

    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self.ends - time.monotonic()

    def check(self) -> None:
        """Raise ``NotSentError`` when the call has been given up or its time is over."""
        if self._given_up or self.remaining() <= 0:
            raise NotSentError("the call was given up before it was sent")

    @contextlib.contextmanager
    def sending(self, connection: socket.socket | None = None) -> Iterator[Mapping[str, str]]:
        """Hold the turn for one write, and give the headers that were signed anew for it.

        ``connection`` is closed when the call is given up. Raises what ``check`` does.
        """
        self.check()
        turn, headers = self._take_turn()
        try:
            with self._lock:
                # From here on the call counts as sent, and giving it up as too late for that.
                self.check()
                if self.is_sent and not self._is_entrusted:
                    raise NotSentError("the request was sent once already")
                if connection is not None:
                    self._sockets.append(connection)
                self.is_sent, self._is_entrusted = True, False
            yield headers
        finally:
            if turn is not None and turn is not self._turn:
                turn.release()

    def _take_turn(self) -> tuple[Turn | None, Mapping[str, str]]:
        signer = self._signer
        if signer is None or self._turn is not None:
            return self._turn, {}
        turn = signer.nonces.take_turn(min(self.remaining(), threading.TIMEOUT_MAX))
        if turn is None:
            raise NotSentError("another call of the same key did not end in time")
        if signer.nonces.is_ordered:
            self._turn = turn
        headers: Mapping[str, str] = {}
        if signer.nonce <= signer.nonces.written or time.monotonic() - self._made > FRESH_SECONDS:
            headers = signer.headers()
        signer.nonces.written = signer.nonce
        return turn, headers

    def entrust(self) -> Mapping[str, str]:
        """Count the call as sent from here on, and give the headers that were signed anew.

        For what may send it by a connection that does not ask; one that does may still ask once.
        """
        with self.sending() as headers:
            self._is_entrusted = True
        return headers

    def watch(self, connection: socket.socket | None) -> None:
        """Close this connection when the call is given up; at once, if it has been."""
        if connection is None:
            return
        with self._lock:
            self._sockets.append(connection)
            if self._given_up:
                _abort(connection)

    def close(self, connection: socket.socket) -> None:
        """Close a watched connection."""
        with self._lock:
            if connection in self._sockets:
                self._sockets.remove(connection)
            if self._given_up:
                _abort(connection)
            connection.close()

    def abandon(self) -> bool:
        """Give the call up: nothing more is sent, and whoever waits for the answer is woken.

        Returns whether the request may have been sent before.
        """
        with self._lock:
            self._given_up = True
            for connection in self._sockets:
                _abort(connection)
            return self.is_sent


CURRENT_CALL: Final[contextvars.ContextVar[HttpCall | None]] = contextvars.ContextVar(
    "call", default=None
)
"""The call that this thread sends a request for."""


def _abort(connection: socket.socket) -> None:
    """Wake every reader; on the last close drop what has not been delivered yet."""
    with contextlib.suppress(OSError):
        # Without this the system goes on delivering what was written, for minutes if it must.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


# -- what asks the current call --------------------------------------------------------------------


class SendingConnection(_Connection):
    """Put before a class of urllib3's connections: asks the current call before it sends."""

    _watched: socket.socket | None = None
    """A second handle of the connected socket: it stays valid while TLS wraps the first."""

    def request(
        self, method: str, url: str, body: Any = None, headers: Any = None, **more: Any
    ) -> None:
        """Connect and write the request, if the current call may still be sent."""
        call = CURRENT_CALL.get()
        if call is None:
            super().request(method, url, body=body, headers=headers, **more)
            return
        if self.sock is None:
            self.connect()
        with call.sending(self._watched) as signed:
            merged = {**(headers or {}), **signed}
            super().request(method, url, body=body, headers=merged, **more)


class ConnectionQueue(queue.LifoQueue[Any]):
    """The connections of a pool (None: not opened yet), of which ``keep`` are used in turn.

    So that many stay open in ordinary use, and calls that are made at the same time find them so.
    """

    def __init__(self, keep: int, maxsize: int = 0) -> None:
        self._keep = keep
        super().__init__(maxsize)

    def _get(self) -> Any:
        idle = [place for place, connection in enumerate(self.queue) if connection is not None]
        closed = len(self.queue) - len(idle)
        if closed and (not idle or self.maxsize - closed < self._keep):
            return self.queue.pop(self.queue.index(None))
        return self.queue.pop(idle[-self._keep :][0])


class SendingAdapter(_Adapter):
    """Put before a class of ``requests``' adapters: answers are bounded."""

    _asks: bool
    """Whether it sends by connections that ask the current call, as far as anybody can see."""

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, *more: Any, **named: Any
    ) -> requests.Response:
        """Send, and read the whole answer."""
        call = CURRENT_CALL.get()
        if call is not None and not self._asks:
            request.headers.update(call.entrust())
        response: requests.Response = super().send(request, True, *more, **named)
        _read_bounded(response)
        return response


def _read_bounded(response: requests.Response) -> None:
    """Read the whole answer, unless it is longer than an answer can be.

    :raises AnswerTooLongError: then; its connection is closed.
    """
    call = CURRENT_CALL.get()
    read = io.BytesIO()
    for piece in response.iter_content(_PIECE):
        if read.tell() + len(piece) > MAX_ANSWER_BYTES:
            response.close()
            raise AnswerTooLongError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
        read.write(piece)
        if call is not None and call.ends <= time.monotonic():
            response.close()
            raise CallTimeoutError("no answer in time")
    # requests has no public way to put a body that somebody else has read.
    response._content = read.getvalue()


class SendingSession(_Session):
    """Put before a class of sessions: no redirects, no credentials of other places."""

    _adapters: list[tuple[BaseAdapter, BaseAdapter]]

    def request(self, method: Any, url: Any, *more: Any, **named: Any) -> requests.Response:
        """Send, within the time that the current call has left."""
        # A redirect would carry the signed headers to wherever it points. With an `auth` of its own
        # the request is not given one from ~/.netrc.
        named["allow_redirects"] = False
        if named.get("auth") is None and self.auth is None:
            has_own = "@" in urllib.parse.urlsplit(str(url)).netloc
            named["auth"] = get_auth_from_url(str(url)) if has_own else _no_auth
        call, timeout = CURRENT_CALL.get(), named.get("timeout")
        if call is not None and isinstance(timeout, int | float):
            named["timeout"] = max(0.001, min(timeout, call.remaining()))
        return super().request(method, url, *more, **named)

    def get_adapter(self, url: str) -> BaseAdapter:
        """The adapter that sends in the place of the user's."""
        own: BaseAdapter = super().get_adapter(url)
        for source, sending in self._adapters:
            if source is own:
                return sending
        sending = self._sending_adapter(own)
        self._adapters.append((own, sending))
        return sending

    def _sending_adapter(self, own: BaseAdapter) -> BaseAdapter:
        raise NotImplementedError


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
