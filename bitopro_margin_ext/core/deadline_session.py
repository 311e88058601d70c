"""A ``requests`` session whose every call has ended by its deadline and is not sent after it."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import requests

from .errors import Failure, network_failure, not_sent, unreadable
from .guarded_session import AnswerTooLongError, guarded_session
from .http_call import CallTimeoutError, HttpCall, NotSentError, Turn

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
