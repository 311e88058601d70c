"""The kill switch's way to the exchange: ``requests`` alone, each call bounded in time.

Several pairs are one flow: theirs take turns, so that none waits for another's trouble.
"""

import json
import math
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import requests

from .calls import (
    LONGEST_CALL,
    Call,
    Flow,
    Gather,
    Params,
    Result,
    Sleep,
    Step,
    call,
    call_concurrently,
)
from .credentials import Credentials
from .endpoints import Endpoint
from .errors import Failure, Meaning, classify, not_sent, unreadable
from .guarded_session import DeadlineSession
from .rate_limit import limits_of
from .report import CancelReport
from .signing import build_request, nonces_of
from .sweep import SweptAccount, cancel_and_confirm, list_without_cancelling

SHORTEST_CALL = 0.05
"""Seconds. A call with less time than this is not started."""


class MarginClient:
    """One account at one host. ``base_url`` is what stands before ``/margin``.

    ``on_failure`` is called with every call that was tried and failed, as it happens.
    """

    def __init__(
        self,
        credentials: Credentials,
        base_url: str,
        on_failure: Callable[[Failure], None] | None = None,
    ) -> None:
        self.credentials = credentials
        self.base_url = base_url
        self.clock_offset_ms = 0
        self.key_nonces = nonces_of(credentials.key)
        self._on_failure = on_failure or (lambda failure: None)
        # Plain HTTP is for the loopback only: what signs must not go to a proxy in clear.
        self._session = DeadlineSession(trusted=base_url.startswith("https:"))
        self.rate_limits = limits_of(base_url)

    def run(self, flow: Flow[CancelReport], report: CancelReport) -> CancelReport:
        """Run a flow that fills ``report`` to its end.

        When the user interrupts, the report holds what was learnt until then, and says that it is
        in doubt if a write was on its way.
        """
        try:
            return self._perform_all(flow)
        except KeyboardInterrupt:
            report.listed = False
            report.in_doubt |= self._is_writing
            raise

    def call(self, endpoint: Endpoint, params: Mapping[str, Any], timeout: float) -> Any:
        """Make one signed call and return its decoded answer, or a ``Failure``: never an exception.

        ``timeout`` (seconds) bounds all of it, a second call with a corrected clock included.
        """
        return self._perform_all(call(self, endpoint, params, timeout))

    def read(self, endpoint: Endpoint, *, deadline: float) -> Any:
        """Make a call without parameters that only reads, and retry it until it is answered.

        ``deadline`` is in seconds.
        """
        ends = time.monotonic() + deadline
        pause = 0.2
        while True:
            answer = self.call(endpoint, {}, ends - time.monotonic())
            if not isinstance(answer, Failure) or not answer.is_retryable:
                return answer
            pause = max(pause * 2, answer.retry_after or 0.0)
            if pause >= ends - time.monotonic():
                return answer
            time.sleep(pause)

    def _perform_all(self, flow: Flow[Result]) -> Result:
        answer: Any = None
        self._is_writing = False
        try:
            while True:
                answer = self._perform(flow.send(answer))
        except StopIteration as stop:
            result: Result = stop.value
            return result
        finally:
            flow.close()

    def _perform(self, step: Step) -> Any:
        match step:
            case Sleep(seconds):
                self._is_writing = False
                return time.sleep(seconds)
            case Gather(calls):
                return call_concurrently(self._perform_call, calls)
            case Call(endpoint):
                self._is_writing = endpoint.method != "GET"
                return self._perform_call(step)

    def _perform_call(self, step: Call) -> Any:
        timeout = math.inf if step.timeout is None else step.timeout
        return self._send(step.endpoint, step.params, time.monotonic() + timeout)

    def _send(self, endpoint: Endpoint, params: Params, ends: float) -> Any:
        if endpoint.cancels_all:
            wait = self.rate_limits.try_reserve(endpoint, ends - time.monotonic())
            if wait is None:
                return not_sent("a cancel-all left a moment ago")
            time.sleep(wait)
        left = ends - time.monotonic()
        if left < SHORTEST_CALL:
            return not_sent("no time left for this call")
        request = build_request(
            endpoint,
            params,
            base_url=self.base_url,
            key=self.credentials.key,
            secret=self.credentials.secret,
            identity=self.credentials.email,
            offset_ms=self.clock_offset_ms,
        )
        signer = getattr(request.headers, "signer", None)
        answer = self._session.request(
            min(left, LONGEST_CALL),
            _read,
            signer=signer,
            method=request.method,
            url=request.url,
            headers=request.headers,
            data=request.body,
        )
        failed = isinstance(answer, Failure)
        is_refused = failed and (not answer.sent or answer.meaning is Meaning.NONCE)
        if signer is not None and not is_refused:
            self.key_nonces.accepted.append(signer.nonce)
        if failed and answer.clock_offset_ms is None:
            self._on_failure(answer)
        return answer


