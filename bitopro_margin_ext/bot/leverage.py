"""Leverage and shorts: the margin account as Freqtrade's leveraged account.

With ``"trading_mode": "futures"`` Freqtrade is shown the margin account's pairs as leveraged ones.
An entry borrows first, an exit is repaid, and interest goes where Freqtrade counts funding fees.
In ``margin`` mode everything here leaves the class below as it is.
"""

import logging
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import ccxt
from freqtrade.enums import CandleType, RunMode
from freqtrade.exceptions import (
    DependencyException,
    InvalidOrderException,
    OperationalException,
    TemporaryError,
)
from freqtrade.persistence import PairLocks, Trade

from ..core.report import CancelReport
from ..exchange import call_scope
from . import freqtrade_internals, positions
from .adoption import Adoption
from .bitopromargin import Bitopromargin
from .buy_back import (
    average_price,
    dec,
    fee_in_quote,
    fraction_of,
    gross_amount,
    shown_buy_back,
    shown_entry,
)
from .debt_lines import UNIT, ZERO, Line, up
from .interest import loan_currency
from .leverage_options import parse_leverage_options
from .leverage_wallet import shown_balances
from .liquidation import (
    PREFIX,
    Holdings,
    forced_order,
    forced_trades,
    liquidation_price,
    simulated_holdings,
    with_buffer,
)
from .loan_need import need_of
from .loans import LoanRefusedError, Loans, LoanUnknownError, liquidation_rows
from .loans_ledger import LedgerError, LoansLedger, ledger_url
from .reconcile import Reconciler
from .settlement import Settlements, put_cost
from .simulated_interest import SimulatedInterest

logger = logging.getLogger(__name__)

MARKET_MARGIN: Final = Decimal("0.02")
"""How much more is borrowed for a market entry, whose price is not known yet."""
MOST_BEYOND: Final = Decimal("0.1")
"""How far a buy-back may be larger than its position, whatever the ledger says of interest."""
AHEAD_SECONDS: Final = 600.0
"""How much interest ahead an exit buys: until it is filled and repaid."""
MARKS_SECONDS: Final = 5.0


