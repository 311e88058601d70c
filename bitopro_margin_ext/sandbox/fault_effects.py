"""What the faults do to the books and to the answer; the gateway does what concerns the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from .call import Call
from .defaults import REST_PREFIX
from .faults import Rule
from .state import Exchange, Order


@dataclass(frozen=True, slots=True)
class Answer:
    """A response before it goes out."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def prepare(call: Call, rules: list[Rule]) -> None:
    """Let the rules that change how the call is processed take effect on it."""
    for rule in rules:
        if rule.kind == "lag":
            call.listing_lag_ms = int(rule.seconds() * 1000)
        elif rule.kind == "clock":
            call.clock_shift_ms = int(rule.seconds() * 1000)
        elif rule.kind == "numeric_ids":
            call.numeric_ids = True
        elif rule.kind == "cancel_some":
            call.spare = _spare(rule)


def fill_in_scope(exchange: Exchange, rule: Rule, path: str, email: str | None) -> None:
    """Fill a part of the orders that the call is about: those of its path, or the named ones."""
    parts = path.removeprefix(REST_PREFIX).strip("/").split("/")
    kind = "margin" if parts[0] == "margin" else "spot"
    named = rule.ids()
    chosen = [
        order
        for order in exchange.orders(email=email, only_open=True)
        if (order.id in named if named is not None else _in_path(order, kind, parts, exchange))
    ]
    for order in chosen[: rule.count()]:
        exchange.fill(
            order,
            fraction=rule.decimal("fraction"),
            amount=rule.decimal("amount"),
            price=rule.decimal("price"),
        )


def replacement(rule: Rule) -> Answer:
    """Build the answer that a status rule gives instead of the exchange's own."""
    status = int(str(rule.options.get("status", 500)))
    body = rule.options.get("body", {"error": "Fault"})
    headers = rule.options.get("headers") or {}
    extra = {str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {}
    if isinstance(body, str):
        return Answer(status, body.encode(), {"content-type": "text/html", **extra})
    return Answer(status, json.dumps(body).encode(), {"content-type": "application/json", **extra})


def spoil(answer: Answer, rules: list[Rule]) -> Answer:
    """Let the rules that change the answer's body have their way."""
    for rule in rules:
        change = _SPOILERS.get(rule.kind)
        if change is not None:
            answer = replace(answer, body=change(answer.body))
    return answer


def _spare(rule: Rule) -> Callable[[Order], bool]:
    ids, count = rule.ids(), rule.count()
    seen = 0

    def spare(order: Order) -> bool:
        nonlocal seen
        seen += 1
        if ids is not None:
            return order.id in ids
        if count is not None:
            return seen > count
        return seen % 2 == 0

    return spare


def _in_path(order: Order, kind: str, parts: list[str], exchange: Exchange) -> bool:
    pairs = [part.lower() for part in parts if part.lower() in exchange.pairs]
    # A path that ends in an id is about that order alone.
    ids = [parts[-1]] if any(character.isdigit() for character in parts[-1]) else []
    return (
        order.kind == kind
        and (not pairs or order.pair.name in pairs)
        and (not ids or order.id in ids)
    )


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


def _as_list(body: bytes) -> bytes:
    return b"[" + body + b"]"


_SPOILERS: dict[str, Callable[[bytes], bytes]] = {
    "invalid_json": lambda body: b"<!-- gateway --> not JSON",
    "truncated_json": lambda body: body[: max(1, len(body) // 2)],
    "empty_body": lambda body: b"",
    "list_body": _as_list,
    "duplicate": _duplicate,
}
