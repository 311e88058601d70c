"""What can go wrong, as hypothesis draws it: every fault, on any call, any number of times."""

from typing import Any, Final

from hypothesis import strategies as st

PAGE: Final = "<html><body>502 Bad Gateway</body></html>"
CALLS: Final = {
    "cancel many": ("DELETE", "^/margin/orders/(all|[a-z]+_[a-z]+)$"),
    "cancel one": ("DELETE", "^/margin/orders/[a-z]+_[a-z]+/.+$"),
    "cancel batch": ("PUT", "^/margin/orders$"),
    "open orders": ("GET", "^/margin/orders/(orders/)?open$"),
    "history": ("GET", "^/margin/orders/all/"),
    "one order": ("GET", "^/margin/orders/[a-z]+_[a-z]+/.+$"),
    "create": ("POST", "^/margin/orders/"),
    "any of them": ("*", "^/margin/"),
}
MAINTENANCE: Final = {"error": "Pair btc_usdt is under maintenance."}
SEEN_LATE: Final = frozenset({"lag", "keep_showing"})
"""Kinds after which the exchange itself shows what is no longer true."""
CLAIMED: Final = "claimed"
"""Stands for a fault that names as cancelled what still rests."""
DONE_LATE: Final = frozenset({"delay", "drip", "fill_after"})
"""Kinds after which something happens that the client has no way to see."""

_refusals = st.sampled_from([400, 401, 403, 404, 409, 422, 429])
_breakdowns = st.sampled_from([408, 500, 502, 503, 504])
_bodies = st.sampled_from(
    [{"error": "Fault"}, {"error": "Invalid API key"}, MAINTENANCE, PAGE, "", {}, []]
)
_retry_after = st.sampled_from([{}, {}, {"Retry-After": "1"}, {"Retry-After": "3"}])
_fractions = st.sampled_from(["0.1", "0.5", "1"])

_kinds = st.one_of(
    st.fixed_dictionaries(
        {
            "kind": st.just("status"),
            "status": _refusals,
            "body": _bodies,
            "headers": _retry_after,
        }
    ),
    # What breaks down may have done its work. (What refuses and does it all the same is a lie, and
    # the exchange's word is all that anybody has.)
    st.fixed_dictionaries(
        {
            "kind": st.just("status"),
            "status": _breakdowns,
            "body": _bodies,
            "process": st.booleans(),
        }
    ),
    st.sampled_from(
        [
            {"kind": kind}
            for kind in (
                "close",
                "process_close",
                "cut_off",
                "invalid_json",
                "truncated_json",
                "empty_body",
                "list_body",
                "duplicate",
                "numeric_ids",
                "cancel_some",
            )
        ]
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("delay"),
            "seconds": st.sampled_from([0.3, 2, 5]),
            "when": st.sampled_from(["before", "after"]),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("drip"), "seconds": st.sampled_from([0.01, 0.5])}),
    st.fixed_dictionaries({"kind": st.just("cancel_some"), "count": st.sampled_from([0, 1])}),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["fill_before", "fill_after"]), "fraction": _fractions}
    ),
    # Lists and look-ups that contradict the answer to the cancel, for a while.
    st.fixed_dictionaries(
        {
            "kind": st.just("keep_showing"),
            "seconds": st.sampled_from([1, 3, 6]),
            "where": st.sampled_from(["lists", "all"]),
        }
    ),
    # An answer to a cancel that names what it has not cancelled.
    st.just({"kind": "cancel_some", "count": 0, "claim": True}),
    # The cancel of one order finds it filled, and says so in its status.
    st.just({"kind": "fill_instead"}),
    # Amounts that no order can have.
    st.fixed_dictionaries(
        {
            "kind": st.just("overwrite"),
            "field": st.just("executedAmount"),
            "value": st.sampled_from(["-1", "999", "NaN", "1e999", None]),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("lag"), "seconds": st.sampled_from([1, 5])}),
    st.fixed_dictionaries({"kind": st.just("clock"), "seconds": st.sampled_from([60, -60])}),
)


def kinds_of(rules: list[dict[str, Any]]) -> set[str]:
    """The kinds of these faults, and ``CLAIMED`` where one of them lies."""
    return {rule["kind"] for rule in rules} | {CLAIMED for rule in rules if rule.get("claim")}


def _rule(call: str, kind: dict[str, Any], times: int, after: int) -> dict[str, Any]:
    method, path = CALLS[call]
    return {**kind, "method": method, "path": path, "regex": True, "times": times, "after": after}


faults = st.builds(
    _rule,
    st.sampled_from(list(CALLS)),
    _kinds,
    st.sampled_from([1, 1, 1, 2, 3, 20]),
    st.sampled_from([0, 0, 0, 1, 2]),
)


cancel_faults = st.builds(
    _rule,
    st.just("cancel many"),
    st.sampled_from(
        [
            {"kind": "cancel_some", "count": 0},
            {"kind": "cancel_some", "count": 1},
            {"kind": "close"},
            {"kind": "process_close"},
            {"kind": "status", "status": 503, "process": True},
        ]
    ),
    st.sampled_from([1, 2, 20]),
    st.just(0),
)
"""A cancel-all that names not every order, or is not answered: others have to say what became."""


def _rule_of_pair(pair: str, method: str, kind: dict[str, Any], times: int) -> dict[str, Any]:
    return {**kind, "method": method, "path": pair, "regex": True, "times": times, "after": 0}


pair_faults = st.builds(
    _rule_of_pair,
    st.sampled_from(["btc_usdt", "eth_usdt"]),
    st.sampled_from(["*", "POST", "GET", "DELETE"]),
    _kinds,
    st.sampled_from([1, 2, 20]),
)
"""One pair in trouble: everything about it, or all calls of one method."""


def _rule_of_stream(kind: dict[str, Any], path: str, times: int) -> dict[str, Any]:
    return {**kind, "method": "WS", "path": path, "times": times}


stream_faults = st.builds(
    _rule_of_stream,
    st.sampled_from(
        [
            {"kind": "close"},
            {"kind": "delay", "seconds": 3},
            {"kind": "close_after_accept"},
            {"kind": "silent", "messages": 0},
            {"kind": "silent", "messages": 2},
            {"kind": "drop_pushes", "every": 2},
            {"kind": "drop_pushes", "every": 3},
            {"kind": "reorder"},
        ]
    ),
    st.sampled_from(["*", "*/histories", "*/orders"]),
    st.sampled_from([1, 2, 20]),
)
"""What becomes of a stream from its next handshake on."""
