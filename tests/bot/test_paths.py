"""Both ways into an emergency exit, both scopes: what is sent, in which order, and what is left."""

import pytest
from freqtrade.exceptions import InvalidOrderException
from freqtrade.persistence import Order, Trade

from bitopro_margin_ext.bot.positions import exceeds
from tests.bot.harness import (
    BTC,
    CANCEL_ALL,
    ETH,
    BotHarness,
    cancel_pair,
    order_row,
    trade_of,
)

OPEN_ORDERS = "GET /v3/margin/orders/orders/open"
CREATE_BTC = "POST /v3/margin/orders/btc_usdt"


def history(pair: str) -> str:
    return f"GET /v3/margin/orders/all/{pair}"


@pytest.mark.parametrize("scope", ["pair", "all"])
def test_a_refused_stoploss_sweeps_before_the_exit(harness: BotHarness, scope: str) -> None:
    bot = harness.bot(scope=scope)
    other = harness.enter(bot, ETH, fill=None)
    by_hand = harness.control.seed_order("btc_usdt", "sell", "0.01", "90000")["id"]
    far = harness.control.seed_order("eth_usdt", "buy", "0.5", "1500")["id"]
    harness.enter(bot, BTC)
    harness.control.reject_stops(1)
    mark = harness.mark
    bot.process()

    cancel = CANCEL_ALL if scope == "all" else cancel_pair(BTC)
    sent = harness.lines(mark)
    exits = [i for i, line in enumerate(sent) if line == CREATE_BTC]
    # The first is the refused stoploss, the second the exit.
    assert len(exits) == 2
    assert exits[0] < sent.index(cancel) < exits[1]
    sweep = sent[sent.index(cancel) : exits[1]]
    # Freqtrade knows no order of the exiting pair; of the other pair one, which can wait.
    assert sweep == [cancel, OPEN_ORDERS]
    if scope == "all":
        assert history("eth_usdt") in sent[exits[1] :]
    assert not harness.control.order(by_hand)["open"]
    assert harness.control.order(far)["open"] == (scope == "pair")
    (exit_order,) = harness.sells()
    assert exit_order["type"] == "MARKET"
    assert float(exit_order["originalAmount"]) == pytest.approx(trade_of().amount, abs=1e-8)

    harness.control.fill(exit_order["id"]) if exit_order["open"] else None
    bot.process()
    assert not trade_of(BTC).is_open
    assert (trade_of(ETH) is None) == (scope == "all")
    assert harness.control.order(other)["open"] == (scope == "pair")
    # Orders that Freqtrade does not know are not invented into its database.
    assert Order.session.query(Order).filter(Order.order_id.in_([by_hand, far])).count() == 0
    told = [m["msg"] for m in bot.messages if "msg" in m and "Emergency cancel" in m["msg"]]
    assert len(told) == 1, bot.messages
    assert "not this bot's" in told[0]


@pytest.mark.parametrize("scope", ["pair", "all"])
@pytest.mark.parametrize("filled", [None, "0.005"])
def test_a_timed_out_exit_costs_no_request_beyond_the_sweep(
    harness: BotHarness, scope: str, filled: str | None
) -> None:
    bot = harness.bot(scope=scope)
    exit_id = harness.leave(bot)
    amount = trade_of().amount
    if filled:
        harness.control.fill(exit_id, amount=filled)
    # And a little more at the wrong moment.
    harness.control.add_fault(
        "fill_before", method="DELETE", path="*", ids=[exit_id], amount="0.003"
    )
    bot.strategy.timed_out.add(BTC)
    mark = harness.mark
    bot.process()

    cancel = CANCEL_ALL if scope == "all" else cancel_pair(BTC)
    sent = harness.lines(mark)
    start = sent.index(cancel)
    until = sent.index(CREATE_BTC)
    # One look at the order, the sweep, the balances (after a fill, and before the exit): no
    # cancel and no fetch of Freqtrade's own.
    assert sent[:start] == [f"GET /v3/margin/orders/btc_usdt/{exit_id}"]
    assert sent[start] == cancel
    assert sorted(sent[start + 1 : start + 3]) == sorted([OPEN_ORDERS, history("btc_usdt")])
    assert set(sent[start + 3 : until]) == {"GET /v3/margin/balances"}

    trade = trade_of()
    row = order_row(exit_id)
    assert row.status == "canceled"
    assert trade.get_canceled_exit_order_count() == 1
    assert row.ft_cancel_reason.startswith("emergency: cancelled by bitopro_margin_ext")
    gone = 0.003 + float(filled or 0)
    assert row.filled == pytest.approx(gone, abs=1e-7)
    last = harness.sells()[-1]
    assert last["type"] == "MARKET"
    # What is left of it, to the decimals that the exchange takes.
    assert 0 <= amount - gone - float(last["originalAmount"]) < 1e-4
    sold = sum(float(order["executedAmount"]) for order in harness.sells())
    assert sold <= amount + 1e-12
    bot.process()
    assert not trade_of().is_open
    assert trade_of().exit_reason == "emergency_exit"
    assert BTC not in [bot.strategy.emergency.exits]


