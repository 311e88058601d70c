import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import ccxt.pro
import pytest

from bitopro_margin_ext.core import rate_limit, signing
from bitopro_margin_ext.sandbox.server import SandboxServer
from tests.exchange.book import BY_THE_BOOK
from tests.exchange.drivers import Awaiting, Blocking, CannedServer


class InContext(Awaiting):
    """Calls the asynchronous class in the caller's context, so that a deadline reaches it."""

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        async def run() -> Any:
            return await getattr(self.exchange, method)(*args, **kwargs)

        return self.runner.run(run(), context=contextvars.copy_context())


class Streaming(InContext):
    """Calls the class with streams."""

    module = ccxt.pro


EVERY_DRIVER = {"sync": Blocking, "async": InContext, "pro": Streaming}
ON_EVERY_CLASS = pytest.mark.parametrize("connect", list(EVERY_DRIVER), indirect=True)
SMALL = {"pair": "btc_usdt", "action": "BUY", "amount": "0.001"}


@pytest.fixture
def sandbox(bitopro_sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> SandboxServer:
    # Every test starts with limiters that have not been used: the tests share one host.
    monkeypatch.setattr(rate_limit, "_limits", {})
    # And with nonces of its own: a clock that was set wrong is not this test's.
    monkeypatch.setattr(signing, "_by_key", {})
    bitopro_sandbox.parts.streams.refusals.clear()
    return bitopro_sandbox


@pytest.fixture
def control(sandbox: SandboxServer) -> Any:
    return sandbox.control


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Make a driver of the blocking and of the asynchronous class.

    The class with streams is the asynchronous one in all of this: it has a few tests of its own.
    """
    made: list[Any] = []

    def make(rest_url: str, **config: Any) -> Any:
        made.append(EVERY_DRIVER[request.param](rest_url, **config))
        return made[-1]

    yield make
    for driver in made:
        driver.close()


@pytest.fixture
def api(connect: Callable[..., Any], sandbox: SandboxServer) -> Any:
    """A fresh client of the sandbox; nothing is loaded."""
    return connect(sandbox.rest_url)


@pytest.fixture
def canned() -> Iterator[CannedServer]:
    """A server that answers only what a test gives it."""
    server = CannedServer({})
    yield server
    server.close()


@pytest.fixture
def book(canned: CannedServer) -> CannedServer:
    """A server that answers what the pages show, and 404 to everything else."""
    canned.answers.update(BY_THE_BOOK)
    return canned


@pytest.fixture
def log(control: Any) -> Callable[..., list[tuple[str, str]]]:
    """What was sent since the last look, as (method, path)."""
    seen = [0]

    def look() -> list[tuple[str, str]]:
        lines = control.requests(after=seen[0])
        seen[0] = max([seen[0], *(line["n"] for line in lines)])
        return [(line["method"], line["path"].removeprefix("/v3")) for line in lines]

    return look


def seed(control: Any, count: int = 3, pair: str = "btc_usdt", **more: Any) -> list[str]:
    """Put small buy orders on the margin account."""
    price = {"btc_usdt": 30000, "eth_usdt": 1000}[pair]
    orders = [{**SMALL, "pair": pair, "price": str(price + i), **more} for i in range(count)]
    return [order["id"] for order in control.seed_orders(orders)]
