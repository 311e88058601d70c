"""Sessions of ``requests`` whose requests can be given up, and whose answers are bounded.

See ``core.http_call``: these connections ask it before they send. ``DeadlineSession`` is what the
kill switch sends by.
"""

import functools
import io
import queue
import socket
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.utils import get_auth_from_url
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.retry import Retry

from . import connecting
from .errors import BitoproMarginError, Failure, network_failure, not_sent, unreadable
from .http_call import CURRENT_CALL, CallTimeoutError, HttpCall, NotSentError, Turn

if TYPE_CHECKING:
    _Connection = urllib3.connection.HTTPConnection
    _Adapter = HTTPAdapter
    _Session = requests.Session
else:
    _Connection = _Adapter = _Session = object

MAX_ANSWER_BYTES: Final = 8_000_000
"""What an answer may hold, unpacked; the longest documented list is a tenth of it."""
_PIECE: Final = 4096
"""Bytes read at a time: packed by gzip, so many hold at most four million."""


class AnswerTooLongError(BitoproMarginError, requests.RequestException):
    """The answer is longer than any documented one."""


# -- connections -----------------------------------------------------------------------------------


class _GuardedConnection(_Connection):
    """Put before a class of urllib3's connections: asks the current call before it sends."""

    _connects_directly: bool
    _watched: socket.socket | None = None
    """A second handle of the connected socket: it stays valid while TLS wraps the first."""

    def _new_conn(self) -> socket.socket:
        call = CURRENT_CALL.get()
        # (Through a SOCKS proxy another library connects, within its time-out.)
        made: socket.socket = self._connect() if self._connects_directly else super()._new_conn()
        self._watched = made.dup()
        if call is not None:
            call.watch(self._watched)
        return made

    def _connect(self) -> socket.socket:
        call = CURRENT_CALL.get()
        timeout = self.timeout if isinstance(self.timeout, int | float) else None
        try:
            return connecting.connect(
                self._dns_host,
                self.port,
                timeout=timeout,
                source_address=self.source_address,
                socket_options=self.socket_options,
                check=call.check if call is not None else lambda: None,
            )
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"Connecting to {self.host} took too long") from error
        except OSError as error:
            raise NewConnectionError(self, f"Connecting failed: {error}") from error

    def connect(self) -> None:
        super().connect()
        call = CURRENT_CALL.get()
        if call is not None:
            call.check()

    def request(
        self, method: str, url: str, body: Any = None, headers: Any = None, **more: Any
    ) -> None:
        call = CURRENT_CALL.get()
        if call is None:
            super().request(method, url, body=body, headers=headers, **more)
            return
        if self.sock is None:
            self.connect()
        with call.sending(self._watched) as signed:
            merged = {**(headers or {}), **signed}
            super().request(method, url, body=body, headers=merged, **more)

    def close(self) -> None:
        watched, self._watched = self._watched, None
        try:
            super().close()
        finally:
            call = CURRENT_CALL.get()
            if watched is not None and call is not None:
                call.close(watched)
            elif watched is not None:
                watched.close()


@functools.cache
def _connection_class(base: type[Any]) -> type[Any]:
    direct = base._new_conn is urllib3.connection.HTTPConnection._new_conn
    bases = (_GuardedConnection, base)
    return type(f"Guarded{base.__name__}", bases, {"_connects_directly": direct})


class _ConnectionQueue(queue.LifoQueue[Any]):
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


@functools.cache
def _pool_class(base: type[Any], keep: int) -> type[Any]:
    own = {
        "ConnectionCls": _connection_class(base.ConnectionCls),
        "QueueCls": functools.partial(_ConnectionQueue, keep),
    }
    return type(f"Guarded{base.__name__}", (base,), own)


def _guard_manager(manager: Any, keep: int) -> Any:
    classes = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {
        scheme: base
        if issubclass(base.ConnectionCls, _GuardedConnection)
        else _pool_class(base, keep)
        for scheme, base in classes.items()
    }
    return manager


# -- sessions --------------------------------------------------------------------------------------


class _GuardedAdapter(_Adapter):
    """Put before a class of ``requests``' adapters: guarded connections, bounded answers."""

    _asks: bool
    """Whether it sends by these connections only, as far as anybody can see."""

    _keep: int

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return _guard_manager(super().proxy_manager_for(proxy, **options), self._keep)

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, *more: Any, **named: Any
    ) -> requests.Response:
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


