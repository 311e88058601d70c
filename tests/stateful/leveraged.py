"""A real bot with leverage on a world's exchange: no socket, no waiting, and a power cut anywhere.

The harness of ``tests/leverage`` does the rest. A *step* is what makes a difference outside of the
process: a request that is no GET, a transaction that writes. A process that dies leaves behind the
steps that it has taken, and nothing else; so to die between any two instructions is to die before
one of the steps.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from freqtrade.exceptions import OperationalException, TemporaryError
from freqtrade.persistence import PairLocks, Trade
from sqlalchemy.engine import Connection

from bitopro_margin_ext.bot.debt_lines import USER, total
from bitopro_margin_ext.bot.leverage_amounts import need_of
from bitopro_margin_ext.sandbox.control_client import SandboxControl
from tests.leverage.harness import BTC, CAPITAL, ETH, LeverageHarness

from .transport import BlockingTransport, Power, PowerCut
from .world import World

CURRENCIES = ("USDT", "BTC", "ETH", "TWD")
UNIT = Decimal("1e-8")


class Steps(Power):
    """Counts the steps of the process, and ends it at one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self._last: int | None = None
        self.dead = False

    def cut_at(self, step: int | None) -> None:
        """Begin to count; the power is cut at this step (None: never)."""
        self.names, self._last, self.dead = [], step, False

    def check_alive(self) -> None:
        """A dead process does nothing, whatever its ``finally`` would."""
        if self.dead:
            raise PowerCut

    def take(self, name: str) -> None:
        """One step, or the end."""
        self.check_alive()
        if self._last is not None and len(self.names) >= self._last:
            self.dead = True
            raise PowerCut
        self.names.append(name)

    def check_before(self, method: str, url: str) -> None:
        self.check_alive()
        if method != "GET":
            self.take(f"{method} {url.split('/v3/')[-1]}")

    def check_after(self) -> None:
        self.check_alive()


class _Server:
    """What the harness needs of a sandbox, without a port."""

    def __init__(self, world: World) -> None:
        self.exchange, self.rest_url = world.exchange, world.rest_url
        self.url = world.rest_url.removesuffix("/v3")
        self.control = SandboxControl(self.url)
        # What the test does is no step of the bot's.
        quiet = BlockingTransport(world.parts.gateway, world.timeline, Power())
        self.control._session.mount("http://", quiet)


