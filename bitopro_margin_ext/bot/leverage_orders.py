"""Entries that borrow first, and buy-backs that are large enough to repay."""

import logging
import time
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import ccxt
from freqtrade.exceptions import (
    DependencyException,
    ExchangeError,
    InvalidOrderException,
    TemporaryError,
)
from freqtrade.persistence import PairLocks, Trade

from ..exchange import call_scope
from . import freqtrade_internals, positions
from .debt_lines import ZERO, units, up
from .ledger_database import LedgerError
from .leverage_amounts import (
    AHEAD_SECONDS,
    closes,
    dec,
    fraction_of,
    gross_amount,
    need_of,
    position_of,
)
from .leverage_fetching import LeverageFetching
from .loan_commands import LoanRefusedError, LoanUnknownError

logger = logging.getLogger(__name__)

MARKET_MARGIN: Final = Decimal("0.02")
"""How much more is borrowed for a market entry, whose price is not known yet."""
MOST_BEYOND: Final = Decimal("0.1")
"""How far a buy-back may be larger than its position, whatever the ledger says of interest."""


class LeverageOrders(LeverageFetching):
    """Creates the orders of leveraged trades."""

    def create_order(
        self,
        *,
        pair: str,
        side: Any,
        amount: float,
        leverage: float,
        initial_order: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Create an order; an entry borrows first, a buy-back is made large enough to repay.

        :raises InvalidOrderException: when nothing is lent, or the account would come too near to
            its liquidation; nothing is borrowed and nothing sent then.
        :raises TemporaryError: when it is not known whether it was lent, or placed.
        """
        order = {
            "pair": pair,
            "side": side,
            "amount": amount,
            "leverage": leverage,
            "initial_order": initial_order,
            **kwargs,
        }
        is_exit = kwargs.get("reduceOnly", False)
        if not is_exit:
            self._check_leverage(pair, side == "sell", leverage)
        if not self.is_live:
            return super().create_order(**order)
        return self._exit(order) if is_exit else self._enter(order)

    def _check_leverage(self, pair: str, is_short: bool, leverage: float) -> None:
        most, quote = self.max_leverage(pair, is_short), self.get_pair_quote_currency(pair)
        if leverage > most + 1e-9:
            side = "short" if is_short else "long"
            why = f"the {side} cap of {most:g}x"
            if not is_short and not self.lends(str(quote)):
                why = f"1x: {quote} is not lent"
            self.lock_pair(pair, is_short, f"{leverage:g}x is above {why}")
            raise InvalidOrderException(
                f"{self.name}: {leverage:g}x {side} of {pair} is above {why}. With"
                " EmergencyCancelMixin in the strategy it is cut instead."
            )

    def lock_pair(
        self, pair: str, is_short: bool, reason: str, minutes: float | None = None
    ) -> None:
        """Keep Freqtrade from trying an entry again at once, and say why."""
        minutes = self.leverage_options.lock_minutes if minutes is None else minutes
        until = datetime.now(UTC) + timedelta(minutes=minutes)
        PairLocks.lock_pair(pair, until, reason[:255], side="short" if is_short else "long")
        logger.warning(
            f"{pair}: no {'short' if is_short else 'long'} entry until {until}: {reason}"
        )

    def _enter(self, order: dict[str, Any]) -> Any:
        pair, is_short = order["pair"], order["side"] == "sell"
        try:
            currency = self._borrow_for(order)
        except LedgerError as error:
            # What may be borrowed by then is found again by the reconciler.
            raise TemporaryError(f"{self.name}: no entry of {pair}: {error}") from error
        try:
            return self._send(order, "entry", order["amount"])
        except (TemporaryError, DependencyException) as error:
            if isinstance(error, TemporaryError) and self.has_unconfirmed_order(pair):
                # It may be there: the loan stays until that is clear.
                raise
            # (Freqtrade calls some refusals temporary, such as that of a pair.)
            if currency is not None:
                self._reconciler.repay_unused(pair, currency)
            self.lock_pair(pair, is_short, f"entry refused: {error}")
            raise

    def _borrow_for(self, order: dict[str, Any]) -> str | None:
        """Borrow what an entry needs beyond what is borrowed already; the currency, or None."""
        pair, is_short = order["pair"], order["side"] == "sell"
        base, quote = pair.split("/")[0], self.get_pair_quote_currency(pair)
        amount = dec(self.amount_to_precision(pair, order["amount"]))
        currency, wanted = str(base), up(amount)
        if not is_short:
            cost = amount * dec(order["rate"])
            cost *= 1 + (MARKET_MARGIN if order["ordertype"] == "market" else ZERO)
            currency, wanted = str(quote), up(cost * (1 - 1 / dec(order["leverage"])))
        if not wanted or self.has_unconfirmed_order(pair):
            return None
        ledger = self.loans.ledger
        with self.loans.lock:
            self._reconciler.entering[pair] = time.monotonic()
            try:
                # A forced entry can come before the first iteration.
                self._ledger_start.run()
                self._check_ledger(pair, is_short)
                self.loans.read()
                trades = Trade.get_trades_proxy(pair=pair, is_open=True)
                need = sum((need_of(t, ledger.entry_fees(pair)) for t in trades), ZERO)
                missing = need + wanted - self.loans.line(currency, pair).outstanding
                step = self.loans.step(currency)
                missing = (missing / step).to_integral_value(ROUND_CEILING) * step
                if missing <= 0:
                    return currency
                self._check_ratio(pair, is_short, currency, missing)
                self.loans.borrow(currency, missing, pair, f"entry of {pair}")
            except LoanRefusedError as error:
                self._reconciler.entering.pop(pair, None)
                self.lock_pair(pair, is_short, str(error))
                raise InvalidOrderException(f"{self.name}: {error}") from error
            except (LoanUnknownError, ccxt.NetworkError) as error:
                # No order follows: what was lent all the same is repaid as soon as it is found.
                self._reconciler.entering.pop(pair, None)
                self.lock_pair(pair, is_short, str(error), minutes=1.0)
                raise TemporaryError(f"{self.name}: no entry of {pair}: {error}") from error
        return currency

    def _check_ledger(self, pair: str, is_short: bool) -> None:
        """Refuse every loan until the user has looked at a ledger that was lost."""
        if not self.loans.ledger.meta("adopted"):
            return
        self.lock_pair(pair, is_short, "the ledger of loans was lost")
        raise InvalidOrderException(
            f"{self.name}: no entries: the ledger of loans was lost and the debts were taken"
            " from the account. Check bitopro-margin loans, then bitopro-margin loans --accept."
        )

    def _check_ratio(self, pair: str, is_short: bool, currency: str, amount: Decimal) -> None:
        """Refuse a loan that would bring the account below the ratio for entries."""
        api, least = freqtrade_internals.ccxt_api(self), self.leverage_options.min_ad_ratio_entry
        try:
            after = api.calculate_ad_ratio("borrow", currency, f"{amount:f}")["adRatio"]
        except ccxt.ExchangeError as error:
            raise LoanRefusedError(
                f"BitoPro does not say what borrowing {amount:f} {currency} would do: {error}"
            ) from error
        account = self.loans.account
        if account is not None and account.ad_ratio and account.debt:
            computed = account.assets / account.debt
            if abs(account.ad_ratio / computed - 1) > Decimal("0.01"):
                logger.warning(
                    f"BitoPro says an adRatio of {account.ad_ratio}, its balances make"
                    f" {computed:.2f}: liquidation prices follow the balances."
                )
        if after is not None and float(after) < least:
            raise LoanRefusedError(
                f"borrowing {amount:f} {currency} would bring the adRatio to {float(after):.2f},"
                f" below bitopro_margin.min_ad_ratio_entry of {least:g}"
            )

    def _exit(self, order: dict[str, Any]) -> Any:
        net = order["amount"]
        if order["side"] == "sell":
            return self._send(order, "exit", net)
        order = {**order, "amount": self._gross(order["pair"], net, AHEAD_SECONDS)}
        self._refuse_without_debt(order["pair"], whole=True)
        if order["ordertype"] == "market":
            # A market buy is counted in quote: an aggressive limit buys an exact amount.
            slippage = 1 + self.leverage_options.buy_back_slippage
            order.update(ordertype="limit", rate=self._ask(order) * slippage, time_in_force="GTC")
        return self._send(order, "exit", net)

    def _refuse_without_debt(self, pair: str, *, whole: bool) -> None:
        """Buy nothing back that the exchange says is not owed: it would be a new position.

        Freqtrade then looks for the order that has closed the trade; where there is none, because
        the debt was repaid with other coins, the position counts as open again. ``whole`` refuses
        only where nothing at all is owed, since getting out comes first.

        :raises ExchangeError: nothing is sent.
        """
        base = pair.split("/")[0]
        account = self.loans.account
        for trade in Trade.get_trades_proxy(pair=pair, is_open=True):
            if not trade.is_short or account is None or not self.is_missing(trade):
                continue
            owed = account[base].owed.sum
            if not whole or owed <= 0:
                raise ExchangeError(
                    f"{self.name}: {units(owed)} {base} are owed, and the trade has"
                    f" {trade.amount:f}: nothing is bought before it is known what repaid the rest."
                )

    def _ask(self, order: dict[str, Any]) -> float:
        try:
            asks = self.fetch_l2_order_book(order["pair"], 1)["asks"]
            return float(asks[0][0])
        except (DependencyException, TemporaryError, LookupError, TypeError):
            # Getting out comes first: the price that Freqtrade has will do.
            return float(order["rate"])

    def _send(self, order: dict[str, Any], kind: str, net: float) -> Any:
        """Note an order, send it, note what came of it, and show it as Freqtrade must see it."""
        number = self._note_sending(order, kind, net)
        try:
            raw = super().create_order(**order)
        except TemporaryError:
            self._note_sent(number, "unknown")
            raise
        except Exception:
            self._note_sent(number, "refused")
            raise
        self._note_sent(number, "placed", str(raw["id"]))
        return self._shown(raw, order["side"], kind == "entry", net)

    def _note_sending(self, order: dict[str, Any], kind: str, net: float) -> int | None:
        try:
            return self.loans.ledger.intend_order(
                pair=order["pair"],
                side=str(order["side"]),
                kind=kind,
                net=dec(net),
                amount=dec(self.amount_to_precision(order["pair"], order["amount"])),
                price=dec(order["rate"]),
                leverage=float(order["leverage"]),
                sent=self.loans.now(),
            )
        except Exception:
            if kind == "entry":
                raise
            logger.exception("The ledger of loans cannot be written: the exit goes out without.")
            return None

    def _note_sent(self, number: int | None, state: str, order_id: str | None = None) -> None:
        if number is None:
            return
        try:
            self.loans.ledger.finish_order(number, state, order_id)
        except Exception:
            logger.exception("The ledger of loans cannot be written.")

    def create_stoploss(
        self,
        pair: str,
        amount: float,
        stop_price: float,
        order_types: dict[str, Any],
        side: Any,
        leverage: float,
    ) -> Any:
        """Create a stoploss; a short's buys enough for days of interest."""
        if not self.is_live:
            return super().create_stoploss(
                pair=pair,
                amount=amount,
                stop_price=stop_price,
                order_types=order_types,
                side=side,
                leverage=leverage,
            )
        sent = amount
        if side == "buy":
            sent = self._gross(pair, amount, self.leverage_options.stop_interest_days * 86400)
            self._refuse_without_debt(pair, whole=False)
        order = {"pair": pair, "side": side, "amount": sent, "rate": stop_price}
        number = self._note_sending({**order, "leverage": leverage}, "stoploss", amount)
        try:
            raw = super().create_stoploss(
                pair=pair,
                amount=sent,
                stop_price=stop_price,
                order_types=order_types,
                side=side,
                leverage=leverage,
            )
        except TemporaryError:
            self._note_sent(number, "unknown")
            raise
        except Exception:
            self._note_sent(number, "refused")
            raise
        self._note_sent(number, "placed", str(raw["id"]))
        return self._shown(raw, side, False, amount)

    def largest_exit(self, pair: str, side: str) -> float:
        """The most that an exit may sell or buy: a buy-back covers interest and fee as well."""
        held = super().largest_exit(pair, side)
        if not self.is_live or side == "sell":
            return held
        usual = held * float(1 + MOST_BEYOND) + float(self.step_of(pair))
        return max(usual, self._largest.get(pair, 0.0)) if held else 0.0

    def _taker_fee(self, pair: str) -> Decimal:
        return dec(self.markets[pair].get("taker") or 0.002)

    def _gross(self, pair: str, net: float, ahead_seconds: float) -> float:
        """How much to buy to close a part of a short."""
        base = pair.split("/")[0]
        interest = ahead = dust = ZERO
        wanted = dec(net)
        cap = MOST_BEYOND
        try:
            if call_scope.remaining() is None and not self.in_emergency():
                self.loans.read()
            line = self.loans.line(base, pair)
            trades = Trade.get_trades_proxy(pair=pair, is_open=True)
            # Of the orders: Freqtrade cuts a trade's amount to whole steps after each exit.
            position = sum((position_of(trade).amount for trade in trades), ZERO)
            is_last = closes(wanted, position, self.step_of(pair))
            part = Decimal(1) if is_last else fraction_of(wanted, position)
            # What is less than a step of the position is owed too.
            wanted = max(wanted, position) if is_last else wanted
            interest = max(line.interest, ZERO) * part
            account = self.loans.account
            age = 0.0 if account is None else time.monotonic() - account.moment
            years = Decimal(str((ahead_seconds + age) / (365 * 86400)))
            ahead = line.owed * part * self.loans.rate(base) / 100 * years
            if account is not None:
                if interest <= account[base].owed.sum - wanted:
                    # The exchange itself says that so much is owed.
                    cap = max(cap, interest / wanted + MOST_BEYOND)
                dust = min(
                    self.loans.ledger.dust().get(base, (ZERO, ZERO))[0],
                    max(account[base].free - max(line.outstanding - position, ZERO), ZERO),
                )
        except Exception:
            logger.exception(f"{pair}: its interest cannot be read; the position is bought back.")
        gross = gross_amount(wanted, interest, ahead, dust, self._taker_fee(pair), cap)
        step = self.step_of(pair)
        steps = (gross / step).to_integral_value(rounding="ROUND_CEILING")
        self._largest[pair] = float(steps * step)
        return self._largest[pair]

    def has_unconfirmed_order(self, pair: str) -> bool:
        """Whether an order of a pair may exist whose creation had no answer."""
        return self.is_replaying or any(
            order.pair == pair
            and not (order.order_id and positions.find_order(pair, order.order_id))
            for order in self.unconfirmed.journal.all()
        )
