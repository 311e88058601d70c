"""The exchange misbehaves: out we get, by the deadline, and both sides agree again."""

import logging
import socket
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from freqtrade.enums import ExitCheckTuple, ExitType
from freqtrade.exceptions import InvalidOrderException
from freqtrade.persistence import Order, Trade

from bitopro_margin_ext.exchange import call_scope
from tests.bot.harness import BTC, ETH, BotHarness, order_row, trade_of, wait_until

DEADLINE = 1.2
SLACK = 0.7
EMERGENCY = ExitCheckTuple(exit_type=ExitType.EMERGENCY_EXIT)
HTML = "<html><body>502 Bad Gateway</body></html>"

FAULTS: dict[str, dict[str, Any]] = {
    "drips": {"kind": "drip", "seconds": 0.5},
    "hangs before": {"kind": "delay", "seconds": 30},
    "hangs after": {"kind": "delay", "seconds": 30, "when": "after"},
    "drops": {"kind": "close"},
    "acts and drops": {"kind": "process_close"},
    "500": {"kind": "status", "status": 500},
    "502 html": {"kind": "status", "status": 502, "body": HTML},
    "429": {"kind": "status", "status": 429},
    "429 later": {"kind": "status", "status": 429, "headers": {"Retry-After": "60"}},
    "401": {"kind": "status", "status": 401},
    "truncated": {"kind": "truncated_json"},
}


def disagreements(harness: BotHarness) -> list[str]:
    """Orders of which the database says otherwise than the exchange."""
    Trade.session.expire_all()
    found = []
    for row in Order.session.query(Order):
        truth = harness.control.order(row.order_id)
        if row.ft_is_open != truth["open"]:
            found.append(f"{row.order_id} {row.ft_order_side} {row.status}: {truth['status']}")
        elif abs(row.safe_filled - float(truth["executedAmount"])) > 1e-9:
            found.append(f"{row.order_id} filled {row.filled}: {truth['executedAmount']}")
    return found


def ask(bot: Any, pair: str = BTC) -> bool:
    trade = trade_of(pair)
    return bool(
        bot.strategy.confirm_trade_exit(
            pair=pair,
            trade=trade,
            order_type="market",
            amount=trade.amount,
            rate=60000.0,
            time_in_force="GTC",
            exit_reason="emergency_exit",
            sell_reason="emergency_exit",
            current_time=datetime.now(UTC),
        )
    )


BOTH_WAYS = ("drips", "hangs after", "acts and drops", "429 later")


