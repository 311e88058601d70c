"""Freqtrade's exchange class for BitoPro's margin account: differences, and few overrides."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping, MutableMapping
from copy import deepcopy
from typing import Any

import ccxt
from cachetools import TTLCache
from freqtrade import __version__ as freqtrade_version
from freqtrade.enums import MarginMode, RunMode, TradingMode
from freqtrade.exceptions import InvalidOrderException, OperationalException, TemporaryError
from freqtrade.exchange import Exchange

from .._version import __version__
from ..core import redaction
from ..core.report import CancelReport
from ..exchange import call_scope
from . import freqtrade_internals, positions
from .mapping import MappingContext
from .options import parse_options
from .positions import find_order
from .unconfirmed_orders import Unanswered


def cancel_simulated_orders(
    orders: MutableMapping[str, Any], pair: str | None, known: Iterable[tuple[str, str]]
) -> CancelReport:
    """Cancel every open simulated order of a pair (None: all) and report it like a real sweep.

    A known order that this process has not seen, because the bot was restarted, is taken from the
    database, as Freqtrade itself does.
    """
    started = time.monotonic()
    for symbol, order_id in known:
        if order_id not in orders:
            row = find_order(symbol, order_id)
            if row is not None:
                orders[order_id] = row.to_ccxt_object()
    report = CancelReport(pair or "all", listed=True)
    for order in orders.values():
        if pair not in (None, order["symbol"]):
            continue
        if order["status"] == "open":
            order["filled"] = order.get("filled") or 0.0
            order["remaining"] = order["amount"] - order["filled"]
            order["status"] = "canceled"
            report.cancelled.append(dict(order))
    report.elapsed_ms = round((time.monotonic() - started) * 1000)
    return report


logger = logging.getLogger(__name__)


Key = tuple[str, str]
"""Pair and order id."""


_ORDERLESS_MODES = (RunMode.UTIL_EXCHANGE, RunMode.UTIL_NO_EXCHANGE, RunMode.PLOT, RunMode.OTHER)

_SECRET_NAMES = ("key", "secret", "password", "apiKey", "api_key")


class Bitopromargin(Exchange):  # type: ignore[misc]
    """BitoPro's cross-margin account; long only, at 1x: Freqtrade cannot account for interest."""

    _ft_has: dict[str, Any] = {  # noqa: RUF012 - the host's way
        "stoploss_on_exchange": True,
        "stoploss_order_types": {"limit": "limit"},
        "stop_price_param": "stopLossPrice",
        "stop_price_prop": "triggerPrice",
        "order_time_in_force": ["GTC", "PO"],
        "tickers_have_quoteVolume": False,
        "tickers_have_bid_ask": False,
        "tickers_have_price": False,
        "l2_limit_range": [1, 5, 10, 20, 50],
        "marketOrderRequiresPrice": False,
    }

    _supported_trading_mode_margin_pairs: list[tuple[TradingMode, MarginMode]] = [  # noqa: RUF012
        (TradingMode.MARGIN, MarginMode.CROSS),
        (TradingMode.FUTURES, MarginMode.CROSS),
    ]

    unsupported: str | None = None
    """Why this Freqtrade will not do, if so."""

    def __init__(self, config: Any, *, exchange_config: Any = None, **kwargs: Any) -> None:
        if self.unsupported:
            raise OperationalException(self.unsupported)
        self.swept: TTLCache[Key, dict[str, Any]] = TTLCache(maxsize=10_000, ttl=24 * 3600)
        """Orders whose end the exchange has told in a sweep; an end does not change any more."""
        self.mapping_context: MappingContext | None = None
        self.unanswered = Unanswered()
        self._last_balances: Any = None
        _remember_secrets(exchange_config or config["exchange"])
        _refuse_what_cannot_work(config)
        logger.info(
            f"bitopro_margin_ext {__version__} is on (Freqtrade {freqtrade_version},"
            f" ccxt {ccxt.__version__}). With EmergencyCancelMixin in the strategy,"
            f" {parse_options(config).describe()}."
        )
        super().__init__(config, exchange_config=exchange_config, **kwargs)

    @property
    def _ccxt_config(self) -> dict[str, Any]:
        # Freqtrade says of its exits that they are exits, and ``create_order`` bounds them: no
        # request is to go out for that before each of them.
        config: dict[str, Any] = super()._ccxt_config
        return {**config, "options": {**config.get("options", {}), "checkReduceOnly": False}}

    def close(self) -> None:
        """Release what the base has made; nothing, when the start was refused before it."""
        if hasattr(self, "loop"):
            super().close()

    # -- what the margin account is ------------------------------------------------------------

    @property
    def is_leveraged(self) -> bool:
        """Whether the account is traded with leverage and shorts; Freqtrade calls it futures."""
        return bool(self.trading_mode == TradingMode.FUTURES)

    def validate_trading_mode_and_margin_mode(
        self, trading_mode: Any, margin_mode: Any, allow_none_margin_mode: bool = False
    ) -> None:
        """Refuse spot, which the base accepts of every exchange."""
        if trading_mode == TradingMode.SPOT and not allow_none_margin_mode:
            _refuse_what_cannot_work({**self._config, "trading_mode": trading_mode})
        super().validate_trading_mode_and_margin_mode(
            trading_mode, margin_mode, allow_none_margin_mode
        )

    def get_max_leverage(self, pair: str, stake_amount: float | None) -> float:
        """Always 1: see the class."""
        return 1.0

    def get_liquidation_price(self, *args: Any, **kwargs: Any) -> float | None:
        """None: a long at 1x owes nothing; the base raises in margin mode."""
        return None

    # -- the sweep -----------------------------------------------------------------------------

    def sweep_margin_orders(
        self, pair: str | None, known: Iterable[Key], deadline: float
    ) -> CancelReport:
        """Cancel and confirm all margin orders of a pair (None: all); simulated ones in a dry run.

        Ends within ``deadline`` seconds. Every end that the exchange told is remembered, so that
        Freqtrade's own handling of these orders costs no request and cannot go wrong.
        """
        if self._config["dry_run"]:
            report = cancel_simulated_orders(freqtrade_internals.dry_run_orders(self), pair, known)
        else:
            report = freqtrade_internals.ccxt_api(self).cancel_and_confirm(
                pair, list(known), deadline
            )
        for order in report.final_orders():
            # Where a fee is still to come, the exchange will be asked for it.
            if not order["filled"] or self.order_has_fee(order):
                self.swept[order["symbol"], order["id"]] = order
        return report

    def fetch_order(self, order_id: str, pair: str, params: Any = None, **kwargs: Any) -> Any:
        """Fetch an order; one that a sweep saw end is known."""
        known = self.swept.get((pair, order_id))
        if known is not None:
            return deepcopy(known)
        return super().fetch_order(order_id, pair, params, **_hurried(kwargs))

    def cancel_order_with_result(self, order_id: str, pair: str, amount: float) -> Any:
        """Cancel an order and return its end.

        :raises InvalidOrderException: when the exchange knows no such order. The base would make
            up a cancelled one, but only the exchange's word makes an order cancelled.
        """
        known = self.swept.get((pair, order_id))
        if known is not None:
            positions.set_cancel_reason_of(pair, order_id)
            return deepcopy(known)
        if self._config["dry_run"]:
            return super().cancel_order_with_result(order_id, pair, amount)
        try:
            self.cancel_order(order_id, pair)
        except InvalidOrderException as error:
            logger.warning(f"Could not cancel order {order_id} for {pair}: {error}")
        try:
            return self.fetch_order(order_id, pair)
        except InvalidOrderException:
            entry = positions.open_entry(pair, order_id)
            if entry is None:
                raise
            # The bot's handler for entries would let the exception stop the bot: an entry that is
            # still open is what it can deal with, and what it has to believe.
            logger.error(f"BitoPro does not know entry order {order_id} for {pair}: kept open.")
            return entry

    def cancel_stoploss_order_with_result(self, order_id: str, pair: str, amount: float) -> Any:
        """The same for a stoploss."""
        return self.cancel_order_with_result(order_id, pair, amount)

    def attach(self, emergency: Any) -> None:
        """Know who handles emergencies, once the bot has started; only leverage needs it."""

    # -- the exit ------------------------------------------------------------------------------

    def largest_exit(self, pair: str, side: str) -> float:
        """The most that an exit of a pair may sell (or buy back), in base."""
        return positions.position_size(pair)

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
        """Create an order, but no short, no leverage, and no exit larger than the position.

        :raises InvalidOrderException: before anything is sent.
        """
        if not self.is_leveraged and (leverage > 1 or (initial_order and side == "sell")):
            raise InvalidOrderException(
                f"{self.name}: short entries and leverage need"
                ' "trading_mode": "futures" in the config.'
            )
        if kwargs.get("reduceOnly") or (
            not self.is_leveraged and not initial_order and side == "sell"
        ):
            held = self.largest_exit(pair, side)
            if positions.exceeds(amount, held):
                raise InvalidOrderException(
                    f"{self.name}: an exit of {amount} {pair} would exceed the position of {held}."
                    " The exit comes again with the right amount."
                )
        found = self.unanswered.find(self, pair, side, is_stop=False)
        if found is not None:
            return found
        try:
            return super().create_order(
                pair=pair,
                side=side,
                amount=amount,
                leverage=leverage,
                initial_order=initial_order,
                **kwargs,
            )
        except TemporaryError as error:
            self.unanswered.note(pair, side, error, is_stop=False)
            raise

    def create_stoploss(self, pair: str, *args: Any, **kwargs: Any) -> Any:
        """Create a stoploss, unless there is one whose creation was not answered."""
        side = kwargs.get("side", "sell")
        found = self.unanswered.find(self, pair, side, is_stop=True)
        if found is not None:
            return found
        try:
            return super().create_stoploss(pair, *args, **kwargs)
        except TemporaryError as error:
            self.unanswered.note(pair, side, error, is_stop=True)
            raise

    # -- in an emergency -----------------------------------------------------------------------

    def _mapping_context(self) -> MappingContext | None:
        now = self.mapping_context
        return now if now is not None and now.thread == threading.get_ident() else None

    def get_rate(self, pair: str, refresh: bool, side: Any, is_short: bool, **kwargs: Any) -> float:
        """The rate of a pair; while a sweep is mapped, the last one known will do for a message."""
        # A refreshed rate moves stops: that one is always the market's.
        context = self._mapping_context()
        if not refresh and context is not None and (rate := context.rates.get(pair)):
            return rate
        current: float = super().get_rate(pair, refresh, side, is_short, **kwargs)
        return current

    def get_balances(self, *args: Any, **kwargs: Any) -> Any:
        """The balances; while a sweep is mapped, those of before it, or once new ones."""
        context, last = self._mapping_context(), self._last_balances
        if context is not None and last is not None and not context.refresh_balances:
            return deepcopy(last)
        try:
            balances = super().get_balances(*args, **_hurried(kwargs))
        except TemporaryError:
            if last is None or (context is None and call_scope.remaining() is None):
                raise
            # Nor is an exit that has a deadline kept in by them.
            logger.warning("The balances cannot be read now: the last known ones will do.")
            return deepcopy(last)
        # Not a currency, though it looks like one to whoever walks the currencies.
        balances.pop("debt", None)
        self._last_balances = deepcopy(balances)
        if context is not None:
            context.refresh_balances = False
        return balances

    def fetch_ticker(self, *args: Any, **kwargs: Any) -> Any:
        """The same as the base, without its pauses in an emergency."""
        return super().fetch_ticker(*args, **_hurried(kwargs))

    def fetch_l2_order_book(self, *args: Any, **kwargs: Any) -> Any:
        """The same as the base, without its pauses in an emergency."""
        return super().fetch_l2_order_book(*args, **_hurried(kwargs))

    def get_trades_for_order(self, *args: Any, **kwargs: Any) -> Any:
        """The same as the base, without its pauses in an emergency."""
        return super().get_trades_for_order(*args, **_hurried(kwargs))


