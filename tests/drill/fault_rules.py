"""The faults of the drill's matrix: what goes wrong, and on which call of the emergency."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_PAGE: Final = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, as rules of the sandbox whose ``path`` names a call.

    ``may_remain`` says that the exchange leaves the sweep no way to cancel everything in time:
    then orders may rest at its end, if the bot says so loudly.
    """

    name: str
    what: str
    rules: tuple[Mapping[str, Any], ...]
    may_remain: bool = False

    def armed(self, scenario: str, scope: str) -> list[dict[str, Any]]:
        """The rules, for the calls that this scenario and scope will make."""
        return [_addressed(rule, scenario, scope) for rule in self.rules]


def _addressed(rule: Mapping[str, Any], scenario: str, scope: str) -> dict[str, Any]:
    method, path = {
        "cancel": ("DELETE", f"*/margin/orders/{'all' if scope == 'all' else 'btc_usdt'}"),
        "open": ("GET", "*/margin/orders/orders/open"),
        "history": ("GET", "*/margin/orders/all/*"),
        "exit": ("POST", "*/margin/orders/btc_usdt"),
        "margin": ("*", "*/margin/*"),
        "everything": ("*", "*"),
    }[rule["on"]]
    more = {name: value for name, value in rule.items() if name != "on"}
    if rule["on"] == "exit" and scenario == "stop-rejected":
        # The refused stoploss goes to the same path first.
        more["after"] = more.get("after", 0) + 1
    return {"method": method, "path": path, **more}


def _status(status: int, body: Any, on: str = "cancel", **more: Any) -> Mapping[str, Any]:
    return {"kind": "status", "on": on, "status": status, "body": body, **more}


def _rule(kind: str, on: str = "cancel", **more: Any) -> Mapping[str, Any]:
    return {"kind": kind, "on": on, **more}


_LIMITED: Final = {"error": "Too many requests"}
_INTERNAL: Final = {"error": "Internal Server Error"}

_LIST: Final = (
    # Refusals and failures of the cancel.
    Fault("429", "too many requests, without Retry-After", (_status(429, _LIMITED),)),
    Fault(
        "429-retry-after",
        "too many requests, to be repeated after 2 s",
        (_status(429, _LIMITED, headers={"Retry-After": "2"}),),
    ),
    Fault("429-twice", "the same two times in a row", (_status(429, _LIMITED, times=2),)),
    Fault("500", "internal error", (_status(500, _INTERNAL),)),
    Fault("500-processed", "carried out, internal error", (_status(500, _INTERNAL, process=True),)),
    Fault("502-html", "a proxy's page", (_status(502, _PAGE),)),
    Fault("502-twice", "two such pages in a row", (_status(502, _PAGE, times=2),)),
    Fault("401", "key refused once", (_status(401, {"error": "Invalid API key"}),), True),
    Fault("403", "permission refused once", (_status(403, {"error": "Forbidden"}),), True),
    Fault("409", "clock mismatch once", (_status(409, {"error": "Clock mismatch"}),)),
    Fault("422", "cancel refused once", (_status(422, {"error": "Unprocessable Entity"}),)),
    # The wire.
    Fault("close", "dropped before the cancel", (_rule("close"),)),
    Fault("close-twice", "dropped before it, two times", (_rule("close", times=2),)),
    Fault("process-close", "cancelled, dropped without an answer", (_rule("process_close"),)),
    Fault("process-close-twice", "the same two times", (_rule("process_close", times=2),)),
    Fault("cut-off", "cancelled, half of the answer", (_rule("cut_off"),)),
    Fault("delay", "longer than the time-out, then cancelled", (_rule("delay", seconds=4),)),
    Fault(
        "delay-after",
        "cancelled, answered after the time-out",
        (_rule("delay", seconds=4, when="after"),),
    ),
    Fault("drip", "a byte every half second", (_rule("drip", seconds=0.5),)),
    # Answers that are none.
    Fault("invalid-json", "cancelled, no JSON", (_rule("invalid_json"),)),
    Fault("truncated-json", "cancelled, half the JSON", (_rule("truncated_json"),)),
    Fault("empty-body", "cancelled, an empty body", (_rule("empty_body"),)),
    Fault("list-body", "cancelled, a list for a dict", (_rule("list_body"),)),
    # Answers that are not the whole truth.
    Fault("cancel-some", "every second order survives", (_rule("cancel_some"),)),
    Fault("cancel-none", "every order survives", (_rule("cancel_some", count=0),)),
    # Not by a half: with what has filled before, a rest would stay that is too small to sell.
    Fault("fill-before", "orders fill by 40 % first", (_rule("fill_before", fraction="0.4"),)),
    Fault("fill-whole", "orders fill wholly first", (_rule("fill_before", fraction="1"),)),
    Fault(
        "fill-after",
        "survivors fill by a tenth after the answer",
        (_rule("cancel_some"), _rule("fill_after", fraction="0.1")),
    ),
    Fault("duplicate", "an id twice", (_rule("duplicate"),)),
    Fault("numeric-ids", "ids as numbers, everywhere", (_rule("numeric_ids", "margin", times=8),)),
    # Lists.
    Fault("lag-open", "open orders 3 s behind", (_rule("lag", "open", seconds=3, times=2),)),
    Fault("lag-history", "histories 3 s behind", (_rule("lag", "history", seconds=3, times=2),)),
    Fault(
        "lag-both",
        "both 2 s behind, and survivors",
        (
            _rule("cancel_some"),
            _rule("lag", "open", seconds=2, times=3),
            _rule("lag", "history", seconds=2, times=3),
        ),
    ),
    Fault("open-502", "open orders: a proxy's page", (_status(502, _PAGE, "open"),)),
    Fault("open-429", "open orders: too many", (_status(429, _LIMITED, "open"),)),
    Fault("open-close", "open orders: dropped, twice", (_rule("close", "open", times=2),)),
    Fault("open-empty", "open orders: an empty body", (_rule("empty_body", "open"),)),
    Fault("history-502", "histories: a proxy's page", (_status(502, _PAGE, "history"),)),
    Fault("history-truncated", "histories: half", (_rule("truncated_json", "history"),)),
    Fault(
        "lost-and-blind",
        "the cancel's answer is lost, then no list answers twice",
        (
            _rule("process_close"),
            _rule("close", "open", times=2),
            _rule("close", "history", times=2),
        ),
    ),
    # The exit itself.
    Fault("exit-502", "exit order: a proxy's page", (_status(502, _PAGE, "exit"),)),
    Fault("exit-close", "exit order: dropped before", (_rule("close", "exit"),)),
    Fault("exit-process-close", "exit order: placed, dropped", (_rule("process_close", "exit"),)),
    Fault("exit-invalid-json", "exit order: placed, no JSON", (_rule("invalid_json", "exit"),)),
    Fault("exit-429", "exit order: too many", (_status(429, _LIMITED, "exit"),)),
    # Everything.
    Fault(
        "clock-ahead",
        "the exchange's clock a minute ahead",
        (_rule("clock", "everything", seconds=60, times=None),),
    ),
    Fault(
        "clock-behind",
        "the exchange's clock a minute behind",
        (_rule("clock", "everything", seconds=-60, times=None),),
    ),
    Fault("outage-502", "no margin call works", (_status(502, _PAGE, "margin", times=25),), True),
    Fault("outage-close", "no margin call arrives", (_rule("close", "margin", times=25),), True),
)
FAULTS: Final = {fault.name: fault for fault in _LIST}
