"""A sandbox that listens: all routes around one exchange, in a thread of this process."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, cast

import uvicorn
import websockets  # noqa: F401 - without it uvicorn starts, and refuses every stream
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.h11_impl import H11Protocol

from . import CONTROL_PREFIX, HOST, PORT, REST_PREFIX, STREAM_PREFIX
from .account_endpoints import margin_routes, spot_routes
from .auth import Authenticator, Limits
from .call import RequestLog, call_of
from .control_api import control_routes
from .control_client import SandboxControl
from .dashboard import Dashboard, dashboard_routes
from .faults import Faults
from .gateway import Gateway
from .order_endpoints import order_routes
from .public_endpoints import public_routes
from .state import Exchange, Kind, Reason, Refusal, Switches
from .state.order_history import Change, WasReset
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


PING_SECONDS = 20.0
START_TIMEOUT = 10.0
STOP_TIMEOUT = 5.0


class SandboxServer:
    """An exchange on a port, as a context manager or with ``start`` and ``stop``.

    ``exchange`` is the living state: tests in the same process may read and drive it directly.
    Only a loopback address is taken unless ``allow_remote`` says otherwise, because whoever
    reaches the port controls everything.
    """

    def __init__(
        self,
        host: str = HOST,
        port: int = 0,
        *,
        latency_ms: float = 0,
        rate_limits: bool = True,
        switches: Switches | None = None,
        allow_remote: bool = False,
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        if not allow_remote and not _is_loopback(host):
            raise ValueError(f"{host} is not a loopback address; the sandbox has no protection")
        changes: dict[str, object] = {"latency_ms": latency_ms, "rate_limits": rate_limits}
        self.host = host
        self.port = port
        self.exchange = Exchange((switches or Switches()).changed(changes))
        self._ping_seconds = ping_seconds
        self.parts = assemble(self.exchange)
        self._control: SandboxControl | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The root of the sandbox."""
        return f"http://{self._authority}"

    @property
    def rest_url(self) -> str:
        """What stands for ``https://api.bitopro.com/v3``."""
        return self.url + REST_PREFIX

    @property
    def ws_url(self) -> str:
        """What stands for ``wss://stream.bitopro.com:443/ws/v1/pub``."""
        return f"ws://{self._authority}{STREAM_PREFIX}"

    @property
    def control_url(self) -> str:
        """Where the controls are."""
        return self.url + CONTROL_PREFIX

    @property
    def control(self) -> SandboxControl:
        """A client of the controls."""
        if self._control is None:
            self._control = SandboxControl(self.url)
        return self._control

    def start(self) -> SandboxServer:
        """Bind and listen; raises ``OSError`` if the port is taken. Returns once it answers."""
        if self._thread is not None:
            return self
        listener = _listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            cast(Any, self.parts.gateway),
            http=_DroppableProtocol,
            loop="asyncio",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="critical",
            date_header=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
            ws_ping_interval=self._ping_seconds,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="bitopro-sandbox", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(START_TIMEOUT):
            raise RuntimeError("the sandbox did not start")
        return self

    def stop(self) -> None:
        """Stop listening and end the thread; connections that linger are cut."""
        if self._server is None or self._thread is None:
            return
        self.parts.streams.drop("*")
        self._server.end()
        self._thread.join(STOP_TIMEOUT)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(STOP_TIMEOUT)
        self._server = self._thread = None
        if self._control is not None:
            self._control.close()
            self._control = None

    def reset(self) -> None:
        """Start afresh, as the control of that name does."""
        self.control.reset()

    def __enter__(self) -> SandboxServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class _Server(uvicorn.Server):
    """Says when it listens, without being asked over and over."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self.ready.set()

    def end(self) -> None:
        """Have the server end, also where a test has moved its clock and it sleeps too long."""
        self.should_exit = True
        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(lambda: None)


class _DroppableProtocol(H11Protocol):
    """Hands the transport to the application, so that a fault can close it under the client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the transport where every request of the connection finds it."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off on what is accepted; else every
    # answer waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


__all__ = ["PORT", "SandboxServer"]