def _hurried(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments for a call of the base that do without its repetitions inside a deadline.

    The base pauses, half a minute in all, when an order is not found or the exchange is too busy.
    """
    return {"count": 0, **kwargs} if call_scope.remaining() is not None else kwargs


def _remember_secrets(exchange_config: Mapping[str, Any]) -> None:
    """Blank the credentials from the first log line on: Freqtrade logs parts of this config."""
    for name, value in exchange_config.items():
        if isinstance(value, Mapping):
            _remember_secrets(value)
        elif name in _SECRET_NAMES:
            redaction.add_secret(value)


def _refuse_what_cannot_work(config: Mapping[str, Any]) -> None:
    """Stop before anything is sent.

    :raises OperationalException: with one line; Freqtrade exits with 2. It would exit with 0 on its
        own ``ConfigurationError``.
    """
    try:
        parse_options(config)
    except ValueError as error:
        raise OperationalException(str(error)) from None
    if config.get("runmode") in _ORDERLESS_MODES:
        return
    trading_mode = config.get("trading_mode") or TradingMode.SPOT
    margin_mode = config.get("margin_mode") or MarginMode.NONE
    if (
        TradingMode(trading_mode) not in (TradingMode.MARGIN, TradingMode.FUTURES)
        or MarginMode(margin_mode) != MarginMode.CROSS
    ):
        raise OperationalException(
            "Exchange bitopromargin trades the margin account only: set"
            ' "trading_mode": "margin" (long only, at 1x) or "futures" (leverage and shorts) and'
            ' "margin_mode": "cross", or use the exchange name "bitopro" for spot.'
        )
