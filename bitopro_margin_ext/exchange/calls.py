"""One call to a margin endpoint, with the repetitions that are safe for any call."""

from collections.abc import Mapping
from dataclasses import replace
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

    :raises ccxt.InvalidNonce: naming the offset, when the repeated call is refused as well.
    """
    try:
        return (yield Call(endpoint, {} if params is None else params, timeout))
    except ccxt.InvalidNonce as error:
        failure = failure_of(error)
        if failure.clock_offset_ms is None:
            raise
        offset = failure.clock_offset_ms
        api.options["clockOffset"] = offset
    try:
        return (yield Call(endpoint, {} if params is None else params, timeout))
    except ccxt.InvalidNonce as error:
        api.options["clockOffset"] = 0
        failure = failure_of(error)
        text = f"{failure.text}: this machine's clock is {-offset} ms ahead of the exchange's"
        raise_failure(api.id, replace(failure, text=f"{text}; set it by NTP"), error)
