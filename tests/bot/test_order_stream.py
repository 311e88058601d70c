"""With the private order stream on: a sweep ends the same, and one in trouble costs it nothing."""

import threading
import time
from typing import Any

import pytest

from bitopro_margin_ext.sandbox import EMAIL
from tests.bot.harness import BTC, BotHarness, cancel_pair, trade_of, wait_until
from tests.bot.test_faults import disagreements


def start(harness: BotHarness, login: str = EMAIL, **changes: Any) -> Any:
    exchange = harness.config()["exchange"]
    return harness.bot(
        bitopro_margin={"stream": True},
        exchange={"enable_ws": True, "ccxt_config": {**exchange["ccxt_config"], "login": login}},
        **changes,
    )


@pytest.mark.parametrize("trouble", [None, "dropped", "refused", "no login"])
def test_an_exit_with_the_stream(harness: BotHarness, trouble: str | None) -> None:
    if trouble == "refused":
        harness.control.refuse_streams(1000)
    bot = start(harness, "" if trouble == "no login" else EMAIL)
    stop = harness.hold(bot)
    if trouble in (None, "dropped"):
        heard = bot.exchange._api.heard_orders
        wait_until(lambda: any(order["id"] == stop for order in heard()), 10)
    if trouble == "dropped":
        harness.control.refuse_streams(1000)
        harness.control.drop_streams()
        wait_until(lambda: not heard(), 10)
    started = time.monotonic()
    mark = harness.mark
    bot.emergency_exit(trade_of(), 60000.0)
    assert time.monotonic() - started < 5
    assert harness.lines(mark).count(cancel_pair(BTC)) == 1
    bot.process()
    bot.process()
    assert not trade_of().is_open
    assert disagreements(harness) == []


def test_the_stream_ends_with_the_bot(harness: BotHarness) -> None:
    bot = start(harness)
    harness.hold(bot)

    def running() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one.name == "bitopro-margin-stream"]

    assert len(running()) == 1
    bot.cleanup()
    wait_until(lambda: not running(), 10)


def test_without_websockets_there_is_no_stream(
    harness: BotHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.bot(bitopro_margin={"stream": True})
    assert "bitopro_margin.stream needs" in caplog.text
