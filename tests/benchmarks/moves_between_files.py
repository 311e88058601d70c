"""``python -m tests.benchmarks.moves_between_files``: how often control moves between our files.

A profiler notes each call of a function of ours, the resuming of a generator included. A stay is a
longest run of them within one file: a reader who follows the trip turns the page once a stay. What
hosts and libraries do in between does not count, and neither does the sandbox.

Before the layers were made fewer (commit ed1efd1) this script counted 33, 134 and 182.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import bitopro_margin_ext
from bitopro_margin_ext.sandbox.server import SandboxServer
from tests.bot.harness import BTC, BotHarness, trade_of
from tests.exchange.drivers import Blocking

PACKAGE = Path(bitopro_margin_ext.__file__).parent
LEFT_OUT = ("sandbox", "drill")
AIMS = {"cancel_all_orders": 33 // 2, "cancel_and_confirm": 133 // 2, "before_exit": 162 // 2}
"""Half of what the review of the house counted."""


class Stays:
    """Notes the files that control stays in, one after the other. A context manager."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def __enter__(self) -> "Stays":
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *failure: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call":
            return
        file = _own_file(frame.f_code.co_filename)
        if file is not None and (not self.files or self.files[-1] != file):
            self.files.append(file)


def _own_file(name: str) -> str | None:
    path = Path(name)
    if not path.is_relative_to(PACKAGE):
        return None
    inside = path.relative_to(PACKAGE)
    return None if inside.parts[0] in LEFT_OUT else str(inside)


def count(trip: Callable[[], Any]) -> Stays:
    """The stays of one trip."""
    with Stays() as stays:
        trip()
    return stays


def of_cancel_all_orders(server: SandboxServer) -> Stays:
    """A warm object cancels the orders of one pair."""
    api = _api(server)
    return count(lambda: api("cancel_all_orders", BTC))


def of_cancel_and_confirm(server: SandboxServer) -> Stays:
    """A warm object sweeps a pair on which one order rests, which the caller knows."""
    api = _api(server)
    order = {"pair": "btc_usdt", "action": "SELL", "amount": "0.01", "price": "90000"}
    (row,) = server.control.seed_orders([{**order, "kind": "margin"}])
    time.sleep(1.2)  # the turn of the cancel-all is no part of the trip
    return count(lambda: api("cancel_and_confirm", BTC, [(BTC, str(row["id"]))], 10.0))


def of_before_exit(server: SandboxServer) -> Stays:
    """A bot's emergency, its stoploss on the exchange."""
    with tempfile.TemporaryDirectory() as folder:
        harness = BotHarness(server, Path(folder))
        try:
            bot = harness.bot()
            harness.hold(bot)
            emergency = emergency_of(bot)
            asked = trade_of()
            return count(lambda: before_exit(emergency, asked))
        finally:
            harness.close()


def emergency_of(bot: Any) -> Any:
    """The strategy's hook."""
    return bot.strategy._emergency


def before_exit(emergency: Any, trade: Any) -> None:
    """Go through the hook as ``confirm_trade_exit`` does."""
    emergency.before_exit(trade, "emergency_exit", "market", 60000.0, time.monotonic())


def _api(server: SandboxServer) -> Blocking:
    api = Blocking(server.rest_url)
    api("load_markets")
    api("fetch_balance")
    return api


TRIPS = {
    "cancel_all_orders": of_cancel_all_orders,
    "cancel_and_confirm": of_cancel_and_confirm,
    "before_exit": of_before_exit,
}


def main() -> int:
    """Print the figures, and the stays themselves with ``-v``."""
    bitopro_margin_ext.register()
    worst = 0
    with SandboxServer() as server:
        for name, trip in TRIPS.items():
            trip(server)  # what is imported and made once
            stays = trip(server)
            met = len(stays.files) <= AIMS[name]
            worst |= not met
            print(
                f"{name}: {len(stays.files)} stays in {len(set(stays.files))} files"
                f" (aim {AIMS[name]}: {'met' if met else 'MISSED'})"
            )
            if "-v" in sys.argv:
                print("  " + " > ".join(stays.files))
    return worst


if __name__ == "__main__":
    sys.exit(main())
