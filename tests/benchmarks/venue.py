"""The exchange of the benchmark: the sandbox in a process of its own, with ten margin pairs.

In a process of its own, because a real exchange does not share its clients' interpreter.
Documented rate limits are off: they would stop Freqtrade's and ccxt's one-by-one ways half-way,
and a time-out is no measurement. Our own clients keep to them all the same.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from bitopro_margin_ext.sandbox.control_client import SandboxControl

from .children import environment

PAIRS = tuple(
    f"{base}/USDT"
    for base in ("BTC", "ETH", "DOGE", "XRP", "SOL", "ADA", "LTC", "BCH", "LINK", "AVAX")
)
"""All margin pairs here; the last five are listed by the benchmark, the sandbox has the others."""
CURRENCIES = (*(pair.split("/")[0] for pair in PAIRS), "USDT")


class Venue:
    """A running sandbox, seen from outside."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.rest_url = f"{url}/v3"
        self.control = SandboxControl(url)

    def restart(self, round_trip_ms: int) -> None:
        """Forget everything; answer with this round trip from now on."""
        self.control.reset()
        for pair in PAIRS:
            self.control.set_margin(pair.replace("/", "_").lower())
        self.control.switches(latency_ms=round_trip_ms)

    def seed(self, kind: str, pairs: int, orders: int) -> list[dict[str, object]]:
        """Rest so many sell orders on each of so many pairs, far from the market."""
        lines = [
            {
                "pair": pair.replace("/", "_").lower(),
                "action": "SELL",
                "amount": "10",
                "price": str(100_000 + number),
                "kind": kind,
            }
            for pair in PAIRS[:pairs]
            for number in range(orders)
        ]
        return [
            seeded for i in range(0, len(lines), 500) for seeded in self._seed(lines[i : i + 500])
        ]

    def _seed(self, lines: list[dict[str, str]]) -> list[dict[str, object]]:
        return self.control.seed_orders(lines)

    def open_orders(self) -> int:
        return len(self.control.orders(only_open=True))

    def hold(self, bases: Iterable[str]) -> None:
        """Have coins enough on the margin account for whatever the trades hold."""
        self.control.add_balances(dict.fromkeys(bases, "1000"))

    def log(self) -> list[dict[str, Any]]:
        """The calls that have come since the last restart, or since the log was cleared."""
        return self.control.requests()


@contextmanager
def running_venue() -> Iterator[Venue]:
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the sandbox did not start")
        yield Venue(url)
    finally:
        # It ends with its standard input.
        process.communicate(timeout=10)


def main() -> None:
    """Serve until standard input ends."""
    from bitopro_margin_ext.sandbox.server import SandboxServer
    from bitopro_margin_ext.sandbox.state import exchange, markets

    listed = {f"{pair.base}/{pair.quote}" for pair in markets.PAIRS}
    more = [
        markets.Pair(
            pair.split("/")[0], "USDT", Decimal(100), 2, Decimal("0.01"), Decimal(10**6), Decimal(5)
        )
        for pair in PAIRS
        if pair not in listed
    ]
    exchange.PAIRS = (*markets.PAIRS, *more)
    with SandboxServer(rate_limits=False) as server:
        print(server.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
