"""What every unified method is made of: the exchange object, its steps, one call, and its errors.

Each unified method is written once, as a flow; ``sync`` and ``async_support`` perform it. So
nothing of a method is kept in two copies. ccxt ships no types for checkers: where a structure of
its own is made or read, it is ``Any``.
"""

import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import ccxt

from ..core import calls
from ..core.endpoints import Endpoint, OpenOrdersPath
from ..core.errors import Failure, Meaning, Outcome, network_failure, unreadable
from ..core.parse import ParsedOrder
from ..core.rate_limit import RateLimits
from ..core.signing import Nonces

Params = dict[str, Any]

NO_PARAMS: Final[Params] = {}
"""ccxt's default for ``params``; never written to."""


Structure = dict[str, Any]
"""A unified structure, as ccxt's manual describes it."""


class MarginExchange(Protocol):
    """An object of one of the three ``bitopromargin`` classes."""

    id: str
    apiKey: str | None  # noqa: N815 - ccxt's names
    secret: str | None
    options: dict[str, Any]
    fees: dict[str, Any]
    markets: dict[str, Any] | None
    currencies: dict[str, Any] | None
    logger: logging.Logger

    # -- ours ----------------------------------------------------------------------------------

    open_orders_path: OpenOrdersPath
    clock_offset_ms: int

    @property
    def key_nonces(self) -> Nonces:
        """The nonces that every client of this process shares for the key."""

    @property
    def rate_limits(self) -> RateLimits:
        """The documented limits, shared by all clients of this process for a host."""

    def exchange_time(self) -> int:
        """Now, in ms, on the exchange's clock as far as it is known."""

    @property
    def heard_orders(self) -> Callable[[], Iterable[ParsedOrder]]:
        """What gives the orders that streams have told of, as parsed rows."""

    # -- ccxt's: time and numbers --------------------------------------------------------------

    def parse_timeframe(self, timeframe: str, /) -> int:
        """The seconds of a timeframe."""

    def milliseconds(self) -> int:
        """Now, in ms, on this machine's clock."""

    def iso8601(self, timestamp: int | None, /) -> str | None:
        """ms as text."""

    def parse_number(self, value: Any, /) -> Any:
        """A decimal string in the number type that the user has chosen."""

    def number_to_string(self, number: Any, /) -> str:
        """A number without an exponent."""

    def parse_precision(self, decimals: str, /) -> str:
        """The step of so many decimals."""

    def amount_to_precision(self, symbol: str, amount: Any, /) -> str:
        """An amount in base, cut to the market's precision."""

    def price_to_precision(self, symbol: str, price: Any, /) -> str:
        """A price, rounded to the market's precision."""

    def cost_to_precision(self, symbol: str, cost: Any, /) -> str:
        """An amount in quote, cut to the market's precision."""

    # -- ccxt's: markets and structures --------------------------------------------------------

    def market(self, symbol: str, /) -> Any:
        """The market of a symbol.

        :raises ccxt.BadSymbol: for an unknown one.
        """

    def safe_currency_code(self, currency_id: str | None, /) -> Any:
        """The unified code of a currency."""

    def network_id_to_code(self, network_id: str, /) -> str:
        """The unified name of a network."""

    def parse_currency(self, row: Any, /) -> Any:
        """A currency structure."""

    def account(self) -> Structure:
        """An empty part of a balance structure."""

    def safe_string(self, row: Any, key: Any, /) -> str | None:
        """A value of a row as text."""

    def safe_number(self, row: Any, key: Any, /) -> Any:
        """A value of a row as a number."""

    def safe_balance(self, balance: Structure, /) -> Structure:
        """A complete balance structure."""

    def safe_order(self, order: Structure, market: Any = None, /) -> Structure:
        """A complete order structure."""

    def safe_trade(self, trade: Structure, market: Any = None, /) -> Structure:
        """A complete trade structure."""

    def safe_ticker(self, ticker: Structure, /) -> Structure:
        """A complete ticker structure."""

    def safe_liquidation(self, liquidation: Structure, /) -> Structure:
        """A complete liquidation structure."""


