"""Perform the steps of a unified method on an event loop."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

import aiohttp
import ccxt
import ccxt.async_support

from ..core.connecting import NEXT_ADDRESS_SECONDS
from ..core.guarded_session import MAX_ANSWER_BYTES
from ..core.steps import Call, Gather, Sleep
from . import (
    account,
    call_scope,
    loans,
    markets,
    order_batches,
    order_cancellation,
    order_creation,
    orders,
    transfers,
)
from .base import MarginParsing, MarginSession
from .describe import CancelAllCost
from .flow import Flow, Inherited, LoadMarkets, Step, failure_of
from .unified import account_chosen, present_as_method

P = ParamSpec("P")

R = TypeVar("R")


def awaiting(
    method: Callable[Concatenate[Any, P], Flow[R]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """Make a coroutine method of a unified method's flow."""

    start = account_chosen(method)

    @functools.wraps(method)
    async def run(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        flow = start(self, *args, **kwargs)
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

    present_as_method(run, method)
    return run


class _BoundedAnswer:
    """What ``async with session.get(…)`` enters: an answer that is read, and not too long.

    A redirect is not followed.
    """

    def __init__(self, method: Callable[..., Any], *more: Any, **named: Any) -> None:
        self._context = method(*more, **named, allow_redirects=False)

    async def __aenter__(self) -> Any:
        response = await self._context.__aenter__()
        try:
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    response.close()
                    raise aiohttp.ClientPayloadError("the answer is longer than any documented one")
        except BaseException as error:
            await self._context.__aexit__(type(error), error, error.__traceback__)
            raise
        # aiohttp has no public way to put a body that somebody else has read.
        response._body = bytes(body)
        return response

    async def __aexit__(self, *failure: Any) -> None:
        await self._context.__aexit__(*failure)


class AwaitingSession(MarginSession):
    """The margin session over ccxt's asynchronous transport."""

    async def perform(self, step: Step) -> Any:
        """Do what one step asks and return its answer."""
        match step:
            case Call():
                return await self._perform_call(step)
            case Gather(calls):
                return await asyncio.gather(*(self._perform_call(call) for call in calls))
            case Sleep(seconds):
                return await asyncio.sleep(call_scope.clamp_to_deadline(seconds))
            case Inherited(method, args, kwargs):
                with call_scope.narrowed(inherited=True):
                    return await getattr(super(), method)(*args, **kwargs)
            case LoadMarkets():
                return await self.load_markets()

    async def _perform_call(self, step: Call) -> Any:
        call = getattr(self, step.endpoint.implicit)
        try:
            if step.timeout is None:
                return await call(step.params)
            with call_scope.deadline(step.timeout):
                return await call(step.params)
        except Exception as error:
            return failure_of(error)._replace(error=error)

    def open(self, *lazy: Any) -> None:
        """Open ccxt's session, without aiohttp's habit of sending some requests twice.

        On a kept connection that drops it repeats GET, PUT and DELETE by itself: a cancel with
        the nonce of the first, whose refusal would be taken for the fate of the first.
        """
        fresh = self.session is None
        super().open(*lazy)
        if fresh and self.session is not None:
            self.session._retry_connection = False
            # ccxt sets 0 ("at once"), which aiohttp reads as "not before the first has failed".
            self.tcp_connector._happy_eyeballs_delay = NEXT_ADDRESS_SECONDS
            # A redirect would carry the signed headers to wherever it points.
            for method in ("get", "post", "put", "delete"):
                bounded = functools.partial(_BoundedAnswer, getattr(self.session, method))
                setattr(self.session, method, bounded)

    async def throttle(self, cost: Any = None) -> Any:
        """Wait for this call's turn; a cancel-all only for the last cancel-all."""
        left = call_scope.remaining()
        if isinstance(cost, CancelAllCost):
            return await asyncio.sleep(self.reserve_cancel_all(left))
        if call_scope.current().unthrottled:
            return None
        try:
            async with asyncio.timeout(left):
                return await super().throttle(cost)
        except TimeoutError:
            raise self.not_sent_error() from None

    async def fetch(
        self, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> Any:
        """Send one HTTP request; inside a deadline, give up on it when the time has come."""
        left = call_scope.remaining()
        if left is not None and left <= 0:
            raise self.not_sent_error()
        call_scope.count_request()
        try:
            async with asyncio.timeout(left):
                return await super().fetch(url, method, headers, body)
        except ccxt.BaseError as error:
            raise self.as_network_error(error) from error.__cause__
        except TimeoutError:
            raise self.deadline_error(method, url) from None


class bitopromargin(MarginParsing, AwaitingSession, ccxt.async_support.bitopro):  # type: ignore[misc]  # noqa: N801 - ccxt's naming
    """BitoPro with its cross-margin account as the default one; see each method."""

    cancel_all_orders = awaiting(order_cancellation.cancel_all_orders)
    cancel_all_margin_orders = awaiting(order_cancellation.cancel_all_margin_orders)
    cancel_order = awaiting(order_cancellation.cancel_order)
    cancel_orders = awaiting(order_cancellation.cancel_orders)
    cancel_orders_for_symbols = awaiting(order_cancellation.cancel_orders_for_symbols)
    cancel_and_confirm = awaiting(order_cancellation.cancel_and_confirm)
    confirm_rest = awaiting(order_cancellation.confirm_rest)
    create_order = awaiting(order_creation.create_order)
    create_orders = awaiting(order_batches.create_orders)
    fetch_order = awaiting(orders.fetch_order)
    fetch_open_orders = awaiting(orders.fetch_open_orders)
    fetch_orders = awaiting(orders.fetch_orders)
    fetch_closed_orders = awaiting(orders.fetch_closed_orders)
    fetch_canceled_orders = awaiting(orders.fetch_canceled_orders)
    fetch_canceled_and_closed_orders = awaiting(orders.fetch_canceled_and_closed_orders)
    fetch_my_trades = awaiting(orders.fetch_my_trades)
    fetch_order_trades = awaiting(orders.fetch_order_trades)
    fetch_balance = awaiting(account.fetch_balance)
    fetch_margin_account = awaiting(account.fetch_margin_account)
    fetch_my_liquidations = awaiting(account.fetch_my_liquidations)
    calculate_ad_ratio = awaiting(account.calculate_ad_ratio)
    borrow_cross_margin = awaiting(loans.borrow_cross_margin)
    repay_cross_margin = awaiting(loans.repay_cross_margin)
    fetch_borrow_interest = awaiting(loans.fetch_borrow_interest)
    fetch_borrows = awaiting(loans.fetch_borrows)
    fetch_repays = awaiting(loans.fetch_repays)
    fetch_cross_borrow_rate = awaiting(loans.fetch_cross_borrow_rate)
    fetch_cross_borrow_rates = awaiting(loans.fetch_cross_borrow_rates)
    transfer = awaiting(transfers.transfer)
    fetch_transfers = awaiting(transfers.fetch_transfers)
    fetch_mark_price = awaiting(account.fetch_mark_price)
    fetch_mark_prices = awaiting(account.fetch_mark_prices)
    fetch_markets = awaiting(markets.fetch_markets)
