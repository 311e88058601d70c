"""What a unified method asks of the object that runs it.

Each unified method is written once, as a generator of these steps; ``sync`` and ``asynchronous``
perform them. So nothing of a method is kept in two copies.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ..endpoints import Endpoint

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
