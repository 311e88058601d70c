"""Measurement 2: from the trigger of an emergency until the exit order's first byte.

The trigger is the moment at which Freqtrade asks the strategy about the exit; the first byte is
taken from the exchange's own log. The floor is a script that does the least that could be called
cancel and confirm: three signed calls on open connections, the last two at once, nothing mapped.
"""

import concurrent.futures
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import ccxt
import requests
from freqtrade.enums import ExitCheckTuple, ExitType
from freqtrade.persistence import Order

from bitopro_margin_ext import register
from bitopro_margin_ext.core.rate_limit import limits_of
from bitopro_margin_ext.core.signing import Signer, auth_headers, dump_json

from .children import EMAIL, KEY, SECRET
from .readings import Contender, Row, Sample, take_turns
from .tables import FACTOR, MORE_SECONDS
from .venue import PAIRS, Venue

NUMBER = 2
LONGEST: Final = 15.0
"""Seconds. A side that would need more is left out; nothing is extrapolated."""

TRIPS = (0, 50, 200)
WIDTHS = (1, 5, 10)
ORDERS = (1, 10, 50, 200)
CASES = tuple((trip, pairs, orders) for trip in TRIPS for pairs in WIDTHS for orders in ORDERS)
QUICK = ((0, 1, 1), (0, 2, 5))
PRICE = 100.0


def measure(venue: Venue, quick: bool) -> Iterator[Row]:
    register()
    pace = _Pace()
    for case in QUICK if quick else CASES:
        yield _compare(venue, pace, *case, 1 if quick else 3)


class _Pace:
    """What each side has needed for an order so far, to tell what would take too long."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, int], float] = {}

    def learn(self, side: Contender, round_trip: int, orders: int) -> None:
        if side.dropped is None:
            # The least: what a call costs once weighs less with every order more.
            each = side.seconds / orders
            known = self._seconds.get((side.name, round_trip), each)
            self._seconds[side.name, round_trip] = min(known, each)

    def is_too_slow(self, side: Contender, round_trip: int, orders: int) -> bool:
        quicker = [
            seconds
            for (name, trip), seconds in self._seconds.items()
            if name == side.name and trip <= round_trip
        ]
        return bool(quicker) and max(quicker) * orders > LONGEST


def _compare(
    venue: Venue, pace: _Pace, round_trip: int, pairs: int, orders: int, rounds: int
) -> Row:
    def side(name: str, play: Callable[[Venue, int, int, int], Sample]) -> Contender:
        return Contender(name, lambda: play(venue, round_trip, pairs, orders))

    ours, floor = side("the hook", _hook), side("floor", _floor)
    slow = [side("Freqtrade", _freqtrade), side("one by one", _one_by_one)]
    for one in slow:
        if pace.is_too_slow(one, round_trip, pairs * orders):
            one.dropped = f"over {LONGEST:g} s"
    take_turns([ours, floor], rounds)
    take_turns(slow, 1)
    for one in slow:
        pace.learn(one, round_trip, pairs * orders)
    what = f"{pairs} x {orders}"
    row = Row(NUMBER, what, round_trip, ours, [floor, *slow])
    row.aim = f"≤ {FACTOR}x floor + {MORE_SECONDS * 1000:g} ms"
    row.met = ours.seconds <= FACTOR * floor.seconds + MORE_SECONDS
    return row


# -- the sides -------------------------------------------------------------------------------------


def _hook(venue: Venue, round_trip: int, pairs: int, orders: int) -> Sample:
    """A bot with the hook: from the question to the strategy until the exit; then all is mapped."""
    from .bots import open_trades, running_bot

    venue.restart(0)
    with running_bot(venue) as bot:
        trades = open_trades(bot, venue.seed("margin", pairs, orders))
        venue.hold(trade.safe_base_currency for trade in trades)
        asked: list[tuple[float, float]] = []

        def confirm_trade_exit(**kwargs: Any) -> bool:
            asked.append((time.time(), time.process_time()))
            return True

        # The strategy's own callback, as a user may assign it: the hook asks it first.
        bot.strategy.confirm_trade_exit = confirm_trade_exit
        _settle(venue, round_trip, bot.exchange.get_balances)
        check = ExitCheckTuple(exit_type=ExitType.EMERGENCY_EXIT)
        bot.execute_trade_exit(trades[0], PRICE, check)
        (trigger, worked), left = asked[0], time.process_time()
        bot.strategy.bot_loop_start(current_time=datetime.now(UTC))
        mapped = time.time()
        exit_left = _exit_left(venue)
        count = sum(1 for line in venue.log() if line["time_ms"] / 1000 >= trigger - 0.001)
        _check(venue, mapped=True)
        parts = {
            "all mapped after": mapped - exit_left,
            "processor": left - worked,
            "an order": max(0.0, mapped - exit_left) / (pairs * orders),
        }
        return Sample(exit_left - trigger, count, parts)


def _floor(venue: Venue, round_trip: int, pairs: int, orders: int) -> Sample:
    venue.restart(0)
    venue.seed("margin", pairs, orders)
    pair = PAIRS[0].replace("/", "_").lower()
    with requests.Session() as session, concurrent.futures.ThreadPoolExecutor(2) as pool:

        def get(path: str) -> Any:
            headers = Signer(KEY, SECRET, EMAIL).headers()
            return session.get(f"{venue.rest_url}/{path}", headers=headers, timeout=30).json()

        def both() -> list[Any]:
            return list(
                pool.map(get, ("margin/orders/open", f"margin/orders/all/{pair}?limit=1000"))
            )

        _settle(venue, round_trip, both)
        trigger, worked = time.time(), time.process_time()
        headers = Signer(KEY, SECRET, EMAIL).headers()
        session.delete(f"{venue.rest_url}/margin/orders/all", headers=headers, timeout=30).json()
        both()
        body = dump_json(
            {
                "action": "SELL",
                "type": "MARKET",
                "amount": "1",
                "timestamp": int(time.time() * 1000),
            }
        )
        headers = auth_headers(KEY, SECRET, body)
        worked = time.process_time() - worked
        session.post(f"{venue.rest_url}/margin/orders/{pair}", body, headers=headers, timeout=30)
    seconds = _exit_left(venue) - trigger
    _check(venue, mapped=False)
    return Sample(seconds, 4, {"processor": worked})


def _freqtrade(venue: Venue, round_trip: int, pairs: int, orders: int) -> Sample:
    """The same bot without the hook's help: its own cancel of every open order, then the exit."""
    from .bots import open_trades, running_bot

    venue.restart(0)
    with running_bot(venue) as bot:
        trades = open_trades(bot, venue.seed("margin", pairs, orders))
        venue.hold(trade.safe_base_currency for trade in trades)
        _settle(venue, round_trip, bot.exchange.get_balances)
        trigger = time.time()
        bot.cancel_all_open_orders()
        bot.execute_trade_exit(
            trades[0], PRICE, ExitCheckTuple(exit_type=ExitType.EXIT_SIGNAL), ordertype="market"
        )
        seconds = _exit_left(venue) - trigger
        _check(venue, mapped=True)
        return Sample(seconds)


