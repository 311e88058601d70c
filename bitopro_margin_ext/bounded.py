"""HTTP calls that end in time, whatever the other side does.

The time-outs of ``requests`` bound each read of a socket, so name resolution, or an answer that
drips, can outlast them. Here a call runs on a thread of its own and is given up when its time is
over.
"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import requests

from .errors import Failure, network_failure

T = TypeVar("T")


class BoundedSession:
    """A ``requests`` session for one caller. ``trusted`` lets it use the environment's proxies."""

    def __init__(self, *, trusted: bool) -> None:
        self._trusted = trusted
        self._session = self._new_session()

    def request(
        self, seconds: float, read: Callable[[requests.Response], T], **options: Any
    ) -> T | Failure:
        """Send within ``seconds`` and return what ``read`` makes of the response, or a Failure.

        ``options`` are those of ``requests.Session.request``. Redirects are not followed: what
        signs a call must not travel to wherever an answer points.
        """
        answers: list[T | Failure] = []
        done = threading.Event()
        session = self._session

        def work() -> None:
            try:
                # The bound here is for the thread that was given up: it ends by itself, too.
                answer = session.request(allow_redirects=False, timeout=seconds, **options)
                answers.append(read(answer))
            except requests.Timeout as error:
                answers.append(network_failure(error, timed_out=True))
            except Exception as error:
                answers.append(network_failure(error, timed_out=False))
            finally:
                done.set()

        # A daemon: one that hangs must hold up neither the next call nor the end of the process.
        threading.Thread(target=work, name="bitopro-margin-call", daemon=True).start()
        if not done.wait(seconds):
            # The abandoned call keeps its connection.
            self._session = self._new_session()
            return network_failure(TimeoutError(), timed_out=True)
        return answers[0]

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = self._trusted
        return session