class LeveragedBitopromargin(Bitopromargin):
    """BitoPro's cross-margin account with leverage and shorts, where the config asks for it."""

    _ft_has_futures: dict[str, Any] = {  # noqa: RUF012 - the host's way
        "mark_ohlcv_price": "futures",
        "mark_ohlcv_timeframe": "1h",
        "funding_fee_timeframe": "1h",
        "uses_leverage_tiers": False,
        "ccxt_futures_name": "margin",
        "stoploss_blocks_assets": True,
    }

    def __init__(self, config: Any, *, exchange_config: Any = None, **kwargs: Any) -> None:
        self.loans: Loans | None = None
        self.on_notice: Callable[[str], None] | None = None
        """Who tells the user; the mixin sets it. Without, the log has to do."""
        self._reconciler: Reconciler | None = None
        self._marks: tuple[float, dict[str, float]] = (0.0, {})
        super().__init__(config, exchange_config=exchange_config, **kwargs)
        self.leverage_options = parse_leverage_options(self._config)
        self.simulated = SimulatedInterest(self)
        if self.is_leveraged:
            self._start_leverage()

    def _start_leverage(self) -> None:
        options = self.leverage_options
        logger.info(
            f"Leverage and shorts: at most {options.max_leverage(False):g}x long and"
            f" {options.max_leverage(True):g}x short, entries down to an adRatio of"
            f" {options.min_ad_ratio_entry:g}, liquidation expected at"
            f" {options.liquidation_ad_ratio:g}."
        )
        if self._config.get("order_types", {}).get("stoploss") == "limit":
            logger.warning(
                'order_types.stoploss is "limit": with leverage, a stop or liquidation exit that'
                ' rests is no exit. Set it to "market".'
            )
        if not self.is_live:
            return
        try:
            ledger = LoansLedger(ledger_url(self._config["db_url"], self._config["user_data_dir"]))
        except LedgerError as error:
            raise OperationalException(f"{self.name}: {error}.") from None
        self.loans = Loans(ledger, lambda: freqtrade_internals.ccxt_api(self), self.notify)
        self._settlements = Settlements(self.loans)
        self._reconciler = Reconciler(self.loans, self._settlements, self)
        self._adoption = Adoption(self.loans, self)

    @property
    def is_live(self) -> bool:
        """Whether real loans are made: leveraged, trading, and no dry run."""
        runmode = self._config.get("runmode")
        return self.is_leveraged and not self._config["dry_run"] and runmode == RunMode.LIVE

    @property
    def stake_currency(self) -> str:
        """What trades are made in."""
        return str(self._config["stake_currency"])

    def close(self) -> None:
        """Let another bot have the ledger."""
        if self.loans is not None:
            self.loans.ledger.close()
        super().close()

    def notify(self, text: str) -> None:
        """Tell the user, and the log."""
        logger.warning(text)
        if self.on_notice is not None:
            self.on_notice(text)

    # -- what the account is -------------------------------------------------------------------

    def market_is_future(self, market: dict[str, Any]) -> bool:
        """Whether a market can be traded with leverage: every margin pair."""
        if self.is_leveraged:
            return bool(self.market_is_margin(market))
        return bool(super().market_is_future(market))

    def check_candle_type_support(self, candle_type: CandleType) -> bool:
        """Funding rates stand for interest, and are made here."""
        if self.is_leveraged and candle_type == CandleType.FUNDING_RATE:
            return True
        return bool(super().check_candle_type_support(candle_type))

    async def _fetch_funding_rate_history(
        self, pair: str, timeframe: str, limit: int, since_ms: int | None = None
    ) -> list[list[Any]]:
        """Rows of zeros: interest depends on the trade, and is computed where it is known."""
        return await self.simulated.rows(limit, since_ms)

    def get_max_leverage(self, pair: str, stake_amount: float | None) -> float:
        """The higher cap of both sides: Freqtrade does not say which one it asks for."""
        if not self.is_leveraged:
            return float(super().get_max_leverage(pair, stake_amount))
        options = self.leverage_options
        return max(options.max_leverage(False), options.max_leverage(True))

    def marks(self) -> dict[str, float]:
        """Prices in stake currency by currency, a few seconds old at most."""
        moment, marks = self._marks
        if time.monotonic() - moment > MARKS_SECONDS:
            found = freqtrade_internals.ccxt_api(self).fetch_mark_prices()
            usdt = {key.split("/")[0]: float(row["markPrice"]) for key, row in found.items()}
            usdt.setdefault("USDT", 1.0)
            unit = usdt.get(self.stake_currency) or 1.0
            marks = {currency: price / unit for currency, price in usdt.items()}
            self._marks = (time.monotonic(), marks)
        return marks

    # -- each iteration ------------------------------------------------------------------------

    def reload_markets(self, force: bool = False, **kwargs: Any) -> None:
        """The first call of Freqtrade's iterations: look at the loans, with the mixin or not."""
        super().reload_markets(force, **kwargs)
        if force or self._reconciler is None or self.in_emergency():
            return
        self.reconcile()

    def reconcile(self) -> None:
        """Keep debts and needs together; nothing that fails here stops the bot."""
        if self._reconciler is None or self.loans is None:
            return
        try:
            with self.loans.lock, call_scope.deadline(20.0):
                self._adoption.run()
                self._reconciler.run()
                self._renew_stops()
                self._update_liquidation_prices()
        except Exception:
            logger.exception("The loans could not be looked at; the next iteration tries again.")
            Trade.rollback()

    def in_emergency(self) -> bool:
        """Whether an emergency exit is under way: nothing is repaid before it."""
        return self._mapping_context() is not None or self.emergency_waits()

    def emergency_waits(self) -> bool:
        """Whether an emergency exit still has to go out; the mixin knows."""
        return False

    def has_unconfirmed_order(self, pair: str) -> bool:
        """Whether an order of a pair may exist whose creation had no answer."""
        return any(one.pair == pair for one in self.unanswered._lost)

    def _update_liquidation_prices(self) -> None:
        for trade in Trade.get_open_trades():
            if trade.has_open_position:
                trade.set_liquidation_price(
                    self.get_liquidation_price(
                        pair=trade.pair, open_rate=trade.open_rate, is_short=trade.is_short
                    )
                )

    def _renew_stops(self) -> None:
        """Take down the stop of a short whose interest ahead is used up: Freqtrade sets it anew."""
        assert self.loans is not None  # noqa: S101 - its caller has looked
        for trade in Trade.get_open_trades():
            if not trade.is_short or not trade.has_open_sl_orders:
                continue
            line = self.loans.line(trade.safe_base_currency, trade.pair)
            for stop in trade.open_sl_orders:
                sent = next(
                    (
                        one
                        for one in self.loans.ledger.sent_orders(trade.pair)
                        if one["order_id"] == stop.order_id
                    ),
                    None,
                )
                if sent is None or line.interest <= UNIT:
                    continue
                covered = sent["amount"] * (1 - self._taker_fee(trade.pair))
                if covered < dec(trade.amount) + line.interest:
                    logger.info(f"{trade.pair}: the stop no longer covers the interest: renewed.")
                    self.cancel_stoploss_order(stop.order_id, trade.pair)

    # -- entries and exits ---------------------------------------------------------------------

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
        if self.is_leveraged and not is_exit:
            self._check_leverage(pair, side == "sell", leverage)
        if not self.is_live:
            return super().create_order(**order)
        return self._exit(order) if is_exit else self._enter(order)

    def _check_leverage(self, pair: str, is_short: bool, leverage: float) -> None:
        most = self.leverage_options.max_leverage(is_short)
        if leverage > most + 1e-9:
            side = "short" if is_short else "long"
            self.lock_pair(pair, is_short, f"{leverage:g}x is above the {side} cap of {most:g}x")
            raise InvalidOrderException(
                f"{self.name}: {leverage:g}x {side} is above bitopro_margin.max_leverage of"
                f" {most:g}x. With EmergencyCancelMixin in the strategy it is cut instead."
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
        assert self.loans is not None  # noqa: S101 - its caller has looked
        assert self._reconciler is not None  # noqa: S101
        pair, is_short = order["pair"], order["side"] == "sell"
        currency = self._borrow_for(order)
        try:
            return self._send(order, "entry", order["amount"])
        except TemporaryError:
            # It may be there: the loan stays until that is clear.
            raise
        except DependencyException as error:
            if currency is not None:
                self._reconciler.repay_unused(pair, currency)
            self.lock_pair(pair, is_short, f"entry refused: {error}")
            raise

    def _borrow_for(self, order: dict[str, Any]) -> str | None:
        """Borrow what an entry needs beyond what is borrowed already; the currency, or None."""
        assert self.loans is not None  # noqa: S101
        assert self._reconciler is not None  # noqa: S101
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
        if ledger.meta("adopted"):
            self.lock_pair(pair, is_short, "the ledger of loans was lost")
            raise InvalidOrderException(
                f"{self.name}: no entries: the ledger of loans was lost and the debts were taken"
                " from the account. Check bitopro-margin loans, then bitopro-margin loans --accept."
            )
        with self.loans.lock:
            self._reconciler.entering[pair] = time.monotonic()
            try:
                self.loans.read()
                trades = Trade.get_trades_proxy(pair=pair, is_open=True)
                need = sum((need_of(t, ledger.entry_fees(pair)) for t in trades), ZERO)
                missing = up(need + wanted - self.loans.line(currency, pair).outstanding)
                if missing <= 0:
                    return currency
                self._check_ratio(pair, is_short, currency, missing)
                self.loans.borrow(currency, missing, pair, f"entry of {pair}")
            except LoanRefusedError as error:
                self.lock_pair(pair, is_short, str(error))
                raise InvalidOrderException(f"{self.name}: {error}") from error
            except (LoanUnknownError, ccxt.NetworkError) as error:
                self.lock_pair(pair, is_short, str(error), minutes=1.0)
                raise TemporaryError(f"{self.name}: no entry of {pair}: {error}") from error
        return currency

    def _check_ratio(self, pair: str, is_short: bool, currency: str, amount: Decimal) -> None:
        """Refuse a loan that would bring the account below the ratio for entries."""
        assert self.loans is not None  # noqa: S101
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
        if order["ordertype"] == "market":
            # A market buy is counted in quote: an aggressive limit buys an exact amount.
            slippage = 1 + self.leverage_options.buy_back_slippage
            order.update(ordertype="limit", rate=self._ask(order) * slippage, time_in_force="GTC")
        return self._send(order, "exit", net)

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
        assert self.loans is not None  # noqa: S101
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
        assert self.loans is not None  # noqa: S101
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
        return held * float(1 + MOST_BEYOND) + float(self._step(pair))

    def _taker_fee(self, pair: str) -> Decimal:
        return dec(self.markets[pair].get("taker") or 0.002)

    def _step(self, pair: str) -> Decimal:
        """The smallest step of an amount."""
        precision = self.get_precision_amount(pair)
        if precision is None:
            return UNIT
        is_tick = self.precisionMode == ccxt.TICK_SIZE
        return dec(precision) if is_tick else Decimal(1).scaleb(-int(precision))

    def _gross(self, pair: str, net: float, ahead_seconds: float) -> float:
        """How much to buy to close a part of a short."""
        assert self.loans is not None  # noqa: S101
        base = pair.split("/")[0]
        interest = ahead = dust = ZERO
        try:
            if call_scope.remaining() is None and not self.in_emergency():
                self.loans.read()
            line = self.loans.line(base, pair)
            trades = Trade.get_trades_proxy(pair=pair, is_open=True)
            position = sum((dec(trade.amount) for trade in trades), ZERO)
            part = fraction_of(dec(net), position)
            interest = max(line.interest, ZERO) * part
            account = self.loans.account
            age = 0.0 if account is None else time.monotonic() - account.moment
            years = Decimal(str((ahead_seconds + age) / (365 * 86400)))
            ahead = line.owed * part * self.loans.rate(base) / 100 * years
            if account is not None:
                dust = min(
                    self.loans.ledger.dust().get(base, (ZERO, ZERO))[0],
                    max(account[base].free - max(line.outstanding - position, ZERO), ZERO),
                )
        except Exception:
            logger.exception(f"{pair}: its interest cannot be read; the position is bought back.")
        gross = gross_amount(dec(net), interest, ahead, dust, self._taker_fee(pair), MOST_BEYOND)
        step = self._step(pair)
        steps = (gross / step).to_integral_value(rounding="ROUND_CEILING")
        return float(steps * step)

    # -- what Freqtrade is shown of orders -----------------------------------------------------

    def _shown(self, raw: dict[str, Any], side: str, is_entry: bool, net: float) -> Any:
        """One of our orders as Freqtrade must see it."""
        base, quote = raw["symbol"].split("/")[0], raw["symbol"].split("/")[1].split(":")[0]
        if side == "sell":
            return _with_exact_rate(raw, base, quote)
        return (
            shown_entry(raw, base, quote) if is_entry else (shown_buy_back(raw, net, base, quote))
        )

    def _shown_known(self, raw: dict[str, Any], pair: str, *, settle: bool) -> Any:
        """An order that is in the database, translated; one that has ended is settled."""
        row = positions.find_order(pair, str(raw["id"]))
        if row is None or row.trade is None:
            return self._shown_unknown(raw, pair)
        trade = row.trade
        is_entry = row.ft_order_side == trade.entry_side
        side = trade.entry_side if is_entry else trade.exit_side
        shown = self._shown(raw, side, is_entry, row.ft_amount)
        if raw.get("status") not in ("closed", "canceled", "expired") or not raw.get("filled"):
            return shown
        if is_entry:
            self._note_entry(trade, row, shown)
        elif settle:
            self._settlements.settle(trade, row, raw)
        return shown

    def _note_entry(self, trade: Any, row: Any, shown: dict[str, Any]) -> None:
        """An ended entry has cost no interest of its own: that is booked at the exits."""
        assert self.loans is not None  # noqa: S101
        base, quote = trade.safe_base_currency, trade.safe_quote_currency
        fee = fee_in_quote(shown, base, quote)
        if fee is not None and row.order_id not in self.loans.ledger.entry_fees(trade.pair):
            self.loans.ledger.write_entry_fee(trade.pair, row.order_id, fee)
        if row.funding_fee is None:
            put_cost(trade, row, ZERO)

    def _shown_unknown(self, raw: dict[str, Any], pair: str) -> Any:
        """An order that is not in the database: a buy-back of ours by its gross amount."""
        assert self.loans is not None  # noqa: S101
        if raw["side"] != "buy":
            return raw
        for sent in self.loans.ledger.sent_orders(pair):
            same_id = sent["order_id"] == str(raw["id"])
            same = sent["order_id"] is None and abs(sent["amount"] - dec(raw["amount"])) < UNIT
            if sent["kind"] != "entry" and sent["side"] == "buy" and (same_id or same):
                return self._shown(raw, "buy", False, float(sent["net"]))
        return raw

    def fetch_order(self, order_id: str, pair: str, params: Any = None, **kwargs: Any) -> Any:
        """Fetch an order as Freqtrade must see it; an exit that has ended is repaid first."""
        if not self.is_leveraged:
            return super().fetch_order(order_id, pair, params, **kwargs)
        if not self.is_live:
            order = super().fetch_order(order_id, pair, params, **kwargs)
            self.simulated.settle(order, pair)
            return order
        if order_id.startswith(PREFIX):
            return self.fetch_raw_order(order_id, pair)
        raw = super().fetch_order(order_id, pair, params, **kwargs)
        settle = (
            (pair, order_id) not in self.swept
            and call_scope.remaining() is None
            and not self.in_emergency()
        )
        return self._shown_known(raw, pair, settle=settle)

    def cancel_order_with_result(self, order_id: str, pair: str, amount: float) -> Any:
        """Cancel an order and return its end as Freqtrade must see it."""
        is_raw = self.is_live and (pair, order_id) in self.swept
        order = super().cancel_order_with_result(order_id, pair, amount)
        return self._shown_known(order, pair, settle=False) if is_raw else order

    def fetch_raw_order(self, order_id: str, pair: str) -> dict[str, Any]:
        """An order as the exchange says it, gross; a forced one as it was taken in."""
        if not order_id.startswith(PREFIX):
            raw: dict[str, Any] = super().fetch_order(order_id, pair)
            return raw
        row = positions.find_order(pair, order_id)
        if row is None:
            raise InvalidOrderException(f"{self.name}: no order {order_id} of {pair}.")
        quote = pair.split("/")[1].split(":")[0]
        fee = {"currency": quote, "cost": 0.0, "rate": 0.0}
        return {**row.to_ccxt_object(), "side": row.side, "status": "closed", "fee": fee}

    def fetch_orders(self, pair: str, since: datetime, params: Any = None) -> list[Any]:
        """Orders of a pair; what the exchange sold or bought by force stands among them."""
        orders = super().fetch_orders(pair, since, params)
        if not self.is_live:
            return list(orders)
        shown = [self._shown_known(order, pair, settle=False) for order in orders]
        return [*shown, *self._forced_orders(pair)]

    def _forced_orders(self, pair: str) -> list[dict[str, Any]]:
        """The forced trades of an open position, as closed exit orders."""
        trade = next(iter(Trade.get_trades_proxy(pair=pair, is_open=True)), None)
        if trade is None:
            return []
        try:
            rows = liquidation_rows(freqtrade_internals.ccxt_api(self))
            quote = trade.safe_quote_currency
            found = forced_trades(rows, quote, self.marks())
        except ccxt.BaseError as error:
            raise TemporaryError(f"{self.name}: no liquidations: {type(error).__name__}") from error
        opened = trade.open_date_utc.timestamp() * 1000
        orders = []
        left = dec(trade.amount)
        for forced in found:
            if (forced.base, forced.side) != (trade.safe_base_currency, trade.exit_side):
                continue
            if forced.timestamp is not None and forced.timestamp < opened - 1000:
                continue
            order = forced_order(forced, pair)
            known = trade.select_order_by_order_id(order["id"])
            if trade.is_short:
                # More than the position was interest.
                net = dec(known.ft_amount) if known else min(left, forced.amount)
                order = shown_buy_back(order, net, forced.base, quote)
            left = max(left - forced.amount, ZERO) if known is None else left
            orders.append(order)
        return orders

    def sweep_margin_orders(
        self, pair: str | None, known: Iterable[tuple[str, str]], deadline: float
    ) -> CancelReport:
        """Cancel and confirm; the ends are shown as Freqtrade must see them, and not repaid yet."""
        report = super().sweep_margin_orders(pair, known, deadline)
        if self.is_live:
            for order in report.final_orders():
                key = (order["symbol"], order["id"])
                if key in self.swept:
                    self.swept[key] = deepcopy(order)
                shown = self._shown_known(deepcopy(order), order["symbol"], settle=False)
                order.clear()
                order.update(shown)
        return report

    # -- the account ---------------------------------------------------------------------------

    def get_balances(self, *args: Any, **kwargs: Any) -> Any:
        """The balances less what stands behind positions: see ``leverage_wallet``."""
        balances = super().get_balances(*args, **kwargs)
        if not self.is_live:
            return balances
        return shown_balances(balances, Trade.get_open_trades(), self.stake_currency)

    def fetch_positions(self, pair: str | None = None, params: Any = None) -> list[Any]:
        """The open trades as positions, as far as the account shows them."""
        if not self.is_live:
            return []
        balances = self._last_balances or super().get_balances()
        found = []
        for trade in Trade.get_trades_proxy(pair=pair, is_open=True):
            row = balances.get(trade.safe_base_currency) or {}
            there = float(row.get("debt" if trade.is_short else "total") or 0.0)
            size = min(trade.amount, there * (1 + 1e-9))
            if size <= 0:
                continue
            found.append(
                {
                    "symbol": trade.pair,
                    "side": trade.trade_direction,
                    "contracts": size,
                    "leverage": trade.leverage,
                    "collateral": trade.stake_amount,
                    "initialMargin": trade.stake_amount,
                    "liquidationPrice": trade.liquidation_price,
                }
            )
        return found

    def get_funding_fees(
        self, pair: str, amount: float, is_short: bool, open_date: datetime
    ) -> float:
        """What the loan of a pair's trade has cost since its last exit, negative, in quote."""
        if not self.is_leveraged:
            return float(super().get_funding_fees(pair, amount, is_short, open_date))
        trades = [
            trade
            for trade in Trade.get_trades_proxy(pair=pair, is_open=True)
            if trade.is_short == is_short and trade.amount
        ]
        if not trades:
            return 0.0
        if self.loans is None:
            return self.simulated.running(trades[0], datetime.now(UTC).timestamp())
        line = self.loans.line(loan_currency(trades[0]), pair)
        price = 1.0
        if is_short:
            price = self.get_rate(pair, refresh=False, side="exit", is_short=True)
        return -max(0.0, float(line.interest)) * price

    def calculate_funding_fees(
        self,
        df: Any,
        amount: float,
        is_short: bool,
        open_date: datetime,
        close_date: datetime,
        **kwargs: Any,
    ) -> float:
        """Backtesting's question, which names no trade: see ``SimulatedInterest``."""
        if not self.is_leveraged:
            return float(
                super().calculate_funding_fees(
                    df, amount, is_short, open_date, close_date, **kwargs
                )
            )
        return self.simulated.backtest(df, amount, is_short, open_date, close_date)

    def get_liquidation_price(
        self,
        pair: str,
        open_rate: float,
        is_short: bool,
        amount: float = 0.0,
        stake_amount: float = 0.0,
        leverage: float = 1.0,
        wallet_balance: float = 0.0,
        open_trades: list[Any] | None = None,
    ) -> float | None:
        """The price at which the account would be liquidated, Freqtrade's safety distance added.

        0.0 where there is none: None would leave an old price standing.
        """
        if not self.is_leveraged:
            return super().get_liquidation_price(pair, open_rate, is_short)
        if self.loans is not None:
            holdings = self._holdings()
        else:
            trades = [trade for trade in open_trades or [] if trade.has_open_position]
            holdings = simulated_holdings(wallet_balance, self.stake_currency, trades)
        threshold = self.leverage_options.liquidation_ad_ratio
        price = liquidation_price(holdings, pair.split("/")[0], threshold, is_short)
        return with_buffer(price, open_rate, is_short, self.liquidation_buffer)

    def _holdings(self) -> Holdings:
        """What the account holds and owes, as it was read last."""
        assert self.loans is not None  # noqa: S101
        try:
            account = self.loans.account
            if account is None or time.monotonic() - account.moment > MARKS_SECONDS:
                account = self.loans.read()
            marks = self.marks()
        except ccxt.BaseError as error:
            raise TemporaryError(f"{self.name}: no account: {type(error).__name__}") from error
        holdings = Holdings(marks=marks)
        for currency, row in account.balances.items():
            holdings.add(currency, float(row.total), float(row.owed.sum))
        return holdings

    # -- crumbs --------------------------------------------------------------------------------

    def buy_for_debt(self, line: Line) -> None:
        """Buy the smallest order of a coin that is owed by no trade and not there to repay."""
        pair = f"{line.currency}/{self.stake_currency}"
        market = self.markets.get(pair)
        if market is None or self.loans is None:
            return
        least = dec(market["limits"]["amount"]["min"] or 0)
        amount = max(least, line.owed / (1 - self._taker_fee(pair)))
        key = f"crumb:{line.holder}"
        if self.loans.ledger.meta(key):
            return
        self.loans.ledger.write_meta(key, f"{line.owed:f}")
        self.notify(
            f"{line.holder}: {line.owed:f} {line.currency} are owed and not there:"
            f" {amount:f} are bought to repay them, the rest is kept as dust."
        )
        rate = self._ask({"pair": pair, "rate": self.marks().get(line.currency, 0.0)})
        freqtrade_internals.ccxt_api(self).create_order(
            pair,
            "limit",
            "buy",
            float(amount),
            self.price_to_precision(pair, rate * (1 + self.leverage_options.buy_back_slippage)),
        )
        self.loans.ledger.add_dust(line.currency, amount * (1 - self._taker_fee(pair)), dec(rate))


def _with_exact_rate(raw: dict[str, Any], base: str, quote: str) -> dict[str, Any]:
    """A sale's order with the exact rate of its fee: Freqtrade would round it to 8 digits."""
    fee = fee_in_quote(raw, base, quote)
    value = dec(raw.get("filled")) * average_price(raw)
    if fee is None or not value:
        return raw
    exact = {"currency": quote, "cost": float(fee), "rate": float(fee / value)}
    return {**raw, "fee": exact, "fees": [exact]}