class LeveragedWorld:
    """A context manager: one bot with leverage, its exchange, its time, its user."""

    harness: LeverageHarness
    bot: Any = None

    def __init__(self, *, twd: bool = False, **settings: Any) -> None:
        self.stake = "TWD" if twd else "USDT"
        self.pairs = ("BTC/TWD", "USDT/TWD") if twd else (BTC, ETH)
        self.unit = Decimal("31.5") if twd else Decimal(1)
        """What a USDT is worth in stake currency."""
        own = LeverageHarness.TWD if twd else {}
        self.settings = {**own, "stake_amount": float(1000 * self.unit), **settings}
        self.steps = Steps()
        self.users: dict[str, Decimal] = dict.fromkeys(CURRENCIES, Decimal(0))
        """What the user has put into the wallets, or taken out, by loans and by hand."""
        self._stack = ExitStack()

    def __enter__(self) -> "LeveragedWorld":
        enter = self._stack.enter_context
        logging.disable(logging.CRITICAL)
        self._stack.callback(logging.disable, logging.NOTSET)
        self.world = enter(World())
        self.world.blocking._power = self.steps
        enter(self.world.only_network())
        enter(_commits_are(self.steps))
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="proof-", dir=memory))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.harness = LeverageHarness(_Server(self.world), self.folder)  # type: ignore[arg-type]
        self.control = self.harness.control
        if self.stake == "TWD":
            self.harness.in_twd()
        # No interest between two readings of the account.
        self.control.switches(latency_ms=0)
        return self

    def __exit__(self, *failure: object) -> None:
        self.steps.cut_at(None)
        try:
            self.harness.close()
        finally:
            self._stack.close()

    def start(self) -> None:
        """Start the bot, as its worker does."""
        self.bot = self.harness.bot(**self.settings)

    def kill(self) -> None:
        """Forget everything that the process knows, and start another one."""
        self.steps.cut_at(None)
        bots, self.harness._bots[:] = list(self.harness._bots), []
        for bot in bots:
            Trade.session.rollback()
            engine = Trade.session.get_bind()
            Trade.session.remove()
            engine.dispose()
            bot.exchange.close()
        self.bot = None
        self.start()

    def restart(self) -> None:
        """Stop the bot in good order, and start it."""
        self.harness.restart(self.bot)
        self.start()

    def process(self) -> None:
        """One iteration, as the worker makes it: what the exchange does wrong does not stop it."""
        try:
            self.bot.process()
        except (TemporaryError, OperationalException):
            Trade.rollback()

    # -- what the user of the test wants -------------------------------------------------------

    def open_orders(self) -> list[dict[str, Any]]:
        """The bot's orders that rest, stops left out."""
        return [o for o in self.harness.truth(open=True, by_hand=False) if not o["stopPrice"]]

    def unlock(self) -> None:
        """Let every pair be entered."""
        for lock in PairLocks.get_pair_locks(None):
            lock.active = False
        Trade.commit()

    def fill_all(self) -> None:
        """Execute every order of the bot's that rests."""
        for order in self.open_orders():
            self.control.fill(order["id"])

    def quiet_minute(self) -> None:
        """Time in which nothing happens but the bot's iterations."""
        self.control.clear_faults()
        for _ in range(8):
            self.world.wait(10)
            self.process()

    def sell_all(self) -> None:
        """Leave every trade."""
        for _ in range(8):
            for trade in Trade.get_open_trades():
                self.bot.strategy.leave[trade.pair] = "told_to"
            self.process()
            self.fill_all()
            self.process()
            if not Trade.get_open_trades():
                break
            self.world.wait(20)
        self.bot.strategy.leave.clear()
        assert Trade.get_open_trades() == []

    # -- what must be true ---------------------------------------------------------------------

    def check_debts(self) -> None:
        """Nothing is unknown; the ledger says what the exchange says, and no more than needed."""
        loans, ledger = self.bot.exchange.loans, self.bot.exchange.loans.ledger
        loans.read()
        assert ledger.commands("intent") == []
        assert len(self.bot.exchange.unconfirmed.journal) == 0
        assert ledger.bookings("repaying", "repaid") == []
        Trade.session.expire_all()
        trades = {trade.pair: trade for trade in Trade.get_open_trades()}
        for currency in CURRENCIES:
            lines = ledger.lines(currency)
            difference = self.harness.debt(currency) - total(lines)
            assert abs(difference) <= UNIT * 2, (currency, difference, lines)
            for line in lines:
                if not line.is_bots:
                    assert line.holder == USER, lines
                    continue
                trade = trades.get(line.holder)
                if trade is None and not line.owed:
                    # Its trade has just gone; the next iteration forgets it.
                    continue
                assert trade is not None, lines
                need = need_of(trade, ledger.entry_fees(trade.pair))
                allowed = need / 1000
                if currency == self.stake:
                    # What a fill leaves beyond whole steps was borrowed for, and is kept.
                    step = self.bot.exchange.step_of(trade.pair)
                    allowed = max(allowed, step * Decimal(str(trade.open_rate)))
                assert abs(line.outstanding - need) <= allowed, (line, need)

    def difference(self) -> Decimal:
        """What the database says has been earned, less what the account has earned, in USDT.

        Leftovers count at cost, and the interest of loans that no trade has used for itself.
        """
        ledger = self.bot.exchange.loans.ledger
        change = self.harness.wallet(self.stake) - CAPITAL * self.unit - self.users[self.stake]
        earned = self.harness.profit() - self.harness.dust_cost(self.bot)
        return (earned - Decimal(ledger.meta("unbooked") or 0) - change) / self.unit


@contextmanager
def _commits_are(steps: Steps) -> Iterator[None]:
    """Make a step of each transaction that has written something."""
    own = Connection._commit_impl
    written: dict[int, int] = {}

    def commit(connection: Connection) -> None:
        driver = connection.connection.dbapi_connection
        changes = driver.total_changes
        if written.get(id(driver)) != changes:
            steps.take(f"commit {str(connection.engine.url.database).rsplit('/', 1)[-1]}")
            written[id(driver)] = changes
        own(connection)

    Connection._commit_impl = commit  # type: ignore[method-assign]
    try:
        yield
    finally:
        Connection._commit_impl = own  # type: ignore[method-assign]
