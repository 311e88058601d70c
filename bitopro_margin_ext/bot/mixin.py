"""The strategy mixin: on an emergency exit cancel first, map what became of it, then exit."""

import functools
import logging
import sys
import threading
import time
from abc import ABCMeta
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from freqtrade.enums import TradingMode
from freqtrade.exceptions import OperationalException
from freqtrade.strategy.interface import IStrategy

from ..core import assumptions
from ..core.errors import BitoproMarginError
from . import freqtrade_internals
from .bitopromargin import Bitopromargin
from .emergency import Emergency
from .leverage_options import parse_leverage_options
from .options import Options, check_reasons, parse_options, start_warnings

logger = logging.getLogger(__name__)


class WrongBaseOrderError(BitoproMarginError, OperationalException):  # type: ignore[misc]
    """The mixin stands behind ``IStrategy``, where nothing of it would be called."""


class _StrategyMeta(ABCMeta):
    """Checks the order of the bases, and hooks every strategy once it is constructed.

    The class of a strategy is left as its author wrote it. Only what Freqtrade calls on the object
    is wrapped, so static and class methods, inherited callbacks and those assigned to the class
    later are all found as Python finds them.
    """

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any
    ) -> "_StrategyMeta":
        before = bases[: bases.index(IStrategy)] if IStrategy in bases else bases
        if not any(isinstance(base, _StrategyMeta) for base in bases[len(before) :]):
            return super().__new__(mcs, name, bases, namespace, **kwargs)
        text = (
            f"EmergencyCancelMixin must stand before IStrategy:"
            f" class {name}(EmergencyCancelMixin, IStrategy). As it is, no emergency would be"
            " handled."
        )
        if namespace.get("__module__") in sys.modules:
            raise WrongBaseOrderError(text)
        # Freqtrade, which loads a strategy's file without making a module of it, would only warn,
        # and then say that there is no such strategy. It goes on, and is refused when it makes the
        # strategy: so the other strategies of a list are listed, and a start ends with our line.
        logger.warning(text)
        right = sorted(bases, key=lambda base: not isinstance(base, _StrategyMeta))
        return super().__new__(mcs, name, tuple(right), {**namespace, "_refusal": text}, **kwargs)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        refusal = getattr(cls, "_refusal", None)
        if refusal:
            raise WrongBaseOrderError(refusal)
        strategy = super().__call__(*args, **kwargs)
        # The last call before the first iteration, and the first with the bot complete. A strategy
        # that overrides it need not call ``super()``.
        _wrap(strategy, "ft_bot_start", functools.partial(_after_bot_start, strategy))
        return strategy


class EmergencyCancelMixin(IStrategy, metaclass=_StrategyMeta):  # type: ignore[misc]
    """Put it before ``IStrategy``: ``class MyStrategy(EmergencyCancelMixin, IStrategy)``.

    On an exit whose reason is in ``bitopro_margin.cancel_on`` all margin orders in scope are
    cancelled before the exit order exists, and every cancellation is mapped into Freqtrade's rows.
    Callbacks of the strategy's own run first and have the last word on the exit. (It derives from
    ``IStrategy`` because hyperopt pickles every other base by value, down to ``object``.)
    """

    _emergency: Emergency | None = None

    @property
    def emergency(self) -> Emergency | None:
        """What handles emergencies for this strategy; None in backtesting and the like."""
        return self._emergency

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _HOOKS and self._emergency is not None:
            _wrap(self, name, functools.partial(_HOOKS[name], self._emergency))

    def __getstate__(self) -> dict[str, Any]:
        """A copy, and a pickle, is the strategy alone: hooks and bot belong to the original."""
        state = dict(self.__dict__)
        state.pop("_emergency", None)
        for name in ("ft_bot_start", "leverage", *_HOOKS):
            wrapped = state.get(name)
            if not isinstance(wrapped, _Wrapped):
                continue
            del state[name]
            if wrapped.assigned:
                state[name] = wrapped.own
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Hyperopt's workers get a pickle of a strategy that has started."""
        self.__dict__.update(state)
        if "config" in state:
            _cap_leverage(self)


# -- wrapping ----------------------------------------------------------------------------------


class _Wrapped(functools.partial[Any]):
    """A callback of one strategy object with what we do around it."""

    own: Callable[..., Any]
    assigned: bool
    """Whether the callback was an attribute of the object, not of its class."""


def _wrap(strategy: Any, name: str, hook: Callable[..., Any]) -> None:
    """Have Freqtrade call ``hook`` with the strategy's own callback and its arguments."""
    own = getattr(strategy, name)
    if isinstance(own, _Wrapped):
        return
    running = threading.local()

    def call(*args: Any, **kwargs: Any) -> Any:
        if getattr(running, "yes", False):
            # The strategy's own callback calls what it found on the object: this wrapper.
            return own(*args, **kwargs)
        running.yes = True
        try:
            return hook(own, *args, **kwargs)
        finally:
            running.yes = False

    wrapped = _Wrapped(call)
    wrapped.own, wrapped.assigned = own, name in strategy.__dict__
    # By its qualified name Freqtrade tells its own callbacks from a strategy's, which get a copy.
    object.__setattr__(strategy, name, functools.wraps(own)(wrapped))


