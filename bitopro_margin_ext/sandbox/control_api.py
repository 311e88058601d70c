"""The controls under ``/_sandbox``: for tests and drills, on the loopback only, without a key."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from . import control_json, controls
from .call import call_of
from .faults import Faults
from .queries import json_object
from .request_log import RequestLog
from .state import ApiKey, Exchange, Refusal
from .streams import Streams

Json = dict[str, object]


def control_routes(
    exchange: Exchange, faults: Faults, log: RequestLog, streams: Streams
) -> APIRouter:
    """Build the control endpoints."""
    router = APIRouter()

    def answer(work: Callable[[Json], object]) -> Callable[[Request], object]:
        """Wrap a control: its body is one object, and a mistake in it is told as text, 400."""

        async def handle(request: Request) -> JSONResponse:
            body = call_of(request).body
            try:
                wish = json_object(body) if body else {}
                wish.update(request.path_params)
                with exchange.lock:
                    return JSONResponse(work(wish))
            except (ValueError, KeyError, Refusal) as error:
                text = error.text if isinstance(error, Refusal) else str(error)
                status = 404 if isinstance(error, Refusal) and error.status == 404 else 400
                return JSONResponse({"error": text}, status_code=status)

        return handle

    def add(method: str, path: str, work: Callable[[Json], object]) -> None:
        router.add_api_route(path, answer(work), methods=[method], response_model=None)

    def price(wish: Json) -> object:
        prices = wish.get("prices")
        if isinstance(prices, dict):
            for pair, value in prices.items():
                exchange.set_price(str(pair), controls.decimal(value, str(pair)))
            return {pair: exchange.describe_price(str(pair)) for pair in prices}
        pair = controls.text(wish, "pair")
        exchange.set_price(
            pair,
            controls.decimal(wish.get("price"), "price"),
            controls.optional_decimal(wish, "bid"),
            controls.optional_decimal(wish, "ask"),
        )
        return {pair.lower(): exchange.describe_price(pair)}

    def seed(wish: Json) -> object:
        lines = wish.get("orders", [wish])
        if not isinstance(lines, list):
            raise ValueError("orders is a list")
        email = controls.email(wish)
        seeds = [controls.seed(line) for line in lines]
        return {"orders": [control_json.order(exchange.seed(one, email)) for one in seeds]}

    def fill(wish: Json) -> object:
        order = exchange.order(controls.text(wish, "order_id"), controls.pair_or_none(wish))
        trade = exchange.fill(
            order,
            fraction=controls.optional_decimal(wish, "fraction"),
            amount=controls.optional_decimal(wish, "amount"),
            price=controls.optional_decimal(wish, "price"),
            as_maker=bool(wish.get("maker", True)),
        )
        return {
            "order": control_json.order(order),
            "trade": control_json.trade(trade) if trade else None,
        }

    def cancel(wish: Json) -> object:
        order = exchange.order(controls.text(wish, "order_id"), controls.pair_or_none(wish))
        exchange.cancel(order.kind, order.pair.name, order.id, order.email)
        return {"order": control_json.order(order)}

    def reject_stop(wish: Json) -> object:
        text = str(wish.get("text", "Stop order rejected by the exchange."))
        exchange.stop_rejections += [text] * int(str(wish.get("times", 1)))
        return {"pending": len(exchange.stop_rejections)}

    def balances(wish: Json) -> object:
        kind, email = controls.kind(wish), controls.email(wish)
        amounts = wish.get("balances")
        if not isinstance(amounts, dict):
            amounts = {controls.text(wish, "currency"): wish.get("amount")}
        for currency, amount in amounts.items():
            exchange.set_balance(kind, str(currency), controls.decimal(amount, currency), email)
        return control_json.wallet(exchange.account(email), kind)

    def account(wish: Json) -> object:
        email = controls.text(wish, "email")
        if email not in exchange.accounts:
            exchange.add_account(email, controls.funds(wish.get("balances")))
        keys = wish.get("keys", [])
        if not isinstance(keys, list):
            raise ValueError("keys is a list")
        for key in keys:
            exchange.add_key(_key(key, email))
        return control_json.account(exchange, email)

    def change_key(wish: Json) -> object:
        name = controls.text(wish, "key")
        if name not in exchange.keys:
            raise ValueError(f"no key {name!r}")
        key = exchange.keys[name]
        key.margin = bool(wish.get("margin", key.margin))
        key.revoked = bool(wish.get("revoked", key.revoked))
        return control_json.key(key)

    def clock(wish: Json) -> object:
        if "advance" in wish:
            exchange.advance(float(controls.decimal(wish["advance"], "advance")))
        if "skew" in wish:
            exchange.clock.skew(float(controls.decimal(wish["skew"], "skew")))
        return {"now_ms": exchange.clock.now_ms(), "offset_ms": exchange.clock.offset_ms}

    def pair(wish: Json) -> object:
        name = controls.text(wish, "pair")
        if wish.get("listed") is False:
            exchange.delist(name)
        elif "maintain" in wish:
            exchange.set_maintenance(name, bool(wish["maintain"]))
        return {"pairs": sorted(exchange.pairs)}

    def reset(wish: Json) -> object:
        exchange.reset()
        return {"reset": True}

    def add_faults(wish: Json) -> object:
        rules = wish.get("rules", [wish])
        if not isinstance(rules, list):
            raise ValueError("rules is a list")
        return {"rules": [faults.add(rule).as_dict() for rule in rules]}

    def clear_faults(wish: Json) -> object:
        faults.clear()
        streams.refusals.clear()
        return {"rules": []}

    def drop_streams(wish: Json) -> object:
        return {"dropped": streams.drop(str(wish.get("path", "*")))}

    def refuse_streams(wish: Json) -> object:
        status = int(str(wish.get("status", 503)))
        streams.refusals.extend([status] * int(str(wish.get("times", 1))))
        return {"pending": len(streams.refusals)}

    def clear_log(wish: Json) -> object:
        log.clear()
        return {"requests": []}

    @router.get("/requests")
    async def requests(request: Request) -> JSONResponse:
        after = int(request.query_params.get("after", "0"))
        return JSONResponse({"requests": log.lines(after)})

    add("GET", "/state", lambda wish: control_json.state(exchange, streams.open_paths()))
    add("POST", "/price", price)
    add("POST", "/orders", seed)
    add("POST", "/orders/{order_id}/fill", fill)
    add("POST", "/orders/{order_id}/cancel", cancel)
    add("POST", "/stops/reject", reject_stop)
    add("POST", "/balances", balances)
    add("POST", "/accounts", account)
    add("POST", "/keys", change_key)
    add("POST", "/clock", clock)
    add("POST", "/pairs", pair)
    add("GET", "/switches", lambda wish: exchange.switches.as_dict())
    add("POST", "/switches", lambda wish: exchange.set_switches(wish).as_dict())
    add("POST", "/reset", reset)
    add("GET", "/faults", lambda wish: {"rules": faults.as_list()})
    add("POST", "/faults", add_faults)
    add("DELETE", "/faults", clear_faults)
    add("POST", "/streams/drop", drop_streams)
    add("POST", "/streams/refuse", refuse_streams)
    add("DELETE", "/requests", clear_log)
    return router


def _key(wish: object, email: str) -> ApiKey:
    if not isinstance(wish, dict):
        raise ValueError("a key is an object with key and secret")
    return ApiKey(
        key=controls.text(wish, "key"),
        secret=controls.text(wish, "secret"),
        email=email,
        margin=bool(wish.get("margin", True)),
        revoked=bool(wish.get("revoked", False)),
    )
