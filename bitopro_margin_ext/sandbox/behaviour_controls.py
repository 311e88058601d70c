"""Controls of how the exchange behaves, and of what it has seen: switches, faults, streams, log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ConfigDict

from . import control_json
from .control_base import Control, Json
from .faults import Fault

if TYPE_CHECKING:
    from .app import Parts


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
