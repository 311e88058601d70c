"""The private order stream of one bot: what it hears of an order's end, no sweep has to ask for.

Off unless ``bitopro_margin.stream`` is set. It runs on a thread of its own; while it is silent, or
not connected, a sweep asks as it does without it.
"""

import asyncio
import logging
import threading
from typing import Any, Final

import ccxt.pro

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 5.0
"""The pause after a failure that the connection itself did not get over."""
_TAKEN_OVER: Final = (
    "timeout", "httpProxy", "httpsProxy", "socksProxy", "wsProxy", "wssProxy", "wsSocksProxy",
)  # fmt: skip


class OrderStream:
    """Follows the order streams of the account of ``api``, a blocking ccxt object."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._pro: Any = None
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="bitopro-margin-stream", daemon=True)

    def start(self) -> None:
        """Connect, and let the sweeps of ``api`` take in what is heard."""
        self._api.heard_orders = self.heard
        self._thread.start()

    def heard(self) -> list[Any]:
        """What the streams have sent, as parsed rows; nothing while they are not connected."""
        try:
            return [] if self._pro is None else list(self._pro.heard_orders())
        except RuntimeError:
            # The other thread has taken in an order meanwhile.
            return []

    def stop(self) -> None:
        """Close the connections; what was heard is forgotten."""
        self._pro = None
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._cancel)
            self._thread.join(timeout=5)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._follow())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()

    async def _follow(self) -> None:
        api = self._api
        taken_over = {name: getattr(api, name, None) for name in _TAKEN_OVER}
        pro = ccxt.pro.bitopromargin(
            {
                "apiKey": api.apiKey,
                "secret": api.secret,
                "login": api.login,
                "urls": {"api": {"rest": api.urls["api"]["rest"]}},
                **{name: value for name, value in taken_over.items() if value},
            }
        )
        self._pro = pro
        try:
            while True:
                try:
                    await pro.watch_orders()
                except ccxt.AuthenticationError as error:
                    logger.warning(f"No order stream, the sweeps ask instead: {error}")
                    return
                except Exception as error:
                    logger.info(f"The order stream failed, and is tried again: {error}")
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._pro = None
            await pro.close()
