"""Cancel and confirm: cancel everything in scope, then believe only what the exchange shows.

Written once, as a flow of ``core.calls``; the kill switch and the ccxt classes perform it as it is,
so it knows neither HTTP nor ccxt.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from .calls import ClockAndNonces, Flow, Moment, RetryingCaller
from .endpoints import (
    CANCEL_ALL,
    CANCEL_BATCH,
    CANCEL_ORDER,
    CANCEL_PAIR,
    FETCH_ORDER,
    ORDERS,
    Endpoint,
    OpenOrdersPath,
    OrderKey,
    batch_pair_id,
    pair_id,
    pair_symbol,
)
from .errors import FATAL, Failure, Outcome, unreadable
from .evidence import ENDS, Source, SweepState, key_of
from .parse import ParsedOrder, read_cancelled, read_open_orders, read_order, read_orders
from .rate_limit import RateLimits
from .report import CancelReport
from .signing import Nonces

LIST_LIMIT: Final = 1000
"""How many orders one list call may bring; more than a pair can hold open, five times over."""
RESENDS: Final = 2
"""How often a cancel-all that may not have arrived is sent again before cancelling by id."""
SINGLES: Final = 25
"""How many orders one by one in a round: the lists, read between rounds, tell of all at once."""
ROUNDS_OF_LISTS: Final = 2
"""How many rounds a history that contradicts the open orders has to catch up."""


class SweptAccount(ClockAndNonces, Protocol):
    """What knows the exchange's clock, the nonces of the key, and what has left so far."""

    @property
    def rate_limits(self) -> RateLimits:
        """The documented limits, shared with whoever else calls this host."""


def cancel_and_confirm(
    symbol: str | None,
    known: Iterable[OrderKey] = (),
    *,
    deadline: float,
    open_orders: OpenOrdersPath | None = None,
    clock: Callable[[], float] | None = None,
    exchange_clock: SweptAccount | None = None,
    report: CancelReport | None = None,
    heard: Callable[[], Iterable[ParsedOrder]] = tuple,
    first: str | None = None,
    structure: Callable[[ParsedOrder], Any] = lambda order: order,
) -> Flow[CancelReport]:
    """Cancel the margin orders of ``symbol`` (None: of every pair) and report what became of them.

    ``known`` are the orders whose final state the caller needs, as (symbol, id); those of other
    pairs than ``symbol`` are left out. ``deadline`` is in seconds from now: the flow ends by then
    and reports what it knows. ``exchange_clock`` holds the exchange's clock minus ours, and the
    limits of its host. A caller that may stop early gives the ``report`` to fill, and finds in it
    what was learnt until it closed the flow. ``heard`` gives the parsed orders that a stream has
    told of: those that have ended by its word are not fetched again. ``structure`` makes of a
    parsed order what stands in the report; without it that is the parsed order.

    ``first`` is a pair that the caller is in a hurry for. The flow then ends as soon as that pair
    is settled: cancelled, listed, and the end of each of its known orders learnt. What is left of
    the other pairs is in ``report.rest``: a function of a deadline (seconds) that returns the flow
    which completes the sweep and returns a whole new report; None where nothing is left. It sends
    no cancel-all any more, and cancels by id only what was open before: an order that the caller
    has placed since is out of its reach.

    :raises ValueError: for a symbol that is not a pair, before anything is sent.
    """
    paths = open_orders or OpenOrdersPath()
    sweep = _Sweep(symbol, known, deadline, paths, clock, exchange_clock, report, heard, structure)
    return sweep.run(None if first is None else pair_symbol(first))


def list_without_cancelling(
    symbol: str | None,
    *,
    deadline: float,
    open_orders: OpenOrdersPath | None = None,
    clock: Callable[[], float] | None = None,
    exchange_clock: SweptAccount | None = None,
    report: CancelReport | None = None,
) -> Flow[CancelReport]:
    """Report what is open in scope, as parsed orders in ``still_open``; send no write at all."""
    paths = open_orders or OpenOrdersPath()
    return _Sweep(symbol, (), deadline, paths, clock, exchange_clock, report).look()


