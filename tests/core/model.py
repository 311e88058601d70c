"""A small exchange in memory with a clock of its own, to drive the sweep without HTTP or waiting.

It is scripted: for each call a fault says what goes wrong. It notes every word that reached the
client, so that a report can be held against it.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bitopro_margin_ext.core.calls import Call, Gather, Sleep
from bitopro_margin_ext.core.endpoints import (
    CANCEL_ALL,
    CANCEL_BATCH,
    CANCEL_ORDER,
    CANCEL_PAIR,
    FETCH_ORDER,
    OPEN_ORDERS,
    OPEN_ORDERS_FALLBACK,
    ORDERS,
)
from bitopro_margin_ext.core.errors import classify, network_failure, not_sent
from bitopro_margin_ext.core.sweep import cancel_and_confirm

BTC, ETH = "BTC/USDT", "ETH/USDT"
OPEN, FILLED, PARTLY_DONE, CANCELLED = 0, 2, 3, 4
LISTS = (OPEN_ORDERS, OPEN_ORDERS_FALLBACK)


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Row:
    """One order of the model; ``history`` holds (moment, status, executed)."""

    symbol: str
    id: str
    status: int = OPEN
    executed: str = "0"
    updated: float = 0.0
    history: list[tuple[float, int, str]] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.status in (-1, 0, 1)

    @property
    def key(self) -> tuple[str, str]:
        return (self.symbol, self.id)

    def set(self, now: float, status: int, executed: str | None = None) -> None:
        self.history.append((now, self.status, self.executed))
        self.status, self.updated = status, now
        self.executed = self.executed if executed is None else executed

    def as_of(self, moment: float) -> tuple[int, str]:
        status, executed = self.status, self.executed
        for changed, before, had in reversed(self.history):
            if changed <= moment:
                break
            status, executed = before, had
        return status, executed


class Model:
    """The exchange. ``faults`` holds what goes wrong with each call in turn; then nothing does."""

    def __init__(self, clock: Clock, orders: list[Row], faults: Any = ()) -> None:
        self.clock = clock
        self.orders = orders
        self.faults = iter(faults)
        self.calls: list[tuple[float, Any, Any]] = []
        self.said_cancelled: set[tuple[str, str]] = set()
        self.said_over: set[tuple[str, str]] = set()
        self.used: list[str] = []
        self.began_ms = 0

    # -- one call ------------------------------------------------------------------------------

    def answer(self, step: Call) -> Any:
        fault = next(self.faults, "fine")
        self.used.append(fault)
        kind, _, detail = fault.partition(":")
        if kind == "not_sent":
            return not_sent("model")
        self.calls.append((self.clock.now, step.endpoint, step.params))
        self.clock.now += min(0.01, step.timeout)
        if kind == "timeout_before":
            self.clock.now += max(0.0, step.timeout - 0.01)
            return network_failure(TimeoutError(), timed_out=True)
        if kind == "drop_before":
            return network_failure(ConnectionError(), timed_out=False)
        if kind == "status":
            status, _, after = detail.partition("/")
            headers = {"Retry-After": after} if after else {}
            return classify(int(status), '{"error": "Fault"}', path="/v3/x", headers=headers)
        if kind == "page":
            return classify(int(detail), "<html>Bad Gateway</html>", path="/v3/x")
        if kind == "fill_before":
            self._fill(step, detail)
        if kind == "maintenance":
            return classify(400, '{"error": "Pair btc_usdt is under maintenance."}', path="/v3/x")
        reply = self._process(step, kind, float(detail or 0) if kind == "lag" else 0.0)
        if kind == "timeout_after":
            self.clock.now += max(0.0, step.timeout - 0.01)
            return network_failure(TimeoutError(), timed_out=True)
        if kind == "drop_after":
            return network_failure(ConnectionError(), timed_out=False)
        if kind == "fill_after":
            self._fill(step, detail)
        if kind in ("garbage", "empty", "list", "null"):
            return {"garbage": "<oops>", "empty": {}, "list": [reply], "null": None}[kind]
        if kind == "impossible":
            reply = _impossible(reply, detail)
        if kind == "numbers":
            reply = _numbers(reply)
        if kind == "twice":
            reply = _twice(reply)
        if kind == "strangers" and step.endpoint in (CANCEL_ALL, CANCEL_PAIR, CANCEL_BATCH):
            reply = {"data": {**reply["data"], "DOGE_TWD": ["424242"]}}
        self._hear(step, reply)
        return reply

    def _process(self, step: Call, kind: str, lag: float) -> Any:
        params, endpoint = step.params, step.endpoint
        moment = self.clock.now - lag
        if endpoint in (CANCEL_ALL, CANCEL_PAIR):
            chosen = [row for row in self.orders if row.is_open and self._in(row, params)]
            return self._cancel(chosen[::2] if kind == "some" else chosen, kind)
        if endpoint is CANCEL_BATCH:
            named = {(_symbol(pair), str(i)) for pair, ids in params.items() for i in ids}
            chosen = [row for row in self.orders if row.is_open and row.key in named]
            return self._cancel(chosen[::2] if kind == "some" else chosen, kind)
        if endpoint is CANCEL_ORDER:
            row = self._find(params)
            if row is None:
                return classify(404, '{"error": "Order not found"}')
            if not row.is_open or kind == "some":
                return classify(400, '{"error": "Order 1 cannot be cancelled."}')
            answer = {"orderId": row.id, "action": "BUY", "price": "1", "amount": "2"}
            if kind == "claim":
                return answer
            if kind == "filled_instead":
                row.set(self.clock.now, FILLED, "2")
                return {**answer, "status": FILLED, "executedAmount": "2"}
            self._end(row)
            if kind == "stated":
                return {**answer, "status": row.status, "executedAmount": row.executed}
            return answer
        if endpoint in LISTS:
            if endpoint is OPEN_ORDERS_FALLBACK:
                return classify(404, '{"error": "Not Found"}', path="/v3/margin/orders/open")
            wanted = [row for row in self.orders if self._in(row, params)]
            return {"data": [x for x in (wire(r, moment) for r in wanted) if x["status"] < 2]}
        if endpoint is ORDERS:
            return {"data": [wire(r, moment) for r in self.orders if self._in(r, params)]}
        assert endpoint is FETCH_ORDER
        row = self._find(params)
        return wire(row, moment) if row else classify(404, '{"error": "Order not found"}')

    def _cancel(self, rows: list[Row], kind: str) -> Any:
        data: dict[str, list[str]] = {}
        for row in rows:
            if kind != "claim":
                self._end(row)
            data.setdefault(row.symbol.replace("/", "_"), []).append(row.id)
        return {"data": data}

    def _end(self, row: Row) -> None:
        row.set(self.clock.now, CANCELLED if row.executed == "0" else PARTLY_DONE)

    def _fill(self, step: Call, detail: str) -> None:
        for row in self.orders:
            if row.is_open:
                full = detail == "all"
                row.set(self.clock.now, FILLED if full else 1, "2" if full else "1")
                return

    def _in(self, row: Row, params: Any) -> bool:
        return "pair" not in params or _symbol(params["pair"]) == row.symbol

    def _find(self, params: Any) -> Row | None:
        key = (_symbol(params["pair"]), params["orderId"])
        return next((row for row in self.orders if row.key == key), None)

    def _hear(self, step: Call, reply: Any) -> None:
        """Note what the client has been told."""
        if not isinstance(reply, dict):
            return
        if step.endpoint in (CANCEL_ALL, CANCEL_PAIR, CANCEL_BATCH):
            for pair, ids in reply["data"].items():
                self.said_cancelled |= {(_symbol(pair), str(i)) for i in ids}
        elif step.endpoint is CANCEL_ORDER:
            key = (_symbol(step.params["pair"]), str(reply["orderId"]))
            said = self.said_over if reply.get("status") == FILLED else self.said_cancelled
            said.add(key)
        else:
            for row in reply.get("data", [reply]):
                if row["executedAmount"] not in ("0", "1", "2"):
                    continue
                key = (_symbol(row["pair"]), str(row["id"]))
                if row["status"] in (3, 4, 6):
                    self.said_cancelled.add(key)
                if row["status"] in (2, 3, 4, 6):
                    self.said_over.add(key)


def _at_once(model: Model, calls: Iterable[Call]) -> list[Any]:
    began, ends, answers = model.clock.now, [], []
    for call in calls:
        assert call.endpoint.method == "GET", "only what changes nothing is sent at the same time"
        model.clock.now = began
        answers.append(model.answer(call))
        ends.append(model.clock.now)
    model.clock.now = max(ends)
    return answers


def drive(flow: Any, model: Model) -> Any:
    """Run a flow to its end against the model."""
    answer: Any = None
    before = len(model.calls)
    try:
        while True:
            step = flow.send(answer)
            if isinstance(step, Sleep):
                assert step.seconds > 0
                model.clock.now += step.seconds
                answer = None
            elif isinstance(step, Gather):
                answer = _at_once(model, step.calls)
            else:
                assert step.timeout > 0
                answer = model.answer(step)
    except StopIteration as stop:
        stop.value.requests = len(model.calls) - before
        return stop.value


def sweep(model: Model, symbol: str | None, known: Any = (), deadline: float = 10.0) -> Any:
    """Cancel and confirm against the model."""
    flow = cancel_and_confirm(symbol, known, deadline=deadline, clock=model.clock)
    return drive(flow, model)


def a_model(*rows: Row, faults: Iterable[str] = ()) -> Model:
    """A model with these orders, or with two on one pair and one on the other."""
    return Model(Clock(), list(rows) or [Row(BTC, "1"), Row(BTC, "2"), Row(ETH, "3")], faults)


def methods(model: Model) -> list[Any]:
    """The endpoints that were called, in order."""
    return [endpoint for _, endpoint, _ in model.calls]


def keys(orders: Iterable[Any]) -> list[tuple[str, str]]:
    """Orders of a report as (symbol, id)."""
    return [(order["symbol"], order["id"]) for order in orders]


def wire(row: Row, moment: float) -> dict[str, Any]:
    """An order row as the exchange writes it."""
    status, executed = row.as_of(moment)
    return {
        "id": row.id,
        "pair": row.symbol.replace("/", "_").lower(),
        "action": "BUY",
        "type": "LIMIT",
        "price": "1",
        "originalAmount": "2",
        "executedAmount": executed,
        "remainingAmount": str(2 - int(executed)),
        "status": status,
        "createdTimestamp": 1721376814204,
        "updatedTimestamp": int(time.time() * 1000) if row.history else 1721376814204,
    }


def _symbol(pair: str) -> str:
    return pair.upper().replace("_", "/")


def _numbers(reply: Any) -> Any:
    if not isinstance(reply, dict):
        return reply
    if isinstance(reply.get("data"), dict):
        return {"data": {pair: [int(i) for i in ids] for pair, ids in reply["data"].items()}}
    if isinstance(reply.get("data"), list):
        return {"data": [{**row, "id": int(row["id"])} for row in reply["data"]]}
    name = "id" if "id" in reply else "orderId"
    return {**reply, name: int(reply[name])}


def _impossible(reply: Any, amount: str) -> Any:
    """A filled amount that no order can have, wherever one is."""
    if not isinstance(reply, dict):
        return reply
    if isinstance(reply.get("data"), list):
        return {"data": [{**row, "executedAmount": amount} for row in reply["data"]]}
    return {**reply, "executedAmount": amount} if "executedAmount" in reply else reply


def _twice(reply: Any) -> Any:
    if not isinstance(reply, dict):
        return reply
    if isinstance(reply.get("data"), dict):
        return {"data": {pair: [*ids, *ids] for pair, ids in reply["data"].items()}}
    if isinstance(reply.get("data"), list):
        return {"data": [*reply["data"], *reply["data"]]}
    return reply
