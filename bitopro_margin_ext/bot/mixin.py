"""The strategy mixin: on an emergency exit cancel first, map what became of it, then exit."""

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from freqtrade.exceptions import OperationalException

from . import freqtrade_internals
from .bitopromargin import Bitopromargin
from .emergency import Emergency
from .options import Options, parse_options

if TYPE_CHECKING:
    _Strategy = Any
else:
    _Strategy = object

logger = logging.getLogger(__name__)


class EmergencyCancelMixin(_Strategy):  # type: ignore[misc]
    """Put it before ``IStrategy``: ``class MyStrategy(EmergencyCancelMixin, IStrategy)``.

    On an exit whose reason is in ``bitopro_margin.cancel_on`` all margin orders in scope are
    cancelled before the exit order exists, and every cancellation is mapped into Freqtrade's rows.
    A strategy that overrides one of the callbacks below keeps its own, and may call ``super()``;
    the emergency is handled either way, once, after the strategy's last word on the exit.
    """

    _emergency: Emergency | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _refuse_wrong_order(cls)
        for name, after in (
            ("confirm_trade_exit", _after_confirm),
            ("bot_loop_start", _after_loop_start),
            ("ft_check_timed_out", _after_timeout_check),
            ("ft_bot_start", _after_bot_start),
        ):
            # Also what it inherits from a class that stands before the mixin.
            found = getattr(cls, name, None)
            if callable(found) and not hasattr(found, _FOLLOWED) and not _is_ours(name, found):
                setattr(cls, name, _followed_by(found, after))

    # -- Freqtrade's callbacks -----------------------------------------------------------------

    def ft_bot_start(self, **kwargs: Any) -> None:
        """Check everything once the bot is complete; an exception here stops the start."""
        super().ft_bot_start(**kwargs)
        if not _is_inside(self, _after_bot_start):
            _after_bot_start(self, None, (), kwargs)

    def bot_loop_start(self, current_time: datetime, **kwargs: Any) -> None:
        """Finish what the last iteration's emergency left to do, before orders are looked at."""
        arguments = {"current_time": current_time, **kwargs}
        if _is_inside(self, _after_loop_start):
            super().bot_loop_start(**arguments)
        else:
            _whatever_happens(super().bot_loop_start, (), arguments)
            _after_loop_start(self, None, (), kwargs)

    def confirm_trade_exit(
        self,
        pair: str,
        trade: Any,
        order_type: str,
        amount: float,
        rate: float,
        time_in_force: str,
        exit_reason: str,
        current_time: datetime,
        **kwargs: Any,
    ) -> bool:
        """Cancel and map before an emergency exit; refuse it once if its amount became stale."""
        arguments = {
            "pair": pair,
            "trade": trade,
            "order_type": order_type,
            "amount": amount,
            "rate": rate,
            "time_in_force": time_in_force,
            "exit_reason": exit_reason,
            "current_time": current_time,
            **kwargs,
        }
        if _is_inside(self, _after_confirm):
            return bool(super().confirm_trade_exit(**arguments))
        agreed = _agreed(super().confirm_trade_exit, (), arguments)
        return bool(_after_confirm(self, agreed, (), arguments))

    def ft_check_timed_out(self, trade: Any, order: Any, current_time: datetime) -> bool:
        """Cancel and map before Freqtrade cancels the exit order that timed out once too often."""
        timed_out = super().ft_check_timed_out(trade, order, current_time)
        if _is_inside(self, _after_timeout_check):
            return bool(timed_out)
        return bool(_after_timeout_check(self, timed_out, (trade, order, current_time), {}))

    # -- the emergency -------------------------------------------------------------------------

    @property
    def emergency(self) -> Emergency | None:
        """What handles emergencies for this strategy; None in backtesting and the like."""
        return self._emergency


_FOLLOWED: Final = "__followed_by_bitopro_margin__"


def _is_ours(name: str, found: Any) -> bool:
    return found is EmergencyCancelMixin.__dict__.get(name)


def _refuse_wrong_order(cls: type) -> None:
    """Say at once that the mixin would never be called.

    :raises OperationalException: Freqtrade prints it and exits with 2.
    """
    from freqtrade.strategy.interface import IStrategy

    order = cls.__mro__
    if IStrategy in order and order.index(IStrategy) < order.index(EmergencyCancelMixin):
        raise OperationalException(
            f"EmergencyCancelMixin must stand before IStrategy:"
            f" class {cls.__name__}(EmergencyCancelMixin, IStrategy). As it is, no emergency would"
            " be handled."
        )


