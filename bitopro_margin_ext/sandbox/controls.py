"""Reading what a control call wishes for. Mistakes are ``ValueError`` with the field's name."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from . import defaults
from .state.accounts import KINDS, Kind
from .state.amounts import ZERO, to_decimal
from .state.orders import API_TYPES, WEB_TYPES, Seed, Status

Wish = Mapping[str, object]

_SEED_FIELDS = {
    "pair",
    "action",
    "amount",
    "price",
    "account",
    "kind",
    "type",
    "status",
    "executedAmount",
    "stopPrice",
    "condition",
    "timeInForce",
    "clientId",
    "id",
    "age",
    "fund",
}


def text(wish: Wish, field: str) -> str:
    """Read a required text."""
    value = wish.get(field)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{field} is required")
    return value


def decimal(value: object, field: object) -> Decimal:
    """Read a required number, written as text or as a number."""
    number = to_decimal(value)
    if number is None:
        raise ValueError(f"{field} is no number: {value!r}")
    return number


def optional_decimal(wish: Wish, field: str) -> Decimal | None:
    """Read a number that may be absent."""
    return None if wish.get(field) is None else decimal(wish[field], field)


def pair_or_none(wish: Wish) -> str | None:
    """Read a pair that may be absent."""
    return text(wish, "pair").lower() if wish.get("pair") else None


def email(wish: Wish) -> str:
    """Read whose account is meant; the default one unless said."""
    return str(wish.get("account") or defaults.EMAIL)


def kind(wish: Wish) -> Kind:
    """Read which side of the account is meant; margin unless said."""
    value = wish.get("kind", "margin")
    for known in KINDS:
        if value == known:
            return known
    raise ValueError(f"kind is spot or margin, not {value!r}")


def funds(value: object) -> dict[Kind, dict[str, Decimal]] | None:
    """Read ``{"spot": {"USDT": "1"}, "margin": {...}}``; None stands for the usual funds."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError("balances is an object of spot and margin")
    return {
        side: {str(c).upper(): decimal(a, c) for c, a in dict(value.get(side) or {}).items()}
        for side in KINDS
    }


def seed(wish: object) -> Seed:
    """Read an order to put on the account, with the fields of the documented order."""
    if not isinstance(wish, dict):
        raise ValueError("an order is an object")
    for field in wish:
        if field not in _SEED_FIELDS:
            raise ValueError(f"an order has no field {field!r}")
    action, type_ = text(wish, "action").upper(), str(wish.get("type", "LIMIT")).upper()
    if action not in ("BUY", "SELL"):
        raise ValueError("action is BUY or SELL")
    if type_ not in (*API_TYPES, *WEB_TYPES):
        raise ValueError(f"no order type {type_!r}")
    stop = optional_decimal(wish, "stopPrice")
    first = Status.NOT_TRIGGERED if stop is not None else Status.OPEN
    client_id = optional_decimal(wish, "clientId")
    return Seed(
        pair=text(wish, "pair"),
        action="BUY" if action == "BUY" else "SELL",
        amount=decimal(wish.get("amount"), "amount"),
        price=decimal(wish.get("price"), "price"),
        kind=kind(wish),
        type=type_,
        status=Status(int(decimal(wish.get("status", int(first)), "status"))),
        executed=optional_decimal(wish, "executedAmount") or ZERO,
        stop_price=stop,
        condition=str(wish["condition"]) if wish.get("condition") else None,
        time_in_force=str(wish.get("timeInForce", "GTC")),
        client_id=None if client_id is None else int(client_id),
        order_id=str(wish["id"]) if wish.get("id") else None,
        age_seconds=optional_decimal(wish, "age") or ZERO,
        fund=bool(wish.get("fund", True)),
    )
