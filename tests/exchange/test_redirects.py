"""A redirect is not followed: it would carry the signed headers to wherever it points."""

import asyncio
import http.server
import threading
from collections.abc import Iterator

import ccxt
import ccxt.async_support
import pytest

from bitopro_margin_ext.exchange import register


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Answers every call with the way to another path, and writes down who came."""

    visited: list[str] = []

    def do_DELETE(self) -> None:
        self.visited.append(self.path)
        self.send_response(307)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def redirecting() -> Iterator[str]:
    register()
    Elsewhere.visited = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v3"
    server.shutdown()


def settings(url: str) -> dict[str, object]:
    return {"apiKey": "some-key", "secret": "some-secret", "urls": {"api": {"rest": url}}}


def test_the_blocking_class_stays_where_it_is(redirecting: str) -> None:
    with pytest.raises(ccxt.OperationFailed):
        ccxt.bitopromargin(settings(redirecting)).cancel_all_orders()

    assert Elsewhere.visited == ["/v3/margin/orders/all"]


def test_the_asynchronous_class_stays_where_it_is(redirecting: str) -> None:
    async def cancel() -> None:
        async with ccxt.async_support.bitopromargin(settings(redirecting)) as exchange:
            await exchange.cancel_all_orders()

    with pytest.raises(ccxt.OperationFailed):
        asyncio.run(cancel())

    assert Elsewhere.visited == ["/v3/margin/orders/all"]