def _one_by_one(venue: Venue, round_trip: int, pairs: int, orders: int) -> Sample:
    """As scripts on ``ccxt.binance`` do it: list, and one request an order; nothing mapped."""
    venue.restart(0)
    venue.seed("spot", pairs, orders)
    urls = {"api": {"rest": venue.rest_url}}
    api = ccxt.bitopro({"apiKey": KEY, "secret": SECRET, "urls": urls})
    api.load_markets()
    _settle(venue, round_trip, api.fetch_balance)
    trigger = time.time()
    for pair in PAIRS[:pairs]:
        for order in api.fetch_open_orders(pair):
            api.cancel_order(order["id"], pair)
    api.create_order(PAIRS[0], "market", "sell", 0.001)
    seconds = _exit_left(venue) - trigger
    _check(venue, mapped=False)
    return Sample(seconds)


# -- around them -----------------------------------------------------------------------------------


def _settle(venue: Venue, round_trip: int, warm_up: Callable[[], Any]) -> None:
    """Open connections, and let a second pass since the last cancel-all: that is the limit's."""
    logging.disable(logging.ERROR)
    venue.control.switches(latency_ms=round_trip)
    time.sleep(max(0.2, limits_of(venue.url).cancel_all.wait()))
    for _ in range(2):
        warm_up()
    venue.control.clear_requests()


def _exit_left(venue: Venue) -> float:
    """When the exit's first byte arrived, by the exchange's log."""
    times = [line["time_ms"] for line in venue.log() if line["method"] == "POST"]
    if not times:
        raise RuntimeError("no exit order was sent")
    return float(times[0]) / 1000


def _check(venue: Venue, *, mapped: bool) -> None:
    """A quick answer that is wrong is no answer."""
    rest: list[Mapping[str, Any]] = [
        order for order in venue.control.orders(only_open=True) if order["type"] != "MARKET"
    ]
    if rest:
        raise RuntimeError(f"{len(rest)} orders are still open on the exchange")
    if mapped:
        open_rows = [row for row in Order.get_open_orders() if row.order_type != "market"]
        if open_rows:
            raise RuntimeError(f"{len(open_rows)} orders are still open in the database")
