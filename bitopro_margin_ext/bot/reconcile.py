"""Once an iteration: what is owed beyond what the trades need is repaid, and every doubt is asked.

Level-triggered: it looks at what is, not at what happened, so it does not matter what was missed.
The user's debt and coins are left alone. A ledger begins here, too: without open leveraged trades
all debts are the user's. With some, the ledger was lost: each trade is given what it needs of them,
and nothing new is borrowed until the user has looked.
"""

import logging
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import ccxt
from freqtrade.persistence import Trade

from .debt_lines import CRUMBS, UNIT, USER, ZERO, Line, add_to, down, total, units, up
from .debt_reading import Account
from .leverage_amounts import cut, dec, ended_exits, loan_currency, need_of
from .loan_commands import LoanRefusedError, Loans, LoanUnknownError
from .settlement import ROUNDS, Settlements, exit_holder

logger = logging.getLogger(__name__)

_ROUNDING: Final = Decimal("1e-7")
"""Relative: what floats and the exchange's steps make of a need."""
ENTRY_SECONDS: Final = 10.0
"""How long a loan may be without a trade in the database: its entry is just being made."""
UNBOOKED: Final = "unbooked"
"""The ledger's fact of what stands in no trade's profit, in stake currency."""
READING_SECONDS: Final = 60.0
"""How often the account's state is noted for the plot."""