def test_swept_orders_of_other_trades_cost_no_request_in_the_same_iteration(
    harness: BotHarness,
) -> None:
    bot = harness.bot(scope="all")
    harness.leave(bot)
    entry = harness.enter(bot, ETH, fill=None)
    bot.strategy.timed_out.add(BTC)
    mark = harness.mark
    bot.process()
    sent = harness.lines(mark)
    assert CANCEL_ALL in sent
    assert f"GET /v3/margin/orders/eth_usdt/{entry}" not in sent
    assert trade_of(ETH) is None


def test_an_exit_that_fills_at_the_wrong_moment_needs_no_other(harness: BotHarness) -> None:
    bot = harness.bot()
    exit_id = harness.leave(bot)
    harness.control.add_fault("fill_before", method="DELETE", path="*", ids=[exit_id], fraction="1")
    bot.strategy.timed_out.add(BTC)
    mark = harness.mark
    bot.process()
    bot.process()
    assert CREATE_BTC not in harness.lines(mark)
    assert not trade_of().is_open


def test_a_timed_out_exit_leaves_nothing_that_could_be_sold(harness: BotHarness) -> None:
    """A fill between the exchange's steps: the rest of the order, cut to steps, is not the rest."""
    bot = harness.bot()
    exit_id = harness.leave(bot)
    (entry,) = [one for one in trade_of().orders if one.ft_order_side == "buy"]
    position = entry.filled - entry.ft_fee_base
    harness.control.fill(exit_id, amount="0.00805")
    bot.strategy.timed_out.add(BTC)
    for _ in range(3):
        bot.process()
    sold = sum(float(order["executedAmount"]) for order in harness.sells())
    assert 0 <= position - sold < 1e-4
    assert not trade_of().is_open


def test_a_partial_exit_that_times_out_does_not_cost_the_rest(harness: BotHarness) -> None:
    bot = harness.bot("GuardedAdjusting")
    harness.hold(bot)
    bot.strategy.adjust[BTC] = -300.0
    bot.process()
    (exit_order,) = [o for o in harness.sells(open=True) if not o["stopPrice"]]
    part = float(exit_order["originalAmount"])
    amount = trade_of().amount
    assert part < amount / 2
    bot.strategy.timed_out.add(BTC)
    for _ in range(3):
        bot.process()
    sold = sum(float(order["executedAmount"]) for order in harness.sells())
    assert sold == pytest.approx(part, abs=1e-8)
    assert trade_of().is_open
    assert trade_of().amount == pytest.approx(amount - part, abs=1e-8)


def test_200_open_orders_of_a_pair_take_three_requests(harness: BotHarness) -> None:
    bot = harness.bot(deadline=60)
    harness.hold(bot)
    trade = trade_of()
    # As if a strategy had placed them: the database knows them all.
    stop = harness.sells(open=True)[0]["id"]
    seeds = harness.control.seed_orders(
        [
            {"pair": "btc_usdt", "action": "buy", "amount": "0.001", "price": str(30000 + i)}
            for i in range(199)
        ]
    )
    for seed in seeds:
        order = Order.parse_from_ccxt_object(
            bot.exchange.fetch_order(seed["id"], BTC), BTC, "buy", 0.001, 30000.0
        )
        trade.orders.append(order)
    Trade.commit()
    assert len(harness.truth(pair="btc_usdt", open=True)) == 200
    harness.control.cancel(stop)
    bot.handle_stoploss_on_exchange(trade)
    before = trade_of().amount

    mark = harness.mark
    bot.emergency_exit(trade_of(), 60000.0)
    sent = harness.lines(mark)
    start = sent.index(cancel_pair(BTC))
    assert sent[start] == cancel_pair(BTC)
    assert sorted(sent[start + 1 : start + 3]) == sorted([OPEN_ORDERS, history("btc_usdt")])
    assert set(sent[start + 3 :]) <= {"GET /v3/margin/balances", CREATE_BTC}
    assert not [o for o in Order.get_open_orders() if o.ft_order_side == "buy"]
    assert float(harness.sells()[-1]["originalAmount"]) == pytest.approx(before, abs=1e-8)


def test_an_exit_larger_than_the_position_is_not_sent(harness: BotHarness) -> None:
    bot = harness.bot()
    harness.hold(bot)
    held = trade_of().amount
    wish = {"pair": BTC, "ordertype": "market", "side": "sell", "rate": 60000.0, "leverage": 1.0}
    mark = harness.mark
    for amount in (held * 1.001, held + 1e-8):
        with pytest.raises(InvalidOrderException, match="would exceed the position"):
            bot.exchange.create_order(amount=amount, initial_order=False, **wish)
    for more in ({"leverage": 2.0}, {"initial_order": True}):
        with pytest.raises(InvalidOrderException, match="short entries and leverage"):
            bot.exchange.create_order(**{"amount": held, "initial_order": False, **wish, **more})
    assert harness.lines(mark) == []


def test_the_rounding_of_floats_keeps_no_exit_back() -> None:
    held = 834566.8
    assert not exceeds(1234567.1 - 400000.3, held)
    assert not exceeds(0.1 + 0.2, 0.3)
    assert exceeds(held + 1e-4, held)