def _confirm_trade_exit(
    emergency: Emergency, own: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Cancel and map before an emergency exit; refuse it once if its amount became stale."""
    named = dict(zip(_CONFIRM_ARGUMENTS, args, strict=False)) | kwargs
    try:
        agreed = own(*args, **kwargs)
    except Exception:
        # As it does to Freqtrade, which then would not hear that the amount is stale.
        logger.exception("The strategy's confirm_trade_exit failed: taken as a yes.")
        agreed = True
    if not agreed:
        emergency.denied(named["trade"], named["exit_reason"])
        return agreed
    return emergency.before_exit(
        named["trade"],
        exit_reason=named["exit_reason"],
        order_type=named["order_type"],
        rate=named.get("rate"),
        started=time.monotonic(),
    )


_CONFIRM_ARGUMENTS: Final = (
    "pair",
    "trade",
    "order_type",
    "amount",
    "rate",
    "time_in_force",
    "exit_reason",
    "current_time",
)


def _bot_loop_start(
    emergency: Emergency, own: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Finish what the last iteration's emergency left to do, before orders are looked at."""
    result = None
    try:
        result = own(*args, **kwargs)
    except Exception:
        # Freqtrade goes on after it, and so do we.
        logger.exception("The strategy's bot_loop_start failed.")
    emergency.begin_iteration()
    return result


def _ft_check_timed_out(
    emergency: Emergency, own: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Cancel and map before Freqtrade cancels the exit order that timed out once too often."""
    timed_out = own(*args, **kwargs)
    if timed_out:
        named = dict(zip(("trade", "order", "current_time"), args, strict=False)) | kwargs
        emergency.before_timeout_cancel(named["trade"], named["order"], time.monotonic())
    return timed_out


_HOOKS: Final[dict[str, Callable[..., Any]]] = {
    "confirm_trade_exit": _confirm_trade_exit,
    "bot_loop_start": _bot_loop_start,
    "ft_check_timed_out": _ft_check_timed_out,
}
"""The callbacks that are wrapped once the bot has started."""


# -- the start ---------------------------------------------------------------------------------


def _after_bot_start(strategy: Any, own: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Check everything once the bot is complete, and wrap the callbacks.

    :raises OperationalException: with one line, which stops the start.
    """
    own(*args, **kwargs)
    if strategy.emergency is not None:
        return
    _cap_leverage(strategy)
    if not isinstance(freqtrade_internals.exchange_of(strategy), Bitopromargin):
        # Backtesting, or a strategy that is tried out on another exchange.
        logger.info("EmergencyCancelMixin: nothing to do without the exchange bitopromargin.")
        return
    try:
        options: Options = parse_options(strategy.config)
        check_reasons(options, strategy)
        freqtrade_internals.check_bot(strategy)
    except (ValueError, freqtrade_internals.UnsupportedFreqtradeError) as error:
        raise OperationalException(str(error)) from None
    exchange = freqtrade_internals.exchange_of(strategy)
    if not exchange.is_leveraged:
        _refuse_shorts_and_leverage(strategy)
    bot = freqtrade_internals.bot_of(strategy)
    bot.exchange.follow(bot)
    emergency = Emergency(bot, options)
    exchange.attach(emergency)
    emergency.gate.install()
    for name, hook in _HOOKS.items():
        _wrap(strategy, name, functools.partial(hook, emergency))
    strategy._emergency = emergency
    if options.stream:
        exchange.follow_stream()
    logger.info(f"EmergencyCancelMixin is on: {options.describe()}.")
    unfilledtimeout = strategy.config.get("unfilledtimeout", {})
    for line in start_warnings(options, strategy.order_types, unfilledtimeout):
        logger.warning(line)


def _cap_leverage(strategy: Any) -> None:
    """Cut what ``leverage()`` says to the cap of its side: Freqtrade knows one for both."""
    config = strategy.config
    named = config.get("exchange", {}).get("name") == "bitopromargin"
    if not named or config.get("trading_mode") != TradingMode.FUTURES:
        return
    try:
        options = parse_leverage_options(config)
    except ValueError as error:
        raise OperationalException(str(error)) from None

    def capped(own: Callable[..., Any], *args: Any, **kwargs: Any) -> float:
        pair, side = str(kwargs.get("pair")), kwargs.get("side")
        quote = pair.partition("/")[2].split(":")[0]
        exchange = freqtrade_internals.exchange_of(strategy)
        lends = getattr(exchange, "lends", assumptions.MARGIN_CURRENCIES.__contains__)
        is_lent = not quote or lends(quote)
        most = options.max_leverage(side == "short", is_lent=is_lent)
        if "max_leverage" in kwargs:
            kwargs["max_leverage"] = min(kwargs["max_leverage"], most)
        asked = float(own(*args, **kwargs))
        if asked > most:
            logger.info(
                f"{pair}: leverage {asked:g} is cut to {most:g}, the cap of {side} trades"
                + ("." if is_lent or side == "short" else f": {quote} is not lent.")
            )
        return min(asked, most)

    _wrap(strategy, "leverage", capped)


def _refuse_shorts_and_leverage(strategy: Any) -> None:
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
