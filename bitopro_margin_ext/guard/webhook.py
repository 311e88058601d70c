"""Telling people what happened: a webhook, retried for as long as a network may be away."""

import logging
import threading
import time
from typing import Any, Final

import requests

from ..core import redaction
from ..core.errors import Failure
from ..core.guarded_session import DeadlineSession

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
