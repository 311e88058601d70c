"""The calls of a flow: what it yields, how often it repeats, and how fast it may go."""

import random
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, NamedTuple

from .endpoints import REQUESTS_PER_SECOND, Endpoint
from .errors import Failure, Meaning, Outcome, not_sent
from .report import CancelReport

REPEATS: Final = 3
"""How often one call is repeated before something else is asked; its turn comes again."""
LONGEST_CALL: Final = 10.0
"""Seconds that any one call may take, however far the deadline is."""


class Send(NamedTuple):
    """Send this call, waiting at most ``timeout`` seconds; answer with the body or a Failure."""

    endpoint: Endpoint
    params: Mapping[str, Any]
    timeout: float


class Pause(NamedTuple):
    """Wait this many seconds."""

    seconds: float


Step = Send | Pause


class Sender:
    """Yields the calls of one flow within its deadline (seconds), counted in its report."""

    def __init__(self, report: CancelReport, deadline: float, clock: Callable[[], float]) -> None:
        self._report = report
        self._clock = clock
        self._ends = clock() + deadline
        # One call that hangs must leave time to ask again.
        self._call_timeout = min(max(1.0, deadline * 0.3), LONGEST_CALL)
        self._free_at: dict[str, float] = {}
        """When a page's call may be made again, by its documented limit or by Retry-After: two
        spellings of a path are one call to the exchange."""

    def send(
        self, endpoint: Endpoint, params: Mapping[str, Any], *, repeat_unknown: bool = True
    ) -> Generator[Step, Any, Any]:
        """Send, and repeat what a repetition can mend, within the deadline.

        With ``repeat_unknown`` False a call whose outcome is unknown is not repeated here: after a
        cancel without an answer the lists are read first.
        """
        for attempt in range(REPEATS + 1):
            wait = max(0.0, self._free_at.get(endpoint.page, 0.0) - self._clock())
            if wait >= self.remaining():
                return not_sent("no time left for this call")
            yield from self._wait(wait)
            self._report.requests += 1
            timeout = min(self._call_timeout, self.remaining())
            reply = yield Send(endpoint, params, timeout)
            self._free_at[endpoint.page] = self._clock() + endpoint.cost / REQUESTS_PER_SECOND
            if not isinstance(reply, Failure) or not reply.worth_repeating:
                return reply
            if not reply.sent:
                self._report.requests -= 1
            if reply.retry_after is not None:
                self._free_at[endpoint.page] = self._clock() + reply.retry_after
            if attempt == REPEATS or reply.meaning is Meaning.NONCE:
                # The transport has corrected its clock and repeated the call already.
                return reply
            if reply.outcome is Outcome.UNKNOWN and not repeat_unknown:
                return reply
            self._report.failures.append(reply)
            yield from self.pause(0.2 * 2**attempt)
        raise AssertionError("the last attempt returns")

    def pause(self, seconds: float) -> Generator[Step, Any, None]:
        """Wait about so long: jitter keeps two bots on one account from meeting again."""
        yield from self._wait(seconds * random.uniform(1.0, 1.25))  # noqa: S311 - not for secrets

    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self._ends - self._clock()

    def is_barred(self, endpoint: Endpoint) -> bool:
        """Whether the exchange will not answer this call again before the deadline."""
        return self._free_at.get(endpoint.page, 0.0) >= self._ends

    def _wait(self, seconds: float) -> Generator[Step, Any, None]:
        bounded = min(seconds, self.remaining())
        if bounded > 0:
            yield Pause(bounded)
