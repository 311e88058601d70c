"""Connect to the first address of a host that answers, and give up when the caller does.

``socket.create_connection`` tries one address after the other, each for the whole time-out, and
``getaddrinfo`` cannot be called off. Here a second address is tried while the first is still silent
(RFC 8305, "Happy Eyeballs"), and a name is resolved on a thread that nobody has to wait for.
"""

import concurrent.futures
import contextlib
import errno
import ipaddress
import itertools
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from .http_call import CURRENT_CALL, SendingConnection

NEXT_ADDRESS_SECONDS: Final = 0.25
"""How long an address may be silent before the next one is tried as well (RFC 8305, section 5)."""
CHECK_SECONDS: Final = 0.05
"""How often a wait asks whether the caller has given up."""

Address = tuple[int, int, int, Any]
"""Family, type, protocol and socket address, as ``getaddrinfo`` names them."""

_pending: dict[tuple[str, int], "concurrent.futures.Future[list[Address]]"] = {}
_pending_lock = threading.Lock()


def connect(
    host: str,
    port: int,
    *,
    timeout: float | None,
    source_address: tuple[str, int] | None = None,
    socket_options: Iterable[tuple[Any, ...]] | None = None,
    check: Callable[[], None] = lambda: None,
) -> socket.socket:
    """Return a connected socket, its time-out set to ``timeout`` (seconds for all addresses).

    ``check`` is called at least every 50 ms and raises when the caller has given up.

    :raises OSError: ``socket.gaierror`` for a name that does not resolve, ``TimeoutError``, or what
        the last address answered.
    """
    ends = None if timeout is None else time.monotonic() + timeout
    addresses = _interleaved(_resolve(host, port, ends, check))
    if not addresses:
        raise OSError(f"{host} has no address")
    with _Race(source_address, socket_options) as race:
        found = race.run(addresses, ends, check)
    found.settimeout(timeout)
    return found


def _resolve(host: str, port: int, ends: float | None, check: Callable[[], None]) -> list[Address]:
    """The addresses of a host. Calls for one name share a look-up, also one that others gave up."""
    if _is_literal(host):
        return _look_up(host, port)
    key = (host, port)
    with _pending_lock:
        pending = _pending.get(key)
        if pending is None:
            pending = _pending[key] = concurrent.futures.Future()
            threading.Thread(
                target=_look_up_into,
                args=(pending, key),
                name="bitopro-margin-resolve",
                daemon=True,
            ).start()
    while True:
        check()
        left = _left(ends)
        try:
            return pending.result(CHECK_SECONDS if left is None else min(CHECK_SECONDS, left))
        except concurrent.futures.TimeoutError:
            if pending.done():
                raise
            if left is not None and left <= CHECK_SECONDS:
                raise TimeoutError(f"{host} was not resolved in time") from None


def _look_up_into(
    pending: "concurrent.futures.Future[list[Address]]", key: tuple[str, int]
) -> None:
    try:
        found = _look_up(*key)
    except BaseException as error:
        with _pending_lock:
            _pending.pop(key, None)
        pending.set_exception(error)
    else:
        with _pending_lock:
            _pending.pop(key, None)
        pending.set_result(found)


def _is_literal(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(host))
    return False


def _look_up(host: str, port: int) -> list[Address]:
    rows = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in rows]


def _interleaved(addresses: list[Address]) -> list[Address]:
    """One family after the other in turn: a broken IPv6 costs one delay, however many it has."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address[0], []).append(address)
    rounds = itertools.zip_longest(*families.values())
    return [address for turn in rounds for address in turn if address is not None]


def _left(ends: float | None) -> float | None:
    return None if ends is None else max(0.0, ends - time.monotonic())


class _Race:
    """Connects to several addresses at once; on leaving, closes all but the winner."""

    def __init__(
        self,
        source_address: tuple[str, int] | None,
        socket_options: Iterable[tuple[Any, ...]] | None,
    ) -> None:
        self._source_address = source_address
        self._socket_options = tuple(socket_options or ())
        self._selector = selectors.DefaultSelector()
        self._running: set[socket.socket] = set()
        self._last_error: OSError | None = None

    def __enter__(self) -> "_Race":
        return self

    def __exit__(self, *failure: object) -> None:
        self._selector.close()
        for loser in self._running:
            loser.close()

    def run(
        self, addresses: list[Address], ends: float | None, check: Callable[[], None]
    ) -> socket.socket:
        waiting = iter(addresses)
        exhausted = False
        next_at = 0.0
        while True:
            check()
            now = time.monotonic()
            if not exhausted and (now >= next_at or not self._running):
                address = next(waiting, None)
                exhausted = address is None
                if address is not None:
                    self._start(address)
                    next_at = now + NEXT_ADDRESS_SECONDS
                    if not self._running:
                        continue
            if not self._running:
                if exhausted:
                    raise self._last_error or OSError("no address answered")
                continue
            left = _left(ends)
            if left == 0:
                raise TimeoutError("no address answered in time")
            pause = CHECK_SECONDS if left is None else min(CHECK_SECONDS, left)
            for key, _ in self._selector.select(pause):
                winner = self._finish(key.fileobj)  # type: ignore[arg-type]
                if winner is not None:
                    return winner

    def _start(self, address: Address) -> None:
        family, kind, protocol, where = address
        try:
            made = socket.socket(family, kind, protocol)
        except OSError as error:
            self._last_error = error
            return
        try:
            for option in self._socket_options:
                made.setsockopt(*option)
            if self._source_address:
                made.bind(self._source_address)
            made.setblocking(False)
            code = made.connect_ex(where)
            if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN):
                raise OSError(code, os.strerror(code))
        except OSError as error:
            self._last_error = error
            made.close()
            return
        self._running.add(made)
        self._selector.register(made, selectors.EVENT_WRITE)

    def _finish(self, made: socket.socket) -> socket.socket | None:
        self._selector.unregister(made)
        self._running.discard(made)
        code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            return made
        self._last_error = OSError(code, os.strerror(code))
        made.close()
        return None


# -- connections of urllib3 ------------------------------------------------------------------------


class GuardedConnection(SendingConnection):
    """Put before a class of urllib3's connections: connects, and closes, as the call wants it."""

    _connects_directly: bool

    def _new_conn(self) -> socket.socket:
        call = CURRENT_CALL.get()
        # (Through a SOCKS proxy another library connects, within its time-out.)
        made: socket.socket = self._connect() if self._connects_directly else super()._new_conn()
        self._watched = made.dup()
        if call is not None:
            call.watch(self._watched)
        return made

    def _connect(self) -> socket.socket:
        call = CURRENT_CALL.get()
        timeout = self.timeout if isinstance(self.timeout, int | float) else None
        try:
            return connect(
                self._dns_host,
                self.port,
                timeout=timeout,
                source_address=self.source_address,
                socket_options=self.socket_options,
                check=call.check if call is not None else lambda: None,
            )
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"Connecting to {self.host} took too long") from error
        except OSError as error:
            raise NewConnectionError(self, f"Connecting failed: {error}") from error

    def connect(self) -> None:
        """Connect, TLS and proxies included, unless the call was given up."""
        super().connect()
        call = CURRENT_CALL.get()
        if call is not None:
            call.check()

    def close(self) -> None:
        """Close both handles of the socket."""
        watched, self._watched = self._watched, None
        try:
            super().close()
        finally:
            call = CURRENT_CALL.get()
            if watched is not None and call is not None:
                call.close(watched)
            elif watched is not None:
                watched.close()
