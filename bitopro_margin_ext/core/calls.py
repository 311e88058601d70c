"""One call of a flow: what a flow asks of its performer, and what is retried.

A flow is a generator: it yields steps and receives their answers. Whoever performs a ``Call``
answers with the decoded body or with a ``Failure``, never with an exception, and does nothing else:
no retry, no correction of the clock. Performers are ``core.client`` and the blocking and the
asynchronous ccxt class. ``RetryingCaller`` makes the calls of a sweep, within a deadline and the
documented limits.
"""

import contextvars
import functools
import math
import random
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from .endpoints import Endpoint
from .errors import FATAL, Failure, Meaning, Outcome, not_sent
from .rate_limit import RateLimits
from .report import CancelReport
from .signing import CLOCK_TOLERANCE_MS, Nonces

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
    first, started = Call(endpoint, params, timeout), now()
    answer = yield first
    return (yield from retry_nonce(account, first, answer, started, now, turn))


def retry_nonce(
    account: ClockAndNonces,
    first: Call,
    answer: Any,
    started: float,
    now: Callable[[], float] = lambda: time.monotonic(),
    turn: Callable[[], float | None] = lambda: 0.0,
) -> Flow[Any]:
    """The rest of ``call``, for an ``answer`` to its ``first`` call that is there already."""
    if not _is_refused_nonce(answer):
        return answer
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


# -- within a deadline and the documented limits ---------------------------------------------------

MAX_RETRIES: Final = 3
"""How often one call is retried before something else is asked; its turn comes again."""
MAX_REFUSALS: Final = 3
"""How often in a row the key may be refused before it counts as refused: one can be a stray."""


