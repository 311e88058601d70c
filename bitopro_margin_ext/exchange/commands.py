"""Calls that move money: sent once, and honest about it when nobody answers."""

from collections.abc import Mapping
from typing import Any

import ccxt

from ..endpoints import Endpoint
from ..errors import Outcome
from .calls import call
from .session import failure_of
from .steps import Flow


def command(api: Any, endpoint: Endpoint, body: Mapping[str, Any], look: str) -> Flow[Any]:
    """Send a command once; ``look`` says where the user sees what became of it.

    :raises ccxt.NetworkError: or the child of it that says why, when the outcome is unknown: the
        command may have been carried out. Nothing is sent a second time.
    """
    try:
        answer = yield from call(api, endpoint, body)
    except (ccxt.OperationFailed, ccxt.ExchangeError) as error:
        failure = failure_of(error)
        if failure.outcome is Outcome.REFUSED:
            raise
        kind = type(error) if isinstance(error, ccxt.OperationFailed) else ccxt.NetworkError
        raise _unknown(api, kind, str(failure), endpoint, look, failure) from error
    if not isinstance(answer, Mapping):
        text = "the answer cannot be read"
        raise _unknown(api, ccxt.BadResponse, text, endpoint, look, None)
    return answer


def _unknown(
    api: Any, kind: type[Exception], reason: str, endpoint: Endpoint, look: str, failure: Any
) -> Exception:
    name = endpoint.path.rpartition("/")[2]
    error = kind(
        f"{api.id} {reason}: the {name} may have been carried out, its outcome is unknown."
        f" See {look} before you send it again"
    )
    if failure is not None:
        error.failure = failure  # type: ignore[attr-defined]
    return error
