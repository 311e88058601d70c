"""Cancel and confirm: cancel everything in scope, then believe only what the exchange shows.

Written once, as a flow of ``core.steps``; the kill switch and the ccxt classes perform it as it is,
so it knows neither HTTP nor ccxt.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

from .endpoints import (
    CANCEL_ALL,
    CANCEL_BATCH,
    CANCEL_ORDER,
    CANCEL_PAIR,
    FETCH_ORDER,
    ORDERS,
    Endpoint,
    OpenOrdersPath,
)
from .errors import FATAL, Failure, Outcome, unreadable
from .report import CancelReport
from .steps import Flow, HasClockOffset, RetryingCaller
from .sweep_state import Findings, Key, Order, key_of, read_cancelled, read_collection, read_order
from .symbols import batch_pair_id, pair_id, pair_symbol

LIST_LIMIT: Final = 1000
"""How many orders one list call may bring; more than a pair can hold open, five times over."""
RESENDS: Final = 2
"""How often a cancel-all that may not have arrived is sent again before cancelling by id."""
SINGLES: Final = 25
"""How many orders one by one in a round: the lists, read between rounds, tell of all at once."""
ROUNDS_OF_LISTS: Final = 2
"""How many rounds a history that contradicts the open orders has to catch up."""


def cancel_and_confirm(
    symbol: str | None,
    known: Iterable[Key] = (),
    *,
    deadline: float,
    open_orders: OpenOrdersPath | None = None,
    clock: Callable[[], float] = time.monotonic,
    exchange_clock: HasClockOffset | None = None,
    report: CancelReport | None = None,
    heard: Callable[[], Iterable[Order]] = tuple,
) -> Flow[CancelReport]:
    """Cancel the margin orders of ``symbol`` (None: of every pair) and report what became of them.

    ``known`` are the orders whose final state the caller needs, as (symbol, id); those of other
    pairs than ``symbol`` are left out. ``deadline`` is in seconds from now: the flow ends by then
    and reports what it knows. ``exchange_clock`` holds the exchange's clock minus ours. A caller
    that may stop early gives the ``report`` to fill, and finds in it what was learnt until it
    closed the flow. ``heard`` gives the parsed orders that a stream has told of: those that have
    ended by its word are not fetched again.

    :raises ValueError: for a symbol that is not a pair, before anything is sent.
    """
    paths = open_orders or OpenOrdersPath()
    return _Sweep(symbol, known, deadline, paths, clock, exchange_clock, report, heard).run()


def list_without_cancelling(
    symbol: str | None,
    *,
    deadline: float,
    open_orders: OpenOrdersPath | None = None,
    clock: Callable[[], float] = time.monotonic,
    exchange_clock: HasClockOffset | None = None,
    report: CancelReport | None = None,
) -> Flow[CancelReport]:
    """Report what is open in scope, as parsed orders in ``still_open``; send no write at all."""
    paths = open_orders or OpenOrdersPath()
    return _Sweep(symbol, (), deadline, paths, clock, exchange_clock, report).look()


class _OwnClock:
    """A clock offset that only this sweep knows."""

    clock_offset_ms = 0


class _Sweep:
    def __init__(
        self,
        symbol: str | None,
        known: Iterable[Key],
        deadline: float,
        open_orders: OpenOrdersPath,
        clock: Callable[[], float],
        exchange_clock: HasClockOffset | None,
        report: CancelReport | None = None,
        heard: Callable[[], Iterable[Order]] = tuple,
    ) -> None:
        self.symbol = None if symbol is None else pair_symbol(symbol)
        self.open_orders = open_orders
        self.heard = heard
        self.clock = clock
        self.started = clock()
        began_ms = time.time_ns() // 1_000_000
        offset = exchange_clock or _OwnClock()
        # The offset may be learnt on the way, from a refused call.
        self.found = Findings(self.symbol, known, lambda: began_ms + offset.clock_offset_ms)
        self.cancel_all_due = True
        """Whether no cancel-all is known to have been carried out."""
        self.resends = 0
        self.report = report or CancelReport("all")
        self.report.scope = self.symbol or "all"
        self.caller = RetryingCaller(self.report, deadline, clock, offset)

    # -- the flow ------------------------------------------------------------------------------

    def run(self) -> Flow[CancelReport]:
        try:
            yield from self._cancel_all()
            round_number = 0
            while self.caller.remaining() > 0:
                self.report.listed = yield from self._list_open()
                if not self.report.listed and self._is_fatal():
                    break
                yield from self._fetch_known(round_number)
                unsettled = self.found.unsettled(listed=self.report.listed)
                if not unsettled and (
                    self.report.listed or self.caller.is_barred(self.open_orders.candidates[0])
                ):
                    break
                if self._is_fatal() or self.caller.remaining() <= 0:
                    break
                yield from self.caller.pause(0.1 * 2 ** min(round_number, 3))
                yield from self._cancel_survivors()
                round_number += 1
        finally:
            # A caller that stops driving the flow early still finds what was learnt so far.
            self._fill_report()
        return self.report

    def look(self) -> Flow[CancelReport]:
        """List, and nothing else."""
        try:
            self.report.listed = yield from self._list_open()
        finally:
            self._fill_report()
        return self.report

    def _fill_report(self) -> None:
        self.found.fill(self.report)
        self.report.elapsed_ms = round((self.clock() - self.started) * 1000)

    def _cancel_all(self) -> Flow[None]:
        endpoint, params = CANCEL_ALL, {}
        if self.symbol is not None:
            endpoint, params = CANCEL_PAIR, {"pair": pair_id(self.symbol)}
        reply = yield from self.caller.call(endpoint, params, retry_unknown=False)
        answer = read_cancelled(reply)
        if isinstance(answer, Failure):
            self._note(answer)
            self.cancel_all_due = answer.is_retryable
            if answer.outcome is Outcome.UNKNOWN:
                self.report.in_doubt = True
                self.found.note_unanswered()
            return
        self.cancel_all_due = False
        believed = [order for order in answer if self.symbol in (None, order["symbol"])]
        self.found.note_cancelled(believed)
        self._note_strangers(len(answer) - len(believed))

    def _note_strangers(self, count: int) -> None:
        if count:
            # Whatever it meant, it is no word about the orders that were asked about.
            self.report.in_doubt = True
            self._note(unreadable(f"{count} cancelled ids that were not asked for"))

    def _list_open(self) -> Flow[bool]:
        for endpoint, params in self._listings():
            reply = yield from self.caller.call(endpoint, params)
            rows = read_collection(reply, list)
            if isinstance(rows, Failure):
                self._note(rows)
                if rows.is_retryable or rows.meaning in FATAL:
                    return False
                continue
            self.open_orders.remember(endpoint)
            orders = [read_order(row) for row in rows]
            readable = [order for order in orders if order is not None]
            if len(readable) < len(orders):
                # An order that cannot be named might be in scope: say that we do not know.
                self._note(unreadable("an open order without id or pair"))
                return False
            self.found.note_open(readable)
            return True
        return False

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

    def _fetch_known(self, round_number: int) -> Flow[None]:
        """One list call a pair, then single calls for what the lists lack or contradict."""
        self._learn_heard()
        pairs = {symbol for symbol, _ in self.found.wanted()}
        if self.report.in_doubt and self.symbol is not None:
            # Orders that the caller does not know may have been cancelled by the call that did
            # not answer: only the list can name them.
            pairs.add(self.symbol)
        for symbol in sorted(pairs):
            reply = yield from self.caller.call(
                ORDERS, {"pair": pair_id(symbol), "limit": LIST_LIMIT}
            )
            rows = read_collection(reply, list)
            if isinstance(rows, Failure):
                self._note(rows)
                if rows.meaning in FATAL:
                    return
                continue
            for order in (read_order(row, symbol) for row in rows):
                if order is not None:
                    self.found.learn(order)
        lists_may_lag = self.report.listed and round_number < ROUNDS_OF_LISTS
        missing = [
            key
            for key in self.found.wanted()
            if not self.found.is_listed(key) and not (lists_may_lag and self.found.has_row(key))
        ]
        for key in missing[:SINGLES]:
            if self.caller.remaining() <= 0:
                return
            self.found.note_lookup(key)
            params = {"pair": pair_id(key[0]), "orderId": key[1]}
            reply = yield from self.caller.call(FETCH_ORDER, params)
            if isinstance(reply, Failure):
                self._note(reply)
                if reply.meaning in FATAL:
                    return
                continue
            order = read_order(reply, key[0])
            if order is not None and key_of(order) == key:
                self.found.learn(order, alone=True)
            else:
                self._note(unreadable(f"not the order {key[1]} that was asked for"))

    def _learn_heard(self) -> None:
        """Take from a stream only how orders ended: that it tells an order open may be old."""
        wanted = set(self.found.wanted())
        for order in self.heard():
            if order["status"] in ("closed", "canceled") and key_of(order) in wanted:
                self.found.learn(order)

    def _cancel_survivors(self) -> Flow[None]:
        if self.cancel_all_due and self.resends < RESENDS:
            # The first one may never have arrived. The answer to a second can be empty because it
            # did, so nothing is concluded from that: the lists are read again.
            self.resends += 1
            yield from self._cancel_all()
            return
        survivors = self.found.survivors(listed=self.report.listed)
        fresh = [key for key in survivors if not self.found.tries(key)]
        if fresh:
            yield from self._cancel_batch(fresh)
            return
        for key in survivors[:SINGLES]:
            if self.caller.remaining() <= 0:
                return
            yield from self._cancel_one(key)

    def _cancel_batch(self, keys: list[Key]) -> Flow[None]:
        ids: dict[str, list[str]] = {}
        for symbol, order_id in keys:
            ids.setdefault(batch_pair_id(symbol), []).append(order_id)
        reply = yield from self.caller.call(CANCEL_BATCH, ids, retry_unknown=False)
        for key in keys:
            self.found.note_try(key)
        answer = read_cancelled(reply)
        if isinstance(answer, Failure):
            self._note_failed_cancel(answer, keys)
            return
        believed = [order for order in answer if key_of(order) in keys]
        self.found.note_cancelled(believed)
        self._note_strangers(len(answer) - len(believed))

    def _cancel_one(self, key: Key) -> Flow[None]:
        params = {"pair": pair_id(key[0]), "orderId": key[1]}
        reply = yield from self.caller.call(CANCEL_ORDER, params, retry_unknown=False)
        self.found.note_try(key)
        if isinstance(reply, Failure):
            self._note_failed_cancel(reply, [key])
            return
        order = read_order(reply, key[0])
        if order is not None and key_of(order) == key:
            self.found.note_cancelled([order])
        else:
            self._note_failed_cancel(unreadable(f"not of the order {key[1]}"), [key])

    def _note_failed_cancel(self, failure: Failure, keys: list[Key]) -> None:
        self._note(failure)
        if failure.outcome is Outcome.UNKNOWN:
            self.report.in_doubt = True
            self.found.note_unanswered(keys)

    def _note(self, failure: Failure) -> None:
        self.report.failures.append(failure)

    def _is_fatal(self) -> bool:
        failures = self.report.failures
        return bool(failures) and failures[-1].meaning in FATAL
