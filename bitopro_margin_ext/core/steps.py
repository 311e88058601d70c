"""The vocabulary of flows: what a generator asks of whoever performs it, and one call of it.

A flow yields steps and receives their answers. Whoever performs a ``Call`` answers with the decoded
body or with a ``Failure``, never with an exception, and does nothing else: no retry, no correction
of the clock. Performers are ``core.client`` and the blocking and the asynchronous ccxt class.
"""

import contextvars
import math
import random
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from .endpoints import Endpoint
from .errors import Failure, Meaning
from .nonces import CLOCK_TOLERANCE_MS, Nonces

MAX_NONCE_RETRIES: Final = 6
"""How often one call is signed anew after the exchange refused its nonce."""
LONGEST_CALL: Final = 10.0
"""Seconds that any one call may take, however far the deadline is."""
CONCURRENT_CALLS: Final = 8
"""How many calls of one ``Gather`` a blocking performer has on their way at the same time."""

Params = Mapping[str, Any] | list[Any]


class Call(NamedTuple):
    """Make this call, within ``timeout`` seconds if one is given."""

    endpoint: Endpoint
    params: Params
    timeout: float | None = None


class Gather(NamedTuple):
    """Make these calls at the same time; the answer is a list of theirs, in their order."""

    calls: tuple[Call, ...]


class Sleep(NamedTuple):
    """Wait this many seconds."""

    seconds: float


Step = Call | Gather | Sleep

Result = TypeVar("Result")

Flow = Generator[Step, Any, Result]


class ClockAndNonces(Protocol):
    """What knows how many ms the exchange's clock is ahead of ours (0 until it is learnt), and the
    nonces of the key."""

    clock_offset_ms: int

    @property
    def key_nonces(self) -> Nonces:
        """The nonces that every client of this process shares for the key."""


def call(
    account: ClockAndNonces,
    endpoint: Endpoint,
    params: Params,
    timeout: float | None = None,
    now: Callable[[], float] = lambda: time.monotonic(),
    turn: Callable[[], float | None] = lambda: 0.0,
) -> Flow[Any]:
    """Make one call, and retry it when the exchange refused its nonce.

    A 409 is the exchange's word that nothing was done, so any call may be retried after it. Where
    its ``Date`` shows that our clock is off, the exchange's time is taken, once. Where the clock is
    right, another nonce came first: the calls of the key are sent one by one from then on.
    ``timeout`` (seconds) bounds all of it. ``turn`` says how long a retry has to wait for its turn,
    or None where it has none.

    :returns: the decoded body or a ``Failure``; one that names the cause when the retries are
        refused as well.
    """
    started = now()
    answer = yield Call(endpoint, params, timeout)
    first = Call(endpoint, params, timeout)
    return (yield from retry_nonce(account, first, answer, started, now, turn))


def retry_nonce(
    account: ClockAndNonces,
    first: Call,
    answer: Any,
    started: float,
    now: Callable[[], float],
    turn: Callable[[], float | None],
) -> Flow[Any]:
    """The rest of ``call``, for an ``answer`` to its ``first`` call that is there already."""
    before = account.clock_offset_ms
    corrected: int | None = None
    params = first.params

    def left() -> float:
        return math.inf if first.timeout is None else started + first.timeout - now()

    for attempt in range(MAX_NONCE_RETRIES):
        pause = 0.0
        if not _is_refused_nonce(answer):
            return answer
        offset = None if corrected is not None else _clock_correction(answer, account)
        if offset is not None:
            corrected = account.clock_offset_ms = offset
            account.key_nonces.set_back(offset)
            params = _restamped(params, offset)
        else:
            # A correction that did not help was none: what follows is a clash, if anything.
            account.clock_offset_ms = before
            account.key_nonces.keep_in_order()
            if attempt:
                # Another process on the key is not to be met again at the same moment.
                pause = random.uniform(0.0, 0.02 * 2**attempt)  # noqa: S311 - not for secrets
        wait = turn()
        if wait is None or max(wait, pause) >= left():
            break
        if wait > 0 or pause > 0:
            yield Sleep(max(wait, pause))
        timeout = None if first.timeout is None else left()
        answer = yield Call(first.endpoint, params, timeout)
        if offset is None and corrected is not None:
            break
    if not _is_refused_nonce(answer):
        return answer
    account.clock_offset_ms = before
    text = "another process uses this API key, too: give each one a key of its own"
    if corrected is not None and corrected != before:
        side = "behind" if corrected > 0 else "ahead of"
        text = f"this machine's clock is {abs(corrected)} ms {side} the exchange's; set it by NTP"
    elif answer.clock_offset_ms is None:
        text += ", or this machine's clock is off: set it by NTP"
    return answer._replace(text=f"{answer.text}: {text}", error=None)


def _is_refused_nonce(answer: Any) -> bool:
    return isinstance(answer, Failure) and answer.meaning is Meaning.NONCE


def _clock_correction(failure: Failure, account: ClockAndNonces) -> int | None:
    """The clock offset to take after a refused nonce; None where the clock is right."""
    shown, offset = failure.clock_offset_ms, account.clock_offset_ms
    if shown is None:
        return None
    if abs(shown - offset) > CLOCK_TOLERANCE_MS:
        return shown
    # The clock is right, but earlier nonces that were refused for it can be far ahead.
    return offset if account.key_nonces.is_ahead(offset) else None


def _restamped(params: Params, offset_ms: int) -> Params:
    """The same body dated anew: orders carry the time that the exchange has just refused."""
    if isinstance(params, list):
        return [_restamped(entry, offset_ms) for entry in params]
    if "timestamp" not in params:
        return params
    return {**params, "timestamp": time.time_ns() // 1_000_000 + offset_ms}


class Moment(NamedTuple):
    """When a call was sent and answered, in seconds on one clock."""

    asked: float
    answered: float


def call_concurrently(perform: Callable[[Call], Any], calls: Sequence[Call]) -> list[Any]:
    """Perform calls on a few threads, this one among them, and return their answers in order."""
    answers: list[Any] = [None] * len(calls)

    def work(place: int) -> None:
        answers[place] = perform(calls[place])

    for start in range(0, len(calls), CONCURRENT_CALLS):
        first, *others = range(start, min(start + CONCURRENT_CALLS, len(calls)))
        # Daemons: whoever is interrupted here does not wait for them.
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(work, place), daemon=True)
            for place in others
        ]
        for thread in threads:
            thread.start()
        work(first)
        for thread in threads:
            thread.join()
    return answers
