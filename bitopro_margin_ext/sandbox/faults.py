"""Rules that make the exchange misbehave: which calls they hit, how often, and what they do."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, field_validator, model_validator

from . import REST_PREFIX

# Kind: (its options, what it does). The help prints this table, ``Fault`` checks against it.
KINDS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    # On the wire
    "status": (
        ("status", "body", "headers", "process"),
        "answer this status; body is JSON or text (text is sent as HTML), headers are added; "
        "with process the call is carried out first",
    ),
    "close": ((), "drop the connection before the call is processed"),
    "process_close": ((), "carry the call out, then drop the connection without an answer"),
    "cut_off": ((), "carry it out, send half of the answer, then drop the connection"),
    "delay": (("seconds", "when"), "wait; when is before (default) or after processing"),
    "drip": (("seconds",), "send the answer one byte every so many seconds"),
    # The answer's body
    "invalid_json": ((), "carry it out, answer text that is no JSON"),
    "truncated_json": ((), "carry it out, answer the first half of the JSON"),
    "empty_body": ((), "carry it out, answer nothing"),
    "list_body": ((), "carry it out, answer a list where an object belongs"),
    "huge_body": (("megabytes",), "pad the answer with so many megabytes of ids"),
    "duplicate": ((), "name one id twice in the answer's list"),
    "numeric_ids": ((), "write ids as numbers"),
    "overwrite": (
        ("field", "value", "ids"),
        "write this value into a field wherever the answer has it, or of the orders named only",
    ),
    "repeat_last": ((), "answer as this call was answered the last time"),
    # Orders
    "cancel_some": (
        ("ids", "count", "claim"),
        "of a cancel of many, leave every second order open, or those of ids, or all but the "
        "first count; with claim the answer names them nevertheless",
    ),
    "keep_showing": (
        ("seconds", "ids", "count", "where"),
        "show the orders of the call's scope as they were before it for so many seconds (for ever "
        "without); where is all (default) or lists",
    ),
    "fill_before": (
        ("fraction", "amount", "ids", "count", "price"),
        "fill a part of the open orders in the call's scope just before it is processed",
    ),
    "fill_after": (
        ("fraction", "amount", "ids", "count", "price"),
        "fill them just after the answer was built",
    ),
    "fill_instead": (
        ("fraction",),
        "on the cancel of one order: fill it, and answer 200 with its status",
    ),
    "created_order": (
        ("becomes", "fraction"),
        "an order that the call creates becomes rests, partly_filled, filled, cancelled, "
        "partly_cancelled or rejected before the answer",
    ),
    # Time and loans
    "lag": (("seconds",), "list orders, trades and loans as they were so many seconds ago"),
    "clock": (("seconds",), "the exchange's clock is off by so much, Date header included"),
    "lend_out": (
        ("currency", "amount"),
        "lend the currency (all that is left, or an amount) to others after the answer was built",
    ),
    # Streams, at the handshake (method WS)
    "close_after_accept": ((), "accept the stream and close it at once"),
    "silent": (("messages",), "send so many messages (none), then nothing"),
    "drop_pushes": (("every",), "lose every second message, or every n-th"),
    "reorder": ((), "send each two messages in the wrong order"),
}
STREAM_KINDS: Final = ("close_after_accept", "silent", "drop_pushes", "reorder")
_HANDSHAKE_KINDS: Final = ("close", "delay", "clock", *STREAM_KINDS)
_COMMON: Final = ("kind", "method", "path", "regex", "times", "after", "probability", "seed")

Becomes = Literal["rests", "partly_filled", "filled", "cancelled", "partly_cancelled", "rejected"]


class Fault(BaseModel):
    """A rule as it is given: which calls, how often, what it does and the options of its kind."""

    model_config = ConfigDict(frozen=True, extra="allow", coerce_numbers_to_str=True)

    kind: str
    method: str = "*"
    path: str = "*"
    regex: bool = False
    times: int | None = 1
    after: int = 0
    probability: float = 1
    seed: int = 0

    status: int = 500
    body: JsonValue = {"error": "Fault"}
    headers: dict[str, str] = {}
    process: bool = False
    seconds: float | None = None
    when: Literal["before", "after"] = "before"
    megabytes: float = 1
    field: str = "executedAmount"
    value: JsonValue = "-1"
    ids: list[str] | None = None
    count: int | None = None
    claim: bool = False
    where: Literal["all", "lists"] = "all"
    fraction: Decimal | None = None
    amount: Decimal | None = None
    price: Decimal | None = None
    becomes: Becomes = "rests"
    currency: str = "USDT"
    messages: int = 0
    every: int = 2

    @field_validator("method")
    @classmethod
    def _upper(cls, value: str) -> str:
        return value.upper()

    @model_validator(mode="after")
    def _check_options(self) -> Fault:
        if self.kind not in KINDS:
            raise ValueError(f"no fault kind {self.kind!r}; there are {', '.join(KINDS)}")
        allowed = KINDS[self.kind][0]
        for name in (*self.model_fields_set, *(self.model_extra or {})):
            if name not in _COMMON and name not in allowed:
                raise ValueError(f"fault {self.kind!r} has no option {name!r}")
        if self.kind in STREAM_KINDS and self.method not in ("*", "WS"):
            raise ValueError(f"fault {self.kind!r} is for streams: its method is WS")
        if self.regex:
            try:
                re.compile(self.path)
            except re.error as error:
                raise ValueError(f"fault path {self.path!r} is no expression: {error}") from None
        return self

    def covers(self, method: str, path: str) -> bool:
        """Say whether a call is among those that the rule is about."""
        if self.method not in ("*", method):
            return False
        if self.kind not in _HANDSHAKE_KINDS if method == "WS" else self.kind in STREAM_KINDS:
            return False
        # A rule may leave the /v3 out, as the documentation does.
        short = path.removeprefix(REST_PREFIX)
        if self.regex:
            return any(re.search(self.path, text) for text in (path, short))
        return any(fnmatchcase(text, self.path) for text in (path, short))


@dataclass(slots=True)
class Rule:
    """A fault in force: hits calls that match, after letting some pass, a number of times."""

    number: int
    fault: Fault
    dice: random.Random = field(repr=False)
    matched: int = 0
    hits: int = 0

    @property
    def kind(self) -> str:
        """The kind of the fault."""
        return self.fault.kind

    @property
    def seconds(self) -> float:
        """How long; 0 where it is not said."""
        return self.fault.seconds or 0

    def strikes(self, method: str, path: str) -> bool:
        """Say whether this call is hit, and count it."""
        if not self.fault.covers(method, path):
            return False
        if self.fault.times is not None and self.hits >= self.fault.times:
            return False
        self.matched += 1
        if self.matched <= self.fault.after or self.dice.random() >= self.fault.probability:
            return False
        self.hits += 1
        return True

    def as_dict(self) -> dict[str, object]:
        """Describe the rule with its counters."""
        shown = self.fault.model_dump(mode="json", include={*_COMMON, *self.fault.model_fields_set})
        return {"id": self.number, **shown, "matched": self.matched, "hits": self.hits}


class Faults:
    """The rules in force, in the order in which they were given."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._count = 0

    def add(self, fault: Fault | Mapping[str, object]) -> Rule:
        """Add a rule; an unknown kind or option is an error, so that no fault is silently lost."""
        if not isinstance(fault, Fault):
            fault = Fault.model_validate(dict(fault))
        self._count += 1
        dice = random.Random(fault.seed)  # noqa: S311 - repeatable on purpose
        rule = Rule(self._count, fault, dice)
        self._rules.append(rule)
        return rule

    def strike(self, method: str, path: str) -> list[Rule]:
        """Return the rules that hit this call."""
        return [rule for rule in self._rules if rule.strikes(method, path)]

    def clear(self) -> None:
        """Drop all rules."""
        self._rules.clear()

    def as_list(self) -> list[dict[str, object]]:
        """Describe all rules."""
        return [rule.as_dict() for rule in self._rules]
