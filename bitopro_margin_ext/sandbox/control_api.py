"""The controls under ``/_sandbox``: behaviour and log, the routes of all, and their help."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, ValidationError

from . import control_json, controls
from .call import call_of
from .controls import Control, Json
from .faults import KINDS, Fault
from .queries import json_object
from .state import Refusal, Switches

if TYPE_CHECKING:
    from .server import Parts


class GetState(Control):
    """Return everything that is true."""

    route = "GET /state"

    def apply(self, sandbox: Parts) -> Json:
        """Take a snapshot."""
        return control_json.state(sandbox.exchange, sandbox.streams.open_paths())


class GetSwitches(Control):
    """Return the switches."""

    route = "GET /switches"

    def apply(self, sandbox: Parts) -> Json:
        """Return them as they are."""
        return sandbox.exchange.switches.model_dump(mode="json")


class SetSwitches(Control):
    """Set some switches, by name."""

    route = "POST /switches"
    model_config = ConfigDict(extra="allow")

    def apply(self, sandbox: Parts) -> Json:
        """Set them and return all."""
        return sandbox.exchange.set_switches(self.model_extra or {}).model_dump(mode="json")


class AddFaults(Control):
    """Add rules; see the faults below."""

    route = "POST /faults"
    rules: list[Fault]

    def apply(self, sandbox: Parts) -> Json:
        """Add them in that order."""
        return {"rules": [sandbox.faults.add(rule).as_dict() for rule in self.rules]}


class GetFaults(Control):
    """Return the rules, with how often each has hit."""

    route = "GET /faults"

    def apply(self, sandbox: Parts) -> Json:
        """Return them in order."""
        return {"rules": sandbox.faults.as_list()}


class ClearFaults(Control):
    """Drop all rules, and stop refusing streams."""

    route = "DELETE /faults"

    def apply(self, sandbox: Parts) -> Json:
        """Drop them."""
        sandbox.faults.clear()
        sandbox.streams.refusals.clear()
        return {"rules": []}


class DropStreams(Control):
    """Cut the open websockets whose path matches, without a closing handshake."""

    route = "POST /streams/drop"
    path: str = "*"

    def apply(self, sandbox: Parts) -> Json:
        """Cut them."""
        return {"dropped": sandbox.streams.drop(self.path)}


class RefuseStreams(Control):
    """Refuse the next handshakes with this status."""

    route = "POST /streams/refuse"
    times: int = 1
    status: int = 503

    def apply(self, sandbox: Parts) -> Json:
        """Note the refusals."""
        pending = sandbox.streams.refusals
        pending += [self.status] * self.times
        return {"pending": len(pending)}


class GetRequests(Control):
    """Return the request log, oldest first; after (in the query) is a line's number."""

    route = "GET /requests"
    after: int = 0

    def apply(self, sandbox: Parts) -> Json:
        """Return the lines numbered above it."""
        return {"requests": sandbox.log.lines(self.after)}


class ClearRequests(Control):
    """Empty the request log."""

    route = "DELETE /requests"

    def apply(self, sandbox: Parts) -> Json:
        """Empty it."""
        sandbox.log.clear()
        return {"requests": []}


class Reset(Control):
    """Start afresh: state, switches, faults, limits and log."""

    route = "POST /reset"

    def apply(self, sandbox: Parts) -> Json:
        """Forget everything."""
        sandbox.exchange.reset()
        return {"reset": True}


CONTROLS: Final[tuple[type[Control], ...]] = (
    controls.SetPrice,
    controls.ChangePair,
    controls.ListPair,
    controls.MoveClock,
    controls.PlaceByHand,
    controls.FillOrder,
    controls.CancelOrder,
    controls.RejectStops,
    controls.SetBalances,
    controls.AddAccount,
    controls.ChangeKey,
    controls.SetLoanTerms,
    controls.BorrowByHand,
    controls.RepayByHand,
    controls.ChargeInterest,
    controls.Liquidate,
    GetState,
    GetSwitches,
    SetSwitches,
    AddFaults,
    GetFaults,
    ClearFaults,
    DropStreams,
    RefuseStreams,
    GetRequests,
    ClearRequests,
    Reset,
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
        lines += [
            _indented(f"{control.route} {', '.join(fields)}", "  "),
            _indented(control.__doc__ or ""),
        ]
    hand = ", ".join(
        (field.alias or name) + ("" if field.is_required() else "?")
        for name, field in controls.HandOrder.model_fields.items()
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
        " ".join(text.split()), 79, initial_indent=indent, subsequent_indent=indent + "  "
    )
