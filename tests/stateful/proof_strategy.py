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

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.wanted: set[str] = set()
        self.unwanted: set[str] = set()
        self.held_up: list[float] = []

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

    def confirm_trade_exit(self, *args: Any, **kwargs: Any) -> bool:
        began = time.monotonic()
        agreed = super().confirm_trade_exit(*args, **kwargs)
        self.held_up.append(time.monotonic() - began)
        return agreed

    def ft_check_timed_out(self, *args: Any, **kwargs: Any) -> bool:
        began = time.monotonic()
        timed_out = super().ft_check_timed_out(*args, **kwargs)
        self.held_up.append(time.monotonic() - began)
        return timed_out
