"""Measurement 3: from the trigger until every order is cancelled, confirmed and mapped."""

import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import ccxt
from freqtrade.persistence import Order

from bitopro_margin_ext import register
from bitopro_margin_ext.core.rate_limit import cancel_all_limiter

from .children import KEY, SECRET
from .readings import Contender, Row, Sample, take_turns
from .venue import PAIRS, Venue

NUMBER = 3
LONGEST = 60.0
"""Seconds. A side that would need more is left out; nothing is extrapolated."""
REQUESTS_A_PAIR = 3

ORDERS = (1, 10, 50, 200)
WIDTHS = (1, 5, 10)
CASES = (
    # (round trip, pairs, orders a pair): everything at 50 ms, the corners at 0 and 200 ms.
    *((50, pairs, orders) for pairs in WIDTHS for orders in ORDERS),
    *((trip, pairs, orders) for trip in (0, 200) for pairs in (1, 10) for orders in (1, 200)),
)
QUICK = ((0, 1, 1), (0, 2, 5))
GROWTHS = ((50, 1), (50, 10))
"""Round trips and pairs for which the time of one order more is worked out."""


def measure(venue: Venue, quick: bool) -> Iterator[Row]:
    register()
    pace = _Pace()
    rows: dict[tuple[int, int, int], Row] = {}
    for case in QUICK if quick else CASES:
        rows[case] = _compare(venue, pace, *case, 1 if quick else 3)
        yield rows[case]
    for round_trip, pairs in GROWTHS if not quick else ():
        few, many = (rows[round_trip, pairs, orders] for orders in (ORDERS[0], ORDERS[-1]))
        yield _growth(few, many, round_trip, pairs)


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
    def hook() -> Sample:
        return _hook(venue, round_trip, pairs, orders)

    def freqtrade() -> Sample:
        return _freqtrade(venue, round_trip, pairs, orders)

    def one_by_one() -> Sample:
        return _one_by_one(venue, round_trip, pairs, orders)

    ours = Contender("the hook", hook)
    others = [
        Contender("Freqtrade's cancel_all_open_orders", freqtrade),
        Contender("ccxt.bitopro one by one, not mapped", one_by_one),
    ]
    for side in others:
        if pace.is_too_slow(side, round_trip, pairs * orders):
            side.dropped = f"left out, over {LONGEST:g} s"
    take_turns([ours, *others], rounds)
    for side in others:
        pace.learn(side, round_trip, pairs * orders)
    requests = ours.requests
    assert requests is not None
    row = Row(NUMBER, _title(pairs, orders), round_trip, ours, others)
    row.aim = f"≤ {REQUESTS_A_PAIR} requests a pair, 1 for balances"
    row.met = requests <= REQUESTS_A_PAIR * pairs + 1
    return row


def _growth(few: Row, many: Row, round_trip: int, pairs: int) -> Row:
    """What one order more costs, from the smallest and the largest case of the same run."""
    more = (ORDERS[-1] - ORDERS[0]) * pairs

    def side(small: Contender, large: Contender) -> Contender:
        if large.dropped is not None:
            return Contender(large.name, large.measure, dropped=large.dropped)
        parts = {
            name: max(0.0, large.parts[name] - small.parts[name]) / more for name in small.parts
        }
        each = max(0.0, large.seconds - small.seconds) / more
        return Contender(large.name, large.measure, [Sample(each, None, parts)])

    count = "1 pair" if pairs == 1 else f"{pairs} pairs"
    what = f"one order more, {count}, between {ORDERS[0]} and {ORDERS[-1]} orders a pair"
    others = [side(*both) for both in zip(few.others, many.others, strict=True)]
    return Row(NUMBER, what, round_trip, side(few.ours, many.ours), others)


def _title(pairs: int, orders: int) -> str:
    count = "1 pair" if pairs == 1 else f"{pairs} pairs"
    return f"trigger to all cancelled and mapped: {count} x {orders} order{'s'[: orders > 1]}"


def _hook(venue: Venue, round_trip: int, pairs: int, orders: int) -> Sample:
    from .bots import open_trades, running_bot

    venue.restart(0)
    with running_bot(venue) as bot:
        trades = open_trades(bot, venue.seed("margin", pairs, orders))
        emergency = bot.strategy.emergency
        venue.control.switches(latency_ms=round_trip)
        # The documented second between two cancel-alls is not what is measured.
        time.sleep(cancel_all_limiter(urlsplit(venue.url).netloc).wait() + 0.2)

        def sweep_and_map() -> dict[str, float]:
            began = time.perf_counter()
            emergency.before_exit(trades[0], "emergency_exit", "market", None, time.monotonic())
            exits = time.perf_counter()
            # The exit itself is no part of this.
            emergency.exits.forget(trades[0].id)
            emergency.begin_iteration()
            swept = emergency.sweeps.last.report.elapsed_ms / 1000
            return {"confirmed": swept, "exit may go": exits - began}

        return _timed(venue, sweep_and_map)


def _freqtrade(venue: Venue, round_trip: int, pairs: int, orders: int) -> Sample:
    from .bots import open_trades, running_bot

    venue.restart(0)
    with running_bot(venue) as bot:
        open_trades(bot, venue.seed("margin", pairs, orders))
        venue.control.switches(latency_ms=round_trip)
        time.sleep(0.2)
        return _timed(venue, lambda: bot.cancel_all_open_orders() or {})


def _one_by_one(venue: Venue, round_trip: int, pairs: int, orders: int) -> Sample:
    venue.restart(0)
    venue.seed("spot", pairs, orders)
    urls = {"api": {"rest": venue.rest_url}}
    api = ccxt.bitopro({"apiKey": KEY, "secret": SECRET, "urls": urls})
    api.load_markets()
    venue.control.switches(latency_ms=round_trip)
    time.sleep(0.2)

    def cancel() -> dict[str, float]:
        for pair in PAIRS[:pairs]:
            for order in api.fetch_open_orders(pair):
                api.cancel_order(order["id"], pair)
        return {}

    return _timed(venue, cancel, mapped=False)


def _timed(venue: Venue, work: Callable[[], dict[str, float]], *, mapped: bool = True) -> Sample:
    before = venue.requests()
    began = time.perf_counter()
    parts = work()
    seconds = time.perf_counter() - began
    requests = venue.requests() - before
    # A quick answer that is wrong is no answer.
    if left := venue.open_orders():
        raise RuntimeError(f"{left} orders are still open on the exchange")
    if mapped and (believed := Order.get_open_orders()):
        raise RuntimeError(f"{len(believed)} orders are still open in the database")
    return Sample(seconds, requests, parts)
