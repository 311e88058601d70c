"""The user's side fails in an emergency: a webhook that hangs, a database that is locked."""

import socket
import sqlite3
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from freqtrade.persistence import Trade
from freqtrade.rpc.webhook import Webhook

from tests.bot.harness import BTC, ETH, BotHarness, cancel_pair, order_row, trade_of, wait_until
from tests.bot.test_faults import DEADLINE, ask, disagreements, never_sold_more_than_bought


@pytest.fixture
def silence() -> Any:
    """A server that takes every call and answers none."""
    listener = socket.create_server(("127.0.0.1", 0))
    calls: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                calls.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1], calls
    listener.close()
    for call in calls:
        call.close()


def test_a_webhook_that_hangs_does_not_hold_up_the_exit(harness: BotHarness, silence: Any) -> None:
    port, calls = silence
    webhook = {
        "enabled": True,
        "url": f"http://127.0.0.1:{port}",
        "timeout": 5,
        "entry_cancel": {"value1": "cancelled {pair}"},
        "exit_cancel": {"value1": "cancelled {pair}"},
        "status": {"value1": "{status}"},
    }
    bot = harness.bot("GuardedAdjusting")
    harness.hold(bot)
    bot.strategy.adjust[BTC] = 500.0
    bot.process()
    bot.config["webhook"] = webhook
    bot.rpc.registered_modules.append(Webhook(bot.rpc._rpc, bot.config))
    started = time.monotonic()
    # A cancelled second entry, of which Freqtrade's handler tells the user.
    assert ask(bot)
    assert time.monotonic() - started < 3
    wait_until(lambda: calls)
    bot.rpc.registered_modules.pop()


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
@pytest.mark.parametrize("way", ["refused stoploss", "timed-out exit"])
def test_a_locked_database_holds_up_neither_sweep_nor_exit(
    harness: BotHarness, lock: str, way: str
) -> None:
    # Without a stoploss on the exchange there is nothing that Freqtrade writes before the hook.
    stops = {"stoploss_on_exchange": way != "refused stoploss"}
    bot = harness.bot("GuardedAdjusting", deadline=4.0, order_types=stops)
    if way == "refused stoploss":
        harness.enter(bot, BTC)
        bot.process()
        bot.strategy.adjust[BTC] = 500.0
        bot.process()
    else:
        exit_id = harness.leave(bot)
    trade = trade_of()
    assert trade.pair == BTC
    assert trade.orders
    order = trade.orders[-1]
    assert order.order_id
    bot.strategy.timed_out.add(BTC)

    other = sqlite3.connect(harness.folder / "trades.sqlite", isolation_level=None, timeout=10,
                            check_same_thread=False)  # fmt: skip
    other.execute(f"BEGIN {lock}")
    # Freqtrade's own commit after the exit waits five seconds; it finds the lock gone.
    released: list[int] = []

    def let_go() -> None:
        released.append(len([line for line in harness.lines(mark) if line.startswith("POST")]))
        other.execute("ROLLBACK")

    release = threading.Timer(3.0, let_go)
    mark = harness.mark
    release.start()
    started = time.monotonic()
    if way == "refused stoploss":
        bot.emergency_exit(trade, 60000.0)
    else:
        structure = bot.exchange.fetch_order(exit_id, BTC)
        assert bot.strategy.ft_check_timed_out(trade, order, datetime.now(UTC))
        assert time.monotonic() - started < 2.5
        release.join()
        bot.handle_cancel_order(structure, order, trade, "timeout")
    placed = wait_until(
        lambda: [n for n, line in enumerate(harness.lines(mark)) if line.startswith("POST")]
    )
    assert cancel_pair(BTC) in harness.lines(mark)[: placed[0]]
    release.join()
    if way == "refused stoploss":
        assert released == [1], "the exit waited for the lock"
    other.close()
    Trade.commit()
    bot.process()
    assert not trade_of().is_open
    assert disagreements(harness) == []
    never_sold_more_than_bought(harness)


def test_what_freqtrade_has_not_committed_survives_a_failure_of_the_hook(
    harness: BotHarness,
) -> None:
    bot = harness.bot(scope="all", deadline=DEADLINE)
    entries = [harness.enter(bot, pair, fill=None) for pair in (ETH, BTC)]
    for entry in entries:
        harness.control.fill(entry)
    # ETH gets its stoploss, not yet committed, and BTC's is refused in the same iteration.
    refusal = {"error": "the stop would trigger immediately"}
    harness.control.add_fault(
        "status", method="POST", path="*/orders/btc_usdt", status=400, body=refusal
    )
    emergency = bot.strategy.emergency

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the sweep itself fails")

    emergency.sweeps.sweep = fail
    bot.process()
    stops = [o for o in harness.sells(ETH) if o["stopPrice"]]
    assert stops
    assert order_row(stops[0]["id"], ETH) is not None
    assert harness.sells(BTC)[-1]["type"] == "MARKET"
