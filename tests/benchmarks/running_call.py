"""Measurement 2: from the call to the first byte, in a process that has just sent another one."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import ccxt
import ccxt.async_support

from bitopro_margin_ext.core.rate_limit import cancel_all_limiter
from bitopro_margin_ext.exchange import register

from .children import EMAIL, KEY, SECRET
from .readings import Contender, Row, Sample, take_turns
from .tap import Tap
from .venue import Venue

NUMBER = 2
AIM_SECONDS = 0.005
WHAT = "call to first byte of the cancel-all, straight after another request"


def measure(venue: Venue, quick: bool) -> Iterator[Row]:
    register()
    with Tap(venue.url) as tap:
        for round_trip, rounds in ((0, 1),) if quick else ((0, 15), (50, 5), (200, 5)):
            venue.restart(round_trip)
            yield _row(f"{WHAT}, blocking", round_trip, _blocking(tap), rounds)
            with asyncio.Runner() as runner:
                sides, close = _awaiting(tap, runner.run)
                yield _row(f"{WHAT}, async", round_trip, sides, rounds)
                runner.run(close())


def _row(what: str, round_trip: int, sides: list[Contender], rounds: int) -> Row:
    if rounds > 1:
        for side in sides:
            side.measure()
    take_turns(sides, rounds, budget=60)
    met = sides[0].seconds <= AIM_SECONDS
    return Row(NUMBER, what, round_trip, sides[0], sides[1:], "≤ 5 ms", met)


def _config(tap: Tap) -> dict[str, Any]:
    urls = {"api": {"rest": f"{tap.url}/v3"}}
    return {"apiKey": KEY, "secret": SECRET, "login": EMAIL, "urls": urls}


def _rest(tap: Tap) -> None:
    """Let a second pass since the last cancel-all: the limit is not what is measured."""
    time.sleep(max(1.05, cancel_all_limiter(tap.url.removeprefix("http://")).wait()))
    tap.forget()


def _blocking(tap: Tap) -> list[Contender]:
    def side(name: str, api: Any) -> Contender:
        api.load_markets()

        def measure() -> Sample:
            _rest(tap)
            api.fetch_balance()
            began = time.perf_counter()
            api.cancel_all_orders()
            return Sample(tap.await_delete() - began)

        return Contender(name, measure)

    config = _config(tap)
    return [
        side("bitopromargin", ccxt.bitopromargin(config)),
        side("ccxt.bitopro", ccxt.bitopro(config)),
    ]


def _awaiting(
    tap: Tap, run: Callable[[Coroutine[Any, Any, Any]], Any]
) -> tuple[list[Contender], Callable[[], Coroutine[Any, Any, None]]]:
    config = {**_config(tap), "aiohttp_trust_env": False}
    apis = [ccxt.async_support.bitopromargin(config), ccxt.async_support.bitopro(config)]

    def side(name: str, api: Any) -> Contender:
        run(api.load_markets())

        async def call() -> float:
            await api.fetch_balance()
            began = time.perf_counter()
            await api.cancel_all_orders()
            return began

        def measure() -> Sample:
            _rest(tap)
            began = run(call())
            return Sample(tap.await_delete() - began)

        return Contender(name, measure)

    async def close() -> None:
        for api in apis:
            await api.close()

    names = ("bitopromargin, async", "ccxt.async_support.bitopro")
    return [side(name, api) for name, api in zip(names, apis, strict=True)], close