class Reconciler:
    """Keeps debts and needs together for one exchange object."""

    def __init__(self, loans: Loans, settlements: Settlements, exchange: Any) -> None:
        self._loans = loans
        self._settlements = settlements
        self._exchange = exchange
        self.entering: dict[str, float] = {}
        """Pairs for which an entry is being made, and since when (monotonic)."""
        self._noted = 0.0
        self._told: set[str] = set()

    def run(self) -> None:
        """Look at everything once; what fails is looked at again in the next iteration."""
        try:
            account = self._loans.read()
            self._look_after_dust(account)
            self._settle_exits()
            self._exchange.collect_bought()
            self._repay_what_nobody_needs()
            self._note(self._loans.account or account)
        except ccxt.BaseError as error:
            logger.warning(
                f"The loans cannot be looked at now ({type(error).__name__}); the next iteration"
                " tries again."
            )

    def _look_after_dust(self, account: Account) -> None:
        """Leftovers that the account has no more were sold, by the user or by force."""
        for currency, (amount, _cost) in self._loans.ledger.dust().items():
            gone = amount - account[currency].total
            # (It is kept finer than the exchange's units.)
            if gone > UNIT * 10:
                cost = self._loans.ledger.use_dust(currency, gone)
                self._note_unbooked(f"{units(gone)} {currency} of leftovers are gone", cost)

    # -- exits ---------------------------------------------------------------------------------

    def _settle_exits(self) -> None:
        for trade in self._trades_with_exits():
            for row in ended_exits(trade):
                if self._loans.ledger.booking(trade.pair, row.order_id) is None:
                    raw = self._exchange.fetch_raw_exit(trade, row)
                    self._settlements.begin(trade, row, raw)
        for booking in self._loans.ledger.bookings("repaying"):
            if self._settlements.advance(booking) is not None:
                continue
            holder = exit_holder(booking["pair"], booking["order_id"])
            is_base = booking["currency"] != self._exchange.stake_currency
            if is_base and holder in self._settlements.short_of:
                # Interest went on while the exit rested: there is too little of the coin.
                self._exchange.buy_for_debt(self._loans.line(booking["currency"], holder))
        for booking in self._loans.ledger.bookings("repaid"):
            self._settlements.book(booking)

    def _trades_with_exits(self) -> list[Any]:
        """The trades that have a loan, or had one until an exit that is not settled yet."""
        pairs = {line.holder for line in self._loans.ledger.lines() if "/" in line.holder}
        found = list(Trade.get_open_trades())
        for pair in pairs - {trade.pair for trade in found}:
            closed = Trade.get_trades([Trade.pair == pair, Trade.is_open.is_(False)]).all()
            found += [trade for trade in closed[-1:] if not trade.has_no_leverage]
        return found

    # -- what nobody needs ---------------------------------------------------------------------

    def _repay_what_nobody_needs(self) -> None:
        trades = {
            (trade.pair, loan_currency(trade)): trade
            for trade in Trade.get_open_trades()
            if not trade.has_no_leverage
        }
        for (pair, _), _trade in trades.items():
            self.entering.pop(pair, None)
        for line in self._loans.ledger.lines():
            if not line.is_bots or line.holder.startswith("exit:"):
                continue
            trade = trades.get((line.holder, line.currency))
            if trade is None and self._is_entering(line.holder):
                continue
            if self._exchange.has_unconfirmed_order(line.holder):
                continue
            fees = self._loans.ledger.entry_fees(line.holder)
            need = ZERO if trade is None else need_of(trade, fees)
            self._repay_excess(line, need, trade)

    def _is_entering(self, pair: str) -> bool:
        since = self.entering.get(pair)
        return since is not None and time.monotonic() - since < ENTRY_SECONDS

    def repay_unused(self, pair: str, currency: str) -> None:
        """At once, for an entry that was refused: nothing of its loan is needed."""
        self.entering.pop(pair, None)
        trade = next(
            (t for t in Trade.get_trades_proxy(pair=pair, is_open=True) if not t.has_no_leverage),
            None,
        )
        fees = self._loans.ledger.entry_fees(pair)
        need = ZERO if trade is None else need_of(trade, fees)
        line = self._loans.line(currency, pair)
        if line.owed or line.borrowed:
            self._repay_excess(line, need, trade)

    def _repay_excess(self, line: Line, need: Decimal, trade: Any) -> None:
        whole = need <= UNIT
        excess = line.owed if whole else line.outstanding - need
        step = self._loans.step(line.currency)
        if whole and UNIT <= line.owed < step:
            if line.holder != CRUMBS and trade is None:
                self._keep_crumbs(line)
            return
        if excess <= (ZERO if whole else max(self._tolerance(line, need, trade), step)):
            if whole and line.owed <= 0 and trade is None:
                self._drop(line)
            return
        is_base = line.currency != self._exchange.stake_currency
        amount = ZERO
        for _ in range(ROUNDS if whole else 1):
            amount = self._repayable(line, need, excess, is_base=is_base)
            if amount <= 0:
                break
            try:
                self._loans.repay(line.currency, amount, line.holder, "not needed")
            except (LoanRefusedError, LoanUnknownError) as error:
                logger.warning(f"{line.holder}: {error}.")
                return
            if is_base:
                unsold = max(line.outstanding - need, ZERO)
                used = self._loans.ledger.use_dust(line.currency, amount - unsold)
                self._note_unbooked(_unused(line), used)
            self._loans.read()
            line = self._loans.line(line.currency, line.holder)
            excess = line.owed
        if whole and line.owed < UNIT:
            if trade is None:
                self._drop(line)
        elif whole and is_base:
            self._exchange.buy_for_debt(line)
        elif whole:
            self._tell(
                f"short:{line.holder}",
                f"{units(line.owed)} {line.currency} of {line.holder} are owed and not needed, and"
                " there is nothing free to repay them with.",
            )

    def _tolerance(self, line: Line, need: Decimal, trade: Any) -> Decimal:
        """How much more than needed may stay borrowed: less than a part of a step is worth."""
        least = max(UNIT * 100, need * _ROUNDING)
        if line.currency != self._exchange.stake_currency:
            return least
        # What is left of a bought coin beyond whole steps was borrowed for, too.
        step: Decimal = self._exchange.step_of(line.holder)
        return max(least, step * dec(trade.open_rate))

    def _repayable(self, line: Line, need: Decimal, excess: Decimal, *, is_base: bool) -> Decimal:
        """How much of an excess there is to repay, without the user's own coins."""
        account = self._loans.account or self._loans.read()
        budget = account[line.currency].free
        if is_base:
            # Borrowed and not sold: more of the coin is not the bot's to give back.
            dust = self._loans.ledger.dust().get(line.currency, (ZERO, ZERO))[0]
            unsold = max(line.outstanding - need, ZERO)
            budget = min(budget, unsold + (dust if need <= UNIT else ZERO))
        amount = min(up(excess), account[line.currency].owed.sum, down(max(budget, ZERO)))
        return cut(amount, self._loans.step(line.currency))

    def _drop(self, line: Line) -> None:
        """Forget a line that owes nothing and that no trade will book."""
        others = [
            one for one in self._loans.ledger.lines(line.currency) if one.holder != line.holder
        ]
        if line.currency == self._exchange.stake_currency:
            self._note_unbooked(_unused(line), line.interest)
        self._loans.ledger.write_lines(line.currency, others)

    def _note_unbooked(self, why: str, cost: Decimal) -> None:
        """Costs of no trade: the interest of a loan that none has used, leftovers that are gone."""
        if not cost:
            return
        ledger = self._loans.ledger
        ledger.write_meta(UNBOOKED, f"{dec(ledger.meta(UNBOOKED)) + cost:f}")
        stake = self._exchange.stake_currency
        logger.info(f"{why}: {units(cost)} {stake} of costs that no trade's profit counts.")

    def _keep_crumbs(self, line: Line) -> None:
        """What is smaller than a step of a repayment waits until there is more of it."""
        lines = [
            one for one in self._loans.ledger.lines(line.currency) if one.holder != line.holder
        ]
        self._loans.ledger.write_lines(
            line.currency, add_to(lines, CRUMBS, line.currency, line.owed)
        )

    def _tell(self, key: str, text: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._loans.notify(text)

    # -- for the plot --------------------------------------------------------------------------

    def _note(self, account: Account) -> None:
        if time.monotonic() - self._noted < READING_SECONDS and self._noted:
            return
        self._noted = time.monotonic()
        marks = self._exchange.marks()
        interest = sum(
            float(line.interest) * marks.get(line.currency, 0.0)
            for line in self._loans.ledger.lines()
            if line.is_bots
        )
        self._loans.ledger.write_reading(
            None if account.ad_ratio is None else float(account.ad_ratio),
            float(account.assets),
            float(account.debt),
            interest,
        )


def _unused(line: Line) -> str:
    return f"{line.holder}: interest of a loan that no trade has used"


class LedgerStart:
    """Begins one ledger, once."""

    def __init__(self, loans: Loans) -> None:
        self._loans = loans
        self._done = False

    def run(self) -> None:
        """Begin it, unless it has begun; what cannot be asked now is asked next time."""
        ledger = self._loans.ledger
        if self._done or ledger.meta("begun"):
            self._done = True
            return
        self._loans.baseline()
        trades = [
            trade
            for trade in Trade.get_open_trades()
            if not trade.has_no_leverage and need_of(trade)
        ]
        if trades:
            self._adopt_debts(trades)
            ledger.write_meta("adopted", datetime.now(UTC).isoformat())
            self._loans.notify(
                "The ledger of loans is lost, and there are leveraged trades: their debts are taken"
                " from the account. No entries until bitopro-margin loans --accept; exits go on."
            )
        ledger.write_meta("begun", datetime.now(UTC).isoformat())
        self._done = True

    def _adopt_debts(self, trades: list[Any]) -> None:
        """Give the trades of each currency what they need of its debt; the rest is the user's."""
        for currency in {loan_currency(trade) for trade in trades}:
            needs = {t.pair: need_of(t) for t in trades if loan_currency(t) == currency}
            owed = total(self._loans.ledger.lines(currency))
            needed = sum(needs.values(), ZERO)
            part = min(Decimal(1), owed / needed) if needed else ZERO
            # What is left over by less than a hundredth is the interest of these loans.
            rest = owed - needed * part
            interest = rest if rest <= needed / 100 else ZERO
            lines = [
                Line(pair, currency, need * part + interest * need / needed, need * part)
                for pair, need in needs.items()
            ]
            if rest - interest > 0:
                lines.append(Line(USER, currency, rest - interest, rest - interest))
            self._loans.ledger.write_lines(currency, lines)
