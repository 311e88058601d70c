"""The drill with borrowed money: a long and a short, interest, an emergency, and repayment."""

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from ..sandbox import API_KEY, API_SECRET
from ..sandbox.server import SandboxServer
from .bot_process import BotProcess, build_config

STRATEGY: Final = "LeverageDrillStrategy"
CAPITAL: Final = Decimal(10_000)
HOURS: Final = 24
_CLOSE: Final = Decimal("0.001")
"""In USDT: how far the database's profits may be from the account's change."""


@dataclass
class LoanRow:
    """One trade at the end: what it borrowed, what it owes, and what its database row says."""

    pair: str
    side: str
    leverage: float
    exit_reason: str
    interest: float
    profit: float
    currency: str
    owed: str
    """What the exchange says is still owed of the currency."""


@dataclass
class LeverageVerdict:
    """Both sides at the end of the drill."""

    rows: list[LoanRow] = field(default_factory=list)
    earned: float = 0.0
    """By the bot's database, the leftovers of buy-backs at cost."""
    changed: float = 0.0
    """By the account, in USDT."""
    complaints: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether nothing is owed and both sides say the same."""
        return not self.complaints

    def to_json(self) -> dict[str, Any]:
        """The verdict as a document."""
        return {"scenario": "leverage", "agrees": self.agrees, **asdict(self)}


class LeverageDrill:
    """Plays entry, interest, emergency and repayment with a real ``freqtrade trade``."""

    def __init__(
        self,
        server: SandboxServer,
        folder: Path,
        *,
        story: Callable[[str], Any] = lambda line: None,
        patience: float = 60.0,
    ) -> None:
        self._server, self._control, self._folder = server, server.control, folder
        self._story = story
        self._started = time.monotonic()
        strategies = folder / "strategies"
        strategies.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(__file__).with_name("leverage_strategy.py"), strategies)
        config = folder / "config.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps(self._config(), indent=2))
        self.bot = BotProcess(folder, config, strategy=STRATEGY, patience=patience)

    def _config(self) -> dict[str, Any]:
        config = build_config(
            self._folder,
            rest_url=self._server.rest_url,
            scope="all",
            deadline=10.0,
            key=API_KEY,
            secret=API_SECRET,
        )
        pricing = {"price_side": "other", "use_order_book": True, "order_book_top": 1}
        types = {**config["order_types"], "stoploss_on_exchange": True, "stoploss": "limit"}
        return config | {
            "trading_mode": "futures",
            "order_types": types,
            "entry_pricing": pricing,
            "exit_pricing": pricing,
        }

    def play(self) -> LeverageVerdict:
        """Play it, and compare both sides.

        :raises DrillError: when the bot does not do what the drill waits for.
        """
        control = self._control
        control.switches(liquidation=False)
        control.set_prices({"btc_usdt": "60000", "eth_usdt": "3000"})
        control.set_balances({"USDT": str(CAPITAL), "BTC": "0", "ETH": "0"})
        for currency in ("USDT", "BTC", "ETH"):
            control.set_loan_terms(currency, annual_percent="100")
        with self.bot:
            self._log("freqtrade trade is starting with leverage on the sandbox")
            self.bot.wait_for("a long and a short with their stops", lambda: self._stops() == 2)
            debts = ", ".join(f"{owed:f} {code}" for code, owed in self._debts().items() if owed)
            self._log(f"borrowed: {debts}; interest of {HOURS} hours passes")
            control.advance(HOURS * 3600)
            control.reject_stops(2)
            for order in control.orders(kind="margin", only_open=True):
                if order["stopPrice"]:
                    # Freqtrade sets it anew, which is refused: both trades are in emergency.
                    control.cancel(order["id"])
            self._log("the stops are gone and cannot be set again: an emergency of both trades")
            self.bot.wait_for("both exits", lambda: self._open_trades() == 0)
            self.bot.wait_for("the repayments", lambda: not any(self._debts().values()))
            # One more iteration, in which the database gets what the loans have cost.
            time.sleep(3)
        self._log("freqtrade was stopped")
        return self._judge()

    def _judge(self) -> LeverageVerdict:
        verdict = LeverageVerdict()
        debts = self._debts()
        for row in self._trades():
            currency = row["pair"].split("/")[0] if row["is_short"] else "USDT"
            verdict.rows.append(
                LoanRow(
                    row["pair"],
                    "short" if row["is_short"] else "long",
                    row["leverage"],
                    row["exit_reason"] or "",
                    row["funding_fees"] or 0.0,
                    row["close_profit_abs"] or 0.0,
                    currency,
                    f"{debts.get(currency, Decimal(0)):f}",
                )
            )
        for currency, owed in debts.items():
            if owed:
                verdict.complaints.append(f"{owed:f} {currency} are still owed")
        for one in verdict.rows:
            if one.interest >= 0:
                verdict.complaints.append(f"{one.pair}: no interest in the database")
            if one.exit_reason != "emergency_exit":
                verdict.complaints.append(f"{one.pair}: left by {one.exit_reason}")
        verdict.earned = float(sum(Decimal(str(one.profit)) for one in verdict.rows) - self._dust())
        verdict.changed = float(self._wallet("USDT") - CAPITAL)
        if abs(verdict.earned - verdict.changed) > _CLOSE:
            verdict.complaints.append(
                f"the database earned {verdict.earned:.8f} USDT, the account {verdict.changed:.8f}"
            )
        return verdict

    # -- both sides ----------------------------------------------------------------------------

    def _account(self) -> dict[str, Any]:
        account: dict[str, Any] = self._control.state()["accounts"][0]
        return account

    def _debts(self) -> dict[str, Decimal]:
        return {code: Decimal(owed) for code, owed in self._account()["debts"].items()}

    def _wallet(self, currency: str) -> Decimal:
        row = self._account()["margin"][currency]
        return Decimal(row["available"]) + Decimal(row["locked"])

    def _stops(self) -> int:
        found = self._control.orders(kind="margin", only_open=True)
        return sum(bool(order["stopPrice"]) for order in found)

    def _query(self, database: str, query: str) -> list[dict[str, Any]]:
        file = self._folder / database
        if not file.exists():
            return []
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(query)]
        except sqlite3.OperationalError:
            # The bot has not made its tables yet, or is writing.
            return []
        finally:
            connection.close()

    def _trades(self) -> list[dict[str, Any]]:
        return self._query("trades.sqlite", "SELECT * FROM trades ORDER BY id")

    def _open_trades(self) -> int:
        trades = self._trades()
        return sum(bool(row["is_open"]) for row in trades) if trades else -1

    def _dust(self) -> Decimal:
        rows = self._query("trades.loans.sqlite", "SELECT cost FROM bitopro_margin_dust")
        return sum((Decimal(row["cost"]) for row in rows), Decimal(0))

    def _log(self, line: str) -> None:
        self._story(f"{time.monotonic() - self._started:5.1f} s  {line}")
