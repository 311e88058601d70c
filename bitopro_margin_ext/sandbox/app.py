"""The application: all routes around one exchange, behind the gateway."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from .account_routes import margin_routes, spot_routes
from .auth import Authenticator
from .call import call_of
from .control_api import control_routes
from .dashboard import Dashboard, dashboard_routes
from .defaults import CONTROL_PREFIX, REST_PREFIX
from .faults import Faults
from .gateway import Gateway
from .order_routes import order_routes
from .public_routes import public_routes
from .rate_limits import Limits
from .request_log import RequestLog
from .state import Exchange, Kind, Reason, Refusal
from .state.orders import Change, WasReset
from .streams import Streams, stream_routes


@dataclass(frozen=True, slots=True)
class Parts:
    """What a running sandbox is made of."""

    exchange: Exchange
    faults: Faults
    limits: Limits
    log: RequestLog
    streams: Streams
    gateway: Gateway
    dashboard: Dashboard


def assemble(exchange: Exchange) -> Parts:
    """Build the sandbox around an exchange."""
    faults, limits, log = Faults(), Limits(), RequestLog()
    authenticator = Authenticator(exchange)
    streams = Streams(exchange, authenticator, log)

    def start_afresh(change: Change) -> None:
        if isinstance(change, WasReset):
            faults.clear()
            limits.clear()
            log.clear()
            streams.refusals.clear()
            gateway.forget()

    exchange.listen(start_afresh)

    def admit(request: Request, kind: Kind) -> str:
        call = call_of(request)
        key = authenticator.admit_rest(
            request.method, request.headers, call.body, call.clock_shift_ms
        )
        call.email = key.email
        if kind == "margin" and not key.margin:
            raise Reason.FORBIDDEN()
        return key.email

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _no_such_path)
    for router in (
        public_routes(exchange),
        spot_routes(exchange, admit),
        margin_routes(exchange, admit),
        order_routes(exchange, "spot", admit),
    ):
        app.include_router(router, prefix=REST_PREFIX)
    app.include_router(order_routes(exchange, "margin", admit), prefix=f"{REST_PREFIX}/margin")
    app.include_router(stream_routes(streams))
    app.include_router(control_routes(), prefix=CONTROL_PREFIX)
    app.include_router(dashboard_routes())
    gateway = Gateway(app, exchange, faults, limits, log)
    parts = Parts(exchange, faults, limits, log, streams, gateway, Dashboard(exchange))
    app.state.parts = parts
    return parts


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)  # noqa: S101 - registered for this class only
    return JSONResponse({"error": error.text}, status_code=error.status)


async def _no_such_path(request: Request, error: Exception) -> JSONResponse:
    # A wrong method on a known path is a wrong path too: the pages know no 405.
    refusal = Reason.UNKNOWN_PATH()
    return JSONResponse({"error": refusal.text}, status_code=refusal.status)
