"""A wire-tap: passes bytes on to the sandbox and notes when each request's first byte arrived."""

import queue
import socket
import threading
import time
from types import TracebackType
from urllib.parse import urlsplit


class Tap:
    """Listens on the loopback in front of an address. A context manager."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "127.0.0.1", target.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._deletes: queue.SimpleQueue[float] = queue.SimpleQueue()

    def forget(self) -> None:
        """Drop what was noted so far."""
        while not self._deletes.empty():
            self._deletes.get()

    def await_delete(self, timeout: float = 60.0) -> float:
        """The ``perf_counter`` of the first DELETE's first byte since ``forget``."""
        return self._deletes.get(timeout=timeout)

    def __enter__(self) -> "Tap":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            venue = socket.create_connection(self._target)
            for one in (client, venue):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass, args=(client, venue, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(venue, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, listens: bool) -> None:
        try:
            while chunk := source.recv(65536):
                now = time.perf_counter()
                if listens and chunk.startswith(b"DELETE "):
                    self._deletes.put(now)
                sink.sendall(chunk)
        except OSError:
            pass
        finally:
            for one in (source, sink):
                one.close()
