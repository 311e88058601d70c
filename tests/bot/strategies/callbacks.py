"""Strategies that have callbacks of their own, in every way a user may write them."""

from typing import Any

from freqtrade.strategy import IStrategy
from obedient import Guarded, Plain

from bitopro_margin_ext import EmergencyCancelMixin


class OwnWithoutSuper(EmergencyCancelMixin, Plain):
    """Answers by itself."""

    def confirm_trade_exit(
        self, pair, trade, order_type, amount, rate, time_in_force, exit_reason, current_time, **kw
    ):
        self.asked.append((pair, exit_reason, amount))
        return getattr(self, "answer", True)

    def bot_loop_start(self, current_time, **kwargs):
        self.loops = getattr(self, "loops", 0) + 1

    def ft_check_timed_out(self, trade, order, current_time):
        return trade.pair in self.timed_out


class OwnWithSuper(EmergencyCancelMixin, Plain):
    """Asks ``super()`` first, by position and by keyword, and has the last word."""

    def confirm_trade_exit(
        self, pair, trade, order_type, amount, rate, time_in_force, exit_reason, current_time, **kw
    ):
        self.asked.append((pair, exit_reason, amount))
        agreed = super().confirm_trade_exit(
            pair, trade, order_type, amount, rate, time_in_force,
            exit_reason=exit_reason, current_time=current_time, **kw,
        )  # fmt: skip
        return agreed and getattr(self, "answer", True)

    def bot_loop_start(self, current_time, **kwargs):
        super().bot_loop_start(current_time, **kwargs)

    def ft_check_timed_out(self, trade, order, current_time):
        return super().ft_check_timed_out(trade=trade, order=order, current_time=current_time)


class Raising(EmergencyCancelMixin, Plain):
    """Fails everywhere."""

    def confirm_trade_exit(self, *args: Any, **kwargs: Any) -> bool:
        raise RuntimeError("confirm_trade_exit of the user")

    def bot_loop_start(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("bot_loop_start of the user")

    def order_filled(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("order_filled of the user")


class Aside:
    """Not a strategy; stands before the mixin and does not know of it."""

    def confirm_trade_exit(self, pair, trade, *args: Any, **kwargs: Any) -> bool:
        self.asked.append((pair, kwargs["exit_reason"], kwargs["amount"]))
        return getattr(self, "answer", True)


class Overshadowed(Aside, EmergencyCancelMixin, Plain):
    """Inherits a callback that never reaches the mixin."""


class Grandchild(OwnWithSuper):
    """Overrides what its parent overrides."""

    def confirm_trade_exit(self, *args: Any, **kwargs: Any) -> bool:
        return super().confirm_trade_exit(*args, **kwargs)


class Inherits(Guarded):
    """Overrides nothing."""


assert issubclass(Inherits, IStrategy)
