"""The two ways into an emergency exit, played with a real bot on the sandbox."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any, Final

from ..sandbox import API_KEY, API_SECRET
from ..sandbox.control_client import ControlError
from ..sandbox.server import SandboxServer
from .bot_process import PAIRS, BotProcess, DrillError, write_userfolder
from .own_bot import BotControl, OwnBot
from .verdict import BotDatabase, Row, Verdict, compare_orders, empty_trades

SCENARIOS: Final = {
    "stop-rejected": "the stoploss is refused by the exchange, so the bot exits at once",
    "exit-timeout": "an exit order does not fill in time, so the bot exits at market",
}
STAKE_USDT: Final = 1000
"""What an entry is worth; the account has a hundred times as much."""
SETTLING_SECONDS: Final = 2.5
NOT_CONFIRMED: Final = "What is not confirmed stays open in the database"
"""What the bot says when a sweep could not confirm everything."""

Story = Callable[[str], object]


class Drill:
    """One scenario on one sandbox with one bot; ``arguments`` go to ``freqtrade trade`` as well.

    ``own`` is the user's bot, which is made to enter and exit by hand: what its strategy would do,
    and when, is its own affair.
    """

    def __init__(
        self,
        scenario: str,
        server: SandboxServer,
        folder: Path,
        *,
        scope: str = "pair",
        deadline: float = 10.0,
        faults: Sequence[Mapping[str, Any]] = (),
        may_remain: bool = False,
        story: Story = lambda line: None,
        patience: float = 45.0,
        arguments: Sequence[str] = (),
        own: OwnBot | None = None,
    ) -> None:
        self.scenario = scenario
        self.server = server
        self.control = server.control
        self.folder = folder
        self.scope = scope
        self.faults = faults
        self.may_remain = may_remain
        self._story = story
        self._started = time.monotonic()
        self._person: BotControl | None = None
        self._own = own
        self._leveraged = own is not None and own.config.get("trading_mode") == "futures"
        self.pairs = PAIRS if own is None else own.pairs
        self.exiting, self.other = self.pairs[:2]
        self.stake_currency = "USDT" if own is None else own.stake_currency
        for pair in self.pairs:
            self.control.list_pair(_wire(pair))
        if own is None:
            config = write_userfolder(
                folder,
                rest_url=server.rest_url,
                scope=scope,
                deadline=deadline,
                key=API_KEY,
                secret=API_SECRET,
            )
            self.bot = BotProcess(folder, config, *arguments, patience=patience)
        else:
            config = own.write(
                folder,
                rest_url=server.rest_url,
                key=API_KEY,
                secret=API_SECRET,
                stake=float(self._worth(self.stake_currency, STAKE_USDT)),
            )
            self._person = BotControl(config)
            self.bot = BotProcess(
                folder, config, *arguments, strategy=own.strategy, patience=patience
            )
        self.database = BotDatabase(folder / "trades.sqlite")

    def play(self) -> Verdict:
        """Play the scenario and compare both sides at its end.

        :raises DrillError: when the bot does not do what the scenario waits for.
        """
        self._prepare()
        with self.bot:
            self.log("freqtrade trade is starting on it")
            if self._own is not None and self._person is not None:
                self.log(self._own.changes)
                self._enter_by_hand(self._person)
            entries = self._await_entries()
            if self.scenario == "stop-rejected":
                self._play_stop_rejected(entries)
            else:
                self._play_exit_timeout(entries)
            verdict = self._await_end()
        self.log("freqtrade was stopped")
        verdict.seconds = round(time.monotonic() - self._started, 1)
        return verdict

    def log(self, line: str) -> None:
        """One line of the story, with the seconds since the start."""
        self._story(f"{time.monotonic() - self._started:5.1f} s  {line}")

    # -- scenes --------------------------------------------------------------------------------

    def _prepare(self) -> None:
        stake = self._worth(self.stake_currency, 100 * STAKE_USDT)
        bases = {pair.partition("/")[0]: Decimal(0) for pair in self.pairs}
        self.control.set_balances({**bases, self.stake_currency: stake})
        wishes = [
            (self.exiting, "sell", 600, "1.5"),
            (self.exiting, "buy", 600, "0.5"),
            (self.other, "buy", 1500, "0.5"),
        ]
        self.by_hand = [
            order["id"]
            for order in self.control.seed_orders(
                {
                    "pair": _wire(pair),
                    "action": action,
                    "amount": self._worth(pair.partition("/")[0], usdt),
                    "price": self._near(pair, factor),
                }
                for pair, action, usdt, factor in wishes
            )
        ]
        ids = ", ".join(self.by_hand)
        self.log(f"sandbox is up; three orders placed by hand on the account: {ids}")

    def _enter_by_hand(self, person: BotControl) -> None:
        self.bot.wait_for("the bot's REST server", person.is_up)
        for pair in (self.exiting, self.other):
            if not any(_symbol(order) == pair for order in self._bot_orders()):
                refused = person.enter(pair, self._price(pair, "bid"))
                # Its own signal may have come first.
                if refused and not any(_symbol(order) == pair for order in self._bot_orders()):
                    raise DrillError(f"the bot refuses to enter {pair}: {refused}")

    def _exit(self) -> None:
        if self._person is None:
            (self.folder / f"exit-{self.exiting.replace('/', '-')}").touch()
            return
        if self._sells(stop=False):
            return  # its strategy was first
        trades = [trade for trade in self.database.trades() if trade.pair == self.exiting]
        if refused := self._person.exit(trades[0].trade_id, self._price(self.exiting, "ask")):
            raise DrillError(f"the bot refuses to exit {self.exiting}: {refused}")

    def _fill_exit(self, fraction: str) -> str:
        """Wait for the exit and fill a part of it; the bot may replace it in the meantime."""
        filled: list[str] = []

        def fill() -> bool:
            for order in self._sells(stop=False)[-1:]:
                with contextlib.suppress(ControlError):
                    self.control.fill(order["id"], fraction=fraction)
                    filled.append(order["id"])
            return bool(filled)

        self.bot.wait_for("the exit order", fill)
        self.log(f"{self.exiting}: the bot placed its exit {filled[0]}, which will time out")
        return filled[0]

    def _price(self, pair: str, side: str) -> str:
        return str(self.control.state()["prices"][_wire(pair)][side])

    def _near(self, pair: str, factor: str) -> Decimal:
        """That part of a pair's price, to five digits."""
        return _digits(Decimal(self._price(pair, "price")) * Decimal(factor), 5)

    def _worth(self, currency: str, usdt: int) -> Decimal:
        """How much of a currency is worth so many USDT, to four digits."""
        return _digits(usdt / Decimal(self.control.state()["mark_prices"][currency]), 4)

    def _await_entries(self) -> dict[str, str]:
        """Wait for the bot's two entries and return their ids by pair."""

        def entries() -> dict[str, str]:
            return {
                _symbol(order): order["id"]
                for order in self._bot_orders()
                if order["action"] == "BUY"
            }

        self.bot.wait_for("both entry orders", lambda: {self.exiting, self.other} <= set(entries()))
        found = entries()
        ids = ", ".join(f"{pair} {order_id}" for pair, order_id in found.items())
        self.log(f"the bot placed its entries: {ids}")
        self.control.fill(found[self.other], fraction="0.4")
        self.log(f"{self.other}: entry {found[self.other]} fills to 40 % and stays open")
        return found

    def _play_stop_rejected(self, entries: dict[str, str]) -> None:
        self.control.reject_stops(1)
        wrong_moment = entries[self.other] if self.scope == "all" else self.by_hand[0]
        self._arm(wrong_moment)
        self.control.fill(entries[self.exiting])
        self.log(
            f"{self.exiting}: entry {entries[self.exiting]} is filled; the stoploss will be refused"
        )

    def _play_exit_timeout(self, entries: dict[str, str]) -> None:
        self.control.fill(entries[self.exiting])
        self.log(f"{self.exiting}: entry {entries[self.exiting]} is filled")
        self.bot.wait_for("the stoploss on the exchange", lambda: bool(self._sells(stop=True)))
        self.log(
            f"{self.exiting}: the stoploss {self._sells(stop=True)[0]['id']} rests on the exchange"
        )
        self._exit()
        exit_order = self._fill_exit("0.3")
        self._arm(exit_order)
        self.log(f"{self.exiting}: exit {exit_order} fills to 30 %")

    def _arm(self, order_id: str) -> None:
        """Fill a part of one order in the instant before it is cancelled, and set the faults."""
        named = "all" if self.scope == "all" else _wire(self.exiting)
        path = f"*/margin/orders/{named}"
        self.control.add_fault(
            "fill_before", method="DELETE", path=path, times=1, ids=[order_id], fraction="0.2"
        )
        self.log(f"order {order_id} will fill by another 20 % just before it is cancelled")
        for fault in self.faults:
            self.control.add_fault(**fault)

    def _await_end(self) -> Verdict:
        """Wait for the exit, then until both sides agree and still do a moment later."""
        self.bot.wait_for("the emergency exit", self._has_exited)
        self._log_sweep()
        verdict = self.judge()
        try:
            self.bot.wait_for("agreement", lambda: self.judge().agrees)
            # The next iterations put back what the sweep took, a stoploss for one.
            time.sleep(SETTLING_SECONDS)
            self.bot.wait_for("agreement", lambda: self._agreed(verdict))
        except DrillError:
            self.log("the two sides do not agree")
            return self.judge()
        self.log("both sides agree")
        return verdict

    def _agreed(self, verdict: Verdict) -> bool:
        now = self.judge()
        verdict.__dict__.update(now.__dict__)
        return now.agrees

    # -- what is true --------------------------------------------------------------------------

    def judge(self) -> Verdict:
        """Compare both sides as they are now."""
        recorded = self.database.orders()
        trades = self.database.trades()
        exiting = [trade for trade in trades if trade.pair == self.exiting]
        verdict = Verdict(self.scenario, self.scope, log=str(self.bot.logfile))
        verdict.rows = compare_orders(
            self.control.orders(kind="margin"), recorded, leveraged=self._leveraged
        )
        verdict.position_closed = bool(exiting) and not any(trade.is_open for trade in exiting)
        if extra := set(recorded) - {row.order for row in verdict.rows}:
            verdict.complaints.append(f"orders that the exchange never had: {sorted(extra)}")
        for trade in empty_trades(trades, recorded):
            verdict.complaints.append(f"an empty trade holds a slot: {trade.pair}")
        verdict.remaining = self._rests_in_scope(verdict.rows)
        verdict.complaints += self._complaints(verdict)
        return verdict

    def _rests_in_scope(self, rows: list[Row]) -> bool:
        return any(
            row.owner == "by hand" and row.exchange.startswith("open")
            for row in rows
            if self.scope == "all" or row.pair == self.exiting
        )

    def _complaints(self, verdict: Verdict) -> list[str]:
        complaints = []
        orders = self._bot_orders(self.exiting)
        sold = sum(float(order["executedAmount"]) for order in orders if _sells(order))
        bought = sum(float(order["executedAmount"]) for order in orders if not _sells(order))
        if sold > bought:
            complaints.append(
                f"the exit of {sold} {self.exiting} exceeds the {bought} that were bought"
            )
        if verdict.remaining and not (self.may_remain and self._has_warned()):
            complaints.append("an order placed by hand still rests in the scope of the sweep")
        return complaints

    def _has_warned(self) -> bool:
        """Whether the bot has said that not everything is confirmed."""
        log = self.bot.logfile
        return log.exists() and NOT_CONFIRMED in log.read_text(errors="replace")

    def _bot_orders(self, symbol: str | None = None) -> list[dict[str, Any]]:
        return [
            order
            for order in self.control.orders(kind="margin")
            if not order["by_hand"] and symbol in (None, _symbol(order))
        ]

    def _sells(self, *, stop: bool) -> list[dict[str, Any]]:
        return [
            order
            for order in self._bot_orders(self.exiting)
            if _sells(order) and bool(order["stopPrice"]) == stop
        ]

    def _has_exited(self) -> bool:
        """Look for the emergency exit; where it takes several time-outs, exit again by hand."""
        if self._exit_sent_or_needless():
            return True
        waiting = any(order["open"] for order in self._sells(stop=False))
        if self._person is not None and self.scenario == "exit-timeout" and not waiting:
            for trade in self.database.trades():
                if trade.pair == self.exiting and trade.is_open:
                    # A refusal means that the bot was faster.
                    self._person.exit(trade.trade_id, self._price(self.exiting, "ask"))
        return False

    def _exit_sent_or_needless(self) -> bool:
        """Whether the exit is there; fills in the last instant can have made it needless."""
        if any(order["type"] == "MARKET" for order in self._sells(stop=False)):
            return True
        return any(
            not trade.is_open for trade in self.database.trades() if trade.pair == self.exiting
        )

    def _log_sweep(self) -> None:
        for line in self.control.requests():
            if line["method"] in ("DELETE", "POST") and "/margin/orders" in line["path"]:
                self._story(f"         {line['method']} {line['path']} -> {line['status']}")
        self.log("the position has been exited")


def _wire(pair: str) -> str:
    return pair.lower().replace("/", "_")


def _digits(amount: Decimal, count: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(amount.adjusted() - count + 1), ROUND_DOWN)


def _symbol(order: Mapping[str, Any]) -> str:
    return str(order["pair"]).upper().replace("_", "/")


def _sells(order: Mapping[str, Any]) -> bool:
    return str(order["action"]).upper() == "SELL"
