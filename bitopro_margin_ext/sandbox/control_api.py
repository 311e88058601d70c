"""The controls under ``/_sandbox``: their routes, and their help, made from the declarations."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from . import account_controls as account
from . import behaviour_controls as behaviour
from . import market_controls as market
from .call import call_of
from .control_base import Control
from .faults import KINDS
from .queries import json_object
from .state import Refusal, Switches

if TYPE_CHECKING:
    from .app import Parts

CONTROLS: Final[tuple[type[Control], ...]] = (
    market.SetPrice,
    market.ChangePair,
    market.MoveClock,
    market.PlaceByHand,
    market.FillOrder,
    market.CancelOrder,
    market.RejectStops,
    account.SetBalances,
    account.AddAccount,
    account.ChangeKey,
    account.SetLoanTerms,
    account.BorrowByHand,
    account.RepayByHand,
    account.ChargeInterest,
    account.Liquidate,
    behaviour.GetState,
    behaviour.GetSwitches,
    behaviour.SetSwitches,
    behaviour.AddFaults,
    behaviour.GetFaults,
    behaviour.ClearFaults,
    behaviour.DropStreams,
    behaviour.RefuseStreams,
    behaviour.GetRequests,
    behaviour.ClearRequests,
    behaviour.Reset,
)


def control_routes() -> APIRouter:
    """Build the control endpoints: for tests and drills, on the loopback only, without a key."""
    router = APIRouter()
    for control in CONTROLS:
        method, path = control.route.split()
        router.add_api_route(path, _handler(control), methods=[method])
    return router


def reference() -> str:
    """Describe every control, switch and fault; this is the help of ``bitopro-margin sandbox``."""
    sections = (
        ("controls: JSON without a key, under /_sandbox", _controls()),
        ("switches: POST /switches", _switches()),
        ('faults: POST /faults {"rules": [{"kind": "status", "path": "/margin/*"}]}', _faults()),
    )
    return "\n\n".join(f"{title}\n{text}" for title, text in sections) + "\n"


def _handler(control: type[Control]) -> Callable[..., Any]:
    async def handle(request: Request) -> JSONResponse:
        body = call_of(request).body
        try:
            fields = {**(json_object(body) if body else {}), **request.query_params}
            asked = control.model_validate({**fields, **request.path_params})
            parts: Parts = request.app.state.parts
            with parts.exchange.lock:
                return JSONResponse(asked.apply(parts))
        except ValidationError as error:
            return JSONResponse({"error": _in_one_line(error)}, status_code=400)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        except Refusal as refusal:
            status = 404 if refusal.status == 404 else 400
            return JSONResponse({"error": refusal.text}, status_code=status)

    return handle


def _in_one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    text = str(first["msg"]).removeprefix("Value error, ")
    return f"{place}: {text}" if place else text


def _controls() -> str:
    lines = []
    for control in CONTROLS:
        fields = [
            name + ("" if field.is_required() else "?")
            for name, field in control.model_fields.items()
            if f"{{{name}}}" not in control.route
        ]
        named = f"  {', '.join(fields)}" if fields else ""
        lines += [f"  {control.route}{named}", _indented(control.__doc__ or "")]
    hand = ", ".join(
        (field.alias or name) + ("" if field.is_required() else "?")
        for name, field in market.HandOrder.model_fields.items()
    )
    return "\n".join([*lines, _indented(f"An order placed by hand has {hand}.", "  ")])


def _switches() -> str:
    now = Switches().model_dump(mode="json")
    return "\n".join(
        _indented(f"{name} ({now[name]}): {meaning}", "  ")
        for name, meaning in Switches.meanings().items()
    )


def _faults() -> str:
    common = (
        "A rule has a kind, a method, a path (a glob, or an expression with regex; with or without "
        "/v3), times (1; null is for ever), after (so many calls pass first), probability and "
        "seed. Streams have the method WS."
    )
    lines = [_indented(common, "  ")]
    for kind, (options, meaning) in KINDS.items():
        named = f" ({', '.join(options)})" if options else ""
        lines.append(_indented(f"{kind}{named}: {meaning}", "  "))
    return "\n".join(lines)


def _indented(text: str, indent: str = "      ") -> str:
    """Wrap a text to the width of a terminal; lines after the first stand further in."""
    return textwrap.fill(
        " ".join(text.split()), 92, initial_indent=indent, subsequent_indent=indent + "  "
    )
