"""One way to call the blocking and the asynchronous class; a server that answers by the book."""

import asyncio
import http.server
import json
import threading
from typing import Any

import ccxt
import ccxt.async_support

from bitopro_margin_ext.exchange import register

KEYS = {"apiKey": "sandbox-key", "secret": "sandbox-secret"}

register()


class Blocking:
    """Calls the blocking class."""

    module = ccxt

    def __init__(self, rest_url: str, exchange_id: str = "bitopromargin", **config: Any) -> None:
        settings = {**KEYS, "urls": {"api": {"rest": rest_url}}, "rateLimit": 1, **config}
        self.exchange = getattr(self.module, exchange_id)(settings)

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.exchange, method)(*args, **kwargs)

    def close(self) -> None:
        pass


class Awaiting(Blocking):
    """Calls the asynchronous class, on a loop of its own."""

    module = ccxt.async_support

    def __init__(self, *args: Any, **config: Any) -> None:
        self.runner = asyncio.Runner()
        super().__init__(*args, **config)

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        async def run() -> Any:
            return await super(Awaiting, self).__call__(method, *args, **kwargs)

        return self.runner.run(run())

    def close(self) -> None:
        # ccxt's own close waits a quarter of a second for nothing that matters here.
        if self.exchange.session is not None:
            self.runner.run(self.exchange.session.close())
            self.exchange.session = None
        self.runner.close()


DRIVERS = {"sync": Blocking, "async": Awaiting}


class CannedServer:
    """Answers each path with the JSON that it was given, over real HTTP; logs what it is sent."""

    def __init__(self, answers: dict[tuple[str, str], Any]) -> None:
        self.answers = answers
        self.requests: list[tuple[str, str, bytes]] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path, _, query = self.path.partition("?")
                server.requests.append((self.command, self.path, body))
                status, document = 404, {"error": "Not Found"}
                for (method, known), answer in server.answers.items():
                    if (method, known) == (self.command, path):
                        status, document = 200, answer(query) if callable(answer) else answer
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

            def log_message(self, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.rest_url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def sent(self, method: str) -> list[tuple[str, bytes]]:
        return [(path, body) for sent, path, body in self.requests if sent == method]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