class _OwnAccount:
    """A clock offset and limits that only this sweep knows."""

    clock_offset_ms = 0

    def __init__(self, clock: Callable[[], float]) -> None:
        self.key_nonces = Nonces()
        self.rate_limits = RateLimits(clock)


class _Sweep:
    def __init__(
        self,
        symbol: str | None,
        known: Iterable[OrderKey],
        deadline: float,
        open_orders: OpenOrdersPath,
        clock: Callable[[], float] | None,
        account: SweptAccount | None,
        report: CancelReport | None = None,
        heard: Callable[[], Iterable[ParsedOrder]] = tuple,
        structure: Callable[[ParsedOrder], Any] = lambda order: order,
    ) -> None:
        self.symbol = None if symbol is None else pair_symbol(symbol)
        self.open_orders = open_orders
        self.heard = heard
        self.structure = structure
        self.clock = clock = clock or time.monotonic
        self.started = clock()
        began_ms = time.time_ns() // 1_000_000
        account = account or _OwnAccount(clock)
        # The offset may be learnt on the way, from a refused call.
        self.state = SweepState(self.symbol, known, lambda: began_ms + account.clock_offset_ms)
        self.cancel_all_due = True
        """Whether no cancel-all is known to have been carried out."""
        self.lists_open = True
        """Whether the next reading asks for the open orders, too."""
        self.resends = 0
        self.report = report or CancelReport("all")
        self.report.scope = self.symbol or "all"
        self.caller = RetryingCaller(self.report, deadline, clock, account, account.rate_limits)

    # -- the flow ------------------------------------------------------------------------------

    def run(self, first: str | None) -> Flow[CancelReport]:
        """Cancel, and confirm this pair (None: all) first."""
        return self._reported(self._cancel_and_confirm(first), first)

    def look(self) -> Flow[CancelReport]:
        """List, and nothing else."""
        return self._reported(self._list_open(self._listings()))

    def _rest(self, deadline: float) -> Flow[CancelReport]:
        """Complete what ``run`` left for later, without a word about what was placed since."""
        self.started = self.clock()
        # A cancel-all now would cancel what the caller has placed, too.
        self.cancel_all_due = False
        self.state.close_scope()
        before, self.report = self.report, CancelReport(self.report.scope)
        self.report.in_doubt = before.in_doubt
        # What was listed after the cancel-all names all that survived it: the histories say the
        # rest, and a survivor is listed again.
        self.lists_open = before.in_doubt or not before.listed
        self.caller.extend(deadline, self.report)
        return self._reported(self._confirm(None))

    def _reported(self, flow: Flow[None], first: str | None = None) -> Flow[CancelReport]:
        """Fill the report at the end; a caller that stops early still finds what was learnt."""
        report, has_rest = self.report, False
        try:
            yield from flow
        finally:
            if first is not None:
                barred = not report.listed and self.caller.is_barred(self.open_orders.candidates[0])
                has_rest = not (report.listed or barred) or self.state.is_unsettled()
            # Who is in a hurry waits for no structures of what is completed later.
            self.state.fill(report, self.structure, first if has_rest else None)
            report.key_refusal = self.caller.refused_reads
            report.elapsed_ms = round((self.clock() - self.started) * 1000)
        report.rest = self._rest if has_rest else None
        return report

    def _cancel_and_confirm(self, first: str | None) -> Flow[None]:
        yield from self._cancel_all()
        yield from self._confirm(first)

    def _confirm(self, first: str | None) -> Flow[None]:
        """Read, cancel what survived, and read again, until this pair (None: all) is settled."""
        round_number = 0
        while self._has_time():
            yield from self._read_lists(first)
            if not self.report.listed and self.caller.refused_reads:
                return
            lag = self.report.listed and round_number < ROUNDS_OF_LISTS
            missing = self.state.orders_missing(first, lists_may_lag=lag)
            if missing:
                yield from self._look_up(missing[:SINGLES])
            is_known = self.report.listed or self.caller.is_barred(self.open_orders.candidates[0])
            if is_known and not self.state.is_unsettled(first):
                return
            if self.caller.refused_reads or self.caller.refused_writes:
                return
            if not self._has_time():
                return
            yield from self.caller.pause(0.1 * 2 ** min(round_number, 3))
            yield from self._cancel_survivors()
            round_number += 1

    def _has_time(self) -> bool:
        return self.clock() < self.caller.ends

    # -- reading -------------------------------------------------------------------------------

    def _read_lists(self, first: str | None) -> Flow[None]:
        """The open orders and, at the same time, the history of each pair with ends to learn."""
        self._learn_heard()
        listings, is_first = self._listings(), self.lists_open
        calls: list[tuple[Endpoint, dict[str, Any]]] = listings[:1] if is_first else []
        self.report.listed, self.lists_open = not is_first, True
        pairs = self.state.pairs_to_look_up(first)
        if self.report.in_doubt and self.symbol is not None:
            # Orders that the caller does not know may have been cancelled by the call that did
            # not answer: only the list can name them.
            pairs.add(self.symbol)
        asked: set[str] = set()
        while True:
            symbols = sorted(pairs)
            for symbol in symbols:
                calls.append((ORDERS, {"pair": pair_id(symbol), "limit": LIST_LIMIT}))
            answers = (yield from self.caller.call_together(calls)) if calls else []
            if is_first:
                yield from self._list_open(listings, answers.pop(0))
            for symbol, (reply, moment) in zip(symbols, answers, strict=True):
                orders = read_orders(reply, symbol)
                if isinstance(orders, Failure):
                    self.report.failures.append(orders)
                else:
                    self.state.record_history(orders, moment)
            # Orders that nobody knew have ends as well.
            calls, is_first, asked = [], False, asked | pairs
            pairs = self.state.pairs_to_look_up(first) - asked
            if not pairs or not self._has_time():
                return

    def _list_open(
        self,
        listings: list[tuple[Endpoint, dict[str, str]]],
        answer: tuple[Any, Moment] | None = None,
    ) -> Flow[None]:
        """Ask for the open orders, unless the first of the ``listings`` has its ``answer``."""
        self.report.listed = False
        for endpoint, params in listings:
            if answer is None:
                reply = yield from self.caller.call(endpoint, params)
                answer = (reply, self.caller.moment)
            (reply, moment), answer = answer, None
            orders = read_open_orders(reply)
            if isinstance(orders, Failure):
                self.report.failures.append(orders)
                if orders.status != 404 and (orders.is_retryable or orders.meaning in FATAL):
                    return
                continue
            if endpoint is not self.open_orders.candidates[0]:
                self.open_orders.remember(endpoint)
            self.state.record_open_orders(orders, moment)
            self.report.listed = True
            return

    def _listings(self) -> list[tuple[Endpoint, dict[str, str]]]:
        """The ways to ask for open orders, best first; a refusal moves on to the next."""
        endpoints = self.open_orders.candidates
        if self.symbol is None:
            return [(endpoint, {}) for endpoint in endpoints]
        # A pair that was delisted may be refused as a filter while its orders still rest.
        return [
            *((endpoint, {"pair": pair_id(self.symbol)}) for endpoint in endpoints),
            *((endpoint, {}) for endpoint in endpoints),
        ]

    def _look_up(self, missing: list[OrderKey]) -> Flow[None]:
        """Ask for single orders that the lists lack or contradict."""
        if not self._has_time() or self.caller.refused_reads:
            return
        for key in missing:
            self.state.record_lookup(key)
        answers = yield from self.caller.call_together(
            [(FETCH_ORDER, {"pair": pair_id(key[0]), "orderId": key[1]}) for key in missing]
        )
        for key, (reply, moment) in zip(missing, answers, strict=True):
            if isinstance(reply, Failure):
                self.report.failures.append(reply)
                continue
            order = read_order(reply, key[0])
            if order is not None and key_of(order) == key:
                self.state.record_order(order, moment, Source.LOOKUP)
            else:
                self.report.failures.append(
                    unreadable(f"not the order {key[1]} that was asked for")
                )

    def _learn_heard(self) -> None:
        """Take from a stream only how orders ended: that it tells an order open may be old."""
        heard = list(self.heard())
        if not heard:
            return
        wanted, now = set(self.state.orders_to_look_up()), self.clock()
        for order in heard:
            if order["status"] in ENDS and key_of(order) in wanted:
                self.state.record_order(order, Moment(now, now), Source.STREAM)

    # -- cancelling ----------------------------------------------------------------------------

    def _cancel_all(self) -> Flow[None]:
        endpoint, params = CANCEL_ALL, {}
        if self.symbol is not None:
            endpoint, params = CANCEL_PAIR, {"pair": pair_id(self.symbol)}
        answer = yield from self._cancel(endpoint, params)
        if isinstance(answer, Failure):
            self.cancel_all_due = answer.is_retryable or answer.meaning in FATAL
            return
        self.cancel_all_due = False

    def _cancel_survivors(self) -> Flow[None]:
        if self.cancel_all_due and self.resends < RESENDS:
            # The first one may never have arrived. The answer to a second can be empty because it
            # did, so nothing is concluded from that: the lists are read again.
            self.resends += 1
            yield from self._cancel_all()
            return
        survivors = self.state.orders_to_cancel()
        fresh = [key for key in survivors if not self.state.attempts(key)]
        if fresh:
            yield from self._cancel_batch(fresh)
            return
        for key in survivors[:SINGLES]:
            if not self._has_time():
                return
            yield from self._cancel_one(key)

    def _cancel_batch(self, keys: list[OrderKey]) -> Flow[None]:
        ids: dict[str, list[str]] = {}
        for symbol, order_id in keys:
            ids.setdefault(batch_pair_id(symbol), []).append(order_id)
        yield from self._cancel(CANCEL_BATCH, ids, keys)

    def _cancel_one(self, key: OrderKey) -> Flow[None]:
        params = {"pair": pair_id(key[0]), "orderId": key[1]}
        reply = yield from self._send_cancel(CANCEL_ORDER, params, [key])
        order = None if isinstance(reply, Failure) else read_order(reply, key[0])
        if order is not None and key_of(order) == key:
            self.state.record_cancel_answer(order, self.caller.moment)
        elif isinstance(reply, Failure):
            self._note_failed_cancel(reply, [key])
        else:
            self._note_failed_cancel(unreadable(f"not of the order {key[1]}"), [key])

    def _cancel(
        self, endpoint: Endpoint, params: Mapping[str, Any], keys: list[OrderKey] | None = None
    ) -> Flow[Any]:
        """Send a cancel of these orders (None: of all in scope) that answers with ids.

        :returns: the orders that it names, or the Failure.
        """
        reply = yield from self._send_cancel(endpoint, params, keys or ())
        answer = read_cancelled(reply)
        if isinstance(answer, Failure):
            self._note_failed_cancel(answer, keys)
            return answer
        others = self.state.record_cancelled(answer, self.caller.moment, keys)
        if others:
            # Whatever it meant, it is no word about the orders that were asked about.
            self.report.in_doubt = True
            text = f"{others} cancelled ids that were not asked for"
            self.report.failures.append(unreadable(text))
        return answer

    def _send_cancel(
        self, endpoint: Endpoint, params: Mapping[str, Any], keys: Iterable[OrderKey]
    ) -> Flow[Any]:
        # A list that was read before says nothing of what this does.
        self.report.listed = False
        reply = yield from self.caller.call(endpoint, params, retry_unknown=False)
        for key in keys:
            self.state.record_cancel_attempt(key)
        return reply

    def _note_failed_cancel(self, failure: Failure, keys: list[OrderKey] | None) -> None:
        self.report.failures.append(failure)
        if failure.outcome is Outcome.UNKNOWN:
            self.report.in_doubt = True
            self.state.mark_unconfirmed(self.caller.moment, keys)
