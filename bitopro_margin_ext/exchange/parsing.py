"""ccxt's ``parse_*`` names for margin rows, so that they read the same wherever ccxt calls them."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .fetching import balance_structure
from .markets import mark_margin, merge_chains
from .structures import order_from_row

if TYPE_CHECKING:
    _Exchange = Any
else:
    _Exchange = object

_as_inherited: contextvars.ContextVar[bool] = contextvars.ContextVar("as_inherited", default=False)


@contextlib.contextmanager
def inherited_parsing() -> Iterator[None]:
    """Let the spot methods of ``ccxt.bitopro`` read their rows as they always did."""
    token = _as_inherited.set(True)
    try:
        yield
    finally:
        _as_inherited.reset(token)


class MarginParsing(_Exchange):  # type: ignore[misc]
    """The ``parse_*`` overrides."""

    def parse_market(self, market: Any) -> Any:
        """A market structure, flagged as margin where both currencies can be margined."""
        return mark_margin(self, super().parse_market(market))

    def parse_currencies(self, raw_currencies: Any) -> Any:
        """Currency structures by code; the chains of one coin are its networks."""
        return merge_chains(self, raw_currencies)

    def parse_order(self, order: Any, market: Any = None) -> Any:
        """An order structure of a margin row; status 3 is ``canceled`` with its fill."""
        if _as_inherited.get():
            return super().parse_order(order, market)
        return order_from_row(self, order, None if market is None else market["symbol"])

    def parse_balance(self, response: Any) -> Any:
        """A balance structure of the margin account, or of the spot account's list."""
        if isinstance(response, dict) and "balances" in response:
            return balance_structure(self, response)
        return super().parse_balance(response)
