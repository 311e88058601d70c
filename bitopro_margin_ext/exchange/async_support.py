"""Perform the steps of a unified method on an event loop."""

import asyncio
import contextlib
import functools
import math
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

import ccxt
import ccxt.async_support

from ..core.calls import Call, Gather, Sleep
from ..core.connecting import NEXT_ADDRESS_SECONDS
from ..core.errors import Failure, network_failure
from ..core.rate_limit import limits_of
from ..core.signing import Signer
from . import (
    borrowing,
    margin_account,
    market_data,
    order_batches,
    order_cancellation,
    order_creation,
    order_fetching,
)
from .aiohttp_session import HardenedSession, Sending
from .base import MarginParsing, MarginSession
from .call_scope import SCOPE, narrowed
from .describe import LimitedCost
from .flow import Flow, Inherited, LoadMarkets, Request, Step, error_of, failure_of, raise_failure
from .params import account_chosen, present_as_method

P = ParamSpec("P")

R = TypeVar("R")


def awaiting(
    method: Callable[Concatenate[Any, P], Flow[R]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]:
    """Make a coroutine method of a unified method's flow."""

    start = account_chosen(method)

    @functools.wraps(method)
    async def run(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = await self.run_flow(start, *args, **kwargs)
        return result

    present_as_method(run, method)
    return run


class AwaitingSession(MarginSession):
    """The margin session over ccxt's asynchronous transport."""

    session: Any

    async def run_flow(self, start: Callable[..., Flow[R]], /, *args: Any, **kwargs: Any) -> R:
        """Start a flow on this object, and perform it to its end."""
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
        finally:
            # A cancelled task leaves the flow in the middle; its scope must not outlive this call.
            flow.close()

    async def perform(self, step: Step) -> Any:
        """Do what one step asks and return its answer."""
        match step:
            case Request():
                return await self._request(step)
            case Call():
                return await self._perform_call(step)
            case Gather(calls):
                return await asyncio.gather(*(self._perform_call(call) for call in calls))
            case Sleep(seconds):
                left = SCOPE.get().ends - time.monotonic()
                return await asyncio.sleep(max(0.0, min(seconds, left)))
            case Inherited(method, args, kwargs):
                with narrowed(inherited=True):
                    return await getattr(super(), method)(*args, **kwargs)
            case LoadMarkets():
                return await self.load_markets()

    async def _request(self, request: Request) -> Any:
        first, started = Call(*request), time.monotonic()
        answer = await self._perform_call(first, unthrottled=SCOPE.get().unthrottled)
        if isinstance(answer, Failure):
            answer = await self.run_flow(MarginSession.retry_nonce, first, answer, started)
            if isinstance(answer, Failure):
                raise_failure(self.id, answer)
        return answer

    async def _perform_call(self, step: Call, *, unthrottled: bool = True) -> Any:
        """Make a call; the flow that asks for one keeps the documented limits itself."""
        scope = SCOPE.get()
        ends = scope.ends if step.timeout is None else time.monotonic() + step.timeout
        token = SCOPE.set(scope._replace(ends=min(scope.ends, ends), unthrottled=unthrottled))
        try:
            return await getattr(self, step.endpoint.implicit)(step.params)
        except Exception as error:
            return failure_of(error)._replace(error=error)
        finally:
            SCOPE.reset(token)

    def open(self, *lazy: Any) -> None:
        """Open ccxt's session, or take the user's, and use it as ``HardenedSession`` does."""
        super().open(*lazy)
        if self.tcp_connector is not None:
            # ccxt sets 0 ("at once"), which aiohttp reads as "not before the first has failed".
            self.tcp_connector._happy_eyeballs_delay = NEXT_ADDRESS_SECONDS
        if self.session is not None and not isinstance(self.session, HardenedSession):
            self.session = HardenedSession(self.session)

    def get_socks_proxy_session(self, url: str) -> Any:
        """ccxt's session for a SOCKS proxy, used in the same way."""
        session = super().get_socks_proxy_session(url)
        if not isinstance(session, HardenedSession):
            session = self.socks_proxy_sessions[url] = HardenedSession(session)
        return session

    async def close(self, *arguments: Any) -> None:
        """Release what the object has opened; a session of the user's stays open."""
        session = self.session
        await super().close(*arguments)
        if isinstance(session, HardenedSession):
            session.detach()

    async def throttle(self, cost: Any = None) -> Any:
        """Wait for this call's turn; a cancel-all only for the last cancel-all."""
        scope = SCOPE.get()
        is_cancel_all = isinstance(cost, LimitedCost) and cost.endpoint.cancels_all
        if not is_cancel_all:
            if scope.unthrottled:
                return
            left = scope.ends - time.monotonic()
            try:
                async with asyncio.timeout(None if left == math.inf else left):
                    await super().throttle(cost)
            except TimeoutError:
                raise self.not_sent_error() from None
        if isinstance(cost, LimitedCost):
            left = scope.ends - time.monotonic()
            # All clients of this process share the limits of a host.
            wait = limits_of(self.urls["api"]["rest"]).try_reserve(cost.endpoint, left)
            if wait is None:
                raise self.not_sent_error()
            await asyncio.sleep(wait)

    async def fetch(
        self, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> Any:
        """Send one HTTP request; inside a deadline, give up on it when the time has come."""
        left = SCOPE.get().ends - time.monotonic()
        if left <= 0:
            raise self.not_sent_error()
        sending = Sending()
        signer = getattr(headers, "signer", None) or self.signer_of(headers, body)
        is_refused = False
        try:
            with sending.running():
                async with asyncio.timeout(None if left == math.inf else left):
                    async with self._turn(signer):
                        if signer is not None:
                            if signer.nonce <= signer.nonces.written:
                                headers = {**headers, **signer.headers()}
                            signer.nonces.written = signer.nonce
                        return await super().fetch(url, method, headers, body)
        except ccxt.BaseError as error:
            is_refused = isinstance(error, ccxt.InvalidNonce)
            raise self.as_network_error(error, sent=sending.is_sent) from error.__cause__
        except TimeoutError:
            if not sending.is_sent:
                raise self.not_sent_error("the deadline came before the connection") from None
            raise self.deadline_error(method, url) from None
        except _connection_errors() as error:
            failure = network_failure(error, timed_out=False)._replace(sent=sending.is_sent)
            raise error_of(failure, f"{self.id} {method}: {failure}") from error
        finally:
            if signer is not None and sending.is_sent and not is_refused:
                signer.nonces.accepted.append(signer.nonce)

    @contextlib.asynccontextmanager
    async def _turn(self, signer: Signer | None) -> AsyncIterator[None]:
        """Wait for the call before, where the exchange wants the calls of a key in order."""
        if signer is None or not signer.nonces.is_ordered:
            yield
            return
        # Threads take part as well, so there is nothing to await.
        while (turn := signer.nonces.take_turn(0)) is None:
            await asyncio.sleep(0.002)
        try:
            yield
        finally:
            turn.release()


def _connection_errors() -> tuple[type[Exception], ...]:
    """What ccxt lets through: by a SOCKS proxy another library connects, if it is loaded."""
    library = sys.modules.get("aiohttp_socks")
    if library is None:
        return OSError, EOFError
    names = ("ProxyError", "ProxyConnectionError", "ProxyTimeoutError")
    return OSError, EOFError, *(getattr(library, name) for name in names)


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
    fetch_order = awaiting(order_fetching.fetch_order)
    fetch_open_orders = awaiting(order_fetching.fetch_open_orders)
    fetch_orders = awaiting(order_fetching.fetch_orders)
    fetch_closed_orders = awaiting(order_fetching.fetch_closed_orders)
    fetch_canceled_orders = awaiting(order_fetching.fetch_canceled_orders)
    fetch_canceled_and_closed_orders = awaiting(order_fetching.fetch_canceled_and_closed_orders)
    fetch_my_trades = awaiting(order_fetching.fetch_my_trades)
    fetch_order_trades = awaiting(order_fetching.fetch_order_trades)
    fetch_balance = awaiting(margin_account.fetch_balance)
    fetch_margin_account = awaiting(margin_account.fetch_margin_account)
    fetch_my_liquidations = awaiting(margin_account.fetch_my_liquidations)
    calculate_ad_ratio = awaiting(margin_account.calculate_ad_ratio)
    borrow_cross_margin = awaiting(borrowing.borrow_cross_margin)
    repay_cross_margin = awaiting(borrowing.repay_cross_margin)
    fetch_borrow_interest = awaiting(borrowing.fetch_borrow_interest)
    fetch_borrows = awaiting(borrowing.fetch_borrows)
    fetch_repays = awaiting(borrowing.fetch_repays)
    fetch_cross_borrow_rate = awaiting(borrowing.fetch_cross_borrow_rate)
    fetch_cross_borrow_rates = awaiting(borrowing.fetch_cross_borrow_rates)
    transfer = awaiting(margin_account.transfer)
    fetch_transfers = awaiting(margin_account.fetch_transfers)
    fetch_mark_price = awaiting(market_data.fetch_mark_price)
    fetch_mark_prices = awaiting(market_data.fetch_mark_prices)
    fetch_markets = awaiting(market_data.fetch_markets)
    fetch_currencies = awaiting(market_data.fetch_currencies)
    fetch_ohlcv = awaiting(market_data.fetch_ohlcv)
