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


class AsksItself(OwnWithoutSuper):
    """Goes through the object for its own answer."""

    def bot_start(self, **kwargs: Any) -> None:
        self.asking = False

    def confirm_trade_exit(self, *args: Any, **kwargs: Any) -> bool:
        if self.asking:
            return super().confirm_trade_exit(*args, **kwargs)
        self.asking = True
        try:
            return self.confirm_trade_exit(*args, **kwargs)
        finally:
            self.asking = False


class Static(EmergencyCancelMixin, Plain):
    """Refuses every exit, by a callback that is not given the strategy."""

    @staticmethod
    def confirm_trade_exit(pair: str, trade: Any, **kwargs: Any) -> bool:
        return False


class OfTheClass(EmergencyCancelMixin, Plain):
    """Refuses every exit, by a callback that is given the class."""

    @classmethod
    def confirm_trade_exit(cls, pair: str, trade: Any, **kwargs: Any) -> bool:
        return False


class AssignedToTheClass(EmergencyCancelMixin, Plain):
    """Gets its callback after the class statement."""


AssignedToTheClass.confirm_trade_exit = OwnWithoutSuper.confirm_trade_exit


class AssignedAtTheStart(EmergencyCancelMixin, Plain):
    """Gets its callback when the bot starts."""

    def bot_start(self, **kwargs: Any) -> None:
        self.confirm_trade_exit = lambda **kw: OwnWithoutSuper.confirm_trade_exit(self, **kw)


class Started(EmergencyCancelMixin, Plain):
    """Has a start of its own, and does not call ``super()``."""

    def ft_bot_start(self, **kwargs: Any) -> None:
        self.load_freqAI_model()


class BehindABase(Plain, EmergencyCancelMixin):
    """The mixin stands behind a base, and still before ``IStrategy``."""


class Inherits(Guarded):
    """Overrides nothing."""


assert issubclass(Inherits, IStrategy)
