"""Cancel and confirm: cancel everything in scope, then believe only what the exchange shows.

The flow is written once, as a generator that yields what to send or how long to wait, and receives
the decoded answer or a ``Failure``. The ccxt classes and the kill switch each drive it with their
own transport; so it knows neither HTTP nor ccxt.
"""

import random
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

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
from .errors import Failure, Meaning, Outcome, unreadable
from .parse import parse_cancelled_ids, parse_order
from .report import CancelReport
from .wire import batch_pair_id, pair_id, parse_pair

LIST_LIMIT: Final = 1000
"""How many orders one list call may bring; more than a pair can hold open, five times over."""
LOOKUPS: Final = 3
"""How often an order that the exchange does not know is asked for before it is called unknown."""
RESENDS: Final = 2
"""How often a cancel-all without an answer is sent again before orders are cancelled by id."""
HOPELESS: Final = frozenset({Meaning.AUTHENTICATION, Meaning.PERMISSION, Meaning.NONCE})
"""Refusals that no repetition mends."""
BATCH_INTERVAL: Final = 0.5
"""Seconds between two batch cancels (2/s per IP)."""

Key = tuple[str, str]
"""Symbol and order id: an id alone may repeat on another pair."""
Order = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Send:
    """Send this call, waiting at most ``timeout`` seconds; answer with the body or a Failure."""

    endpoint: Endpoint
    params: Mapping[str, Any]
    timeout: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this many seconds."""

    seconds: float


Step = Send | Pause
Flow = Generator[Step, Any, "CancelReport"]


def cancel_and_confirm(
    symbol: str | None,
    known: Iterable[Key] = (),
    *,
    deadline: float,
    open_orders: OpenOrdersPath | None = None,
    clock: Callable[[], float] = time.monotonic,
    offset_ms: Callable[[], int] = lambda: 0,
) -> Flow:
    """Cancel the margin orders of ``symbol`` (None: of every pair) and report what became of them.

    ``known`` are the orders whose final state the caller needs, as (symbol, id). ``deadline`` is in
    seconds from now: the flow ends by then and reports what it knows.
    """
    return _Sweep(symbol, known, deadline, open_orders or OpenOrdersPath(), clock, offset_ms).run()


class _Sweep:
    def __init__(
        self,
        symbol: str | None,
        known: Iterable[Key],
        deadline: float,
        open_orders: OpenOrdersPath,
        clock: Callable[[], float],
        offset_ms: Callable[[], int],
    ) -> None:
        self.symbol = None if symbol is None else "/".join(parse_pair(symbol))
        self.known = {key for key in known if self.symbol in (None, key[0])}
        self.open_orders = open_orders
        self.clock = clock
        self.started = clock()
        self.ends = self.started + deadline
        # One call that hangs must leave time to ask again.
        self.call_timeout = max(1.0, deadline * 0.3)
        self.sent_ms = int(time.time() * 1000) + offset_ms()
        self.explicit: dict[Key, Order] = {}
        self.listed_open: dict[Key, Order] = {}
        self.rows: dict[Key, Order] = {}
        self.lookups: dict[Key, int] = {}
        self.tried_by_id: dict[Key, int] = {}
        self.unanswered = False
        """Whether the last cancel-all got no answer, so that it may not have arrived."""
        self.resends = 0
        self.batch_free_at = self.started
        self.report = CancelReport(self.symbol or "all")

    # -- the flow ------------------------------------------------------------------------------

    def run(self) -> Flow:
        try:
            yield from self._cancel_all()
            round_number = 0
            while self._remaining() > 0:
                self.report.listed = yield from self._list_open()
                yield from self._fetch_known()
                if self.report.listed and not self._unsettled():
                    break
                if not self._may_go_on():
                    break
                yield from self._pause(0.1 * 2 ** min(round_number, 3))
                yield from self._cancel_survivors()
                round_number += 1
        finally:
            # A caller that stops driving the flow early still finds what was learnt so far.
            self._fill_report()
        return self.report

    def _cancel_all(self) -> Generator[Step, Any, None]:
        endpoint, params = CANCEL_ALL, {}
        if self.symbol is not None:
            endpoint, params = CANCEL_PAIR, {"pair": pair_id(self.symbol)}
        reply = yield from self._send(endpoint, params, repeat_unknown=False)
        data = reply if isinstance(reply, Failure) else _data(reply, dict)
        if isinstance(data, Failure):
            self._note(data)
            self.unanswered = data.outcome is Outcome.UNKNOWN
            self.report.in_doubt |= self.unanswered
            return
        self.unanswered = False
        self._note_explicit(data)

    def _list_open(self) -> Generator[Step, Any, bool]:
        rows: Any = None
        for endpoint, params in self._listings():
            reply = yield from self._send(endpoint, params)
            rows = reply if isinstance(reply, Failure) else _data(reply, list)
            if not isinstance(rows, Failure):
                self.open_orders.remember(endpoint)
                break
            if rows.outcome is Outcome.UNKNOWN or rows.meaning in HOPELESS:
                break
        if isinstance(rows, Failure):
            self._note(rows)
            return False
        orders = [_order(row) for row in rows]
        if None in orders:
            # An order that cannot be named might be in scope: better to say that we do not know.
            self._note(unreadable("an open order without id or pair"))
            return False
        self.listed_open = {
            _key(order): order
            for order in orders
            if order is not None
            and order["status"] in ("open", None)
            and self.symbol in (None, order["symbol"])
        }
        return True

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

    def _fetch_known(self) -> Generator[Step, Any, None]:
        """One list call a pair, then single calls for what the lists lack or contradict."""
        wanted = [key for key in sorted(self.known) if self._wanted(key)]
        pairs = {symbol for symbol, _ in wanted}
        if self.report.in_doubt and self.symbol is not None:
            # Orders that the caller does not know may have been cancelled by the call that did
            # not answer: only the list can name them.
            pairs.add(self.symbol)
        for symbol in sorted(pairs):
            reply = yield from self._send(ORDERS, {"pair": pair_id(symbol), "limit": LIST_LIMIT})
            rows = reply if isinstance(reply, Failure) else _data(reply, list)
            if isinstance(rows, Failure):
                self._note(rows)
                continue
            for row in rows:
                order = _order(row, symbol)
                if order is not None:
                    self._learn(order)
        for key in wanted:
            if not self._wanted(key) or key in self.listed_open:
                continue
            self.lookups[key] = self.lookups.get(key, 0) + 1
            params = {"pair": pair_id(key[0]), "orderId": key[1]}
            reply = yield from self._send(FETCH_ORDER, params)
            order = None if isinstance(reply, Failure) else _order(reply, key[0])
            if order is not None and _key(order) == key:
                self._learn(order)
            elif isinstance(reply, Failure):
                self._note(reply)

    def _cancel_survivors(self) -> Generator[Step, Any, None]:
        if self.unanswered and self.resends < RESENDS:
            # The first one may never have arrived. The answer to a second can be empty because it
            # did, so nothing is concluded from that: the lists are read again.
            self.resends += 1
            yield from self._cancel_all()
            return
        survivors = self._survivors()
        fresh = [key for key in survivors if not self.tried_by_id.get(key)]
        if fresh:
            yield from self._cancel_batch(fresh)
            return
        for key in survivors:
            if self._remaining() <= 0:
                return
            self.tried_by_id[key] += 1
            params = {"pair": pair_id(key[0]), "orderId": key[1]}
            reply = yield from self._send(CANCEL_ORDER, params)
            if isinstance(reply, Failure):
                self._note(reply)
            elif isinstance(reply, Mapping) and str(reply.get("orderId")) == key[1]:
                self.explicit[key] = self.listed_open.get(key) or _stub(key)

    def _cancel_batch(self, keys: list[Key]) -> Generator[Step, Any, None]:
        yield from self._wait(self.batch_free_at - self.clock())
        self.batch_free_at = self.clock() + BATCH_INTERVAL
        ids: dict[str, list[str]] = {}
        for symbol, order_id in keys:
            ids.setdefault(batch_pair_id(symbol), []).append(order_id)
            self.tried_by_id[symbol, order_id] = 1
        reply = yield from self._send(CANCEL_BATCH, ids)
        data = reply if isinstance(reply, Failure) else _data(reply, dict)
        if isinstance(data, Failure):
            self._note(data)
            self.report.in_doubt |= data.outcome is Outcome.UNKNOWN
        else:
            self._note_explicit(data)

    # -- sending -------------------------------------------------------------------------------

    def _send(
        self, endpoint: Endpoint, params: Mapping[str, Any], *, repeat_unknown: bool = True
    ) -> Generator[Step, Any, Any]:
        """Send, and repeat what a repetition can mend, until the deadline.

        Every call of this flow may be repeated safely; but after a cancel-all without an answer
        the lists are read first, so that one is not repeated here.
        """
        attempt = 0
        while True:
            remaining = self._remaining()
            if remaining <= 0:
                return Failure(Meaning.TIMEOUT, "the deadline has passed")
            self.report.requests += 1
            reply = yield Send(endpoint, params, min(self.call_timeout, remaining))
            if not isinstance(reply, Failure) or not reply.worth_repeating:
                return reply
            if reply.meaning is Meaning.NONCE or (
                reply.outcome is Outcome.UNKNOWN and not repeat_unknown
            ):
                # The transport has corrected its clock and repeated the call already.
                return reply
            self._note(reply)
            wait = (
                reply.retry_after if reply.retry_after is not None else 0.2 * 2 ** min(attempt, 4)
            )
            if wait >= self._remaining():
                return reply
            yield from self._pause(wait)
            attempt += 1

    def _pause(self, seconds: float) -> Generator[Step, Any, None]:
        # Jitter keeps two bots on one account from meeting again at the next try.
        yield from self._wait(seconds * random.uniform(1.0, 1.25))  # noqa: S311 - not for secrets

    def _wait(self, seconds: float) -> Generator[Step, Any, None]:
        bounded = min(seconds, self._remaining())
        if bounded > 0:
            yield Pause(bounded)

    def _remaining(self) -> float:
        return self.ends - self.clock()

    # -- what is known -------------------------------------------------------------------------

    def _learn(self, order: Order) -> None:
        key = _key(order)
        before = self.rows.get(key)
        # A list may lag behind: an end, once told, is not taken back.
        if before is None or before["status"] == "open":
            self.rows[key] = order

    def _note(self, failure: Failure) -> None:
        self.report.failures.append(failure)

    def _note_explicit(self, data: Mapping[str, Any]) -> None:
        for order in parse_cancelled_ids(data):
            self.explicit[_key(order)] = order

    def _is_final(self, key: Key) -> bool:
        row = self.rows.get(key)
        return row is not None and row["status"] in ("closed", "canceled")

    def _wanted(self, key: Key) -> bool:
        """Whether the end of a known order is still to be learnt, and asking again may help."""
        return not self._is_final(key) and self.lookups.get(key, 0) < LOOKUPS

    def _survivors(self) -> list[Key]:
        """Orders that the exchange shows as open, and does not elsewhere say are over."""
        shown = set(self.listed_open)
        shown |= {
            key
            for key in self.known
            # A history that lags behind an explicit cancellation does not bring an order back.
            if self.rows.get(key, {}).get("status") == "open" and key not in self.explicit
        }
        return sorted(key for key in shown if not self._is_final(key))

    def _unsettled(self) -> bool:
        return bool(self._survivors()) or any(self._wanted(key) for key in self.known)

    def _may_go_on(self) -> bool:
        failures = self.report.failures
        return self._remaining() > 0 and not (failures and failures[-1].meaning in HOPELESS)

    def _fill_report(self) -> None:
        report = self.report
        keys = {*self.known, *self.explicit, *self.listed_open}
        if report.in_doubt:
            keys |= {key for key in self.rows if self._ended_in_sweep(key)}
        for key in sorted(keys):
            row = self.rows.get(key)
            if row is not None and row["status"] == "canceled":
                by_us = key in self.explicit or key in self.tried_by_id or self._ended_in_sweep(key)
                (report.cancelled if by_us else report.already_done).append(row)
            elif row is not None and row["status"] == "closed":
                report.already_done.append(row)
            elif key in self.explicit:
                report.cancelled.append(
                    {**self.explicit[key], "status": "canceled", "filled": None}
                )
            elif key in self.listed_open or row is not None:
                report.still_open.append(row or self.listed_open[key])
            else:
                report.unknown.append(_stub(key))
        report.elapsed_ms = round((self.clock() - self.started) * 1000)

    def _ended_in_sweep(self, key: Key) -> bool:
        """Whether the exchange dates the cancellation after our first request, give or take 2 s."""
        row = self.rows.get(key)
        updated = row.get("lastUpdateTimestamp") if row else None
        return (
            row is not None
            and row["status"] == "canceled"
            and updated is not None
            and updated >= self.sent_ms - 2_000
        )


def _data(reply: Any, kind: type) -> Any:
    data = reply.get("data") if isinstance(reply, Mapping) else None
    # Go servers write an empty collection as null.
    if data is None and isinstance(reply, Mapping) and "data" in reply:
        return kind()
    if not isinstance(data, kind):
        return unreadable(f"no {kind.__name__} under 'data'")
    if kind is dict:
        try:
            parse_cancelled_ids(data)
        except (TypeError, ValueError):
            return unreadable("no lists of ids by pair under 'data'")
    return data


def _order(row: Any, symbol: str | None = None) -> Order | None:
    try:
        order = parse_order(row, symbol)
    except (AttributeError, ValueError, TypeError):
        return None
    return order if order["id"] and order["symbol"] else None


def _key(order: Order) -> Key:
    return (str(order["symbol"]), str(order["id"]))


def _stub(key: Key) -> Order:
    return {"id": key[1], "symbol": key[0], "status": None, "filled": None, "info": {}}
