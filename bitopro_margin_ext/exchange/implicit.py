"""ccxt's implicit methods for the margin endpoints, made from the one endpoint table.

``describe()['api']`` makes no methods in Python: an endpoint is an ``Entry`` attribute, and it
needs both spellings on our class, because ccxt's constructor sets the camelCase twin of every
snake_case name that it finds.
"""

from typing import TYPE_CHECKING, Any

from ccxt.base.types import Entry

from ..endpoints import ENDPOINTS, Endpoint


class CancelAllCost(float):
    """The throttling cost of a cancel-all: it has a limiter of its own and waits behind nothing."""


def _entry(endpoint: Endpoint) -> Any:
    cost = CancelAllCost(endpoint.cost) if endpoint.cancels_all else endpoint.cost
    return Entry(endpoint.path, ["private"], endpoint.method, {"cost": cost})


def _entries() -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        entries[endpoint.implicit_snake] = entries[endpoint.implicit] = _entry(endpoint)
    return entries


if TYPE_CHECKING:

    class ImplicitMarginApi:
        """The implicit methods; each takes a request's parameters and returns the decoded body."""

        def __getattr__(self, name: str) -> Any: ...
else:
    ImplicitMarginApi = type(
        "ImplicitMarginApi",
        (),
        {"__doc__": "Implicit methods for every margin endpoint, in both spellings.", **_entries()},
    )
