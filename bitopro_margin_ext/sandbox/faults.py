"""Rules that make the exchange misbehave: which calls they hit, how often, and what they do."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final

from .defaults import REST_PREFIX
from .state.amounts import to_decimal

# Kind: (its options, what it does). The CLI prints this table, the control checks against it.
KINDS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
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
    "invalid_json": ((), "carry it out, answer text that is no JSON"),
    "truncated_json": ((), "carry it out, answer the first half of the JSON"),
    "empty_body": ((), "carry it out, answer nothing"),
    "list_body": ((), "carry it out, answer a list where an object belongs"),
    "cancel_some": (
        ("spare", "ids", "count"),
        "of a cancel of many, leave some open: spare every_second (default), "
        "spare ids, or cancel only the first count",
    ),
    "fill_before": (
        ("fraction", "amount", "ids", "count", "price"),
        "fill a part of the open orders in the call's scope just before it is processed",
    ),
    "fill_after": (
        ("fraction", "amount", "ids", "count", "price"),
        "the same just after the answer was built",
    ),
    "lag": (("seconds",), "list orders and trades as they were so many seconds ago"),
    "clock": (("seconds",), "the exchange's clock is off by so much, Date header included"),
    "duplicate": ((), "name one id twice in the answer's list"),
    "numeric_ids": ((), "write ids as numbers"),
}
_COMMON: Final = ("kind", "method", "path", "regex", "times", "after", "probability", "seed")


@dataclass(slots=True)
class Rule:
    """One fault: hits calls that match, after letting some pass, a number of times."""

    number: int
    kind: str
    method: str
    path: str
    regex: bool
    times: int | None
    after: int
    probability: float
    options: dict[str, object]
    dice: random.Random = field(repr=False)
    matched: int = 0
    hits: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Say whether this call is hit, and count it."""
        if self.method not in ("*", method) or not self._covers(path):
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.matched += 1
        if self.matched <= self.after or self.dice.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def seconds(self) -> float:
        """Return the option of that name."""
        return float(str(self.options.get("seconds", 0)))

    def decimal(self, name: str) -> Decimal | None:
        """Return an option as an amount."""
        return to_decimal(self.options.get(name))

    def ids(self) -> list[str] | None:
        """Return the ids that the rule names."""
        named = self.options.get("ids")
        return [str(one) for one in named] if isinstance(named, list) else None

    def count(self) -> int | None:
        """Return how many orders the rule is about."""
        value = self.decimal("count")
        return None if value is None else int(value)

    def as_dict(self) -> dict[str, object]:
        """Describe the rule with its counters."""
        return {
            "id": self.number,
            "kind": self.kind,
            "method": self.method,
            "path": self.path,
            "regex": self.regex,
            "times": self.times,
            "after": self.after,
            "probability": self.probability,
            "matched": self.matched,
            "hits": self.hits,
            **self.options,
        }

    def _covers(self, path: str) -> bool:
        # A rule may leave the /v3 out, as the documentation does.
        short = path.removeprefix(REST_PREFIX)
        if self.regex:
            return any(re.search(self.path, text) for text in (path, short))
        return any(fnmatchcase(text, self.path) for text in (path, short))


class Faults:
    """The rules in force, in the order in which they were given."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._count = 0

    def add(self, wish: Mapping[str, object]) -> Rule:
        """Add a rule; an unknown kind or option is an error, so that no fault is silently lost."""
        kind = str(wish.get("kind", ""))
        if kind not in KINDS:
            raise ValueError(f"no fault kind {kind!r}; there are {', '.join(KINDS)}")
        options = {name: value for name, value in wish.items() if name not in _COMMON}
        for name in options:
            if name not in KINDS[kind][0]:
                raise ValueError(f"fault {kind!r} has no option {name!r}")
        times = wish.get("times", 1)
        path = str(wish.get("path", "*"))
        regex = bool(wish.get("regex", False))
        if regex:
            re.compile(path)
        self._count += 1
        rule = Rule(
            number=self._count,
            kind=kind,
            method=str(wish.get("method", "*")).upper(),
            path=path,
            regex=regex,
            times=None if times is None else int(str(times)),
            after=int(str(wish.get("after", 0))),
            probability=float(str(wish.get("probability", 1))),
            options=options,
            dice=random.Random(int(str(wish.get("seed", 0)))),  # noqa: S311 - repeatable on purpose
        )
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
