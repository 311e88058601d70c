"""What the faults do to the orders and to the answer; the gateway does what concerns the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from . import REST_PREFIX
from .call import Call
from .faults import Rule
from .state import Exchange, Order, Reason, Refusal
from .state.order_history import StaleView

_HALF = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response before it goes out."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(status: int, data: object) -> Answer:
    """Make an answer of JSON."""
    return Answer(status, json.dumps(data).encode(), {"content-type": "application/json"})


def refused(refusal: Refusal) -> Answer:
    """Make the answer of a refusal."""
    return json_answer(refusal.status, {"error": refusal.text})


class Effects:
    """The effects of the rules that hit one call, before and after it is processed."""

    def __init__(
        self, exchange: Exchange, call: Call, rules: list[Rule], path: str, email: str | None
    ) -> None:
        self._exchange = exchange
        self._call = call
        self._rules = rules
        self._path = path
        self._email = email
        self._before: list[tuple[Rule, Order, Order]] = []

    def before(self) -> Answer | None:
        """Change how the call will be processed; an answer means that it will not be."""
        call = self._call
        for rule in self._rules:
            kind, fault = rule.kind, rule.fault
            if kind == "lag":
                call.listing_lag_ms = int(rule.seconds * 1000)
            elif kind == "clock":
                call.clock_shift_ms = int(rule.seconds * 1000)
            elif kind == "numeric_ids":
                call.numeric_ids = True
            elif kind == "cancel_some":
                call.keep_open, call.claim_uncancelled = _keep_open(rule), fault.claim
            elif kind == "fill_before":
                self._fill(rule)
            elif kind == "fill_instead":
                call.fill_instead = self._filler(rule)
            elif kind == "keep_showing":
                self._before += [(rule, order, order.copy()) for order in self._scope(rule)]
            elif kind == "created_order":
                if fault.becomes == "rejected":
                    return refused(Reason.ORDER_REJECTED())
                call.match = False
        return None

    def after(self) -> None:
        """Let happen what happens once the answer is built."""
        with self._exchange.lock:
            for rule, order, copy in self._before:
                seconds, now = rule.fault.seconds, self._exchange.clock.now_ms()
                until_ms = None if seconds is None else now + int(seconds * 1000)
                order.stale = StaleView(copy, until_ms, rule.fault.where == "lists")
            for rule in self._rules:
                if rule.kind == "created_order":
                    for order in self._call.created:
                        self._finish(order, rule)
                elif rule.kind == "fill_after":
                    self._fill(rule)
                elif rule.kind == "lend_out":
                    self._exchange.loans.lend_out(rule.fault.currency, rule.fault.amount)

    def _finish(self, order: Order, rule: Rule) -> None:
        becomes, fraction = rule.fault.becomes, rule.fault.fraction
        if becomes in ("partly_filled", "partly_cancelled"):
            self._exchange.fill_at_market(order, _HALF if fraction is None else fraction)
        elif becomes == "filled":
            self._exchange.fill_at_market(order, Decimal(1))
        if becomes in ("cancelled", "partly_cancelled") and order.is_open:
            self._exchange.matching.finish_cancelled(order)

    def _filler(self, rule: Rule) -> Callable[[Order], None]:
        def fill(order: Order) -> None:
            if order.is_open:
                self._exchange.fill(order, fraction=rule.fault.fraction)

        return fill

    def _fill(self, rule: Rule) -> None:
        fault = rule.fault
        for order in self._scope(rule):
            self._exchange.fill(
                order, fraction=fault.fraction, amount=fault.amount, price=fault.price
            )

    def _scope(self, rule: Rule) -> list[Order]:
        """Return the open orders that the call is about: those of its path, or the named ones."""
        parts = self._path.removeprefix(REST_PREFIX).strip("/").split("/")
        named, chosen = rule.fault.ids, []
        for order in self._exchange.orders(email=self._email, only_open=True):
            if order.id in named if named is not None else self._in_path(order, parts):
                chosen.append(order)
        return chosen[: rule.fault.count]

    def _in_path(self, order: Order, parts: list[str]) -> bool:
        pairs = [part.lower() for part in parts if part.lower() in self._exchange.pairs]
        # A path that ends in an id is about that order alone.
        ids = [parts[-1]] if any(character.isdigit() for character in parts[-1]) else []
        return (
            order.kind == ("margin" if parts[0] == "margin" else "spot")
            and (not pairs or order.pair.name in pairs)
            and (not ids or order.id in ids)
        )


class Delivery:
    """What the faults of a stream let through of its messages, and in which order."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules
        self._count = 0
        self._held: str | None = None

    def pass_on(self, text: str) -> list[str]:
        """Return what is sent now that a message is due."""
        self._count += 1
        for rule in self._rules:
            if rule.kind == "silent" and self._count > rule.fault.messages:
                return []
            if rule.kind == "drop_pushes" and self._count % rule.fault.every == 0:
                return []
        if not any(rule.kind == "reorder" for rule in self._rules):
            return [text]
        if self._held is None:
            self._held = text
            return []
        texts, self._held = [text, self._held], None
        return texts


