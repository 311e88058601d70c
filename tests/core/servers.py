"""Servers on the loopback that misbehave below HTTP, and note what reached them."""

import contextlib
import functools
import gzip
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Behave = Callable[["Server", socket.socket], None]

OK = b'{"data": {}}'


def answer(body: bytes = OK, *headers: str) -> bytes:
    """A whole answer of status 200."""
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


class Server:
    """Accepts connections and gives each to ``behave`` on a thread of its own.

    ``requests`` holds the first line of every HTTP request that arrived, and when.
    """

    def __init__(self, behave: Behave, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.behave = behave
        self.requests: list[tuple[float, str]] = []
        self.accepted = 0
        self.done = threading.Event()
        self.proceed = threading.Event()
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(address)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{address[0]}:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            self._connections.append(connection)
            connection.settimeout(20)
            self.behave(self, connection)

    def read(self, connection: socket.socket) -> str:
        """Read the head of one request, note it, and return its first line."""
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65536)
            if not part:
                raise ValueError("closed")
            head += part
        line = head.split(b"\r\n", 1)[0].decode()
        self.requests.append((time.monotonic(), line))
        return line

    def close(self) -> None:
        self.done.set()
        self.proceed.set()
        for one in (self._listener, *self._connections):
            # Wakes whoever waits on it, which a close alone does not.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(1)


@contextlib.contextmanager
def serving(behave: Behave, **options: Any) -> Iterator[Server]:
    """A server for the length of a ``with``."""
    found = Server(behave, **options)
    try:
        yield found
    finally:
        found.close()


# -- behaviours ------------------------------------------------------------------------------------


def well(server: Server, connection: socket.socket) -> None:
    """Answer every request at once, on a kept connection."""
    while True:
        server.read(connection)
        connection.sendall(answer())


def hang(server: Server, connection: socket.socket) -> None:
    """Read and say nothing."""
    server.read(connection)
    server.done.wait(20)


def drip(server: Server, connection: socket.socket) -> None:
    """Answer for ever, a byte at a time."""
    server.read(connection)
    connection.sendall(answer(b" " * 1_000_000)[:80])
    while not server.done.wait(0.02):
        connection.sendall(b" ")


def drip_headers(server: Server, connection: socket.socket) -> None:
    """The same within the headers."""
    server.read(connection)
    for byte in answer():
        if server.done.wait(0.1):
            return
        connection.sendall(bytes([byte]))


def long_answer(server: Server, connection: socket.socket) -> None:
    """Twenty megabytes of ids that say nothing."""
    server.read(connection)
    with contextlib.suppress(OSError):
        connection.sendall(_twenty_megabytes())


def gzip_bomb(server: Server, connection: socket.socket) -> None:
    """A few kilobytes that unpack to a hundred megabytes."""
    server.read(connection)
    connection.sendall(answer(_bomb(), "Content-Encoding: gzip"))


def deep_json(server: Server, connection: socket.socket) -> None:
    """JSON that no parser of this language can hold."""
    server.read(connection)
    connection.sendall(answer(b"[" * 1_000_000))


@functools.cache
def _twenty_megabytes() -> bytes:
    return answer(json.dumps({"data": {"BTC_USDT": [str(i) for i in range(2_000_000)]}}).encode())


@functools.cache
def _bomb() -> bytes:
    return gzip.compress(b" " * 100_000_000, 1)


# -- TLS -------------------------------------------------------------------------------------------


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    chain, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", str(key), "-out", str(chain), "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return chain, key


def over_tls(behave: Behave, chain: Path, key: Path, *, wait: float = 0.0) -> Behave:
    """``behave`` behind a handshake that begins after ``wait`` seconds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    def serve(server: Server, connection: socket.socket) -> None:
        server.proceed.wait(wait)
        with context.wrap_socket(connection, server_side=True) as wrapped:
            behave(server, wrapped)

    return serve


def proxy(to: Callable[[], int], *, wait: float = 0.0) -> Behave:
    """A proxy whose CONNECT takes ``wait`` seconds; it leads to a port of the loopback."""

    def serve(server: Server, connection: socket.socket) -> None:
        server.read(connection)
        server.proceed.wait(wait)
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", to()), timeout=5) as onward:
            there = threading.Thread(target=_pump, args=(connection, onward), daemon=True)
            there.start()
            _pump(onward, connection)

    return serve


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def silent_port(address: str = "127.0.0.2") -> tuple[list[socket.socket], int]:
    """A port of the loopback whose connections are never completed: its queue is full.

    Keep the sockets for as long as it must be silent.
    """
    listener = socket.socket()
    listener.bind((address, 0))
    listener.listen(0)
    port: int = listener.getsockname()[1]
    kept = [listener]
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect((address, port))
        kept.append(filler)
    time.sleep(0.05)
    return kept, port