def _followed_by(own: Callable[..., Any], after: Callable[..., Any]) -> Callable[..., Any]:
    """Let a strategy's own callback run first, and what the mixin does after it, once a call.

    The strategy may have called ``super()``, and then it has been done.
    """

    @functools.wraps(own)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _inside(self, after.__name__) as outermost:
            if after is _after_confirm:
                result = _agreed(functools.partial(own, self), args, kwargs)
            elif after is _after_loop_start:
                result = _whatever_happens(functools.partial(own, self), args, kwargs)
            else:
                result = own(self, *args, **kwargs)
        return after(self, result, args, kwargs) if outermost else result

    setattr(call, _FOLLOWED, True)
    # The safe wrapper copies the trade for a strategy's function; it knows its own by this name.
    call.__qualname__ = own.__qualname__
    return call


@contextlib.contextmanager
def _inside(strategy: Any, name: str) -> Iterator[bool]:
    """Mark that a strategy's own callback is running; says whether it is the outermost.

    What the mixin does comes after the last word of the strategy, not in the middle of it, where
    ``super()`` is called. Exits are handled one at a time, so a count an object is enough.
    """
    depths = strategy.__dict__.setdefault("_emergency_depths", {})
    depths[name] = depths.get(name, 0) + 1
    try:
        yield depths[name] == 1
    finally:
        depths[name] -= 1


def _is_inside(strategy: Any, after: Callable[..., Any]) -> bool:
    return bool(strategy.__dict__.get("_emergency_depths", {}).get(after.__name__))


def _whatever_happens(own: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Freqtrade goes on after an exception of this callback, so what follows it must too."""
    try:
        return own(*args, **kwargs)
    except Exception:
        logger.exception("The strategy's bot_loop_start failed.")
        return None


def _agreed(own: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """The strategy's answer; an exception means yes, as it does to Freqtrade.

    It is not passed on: Freqtrade would exit then, and never hear that the amount is stale.
    """
    try:
        return own(*args, **kwargs)
    except Exception:
        logger.exception("The strategy's confirm_trade_exit failed: taken as a yes.")
        return True


def _after_bot_start(self: Any, result: Any, args: Any, kwargs: Any) -> None:
    if not isinstance(freqtrade_internals.exchange_of(self), Bitopromargin):
        # Backtesting, or a strategy that is tried out on another exchange.
        logger.info("EmergencyCancelMixin: nothing to do without the exchange bitopromargin.")
        return
    try:
        options: Options = parse_options(self.config)
        freqtrade_internals.check_bot(self)
    except (ValueError, freqtrade_internals.UnsupportedFreqtradeError) as error:
        raise OperationalException(str(error)) from None
    if not freqtrade_internals.exchange_of(self).is_leveraged:
        _refuse_shorts_and_leverage(self)
    self._emergency = Emergency(self, options)
    logger.info(f"EmergencyCancelMixin is on: {options.describe()}.")


def _after_loop_start(self: Any, result: Any, args: Any, kwargs: Any) -> None:
    if self._emergency is not None:
        self._emergency.begin_iteration()


def _after_confirm(self: Any, agreed: Any, args: Any, kwargs: Any) -> Any:
    if self._emergency is None:
        return agreed
    named = dict(zip(_CONFIRM_ARGUMENTS, args, strict=False)) | kwargs
    if not agreed:
        self._emergency.denied(named["trade"])
        return agreed
    return self._emergency.before_exit(
        named["trade"],
        exit_reason=named["exit_reason"],
        order_type=named["order_type"],
        rate=named.get("rate"),
        started=time.monotonic(),
    )


_CONFIRM_ARGUMENTS = (
    "pair",
    "trade",
    "order_type",
    "amount",
    "rate",
    "time_in_force",
    "exit_reason",
    "current_time",
)


def _after_timeout_check(self: Any, timed_out: Any, args: Any, kwargs: Any) -> Any:
    if timed_out and self._emergency is not None:
        named = dict(zip(("trade", "order", "current_time"), args, strict=False)) | kwargs
        self._emergency.before_timeout_cancel(named["trade"], named["order"], time.monotonic())
    return timed_out


def _refuse_shorts_and_leverage(strategy: Any) -> None:
    from freqtrade.strategy.interface import IStrategy

    if getattr(strategy, "can_short", False):
        raise OperationalException(
            "bitopromargin is long only: set can_short = False. A short owes interest, and"
            " Freqtrade can account for that on two other exchanges only."
        )
    if type(strategy).leverage is IStrategy.leverage:
        return
    bot = freqtrade_internals.bot_of(strategy)
    for pair in bot.active_pair_whitelist[:50]:
        for side in ("long",):
            try:
                leverage = strategy.leverage(
                    pair=pair,
                    current_time=datetime.now().astimezone(),
                    current_rate=1.0,
                    proposed_leverage=1.0,
                    max_leverage=bot.exchange.markets[pair]["limits"]["leverage"]["max"] or 1.0,
                    entry_tag=None,
                    side=side,
                )
            except Exception:  # noqa: S112 - a strategy may need what is not there yet
                continue
            if leverage > 1:
                raise OperationalException(
                    f"bitopromargin trades at 1x only, and the strategy's leverage() says"
                    f" {leverage:g} for {pair}: Freqtrade cannot account for BitoPro's interest."
                )
