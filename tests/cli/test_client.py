"""The kill switch's client, where a whole process would be too coarse."""

import threading
import time

import pytest

from bitopro_margin_ext.core import calls
from bitopro_margin_ext.core.client import MarginClient
from bitopro_margin_ext.core.credentials import Credentials
from bitopro_margin_ext.core.endpoints import BALANCES, CANCEL_ALL
from bitopro_margin_ext.core.errors import Failure, Meaning
from bitopro_margin_ext.core.rate_limit import RateLimits
from bitopro_margin_ext.core.report import CancelReport, SweepOutcome
from bitopro_margin_ext.sandbox.server import SandboxServer

from .conftest import KEY, SECRET


@pytest.fixture
def client(sandbox: SandboxServer) -> MarginClient:
    made = MarginClient(Credentials(KEY, SECRET), sandbox.rest_url)
    # The limiter of this host outlives a test, and so would its last cancel-all.
    made.rate_limits = RateLimits()
    return made


def test_an_interrupt_takes_back_that_the_list_was_read(client: MarginClient) -> None:
    report = CancelReport("all")

    def interrupted() -> calls.Flow[CancelReport]:
        report.listed = True
        yield calls.Call(CANCEL_ALL, {}, 5.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.run(interrupted(), report)
    assert report.outcome is SweepOutcome.UNKNOWN
    assert report.in_doubt


def test_a_second_cancel_all_waits_for_its_turn(client: MarginClient) -> None:
    started = time.monotonic()
    answers = [client.call(CANCEL_ALL, {}, 5.0) for _ in range(2)]
    assert answers == [{"data": {}}, {"data": {}}]
    assert time.monotonic() - started >= 1.0


def test_a_turn_that_comes_too_late_is_not_taken(
    client: MarginClient, sandbox: SandboxServer
) -> None:
    client.call(CANCEL_ALL, {}, 5.0)
    late = client.call(CANCEL_ALL, {}, 0.3)
    assert isinstance(late, Failure)
    assert late.sent is False
    assert len(sandbox.control.requests()) == 1


def test_reading_is_repeated_until_it_is_answered(
    client: MarginClient, sandbox: SandboxServer
) -> None:
    sandbox.control.add_fault("status", status=502, times=2)
    assert client.read(BALANCES, deadline=10.0)["adRatio"]


def test_reading_ends_in_time(client: MarginClient, sandbox: SandboxServer) -> None:
    sandbox.control.add_fault("delay", seconds=30, times=None)
    started = time.monotonic()
    answer = client.read(BALANCES, deadline=1.0)
    assert time.monotonic() - started < 2
    assert isinstance(answer, Failure)
    assert answer.meaning is Meaning.TIMEOUT


def test_a_clock_that_stays_wrong_is_named(client: MarginClient, sandbox: SandboxServer) -> None:
    date = "Mon, 23 Nov 2020 00:00:00 GMT"
    sandbox.control.add_fault("status", status=409, headers={"Date": date}, times=None)
    answer = client.call(BALANCES, {}, 5.0)
    assert isinstance(answer, Failure)
    assert answer.meaning is Meaning.NONCE
    assert "ms ahead of the exchange's; set it by NTP" in answer.text
    assert client.clock_offset_ms == 0
    assert len(sandbox.control.requests()) == 3


def test_a_call_that_was_given_up_holds_up_no_other(
    client: MarginClient, sandbox: SandboxServer
) -> None:
    sandbox.control.add_fault("delay", seconds=5, times=1)
    threads = threading.active_count()
    assert isinstance(client.call(BALANCES, {}, 0.3), Failure)
    assert "adRatio" in client.call(BALANCES, {}, 2.0)
    assert threading.active_count() <= threads + 1
