"""One call to a margin endpoint, with the repetitions that are safe for any call."""

import time
from collections.abc import Mapping
from typing import Any

import ccxt

from ..endpoints import Endpoint
from .session import failure_of, raise_failure
from .steps import Call, Flow


def call(
    api: Any,
    endpoint: Endpoint,
    params: Mapping[str, Any] | list[Any] | None = None,
    timeout: float | None = None,
) -> Flow[Any]:
    """Call an endpoint; after a clock mismatch take the exchange's time and repeat the call once.

    A 409 is the exchange's word that nothing was done, so any call may be repeated after it.
    ``timeout`` (seconds) bounds both.

    :raises ccxt.InvalidNonce: naming the offset, when the repeated call is refused as well.
    """
    params = {} if params is None else params
    started = time.monotonic()
    try:
        return (yield Call(endpoint, params, timeout))
    except ccxt.InvalidNonce as error:
        failure = failure_of(error)
        if failure.clock_offset_ms is None:
            raise
        offset = failure.clock_offset_ms
        api.options["clockOffset"] = offset
    left = None if timeout is None else started + timeout - time.monotonic()
    try:
        return (yield Call(endpoint, _restamped(api, params), left))
    except ccxt.InvalidNonce as error:
        api.options["clockOffset"] = 0
        failure = failure_of(error)
        side = "behind" if offset > 0 else "ahead of"
        text = f"{failure.text}: this machine's clock is {abs(offset)} ms {side} the exchange's"
        raise_failure(api.id, failure._replace(text=f"{text}; set it by NTP"), error)


def _restamped(api: Any, params: Any) -> Any:
    """The same body dated anew: orders carry the time that the exchange has just refused."""
    if isinstance(params, list):
        return [_restamped(api, entry) for entry in params]
    if "timestamp" not in params:
        return params
    return {**params, "timestamp": api.exchange_time()}
