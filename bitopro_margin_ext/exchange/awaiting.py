"""Perform the steps of a unified method on an event loop."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

import ccxt

from . import deadlines, pace, tally
from .implicit import CancelAllCost
from .parsing import inherited_parsing
from .session import MarginSession
from .steps import Call, Flow, LoadMarkets, Parent, Sleep, Step

P = ParamSpec("P")
R = TypeVar("R")


def awaiting(
    method: Callable[Concatenate[Any, P], Flow[R]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """Make a coroutine method of a unified method's flow."""

    @functools.wraps(method)
    async def run(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        flow = method(self, *args, **kwargs)
        try:
            step = next(flow)
            while True:
                try:
                    answer = await self.perform(step)
                except Exception as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as stop:
            result: R = stop.value
            return result

    return run


class AwaitingSession(MarginSession):
    """The margin session over ccxt's asynchronous transport."""

    async def perform(self, step: Step) -> Any:
        """Do what one step asks and return its answer."""
        match step:
            case Call(endpoint, params, timeout):
                call = getattr(self, endpoint.implicit)
                if timeout is None:
                    return await call(params)
                with deadlines.deadline(timeout):
                    return await call(params)
            case Parent(method, args):
                with inherited_parsing():
                    return await getattr(super(), method)(*args)
            case LoadMarkets():
                return await self.load_markets()
            case Sleep(seconds):
                return await asyncio.sleep(deadlines.bounded(seconds))

    def open(self, *lazy: Any) -> None:
        """Open ccxt's session, without aiohttp's habit of sending some requests twice.

        On a kept connection that drops it repeats GET, PUT and DELETE by itself: a cancel with
        the nonce of the first, whose refusal would be taken for the fate of the first.
        """
        fresh = self.session is None
        super().open(*lazy)
        if fresh and self.session is not None:
            self.session._retry_connection = False
            # A redirect would carry the signed headers to wherever it points.
            for method in ("get", "post", "put", "delete"):
                stay = functools.partial(getattr(self.session, method), allow_redirects=False)
                setattr(self.session, method, stay)

    async def throttle(self, cost: Any = None) -> Any:
        """Wait for this call's turn; a cancel-all only for the last cancel-all."""
        left = deadlines.remaining()
        if isinstance(cost, CancelAllCost):
            return await asyncio.sleep(self.reserve_cancel_all(left))
        if pace.is_kept_by_caller():
            return None
        try:
            async with asyncio.timeout(left):
                return await super().throttle(cost)
        except TimeoutError:
            raise self.held_back() from None

    async def fetch(
        self, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> Any:
        """Send one HTTP request; inside a deadline, give up on it when the time has come."""
        left = deadlines.remaining()
        if left is not None and left <= 0:
            raise self.held_back()
        tally.count()
        try:
            async with asyncio.timeout(left):
                return await super().fetch(url, method, headers, body)
        except ccxt.BaseError as error:
            raise self.mended(error) from error.__cause__
        except TimeoutError:
            raise self.past_deadline(method, url) from None
