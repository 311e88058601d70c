"""The guard's rounds: look, judge, cancel and confirm, tell."""

import logging
import threading
import time
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from ..core import parse_account, redaction, sweep
from ..core.client import DeadlineSession, MarginClient
from ..core.endpoints import BALANCES
from ..core.errors import Failure, Meaning
from ..core.parse import is_zero
from ..core.report import CancelReport, SweepOutcome
from .heartbeat import Heartbeat
from .state import Look, Memory, News, Rule, Standing, confirm, judge

logger = logging.getLogger(__name__)


PAUSES: Final = (1, 5, 30, 120, 300)
"""Seconds between tries: a network that went with the bot often comes back with it."""

TIMEOUT: Final = 10.0


class Webhook:
    """POSTs JSON with ``text`` and ``content`` (Slack's and Discord's names) and the facts."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        if url is not None:
            # The path of a webhook's address is its password.
            redaction.add_secret(url)
            redaction.add_secret(urlsplit(url).path)

    def tell(self, event: str, text: str, **facts: Any) -> None:
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
        logger.warning(f"the webhook was not reached, so it does not know: {problem}")


def _status(response: requests.Response) -> int:
    return response.status_code


logger = logging.getLogger(__name__)


READ_SECONDS: Final = 5.0
"""For one look at the bot or at adRatio, at most."""


_TEXTS: Final = {
    News.SILENT: "SILENT: no sign of life of the bot for {silence:.0f} s",
    News.RETURNED: "the bot is back: armed again",
    News.RETURNED_UNCONFIRMED: (
        "the bot is back before all orders were confirmed cancelled: they are its own again, armed"
    ),
    News.RATIO_LOW: "adRatio {ratio} is below {minimum}",
    News.RATIO_RECOVERED: "adRatio {ratio} has recovered: armed again",
    News.RATIO_RECOVERED_UNCONFIRMED: (
        "adRatio {ratio} has recovered before all orders were confirmed cancelled: armed again"
    ),
}


class Watch:
    """Looks after one bot and one account until ``stop`` is set."""

    def __init__(
        self,
        rule: Rule,
        heartbeat: Heartbeat,
        client: MarginClient,
        memory: Memory,
        webhook: Webhook,
        *,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stop = threading.Event()
        self._rule = rule
        self._heartbeat = heartbeat
        self._client = client
        self._memory = memory
        self._webhook = webhook
        self._deadline = deadline
        self._clock = clock
        self._standing: Standing = memory.recall()
        self._looked_at = clock()
        self._problem: str | None = None
        self._last_verdict = ""

    def run(self) -> None:
        """Go round after round."""
        if self._standing.firing:
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
        beat = self._heartbeat.look(min(READ_SECONDS, self._rule.interval))
        self._mention(self._heartbeat.problem)
        ratio = None if self._rule.min_ad_ratio is None else self._read_ratio()
        now = self._clock()
        look = Look(now - self._looked_at, beat, ratio)
        self._looked_at = now
        self._standing, news = judge(self._standing, look, self._rule)
        # Before anything is sent: a guard that dies now must know on its return what it was at.
        self._memory.keep(self._standing)
        for item in news:
            self._tell(item, ratio)
        if self._standing.firing:
            self._fire()

    def _fire(self) -> None:
        report = CancelReport("all")
        flow = sweep.cancel_and_confirm(
            None,
            deadline=self._deadline,
            exchange_clock=self._client,
            report=report,
        )
        self._client.run(flow, report)
        confirmed = report.outcome is SweepOutcome.CONFIRMED
        if confirmed:
            self._standing = confirm(self._standing)
            self._memory.keep(self._standing)
        verdict = f"{report.outcome.value} {sorted(order['id'] for order in report.still_open)}"
        if confirmed or verdict != self._last_verdict:
            log = logger.warning if confirmed else logger.error
            text = f"cancel-all: {report.summary()}"
            log(text if confirmed else f"{text}; trying again")
            self._webhook.tell("cancel-all", text, report=report.to_json())
        self._last_verdict = "" if confirmed else verdict

    def _read_ratio(self) -> Decimal | None:
        answer = self._client.call(BALANCES, {}, READ_SECONDS)
        if isinstance(answer, Failure):
            self._mention(f"adRatio cannot be read: {answer}")
            return None
        try:
            account = parse_account.parse_margin_account(answer)
            # Without a debt there is nothing to be in danger of, whatever stands there then.
            if is_zero(account["totalDebt"]):
                return None
            return Decimal(account["adRatio"])
        except (AttributeError, TypeError, InvalidOperation):
            self._mention("adRatio cannot be read: unreadable answer")
            return None

    def _mention(self, problem: str | None) -> None:
        """Log why a look found nothing, once for as long as it stays the same."""
        if problem is not None and problem != self._problem:
            logger.warning(problem)
        self._problem = problem

    def _tell(self, news: News, ratio: Decimal | None) -> None:
        text = _TEXTS[news].format(
            silence=self._standing.silence, ratio=ratio, minimum=self._rule.min_ad_ratio
        )
        if self._standing.firing and news in (News.SILENT, News.RATIO_LOW):
            text += ": cancelling every margin order"
        logger.warning(text)
        self._webhook.tell(news.value, text)


def refusal(client: MarginClient) -> str | None:
    """Why the key cannot serve, if the exchange says so; None if it can, or nothing was learnt."""
    answer = client.read(BALANCES, deadline=READ_SECONDS)
    if not isinstance(answer, Failure):
        return None
    if answer.meaning in (Meaning.AUTHENTICATION, Meaning.PERMISSION):
        return str(answer)
    logger.warning(f"the exchange cannot be reached now, watching all the same: {answer}")
    return None