@pytest.mark.parametrize(
    ("way", "fault"),
    [
        *(("refused stoploss", fault) for fault in FAULTS),
        *(("timed-out exit", fault) for fault in BOTH_WAYS),
    ],
)
def test_the_hook_returns_by_its_deadline_and_both_sides_agree_again(
    harness: BotHarness, fault: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    bot = harness.bot(scope="all", deadline=DEADLINE)
    other = harness.enter(bot, ETH, fill="0.4")
    if way == "refused stoploss":
        harness.hold(bot)
    else:
        exit_id = harness.leave(bot)
    wish = {**FAULTS[fault]}
    harness.control.add_fault(wish.pop("kind"), path="*/v3/margin/*", times=None, **wish)

    caplog.set_level(logging.ERROR)
    started = time.monotonic()
    if way == "refused stoploss":
        assert ask(bot), "the exit was kept back although nothing is known"
    else:
        bot.strategy.timed_out.add(BTC)
        assert bot.strategy.ft_check_timed_out(trade_of(), order_row(exit_id), datetime.now(UTC))
    assert time.monotonic() - started < DEADLINE + SLACK
    assert any("Emergency cancel" in record.message for record in caplog.records)
    wait_until(lambda: any("Emergency cancel" in str(m.get("status")) for m in bot.messages))
    # What is not confirmed is not believed.
    for row in Order.get_open_orders():
        assert row.status != "canceled"
    for row in Order.session.query(Order).filter(Order.status == "canceled"):
        assert not harness.control.order(row.order_id)["open"]

    harness.control.clear_faults()
    iterate_to_agreement(harness, bot)
    for _ in range(3):
        iterate_to_agreement(harness, bot)
    assert not trade_of().is_open
    never_sold_more_than_bought(harness)
    assert harness.control.order(other)["status"] in (3, 1)


def iterate_to_agreement(harness: BotHarness, bot: Any) -> None:
    """One iteration, after which both sides agree on every order that there was before it.

    Where it was this iteration that swept, the next one ends the mapping.
    """
    before = {row.order_id for row in Order.session.query(Order)}
    cancels = len([line for line in harness.lines() if line.startswith("DELETE")])
    bot.process()
    if len([line for line in harness.lines() if line.startswith("DELETE")]) > cancels:
        bot.process()
    found = [line for line in disagreements(harness) if line.split()[0] in before]
    assert found == []


def never_sold_more_than_bought(harness: BotHarness, pair: str = "btc_usdt") -> None:
    sold = sum(Decimal(o["executedAmount"]) for o in harness.truth(pair=pair, action="SELL"))
    bought = sum(Decimal(o["executedAmount"]) for o in harness.truth(pair=pair, action="BUY"))
    assert sold <= bought


def test_survivors_of_the_cancel_all_are_cancelled_by_id(harness: BotHarness) -> None:
    bot = harness.bot(scope="all")
    harness.enter(bot, ETH, fill="0.4")
    harness.hold(bot)
    harness.control.add_fault("cancel_some", method="DELETE", path="*/orders/all", count=0)
    assert ask(bot)
    assert harness.truth(open=True) == []
    bot.process()
    assert disagreements(harness) == []


def test_an_exchange_that_is_gone(harness: BotHarness, caplog: pytest.LogCaptureFixture) -> None:
    bot = harness.bot(deadline=DEADLINE)
    harness.hold(bot)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = f"http://127.0.0.1:{listener.getsockname()[1]}/v3"
    here = bot.exchange._api.urls["api"]["rest"]
    bot.exchange._api.urls["api"]["rest"] = gone
    started = time.monotonic()
    # Freqtrade's own way to the emergency exit, exit included.
    assert ask(bot)
    assert time.monotonic() - started < DEADLINE + SLACK
    bot.emergency_exit(trade_of(), 60000.0)
    assert trade_of().is_open
    bot.exchange._api.urls["api"]["rest"] = here
    bot.process()
    bot.process()
    assert not trade_of().is_open
    assert disagreements(harness) == []
    assert "could NOT be listed" in caplog.text


def test_orders_that_stay_unknown_stay_open_in_the_database(harness: BotHarness) -> None:
    bot = harness.bot(scope="all", deadline=DEADLINE)
    entry = harness.enter(bot, ETH, fill=None)
    harness.hold(bot)
    harness.control.add_fault("process_close", method="DELETE", path="*", times=None)
    for path in ("*/orders/orders/open", "*/orders/all/*", f"*/{entry}"):
        harness.control.add_fault("status", method="GET", path=path, times=None, status=503)
    assert ask(bot)
    # The exchange has cancelled it, but it has not said so.
    assert not harness.control.order(entry)["open"]
    assert order_row(entry, ETH).ft_is_open
    harness.control.clear_faults()
    bot.process()
    assert trade_of(ETH) is None
    assert disagreements(harness) == []


def test_balances_that_cannot_be_read_hold_up_neither_mapping_nor_exit(
    harness: BotHarness, caplog: pytest.LogCaptureFixture
) -> None:
    bot = harness.bot("GuardedAdjusting", deadline=DEADLINE)
    harness.hold(bot)
    bot.strategy.adjust[BTC] = 500.0
    bot.process()
    entry = harness.truth(pair="btc_usdt", action="BUY", open=True)[-1]["id"]
    harness.control.fill(entry, fraction="0.3")
    harness.control.add_fault("status", path="*/margin/balances", times=None, status=429)
    started = time.monotonic()
    assert not ask(bot), "the fill made the amount stale"
    assert time.monotonic() - started < DEADLINE + SLACK
    assert "Could not map" not in caplog.text
    assert order_row(entry).filled > 0
    assert not order_row(entry).ft_is_open
    harness.control.clear_faults()
    bot.process()
    bot.process()
    assert not trade_of().is_open
    assert disagreements(harness) == []


def test_nothing_is_repeated_with_pauses_before_an_exit(harness: BotHarness) -> None:
    bot = harness.bot()
    mark = harness.mark
    with call_scope.deadline(5), pytest.raises(InvalidOrderException):
        # Outside an emergency Freqtrade asks six times, over half a minute.
        bot.exchange.fetch_order("404", BTC)
    assert len(harness.lines(mark)) == 1
