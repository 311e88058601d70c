"""Objects of the class with streams, and how their tests wait."""

import asyncio
from typing import Any

import ccxt.pro

from bitopro_margin_ext.exchange import register
from bitopro_margin_ext.sandbox.server import SandboxServer

register()

KEYS = {"apiKey": "sandbox-key", "secret": "sandbox-secret", "login": "sandbox@example.com"}
SYMBOL = "BTC/USDT"


def seed(sandbox: SandboxServer, **fields: Any) -> str:
    """An order on the exchange, by id."""
    order = {"pair": "btc_usdt", "action": "BUY", "amount": "0.01", "price": "50000", **fields}
    return sandbox.control.seed_orders([order])[0]["id"]


class Session:
    """A pro object on the sandbox, as an asynchronous context."""

    def __init__(self, server: SandboxServer, **config: Any) -> None:
        settings = {**KEYS, "urls": {"api": {"rest": server.rest_url}}, "rateLimit": 1, **config}
        self.exchange = ccxt.pro.bitopromargin(settings)

    async def __aenter__(self) -> Any:
        return self.exchange

    async def __aexit__(self, *error: Any) -> None:
        if hasattr(self.exchange, "close_ws_clients"):
            await self.exchange.close_ws_clients()
        else:
            # An older ccxt has but one way to end.
            await self.exchange.close()
        if self.exchange.session is not None:
            await self.exchange.session.close()
            self.exchange.session = None


async def soon(awaitable: Any, seconds: float = 10) -> Any:
    """The result, or a failure instead of a test that hangs."""
    return await asyncio.wait_for(awaitable, seconds)


async def silent(awaitable: Any, seconds: float = 0.7) -> bool:
    """Whether nothing comes."""
    task = asyncio.ensure_future(awaitable)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    task.cancel()
    return not done


def shown(orders: list[Any]) -> list[tuple[Any, ...]]:
    return [(order["id"], order["status"], order["filled"]) for order in orders]
