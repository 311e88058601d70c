"""The guard's rounds: look, decide, cancel and confirm, report."""

import logging
import threading
import time
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import requests

from ..core import parse_account, redaction, sweep
from ..core.calls import Call, Flow, Gather, Step
from ..core.client import MarginClient
from ..core.endpoints import BALANCES
from ..core.errors import Failure, Meaning
from ..core.guarded_session import DeadlineSession
from ..core.parse import is_zero
from ..core.report import CancelReport, SweepOutcome
from .heartbeat import Beat, Heartbeat
from .state import (
    AdRatio,
    Debt,
    Event,
    Observation,
    Phase,
    Rule,
    StateFile,
    WatchState,
    confirm,
    is_life,
    update,
)

logger = logging.getLogger(__name__)

READ_SECONDS: Final = 5.0
"""For one look at the bot or at adRatio, at most."""

RETURN_SECONDS: Final = 1.0
"""For one look at the bot between two cancels: a bot that hangs must not hold them up for long."""


_TEXTS: Final = {
    Event.ALIVE: "the bot is alive: armed",
    Event.NEVER_SEEN: (
        "NOT ARMED: no sign of life of the bot for {silence:.0f} s, and none before: nothing is "
        "cancelled until it has shown one ({problem})"
    ),
    Event.SILENT: "SILENT: no sign of life of the bot for {silence:.0f} s",
    Event.RETURNED: "the bot is back: armed again",
    Event.RETURNED_UNCONFIRMED: (
        "the bot is back before all orders were confirmed cancelled: they are its own again, armed"
    ),
    Event.RATIO_LOW: "adRatio {ratio} is below {minimum}",
    Event.RATIO_RECOVERED: "{recovery}: armed again",
    Event.RATIO_RECOVERED_UNCONFIRMED: (
        "{recovery} before all orders were confirmed cancelled: armed again"
    ),
}