def _read(response: requests.Response) -> Any:
    status = response.status_code
    if not 200 <= status < 300:
        path = urllib.parse.urlsplit(response.url).path
        body = response.content.decode("utf-8", "replace")
        return classify(status, body, path=path, headers=response.headers)
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return unreadable("not JSON")


# -- several pairs ---------------------------------------------------------------------------------


def cancel_pairs(
    symbols: Sequence[str],
    *,
    deadline: float,
    exchange_clock: SweptAccount,
    report: CancelReport,
    parts: list[CancelReport],
) -> Flow[CancelReport]:
    """Cancel the margin orders of these pairs, each as ``cancel_and_confirm`` does.

    ``deadline`` (seconds) bounds all of it. ``parts`` receives a report for every pair, and
    ``report`` what they say together, also when the flow is closed early.
    """
    bounds = {"deadline": deadline, "exchange_clock": exchange_clock}
    return _together(cancel_and_confirm, symbols, report, parts, bounds)


def list_pairs(
    symbols: Sequence[str],
    *,
    deadline: float,
    exchange_clock: SweptAccount,
    report: CancelReport,
    parts: list[CancelReport],
) -> Flow[CancelReport]:
    """Report what is open on these pairs; send no write at all. Otherwise as ``cancel_pairs``."""
    bounds = {"deadline": deadline, "exchange_clock": exchange_clock}
    return _together(list_without_cancelling, symbols, report, parts, bounds)


def _together(
    sweep: Callable[..., Flow[CancelReport]],
    symbols: Sequence[str],
    report: CancelReport,
    parts: list[CancelReport],
    bounds: Mapping[str, Any],
) -> Flow[CancelReport]:
    parts += [CancelReport(symbol) for symbol in symbols]
    return _summed_up([sweep(part.scope, report=part, **bounds) for part in parts], report, parts)


def _summed_up(
    flows: Sequence[Flow[CancelReport]], report: CancelReport, parts: Sequence[CancelReport]
) -> Flow[CancelReport]:
    try:
        yield from take_turns(flows, time.monotonic)
    finally:
        report.sum_up(parts)
    return report


def take_turns(flows: Sequence[Flow[Any]], clock: Callable[[], float]) -> Flow[None]:
    """Run flows side by side in one performer: a call of one fills the pauses of the others."""
    due = {number: clock() for number in range(len(flows))}
    answers: dict[int, Any] = dict.fromkeys(due)
    try:
        while due:
            number = min(due, key=due.__getitem__)
            wait = due[number] - clock()
            if wait > 0:
                yield Sleep(wait)
            try:
                step = flows[number].send(answers[number])
            except StopIteration:
                del due[number]
                continue
            if isinstance(step, Sleep):
                answers[number] = None
                due[number] = clock() + step.seconds
            else:
                answers[number] = yield step
                # Behind those that wait already.
                due[number] = clock()
    finally:
        for flow in flows:
            flow.close()
