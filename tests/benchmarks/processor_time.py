"""Measurement 3: processor time to parse and to map 2,000 orders, against reading their JSON."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import ccxt

from bitopro_margin_ext import register
from bitopro_margin_ext.exchange.structures import order_from_row

from .readings import Contender, Row, Sample, take_turns
from .venue import Venue

NUMBER = 3
PAIRS = 10
ORDERS_A_PAIR = 200


def measure(venue: Venue, quick: bool) -> Iterator[Row]:
    from .bots import open_trades, running_bot

    register()
    orders_a_pair, rounds = (20, 2) if quick else (ORDERS_A_PAIR, 7)
    count = PAIRS * orders_a_pair
    venue.restart(0)
    with running_bot(venue) as bot:
        seeded = venue.seed("margin", PAIRS, orders_a_pair)
        api = bot.exchange._api
        # As the exchange writes them: cancelled, in its lists of all orders of a pair.
        api.cancel_all_orders()
        answers = [
            api.privateGetMarginOrdersAllPair({"pair": pair, "limit": 1000})
            for pair in sorted({str(order["pair"]) for order in seeded})
        ]
        text = json.dumps({"data": [row for answer in answers for row in answer["data"]]})
        spot = ccxt.bitopro()
        spot.markets, spot.markets_by_id = api.markets, api.markets_by_id

        def reading() -> list[Any]:
            rows: list[Any] = json.loads(text)["data"]
            return rows

        def parsing() -> list[Any]:
            return [order_from_row(api, row) for row in reading()]

        def parsing_by_ccxt() -> Any:
            return spot.parse_orders(reading())

        yield _row(
            f"JSON text of {count:,} orders to ccxt structures, processor time",
            parsing,
            [
                ("json.loads of the same text", reading),
                ("ccxt.bitopro.parse_orders", parsing_by_ccxt),
            ],
            count,
            rounds,
        )
        ends = {(end["symbol"], end["id"]): end for end in parsing()}
        yield _mapping(bot, open_trades, seeded, ends, reading, 1 if quick else 3)


def _mapping(
    bot: Any, open_trades: Any, seeded: Any, ends: Any, reading: Callable[[], Any], rounds: int
) -> Row:
    from freqtrade.persistence import Order, Trade

    from bitopro_margin_ext.bot import database, mapping, positions

    def prepare() -> None:
        for trade in Trade.get_open_trades():
            trade.delete()
        open_trades(bot, seeded)

    def map_all() -> None:
        with database.emergency_session() as session:
            mapping.map_orders(bot, positions.open_orders(), ends, session)
            session.commit()

    def check(result: Any) -> None:
        if left := Order.get_open_orders():
            raise RuntimeError(f"{len(left)} orders were not mapped")

    what = f"ends of {len(ends):,} orders into Freqtrade's rows, processor time"
    row = Row(
        NUMBER,
        what,
        None,
        Contender("map_orders", lambda: _processor_time(map_all, prepare, check)),
        [Contender("json.loads of the same text", lambda: _processor_time(reading))],
    )
    take_turns([row.ours, *row.others], rounds)
    return row


def _row(
    what: str,
    ours: Callable[[], Any],
    others: list[tuple[str, Callable[[], Any]]],
    count: int,
    rounds: int,
) -> Row:
    def check(result: Any) -> None:
        if len(result) != count:
            raise RuntimeError(f"{len(result)} orders instead of {count}")

    def side(name: str, work: Callable[[], Any]) -> Contender:
        return Contender(name, lambda: _processor_time(work, check=check))

    row = Row(NUMBER, what, None, side("ours", ours), [side(*other) for other in others])
    take_turns([row.ours, *row.others], rounds)
    return row


def _processor_time(
    work: Callable[[], Any],
    prepare: Callable[[], None] = lambda: None,
    check: Callable[[Any], None] = lambda result: None,
) -> Sample:
    prepare()
    began = time.process_time()
    result = work()
    seconds = time.process_time() - began
    check(result)
    return Sample(seconds)
