"""Sessions of ``requests`` whose requests can be given up, and whose answers are bounded.

See ``core.http_call``: the parts of these sessions ask it before they send. ``DeadlineSession`` is
what the kill switch sends by.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.util.retry import Retry

from .connecting import GuardedConnection
from .errors import Failure, network_failure, not_sent, unreadable
from .http_call import (
    AnswerTooLongError,
    CallTimeoutError,
    ConnectionQueue,
    HttpCall,
    NotSentError,
    SendingAdapter,
    SendingSession,
)
from .signing import Signer

T = TypeVar("T")


@functools.cache
def _connection_class(base: type[Any]) -> type[Any]:
    direct = base._new_conn is urllib3.connection.HTTPConnection._new_conn
    bases = (GuardedConnection, base)
    return type(f"Guarded{base.__name__}", bases, {"_connects_directly": direct})


@functools.cache
def _pool_class(base: type[Any], keep: int) -> type[Any]:
    own = {
        "ConnectionCls": _connection_class(base.ConnectionCls),
        # Else a later Python takes it for a method.
        "QueueCls": staticmethod(functools.partial(ConnectionQueue, keep)),
    }
    return type(f"Guarded{base.__name__}", (base,), own)


def _guard_manager(manager: Any, keep: int) -> Any:
    classes = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {
        scheme: base
        if issubclass(base.ConnectionCls, GuardedConnection)
        else _pool_class(base, keep)
        for scheme, base in classes.items()
    }
    return manager


class _GuardedAdapter(SendingAdapter):
    """Put before a class of ``requests``' adapters: its connections are guarded ones."""

    _keep: int

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return _guard_manager(super().proxy_manager_for(proxy, **options), self._keep)


class _GuardedSession(SendingSession):
    """Put before a class of sessions, whose state it shares: see ``guarded_session``."""

    __slots__ = ("_adapters", "_keep")
    _adapters: list[tuple[BaseAdapter, BaseAdapter]]
    _keep: int

    def _sending_adapter(self, own: BaseAdapter) -> BaseAdapter:
        return _guarded_adapter(own, self._keep)

    def close(self) -> None:
        for _, guarded in self._adapters:
            guarded.close()
        super().close()


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
        signer: Signer | None = None,
        **options: Any,
    ) -> T | Failure:
        """Send within ``seconds`` and return what ``read`` makes of the response, or a Failure.

        ``options`` are those of ``requests.Session.request``; ``signer`` is
        that of ``HttpCall``. Redirects are not followed: what signs a call must not travel to
        wherever an answer points. A failure says whether the request may have left.
        """
        call = HttpCall(time.monotonic() + seconds, signer)

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
