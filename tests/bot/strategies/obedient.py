"""Strategies that do what a test tells them, through attributes of the instance."""

from typing import Any

from freqtrade.strategy import IStrategy

from bitopro_margin_ext import EmergencyCancelMixin


class Plain(IStrategy):
    """Enter the pairs in ``enter``, exit those in ``leave``; without the mixin."""

    timeframe = "5m"
    process_only_new_candles = False
    minimal_roi = {"0": 100}
    stoploss = -0.10
    use_exit_signal = True
    can_short = False
    position_adjustment_enable = False

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.enter: set[str] = set()
        self.leave: dict[str, str] = {}
        self.adjust: dict[str, Any] = {}
        self.timed_out: set[str] = set()
        self.asked: list[tuple[str, str, float]] = []

    def populate_indicators(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        return dataframe

    def populate_entry_trend(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        return dataframe

    def confirm_trade_entry(self, pair: str, *args: Any, **kwargs: Any) -> bool:
        wanted = pair in self.enter
        self.enter.discard(pair)
        return wanted

    def custom_exit(self, pair: str, *args: Any, **kwargs: Any) -> str | None:
        return self.leave.get(pair)

    def check_exit_timeout(self, pair: str, *args: Any, **kwargs: Any) -> bool:
        return pair in self.timed_out

    def adjust_trade_position(self, trade: Any, *args: Any, **kwargs: Any) -> Any:
        return self.adjust.pop(trade.pair, None)


class Guarded(EmergencyCancelMixin, Plain):
    """The same with the mixin."""


class Adjusting(Plain):
    """With position adjustment."""

    position_adjustment_enable = True


class GuardedAdjusting(EmergencyCancelMixin, Adjusting):
    """The same with the mixin."""


class Tagging(Guarded):
    """Exits with a tag of its own."""

    def custom_exit(self, pair: str, *args: Any, **kwargs: Any) -> str | None:
        return "a tag of its own" if pair in self.leave else None


class Replacing(Guarded):
    """Gives an open entry another price, once."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.reprice: dict[str, float] = {}

    def adjust_entry_price(self, trade: Any, order: Any, pair: str, *args: Any, **kw: Any) -> Any:
        return self.reprice.pop(pair, order.safe_placement_price if order else None)
