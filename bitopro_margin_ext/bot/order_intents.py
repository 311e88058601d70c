"""What the bot is about to do with an order: the exchange is told only a part of it."""

import contextvars
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from . import freqtrade_internals


@dataclass
class OrderIntent:
    """The trade, tag and stake of the order that is to be sent; the trade is None for a new one."""

    trade_id: int | None = None
    tag: str | None = None
    stake_amount: float | None = None
    partial: bool = False
    is_exit: bool = False
    started: float = field(default_factory=time.monotonic)


_intent: contextvars.ContextVar[OrderIntent | None] = contextvars.ContextVar("intent", default=None)


def order_intent() -> OrderIntent:
    """The intent of the bot's method that is running in this thread; an empty one without any."""
    return _intent.get() or OrderIntent()


def follow_orders(bot: Any, done: Callable[[], None]) -> None:
    """Keep the intent of every order that the bot sends; ``done`` is called after each.

    The methods are wrapped on the bot object: they are the only place where the trade, the tag and
    the stake of an order are known together.
    """

    def enter(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        given = _arguments(method, args, kwargs)
        trade = given.get("trade")
        intent = OrderIntent(None if trade is None else trade.id, given.get("enter_tag"))
        with _intended(intent, done):
            return method(*args, **kwargs)

    def settle_terms(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        found = method(*args, **kwargs)
        intent = _intent.get()
        if intent is not None:
            intent.stake_amount = found[1]
        return found

    def leave(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        given = _arguments(method, args, kwargs)
        tag = given.get("exit_tag") or given["exit_check"].exit_reason
        partial = bool(given.get("sub_trade_amt"))
        with _intended(OrderIntent(given["trade"].id, tag, None, partial, is_exit=True), done):
            return method(*args, **kwargs)

    def stop(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        given = _arguments(method, args, kwargs)
        with _intended(OrderIntent(given["trade"].id), done):
            return method(*args, **kwargs)

    freqtrade_internals.wrap_method(bot, "execute_entry", enter)
    freqtrade_internals.wrap_method(bot, "get_valid_enter_price_and_stake", settle_terms)
    freqtrade_internals.wrap_method(bot, "execute_trade_exit", leave)
    freqtrade_internals.wrap_method(bot, "create_stoploss_order", stop)


def _arguments(method: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    return dict(inspect.signature(method).bind(*args, **kwargs).arguments)


@contextmanager
def _intended(intent: OrderIntent, done: Callable[[], None]) -> Iterator[None]:
    token = _intent.set(intent)
    try:
        yield
    finally:
        _intent.reset(token)
        done()


@contextmanager
def entry_terms(bot: Any, terms: tuple[float, float, float]) -> Iterator[None]:
    """Let ``execute_entry`` take this rate, stake and leverage, and look at no other order.

    The order exists: its terms are not worked out anew from a wallet that it has changed.
    """
    names = ("get_valid_enter_price_and_stake", "handle_similar_open_order")
    own = {name: bot.__dict__.get(name) for name in names}
    bot.get_valid_enter_price_and_stake = lambda *args, **kwargs: terms
    bot.handle_similar_open_order = lambda *args, **kwargs: False
    try:
        yield
    finally:
        for name, method in own.items():
            if method is None:
                delattr(bot, name)
            else:
                setattr(bot, name, method)
