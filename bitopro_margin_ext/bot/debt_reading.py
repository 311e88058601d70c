"""The margin account as it is read, and the shares of the debt brought up to it.

A command to borrow or repay is open until the exchange has said what became of it: by its answer,
by its lists, or by the balances. The readings here decide what became of open ones.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import ccxt

from ..core import assumptions
from .debt_lines import (
    UNCLEAR,
    UNIT,
    USER,
    ZERO,
    Flows,
    Line,
    Owed,
    add_to,
    after_command,
    bearers,
    follow,
    is_interest,
    settle_unclear,
    total,
    units,
    without_unclear,
)
from .leverage_amounts import dec
from .liquidations import is_repayment_of_liquidation, liquidation_rows
from .loans_ledger import LoansLedger

logger = logging.getLogger(__name__)

RATES_SECONDS: Final = 600.0
_YEAR: Final = Decimal(365 * 86400)


@dataclass(frozen=True, slots=True)
class Balance:
    """One currency of the margin account."""

    free: Decimal = ZERO
    total: Decimal = ZERO
    owed: Owed = field(default_factory=Owed)


@dataclass(frozen=True, slots=True)
class Account:
    """The margin account at one moment (of the monotonic clock)."""

    moment: float
    balances: Mapping[str, Balance]
    ad_ratio: Decimal | None
    assets: Decimal
    """In USDT."""
    debt: Decimal
    """In USDT."""

    def __getitem__(self, currency: str) -> Balance:
        return self.balances.get(currency, Balance())


def account_of(answer: Mapping[str, Any], moment: float) -> Account:
    """Read a ``fetch_margin_account`` structure."""
    rows = answer["info"]["balances"]
    balances = {
        str(code).upper(): Balance(
            dec(row.get("availableAmount")),
            dec(row.get("totalAmount")),
            Owed(dec(row.get("borrowAmount")), dec(row.get("borrowInterestAmount"))),
        )
        for code, row in rows.items()
    }
    ratio = answer.get("adRatio")
    return Account(
        moment,
        balances,
        None if ratio is None else dec(ratio),
        dec(answer.get("totalAsset")),
        dec(answer.get("totalDebt")),
    )


class DebtReading:
    """What one bot's margin account owes, and to whose account each part of it goes."""

    def __init__(
        self,
        ledger: LoansLedger,
        api: Callable[[], Any],
        notify: Callable[[str], None],
        steps: Mapping[str, float] | None = None,
    ) -> None:
        self.ledger = ledger
        self.lock = threading.RLock()
        self._steps = steps or {}
        self._waits: dict[str, tuple[float, float]] = {}
        """Holders whose repayment was refused: until when (monotonic), and for how long."""
        self.account: Account | None = None
        """The account as it was read last."""
        self.is_current = False
        """Whether it has been read since the last command: interest goes on while one is sent."""
        self._api = api
        self.notify = notify
        self._before: dict[str, tuple[float, Owed]] = {}
        self._lent: dict[str, Decimal] = {}
        """What was borrowed since the last reading, by currency."""
        self._unclear_since: dict[str, float] = {}
        self._rates: dict[str, Decimal] = {}
        self._rates_until = 0.0

    def step(self, currency: str) -> Decimal:
        """The smallest step of a loan and of a repayment."""
        return dec(self._steps.get(currency)) or UNIT

    def now(self) -> float:
        """Seconds since the epoch, on the exchange's clock as far as it is known."""
        return float(self._api().exchange_time()) / 1000

    # -- reading -------------------------------------------------------------------------------

    def read(self) -> Account:
        """Read the account and bring the shares up to it.

        :raises ccxt.BaseError: when the exchange cannot be asked; nothing has changed then.
        """
        with self.lock:
            account = account_of(self._api().fetch_margin_account(), time.monotonic())
            changed = {}
            for currency in self._currencies(account):
                if not self._follows_from_interest(currency, account):
                    changed[currency] = account[currency].owed
            if changed:
                self._follow_lists(changed, account)
            for currency in self._currencies(account):
                self._remember(currency, account)
            self._lent.clear()
            self.account, self.is_current = account, True
            self.settle_old_doubts()
            return account

    def _remember(self, currency: str, account: Account) -> None:
        owed = account[currency].owed
        self._before[currency] = (self.now(), owed)
        if any(line.owed for line in self.ledger.lines(currency)):
            # So that a bot that was down knows for how long interest may have grown.
            values = (f"{self.now():.3f}", f"{owed.principal:f}", f"{owed.interest:f}")
            self.ledger.write_meta(f"owed:{currency}", " ".join(values))

    def _last(self, currency: str) -> tuple[float, Owed] | None:
        """When a currency was read last, by this process or the one before, and what was owed."""
        if currency not in self._before:
            kept = self.ledger.meta(f"owed:{currency}")
            if kept is not None:
                moment, principal, interest = kept.split()
                return float(moment), Owed(Decimal(principal), Decimal(interest))
        return self._before.get(currency)

    def _currencies(self, account: Account) -> set[str]:
        owing = {code for code, row in account.balances.items() if row.owed.sum}
        return owing | {line.currency for line in self.ledger.lines()}

    def _most_interest(self, currency: str, lines: list[Line], account: Account) -> Decimal:
        """Three times the interest that the rate allows since the last reading."""
        last = self._last(currency)
        if last is None:
            return account[currency].owed.interest
        seconds = Decimal(str(max(1.0, self.now() - last[0])))
        owed = max(total(lines), last[1].sum)
        return owed * self.rate(currency) / 100 * seconds / _YEAR * 3 + UNIT * 5

    def _follows_from_interest(self, currency: str, account: Account) -> bool:
        """Take a change in that interest explains; False when the lists must be read."""
        lines = self.ledger.lines(currency)
        now = account[currency].owed
        last = self._last(currency)
        before = None if last is None else last[1]
        if any(line.holder == UNCLEAR for line in lines) or self.open_command(currency):
            return False
        growth = now.sum - total(lines)
        if not growth:
            return True
        most = self._most_interest(currency, lines, account)
        lent = self._lent.get(currency, ZERO)
        if not bearers(lines) or not is_interest(growth, before, now, most, len(lines), lent):
            return False
        after = follow(lines, currency, now, Flows(), before=before, most_interest=most, lent=lent)
        self.ledger.write_lines(currency, after)
        return True

    def _follow_lists(self, changed: Mapping[str, Owed], account: Account) -> None:
        flows, serials = self._listed_flows()
        # A rate that has jumped explains a growth, too; interest may be booked as principal.
        self._rates_until = 0.0
        written = {}
        for currency, now in changed.items():
            lines = self.ledger.lines(currency)
            flow = flows.get(currency, Flows())
            if flow.borrowed or flow.repaid or flow.liquidated:
                self._notify_flow(currency, flow, lines)
            last = self._last(currency)
            written[currency] = follow(
                lines,
                currency,
                now,
                flow,
                before=None if last is None else last[1],
                most_interest=self._most_interest(currency, lines, account),
                lent=self._lent.get(currency, ZERO),
            )
            unclear = any(line.holder == UNCLEAR for line in written[currency])
            if not unclear:
                self._unclear_since.pop(currency, None)
            else:
                self._unclear_since.setdefault(currency, time.monotonic())
        self.ledger.read_lists(written, serials)

    def _notify_flow(self, currency: str, flow: Flows, lines: list[Line]) -> None:
        if flow.liquidated:
            self.notify(
                f"BitoPro has liquidated: {units(flow.liquidated)} {currency} of debt were repaid"
                " by force. The trades follow; look at the account."
            )
        users = sum((line.owed for line in lines if line.holder == USER), ZERO)
        ours = any(line.is_bots and line.owed > 0 for line in lines)
        if flow.repaid > users + flow.borrowed and ours:
            self.notify(
                f"{units(flow.repaid)} {currency} were repaid by hand: the bot's loans are smaller"
                " by what the user did not owe."
            )

    def _listed_flows(self) -> tuple[dict[str, Flows], dict[str, set[str]]]:
        """What the lists show that is not the bot's and has not been read before."""
        api = self._api()
        borrows, repays = api.fetch_borrows(), api.fetch_repays()
        forced = liquidation_rows(api)
        serials: dict[str, set[str]] = {"borrow": set(), "repay": set(), "liquidation": set()}
        sums: dict[str, dict[str, Decimal]] = {}

        def add(currency: str, name: str, amount: Decimal) -> None:
            of = sums.setdefault(currency, {})
            of[name] = of.get(name, ZERO) + amount

        known = self.ledger.seen("liquidation")
        for row in forced:
            if row["serial"] not in known:
                serials["liquidation"].add(row["serial"])
                add(row["debtCurrency"], "liquidated", dec(row["debtAmount"]))
        for kind, rows in (("borrow", borrows), ("repay", repays)):
            for row in self._not_ours(kind, rows):
                serials[kind].add(str(row["id"]))
                if kind == "repay" and is_repayment_of_liquidation(row, forced):
                    continue
                name = "borrowed" if kind == "borrow" else "repaid"
                add(row["currency"], name, dec(row["amount"]))
        return {code: Flows(**of) for code, of in sums.items()}, serials

    def _not_ours(self, kind: str, rows: list[Any]) -> list[Any]:
        """Listed rows that no command of ours has made and nobody has read yet.

        A row that is an open command's closes it. Serials on the pages are in no order, so a row is
        recognised by its invoice, or by currency, amount and time.
        """
        seen = self.ledger.seen(kind)
        commands = [
            command
            for command in self.ledger.commands("intent", "done")
            if command["kind"] == kind and command["serial"] is None
        ]
        left = [row for row in rows if str(row["id"]) not in seen]
        # By invoice first: a loan by hand may have the same amount at the same time.
        for is_same in (_has_invoice_of, _looks_like):
            for row in list(left):
                ours = next((command for command in commands if is_same(row, command)), None)
                if ours is None:
                    continue
                left.remove(row)
                commands.remove(ours)
                if ours["state"] == "intent":
                    self._carried_out(ours, dec(row["amount"]), str(row["id"]))
                else:
                    self.ledger.claim(ours["id"], str(row["id"]))
        return left

    def baseline(self) -> None:
        """Take everything that is owed now for the user's: it was there before the ledger."""
        with self.lock:
            account = account_of(self._api().fetch_margin_account(), time.monotonic())
            _flows, serials = self._listed_flows()
            lines = {
                currency: add_to([], USER, currency, row.owed.sum) if row.owed.sum else []
                for currency, row in account.balances.items()
            }
            self.ledger.read_lists(lines, serials)
            for currency, row in account.balances.items():
                self._before[currency] = (self.now(), row.owed)
            self.account = account

    def rate(self, currency: str) -> Decimal:
        """The yearly interest of a currency, in percent, not older than ten minutes."""
        if time.monotonic() > self._rates_until:
            try:
                rates = self._api().fetch_cross_borrow_rates()
            except ccxt.BaseError as error:
                logger.debug(f"The interest rates cannot be read: {type(error).__name__}")
            else:
                self._rates = {code: dec(row["rate"]) * 100 for code, row in rates.items()}
            self._rates_until = time.monotonic() + RATES_SECONDS
        return self._rates.get(currency, Decimal(assumptions.DEFAULT_INTEREST_PERCENT))

    # -- what is open --------------------------------------------------------------------------

    def open_command(self, currency: str) -> Mapping[str, Any] | None:
        """A command of a currency whose outcome is not known, or None."""
        for command in self.ledger.commands("intent"):
            if command["currency"] == currency:
                return command
        return None

    def settle_old_doubts(self) -> None:
        """Decide, by lists and balances together, what became of open commands."""
        for command in self.ledger.commands("intent"):
            age = self.now() - command["sent"]
            lines = self.ledger.lines(command["currency"])
            unclear = sum((line.owed for line in lines if line.holder == UNCLEAR), ZERO)
            moved = unclear if command["kind"] == "borrow" else -unclear
            if age < assumptions.LOAN_LIST_LAG_SECONDS:
                continue
            if abs(moved - command["amount"]) <= command["amount"] * Decimal("0.001"):
                logger.warning(f"The {named(command)} is not listed, but the balances show it.")
                self._carried_out(command, command["amount"], None)
            elif moved < command["amount"] / 2:
                logger.warning(f"The {named(command)} never arrived.")
                self.ledger.finish(command["id"], "absent")
        for currency, since in list(self._unclear_since.items()):
            if self.open_command(currency):
                continue
            if time.monotonic() - since >= assumptions.LOAN_LIST_LAG_SECONDS:
                self._give_away(currency)

    def _give_away(self, currency: str) -> None:
        lines = self.ledger.lines(currency)
        unclear = sum((line.owed for line in lines if line.holder == UNCLEAR), ZERO)
        self._unclear_since.pop(currency, None)
        if not unclear:
            return
        self.notify(
            f"{units(abs(unclear))} {currency} of {'debt' if unclear > 0 else 'repayment'} that no"
            " list explains count as the user's."
        )
        self.ledger.write_lines(currency, settle_unclear(lines))

    def _carried_out(self, command: Mapping[str, Any], amount: Decimal, serial: str | None) -> None:
        """A command whose answer was lost has been carried out."""
        logger.warning(f"The {named(command)} had no answer, and was carried out: found.")
        currency = command["currency"]
        self._note_lent(command["kind"], currency, amount)
        lines = without_unclear(self.ledger.lines(currency))
        self.ledger.finish(
            command["id"],
            "done",
            lines=after_command(lines, command, amount),
            currency=currency,
            amount=amount,
            serial=serial,
        )

    def _note_lent(self, kind: str, currency: str, amount: Decimal) -> None:
        if kind == "borrow":
            self._lent[currency] = self._lent.get(currency, ZERO) + amount

    def line(self, currency: str, holder: str) -> Line:
        """A holder's share; an empty one if there is none."""
        for line in self.ledger.lines(currency):
            if line.holder == holder:
                return line
        return Line(holder, currency)


def _has_invoice_of(row: Any, command: Mapping[str, Any]) -> bool:
    return command["invoice"] is not None and command["invoice"] == str(row["id"])


def _looks_like(row: Any, command: Mapping[str, Any]) -> bool:
    """Whether currency, amount and time are those of a command."""
    moment = None if row["timestamp"] is None else row["timestamp"] / 1000
    window = assumptions.LOAN_LIST_WINDOW_SECONDS
    return (
        command["currency"] == row["currency"]
        and abs(dec(row["amount"]) - command["amount"]) <= UNIT
        and (moment is None or abs(moment - command["sent"]) <= window)
    )


def named(command: Mapping[str, Any]) -> str:
    """What a command is called in messages."""
    what = "loan" if command["kind"] == "borrow" else "repayment"
    return f"{what} of {command['amount']:f} {command['currency']} for {command['holder']}"
