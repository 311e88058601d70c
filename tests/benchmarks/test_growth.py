"""Work that may grow with the orders only in step with them, counted, not timed."""

import pytest
from freqtrade.persistence import Order, Trade
from sqlalchemy import event

from bitopro_margin_ext import register
from bitopro_margin_ext.bot import mapping
from bitopro_margin_ext.bot.database import emergency_session
from tests.benchmarks.bots import open_trades, running_bot
from tests.benchmarks.venue import running_venue


@pytest.fixture(scope="module")
def venue():
    register()
    with running_venue() as running:
        yield running


def statements_and_loads_to_map(venue, orders: int) -> int:
    """How many statements and row loads it takes to map so many cancelled orders of a pair."""
    venue.restart(0)
    with running_bot(venue) as bot:
        open_trades(bot, venue.seed("margin", 1, orders))
        bot.exchange.sweep_margin_orders(
            None, [("BTC/USDT", o.order_id) for o in Order.get_open_orders()], 10
        )
        ends = dict(bot.exchange.swept)
        assert len(ends) == orders
        count = 0

        def note(*arguments) -> None:
            nonlocal count
            count += 1

        engine = Trade.session.get_bind()
        event.listen(engine, "before_cursor_execute", note)
        event.listen(Order, "refresh", note)
        event.listen(Order, "load", note)
        try:
            with emergency_session() as session:
                mapping.map_orders(bot, Order.get_open_orders(), ends, session)
        finally:
            event.remove(engine, "before_cursor_execute", note)
            event.remove(Order, "refresh", note)
            event.remove(Order, "load", note)
        assert not Order.get_open_orders()
        return count


def test_mapping_does_not_read_every_row_again_for_every_order(venue):
    few, many = (statements_and_loads_to_map(venue, orders) for orders in (10, 40))
    assert many < few * 4 * 1.2, (few, many)