class RetryingCaller:
    """Makes the calls of one flow within its deadline (seconds) and the documented limits.

    Failures that were retried are added to the report. ``moment`` is that of the last ``call``.
    """

    def __init__(
        self,
        report: CancelReport,
        deadline: float,
        now: Callable[[], float],
        clock: ClockAndNonces,
        limits: RateLimits,
    ) -> None:
        self._report = report
        self._now = now
        self._clock = clock
        self._limits = limits
        self._free_at: dict[str, float] = {}
        """Until when the exchange asked not to be called, by page: two spellings of a path are one
        call to it."""
        self._refusals = {True: 0, False: 0}
        """How often the key was refused with no success since, for reads and for writes."""
        self.refused_reads: Failure | None = None
        self.refused_writes: Failure | None = None
        """The refusal of the key that stands: it was repeated, and nothing was accepted since."""
        self.moment = Moment(now(), now())
        self.extend(deadline)

    def extend(self, deadline: float, report: CancelReport | None = None) -> None:
        """Give the flow so many seconds from now, and another report to note failures in."""
        self._report = self._report if report is None else report
        self.ends = self._now() + deadline
        # One call that hangs must leave time to ask again.
        self._call_timeout = min(max(1.0, deadline * 0.3), LONGEST_CALL)

    def call(
        self, endpoint: Endpoint, params: Mapping[str, Any], *, retry_unknown: bool = True
    ) -> Flow[Any]:
        """Call, and retry what a retry can cure, within the deadline.

        With ``retry_unknown`` False a call whose outcome is unknown is not retried here: after a
        cancel without an answer the lists are read first.
        """
        answer = yield from self._call_in_turn(endpoint, params)
        if isinstance(answer, Failure):
            answer = yield from self._retry(endpoint, params, answer, retry_unknown)
        return answer

    def call_together(
        self, requests: Sequence[tuple[Endpoint, Mapping[str, Any]]]
    ) -> Flow[list[tuple[Any, Moment]]]:
        """Make several reads at the same time, each retried as ``call`` does.

        :returns: their answers with their moments, in order. A read whose limit is used up waits
            for its turn after the others.
        """
        answers: list[Any] = [None] * len(requests)
        moments = [self.moment] * len(requests)
        together: list[int] = []
        if len(requests) > 1 and self.remaining() > 0:
            timeout = self._timeout()
            made = [Call(*request, timeout) for request in requests]
            free = [n for n, (endpoint, _) in enumerate(requests) if not self._barred_for(endpoint)]
            together = [n for n in free if self._limits.try_reserve(requests[n][0], 0) == 0]
        if together:
            started = self._now()
            calls = tuple(map(made.__getitem__, together))
            self._report.requests += len(calls)
            found = yield Gather(calls)
            moment = Moment(started, self._now())
            for place, first, answer in zip(together, calls, found, strict=True):
                self.moment = moment
                if isinstance(answer, Failure):
                    answer = yield from self._failed(first, answer, started)
                self._note(first.endpoint, answer)
                if isinstance(answer, Failure):
                    answer = yield from self._retry(*requests[place], answer, True)
                answers[place] = answer
                moments[place] = self.moment
        for place, (endpoint, params) in enumerate(requests):
            if place not in together:
                answers[place] = yield from self.call(endpoint, params)
                moments[place] = self.moment
        return list(zip(answers, moments, strict=True))

    def pause(self, seconds: float) -> Flow[None]:
        """Wait about so long: jitter keeps two bots on one account from meeting again."""
        yield from self._sleep(seconds * random.uniform(1.0, 1.25))  # noqa: S311 - not for secrets

    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self.ends - self._now()

    def is_barred(self, endpoint: Endpoint) -> bool:
        """Whether the exchange will not answer this call again before the deadline."""
        return self._free_at.get(endpoint.page, 0.0) >= self.ends

    def _call_in_turn(self, endpoint: Endpoint, params: Mapping[str, Any]) -> Flow[Any]:
        wait = self._barred_for(endpoint)
        if wait < self.remaining():
            yield from self._sleep(wait)
            turn = self._turn(endpoint)
        else:
            turn = None
        if turn is None or self.remaining() <= 0:
            return not_sent("no time left for this call")
        yield from self._sleep(turn)
        first, asked = Call(endpoint, params, self._timeout()), self._now()
        self._report.requests += 1
        answer = yield first
        if isinstance(answer, Failure):
            answer = yield from self._failed(first, answer, asked)
        self.moment = Moment(asked, self._now())
        self._note(endpoint, answer)
        return answer

    def _failed(self, first: Call, answer: Failure, asked: float) -> Flow[Any]:
        """Count what has not left out, and retry what was refused for its nonce."""
        self._report.requests -= not answer.sent
        turn = functools.partial(self._turn, first.endpoint)
        flow = retry_nonce(self._clock, first, answer, asked, self._now, turn)
        reply = None
        while True:
            try:
                step = flow.send(reply)
            except StopIteration as stop:
                return stop.value
            is_call = isinstance(step, Call)
            self._report.requests += is_call
            reply = yield step
            self._report.requests -= is_call and isinstance(reply, Failure) and not reply.sent

    def _turn(self, endpoint: Endpoint) -> float | None:
        """How many seconds a call waits for its turn; None for one whose turn comes too late."""
        # Whoever performs a cancel-all keeps its limit, in a sweep and out of it.
        if endpoint.cancels_all:
            return 0.0
        return self._limits.try_reserve(endpoint, self.remaining())

    def _note(self, endpoint: Endpoint, answer: Any) -> None:
        """Take in what an answer says of the next calls."""
        is_read = endpoint.method == "GET"
        if not isinstance(answer, Failure):
            self._count_refusal(is_read, None)
        else:
            if answer.retry_after is not None:
                self._free_at[endpoint.page] = self._now() + answer.retry_after
            if answer.meaning in FATAL:
                self._count_refusal(is_read, answer)
            elif answer.outcome is Outcome.REFUSED and answer.meaning is not Meaning.RATE_LIMIT:
                # It was refused for something else: the key was accepted.
                self._count_refusal(is_read, None)
            if not answer.sent:
                return
        if endpoint.cancels_all:
            self._limits.cancel_all.arrived()

    def _count_refusal(self, is_read: bool, refusal: Failure | None) -> None:
        self._refusals[is_read] = 0 if refusal is None else self._refusals[is_read] + 1
        standing = refusal if self._refusals[is_read] >= MAX_REFUSALS else None
        if is_read:
            self.refused_reads = standing
        else:
            self.refused_writes = standing

    def _retry(
        self, endpoint: Endpoint, params: Mapping[str, Any], answer: Any, retry_unknown: bool
    ) -> Flow[Any]:
        for attempt in range(MAX_RETRIES + 1):
            if not isinstance(answer, Failure):
                return answer
            if answer.meaning in FATAL:
                # A stray refusal is worth another look, at no risk to anything.
                if endpoint.method != "GET" or self.refused_reads:
                    return answer
            elif not answer.is_retryable or answer.status == 404:
                # A path that is not there is not there a moment later; a later round asks again.
                return answer
            if answer.outcome is Outcome.UNKNOWN and not retry_unknown:
                return answer
            if attempt == MAX_RETRIES or self._barred_for(endpoint) >= self.remaining():
                return answer
            self._report.failures.append(answer)
            yield from self.pause(0.2 * 2**attempt)
            answer = yield from self._call_in_turn(endpoint, params)
        raise AssertionError("the last attempt returns")

    def _timeout(self) -> float:
        return min(self._call_timeout, self.remaining())

    def _barred_for(self, endpoint: Endpoint) -> float:
        return max(0.0, self._free_at.get(endpoint.page, 0.0) - self._now())

    def _sleep(self, seconds: float) -> Flow[None]:
        bounded = min(seconds, self.remaining())
        if bounded > 0:
            yield Sleep(bounded)
