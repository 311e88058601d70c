"""Measurement 5: what the hook costs an iteration without an emergency, and memory over sweeps."""

import gc
import logging
import statistics
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from freqtrade.strategy import IStrategy

from bitopro_margin_ext import register
from bitopro_margin_ext.core import sweep
from bitopro_margin_ext.core.calls import Call, Gather, Step
from bitopro_margin_ext.core.endpoints import ORDERS

from .readings import Contender, Row, Sample, take_turns
from .venue import Venue

NUMBER = 5
SWEEPS = 10_000
MOST_BYTES_A_SWEEP = 2.0


def measure(venue: Venue, quick: bool) -> Iterator[Row]:
    register()
    logging.disable(logging.ERROR)
    yield _idle(venue, 20 if quick else 500)
    yield _memory(100 if quick else SWEEPS)


def _idle(venue: Venue, times: int) -> Row:
    from .bots import open_trades, running_bot

    venue.restart(0)
    with running_bot(venue) as bot:
        open_trades(bot, venue.seed("margin", 3, 1))
        now = datetime.now(UTC)

        def mean(call: Any) -> Sample:
            began = time.perf_counter()
            for _ in range(times):
                call(current_time=now)
            return Sample((time.perf_counter() - began) / times)

        plain = IStrategy.bot_loop_start.__get__(bot.strategy)
        sides = [
            Contender(
                "with the hook, three trades open", lambda: mean(bot.strategy.bot_loop_start)
            ),
            Contender("without it", lambda: mean(plain)),
        ]
        take_turns(sides, 5)
        row = Row(NUMBER, "the start of an iteration without an emergency", None, *_split(sides))
        row.aim, row.met = "≤ 1 ms", sides[0].seconds <= 0.001
        return row


def _split(sides: list[Contender]) -> tuple[Contender, list[Contender]]:
    return sides[0], sides[1:]


def _memory(count: int) -> Row:
    """Sweeps of one order each, performed in memory: what grows, grows in the flow."""
    known = [("BTC/USDT", "7")]
    row = {"id": "7", "pair": "btc_usdt", "status": 4, "executedAmount": "0", "price": "1"}

    def answer(step: Step) -> Any:
        if isinstance(step, Gather):
            return [answer(call) for call in step.calls]
        if not isinstance(step, Call):
            return None
        if step.endpoint.cancels_all:
            return {"data": {"BTC_USDT": ["7"]}}
        return {"data": [row] if step.endpoint is ORDERS else []}

    def once() -> None:
        flow = sweep.cancel_and_confirm("BTC/USDT", known, deadline=10)
        reply: Any = None
        try:
            while True:
                reply = answer(flow.send(reply))
        except StopIteration:
            return

    def seconds(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            once()
        return (time.perf_counter() - began) / times

    seconds(max(20, count // 10))
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(count):
        once()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    took = statistics.median(seconds(50) for _ in range(3))
    row_ = Row(
        NUMBER,
        f"memory after {count:,} sweeps: {grown / 1024:+.1f} KiB; processor time of a sweep",
        None,
        Contender("core.sweep", lambda: Sample(took), [Sample(took)]),
        [],
    )
    row_.aim = f"≤ {MOST_BYTES_A_SWEEP:g} bytes a sweep"
    row_.met = grown <= max(65536, MOST_BYTES_A_SWEEP * count)
    return row_
