"""One HTTP request that can be given up: afterwards it is never sent, and its socket is closed.

``requests`` cannot call off a request that another thread has begun: it may be resolving a name or
connecting, and sends when it has. So the connections of ``guarded_session`` ask the current
``HttpCall`` again after connecting, immediately before the first byte. One call is sent once: a
second attempt of whatever library is refused at the same place.
"""

import concurrent.futures
import contextlib
import contextvars
import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

from .errors import BitoproMarginError

T = TypeVar("T")


class NotSentError(BitoproMarginError):
    """The request was held back: its caller had given up, or it had been sent once already."""


class CallTimeoutError(BitoproMarginError):
    """The request was sent, and given up before its answer had come."""


class Turn:
    """What a call holds while it is signed and written; this one holds nothing.

    ``core.signing`` has the one that keeps the nonces of a key in order on the wire.
    """

    def acquire(self, timeout: float) -> bool:
        """Wait at most so many seconds for the turn, and say whether it has come."""
        return True

    def written(self) -> None:
        """Note that the request is on the wire."""

    def release(self) -> None:
        """End the turn, if it has not ended."""


class HttpCall:
    """A request on its way. ``ends`` is on ``time.monotonic``.

    ``sign`` gives headers that replace those of the request immediately before it is written, so
    that what takes its turn by them is not overtaken while a connection is made. ``on_sent`` is
    called when the request leaves.
    """

    def __init__(
        self,
        ends: float = math.inf,
        *,
        sign: Callable[[], Mapping[str, str]] | None = None,
        turn: Turn | None = None,
        on_sent: Callable[[], None] = lambda: None,
    ) -> None:
        self.ends = ends
        self._on_sent = on_sent
        self._sign = sign
        self._turn = turn or Turn()
        self._lock = threading.Lock()
        self._given_up = False
        self._is_entrusted = False
        self._sockets: list[socket.socket] = []
        self.is_sent = False
        """Whether the first byte may have left."""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Make this the call whose request this thread sends."""
        token = CURRENT_CALL.set(self)
        try:
            yield
        finally:
            CURRENT_CALL.reset(token)
            self._turn.release()
            with self._lock:
                # An answered call's connection serves the next one: it is out of reach here.
                self._sockets.clear()

    def run(self, work: Callable[[], T]) -> T:
        """Do ``work``, whose request this call is, and give it up at the deadline.

        :raises NotSentError: when it was given up before its first byte.
        :raises CallTimeoutError: when it was given up later.
        """
        if self.ends == math.inf:
            with self.running():
                return work()
        answer: concurrent.futures.Future[T] = concurrent.futures.Future()
        context = contextvars.copy_context()

        def perform() -> None:
            try:
                with self.running():
                    answer.set_result(work())
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

    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self.ends - time.monotonic()

    def check(self) -> None:
        """Raise when the call has been given up or its time is over.

        :raises NotSentError: then.
        """
        if self._given_up or self.remaining() <= 0:
            raise NotSentError("the call was given up before it was sent")

    @contextlib.contextmanager
    def sending(self, connection: socket.socket | None = None) -> Iterator[Mapping[str, str]]:
        """Hold the turn for one write, and give the headers that are signed for it.

        ``connection`` is closed when the call is given up.

        :raises NotSentError: when nothing may be sent any more.
        """
        self.check()
        if not self._turn.acquire(min(self.remaining(), threading.TIMEOUT_MAX)):
            raise NotSentError("another call of the same key did not end in time")
        headers = self._sign() if self._sign else {}
        with self._lock:
            # From here on the call counts as sent, and giving it up as too late to prevent that.
            self.check()
            if self.is_sent and not self._is_entrusted:
                raise NotSentError("the request was sent once already")
            if connection is not None:
                self._sockets.append(connection)
            if not self.is_sent:
                self._on_sent()
            self.is_sent, self._is_entrusted = True, False
        try:
            yield headers
        finally:
            self._turn.written()

    def entrust(self) -> Mapping[str, str]:
        """Count the call as sent from here on, and give its signed headers.

        For what may send it by a connection that does not ask; one that does may still ask once.

        :raises NotSentError: when nothing may be sent any more.
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