class _GuardedSession(_Session):
    """Put before a class of sessions, whose state it shares: see ``guarded_session``."""

    __slots__ = ("_adapters", "_keep")
    _adapters: list[tuple[BaseAdapter, BaseAdapter]]
    _keep: int

    def request(self, method: Any, url: Any, *more: Any, **named: Any) -> requests.Response:
        # A redirect would carry the signed headers to wherever it points. With an `auth` of its own
        # the request is not given one from ~/.netrc.
        named["allow_redirects"] = False
        if named.get("auth") is None and self.auth is None:
            has_own = "@" in urllib.parse.urlsplit(str(url)).netloc
            named["auth"] = get_auth_from_url(str(url)) if has_own else _no_auth
        return super().request(method, url, *more, **named)

    def get_adapter(self, url: str) -> BaseAdapter:
        own: BaseAdapter = super().get_adapter(url)
        for source, guarded in self._adapters:
            if source is own:
                return guarded
        guarded = _guarded_adapter(own, self._keep)
        self._adapters.append((own, guarded))
        return guarded

    def close(self) -> None:
        for _, guarded in self._adapters:
            guarded.close()
        super().close()


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def guarded_session(session: requests.Session, keep: int = 1) -> requests.Session:
    """A view of a session, whoever made it, whose requests can be given up.

    ``keep`` is how many connections to a host are to stay open in ordinary use.
    It shares the state of ``session`` (headers, cookies, proxies, adapters), which stays as it is:
    connections are made anew, nothing is retried, no redirect is followed, and answers are bounded.
    """
    if isinstance(session, _GuardedSession):
        return session
    made: Any = object.__new__(_session_class(cast(Any, type(session))))
    made.__dict__ = session.__dict__
    made._adapters, made._keep = [], keep
    view: requests.Session = made
    return view


@functools.cache
def _session_class(base: type[Any]) -> type[Any]:
    return type(base.__name__, (_GuardedSession, base), {})


def _guarded_adapter(own: BaseAdapter, keep: int) -> BaseAdapter:
    made: Any = object.__new__(_adapter_class(cast(Any, type(own))))
    made.__dict__.update(own.__dict__)
    made._keep = keep
    if isinstance(own, HTTPAdapter):
        # As if unpickled: with pools of its own, made by the class of the user's.
        made.__setstate__(own.__getstate__())
        made.poolmanager.connection_pool_kw = dict(own.poolmanager.connection_pool_kw)
        made.max_retries = Retry(0, read=False)
        _guard_manager(made.poolmanager, keep)
    adapter: BaseAdapter = made
    return adapter


@functools.cache
def _adapter_class(base: type[Any]) -> type[Any]:
    asks = issubclass(base, HTTPAdapter) and base.send is HTTPAdapter.send
    return type(f"Guarded{base.__name__}", (_GuardedAdapter, base), {"_asks": asks})


# -- a session for the kill switch -----------------------------------------------------------------

T = TypeVar("T")


class DeadlineSession:
    """A session for one caller. ``trusted`` lets it use the environment's proxies."""

    def __init__(self, *, trusted: bool) -> None:
        session = requests.Session()
        session.trust_env = trusted
        self._session = guarded_session(session)

    def request(
        self,
        seconds: float,
        read: Callable[[requests.Response], T],
        *,
        sign: Callable[[], Mapping[str, str]] | None = None,
        turn: Turn | None = None,
        on_sent: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> T | Failure:
        """Send within ``seconds`` and return what ``read`` makes of the response, or a Failure.

        ``options`` are those of ``requests.Session.request``; ``sign``, ``turn`` and ``on_sent``
        those of ``HttpCall``. Redirects are not followed: what signs a call must not travel to
        wherever an answer points. A failure says whether the request may have left.
        """
        call = HttpCall(time.monotonic() + seconds, sign=sign, turn=turn, on_sent=on_sent)

        def work() -> T:
            # (The time-out here is for a thread that waits for what nobody can call off.)
            return read(self._session.request(timeout=seconds, **options))

        try:
            return call.run(work)
        except NotSentError as error:
            # (A second attempt of a library: the answer to the first is lost.)
            return unreadable(str(error)) if call.is_sent else not_sent("no connection in time")
        except AnswerTooLongError as error:
            return unreadable(str(error))
        except Exception as error:
            timed_out = isinstance(error, CallTimeoutError | requests.Timeout)
            failure = network_failure(error, timed_out=timed_out)
            # Nobody can have read what has not left: a connection that was refused, for instance.
            return failure if call.is_sent else failure._replace(sent=False)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._session.close()
