"""Perform the steps of a unified method with blocking calls."""

import functools
import time
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import ccxt
import requests

from ..core.calls import Call, Gather, Sleep, call_concurrently
from ..core.errors import Failure
from ..core.guarded_session import guarded_session
from ..core.http_call import CallTimeoutError, HttpCall, NotSentError
from ..core.rate_limit import limits_of
from . import (
    borrowing,
    margin_account,
    market_data,
    order_batches,
    order_cancellation,
    order_creation,
    order_fetching,
)
from .base import MarginParsing, MarginSession
from .call_scope import SCOPE, narrowed
from .describe import LimitedCost
from .flow import Flow, Inherited, LoadMarkets, Request, Step, failure_of, raise_failure
from .params import account_chosen, present_as_method

P = ParamSpec("P")

R = TypeVar("R")


def blocking(
    method: Callable[Concatenate[Any, P], Flow[R]],
) -> Callable[Concatenate[Any, P], R]:
    """Make a blocking method of a unified method's flow."""

    start = account_chosen(method)

    @functools.wraps(method)
    def run(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = self.run_flow(start, *args, **kwargs)
        return result

    present_as_method(run, method)
    return run


OPEN_CONNECTIONS: Final = 2
"""How many stay open: a sweep lists the open orders and those of a pair at the same time, and must
not wait for a handshake then."""


TIMEOUTS_OF_A_CALL: Final = 3
"""How many times ccxt's ``timeout`` a call without a deadline may take: an answer that comes byte
by byte must not keep a bot from looking after its trades."""


class BlockingSession(MarginSession):
    """The margin session over ccxt's blocking transport."""

    session: requests.Session
    _guarded: requests.Session | None = None

    def run_flow(self, start: Callable[..., Flow[R]], /, *args: Any, **kwargs: Any) -> R:
        """Start a flow on this object, and perform it to its end."""
        flow = start(self, *args, **kwargs)
        try:
            step = next(flow)
            while True:
                try:
                    answer = self.perform(step)
                except Exception as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as stop:
            result: R = stop.value
            return result
        finally:
            # An interrupt leaves the flow in the middle, and its scope must not outlive this call.
            flow.close()

    def perform(self, step: Step) -> Any:
        """Do what one step asks and return its answer."""
        match step:
            case Request():
                return self._request(step)
            case Call():
                return self._perform_call(step)
            case Gather(calls):
                return call_concurrently(self._perform_call, calls)
            case Sleep(seconds):
                left = SCOPE.get().ends - time.monotonic()
                return time.sleep(max(0.0, min(seconds, left)))
            case Inherited(method, args, kwargs):
                with narrowed(inherited=True):
                    return getattr(super(), method)(*args, **kwargs)
            case LoadMarkets():
                return self.load_markets()

    def _request(self, request: Request) -> Any:
        first, started = Call(*request), time.monotonic()
        answer = self._perform_call(first, unthrottled=SCOPE.get().unthrottled)
        if isinstance(answer, Failure):
            answer = self.run_flow(MarginSession.retry_nonce, first, answer, started)
            if isinstance(answer, Failure):
                raise_failure(self.id, answer)
        return answer

    def _perform_call(self, step: Call, *, unthrottled: bool = True) -> Any:
        """Make a call; the flow that asks for one keeps the documented limits itself."""
        scope = SCOPE.get()
        ends = scope.ends if step.timeout is None else time.monotonic() + step.timeout
        token = SCOPE.set(scope._replace(ends=min(scope.ends, ends), unthrottled=unthrottled))
        try:
            return getattr(self, step.endpoint.implicit)(step.params)
        except Exception as error:
            return failure_of(error)._replace(error=error)
        finally:
            SCOPE.reset(token)

    def throttle(self, cost: Any = None) -> Any:
        """Wait for this call's turn; a cancel-all only for the last cancel-all."""
        scope = SCOPE.get()
        is_cancel_all = isinstance(cost, LimitedCost) and cost.endpoint.cancels_all
        if not is_cancel_all:
            if scope.unthrottled:
                return
            elapsed = self.milliseconds() - self.lastRestRequestTimestamp
            left = scope.ends - time.monotonic()
            if self.rateLimit * (1 if cost is None else cost) - elapsed >= left * 1000:
                raise self.not_sent_error()
            super().throttle(cost)
        if isinstance(cost, LimitedCost):
            left = scope.ends - time.monotonic()
            # All clients of this process share the limits of a host.
            wait = limits_of(self.urls["api"]["rest"]).try_reserve(cost.endpoint, left)
            if wait is None:
                raise self.not_sent_error()
            time.sleep(wait)

    def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """Send one HTTP request, and give up on it when the time has come.

        That is the deadline, or without one a few times ``timeout``: that counts from byte to byte.
        """
        ends, now = SCOPE.get().ends, time.monotonic()
        if ends <= now:
            raise self.not_sent_error()
        ends = min(ends, now + TIMEOUTS_OF_A_CALL * self.timeout / 1000)
        # Whoever made the session, and whenever: it stays the user's as it was.
        if self.session is not self._guarded:
            self.session = self._guarded = guarded_session(self.session, OPEN_CONNECTIONS)
        signer = getattr(headers, "signer", None) or self.signer_of(headers, body)
        request = HttpCall(ends, signer)
        send = functools.partial(super().fetch, url, method, headers, body)
        is_refused = False
        try:
            return request.run(send)
        except ccxt.BaseError as error:
            is_refused = isinstance(error, ccxt.InvalidNonce)
            raise self.as_network_error(error, sent=request.is_sent) from error.__cause__
        except (NotSentError, CallTimeoutError) as error:
            if request.is_sent:
                raise self.deadline_error(method, url) from None
            raise self.not_sent_error(str(error)) from None
        except RecursionError:
            raise ccxt.BadResponse(
                f"{self.id} {method} {url} answered what cannot be read"
            ) from None
        finally:
            if signer is not None and request.is_sent and not is_refused:
                signer.nonces.accepted.append(signer.nonce)


class bitopromargin(MarginParsing, BlockingSession, ccxt.bitopro):  # type: ignore[misc]  # noqa: N801 - ccxt's naming
    """BitoPro with its cross-margin account as the default one; see each method."""

    cancel_all_orders = blocking(order_cancellation.cancel_all_orders)
    cancel_all_margin_orders = blocking(order_cancellation.cancel_all_margin_orders)
    cancel_order = blocking(order_cancellation.cancel_order)
    cancel_orders = blocking(order_cancellation.cancel_orders)
    cancel_orders_for_symbols = blocking(order_cancellation.cancel_orders_for_symbols)
    cancel_and_confirm = blocking(order_cancellation.cancel_and_confirm)
    confirm_rest = blocking(order_cancellation.confirm_rest)
    create_order = blocking(order_creation.create_order)
    create_orders = blocking(order_batches.create_orders)
    fetch_order = blocking(order_fetching.fetch_order)
    fetch_open_orders = blocking(order_fetching.fetch_open_orders)
    fetch_orders = blocking(order_fetching.fetch_orders)
    fetch_closed_orders = blocking(order_fetching.fetch_closed_orders)
    fetch_canceled_orders = blocking(order_fetching.fetch_canceled_orders)
    fetch_canceled_and_closed_orders = blocking(order_fetching.fetch_canceled_and_closed_orders)
    fetch_my_trades = blocking(order_fetching.fetch_my_trades)
    fetch_order_trades = blocking(order_fetching.fetch_order_trades)
    fetch_balance = blocking(margin_account.fetch_balance)
    fetch_margin_account = blocking(margin_account.fetch_margin_account)
    fetch_my_liquidations = blocking(margin_account.fetch_my_liquidations)
    calculate_ad_ratio = blocking(margin_account.calculate_ad_ratio)
    borrow_cross_margin = blocking(borrowing.borrow_cross_margin)
    repay_cross_margin = blocking(borrowing.repay_cross_margin)
    fetch_borrow_interest = blocking(borrowing.fetch_borrow_interest)
    fetch_borrows = blocking(borrowing.fetch_borrows)
    fetch_repays = blocking(borrowing.fetch_repays)
    fetch_cross_borrow_rate = blocking(borrowing.fetch_cross_borrow_rate)
    fetch_cross_borrow_rates = blocking(borrowing.fetch_cross_borrow_rates)
    transfer = blocking(margin_account.transfer)
    fetch_transfers = blocking(margin_account.fetch_transfers)
    fetch_mark_price = blocking(market_data.fetch_mark_price)
    fetch_mark_prices = blocking(market_data.fetch_mark_prices)
    fetch_markets = blocking(market_data.fetch_markets)
    fetch_currencies = blocking(market_data.fetch_currencies)
    fetch_ohlcv = blocking(market_data.fetch_ohlcv)
