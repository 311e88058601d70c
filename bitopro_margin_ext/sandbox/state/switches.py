"""What can be turned about the sandbox: the documents' ambiguities and the exchange's habits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from decimal import Decimal
from typing import Literal

from .amounts import to_decimal

PathChoice = Literal["documented", "plain", "both"]


@dataclass(frozen=True, slots=True)
class Switches:
    """The exchange as the pages describe it, unless told otherwise.

    Paths: ``documented`` serves the doubled word (``orders/orders``, ``margin/margin``) only,
    ``plain`` the single one only, ``both`` either.
    """

    matching: bool = True
    rate_limits: bool = True
    latency_ms: float = 0
    open_orders_path: PathChoice = "documented"
    user_trades_path: PathChoice = "documented"
    open_orders_in_seconds: bool = True
    numeric_ids: bool = False
    market_buy_original_in_quote: bool = False
    done_includes_cancelled: bool = True
    nonce_window_ms: int = 10_000
    refuse_replayed_nonce: bool = True
    require_identity: bool = False
    stop_ids_prefixed: bool = True
    liquidation: bool = True
    safe_ratio: Decimal = Decimal("1.5")
    warning_ratio: Decimal = Decimal("1.25")
    liquidation_ratio: Decimal = Decimal("1.1")

    def changed(self, wishes: dict[str, object]) -> Switches:
        """Return a copy with some switches set; an unknown name or a wrong kind is an error."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        clean: dict[str, object] = {}
        for name, wish in wishes.items():
            if name not in known:
                raise ValueError(f"no switch {name!r}; there are {', '.join(sorted(known))}")
            clean[name] = _as_kind_of(known[name], wish, name)
        return replace(self, **clean)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, object]:
        """Return the switches as JSON can carry them."""
        return {
            name: str(value) if isinstance(value, Decimal) else value
            for name, value in asdict(self).items()
        }


def _as_kind_of(current: object, wish: object, name: str) -> object:
    if isinstance(current, bool):
        if isinstance(wish, bool):
            return wish
    elif isinstance(current, Decimal):
        number = to_decimal(wish)
        if number is not None:
            return number
    elif isinstance(current, str):
        if wish in ("documented", "plain", "both"):
            return wish
    elif isinstance(wish, (int, float)) and not isinstance(wish, bool):
        return type(current)(wish) if isinstance(current, (int, float)) else wish
    raise ValueError(f"switch {name!r} cannot be {wish!r}")
