"""The unified method that creates several margin orders, ten to a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import ccxt

from ..core.endpoints import CREATE_BATCH
from ..core.errors import Failure, Outcome
from ..core.parse import text
from .arguments import require_list, require_symbol, shown
from .describe import documented
from .flow import NO_PARAMS, Flow, LoadMarkets, MarginExchange, Params, Request, failure_of
from .order_body import asked_for, build_order
from .order_creation import accepted_order, find_by_client_ids, require_exits
from .params import margin_only, margin_params, take_params, with_raw
from .structures import Order, order_structure, rows_of

CHUNK: Final = 10
"""How many orders one request may hold."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One order as it is sent, and as it was asked for."""

    body: dict[str, Any]
    asked: Order
    market: Any
    is_exit: bool

    @property
    def client_id(self) -> int:
        return int(self.body["clientId"])


@documented(CREATE_BATCH)
def create_orders(
    api: MarginExchange, orders: list[Any], params: Params = NO_PARAMS
) -> Flow[list[Order]]:
    """Create limit and market orders on the margin account, in the order given, ten to a request.

    ``orders`` are dicts of ``symbol``, ``type``, ``side``, ``amount``, ``price`` and ``params``, as
    for ``create_order``; ``params`` of the call itself hold for each. All of them are checked
    before the first is sent.

    :returns: for each order its own outcome: an order structure as ``create_order`` gives it; with
        status ``rejected`` and no ``id`` where the exchange refused it, or where it was not sent
        because an earlier request failed; with status None and no ``id`` where nobody answered and
        the exchange does not list its ``clientOrderId``: it may exist. ``info['error']`` says why.
    :raises ccxt.InvalidOrder: for an order that cannot be sent; then none was.
    :raises ccxt.ExchangeError: the refusal of the first request as a whole; then none was placed.
    """
    orders = require_list(api, orders, "orders")
    shared = margin_only(api, params, "createOrders")
    given = [_read(api, order, shared) for order in orders]
    if not given:
        return []
    yield LoadMarkets()
    prepared = [_prepare(api, *one) for one in given]
    ids = [order.client_id for order in prepared]
    if len(set(ids)) < len(ids):
        raise ccxt.InvalidOrder(
            f"{api.id} createOrders() needs a clientOrderId of its own for each"
        )
    exits = [(one.market, one.body, one.asked) for one in prepared if one.is_exit]
    if exits:
        yield from require_exits(api, exits)
    done: list[Order] = []
    for start in range(0, len(prepared), CHUNK):
        chunk = prepared[start : start + CHUNK]
        try:
            answer = yield Request(CREATE_BATCH, [order.body for order in chunk])
            outcomes, failure = _outcomes(api, chunk, rows_of(api, answer)), None
        except (ccxt.OperationFailed, ccxt.ExchangeError) as error:
            failure = failure_of(error)
            if failure.outcome is not Outcome.UNKNOWN:
                if not done:
                    raise
                done += [_refused(api, order, str(failure)) for order in chunk]
                break
            outcomes = [None] * len(chunk)
        done += yield from _settled(api, chunk, outcomes, failure)
        if failure is not None and any(order["status"] is None for order in done[start:]):
            break
    # Orders are sent in sequence: what follows a request that failed is not.
    reason = "not sent: an earlier request failed"
    done += [_refused(api, order, reason) for order in prepared[len(done) :]]
    return done


def _read(
    api: MarginExchange, order: Any, shared: Params
) -> tuple[Mapping[str, Any], Params, Params]:
    """One order as it was given, the words and the raw fields of its parameters."""
    if not isinstance(order, Mapping):
        raise ccxt.BadRequest(
            f"{api.id} createOrders() takes a list of dicts, not of {shown(order)}"
        )
    own = order.get("params") or {}
    if not isinstance(own, Mapping):
        raise ccxt.BadRequest(f"{api.id} params is a dict, not {shown(own)}")
    margin, rest = margin_params(api, {"type": "margin", **own, **shared})
    if not margin:
        raise ccxt.InvalidOrder(f"{api.id} createOrders() is for one account at a time")
    return order, *take_params(api, "createOrders", rest)


def _prepare(
    api: MarginExchange, order: Mapping[str, Any], words: Params, raw: Params
) -> _Prepared:
    market = api.market(require_symbol(api, order.get("symbol"), "createOrders"))
    amount = order.get("amount")
    body = build_order(
        api, market, order.get("type"), order.get("side"), amount, order.get("price"), words
    )
    if body["type"] not in ("LIMIT", "MARKET"):
        raise ccxt.InvalidOrder(
            f"{api.id} createOrders() takes limit and market orders only: send a stop with"
            " createOrder()"
        )
    return _Prepared(
        with_raw(api, "createOrders", {**body, "pair": market["id"]}, raw),
        asked_for(api, body, amount, words),
        market,
        bool(words.get("reduceOnly")),
    )


def _outcomes(api: MarginExchange, chunk: list[_Prepared], rows: list[Any]) -> list[Order | None]:
    """What the answer says of each order, by ``clientId`` or by place; None for nothing."""
    by_id = {text(row, "clientId"): row for row in rows if isinstance(row, dict)}
    by_place = rows if len(rows) == len(chunk) else [None] * len(chunk)
    return [
        _outcome(api, order, by_id.get(str(order.client_id)) or row)
        for order, row in zip(chunk, by_place, strict=True)
    ]


def _outcome(api: MarginExchange, order: _Prepared, row: Any) -> Order | None:
    if not isinstance(row, dict):
        return None
    if text(row, "orderId", "id") is None:
        error = text(row, "error", "message")
        return None if error is None else _refused(api, order, error, row)
    if text(row, "clientId") not in (None, str(order.client_id)):
        return None
    return accepted_order(api, row, order.body, order.asked, order.market["symbol"])


def _settled(
    api: MarginExchange,
    chunk: list[_Prepared],
    outcomes: list[Order | None],
    failure: Failure | None,
) -> Flow[list[Order]]:
    """The outcomes, after a look for the orders that the answer left open."""
    lost = {
        order.client_id: order.market
        for order, outcome in zip(chunk, outcomes, strict=True)
        if outcome is None
    }
    found: dict[int, Order] = {}
    if lost:
        found = yield from find_by_client_ids(api, lost)
    reason = "the answer does not name it" if failure is None else str(failure)
    return [
        outcome or found.get(order.client_id) or _unknown(api, order, reason)
        for order, outcome in zip(chunk, outcomes, strict=True)
    ]


def _refused(api: MarginExchange, order: _Prepared, reason: str, row: Any = None) -> Order:
    return _nameless(api, order, "rejected", {**(row or {}), "error": reason})


def _unknown(api: MarginExchange, order: _Prepared, reason: str) -> Order:
    text = f"{reason}: the order may exist; look for its clientOrderId before you send another"
    return _nameless(api, order, None, {"error": text})


def _nameless(
    api: MarginExchange, order: _Prepared, status: str | None, info: dict[str, Any]
) -> Order:
    structure = order_structure(
        api,
        {
            **order.asked,
            "id": None,
            "clientOrderId": str(order.client_id),
            "symbol": order.market["symbol"],
            "side": order.body["action"],
            "price": order.body.get("price"),
            "status": status,
            "info": info,
        },
    )
    # ccxt fills these in from nothing; of an order that is not known to exist nothing is known.
    structure.update(filled=None, remaining=None, cost=None, status=status)
    return structure
