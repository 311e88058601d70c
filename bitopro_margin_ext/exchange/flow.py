"""What a unified method asks of the object that runs it.

Each unified method is written once, as a generator of these steps; ``sync`` and ``asynchronous``
perform them. So nothing of a method is kept in two copies.
"""

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import ccxt

from ..core.endpoints import Endpoint
from ..core.errors import Failure, Meaning, Outcome, network_failure, unreadable

Params = dict[str, Any]

NO_PARAMS: Final[Params] = {}
"""ccxt's default for ``params``; never written to."""


@dataclass(frozen=True, slots=True)
class Call:
    """Call an endpoint's implicit method, within ``timeout`` seconds if one is given."""

    endpoint: Endpoint
    params: Mapping[str, Any] | list[Any]
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """Call the inherited spot method of that name."""

    method: str
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class LoadMarkets:
    """Load the markets, unless they are."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait this many seconds."""

    seconds: float


Step = Call | Parent | LoadMarkets | Sleep

Result = TypeVar("Result")

Flow = Generator[Step, Any, Result]


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


def raise_failure(exchange_id: str, failure: Failure, cause: BaseException | None = None) -> None:
    """Raise the ccxt error of that meaning; the error carries the failure as ``.failure``."""
    error: ccxt.BaseError = getattr(ccxt, failure.meaning.value)(f"{exchange_id} {failure}")
    raise _with_failure(error, failure) from cause


def _with_failure(error: ccxt.BaseError, failure: Failure) -> ccxt.BaseError:
    error.failure = failure
    return error


def failure_of(error: BaseException) -> Failure:
    """What an exception of a call means; anything not recognised leaves the outcome unknown."""
    failure = getattr(error, "failure", None)
    if isinstance(failure, Failure):
        return failure
    if isinstance(error, ccxt.ArgumentsRequired | ccxt.BadRequest | ccxt.NotSupported):
        # Raised by ccxt before anything was sent.
        return Failure(Meaning.BAD_REQUEST, str(error))
    if isinstance(error, ccxt.AuthenticationError):
        return Failure(Meaning.AUTHENTICATION, str(error))
    if isinstance(error, ccxt.BadResponse):
        return unreadable(str(error))
    return network_failure(error, timed_out=isinstance(error, ccxt.RequestTimeout))
