"""Exits that must come: each by itself, the most urgent first, until the position is out."""

import logging
import time
from typing import Any

import pytest
from freqtrade.enums import ExitCheckTuple, ExitType
from freqtrade.persistence import Trade
from freqtrade.rpc.rpc import RPC
from sqlalchemy import text

from bitopro_margin_ext.bot import exit_gate, pending_exits
from tests.bot.harness import (
    BTC,
    CANCEL_ALL,
    ETH,
    BotHarness,
    cancel_pair,
    order_row,
    trade_of,
    wait_until,
)
from tests.bot.test_faults import disagreements, never_sold_more_than_bought

EMERGENCY = ExitCheckTuple(exit_type=ExitType.EMERGENCY_EXIT)
FORCED = ExitCheckTuple(exit_type=ExitType.FORCE_EXIT)


def create(pair: str) -> str:
    return f"POST /v3/margin/orders/{pair.lower().replace('/', '_')}"


def refuse_orders(harness: BotHarness, pair: str, times: int | None = None, **more: Any) -> None:
    wish = {"status": 400, "body": {"error": "order is not allowed"}, **more}
    path = f"*/orders/{pair.lower().replace('/', '_')}"
    harness.control.add_fault("status", method="POST", path=path, times=times, **wish)


def exits(harness: BotHarness, pair: str = BTC) -> list[dict[str, Any]]:
    return [order for order in harness.sells(pair) if not order["stopPrice"]]


def records() -> dict[str, Any]:
    Trade.session.rollback()
    rows = Trade.session.execute(
        text("select cd_value from trade_custom_data where cd_value != '{}'")
    ).scalars()
    return dict(enumerate(rows))


def start(harness: BotHarness, strategy: str = "Guarded", **changes: Any) -> Any:
    """A bot without stops on the exchange: what it sells, it sells as an exit."""
    changes["order_types"] = {"stoploss_on_exchange": False} | changes.get("order_types", {})
    return harness.bot(strategy, **changes)