class Inherited(NamedTuple):
    """Call the method of that name that the class inherits, for the spot account.

    What it raises is raised in the flow.
    """

    method: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = MappingProxyType({})


class LoadMarkets(NamedTuple):
    """Load the markets, unless they are."""


class Request(NamedTuple):
    """Call an endpoint at ccxt's pace, within ``timeout`` seconds if one is given.

    The answer is the decoded body. What fails is raised in the flow: the ccxt error of what the
    failure means, with the failure.
    """

    endpoint: Endpoint
    params: calls.Params = NO_PARAMS
    timeout: float | None = None


Step = calls.Step | Request | Inherited | LoadMarkets

Result = TypeVar("Result")

Flow = Generator[Step, Any, Result]


def send_once(
    api: MarginExchange, endpoint: Endpoint, body: Mapping[str, Any], check_with: str
) -> Flow[Any]:
    """Send a command once; ``check_with`` names the methods that show what became of it.

    :raises ccxt.NetworkError: or the child of it that says why, when the outcome is unknown: the
        command may have been carried out. Nothing is sent a second time.
    """
    try:
        answer = yield Request(endpoint, body)
    except (ccxt.OperationFailed, ccxt.ExchangeError) as error:
        failure = failure_of(error)
        if failure.outcome is not Outcome.UNKNOWN:
            raise
        raise _unknown_command(api, endpoint, check_with, failure, error) from error
    if not isinstance(answer, Mapping):
        failure = unreadable("not an object")
        raise _unknown_command(api, endpoint, check_with, failure)
    return answer


def _unknown_command(
    api: MarginExchange,
    endpoint: Endpoint,
    check_with: str,
    failure: Failure,
    error: Exception | None = None,
) -> ccxt.BaseError:
    name = endpoint.path.rpartition("/")[2]
    text = (
        f"the {name} may have been carried out, its outcome is unknown."
        f" See {check_with} before you send it again"
    )
    return unknown_outcome(api.id, failure, text, error)


# -- errors ----------------------------------------------------------------------------------------


class UnknownOutcome:
    """Mixed into a ccxt error of a command that may have been carried out.

    ``failure`` is what happened to the call; ``client_order_id`` is the order's own, where the
    command was to create one.
    """

    failure: Failure
    client_order_id: int | None = None


def _of_unknown_outcome(kind: Any) -> Any:
    """A ccxt class and ``UnknownOutcome``, under ccxt's name: handlers and readers know that."""
    return type(kind.__name__, (UnknownOutcome, kind), {"__doc__": UnknownOutcome.__doc__})


def unknown_outcome(
    exchange_id: str,
    failure: Failure,
    text: str,
    error: Exception | None = None,
    client_order_id: int | None = None,
) -> ccxt.BaseError:
    """The ccxt error, a network one, of a command that may have been carried out.

    ``error`` is what the call raised, if it did: the class is that one's.
    """
    kind = getattr(ccxt, failure.meaning.value) if error is None else type(error)
    if not issubclass(kind, ccxt.OperationFailed):
        kind = ccxt.NetworkError
    unknown = _of_unknown_outcome(kind)(f"{exchange_id} {failure}: {text}")
    unknown.failure, unknown.client_order_id = failure, client_order_id
    return unknown


def error_of(failure: Failure, text: str, kind: Any = None) -> ccxt.BaseError:
    """The ccxt error of that meaning, or of class ``kind``, with the failure in ``failure``."""
    error = (kind or getattr(ccxt, failure.meaning.value))(text)
    error.failure = failure
    return error


def raise_failure(exchange_id: str, failure: Failure) -> None:
    """Raise what a library raised, or the ccxt error of that meaning."""
    if failure.error is not None:
        raise failure.error
    raise error_of(failure, f"{exchange_id} {failure}")


def failure_of(error: Exception) -> Failure:
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