def replacement(rule: Rule) -> Answer:
    """Build the answer that a status rule gives instead of the exchange's own."""
    fault = rule.fault
    if isinstance(fault.body, str):
        page = Answer(fault.status, fault.body.encode(), {"content-type": "text/html"})
    else:
        page = json_answer(fault.status, fault.body)
    return replace(page, headers={**page.headers, **fault.headers})


def corrupt_body(answer: Answer, rules: list[Rule]) -> Answer:
    """Let the rules that change the answer's body have their way."""
    for rule in rules:
        if rule.kind == "huge_body":
            answer = replace(answer, body=_padded(answer.body, rule.fault.megabytes))
        elif rule.kind == "overwrite":
            answer = replace(answer, body=_overwritten(answer.body, rule))
        elif rule.kind in _CORRUPTIONS:
            answer = replace(answer, body=_CORRUPTIONS[rule.kind](answer.body))
    return answer


def _keep_open(rule: Rule) -> Callable[[Order], bool]:
    ids, count = rule.fault.ids, rule.fault.count
    seen = 0

    def keep_open(order: Order) -> bool:
        nonlocal seen
        seen += 1
        if ids is not None:
            return order.id in ids
        if count is not None:
            return seen > count
        return seen % 2 == 0

    return keep_open


def _duplicate(body: bytes) -> bytes:
    parsed = json.loads(body)
    data = parsed.get("data") if isinstance(parsed, dict) else None
    if isinstance(data, list) and data:
        data.append(data[0])
    elif isinstance(data, dict):
        for ids in data.values():
            if isinstance(ids, list) and ids:
                ids.append(ids[0])
                break
    return json.dumps(parsed).encode()


def _padded(body: bytes, megabytes: float) -> bytes:
    """Add ids that exist nowhere: to the first pair of a cancel, as lines to a list."""
    parsed = json.loads(body)
    data = parsed.setdefault("data", {}) if isinstance(parsed, dict) else parsed
    size = int(megabytes * 1_000_000)
    if isinstance(data, dict):
        ids = next((one for one in data.values() if isinstance(one, list)), None)
        if ids is None:
            ids = data.setdefault("BTC_USDT", [])
        ids += [str(9_000_000_000 + i) for i in range(size // 14)]
    else:
        line = data[0] if data and isinstance(data[0], dict) else {"id": "", "pair": "btc_usdt"}
        count = size // len(json.dumps(line)) + 1
        data += [{**line, "id": str(9_000_000_000 + i)} for i in range(count)]
    return json.dumps(parsed).encode()


def _overwritten(body: bytes, rule: Rule) -> bytes:
    fault, parsed = rule.fault, json.loads(body)

    def write(part: Any) -> None:
        if isinstance(part, dict):
            order_id = str(part.get("id", part.get("orderId", "")))
            if fault.field in part and (fault.ids is None or order_id in fault.ids):
                part[fault.field] = fault.value
            for inner in part.values():
                write(inner)
        elif isinstance(part, list):
            for inner in part:
                write(inner)

    write(parsed)
    return json.dumps(parsed).encode()


_CORRUPTIONS: dict[str, Callable[[bytes], bytes]] = {
    "invalid_json": lambda body: b"<!-- gateway --> not JSON",
    "truncated_json": lambda body: body[: max(1, len(body) // 2)],
    "empty_body": lambda body: b"",
    "list_body": lambda body: b"[" + body + b"]",
    "duplicate": _duplicate,
}
