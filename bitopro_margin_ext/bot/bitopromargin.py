"""Freqtrade's exchange class for BitoPro's margin account: differences, and few overrides."""

import logging
import time
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import ccxt
from freqtrade import __version__ as freqtrade_version
from freqtrade.enums import TRADE_MODES, MarginMode, RunMode, TradingMode
from freqtrade.exceptions import (
    InvalidOrderException,
    OperationalException,
)

from .._version import __version__
from ..core import assumptions, redaction
from ..core.endpoints import OrderKey
from ..core.report import CancelReport
from . import freqtrade_internals, positions
from .options import parse_options
from .positions import find_order
from .sweeps import Ends
from .tracked_orders import TrackedOrders

logger = logging.getLogger(__name__)

_ORDERLESS_MODES = (RunMode.UTIL_EXCHANGE, RunMode.UTIL_NO_EXCHANGE, RunMode.PLOT, RunMode.OTHER)
_SECRET_NAMES = ("key", "secret", "password", "apiKey", "api_key")


class Bitopromargin(TrackedOrders):
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

    def __new__(cls, config: Any = None, **kwargs: Any) -> "Bitopromargin":
        """Make a leveraged one where the config asks for it, and load only then what it needs."""
        # A copy, as hyperopt's workers get one, is made without a config.
        mode = None if config is None else config.get("trading_mode")
        if cls is Bitopromargin and mode == TradingMode.FUTURES:
            from .leveraged_exchange import LeveragedBitopromargin

            cls = LeveragedBitopromargin
        made: Bitopromargin = super().__new__(cls)
        return made

    def __init__(self, config: Any, *, exchange_config: Any = None, **kwargs: Any) -> None:
        if self.unsupported:
            raise OperationalException(self.unsupported)
        remember_secrets(exchange_config or config["exchange"])
        refuse_what_cannot_work(config)
        logger.info(
            f"bitopro_margin_ext {__version__} is on (Freqtrade {freqtrade_version},"
            f" ccxt {ccxt.__version__}). With EmergencyCancelMixin in the strategy,"
            f" {parse_options(config).describe()}."
        )
        self._stream: Any = None
        self._initialized = self._warned = False
        super().__init__(config, exchange_config=exchange_config, **kwargs)
        self._initialized = True

    @property
    def _ccxt_config(self) -> dict[str, Any]:
        # Freqtrade says of its exits that they are exits, and ``create_order`` bounds them: no
        # request is to go out for that before each of them.
        config: dict[str, Any] = super()._ccxt_config
        return {**config, "options": {**config.get("options", {}), "checkReduceOnly": False}}

    def reload_markets(self, *args: Any, **kwargs: Any) -> None:
        """The first call of each iteration; by the first one it is clear what is missing."""
        super().reload_markets(*args, **kwargs)
        if self._initialized and not self._warned and not self.unconfirmed.followed:
            self._warned = True
            if self._config.get("runmode") in TRADE_MODES:
                logger.warning(
                    "The strategy does not have EmergencyCancelMixin, so NOTHING is cancelled"
                    " before an emergency exit: class MyStrategy(EmergencyCancelMixin, IStrategy)."
                )

    def close(self) -> None:
        """Release what the base has made; nothing, when the start was refused before it."""
        stream, self._stream = getattr(self, "_stream", None), None
        if stream is not None:
            stream.stop()
        if hasattr(self, "loop"):
            super().close()

    # -- what the margin account is ------------------------------------------------------------

    @property
    def is_leveraged(self) -> bool:
        """Whether the account is traded with leverage and shorts; Freqtrade calls it futures."""
        return bool(self.trading_mode == TradingMode.FUTURES)

    def market_is_margin(self, market: dict[str, Any]) -> bool:
        """Whether a market is the margin account's: also a lent coin against TWD."""
        return bool(super().market_is_margin(market)) or (
            market.get("quote") in assumptions.MARGIN_QUOTES
            and bool(market.get("spot"))
            and self.lends(str(market.get("base")))
        )

    def lends(self, currency: str) -> bool:
        """Whether the exchange lends a currency at all, as far as it has been asked."""
        # (Hyperopt's workers have no ccxt object.)
        options = getattr(freqtrade_internals.ccxt_api(self), "options", {})
        return currency in options.get("marginCurrencies", assumptions.MARGIN_CURRENCIES)

    def validate_trading_mode_and_margin_mode(
        self, trading_mode: Any, margin_mode: Any, allow_none_margin_mode: bool = False
    ) -> None:
        """Refuse spot, which the base accepts of every exchange."""
        if trading_mode == TradingMode.SPOT and not allow_none_margin_mode:
            refuse_what_cannot_work({**self._config, "trading_mode": trading_mode})
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
        self,
        pair: str | None,
        known: Iterable[OrderKey],
        deadline: float,
        first: str | None = None,
    ) -> tuple[CancelReport, Ends]:
        """Cancel and confirm all margin orders of a pair (None: all); simulated ones in a dry run.

        Ends within ``deadline`` seconds, or when the pair ``first`` is settled: then
        ``complete_sweep`` completes the report. Every end that the exchange states is remembered,
        so that Freqtrade's own handling of these orders costs no request and cannot go wrong.

        :returns: the report, and the ends in it by symbol and id, as Freqtrade must see them.
        """
        if self._config["dry_run"]:
            report = cancel_simulated_orders(freqtrade_internals.dry_run_orders(self), pair, known)
        else:
            report = freqtrade_internals.ccxt_api(self).cancel_and_confirm(
                pair, list(known), deadline, first
            )
        return report, self._remember_ends(report.ends())

    def complete_sweep(self, report: CancelReport, deadline: float) -> tuple[CancelReport, Ends]:
        """Learn within ``deadline`` seconds what became of the pairs that were not waited for."""
        found = freqtrade_internals.ccxt_api(self).confirm_rest(report, deadline)
        return found, self._remember_ends(found.ends())

    def _remember_ends(self, ends: Ends) -> Ends:
        for key, order in ends.items():
            # Where a fee is still to come, the exchange will be asked for it.
            if not order["filled"] or self.order_has_fee(order):
                self.swept[key] = order
        return ends

    # -- the stream ----------------------------------------------------------------------------

    def follow_stream(self) -> None:
        """Follow the private order stream, where live streams are allowed."""
        if self._config["dry_run"] or not self._config["exchange"].get("enable_ws", True):
            logger.info("bitopro_margin.stream needs a live run and exchange.enable_ws: it is off.")
            return
        from .order_stream import OrderStream

        self._stream = OrderStream(freqtrade_internals.ccxt_api(self))
        self._stream.start()

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
        return super().create_order(
            pair=pair,
            side=side,
            amount=amount,
            leverage=leverage,
            initial_order=initial_order,
            **kwargs,
        )


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


def remember_secrets(exchange_config: Mapping[str, Any]) -> None:
    """Blank the credentials from the first log line on: Freqtrade logs parts of this config."""
    for name, value in exchange_config.items():
        if isinstance(value, Mapping):
            remember_secrets(value)
        elif name in _SECRET_NAMES:
            redaction.add_secret(value)


def refuse_what_cannot_work(config: Mapping[str, Any]) -> None:
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
