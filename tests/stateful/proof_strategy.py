"""The strategy of the proof: enters and exits what it is told to, and times the emergency hook."""

import time
from typing import Any

from freqtrade.strategy import IStrategy

from bitopro_margin_ext import EmergencyCancelMixin


class ProofStrategy(EmergencyCancelMixin, IStrategy):
    timeframe = "5m"
    process_only_new_candles = False
    minimal_roi = {"0": 100}
    stoploss = -0.10
    use_exit_signal = True
    position_adjustment_enable = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.wanted: set[str] = set()
        self.unwanted: set[str] = set()
        self.held_up: list[float] = []
        self.refused: set[tuple[str, str]] = set()
        self.adjust: dict[str, float] = {}
        self.due: set[int] = set()
        """The trades whose emergency exit was agreed to, and not refused since."""

    def populate_indicators(self, dataframe: Any, metadata: Any) -> Any:
        return dataframe

    def populate_entry_trend(self, dataframe: Any, metadata: Any) -> Any:
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: Any, metadata: Any) -> Any:
        return dataframe

    def confirm_trade_entry(self, pair: str, *args: Any, **kwargs: Any) -> bool:
        told = pair in self.wanted
        self.wanted.discard(pair)
        return told

    def custom_exit(self, pair: str, *args: Any, **kwargs: Any) -> str | None:
        return "told" if pair in self.unwanted else None

    def confirm_trade_exit(
        self, pair: str, trade: Any, *args: Any, exit_reason: str, **kwargs: Any
    ) -> bool:
        agreed = (pair, exit_reason) not in self.refused
        if exit_reason == "emergency_exit":
            (self.due.add if agreed else self.due.discard)(trade.id)
        return agreed

    def adjust_trade_position(self, trade: Any, *args: Any, **kwargs: Any) -> Any:
        return self.adjust.pop(trade.pair, None)

    def ft_bot_start(self, **kwargs: Any) -> None:
        super().ft_bot_start(**kwargs)
        self.timed = False

    def bot_loop_start(self, *args: Any, **kwargs: Any) -> None:
        if not self.timed:
            self.timed = True
            for name in ("before_exit", "before_timeout_cancel"):
                setattr(self.emergency, name, self.timing(getattr(self.emergency, name)))

    def timing(self, hook: Any) -> Any:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.monotonic()
            result = hook(*args, **kwargs)
            self.held_up.append(time.monotonic() - began)
            return result

        return timed