class Watch:
    """Looks after one bot and one account until ``stop`` is set."""

    def __init__(
        self,
        rule: Rule,
        heartbeat: Heartbeat,
        client: MarginClient,
        state_file: StateFile,
        webhook: "Webhook",
        *,
        deadline: float,
        armed_from_start: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stop = threading.Event()
        self._rule = rule
        self._heartbeat = heartbeat
        self._client = client
        self._state_file = state_file
        self._webhook = webhook
        self._deadline = deadline
        self._clock = clock
        self.state: WatchState = state_file.read()
        if armed_from_start and self.state.heartbeat is Phase.WAITING:
            self.state = self.state._replace(heartbeat=Phase.ARMED, silence=0.0)
        self._looked_at = clock()
        self._problem: str | None = None
        self._last_verdict = ""

    def run(self) -> None:
        """Go round after round."""
        if self.state.firing:
            logger.warning("an event was not confirmed when the guard ended: going on with it")
        while not self.stop.is_set():
            begun = self._clock()
            try:
                self.round()
            except Exception as error:
                # Whatever it is, the next round is worth more than an end with a traceback.
                logger.error(f"this round failed: {type(error).__name__}")
            self.stop.wait(max(0.0, self._rule.interval - (self._clock() - begun)))

    def round(self) -> None:
        """Look once, and act on it."""
        ratio: AdRatio = None
        unread = None
        if self._rule.min_ad_ratio is not None:
            # Not for long: silence is counted in looks at the bot.
            ratio, unread = self._read_ratio(min(READ_SECONDS, max(1.0, self._rule.interval)))
        # The bot last: nothing stands between this look and a cancel.
        beat = self._heartbeat.look(min(READ_SECONDS, self._rule.interval))
        self._mention(self._heartbeat.problem or unread)
        self._observe(beat, ratio)
        if self.state.firing:
            self._fire()

    def _observe(self, beat: Beat | None, ratio: AdRatio = None) -> None:
        now = self._clock()
        seen = Observation(
            elapsed=now - self._looked_at,
            beat=None if beat is None else beat.name,
            ad_ratio=ratio,
            # From a time to come it is no fresher than from one long past.
            stale=beat is not None and abs(beat.age) > self._rule.after,
        )
        self._looked_at = now
        self.state, events = update(self.state, seen, self._rule)
        # Before anything is sent: a guard that dies now must know on its return what it was at.
        self._state_file.write(self.state)
        for event in events:
            self._report(event, ratio)

    def _fire(self) -> None:
        report = CancelReport("all")
        flow = sweep.cancel_and_confirm(
            None,
            deadline=self._deadline,
            exchange_clock=self._client,
            report=report,
        )
        self._client.run(self._until_returned(flow, report), report)
        if not self.state.firing:
            # The bot is back, and its orders are its own.
            return
        confirmed = report.outcome is SweepOutcome.CONFIRMED
        if confirmed:
            self.state = confirm(self.state)
            self._state_file.write(self.state)
        verdict = f"{report.outcome.value} {sorted(order['id'] for order in report.still_open)}"
        if confirmed or verdict != self._last_verdict:
            log = logger.warning if confirmed else logger.error
            text = f"cancel-all: {report.summary()}"
            log(text if confirmed else f"{text}; trying again")
            self._webhook.post("cancel-all", text, report=report.to_json())
        self._last_verdict = "" if confirmed else verdict

    def _until_returned(self, flow: Flow[CancelReport], report: CancelReport) -> Flow[CancelReport]:
        """The steps of a flow, until one would cancel and the bot is found to be back."""
        answer: Any = None
        first = True
        try:
            while True:
                step = flow.send(answer)
                if _writes(step):
                    # Before the first one the round has just looked.
                    if not first and self._is_back():
                        flow.close()
                        report.listed = False
                        return report
                    first = False
                answer = yield step
        except StopIteration as stop:
            finished: CancelReport = stop.value
            return finished

    def _is_back(self) -> bool:
        if self.state.heartbeat is not Phase.FIRING:
            return False
        beat = self._heartbeat.look(min(RETURN_SECONDS, self._rule.interval))
        if beat is None or not is_life(self.state, beat.name):
            return False
        self._observe(beat)
        return not self.state.firing

    def _read_ratio(self, seconds: float) -> tuple[AdRatio, str | None]:
        """adRatio, and why it could not be read."""
        answer = self._client.call(BALANCES, {}, seconds)
        if isinstance(answer, Failure):
            return None, f"adRatio cannot be read: {answer}"
        try:
            return ad_ratio(answer), None
        except (AttributeError, TypeError, ValueError, InvalidOperation):
            return None, "adRatio cannot be read: unreadable answer"

    def _mention(self, problem: str | None) -> None:
        """Log why a look found nothing, once for as long as it stays the same."""
        if problem is not None and problem != self._problem:
            logger.warning(problem)
        self._problem = problem

    def _report(self, event: Event, ratio: AdRatio) -> None:
        text = _TEXTS[event].format(
            silence=self.state.silence,
            ratio=ratio,
            minimum=self._rule.min_ad_ratio,
            problem=self._problem or "it does not change",
            recovery="the debt is repaid" if ratio is Debt.NONE else f"adRatio {ratio} recovered",
        )
        if event in (Event.SILENT, Event.RATIO_LOW):
            text += ": cancelling every margin order"
        logger.log(logging.INFO if event is Event.ALIVE else logging.WARNING, text)
        if event is not Event.ALIVE:
            self._webhook.post(event.value, text)


def _writes(step: Step) -> bool:
    match step:
        case Call(endpoint):
            return endpoint.method != "GET"
        case Gather(calls):
            return any(map(_writes, calls))
        case _:
            return False


def ad_ratio(answer: Any) -> AdRatio:
    """The ratio of an account's answer, or ``Debt.NONE``.

    :raises ValueError: for an answer that does not say both, or one of them in another form. (And
        what reading something else than an object raises.)
    """
    account = parse_account.parse_margin_account(answer)
    debt, ratio = account["totalDebt"], account["adRatio"]
    if debt is None:
        raise ValueError("no total debt")
    # Without a debt there is nothing to be in danger of, whatever stands there then.
    if is_zero(debt):
        return Debt.NONE
    if ratio is None:
        raise ValueError("no adRatio")
    return Decimal(ratio)


def refusal(client: MarginClient) -> str | None:
    """Why the key cannot serve, if the exchange says so; None if it can, or nothing was learnt."""
    answer = client.read(BALANCES, deadline=READ_SECONDS)
    if not isinstance(answer, Failure):
        return None
    if answer.meaning in (Meaning.AUTHENTICATION, Meaning.PERMISSION):
        return str(answer)
    logger.warning(f"the exchange cannot be reached now, watching all the same: {answer}")
    return None


logger = logging.getLogger(__name__)

PAUSES: Final = (1, 5, 30, 120, 300)
"""Seconds between tries: a network that went with the bot often comes back with it."""

TIMEOUT: Final = 10.0


class Webhook:
    """POSTs JSON with ``text`` and ``content`` (Slack's and Discord's names) and the facts."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        if url is not None:
            redaction.add_url_secrets(url, path=True)

    def post(self, event: str, text: str, **facts: Any) -> None:
        """Send on a thread of its own; give up, with a word in the log, after some tries."""
        if self._url is None:
            return
        line = redaction.redact(text)
        document = {"event": event, "text": line, "content": line, **facts}
        threading.Thread(
            target=self._deliver, args=(self._url, document), name="webhook", daemon=True
        ).start()

    def _deliver(self, url: str, document: dict[str, Any]) -> None:
        session = DeadlineSession(trusted=True)
        problem = ""
        for pause in (*PAUSES, None):
            status = session.request(TIMEOUT, _status, method="POST", url=url, json=document)
            if not isinstance(status, Failure) and status < 300:
                return
            problem = str(status)
            if pause is not None:
                time.sleep(pause)
        logger.warning(
            f"the webhook was not reached, so it does not know of {document['event']}: {problem}"
        )


def _status(response: requests.Response) -> int:
    return response.status_code
