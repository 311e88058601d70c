"""One exchange in this process, with its time, its faults, and the truth about its orders."""

import functools
import itertools
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final

import aiohttp
import ccxt
import requests

from bitopro_margin_ext.core import signing
from bitopro_margin_ext.core.calls import Call
from bitopro_margin_ext.exchange import sync
from bitopro_margin_ext.registration import register
from bitopro_margin_ext.sandbox import API_KEY, API_SECRET, EMAIL
from bitopro_margin_ext.sandbox.auth import GENERAL, SPECIAL, TOLERANCE_MS
from bitopro_margin_ext.sandbox.server import Parts, assemble
from bitopro_margin_ext.sandbox.state import Exchange, Order, Switches
from bitopro_margin_ext.sandbox.state.order_history import Action, Seed

from .streams import FollowedHere, StreamWeather
from .timeline import Timeline
from .transport import AwaitingTransport, BlockingTransport, Power

PAIRS: Final = ("BTC/USDT", "ETH/USDT")
_PORTS = itertools.count(10_000)
LATENCY_MS: Final = 20


@functools.cache
def _assembled() -> Parts:
    """The exchange's application: it takes longer to build than most examples to run."""
    return assemble(Exchange(Switches(latency_ms=LATENCY_MS)))


@functools.cache
def _certificates() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class World:
    """A context manager: inside it, time passes only when somebody waits."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        # An address of its own, because a process keeps one limiter for each.
        self.rest_url = f"http://127.0.0.1:{next(_PORTS)}/v3"

    def __enter__(self) -> "World":
        self.timeline.__enter__()
        # Threads would meet in an order of their own, and no example would play the same twice.
        self._concurrently = sync.call_concurrently
        sync.call_concurrently = self._in_order
        # A nonce is never repeated in a process, and every world begins at the same moment.
        signing._by_key.clear()
        self.parts = _assembled()
        self.exchange = self.parts.exchange
        self.exchange.reset()
        self.power = Power()
        self.stream_weather = StreamWeather()
        self.parts.streams.refusals.clear()
        self._followed_here = FollowedHere(self.timeline)
        self._followed_here.__enter__()
        self.blocking = BlockingTransport(self.parts.gateway, self.timeline, self.power)
        self._asked: list[tuple[str, str, int]] = []
        self._read = 0
        register()
        return self

    def __exit__(self, *failure: object) -> None:
        self._followed_here.__exit__(*failure)
        sync.call_concurrently = self._concurrently
        self.timeline.__exit__(*failure)

    def _in_order(self, perform: Callable[[Call], Any], calls: Iterable[Call]) -> list[Any]:
        began = self.timeline.monotonic()
        answers = []
        for call in calls:
            left = float(call.timeout or 0) - (self.timeline.monotonic() - began)
            answers.append(perform(call._replace(timeout=left)))
        return answers

    # -- the client ----------------------------------------------------------------------------

    def connect(self, api: Any) -> Any:
        """Let a blocking ccxt object, or any that has a requests session, reach this exchange."""
        api.session.mount("http://", self.blocking)
        return api

    @contextmanager
    def only_network(self) -> Iterator[None]:
        """Let every session that is opened meanwhile reach this exchange, and no other place."""
        init, awaiting = requests.Session.__init__, aiohttp.ClientSession
        context = ssl.create_default_context

        def connected(session: requests.Session) -> None:
            init(session)
            session.mount("http://", self.blocking)

        requests.Session.__init__ = connected
        aiohttp.ClientSession = lambda **more: AwaitingTransport(
            self.parts.gateway, self.stream_weather
        )
        # No connection is encrypted, and to read all certificates takes longer than most steps.
        ssl.create_default_context = lambda *args, **more: _certificates()
        try:
            yield
        finally:
            ssl.create_default_context = context
            requests.Session.__init__ = init
            aiohttp.ClientSession = awaiting

    def client(self) -> Any:
        """A ``ccxt.bitopromargin`` as a user makes it."""
        return self.connect(
            ccxt.bitopromargin(
                {
                    "apiKey": API_KEY,
                    "secret": API_SECRET,
                    "login": EMAIL,
                    "urls": {"api": {"rest": self.rest_url}},
                }
            )
        )

    # -- the exchange --------------------------------------------------------------------------

    def arm(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """Add faults."""
        for rule in rules:
            self.parts.faults.add(rule)

    def disarm(self) -> None:
        """Drop all faults."""
        self.parts.faults.clear()
        self.parts.streams.refusals.clear()
        self.stream_weather.clear()
        self.blocking.connecting = []

    @property
    def armed(self) -> list[dict[str, Any]]:
        """The faults that can still strike."""
        return [
            rule
            for rule in self.parts.faults.as_list()
            if rule["times"] is None or rule["hits"] < rule["times"]
        ]

    def seed(self, pair: str, action: Action, amount: str, price: str, **more: Any) -> Order:
        """Put an order on the margin account as if by hand."""
        return self.exchange.seed(
            Seed(wire_name(pair), action, Decimal(amount), Decimal(price), **more)
        )

    def orders(self, pair: str | None = None, *, only_open: bool = False) -> list[Order]:
        """The true margin orders."""
        name = None if pair is None else wire_name(pair)
        return self.exchange.orders("margin", name, only_open=only_open)

    def truth(self) -> dict[tuple[str, str], Order]:
        """The true margin orders by symbol and id."""
        return {(symbol_of(order), order.id): order for order in self.orders()}

    def fill(self, order: Order, fraction: str) -> None:
        """Execute a part of an order, if it is still open and no stop that waits."""
        if order.is_open:
            self.exchange.fill(order, fraction=Decimal(fraction))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        # (What runs meanwhile may open a session.)
        with self.only_network():
            self.timeline.sleep(seconds)

    def let_another_bot_cancel_all(self) -> None:
        """Use up the account's cancel-all of this second, as another program on it would."""
        now = self.exchange.clock.now_ms()
        path = "/v3/margin/orders/all"
        self.parts.limits.exceeded("DELETE", path, "127.0.0.1", EMAIL, now)

    # -- what was asked ------------------------------------------------------------------------

    def broken_limits(self) -> list[str]:
        """The documented limits that our own calls went beyond, as they arrived.

        Counted here again, because the sandbox does not count what a fault kept from it.
        """
        broken = []
        new = self.parts.log.lines(after=self._read)
        if not new:
            return []
        self._read = int(str(new[-1]["n"]))
        self._asked += [
            (str(line["method"]), str(line["path"]), int(str(line["time_ms"]))) for line in new
        ]
        for limit in (*SPECIAL, GENERAL):
            times = [
                moment
                for method, path, moment in self._asked
                if limit.method in ("*", method) and limit.path.match(path)
            ]
            for first, last in zip(times, times[limit.calls :], strict=False):
                if last - first < limit.span_ms - TOLERANCE_MS:
                    broken.append(f"{limit.name}: {limit.calls + 1} calls in {last - first} ms")
        return broken


def wire_name(symbol: str) -> str:
    """``BTC/USDT`` as ``btc_usdt``."""
    return symbol.lower().replace("/", "_")


def symbol_of(order: Order) -> str:
    """The unified symbol of a true order."""
    return order.pair.name.upper().replace("_", "/")
