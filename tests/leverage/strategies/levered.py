"""Strategies that trade with leverage, as the test tells them through the instance."""

from typing import Any

from freqtrade.strategy import IStrategy

from bitopro_margin_ext import EmergencyCancelMixin


class PlainLevered(IStrategy):
    """Enter the pairs in ``enter`` (long or short), exit those in ``leave``."""

    timeframe = "5m"
    process_only_new_candles = False
    minimal_roi = {"0": 100}
    stoploss = -0.50
    use_exit_signal = True
    can_short = True
    position_adjustment_enable = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.enter: dict[str, str] = {}
        self.leave: dict[str, str] = {}
        self.adjust: dict[str, float] = {}
        self.levers: dict[str, float] = {}
        self.prices: dict[str, float] = {}
        self.timed_out: set[str] = set()
        self.answer = True

    def populate_indicators(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        return dataframe

    def populate_entry_trend(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        side = self.enter.get(metadata["pair"], "")
        dataframe["enter_long"] = int(side == "long")
        dataframe["enter_short"] = int(side == "short")
        return dataframe

    def populate_exit_trend(self, dataframe: Any, metadata: dict[str, Any]) -> Any:
        return dataframe

    def leverage(self, pair: str, *args: Any, **kwargs: Any) -> float:
        return self.levers.get(pair, 1.0)

    def confirm_trade_entry(self, pair: str, *args: Any, **kwargs: Any) -> bool:
        return self.enter.pop(pair, None) is not None

    def confirm_trade_exit(self, *args: Any, **kwargs: Any) -> bool:
        return self.answer

    def custom_exit(self, pair: str, *args: Any, **kwargs: Any) -> str | None:
        return self.leave.get(pair)

    def check_exit_timeout(self, pair: str, *args: Any, **kwargs: Any) -> bool:
        return pair in self.timed_out

    def check_entry_timeout(self, pair: str, *args: Any, **kwargs: Any) -> bool:
        return pair in self.timed_out

    def adjust_trade_position(self, trade: Any, *args: Any, **kwargs: Any) -> Any:
        return self.adjust.pop(trade.pair, None)

    def adjust_order_price(self, trade: Any, order: Any, *args: Any, **kwargs: Any) -> float:
        return self.prices.pop(trade.pair, order.safe_placement_price)


class Levered(EmergencyCancelMixin, PlainLevered):
    """With the mixin."""
