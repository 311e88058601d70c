"""Is the exchange within reach, is the clock right, and what may the key do?"""

import email.utils
import time
from collections.abc import Iterator
from typing import Final

import requests

from ..core import sweep
from ..core.client import MarginClient
from ..core.endpoints import BALANCES
from ..core.errors import Failure, Meaning
from ..core.guarded_session import DeadlineSession
from ..core.parse_account import parse_margin_account
from ..core.report import CancelReport
from . import CheckResult, fail, note, ok

PUBLIC_PATH: Final = "provisioning/trading-pairs"
SECONDS: Final = 5.0
MOST_OFFSET_MS: Final = 1_000
"""No page says how far a nonce may be off; a clock that is set by NTP is nearer than this."""


def check_host(base_url: str) -> Iterator[CheckResult]:
    """A public call, which needs no key, and the clock that its answer shows."""
    session = DeadlineSession(trusted=base_url.startswith("https:"))
    sent = time.time()
    found = session.request(SECONDS, _read, method="GET", url=f"{base_url}/{PUBLIC_PATH}")
    took = time.time() - sent
    if isinstance(found, Failure):
        yield fail("host", f"{base_url}: {found}", "check the network, the proxy and the address")
        return
    status, date = found
    if status != 200:
        yield fail("host", f"{base_url} answers {status}", "check the address")
        return
    yield ok("host", f"{base_url} answers in {took * 1000:.0f} ms")
    yield _check_clock(date, sent + took / 2)


def check_key(client: MarginClient) -> Iterator[CheckResult]:
    """What reading shows; what only trading would show is said."""
    answer = client.read(BALANCES, deadline=SECONDS)
    if isinstance(answer, Failure):
        if answer.meaning is Meaning.PERMISSION:
            yield ok("key", "known to the exchange")
            yield fail("margin", f"refused: {answer}", "tick Margin for this key")
        elif answer.meaning is Meaning.AUTHENTICATION:
            yield fail("key", f"refused: {answer}", "copy key and secret again")
        else:
            yield fail("key", f"cannot be tried: {answer}", "run this again")
        return
    yield ok("key", f"accepted for {client.credentials.account}")
    account = parse_margin_account(answer)
    if account["marginStatus"] in (None, "1"):
        ratio = f"adRatio {account['adRatio']} {account['adRatioLabel']}"
        yield ok("margin", f"the margin account can be read, {ratio}")
    else:
        status = account["marginStatus"]
        yield fail("margin", f"marginStatus is {status}", "enable margin trading on BitoPro's page")
    report = CancelReport("all")
    flow = sweep.list_without_cancelling(
        None, deadline=SECONDS, exchange_clock=client, report=report
    )
    client.run(flow, report)
    if report.listed:
        yield ok("open orders", f"can be listed; there are {len(report.still_open)}")
    else:
        why = report.failures[-1] if report.failures else "no answer"
        yield fail("open orders", f"cannot be listed: {why}", "run this again")
    yield note(
        "trading permission",
        "cannot be checked without trading: place and cancel a small order by hand once",
    )


def _check_clock(date: str | None, now: float) -> CheckResult:
    try:
        server = email.utils.parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError):
        return note("clock", "the exchange does not say its time")
    # The header counts whole seconds: less than half of one is no offset.
    offset = round((now - server - 0.5) * 1000)
    if abs(offset) <= MOST_OFFSET_MS:
        return ok("clock", "within a second of the exchange's")
    side = "ahead of" if offset > 0 else "behind"
    return fail("clock", f"{abs(offset)} ms {side} the exchange's", "set it by NTP")


def _read(response: requests.Response) -> tuple[int, str | None]:
    return response.status_code, response.headers.get("Date")