def enter_both(harness: BotHarness, bot: Any) -> None:
    for pair in (ETH, BTC):
        harness.enter(bot, pair)
    bot.process()
    assert trade_of(ETH).amount
    assert trade_of(BTC).amount


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has failed is tried again soon, and an attempt ends soon."""
    monkeypatch.setattr(pending_exits, "_DELAYS", (0.0, 0.0, 0.5, 1.0))
    monkeypatch.setattr(exit_gate, "ATTEMPT_SECONDS", 3.0)


# -- one exit in trouble keeps no other in -----------------------------------------------------


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("scope", ["pair", "all"])
def test_a_pair_under_maintenance_keeps_no_other_exit_in(harness: BotHarness, scope: str) -> None:
    bot = start(harness, scope=scope, deadline=2.0)
    enter_both(harness, bot)
    harness.control.set_maintenance("eth_usdt", "all")
    refuse_orders(harness, BTC, times=1)
    for pair in (ETH, BTC):
        bot.emergency_exit(trade_of(pair), 3000.0)
    assert exits(harness, BTC) == []
    bot.process()
    assert len(exits(harness, BTC)) == 1
    bot.process()
    assert not trade_of(BTC).is_open
    assert trade_of(ETH).is_open
    harness.control.set_maintenance("eth_usdt", False)
    wait_until(lambda: bot.process() or not trade_of(ETH).is_open, 30)
    assert len(exits(harness, ETH)) == 1
    assert disagreements(harness) == []
    bot.process()
    assert records() == {}


def test_coins_sold_by_hand_keep_no_other_exit_in(
    harness: BotHarness, caplog: pytest.LogCaptureFixture
) -> None:
    bot = start(harness)
    enter_both(harness, bot)
    # A part only: Freqtrade's own search for the missing amount finds nothing.
    harness.control.set_balances({"ETH": "0.001"})
    refuse_orders(harness, BTC, times=1)
    for pair in (ETH, BTC):
        bot.emergency_exit(trade_of(pair), 3000.0)
    bot.process()
    bot.process()
    assert not trade_of(BTC).is_open
    assert trade_of(ETH).is_open
    assert exits(harness, ETH) == []
    for _ in range(4):
        bot.process()
    assert "Not enough amount to exit" in caplog.text
    assert "Traceback" not in caplog.text
    said = [m["status"] for m in bot.messages if "emergency_exit of ETH" in str(m.get("status"))]
    assert 1 <= len(said) <= 2, "at first and after three failures"


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("broken", ["history", "record", "trade"])
def test_a_restart_continues_each_trade_by_itself(harness: BotHarness, broken: str) -> None:
    bot = start(harness)
    enter_both(harness, bot)
    for pair in (ETH, BTC):
        refuse_orders(harness, pair)
        bot.emergency_exit(trade_of(pair), 3000.0)
    harness.control.clear_faults()
    eth = trade_of(ETH).id
    if broken == "history":
        for path in ("*/orders/all/eth_usdt", "*/orders/eth_usdt"):
            harness.control.add_fault("status", method="*", path=path, times=None, status=404,
                                      body={"error": "not found"})  # fmt: skip
    else:
        statement = {
            "record": f"update trade_custom_data set cd_value = '{{' where ft_trade_id = {eth}",
            "trade": f"update trades set open_date = 'never' where id = {eth}",
        }[broken]
        Trade.session.execute(text(statement))
        Trade.session.commit()
    if broken == "trade":
        # Freqtrade itself cannot start on it, but whoever deletes the trade leaves its record.
        Trade.session.execute(text(f"delete from orders where ft_trade_id = {eth}"))
        Trade.session.execute(text(f"delete from trades where id = {eth}"))
        Trade.session.commit()
    bot = start(harness)
    for _ in range(3):
        bot.process()
    assert not trade_of(BTC).is_open
    assert len(exits(harness, BTC)) == 1
    if broken == "history":
        wait_until(lambda: any("ETH/USDT" in str(m.get("status")) for m in bot.messages))
        harness.control.clear_faults()
        wait_until(lambda: bot.process() or not trade_of(ETH).is_open, 60)
        assert len(exits(harness, ETH)) == 1
    elif broken == "record":
        wait_until(lambda: any("cannot be read" in str(m.get("status")) for m in bot.messages))


@pytest.mark.usefixtures("quick_retries")
def test_an_exit_that_hangs_lets_the_next_one_out_in_the_same_iteration(
    harness: BotHarness,
) -> None:
    bot = start(harness, deadline=1.5)
    enter_both(harness, bot)
    for pair in (ETH, BTC):
        refuse_orders(harness, pair, times=1)
        bot.emergency_exit(trade_of(pair), 3000.0)
    harness.control.clear_faults()
    harness.control.add_fault("delay", path="*eth_usdt*", seconds=60, times=None)
    started = time.monotonic()
    bot.strategy.emergency.begin_iteration()
    assert time.monotonic() - started < 8
    assert len(exits(harness, BTC)) == 1


def test_an_unexpected_error_of_one_exit_does_not_end_the_iteration(
    harness: BotHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = start(harness)
    enter_both(harness, bot)
    for pair in (ETH, BTC):
        refuse_orders(harness, pair, times=1)
        bot.emergency_exit(trade_of(pair), 3000.0)
    place = bot.exchange.create_order

    def fail(**wish: Any) -> Any:
        if wish["pair"] == ETH:
            raise RuntimeError("nobody thought of this")
        return place(**wish)

    monkeypatch.setattr(bot.exchange, "create_order", fail)
    bot.process()
    assert len(exits(harness, BTC)) == 1


# -- what settles an exit, and what does not ---------------------------------------------------


@pytest.mark.parametrize("other", ["told_to", "force_exit"])
def test_a_no_to_another_exit_leaves_the_emergency(harness: BotHarness, other: str) -> None:
    bot = start(harness, "OwnWithoutSuper")
    harness.enter(bot, BTC)
    bot.process()
    refuse_orders(harness, BTC, times=2)
    bot.emergency_exit(trade_of(), 60000.0)
    bot.strategy.confirm_trade_exit = lambda **kwargs: kwargs["exit_reason"] == "emergency_exit"
    bot.strategy.leave[BTC] = other
    if other == "force_exit":
        RPC(bot)._rpc_force_exit(str(trade_of().id), ordertype="market")
    for _ in range(3):
        bot.process()
    assert not trade_of().is_open
    assert [order_row(order["id"]).ft_order_tag for order in exits(harness)] == ["emergency_exit"]


def test_a_no_to_the_emergency_itself_is_a_no(harness: BotHarness) -> None:
    bot = start(harness, "OwnWithoutSuper")
    harness.enter(bot, BTC)
    bot.process()
    refuse_orders(harness, BTC, times=1)
    bot.emergency_exit(trade_of(), 60000.0)
    assert records() != {}
    bot.strategy.answer = False
    for _ in range(3):
        bot.process()
    assert exits(harness) == []
    assert records() == {}


@pytest.mark.parametrize("way", ["adjusted", "forced", "by the order's end"])
def test_a_partial_sell_does_not_settle_the_emergency(harness: BotHarness, way: str) -> None:
    bot = start(harness, "GuardedAdjusting")
    harness.enter(bot, BTC)
    bot.process()
    amount = trade_of().amount
    if way == "by the order's end":
        bot.strategy.order_types["emergency_exit"] = "limit"
    else:
        refuse_orders(harness, BTC, times=1)
    bot.emergency_exit(trade_of(), 60000.0)
    if way == "by the order's end":
        (sent,) = exits(harness)
        harness.control.fill(sent["id"], fraction="0.6")
        harness.control.cancel(sent["id"])
        bot.process()
        bot.process()
        harness.control.fill(exits(harness)[-1]["id"])
    elif way == "adjusted":
        bot.strategy.adjust[BTC] = -300.0
        bot.process_open_trade_positions()
    elif way == "forced":
        RPC(bot)._rpc_force_exit(str(trade_of().id), ordertype="market", amount=amount * 0.3)
    for _ in range(4):
        bot.process()
    assert not trade_of().is_open
    sold = sum(float(order["executedAmount"]) for order in exits(harness))
    assert sold == pytest.approx(amount, abs=1e-8)
    never_sold_more_than_bought(harness)


@pytest.mark.parametrize("emergency_type", ["market", "limit"])
def test_an_emergency_after_a_held_limit_exit_is_an_emergency(
    harness: BotHarness, emergency_type: str
) -> None:
    bot = start(
        harness,
        scope="all",
        bitopro_margin={"cancel_on": ["emergency_exit", "force_exit"]},
        order_types={"emergency_exit": emergency_type},
    )
    harness.enter(bot, BTC)
    bot.process()
    refuse_orders(harness, BTC, times=1)
    with pytest.raises(Exception, match="not allowed"):
        bot.execute_trade_exit(trade_of(), 65000.0, FORCED, ordertype="limit")
    refuse_orders(harness, BTC, times=1)
    bot.strategy.emergency.gate.iteration += 1
    bot.emergency_exit(trade_of(), 60000.0)
    stored = "".join(records().values())
    assert "emergency_exit" in stored
    assert "force_exit" in stored
    harness.control.clear_faults()
    bot.process()
    (sent,) = exits(harness)
    assert sent["type"] == emergency_type.upper()
    assert order_row(sent["id"]).ft_order_tag == "emergency_exit"
    if emergency_type == "limit":
        assert float(sent["price"]) != 65000.0
        harness.control.fill(sent["id"]) if sent["open"] else None
    bot.process()
    bot.process()
    assert not trade_of().is_open
    assert records() == {}


def test_a_resting_emergency_order_that_is_cancelled_is_followed_by_another(
    harness: BotHarness,
) -> None:
    # Else Freqtrade itself follows up a cancelled exit order.
    patient = {"exit_timeout_count": 0}
    bot = start(harness, order_types={"emergency_exit": "limit"}, unfilledtimeout=patient)
    harness.enter(bot, BTC)
    bot.process()
    bot.emergency_exit(trade_of(), 66000.0)
    (first,) = exits(harness)
    for _ in range(3):
        bot.process()
    assert len(exits(harness)) == 1, "nothing is sent beside an order that rests"
    harness.control.cancel(first["id"])
    bot.process()
    bot.process()
    assert len(exits(harness)) == 2
    # But one that the user cancels through the bot is called off.
    second = exits(harness)[-1]
    assert second["open"]
    RPC(bot)._rpc_cancel_open_order(trade_of().id)
    for _ in range(3):
        bot.process()
    assert len(exits(harness)) == 2
    assert records() == {}


# -- what is sent meanwhile --------------------------------------------------------------------


@pytest.mark.usefixtures("quick_retries")
def test_an_emergency_that_takes_long_sweeps_the_account_once(harness: BotHarness) -> None:
    bot = harness.bot(scope="all", deadline=2.0)
    healthy = harness.hold(bot, ETH)
    harness.hold(bot, BTC)
    by_hand = harness.control.seed_order("eth_usdt", "buy", "0.1", "1000")["id"]
    harness.control.set_maintenance("btc_usdt", "all")
    bot.emergency_exit(trade_of(BTC), 60000.0)
    assert harness.lines().count(CANCEL_ALL) == 1
    assert not harness.control.order(healthy)["open"]
    assert not harness.control.order(by_hand)["open"]
    later = [harness.control.seed_order("eth_usdt", "buy", "0.1", "1000")["id"] for _ in range(3)]
    bot.process()
    stops = [order["id"] for order in harness.sells(ETH, open=True)]
    assert len(stops) == 1, "the healthy position has its stop again"
    for _ in range(5):
        bot.process()
    assert harness.lines().count(CANCEL_ALL) == 1
    assert all(harness.control.order(one)["open"] for one in [*later, *stops])
    harness.control.set_maintenance("btc_usdt", False)
    wait_until(lambda: bot.process() or not trade_of(BTC).is_open, 40)
    assert harness.lines().count(CANCEL_ALL) == 1
    assert all(harness.control.order(one)["open"] for one in [*later, *stops])


def test_three_emergencies_sweep_the_account_once(harness: BotHarness) -> None:
    bot = start(harness, scope="all", order_types={"emergency_exit": "limit"})
    enter_both(harness, bot)
    harness.control.add_fault("status", path="*/orders/all/*", status=503, times=None)
    for pair in (ETH, BTC, ETH):
        bot.emergency_exit(trade_of(pair), 100000.0)
    assert harness.lines().count(CANCEL_ALL) == 1
    assert all(order["open"] for order in [*exits(harness, ETH), *exits(harness, BTC)])


def test_while_an_exit_is_refused_there_is_one_attempt_an_iteration(
    harness: BotHarness, caplog: pytest.LogCaptureFixture
) -> None:
    bot = harness.bot("GuardedAdjusting")
    harness.enter(bot, BTC)
    refuse_orders(harness, BTC)
    bot.strategy.leave[BTC] = "told_to"
    mark = harness.mark
    bot.process()
    assert harness.lines(mark).count(create(BTC)) == 2, (
        "the refused stop, and the exit that follows"
    )
    caplog.clear()
    counts = []
    for _ in range(8):
        mark = harness.mark
        bot.strategy.adjust[BTC] = -300.0
        bot.process()
        counts.append(harness.lines(mark).count(create(BTC)))
    assert max(counts) == 1
    assert sum(counts) <= 3, "it backs off"
    assert "Traceback" not in caplog.text
    assert harness.lines().count(cancel_pair(BTC)) == 1
    harness.control.clear_faults()
    wait_until(lambda: bot.process() or not trade_of().is_open, 30)


def test_messages_become_rarer(harness: BotHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_exits, "_DELAYS", (0.0,))
    bot = start(harness)
    harness.enter(bot, BTC)
    bot.process()
    refuse_orders(harness, BTC)
    bot.emergency_exit(trade_of(), 60000.0)
    for _ in range(30):
        bot.process()
    wait_until(lambda: any("(30 times)" in str(m.get("status")) for m in bot.messages))
    said = [m["status"] for m in bot.messages if "could not be sent" in str(m.get("status"))]
    assert len(said) == 4, said


def test_a_partial_exit_in_the_market_gives_way_to_the_emergency(harness: BotHarness) -> None:
    bot = start(harness, "GuardedAdjusting", order_types={"exit": "limit"})
    harness.enter(bot, BTC)
    bot.process()
    amount = trade_of().amount
    bot.strategy.adjust[BTC] = -300.0
    bot.process()
    (partial,) = exits(harness)
    assert partial["open"]
    refuse_orders(harness, BTC, times=1)
    # Its cancellation is not answered, and what it fills meanwhile is not known.
    harness.control.add_fault("close", method="DELETE", path="*", times=1)
    harness.control.fill(partial["id"], fraction="0.5")
    bot.emergency_exit(trade_of(), 60000.0)
    for _ in range(4):
        bot.process()
    assert not trade_of().is_open
    never_sold_more_than_bought(harness)
    sold = sum(float(order["executedAmount"]) for order in exits(harness))
    assert sold == pytest.approx(amount, abs=2e-4)


# -- the way out is not blocked by what it does not need ---------------------------------------


def test_balances_that_cannot_be_read_keep_no_exit_in(harness: BotHarness) -> None:
    bot = start(harness, deadline=1.5)
    harness.enter(bot, BTC)
    bot.process()
    harness.control.add_fault("status", path="*/margin/balances", status=503, times=None)
    bot.emergency_exit(trade_of(), 60000.0)
    assert len(exits(harness)) == 1


def test_a_price_that_cannot_be_read_keeps_no_market_exit_in(harness: BotHarness) -> None:
    bot = start(harness)
    harness.enter(bot, BTC)
    bot.process()
    refuse_orders(harness, BTC, times=1)
    bot.emergency_exit(trade_of(), 60000.0)
    harness.control.add_fault("status", path="*/order-book/*", status=503, times=None)
    harness.control.add_fault("status", path="*/tickers*", status=503, times=None)
    bot.strategy.emergency.begin_iteration()
    (sent,) = exits(harness)
    assert order_row(sent["id"]) is not None
    harness.control.clear_faults()
    bot.process()
    bot.process()
    assert not trade_of().is_open
    assert len(exits(harness)) == 1


def test_a_disk_that_is_full_does_not_skip_the_sweep(
    harness: BotHarness, caplog: pytest.LogCaptureFixture
) -> None:
    bot = start(harness, scope="all")
    enter_both(harness, bot)
    by_hand = harness.control.seed_order("eth_usdt", "buy", "0.1", "1000")["id"]
    trade = trade_of(BTC)
    pages = Trade.session.execute(text("pragma page_count")).scalar()
    Trade.session.execute(text(f"pragma max_page_count = {pages}"))
    blob = "x" * 200_000
    # What cannot be written any more is in the session when the emergency comes.
    trade.exit_order_status = blob
    bot.emergency_exit(trade, 60000.0)
    assert not harness.control.order(by_hand)["open"]
    assert len(exits(harness, BTC)) == 1


# -- exits that Freqtrade does not ask about ---------------------------------------------------


@pytest.mark.parametrize("listed", [True, False])
def test_a_partial_force_exit_sweeps_where_it_is_listed(harness: BotHarness, listed: bool) -> None:
    reasons = ["emergency_exit", "force_exit"] if listed else ["emergency_exit"]
    bot = harness.bot(bitopro_margin={"cancel_on": reasons})
    harness.hold(bot)
    by_hand = harness.control.seed_order("btc_usdt", "buy", "0.01", "1000")["id"]
    amount = trade_of().amount
    RPC(bot)._rpc_force_exit(str(trade_of().id), ordertype="market", amount=amount * 0.4)
    assert harness.control.order(by_hand)["open"] != listed
    assert cancel_pair(BTC) in harness.lines() or not listed
    (sent,) = exits(harness)
    assert float(sent["originalAmount"]) == pytest.approx(amount * 0.4, abs=1e-7)
    for _ in range(3):
        bot.process()
    assert len(exits(harness)) == 1
    assert trade_of().is_open
    assert trade_of().amount == pytest.approx(amount * 0.6, abs=1e-7)
    assert records() == {}
    assert disagreements(harness) == []


def test_a_partial_force_exit_that_the_exchange_refuses_comes_once(harness: BotHarness) -> None:
    reasons = ["emergency_exit", "force_exit"]
    bot = start(harness, bitopro_margin={"cancel_on": reasons})
    harness.enter(bot, BTC)
    bot.process()
    amount = trade_of().amount
    refuse_orders(harness, BTC, times=1)
    with pytest.raises(Exception, match="not allowed"):
        RPC(bot)._rpc_force_exit(str(trade_of().id), ordertype="market", amount=amount * 0.4)
    for _ in range(4):
        bot.process()
    sold = sum(float(order["executedAmount"]) for order in exits(harness))
    assert sold == pytest.approx(amount * 0.4, abs=1e-7)
    assert trade_of().is_open


def test_a_liquidation_exit_sweeps_where_it_is_listed(harness: BotHarness) -> None:
    bot = start(harness, bitopro_margin={"cancel_on": ["emergency_exit", "liquidation"]})
    harness.enter(bot, BTC)
    bot.process()
    by_hand = harness.control.seed_order("btc_usdt", "buy", "0.01", "1000")["id"]
    check = ExitCheckTuple(exit_type=ExitType.LIQUIDATION)
    assert bot.execute_trade_exit(trade_of(), 60000.0, check, ordertype="market")
    assert not harness.control.order(by_hand)["open"]
    bot.process()
    assert not trade_of().is_open


def test_the_log_names_the_exit_and_the_reason(
    harness: BotHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bot = start(harness)
    harness.enter(bot, BTC)
    bot.process()
    refuse_orders(harness, BTC, times=1)
    bot.emergency_exit(trade_of(), 60000.0)
    assert "The emergency_exit of BTC/USDT could not be sent (1 times)" in caplog.text
    assert "order is not allowed" in caplog.text
