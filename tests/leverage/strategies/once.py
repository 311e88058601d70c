"""One trade of the side that the config names, ten hours long."""

from typing import Any

from freqtrade.strategy import IStrategy

from bitopro_margin_ext import EmergencyCancelMixin


class Once(EmergencyCancelMixin, IStrategy):
    """In after candle 2, out after candle 12."""

    timeframe = "1h"
    minimal_roi = {"0": 100}
    stoploss = -0.9
    can_short = True
    use_exit_signal = True

    def populate_indicators(self, dataframe: Any, metadata: Any) -> Any:
        return dataframe

    def populate_entry_trend(self, dataframe: Any, metadata: Any) -> Any:
        dataframe.loc[dataframe.index == 2, f"enter_{self.config['side']}"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: Any, metadata: Any) -> Any:
        dataframe.loc[dataframe.index == 12, f"exit_{self.config['side']}"] = 1
        return dataframe

    def leverage(self, *args: Any, **kwargs: Any) -> float:
        return 9.0
