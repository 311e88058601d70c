"""Reading what a request asks for: JSON bodies, and the filters of the listings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from bitopro_margin_ext.sandbox.state import refusals
from bitopro_margin_ext.sandbox.state.amounts import to_decimal
from bitopro_margin_ext.sandbox.state.listing import (
    DEFAULT_LIMIT,
    LARGEST_LIMIT,
    OrderQuery,
    TradeQuery,
)

Query = Mapping[str, str]


def json_object(body: bytes) -> dict[str, object]:
    """Read a JSON object, or refuse the body."""
    parsed = _json(body)
    if not isinstance(parsed, dict):
        raise refusals.invalid_body()
    return parsed


def json_objects(body: bytes) -> list[dict[str, object]]:
    """Read a JSON list of objects, or refuse the body."""
    parsed = _json(body)
    if not isinstance(parsed, list) or not all(isinstance(item, dict) for item in parsed):
        raise refusals.invalid_body()
    return parsed


def ids_by_pair(body: bytes) -> dict[str, list[str]]:
    """Read the body of a batch cancel; ids may come as strings or as numbers."""
    wanted: dict[str, list[str]] = {}
    for pair, ids in json_object(body).items():
        if not isinstance(ids, list) or not all(isinstance(i, (str, int)) for i in ids):
            raise refusals.invalid_body()
        wanted[pair] = [str(i) for i in ids]
    return wanted


def order_query(query: Query) -> OrderQuery:
    """Read the filters of ``orders/all``."""
    kind = query.get("statusKind", "ALL") or "ALL"
    if kind not in ("ALL", "OPEN", "DONE"):
        raise refusals.wrong_parameter("statusKind")
    return OrderQuery(
        start_ms=_integer(query, "startTimestamp"),
        end_ms=_integer(query, "endTimestamp"),
        status_kind="OPEN" if kind == "OPEN" else "DONE" if kind == "DONE" else "ALL",
        status=_integer(query, "status"),
        order_number=_number_of_id(query, "orderId"),
        client_id=_integer(query, "clientId"),
        limit=_limit(query),
        without_time_limit=query.get("ignoreTimeLimitEnable", "").lower() == "true",
    )


def trade_query(query: Query) -> TradeQuery:
    """Read the filters of ``orders/trades``."""
    return TradeQuery(
        start_ms=_integer(query, "startTimestamp"),
        end_ms=_integer(query, "endTimestamp"),
        order_id=query.get("orderId") or None,
        trade_number=_number_of_id(query, "tradeId"),
        limit=_limit(query),
    )


def currency(body: Mapping[str, object]) -> str:
    """Read a required currency."""
    value = body.get("currency")
    if not isinstance(value, str) or not value:
        raise refusals.unsupported_currency()
    return value


def amount(body: Mapping[str, object], field: str) -> Decimal:
    """Read a required positive amount."""
    value = to_decimal(body.get(field))
    if value is None or value <= 0:
        raise refusals.invalid_amount(body.get(field))
    return value


def seconds(query: Query, name: str) -> int:
    """Read a required time in seconds."""
    value = _integer(query, name)
    if value is None:
        raise refusals.missing(name)
    return value


def book_limit(query: Query, default: int) -> int:
    """Read how many levels of the book are asked for."""
    limit = _integer(query, "limit")
    if limit is None:
        return default
    if limit < 1:
        raise refusals.wrong_parameter("limit")
    return limit


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        raise refusals.invalid_body() from None


def _integer(query: Query, name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise refusals.wrong_parameter(name) from None


def _number_of_id(query: Query, name: str) -> int | None:
    text = query.get(name)
    if not text:
        return None
    digits = text.rpartition("-")[2]
    if not digits.isdigit():
        raise refusals.wrong_parameter(name)
    return int(digits)


def _limit(query: Query) -> int:
    limit = _integer(query, "limit")
    if limit is None:
        return DEFAULT_LIMIT
    if not 0 <= limit <= LARGEST_LIMIT:
        raise refusals.wrong_parameter("limit")
    return limit
